//! Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their forms.

use alloc::vec::Vec;

use base::addr::PAGE_SIZE;
use fs::{Path, XattrFlags};
use linux_raw_sys::general as g;
use syscall_shim::types::XattrArgs;
use syscall_shim::{Errno, SysResult};

use super::paths::{file, find_at};
use crate::usermem::{UserAddr, copy_out, read_bytes, read_cstr_bounded, read_extensible, read_path};
use fd::with_fs;
use task::namespace;

/// `XATTR_SIZE_MAX`.
const SIZE_MAX: usize = 65536;

fn follow(path: UserAddr) -> SysResult<Path> {
    find_at(g::AT_FDCWD, path, 0, 0)
}

fn nofollow(path: UserAddr) -> SysResult<Path> {
    find_at(g::AT_FDCWD, path, g::AT_SYMLINK_NOFOLLOW, g::AT_SYMLINK_NOFOLLOW)
}

fn name_of(name: UserAddr) -> SysResult<Vec<u8>> {
    let name = read_cstr_bounded(name, 256)?.ok_or(Errno::ERANGE)?;
    if name.is_empty() { Err(Errno::ERANGE) } else { Ok(name) }
}

fn set(path: SysResult<Path>, name: UserAddr, value: UserAddr, size: usize, flags: u32) -> SysResult {
    let flags = XattrFlags::from_bits_retain(flags);
    if !(XattrFlags::CREATE | XattrFlags::REPLACE).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let path = path?;
    let name = name_of(name)?;
    if size > SIZE_MAX {
        return Err(Errno::E2BIG);
    }
    let bytes = read_bytes(value, size)?;
    with_fs(|ctx| namespace().setxattr(ctx, &path, &name, &bytes, flags)).map(|()| 0)
}

/// Hands out `bytes`, or with size 0 only their number; `ERANGE` when they do not fit.
fn answer(bytes: &[u8], out: UserAddr, size: usize) -> SysResult {
    if size == 0 {
        return Ok(bytes.len());
    }
    if bytes.len() > size {
        return Err(Errno::ERANGE);
    }
    copy_out(out, bytes)?;
    Ok(bytes.len())
}

fn get(path: SysResult<Path>, name: UserAddr, out: UserAddr, size: usize) -> SysResult {
    let path = path?;
    let name = name_of(name)?;
    answer(&with_fs(|ctx| namespace().getxattr(ctx, &path, &name))?, out, size)
}

fn list(path: SysResult<Path>, out: UserAddr, size: usize) -> SysResult {
    let path = path?;
    answer(&with_fs(|ctx| namespace().listxattr(ctx, &path))?, out, size)
}

fn remove(path: SysResult<Path>, name: UserAddr) -> SysResult {
    let path = path?;
    let name = name_of(name)?;
    with_fs(|ctx| namespace().removexattr(ctx, &path, &name)).map(|()| 0)
}

fn of_file(fd: i32) -> SysResult<Path> {
    Ok(file(fd)?.path.clone())
}

/// setxattr(2).
pub fn setxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: usize, flags: u32) -> SysResult {
    set(follow(path), name, value, size, flags)
}

/// lsetxattr(2).
pub fn lsetxattr(path: UserAddr, name: UserAddr, value: UserAddr, size: usize, flags: u32) -> SysResult {
    set(nofollow(path), name, value, size, flags)
}

/// fsetxattr(2).
pub fn fsetxattr(fd: i32, name: UserAddr, value: UserAddr, size: usize, flags: u32) -> SysResult {
    set(of_file(fd), name, value, size, flags)
}

/// getxattr(2).
pub fn getxattr(path: UserAddr, name: UserAddr, out: UserAddr, size: usize) -> SysResult {
    get(follow(path), name, out, size)
}

/// lgetxattr(2).
pub fn lgetxattr(path: UserAddr, name: UserAddr, out: UserAddr, size: usize) -> SysResult {
    get(nofollow(path), name, out, size)
}

/// fgetxattr(2).
pub fn fgetxattr(fd: i32, name: UserAddr, out: UserAddr, size: usize) -> SysResult {
    get(of_file(fd), name, out, size)
}

/// listxattr(2).
pub fn listxattr(path: UserAddr, out: UserAddr, size: usize) -> SysResult {
    list(follow(path), out, size)
}

/// llistxattr(2).
pub fn llistxattr(path: UserAddr, out: UserAddr, size: usize) -> SysResult {
    list(nofollow(path), out, size)
}

/// flistxattr(2).
pub fn flistxattr(fd: i32, out: UserAddr, size: usize) -> SysResult {
    list(of_file(fd), out, size)
}

/// removexattr(2).
pub fn removexattr(path: UserAddr, name: UserAddr) -> SysResult {
    remove(follow(path), name)
}

/// lremovexattr(2).
pub fn lremovexattr(path: UserAddr, name: UserAddr) -> SysResult {
    remove(nofollow(path), name)
}

/// fremovexattr(2).
pub fn fremovexattr(fd: i32, name: UserAddr) -> SysResult {
    remove(of_file(fd), name)
}

/// The file of a call with `dirfd`, path and `AT_*` flags; the descriptor itself may not be
/// `O_PATH`.
fn at(dirfd: i32, path: UserAddr, flags: u32) -> SysResult<Path> {
    let is_empty = path.is_null() || read_path(path)?.is_empty();
    if flags == g::AT_EMPTY_PATH && is_empty && dirfd >= 0 {
        return of_file(dirfd);
    }
    find_at(dirfd, path, flags, AT_FLAGS)
}

/// What the calls at directories take as flags.
const AT_FLAGS: u32 = g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH;

fn check_at(flags: u32) -> SysResult<()> {
    if flags & !AT_FLAGS != 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// The arguments that setxattrat(2) and getxattrat(2) take in memory. `EINVAL` for fewer, `E2BIG`
/// for far more.
fn arguments(args: UserAddr, size: usize) -> SysResult<XattrArgs> {
    if size < size_of::<XattrArgs>() {
        return Err(Errno::EINVAL);
    }
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    read_extensible(args, size)
}

/// setxattrat(2).
pub fn setxattrat(dirfd: i32, path: UserAddr, at_flags: u32, name: UserAddr, args: UserAddr, size: usize) -> SysResult {
    let args = arguments(args, size)?;
    check_at(at_flags)?;
    set(at(dirfd, path, at_flags), name, UserAddr(args.value), args.size as usize, args.flags)
}

/// getxattrat(2).
pub fn getxattrat(dirfd: i32, path: UserAddr, at_flags: u32, name: UserAddr, args: UserAddr, size: usize) -> SysResult {
    let args = arguments(args, size)?;
    if args.flags != 0 {
        return Err(Errno::EINVAL);
    }
    check_at(at_flags)?;
    get(at(dirfd, path, at_flags), name, UserAddr(args.value), args.size as usize)
}

/// listxattrat(2).
pub fn listxattrat(dirfd: i32, path: UserAddr, at_flags: u32, out: UserAddr, size: usize) -> SysResult {
    check_at(at_flags)?;
    list(at(dirfd, path, at_flags), out, size)
}

/// removexattrat(2).
pub fn removexattrat(dirfd: i32, path: UserAddr, at_flags: u32, name: UserAddr) -> SysResult {
    check_at(at_flags)?;
    remove(at(dirfd, path, at_flags), name)
}
