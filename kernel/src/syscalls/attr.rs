//! Attributes of files: chmod(2), chown(2), utimensat(2) and their forms.

use fs::Path;
use fs::namespace::SetTime;
use linux_raw_sys::general as g;
use syscall_shim::types::{FileAttr, Timespec, Timeval, Utimbuf};
use syscall_shim::{Errno, SysResult};
use zerocopy::IntoBytes;

use super::paths::{file, find_at};
use crate::usermem::{UserAddr, UserPtr, copy_out, read_extensible, zero_partial};
use fd::{fileattr, with_fs};
use task::namespace;
use vm::flags::PAGE_SIZE;

fn change_mode(path: &Path, mode: u32) -> SysResult {
    with_fs(|ctx| namespace().chmod(ctx, path, mode)).map(|()| 0)
}

/// fchmodat2(2).
pub fn fchmodat2(dirfd: i32, path: UserAddr, mode: u32, flags: u32) -> SysResult {
    change_mode(&find_at(dirfd, path, flags, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)?, mode)
}

/// fchmodat(2), whose system call has no flags.
pub fn fchmodat(dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    fchmodat2(dirfd, path, mode, 0)
}

/// chmod(2).
pub fn chmod(path: UserAddr, mode: u32) -> SysResult {
    fchmodat2(g::AT_FDCWD, path, mode, 0)
}

/// fchmod(2).
pub fn fchmod(fd: i32, mode: u32) -> SysResult {
    change_mode(&file(fd)?.path, mode)
}

/// `None` for -1, which leaves the id alone.
fn id(value: u32) -> Option<u32> {
    (value != u32::MAX).then_some(value)
}

fn change_owner(path: &Path, uid: u32, gid: u32) -> SysResult {
    with_fs(|ctx| namespace().chown(ctx, path, id(uid), id(gid))).map(|()| 0)
}

/// fchownat(2).
pub fn fchownat(dirfd: i32, path: UserAddr, uid: u32, gid: u32, flags: u32) -> SysResult {
    change_owner(&find_at(dirfd, path, flags, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)?, uid, gid)
}

/// chown(2).
pub fn chown(path: UserAddr, uid: u32, gid: u32) -> SysResult {
    fchownat(g::AT_FDCWD, path, uid, gid, 0)
}

/// lchown(2).
pub fn lchown(path: UserAddr, uid: u32, gid: u32) -> SysResult {
    fchownat(g::AT_FDCWD, path, uid, gid, g::AT_SYMLINK_NOFOLLOW)
}

/// fchown(2).
pub fn fchown(fd: i32, uid: u32, gid: u32) -> SysResult {
    change_owner(&file(fd)?.path, uid, gid)
}

/// One time of utimensat(2).
fn set_time(t: Timespec) -> SysResult<SetTime> {
    match t.tv_nsec as u64 {
        n if n == u64::from(g::UTIME_NOW) => Ok(SetTime::Now),
        n if n == u64::from(g::UTIME_OMIT) => Ok(SetTime::Omit),
        n if n < 1_000_000_000 => Ok(SetTime::At(fs::Timespec { sec: t.tv_sec, nsec: n as u32 })),
        _ => Err(Errno::EINVAL),
    }
}

fn change_times(path: &Path, [atime, mtime]: [SetTime; 2]) -> SysResult {
    with_fs(|ctx| namespace().utimens(ctx, path, atime, mtime)).map(|()| 0)
}

/// utimensat(2). A NULL path means the descriptor itself (futimens(3)).
pub fn utimensat(dirfd: i32, path: UserAddr, times: UserPtr<[Timespec; 2]>, flags: u32) -> SysResult {
    let times = match times.non_null() {
        Some(times) => {
            let [atime, mtime] = times.read()?;
            [set_time(atime)?, set_time(mtime)?]
        }
        None => [SetTime::Now; 2],
    };
    if times == [SetTime::Omit; 2] {
        return Ok(0);
    }
    if path.is_null() && dirfd != g::AT_FDCWD {
        return if flags == 0 { change_times(&file(dirfd)?.path, times) } else { Err(Errno::EINVAL) };
    }
    change_times(&find_at(dirfd, path, flags, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)?, times)
}

/// futimesat(2).
pub fn futimesat(dirfd: i32, path: UserAddr, times: UserPtr<[Timeval; 2]>) -> SysResult {
    let times = match times.non_null() {
        Some(times) => {
            let [atime, mtime] = times.read()?;
            let convert = |t: Timeval| match t.tv_usec {
                0..1_000_000 => Ok(SetTime::At(fs::Timespec { sec: t.tv_sec, nsec: (t.tv_usec * 1000) as u32 })),
                _ => Err(Errno::EINVAL),
            };
            [convert(atime)?, convert(mtime)?]
        }
        None => [SetTime::Now; 2],
    };
    if path.is_null() && dirfd != g::AT_FDCWD {
        return change_times(&file(dirfd)?.path, times);
    }
    change_times(&find_at(dirfd, path, 0, 0)?, times)
}

/// utimes(2).
pub fn utimes(path: UserAddr, times: UserPtr<[Timeval; 2]>) -> SysResult {
    futimesat(g::AT_FDCWD, path, times)
}

/// utime(2).
pub fn utime(path: UserAddr, times: UserPtr<Utimbuf>) -> SysResult {
    let times = match times.non_null() {
        Some(times) => {
            let t = times.read()?;
            [t.actime, t.modtime].map(|sec| SetTime::At(fs::Timespec { sec, nsec: 0 }))
        }
        None => [SetTime::Now; 2],
    };
    change_times(&find_at(g::AT_FDCWD, path, 0, 0)?, times)
}

/// What file_getattr(2) and file_setattr(2) take of `AT_*`.
const ATTRIBUTE_FLAGS: u32 = g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH;

/// `EINVAL` for other flags and for a structure of `size` bytes that is too small, `E2BIG` for one
/// that cannot be.
fn check_attribute_call(size: usize, flags: u32) -> SysResult<()> {
    if flags & !ATTRIBUTE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if size > PAGE_SIZE as usize {
        return Err(Errno::E2BIG);
    }
    if size < size_of::<FileAttr>() { Err(Errno::EINVAL) } else { Ok(()) }
}

/// The file that these calls mean.
fn attributed(dirfd: i32, path: UserAddr, flags: u32) -> SysResult<Path> {
    let is_empty = path.is_null() || path.cast::<u8>().read()? == 0;
    // A descriptor alone is no O_PATH one.
    if flags & g::AT_EMPTY_PATH != 0 && dirfd >= 0 && is_empty {
        return Ok(file(dirfd)?.path.clone());
    }
    find_at(dirfd, path, flags, ATTRIBUTE_FLAGS)
}

/// file_getattr(2).
pub fn file_getattr(dirfd: i32, path: UserAddr, attr: UserAddr, size: usize, flags: u32) -> SysResult {
    check_attribute_call(size, flags)?;
    let told = fileattr::get_attributes(&attributed(dirfd, path, flags)?)?;
    let bytes = told.as_bytes();
    copy_out(attr, bytes)?;
    let rest = size - bytes.len();
    if zero_partial(attr.add(bytes.len() as u64), rest) == rest { Ok(0) } else { Err(Errno::EFAULT) }
}

/// file_setattr(2).
pub fn file_setattr(dirfd: i32, path: UserAddr, attr: UserAddr, size: usize, flags: u32) -> SysResult {
    // What is wrong with the structure comes before what is with the path.
    check_attribute_call(size, flags)?;
    let wanted: FileAttr = read_extensible(attr, size)?;
    fileattr::set_attributes(&attributed(dirfd, path, flags)?, &wanted).map(|()| 0)
}
