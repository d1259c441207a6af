//! Processes and threads: clone(2), wait(2), exit(2), execve(2).

use alloc::format;
use core::sync::atomic::Ordering;

use elf_loader::ElfError;
use fs::LookupFlags;
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, P_ALL, P_PGID, P_PID, P_PIDFD};
use syscall_shim::types::{Rusage, Siginfo};
use syscall_shim::{CloneFlags, Errno, Signal, SysResult, WaitOptions};

use super::paths;
use crate::files::pidfd::PidFd;
use crate::usermem::{self, USER_END, UserAddr, UserPtr};
use task::clone::{self, CloneArgs};
use task::reap::{self, Report, Wanted, Which};
use task::{current, exec, exit, family, signal};

/// `CSIGNAL`: the exit signal within clone(2)'s flags.
const CSIGNAL: u64 = 0xff;

/// fork(2).
pub fn fork() -> SysResult {
    new_process(CloneFlags::empty())
}

/// vfork(2).
pub fn vfork() -> SysResult {
    new_process(CloneFlags::CLONE_VFORK | CloneFlags::CLONE_VM)
}

fn new_process(flags: CloneFlags) -> SysResult {
    let exit_signal = i32::from(Signal::SIGCHLD.number());
    let args = CloneArgs { flags, exit_signal, child_tid: 0, pidfd: 0, parent_tid: 0, stack: 0, tls: 0, set_tid: None };
    clone::clone(&args).map(|pid| pid as usize)
}

/// clone(2) with x86-64's order of arguments.
pub fn clone(flags: u64, stack: u64, parent_tid: u64, child_tid: u64, tls: u64) -> SysResult {
    let exit_signal = (flags & CSIGNAL) as i32;
    let flags = CloneFlags::from_bits_truncate(flags & u64::from(u32::MAX) & !CSIGNAL);
    clone::clone(&CloneArgs { flags, exit_signal, child_tid, pidfd: parent_tid, parent_tid, stack, tls, set_tid: None })
        .map(|tid| tid as usize)
}

/// `CLONE_ARGS_SIZE_VER0`.
const CLONE_ARGS_SIZE_VER0: usize = 64;
/// Fields of the newest `struct clone_args` known here.
const CLONE_ARGS_WORDS: usize = 11;
/// `MAX_PID_NS_LEVEL`.
const SET_TID_MAX: u64 = 32;

/// clone3(2): a larger structure than we know must be zero beyond it.
pub fn clone3(args: UserAddr, size: usize) -> SysResult {
    if size > syscall_shim::PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(Errno::EINVAL);
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup] =
        usermem::read_extensible::<[u64; CLONE_ARGS_WORDS]>(args, size)?;
    if set_tid_size > SET_TID_MAX || (set_tid == 0) != (set_tid_size == 0) {
        return Err(Errno::EINVAL);
    }
    let in_user_half = stack.checked_add(stack_size).is_some_and(|end| end <= USER_END);
    if exit_signal > 64 || (stack == 0) != (stack_size == 0) || !in_user_half {
        return Err(Errno::EINVAL);
    }
    let flags = CloneFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    let no_signal = flags.intersects(CloneFlags::CLONE_THREAD | CloneFlags::CLONE_PARENT);
    if flags.contains(CloneFlags::CLONE_DETACHED) || no_signal && exit_signal != 0 {
        return Err(Errno::EINVAL);
    }
    if flags.contains(CloneFlags::CLONE_INTO_CGROUP) {
        // No file is a cgroup's directory here.
        let has_it = size == size_of::<[u64; CLONE_ARGS_WORDS]>() && i32::try_from(cgroup).is_ok();
        return Err(if has_it { Errno::EBADF } else { Errno::EINVAL });
    }
    // One id for each nested namespace, of which there is one.
    let set_tid = match set_tid_size {
        0 => None,
        1 => Some(UserPtr::<i32>::new(set_tid).read()?),
        _ => return Err(Errno::EINVAL),
    };
    clone::clone(&CloneArgs {
        flags,
        exit_signal: exit_signal as i32,
        child_tid,
        pidfd,
        parent_tid,
        stack: stack.wrapping_add(stack_size),
        tls,
        set_tid,
    })
    .map(|tid| tid as usize)
}

/// execve(2).
pub fn execve(path: UserAddr, argv: UserPtr<u64>, envp: UserPtr<u64>) -> SysResult {
    let path = usermem::read_path(path)?;
    let (argv, envp) = (exec::read_strings(argv)?, exec::read_strings(envp)?);
    execute(exec::Request {
        path: &path,
        shown: &path,
        unreachable: false,
        at: None,
        lookup: LookupFlags::FOLLOW,
        argv,
        envp,
    })
}

/// execveat(2). What scripts and `AT_EXECFN` are told of a file found by descriptor is its name
/// under /dev/fd.
pub fn execveat(dirfd: i32, path: UserAddr, argv: UserPtr<u64>, envp: UserPtr<u64>, flags: u32) -> SysResult {
    let lookup = paths::lookup_flags(flags, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)?;
    let paths::Name { base, text } = paths::name_or_descriptor(dirfd, path, lookup)?;
    let (argv, envp) = (exec::read_strings(argv)?, exec::read_strings(envp)?);
    let shown = match &base {
        None => text.clone(),
        Some(_) if text.is_empty() => format!("/dev/fd/{dirfd}").into_bytes(),
        Some(_) => [format!("/dev/fd/{dirfd}/").as_bytes(), &text].concat(),
    };
    let unreachable = base.is_some() && current().files()?.is_cloexec(dirfd)?;
    execute(exec::Request { path: &text, shown: &shown, unreachable, at: base, lookup, argv, envp })
}

fn execute(request: exec::Request<'_>) -> SysResult {
    let Err(error) = exec::execve(request) else { return Ok(0) };
    if error.elf.is_some() && !matches!(error.elf, Some(ElfError::NotElf)) {
        // The errno says only that it is no program; shells then try it as a script.
        kwarn!("execve: {error}");
    }
    if error.is_late() {
        signal::fault::force_segv(Some(Signal::SIGSEGV));
    }
    Err(error.errno)
}

const WAIT4_OPTIONS: WaitOptions = WaitOptions::WNOHANG
    .union(WaitOptions::WUNTRACED)
    .union(WaitOptions::WCONTINUED)
    .union(WaitOptions::WNOTHREAD)
    .union(WaitOptions::WCLONE)
    .union(WaitOptions::WALL);
const WAITID_OPTIONS: WaitOptions = WAIT4_OPTIONS.union(WaitOptions::WEXITED).union(WaitOptions::WNOWAIT);
/// `WSTOPPED` is `WUNTRACED` by another name.
const WAITID_EVENTS: WaitOptions = WaitOptions::WEXITED.union(WaitOptions::WUNTRACED).union(WaitOptions::WCONTINUED);

fn wait_options(bits: u32, allowed: WaitOptions) -> SysResult<WaitOptions> {
    WaitOptions::from_bits(bits).filter(|options| allowed.contains(*options)).ok_or(Errno::EINVAL)
}

fn own_group() -> Which {
    Which::Group(current().process.pgid.load(Ordering::Relaxed))
}

/// wait4(2).
pub fn wait4(pid: i32, status: UserPtr<i32>, options: u32, usage: UserPtr<Rusage>) -> SysResult {
    let options = wait_options(options, WAIT4_OPTIONS)? | WaitOptions::WEXITED;
    let which = match pid {
        // The one pid that cannot be negated into a process group.
        i32::MIN => return Err(Errno::ESRCH),
        -1 => Which::Any,
        0 => own_group(),
        group if group < 0 => Which::Group(-group),
        pid => Which::Process(pid),
    };
    let Some(report) = reap::wait(&Wanted { which, options })? else { return Ok(0) };
    status.write_if_some(report.status as i32)?;
    usage.write_if_some(report.usage.to_rusage())?;
    Ok(report.pid as usize)
}

/// waitid(2).
pub fn waitid(kind: u32, id: i32, info: UserPtr<Siginfo>, options: u32, usage: UserPtr<Rusage>) -> SysResult {
    let waited = wait_by_id(kind, id, options);
    let report = waited.as_ref().ok().and_then(Option::as_ref);
    if let Some(report) = report {
        usage.write_if_some(report.usage.to_rusage())?;
    }
    // Also where waiting has failed: all zeroes then.
    if let Some(info) = info.non_null() {
        write_wait_info(info, report)?;
    }
    waited.map(|_| 0)
}

fn wait_by_id(kind: u32, id: i32, options: u32) -> SysResult<Option<Report>> {
    let options = wait_options(options, WAITID_OPTIONS)?;
    if !options.intersects(WAITID_EVENTS) {
        return Err(Errno::EINVAL);
    }
    let mut nonblocking = false;
    let which = match kind {
        P_ALL => Which::Any,
        P_PID if id > 0 => Which::Process(id),
        P_PGID if id > 0 => Which::Group(id),
        P_PGID if id == 0 => own_group(),
        P_PIDFD if id >= 0 => {
            let file = paths::file(id)?;
            nonblocking = file.nonblocking();
            Which::Exactly(PidFd::process_of(&file)?.clone())
        }
        _ => return Err(Errno::EINVAL),
    };
    let hangs = !options.contains(WaitOptions::WNOHANG);
    let options = if nonblocking { options | WaitOptions::WNOHANG } else { options };
    let report = reap::wait(&Wanted { which, options })?;
    if report.is_none() && nonblocking && hangs {
        return Err(Errno::EAGAIN);
    }
    Ok(report)
}

/// What waitid(2) writes of a `siginfo_t`: the fields that wait has, and no more. All are 0 if no
/// child changed state.
fn write_wait_info(info: UserPtr<Siginfo>, report: Option<&Report>) -> SysResult<()> {
    let mut words = [0i32; 7];
    if let Some(report) = report {
        let (code, status) = family::describe(report.status);
        // si_signo, si_errno, si_code, padding, si_pid, si_uid, si_status.
        words = [i32::from(Signal::SIGCHLD.number()), 0, code, 0, report.pid, report.uid as i32, status];
    }
    let to = info.addr().cast::<i32>();
    for (index, word) in words.into_iter().enumerate().filter(|(index, _)| *index != 3) {
        to.add(index).write(word)?;
    }
    Ok(())
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
    task.clear_child_tid.store(address.addr().0, Ordering::Relaxed);
    Ok(task.tid() as usize)
}
