//! Processes and threads: clone(2), exit(2), execve(2).

use alloc::format;

use fs::LookupFlags;
use linux_raw_sys::general::{
    __WALL, __WCLONE, __WNOTHREAD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, P_ALL, P_PGID, P_PID, P_PIDFD, WCONTINUED, WEXITED,
    WNOHANG, WNOWAIT, WSTOPPED, WUNTRACED,
};
use syscall_shim::{CloneFlags, Errno, SysResult};

use super::paths;
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
    let (argv, envp) = (exec::read_strings(argv)?, exec::read_strings(envp)?);
    execute(exec::Request { path: &path, shown: &path, at: None, lookup: LookupFlags::FOLLOW, argv, envp })
}

/// execveat(2). What scripts and `AT_EXECFN` are told of a file found by descriptor is its name under /dev/fd.
pub fn execveat(dirfd: i32, path: UserAddr, argv: UserPtr<u64>, envp: UserPtr<u64>, flags: u32) -> SysResult {
    let lookup = paths::lookup_flags(flags, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)?;
    let paths::Name { base, text } = paths::name_at(dirfd, path)?;
    let (argv, envp) = (exec::read_strings(argv)?, exec::read_strings(envp)?);
    let shown = match &base {
        None => text.clone(),
        Some(_) if text.is_empty() => format!("/dev/fd/{dirfd}").into_bytes(),
        Some(_) => [format!("/dev/fd/{dirfd}/").as_bytes(), &text].concat(),
    };
    execute(exec::Request { path: &text, shown: &shown, at: base, lookup, argv, envp })
}

fn execute(request: exec::Request<'_>) -> SysResult {
    exec::execve(request).map_err(|error| error.errno)?;
    Ok(0)
}

const WAIT4_OPTIONS: u32 = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
const WAITID_OPTIONS: u32 = WAIT4_OPTIONS & !WUNTRACED | WSTOPPED | WEXITED | WNOWAIT;

/// wait4(2). No process has children as long as `fork` is absent.
pub fn wait4(pid: i32, _status: UserPtr<i32>, options: u32, _usage: UserAddr) -> SysResult {
    if options & !WAIT4_OPTIONS != 0 {
        return Err(Errno::EINVAL);
    }
    // The one pid that cannot be negated into a process group.
    Err(if pid == i32::MIN { Errno::ESRCH } else { Errno::ECHILD })
}

/// waitid(2). As for wait4.
pub fn waitid(kind: u32, id: i32, _info: UserAddr, options: u32, _usage: UserAddr) -> SysResult {
    if options & !WAITID_OPTIONS != 0 || options & (WEXITED | WSTOPPED | WCONTINUED) == 0 {
        return Err(Errno::EINVAL);
    }
    match kind {
        P_ALL => Err(Errno::ECHILD),
        P_PID if id > 0 => Err(Errno::ECHILD),
        P_PGID if id >= 0 => Err(Errno::ECHILD),
        P_PIDFD if id >= 0 => Err(paths::file(id).err().unwrap_or(Errno::EBADF)),
        _ => Err(Errno::EINVAL),
    }
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
