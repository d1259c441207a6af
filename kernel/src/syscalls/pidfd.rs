//! Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).

use alloc::sync::Arc;

use fs::OpenFlags;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SysResult};

use super::identity::may_inspect;
use super::paths;
use super::signal::{info_from_user, kill_process, send_checked, signal_or_probe};
use crate::files::pidfd::PidFd;
use crate::task::{Process, current, table};
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

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(fd: i32, signum: i32, info: UserPtr<Siginfo>, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let process = process_of(fd)?;
    let Some(info) = info.non_null() else {
        return kill_process(&process, signal_or_probe(signum)?).map(|()| 0);
    };
    if info.read()?.si_signo != signum {
        return Err(Errno::EINVAL);
    }
    let (signal, info) = info_from_user(signum, info, process.pid)?;
    send_checked(&process, signal, info)
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
