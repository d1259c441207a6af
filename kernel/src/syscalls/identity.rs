//! Who a process is: getpid(2), getuid(2), setuid(2), setpgid(2), setsid(2), capget(2) and their
//! kin.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::{CapData, CapHeader};
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserPtr;
use task::credentials::{self, ALL_CAPABILITIES, Credentials};
use task::{Process, Task, current, current_arc, group, table};

/// `NGROUPS_MAX`.
const NGROUPS_MAX: i32 = 65536;
const CAP_SETGID: u32 = 6;

/// Changes the calling thread's credentials.
fn change<T>(f: impl FnOnce(&mut Credentials) -> SysResult<T>) -> SysResult<T> {
    let task = current();
    let mut new = (*task.credentials()).clone();
    let result = f(&mut new)?;
    task.set_credentials(new);
    Ok(result)
}

/// `EPERM` unless the caller may look into `task`.
pub(super) fn may_inspect(task: &Task) -> SysResult<()> {
    let me = current().credentials();
    if credentials::may_inspect(task, me.uid, me.gid) { Ok(()) } else { Err(Errno::EPERM) }
}

/// The process `pid`, the caller's own for 0. `ESRCH`.
fn process_or_own(pid: i32) -> SysResult<Arc<Process>> {
    if pid == 0 { Ok(current().process.clone()) } else { table::process(pid).ok_or(Errno::ESRCH) }
}

/// getpid(2).
pub fn getpid() -> SysResult {
    Ok(current().process.pid as usize)
}

/// gettid(2).
pub fn gettid() -> SysResult {
    Ok(current().tid() as usize)
}

/// getppid(2): 0 for the first process.
pub fn getppid() -> SysResult {
    Ok(current().process.ppid.load(Ordering::Relaxed) as usize)
}

/// getuid(2).
pub fn getuid() -> SysResult {
    Ok(current().ids.uid.load(Ordering::Relaxed) as usize)
}

/// geteuid(2).
pub fn geteuid() -> SysResult {
    Ok(current().ids.euid.load(Ordering::Relaxed) as usize)
}

/// getgid(2).
pub fn getgid() -> SysResult {
    Ok(current().ids.gid.load(Ordering::Relaxed) as usize)
}

/// getegid(2).
pub fn getegid() -> SysResult {
    Ok(current().ids.egid.load(Ordering::Relaxed) as usize)
}

/// getresuid(2).
pub fn getresuid(real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>) -> SysResult {
    let ids = current().credentials();
    real.write(ids.uid)?;
    effective.write(ids.euid)?;
    saved.write(ids.suid)?;
    Ok(0)
}

/// getresgid(2).
pub fn getresgid(real: UserPtr<u32>, effective: UserPtr<u32>, saved: UserPtr<u32>) -> SysResult {
    let ids = current().credentials();
    real.write(ids.gid)?;
    effective.write(ids.egid)?;
    saved.write(ids.sgid)?;
    Ok(0)
}

/// setuid(2).
pub fn setuid(uid: u32) -> SysResult {
    change(|c| c.setuid(uid)).map(|()| 0)
}

/// setgid(2).
pub fn setgid(gid: u32) -> SysResult {
    change(|c| c.setgid(gid)).map(|()| 0)
}

/// setreuid(2).
pub fn setreuid(real: u32, effective: u32) -> SysResult {
    change(|c| c.setreuid(real, effective)).map(|()| 0)
}

/// setregid(2).
pub fn setregid(real: u32, effective: u32) -> SysResult {
    change(|c| c.setregid(real, effective)).map(|()| 0)
}

/// setresuid(2).
pub fn setresuid(real: u32, effective: u32, saved: u32) -> SysResult {
    change(|c| c.setresuid(real, effective, saved)).map(|()| 0)
}

/// setresgid(2).
pub fn setresgid(real: u32, effective: u32, saved: u32) -> SysResult {
    change(|c| c.setresgid(real, effective, saved)).map(|()| 0)
}

/// setfsuid(2).
pub fn setfsuid(uid: u32) -> SysResult {
    change(|c| Ok(c.setfsuid(uid) as usize))
}

/// setfsgid(2).
pub fn setfsgid(gid: u32) -> SysResult {
    change(|c| Ok(c.setfsgid(gid) as usize))
}

/// getgroups(2).
pub fn getgroups(size: i32, list: UserPtr<u32>) -> SysResult {
    let credentials = current().credentials();
    let groups = &credentials.groups;
    let room = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    if room != 0 {
        if room < groups.len() {
            return Err(Errno::EINVAL);
        }
        if !groups.is_empty() {
            list.write_slice(groups)?;
        }
    }
    Ok(groups.len())
}

/// setgroups(2). The order is not kept: Linux sorts.
pub fn setgroups(size: i32, list: UserPtr<u32>) -> SysResult {
    if !current().credentials().capable(CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    if !(0..=NGROUPS_MAX).contains(&size) {
        return Err(Errno::EINVAL);
    }
    let mut groups = list.read_vec(size as usize)?;
    groups.sort_unstable();
    change(|c| c.setgroups(groups)).map(|()| 0)
}

/// getpgid(2).
pub fn getpgid(pid: i32) -> SysResult {
    Ok(process_or_own(pid)?.pgid.load(Ordering::Relaxed) as usize)
}

/// getpgrp(2).
pub fn getpgrp() -> SysResult {
    getpgid(0)
}

/// getsid(2).
pub fn getsid(pid: i32) -> SysResult {
    Ok(process_or_own(pid)?.sid.load(Ordering::Relaxed) as usize)
}

/// setpgid(2).
pub fn setpgid(pid: i32, pgid: i32) -> SysResult {
    if pgid < 0 {
        return Err(Errno::EINVAL);
    }
    group::set(&current().process, &process_or_own(pid)?, pgid)?;
    Ok(0)
}

/// setsid(2). `EPERM` for the leader of a process group.
pub fn setsid() -> SysResult {
    let process = &current().process;
    group::new_session(process)?;
    Ok(process.pid as usize)
}

/// How many words of 32 bits a version of the capability interface has; an unknown version gets the
/// newest written back, and `EINVAL`.
fn capability_words(header: UserPtr<CapHeader>) -> SysResult<(CapHeader, usize)> {
    const VERSION_1: u32 = 0x1998_0330;
    const VERSION_2: u32 = 0x2007_1026;
    const VERSION_3: u32 = 0x2008_0522;
    let read = header.read()?;
    match read.version {
        VERSION_1 => Ok((read, 1)),
        VERSION_2 | VERSION_3 => Ok((read, 2)),
        _ => {
            header.write(CapHeader { version: VERSION_3, ..read })?;
            Err(Errno::EINVAL)
        }
    }
}

/// capget(2).
pub fn capget(header: UserPtr<CapHeader>, data: UserPtr<CapData>) -> SysResult {
    let (request, words) = match capability_words(header) {
        // Asking for the version alone is no error.
        Err(Errno::EINVAL) if data.is_null() => return Ok(0),
        other => other?,
    };
    let task = match request.pid {
        0 => current_arc(),
        pid @ 1.. => table::task(pid).ok_or(Errno::ESRCH)?,
        _ => return Err(Errno::EINVAL),
    };
    let c = task.credentials();
    for word in 0..words {
        let part = |set: u64| (set >> (32 * word)) as u32;
        data.add(word).write(CapData {
            effective: part(c.cap_effective),
            permitted: part(c.cap_permitted),
            inheritable: part(c.cap_inheritable),
        })?;
    }
    Ok(0)
}

/// capset(2), of the calling thread.
pub fn capset(header: UserPtr<CapHeader>, data: UserPtr<CapData>) -> SysResult {
    let (request, words) = capability_words(header)?;
    if request.pid != 0 && request.pid != current().tid() {
        return Err(Errno::EPERM);
    }
    let (mut effective, mut permitted, mut inheritable) = (0, 0, 0);
    for (word, part) in data.read_vec(words)?.iter().enumerate() {
        let shift = |value: u32| u64::from(value) << (32 * word) & ALL_CAPABILITIES;
        effective |= shift(part.effective);
        permitted |= shift(part.permitted);
        inheritable |= shift(part.inheritable);
    }
    change(|c| c.capset(effective, permitted, inheritable)).map(|()| 0)
}
