//! flock(2), and the record locks of fcntl(2).

use fs::locks::{LockKind, Owner, Range};
use linux_raw_sys::general as g;
use syscall_shim::types::Flock;
use syscall_shim::{Errno, SysResult};

use super::fd::lock_kind;
use super::paths::file;
use crate::usermem::UserAddr;
use fd::{OpenFile, locks};
use task::current;

/// flock(2). Of mandatory locks there is nothing left but the flag, which asks for nothing.
pub fn flock(fd: i32, operation: u32) -> SysResult {
    if operation & g::LOCK_MAND != 0 {
        return Ok(0);
    }
    let kind = match operation & !g::LOCK_NB {
        g::LOCK_SH => Some(LockKind::Read),
        g::LOCK_EX => Some(LockKind::Write),
        g::LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    let file = file(fd)?;
    match kind {
        Some(kind) => locks::flock(&file, kind, operation & g::LOCK_NB == 0)?,
        None => locks::unflock(&file),
    }
    Ok(0)
}

/// `F_SETLK`, `F_OFD_SETLK` and their kin.
pub fn record_lock(file: &OpenFile, cmd: u32, arg: UserAddr) -> SysResult {
    let arg = arg.cast::<Flock>();
    let mut flock = arg.read()?;
    let by_description = matches!(cmd, g::F_OFD_GETLK | g::F_OFD_SETLK | g::F_OFD_SETLKW);
    if by_description && flock.l_pid != 0 {
        return Err(Errno::EINVAL);
    }
    let base = match flock.l_whence as u32 {
        g::SEEK_SET => 0,
        g::SEEK_CUR => file.position(),
        g::SEEK_END => file.inode.metadata().size,
        _ => return Err(Errno::EINVAL),
    };
    let range = Range::from_flock(base, flock.l_start, flock.l_len)?;
    let owner = if by_description { Owner::Description(file.id) } else { Owner::Process(current().files()?.id) };
    let kind = lock_kind(flock.l_type as u32)?;
    if matches!(cmd, g::F_GETLK | g::F_OFD_GETLK) {
        let found = match kind {
            Some(kind) => locks::test_range(file, owner, kind, range),
            // What the description itself holds.
            None if by_description => locks::held(file, owner, range),
            None => return Err(Errno::EINVAL),
        };
        match found {
            None => flock.l_type = g::F_UNLCK as i16,
            Some(held) => {
                flock.l_type = if held.kind == LockKind::Read { g::F_RDLCK } else { g::F_WRLCK } as i16;
                flock.l_whence = g::SEEK_SET as i16;
                flock.l_start = held.range.start as i64;
                flock.l_len = held.range.l_len();
                flock.l_pid = held.pid;
            }
        }
        return arg.write(flock).map(|()| 0);
    }
    match kind {
        None => locks::unlock_range(file, owner, range),
        Some(kind) => {
            match kind {
                LockKind::Read => file.check_readable()?,
                LockKind::Write => file.check_writable()?,
            }
            locks::lock_range(file, owner, kind, range, matches!(cmd, g::F_SETLKW | g::F_OFD_SETLKW))?;
        }
    }
    Ok(0)
}
