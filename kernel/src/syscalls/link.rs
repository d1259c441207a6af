//! Names: link(2), unlink(2), rename(2), symlink(2), readlink(2), mkdir(2), rmdir(2), mknod(2).

use fs::{RenameFlags, S_IFDIR, S_IFMT};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::{lookup_flags, name_at, name_or_descriptor};
use crate::usermem::{UserAddr, copy_out, read_path};
use fd::with_fs;
use task::namespace;

/// linkat(2).
pub fn linkat(old_dirfd: i32, old: UserAddr, new_dirfd: i32, new: UserAddr, flags: u32) -> SysResult {
    let lookup = lookup_flags(flags, g::AT_SYMLINK_FOLLOW | g::AT_EMPTY_PATH)?;
    let (old, new) = (name_or_descriptor(old_dirfd, old, lookup)?, name_at(new_dirfd, new)?);
    with_fs(|ctx| namespace().link(ctx, old.at(), &old.text, new.at(), &new.text, lookup)).map(|()| 0)
}

/// link(2).
pub fn link(old: UserAddr, new: UserAddr) -> SysResult {
    linkat(g::AT_FDCWD, old, g::AT_FDCWD, new, 0)
}

/// unlinkat(2).
pub fn unlinkat(dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    if flags & !g::AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let name = name_at(dirfd, path)?;
    let ns = namespace();
    with_fs(|ctx| match flags {
        0 => ns.unlink(ctx, name.at(), &name.text),
        _ => ns.rmdir(ctx, name.at(), &name.text),
    })
    .map(|()| 0)
}

/// unlink(2).
pub fn unlink(path: UserAddr) -> SysResult {
    unlinkat(g::AT_FDCWD, path, 0)
}

/// rmdir(2).
pub fn rmdir(path: UserAddr) -> SysResult {
    unlinkat(g::AT_FDCWD, path, g::AT_REMOVEDIR)
}

/// renameat2(2).
pub fn renameat2(old_dirfd: i32, old: UserAddr, new_dirfd: i32, new: UserAddr, flags: u32) -> SysResult {
    let (old, new) = (name_at(old_dirfd, old)?, name_at(new_dirfd, new)?);
    let flags = RenameFlags::from_bits_retain(flags);
    with_fs(|ctx| namespace().rename(ctx, old.at(), &old.text, new.at(), &new.text, flags)).map(|_| 0)
}

/// renameat(2).
pub fn renameat(old_dirfd: i32, old: UserAddr, new_dirfd: i32, new: UserAddr) -> SysResult {
    renameat2(old_dirfd, old, new_dirfd, new, 0)
}

/// rename(2).
pub fn rename(old: UserAddr, new: UserAddr) -> SysResult {
    renameat2(g::AT_FDCWD, old, g::AT_FDCWD, new, 0)
}

/// symlinkat(2).
pub fn symlinkat(target: UserAddr, dirfd: i32, path: UserAddr) -> SysResult {
    let target = read_path(target)?;
    let name = name_at(dirfd, path)?;
    with_fs(|ctx| namespace().symlink(ctx, &target, name.at(), &name.text)).map(|_| 0)
}

/// symlink(2).
pub fn symlink(target: UserAddr, path: UserAddr) -> SysResult {
    symlinkat(target, g::AT_FDCWD, path)
}

/// readlinkat(2).
pub fn readlinkat(dirfd: i32, path: UserAddr, buf: UserAddr, size: usize) -> SysResult {
    // `int` in the kernel, so a size beyond it is negative.
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let name = name_at(dirfd, path)?;
    let text = with_fs(|ctx| namespace().readlink(ctx, name.at(), &name.text))?;
    let part = text.get(..size.min(text.len())).unwrap_or_default();
    copy_out(buf, part)?;
    Ok(part.len())
}

/// readlink(2).
pub fn readlink(path: UserAddr, buf: UserAddr, size: usize) -> SysResult {
    readlinkat(g::AT_FDCWD, path, buf, size)
}

/// mkdirat(2).
pub fn mkdirat(dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    let name = name_at(dirfd, path)?;
    with_fs(|ctx| namespace().mkdir(ctx, name.at(), &name.text, mode)).map(|_| 0)
}

/// mkdir(2).
pub fn mkdir(path: UserAddr, mode: u32) -> SysResult {
    mkdirat(g::AT_FDCWD, path, mode)
}

/// mknodat(2).
pub fn mknodat(dirfd: i32, path: UserAddr, mode: u32, dev: u32) -> SysResult {
    if mode & S_IFMT == S_IFDIR {
        return Err(Errno::EPERM);
    }
    let name = name_at(dirfd, path)?;
    with_fs(|ctx| namespace().mknod(ctx, name.at(), &name.text, mode, u64::from(dev))).map(|_| 0)
}

/// mknod(2).
pub fn mknod(path: UserAddr, mode: u32, dev: u32) -> SysResult {
    mknodat(g::AT_FDCWD, path, mode, dev)
}
