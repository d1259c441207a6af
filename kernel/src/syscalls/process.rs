//! Processes and threads: clone(2), exit(2), execve(2).

use fs::LookupFlags;
use syscall_shim::{CloneFlags, Errno, SysResult};

use crate::task::clone::{self, CloneArgs};
use crate::task::{current, exec, exit};
use crate::usermem::{self, UserAddr, UserPtr};

/// `CSIGNAL`: the exit signal within clone(2)'s flags.
const CSIGNAL: u64 = 0xff;

/// clone(2) with x86-64's order of arguments.
pub fn clone(flags: u64, stack: u64, parent_tid: u64, child_tid: u64, tls: u64) -> SysResult {
    let flags = CloneFlags::from_bits(flags & !CSIGNAL).ok_or(Errno::EINVAL)?;
    clone::clone(&CloneArgs { flags, child_tid, parent_tid, stack, tls }).map(|tid| tid as usize)
}

/// `CLONE_ARGS_SIZE_VER0`.
const CLONE_ARGS_SIZE_VER0: usize = 64;
/// Fields of the newest `struct clone_args` known here.
const CLONE_ARGS_WORDS: usize = 11;

/// clone3(2): a larger structure than we know must be zero beyond it.
pub fn clone3(args: UserAddr, size: usize) -> SysResult {
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(Errno::EINVAL);
    }
    let words = args.cast::<u64>().read_vec(size / 8)?;
    if words.iter().skip(CLONE_ARGS_WORDS).any(|&w| w != 0) {
        return Err(Errno::E2BIG);
    }
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let (flags, exit_signal, stack, stack_size, set_tid_size) = (word(0), word(4), word(5), word(6), word(9));
    if flags & CSIGNAL != 0 || exit_signal > 64 || (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    let flags = CloneFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(CloneFlags::CLONE_THREAD) && exit_signal != 0 || set_tid_size != 0 {
        return Err(Errno::EINVAL);
    }
    clone::clone(&CloneArgs {
        flags,
        child_tid: word(2),
        parent_tid: word(3),
        stack: stack.wrapping_add(stack_size),
        tls: word(7),
    })
    .map(|tid| tid as usize)
}

/// execve(2).
pub fn execve(path: UserAddr, argv: UserPtr<u64>, envp: UserPtr<u64>) -> SysResult {
    let path = usermem::read_path(path)?;
    execute(&path, None, LookupFlags::FOLLOW, argv, envp)
}

fn execute(
    path: &[u8],
    at: Option<fs::Path>,
    lookup: LookupFlags,
    argv: UserPtr<u64>,
    envp: UserPtr<u64>,
) -> SysResult {
    let (argv, envp) = (exec::read_strings(argv)?, exec::read_strings(envp)?);
    exec::execve(exec::Request { path, at, lookup, argv, envp }).map_err(|error| error.errno)?;
    Ok(0)
}

/// exit(2): the calling thread.
pub fn exit(code: i32) -> SysResult {
    exit::exit(code)
}

/// exit_group(2).
pub fn exit_group(code: i32) -> SysResult {
    exit::exit_group((code as u32 & 0xff) << 8)
}

/// set_tid_address(2).
pub fn set_tid_address(address: UserPtr<i32>) -> SysResult {
    let task = current();
    task.clear_child_tid.store(address.addr().0, core::sync::atomic::Ordering::Relaxed);
    Ok(task.tid() as usize)
}
