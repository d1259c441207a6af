//! Attributes: access(2), chmod(2), chown(2), utimensat(2), truncate(2), statfs(2).

use super::{Namespace, inode_permission, want_write};
use crate::acl;
use crate::creds::{Cap, Credentials};
use crate::file::WriteAccess;
use crate::mount::MountFlags;
use crate::notify::{self, event};
use crate::path::Path;
use crate::platform::now;
use crate::types::*;
use crate::walk::FsContext;
use syscall_shim::{Errno, SysResult};

/// A time for utimensat(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// `UTIME_NOW`.
    Now,
    /// `UTIME_OMIT`.
    Omit,
    /// A given time.
    At(Timespec),
}

impl Namespace {
    /// access(2) of a place already found, with the credentials of `ctx` (the caller puts the real
    /// ids in).
    pub fn access(&self, ctx: &FsContext<'_>, path: &Path, mask: AccessMask) -> SysResult<()> {
        let inode = path.inode()?;
        let file_type = inode.file_type();
        if mask.contains(AccessMask::EXEC)
            && file_type == FileType::Regular
            && path.mount.flags().contains(MountFlags::NOEXEC)
        {
            return Err(Errno::EACCES);
        }
        inode_permission(ctx.creds, &path.mount, inode, mask)?;
        let special = matches!(file_type, FileType::Char | FileType::Block | FileType::Fifo | FileType::Socket);
        if mask.contains(AccessMask::WRITE) && !special { want_write(&path.mount) } else { Ok(()) }
    }

    /// The check that execve(2) makes of its file: regular (`EACCES`), executable, not on a
    /// `noexec` mount.
    pub fn may_exec(&self, ctx: &FsContext<'_>, path: &Path) -> SysResult<()> {
        let inode = path.inode()?;
        if inode.file_type() != FileType::Regular {
            return Err(Errno::EACCES);
        }
        self.access(ctx, path, AccessMask::EXEC)
    }

    /// chmod(2); `EOPNOTSUPP` for a symbolic link.
    pub fn chmod(&self, ctx: &FsContext<'_>, path: &Path, mode: u32) -> SysResult<()> {
        want_write(&path.mount)?;
        let inode = path.inode()?;
        let guard = inode.common().lock.lock();
        let attrs = inode.access_attrs();
        if attrs.mode & S_IFMT == S_IFLNK {
            return Err(Errno::EOPNOTSUPP);
        }
        check_changeable(&attrs)?;
        if !ctx.creds.owner_or_capable(&attrs) {
            return Err(Errno::EPERM);
        }
        let mut mode = mode & 0o7777;
        if !ctx.creds.in_group(attrs.gid) && !ctx.creds.capable(Cap::Fsetid) {
            mode &= !S_ISGID;
        }
        inode.setattr(&SetAttr { mode: Some(mode), ..SetAttr::default() })?;
        acl::follow_mode(inode, &attrs, mode)?;
        drop(guard);
        notify::notify_path(path, event::ATTRIB);
        Ok(())
    }

    /// chown(2); `None` leaves the id alone. Takes the set-id bits of what is not a directory away,
    /// root's too.
    pub fn chown(&self, ctx: &FsContext<'_>, path: &Path, uid: Option<u32>, gid: Option<u32>) -> SysResult<()> {
        want_write(&path.mount)?;
        let inode = path.inode()?;
        let guard = inode.common().lock.lock();
        let attrs = inode.access_attrs();
        check_changeable(&attrs)?;
        if !may_chown(ctx.creds, &attrs, uid, gid) {
            return Err(Errno::EPERM);
        }
        let mode = if attrs.mode & S_IFMT == S_IFDIR { attrs.mode } else { chowned_mode(ctx.creds, &attrs) };
        // Taking set-id bits away is a chmod, which is the owner's.
        if mode != attrs.mode && !ctx.creds.owner_or_capable(&attrs) {
            return Err(Errno::EPERM);
        }
        let mode = (mode != attrs.mode).then_some(mode & 0o7777);
        let kill_capability = attrs.mode & S_IFMT != S_IFDIR;
        inode.setattr(&SetAttr { uid, gid, mode, kill_capability, ..SetAttr::default() })?;
        drop(guard);
        if uid.is_some() || gid.is_some() || mode.is_some() {
            notify::notify_path(path, event::ATTRIB);
        }
        Ok(())
    }

    /// utimensat(2).
    pub fn utimens(&self, ctx: &FsContext<'_>, path: &Path, atime: SetTime, mtime: SetTime) -> SysResult<()> {
        if atime == SetTime::Omit && mtime == SetTime::Omit {
            return Ok(());
        }
        want_write(&path.mount)?;
        let inode = path.inode()?;
        let guard = inode.common().lock.lock();
        let attrs = inode.access_attrs();
        if attrs.mode & IMMUTABLE != 0 || atime != SetTime::Now || mtime != SetTime::Now {
            check_changeable(&attrs)?;
        }
        if !ctx.creds.owner_or_capable(&attrs) {
            if atime != SetTime::Now || mtime != SetTime::Now {
                return Err(Errno::EPERM);
            }
            inode_permission(ctx.creds, &path.mount, inode, AccessMask::WRITE)?;
        }
        let time = now();
        let pick = |t: SetTime| match t {
            SetTime::Now => Some(time),
            SetTime::Omit => None,
            SetTime::At(t) => Some(t),
        };
        inode.setattr(&SetAttr { atime: pick(atime), mtime: pick(mtime), ..SetAttr::default() })?;
        drop(guard);
        let told = match (atime, mtime) {
            (_, SetTime::Omit) => event::ACCESS,
            (SetTime::Omit, _) => event::MODIFY,
            _ => event::ATTRIB,
        };
        notify::notify_path(path, told);
        Ok(())
    }

    /// truncate(2). `EFBIG` past `fsize_limit` (the caller sends `SIGXFSZ`). ftruncate(2) is
    /// [`crate::file::truncate`].
    pub fn truncate(&self, ctx: &FsContext<'_>, path: &Path, size: u64, fsize_limit: u64) -> SysResult<()> {
        let inode = path.inode()?;
        match inode.file_type() {
            FileType::Dir => return Err(Errno::EISDIR),
            FileType::Regular if inode.access_attrs().mode & S_IFMT == S_IFREG => {}
            _ => return Err(Errno::EINVAL),
        }
        want_write(&path.mount)?;
        inode_permission(ctx.creds, &path.mount, inode, AccessMask::WRITE)?;
        // What has no size to set (a file of procfs) is left as it is, as Linux's `simple_setattr`
        // does.
        if inode.mapping().is_none() {
            return Ok(());
        }
        if inode.access_attrs().mode & APPEND_ONLY != 0 {
            return Err(Errno::EPERM);
        }
        let _access = WriteAccess::get(inode)?;
        crate::lease::break_leases(inode, true, false)?;
        crate::file::truncate(inode, size, fsize_limit, ctx.creds.capable(Cap::Fsetid))?;
        notify::notify_path(path, event::MODIFY);
        Ok(())
    }

    /// statfs(2).
    pub fn statfs(&self, path: &Path) -> SysResult<StatFs> {
        const ST_VALID: u64 = 0x20;
        const ST_RELATIME: u64 = 0x1000;
        const ST_NOSYMFOLLOW: u64 = 0x2000;
        let mut out = path.mount.fs.statfs()?;
        let flags = path.mount.flags();
        let same = flags & !MountFlags::RELATIME & !MountFlags::STRICTATIME & !MountFlags::NOSYMFOLLOW;
        out.flags = ST_VALID | u64::from(same.bits());
        if flags.contains(MountFlags::NOSYMFOLLOW) {
            out.flags |= ST_NOSYMFOLLOW;
        }
        if flags.contains(MountFlags::RELATIME) {
            out.flags |= ST_RELATIME;
        }
        if path.mount.read_only() {
            out.flags |= u64::from(MountFlags::RDONLY.bits());
        }
        Ok(out)
    }
}

/// `EPERM` for what nobody may change the attributes of.
fn check_changeable(attrs: &AccessAttrs) -> SysResult<()> {
    if attrs.mode & (IMMUTABLE | APPEND_ONLY) != 0 { Err(Errno::EPERM) } else { Ok(()) }
}

/// `chown_ok` and `chgrp_ok`.
fn may_chown(creds: &Credentials<'_>, attrs: &AccessAttrs, uid: Option<u32>, gid: Option<u32>) -> bool {
    if creds.capable(Cap::Chown) {
        return true;
    }
    let owner = creds.fsuid == attrs.uid;
    let uid_ok = uid.is_none_or(|uid| owner && uid == attrs.uid);
    let gid_ok = gid.is_none_or(|gid| owner && (gid == attrs.gid || creds.in_group(gid)));
    uid_ok && gid_ok
}

/// The mode after chown(2): no set-user-ID; no set-group-ID where the group may execute or the
/// caller is not of the group.
fn chowned_mode(creds: &Credentials<'_>, attrs: &AccessAttrs) -> u32 {
    let mode = crate::file::without_setid(attrs.mode);
    if creds.in_group(attrs.gid) || creds.capable(Cap::Fsetid) { mode } else { mode & !S_ISGID }
}
