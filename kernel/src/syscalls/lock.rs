//! flock(2), and the record locks of fcntl(2).

use fs::locks::{LockKind, Owner, Range};
use linux_raw_sys::general as g;
use syscall_shim::types::Flock;
use syscall_shim::{Errno, SysResult};

use super::paths::file;
use crate::files::{OpenFile, locks};
use crate::task::current;
use crate::usermem::UserAddr;

/// flock(2).
pub fn flock(fd: i32, operation: u32) -> SysResult {
    let file = file(fd)?;
    let wait = operation & g::LOCK_NB == 0;
    match operation & !g::LOCK_NB {
        g::LOCK_SH => locks::flock(&file, LockKind::Read, wait),
        g::LOCK_EX => locks::flock(&file, LockKind::Write, wait),
        g::LOCK_UN => {
            locks::unflock(&file);
            Ok(())
        }
        _ => Err(Errno::EINVAL),
    }
    .map(|()| 0)
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
    let kind = match flock.l_type as u32 {
        g::F_RDLCK => Some(LockKind::Read),
        g::F_WRLCK => Some(LockKind::Write),
        g::F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    if matches!(cmd, g::F_GETLK | g::F_OFD_GETLK) {
        match locks::test_range(file, owner, kind.ok_or(Errno::EINVAL)?, range) {
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
