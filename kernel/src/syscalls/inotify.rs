//! inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use fs::{AccessMask, LookupFlags, OpenFlags};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::{file, find, name};
use crate::usermem::UserAddr;
use fd::inotify::Inotify;
use fd::with_fs;
use task::current;
use task::namespace;

/// inotify_init1(2).
pub fn inotify_init1(flags: u32) -> SysResult {
    if flags & !(g::IN_CLOEXEC | g::IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let open = Inotify::open(OpenFlags::from_bits_retain(flags & g::IN_NONBLOCK))?;
    current().files()?.insert(open, flags & g::IN_CLOEXEC != 0).map(|fd| fd as usize)
}

/// inotify_init(2).
pub fn inotify_init() -> SysResult {
    inotify_init1(0)
}

/// inotify_add_watch(2).
pub fn inotify_add_watch(fd: i32, path: UserAddr, mask: u32) -> SysResult {
    /// Every bit that there is (`ALL_INOTIFY_BITS`).
    const KNOWN: u32 = g::IN_ALL_EVENTS
        | g::IN_UNMOUNT
        | g::IN_Q_OVERFLOW
        | g::IN_IGNORED
        | g::IN_ONLYDIR
        | g::IN_DONT_FOLLOW
        | g::IN_EXCL_UNLINK
        | g::IN_MASK_ADD
        | g::IN_MASK_CREATE
        | g::IN_ISDIR
        | g::IN_ONESHOT;
    if mask & KNOWN == 0 || mask & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let open = file(fd)?;
    if mask & g::IN_MASK_ADD != 0 && mask & g::IN_MASK_CREATE != 0 {
        return Err(Errno::EINVAL);
    }
    let instance = open.ops_as::<Inotify>().ok_or(Errno::EINVAL)?;
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, mask & g::IN_DONT_FOLLOW == 0);
    lookup.set(LookupFlags::DIRECTORY, mask & g::IN_ONLYDIR != 0);
    let found = find(&name(path)?, lookup)?;
    with_fs(|ctx| namespace().access(ctx, &found, AccessMask::READ))?;
    instance.add(found.inode()?, mask).map(|wd| wd as usize)
}

/// inotify_rm_watch(2).
pub fn inotify_rm_watch(fd: i32, wd: i32) -> SysResult {
    let open = file(fd)?;
    open.ops_as::<Inotify>().ok_or(Errno::EINVAL)?.remove(wd).map(|()| 0)
}
