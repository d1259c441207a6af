//! Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

use alloc::sync::Arc;

use fs::OpenFlags;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SysResult};

use super::identity::may_inspect;
use super::paths;
use super::signal::{info_from_user, kill_group, kill_process, send_checked, send_to_thread_checked, tgkill};
use crate::files::pidfd::PidFd;
use crate::pseudo::process_of_directory;
use crate::task::{Process, current, group, table};
use crate::usermem::UserPtr;

/// pidfd_open(2). The descriptor is close-on-exec.
pub fn pidfd_open(pid: i32, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits(flags).filter(|flags| OpenFlags::NONBLOCK.contains(*flags)).ok_or(Errno::EINVAL)?;
    if pid <= 0 {
        return Err(Errno::EINVAL);
    }
    let process = match table::process(pid) {
        Some(process) => process,
        // A thread that is no leader.
        None if table::task(pid).is_some() => return Err(Errno::EINVAL),
        None => return Err(Errno::ESRCH),
    };
    let fd = current().files()?.insert(PidFd::open(process, flags), true)?;
    Ok(fd as usize)
}

/// The process behind a descriptor, which has not been waited for. `EBADF`, `ESRCH`.
fn process_of(fd: i32) -> SysResult<Arc<Process>> {
    let file = paths::file(fd)?;
    let process = PidFd::process_of(&file)?;
    match table::process(process.pid) {
        Some(listed) if Arc::ptr_eq(&listed, process) => Ok(listed),
        _ => Err(Errno::ESRCH),
    }
}

/// Whom pidfd_send_signal(2) means: the process of a pidfd, or that whose directory in /proc is open. `EBADF`, `ESRCH`.
fn process_to_signal(fd: i32) -> SysResult<Arc<Process>> {
    let file = paths::any_file(fd)?;
    match process_of_directory(&file.inode) {
        Some(process) if !file.is_path() => process,
        _ => process_of(fd),
    }
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(fd: i32, signum: i32, info: UserPtr<Siginfo>, flags: u32) -> SysResult {
    const THREAD: u32 = 1;
    const THREAD_GROUP: u32 = 2;
    const PROCESS_GROUP: u32 = 4;
    if flags & !(THREAD | THREAD_GROUP | PROCESS_GROUP) != 0 || flags.count_ones() > 1 {
        return Err(Errno::EINVAL);
    }
    let process = process_to_signal(fd)?;
    let Some(info) = info.non_null() else {
        return match flags {
            THREAD => tgkill(process.pid, process.pid, signum),
            PROCESS_GROUP => kill_group(process.pid, signum),
            _ => kill_process(&process, signum).map(|()| 0),
        };
    };
    if info.read()?.si_signo != signum {
        return Err(Errno::EINVAL);
    }
    // To a group nobody can pretend to send to himself.
    let to = if flags == PROCESS_GROUP { 0 } else { process.pid };
    let info = info_from_user(signum, info, to)?;
    match flags {
        THREAD => send_to_thread_checked(&table::task(process.pid).ok_or(Errno::ESRCH)?, signum, info),
        PROCESS_GROUP => {
            let mut result = Err(Errno::ESRCH);
            group::send_to_many(
                |member| group::is_member(member, process.pid),
                |member| {
                    let sent = send_checked(member, signum, info);
                    result = if result.is_ok() { result } else { sent };
                },
            );
            result
        }
        _ => send_checked(&process, signum, info),
    }
}

/// pidfd_getfd(2). The descriptor is close-on-exec.
pub fn pidfd_getfd(fd: i32, target: i32, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let process = process_of(fd)?;
    let task = process.threads().first().cloned().ok_or(Errno::ESRCH)?;
    may_inspect(&task)?;
    let file = task.files()?.get_any(target)?;
    let fd = current().files()?.insert(file, true)?;
    Ok(fd as usize)
}
