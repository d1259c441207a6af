//! Processes and threads by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2),
//! process_mrelease(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use fs::OpenFlags;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SysResult};

use super::identity::may_inspect;
use super::paths;
use super::signal::{info_from_user, kill_group, kill_process, send_checked, send_to_thread_checked, tgkill};
use crate::files::pidfd::PidFd;
use crate::pseudo::process_of_directory;
use crate::usermem::UserPtr;
use task::table::Receivers;
use task::{Process, Task, current, current_arc, table};

/// pidfd_open(2). The descriptor is close-on-exec.
pub fn pidfd_open(pid: i32, flags: u32) -> SysResult {
    /// `PIDFD_THREAD`
    const THREAD: OpenFlags = OpenFlags::EXCL;
    let known = OpenFlags::NONBLOCK | THREAD;
    let flags = OpenFlags::from_bits(flags).filter(|flags| known.contains(*flags)).ok_or(Errno::EINVAL)?;
    if pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let file = match (table::process(pid), table::task(pid)) {
        (_, Some(task)) if flags.contains(THREAD) => PidFd::open_thread(&task, flags),
        (Some(process), _) => PidFd::open(process, flags),
        // A thread that is no leader.
        (None, Some(_)) => return Err(Errno::ENOENT),
        (None, None) => return Err(Errno::ESRCH),
    };
    let fd = current().files()?.insert(file, true)?;
    Ok(fd as usize)
}

/// `PIDFD_SELF_THREAD` and `PIDFD_SELF_THREAD_GROUP`: the caller, without a descriptor.
const SELF_THREAD: i32 = -10000;
const SELF_THREAD_GROUP: i32 = -10001;

/// The process behind a descriptor, or the caller's own. `EBADF`, `ESRCH`.
pub(super) fn process_or_self(fd: i32) -> SysResult<Arc<Process>> {
    if matches!(fd, SELF_THREAD | SELF_THREAD_GROUP) { Ok(current().process.clone()) } else { process_of(fd) }
}

/// The process behind a descriptor, which has not been waited for. `EBADF`, `ESRCH`.
fn process_of(fd: i32) -> SysResult<Arc<Process>> {
    let file = paths::file(fd)?;
    let pidfd = PidFd::of(&file)?;
    if pidfd.is_other_thread() {
        pidfd.task()?;
    }
    let process = PidFd::process_of(&file)?;
    match table::process(process.pid) {
        Some(listed) if Arc::ptr_eq(&listed, process) => Ok(listed),
        _ => Err(Errno::ESRCH),
    }
}

/// Whom pidfd_send_signal(2) means: the process or thread of a pidfd, the caller's, or that whose
/// directory in /proc is open. `EBADF`, `ESRCH`.
fn receiver(fd: i32) -> SysResult<(Arc<Process>, Option<Arc<Task>>)> {
    if fd == SELF_THREAD {
        return Ok((current().process.clone(), Some(current_arc())));
    }
    if fd == SELF_THREAD_GROUP {
        return Ok((current().process.clone(), None));
    }
    let file = paths::any_file(fd)?;
    if !file.is_path() {
        if let Some(process) = process_of_directory(&file.inode) {
            return process.map(|process| (process, None));
        }
        if let Ok(pidfd) = PidFd::of(&file)
            && pidfd.is_thread()
        {
            let task = pidfd.task()?;
            return Ok((task.process.clone(), Some(task)));
        }
    }
    process_of(fd).map(|process| (process, None))
}

/// Whom a signal by descriptor is for.
enum Scope {
    Thread(Arc<Task>),
    Process,
    Group,
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(fd: i32, signum: i32, info: UserPtr<Siginfo>, flags: u32) -> SysResult {
    const THREAD: u32 = 1;
    const THREAD_GROUP: u32 = 2;
    const PROCESS_GROUP: u32 = 4;
    if flags & !(THREAD | THREAD_GROUP | PROCESS_GROUP) != 0 || flags.count_ones() > 1 {
        return Err(Errno::EINVAL);
    }
    let (process, thread) = receiver(fd)?;
    let pid = thread.as_ref().map_or(process.pid, |task| task.tid());
    let scope = match (flags, thread) {
        (0 | THREAD, Some(task)) => Scope::Thread(task),
        (THREAD, None) => Scope::Thread(table::task(process.pid).ok_or(Errno::ESRCH)?),
        (PROCESS_GROUP, _) => Scope::Group,
        _ => Scope::Process,
    };
    let Some(info) = info.non_null() else {
        return match scope {
            Scope::Thread(task) => tgkill(process.pid, task.tid(), signum),
            Scope::Group => kill_group(pid, signum),
            Scope::Process => kill_process(&process, signum).map(|()| 0),
        };
    };
    if info.read()?.si_signo != signum {
        return Err(Errno::EINVAL);
    }
    // To a group nobody can pretend to send to himself.
    let to = if flags == PROCESS_GROUP { 0 } else { pid };
    let info = info_from_user(signum, info, to)?;
    match scope {
        Scope::Thread(task) => send_to_thread_checked(&task, signum, info),
        Scope::Group => {
            let mut result = Err(Errno::ESRCH);
            table::broadcast(Receivers::Group(pid), |member| {
                let sent = send_checked(member, signum, info);
                result = if result.is_ok() { result } else { sent };
            });
            result
        }
        Scope::Process => send_checked(&process, signum, info),
    }
}

/// process_mrelease(2). The memory of a process that is killed goes as its threads end, which they
/// do at once; there is none to take before. `EINVAL` for one that goes on.
pub fn process_mrelease(fd: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let process = process_or_self(fd)?;
    if process.thread_count() == 0 {
        return Err(Errno::ESRCH);
    }
    if process.exiting.load(Ordering::Acquire) { Ok(0) } else { Err(Errno::EINVAL) }
}

/// pidfd_getfd(2). The descriptor is close-on-exec.
pub fn pidfd_getfd(fd: i32, target: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let process = process_of(fd)?;
    let task = process.first_thread().ok_or(Errno::ESRCH)?;
    may_inspect(&task)?;
    let file = task.files()?.get_any(target)?;
    let fd = current().files()?.insert(file, true)?;
    Ok(fd as usize)
}
