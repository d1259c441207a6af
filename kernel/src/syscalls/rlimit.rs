//! Resource limits: getrlimit(2), prlimit(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use linux_raw_sys::general::{RLIMIT_CPU, RLIMIT_NOFILE, RLIMIT_RTTIME};
use syscall_shim::types::Rlimit;
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserPtr;
use fd::fd_table::NR_OPEN;
use task::process::{self, RLIMITS};
use task::{Process, current, rt_limit, table};

const CAP_SYS_RESOURCE: u32 = 24;

fn get(process: &Process, resource: u32) -> SysResult<Rlimit> {
    let limits = process.rlimits.lock();
    let limit = limits.get(resource as usize).ok_or(Errno::EINVAL)?;
    Ok(Rlimit { rlim_cur: limit.soft, rlim_max: limit.hard })
}

fn set(process: &Arc<Process>, resource: u32, new: Rlimit) -> SysResult<()> {
    if new.rlim_cur > new.rlim_max {
        return Err(Errno::EINVAL);
    }
    if resource == RLIMIT_NOFILE && new.rlim_max > NR_OPEN.load(Relaxed).into() {
        return Err(Errno::EPERM);
    }
    let privileged = current().credentials().capable(CAP_SYS_RESOURCE);
    let mut limits = process.rlimits.lock();
    let limit = limits.get_mut(resource as usize).ok_or(Errno::EINVAL)?;
    if new.rlim_max > limit.hard && !privileged {
        return Err(Errno::EPERM);
    }
    *limit = process::Rlimit { soft: new.rlim_cur, hard: new.rlim_max };
    drop(limits);
    if resource == RLIMIT_CPU {
        process.timers.set_cpu_limit(process, new.rlim_cur, new.rlim_max);
    }
    if resource == RLIMIT_RTTIME {
        rt_limit::set(process, new.rlim_cur);
    }
    Ok(())
}

/// getrlimit(2).
pub fn getrlimit(resource: u32, limit: UserPtr<Rlimit>) -> SysResult {
    limit.write(get(&current().process, resource)?)?;
    Ok(0)
}

/// setrlimit(2).
pub fn setrlimit(resource: u32, limit: UserPtr<Rlimit>) -> SysResult {
    set(&current().process, resource, limit.read()?)?;
    Ok(0)
}

/// prlimit(2).
pub fn prlimit64(pid: i32, resource: u32, new: UserPtr<Rlimit>, old: UserPtr<Rlimit>) -> SysResult {
    if resource as usize >= RLIMITS {
        return Err(Errno::EINVAL);
    }
    let new = new.non_null().map(UserPtr::read).transpose()?;
    let process: Arc<Process> = if pid == 0 {
        current().process.clone()
    } else {
        let task = table::task(pid).ok_or(Errno::ESRCH)?;
        if !Arc::ptr_eq(&task.process, &current().process) {
            let (me, other) = (current().credentials(), task.credentials());
            let same = [other.uid, other.euid, other.suid].iter().all(|id| *id == me.uid)
                && [other.gid, other.egid, other.sgid].iter().all(|id| *id == me.gid);
            if !same && !me.capable(CAP_SYS_RESOURCE) {
                return Err(Errno::EPERM);
            }
        }
        task.process.clone()
    };
    let before = get(&process, resource)?;
    if let Some(new) = new {
        set(&process, resource, new)?;
    }
    old.write_if_some(before)?;
    Ok(0)
}
