//! Making and removing names: mkdir(2), mknod(2), symlink(2), link(2), unlink(2), rmdir(2).

use super::{Namespace, inode_permission, may_create, may_delete, new_node, protection, want_write};
use crate::creds::Cap;
use crate::inode::InodeRef;
use crate::notify::{self, event};
use crate::path::Path;
use crate::types::*;
use crate::walk::{FsContext, Last, LookupFlags, lookup_locked};
use syscall_shim::{Errno, SysResult};

/// What a new name is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Creates {
    /// A directory: a trailing slash is allowed.
    Directory,
    /// A file that there is, of which the count of links changes.
    Link,
    /// Any other new file.
    Other,
}

impl Namespace {
    /// `filename_create` and the call that follows it: finds the directory, insists that the name
    /// is free, and has `make` create it under the directory's lock.
    fn create_with(
        &self,
        ctx: &FsContext<'_>,
        at: Option<&Path>,
        path: &[u8],
        kind: Creates,
        make: impl FnOnce(&Path, &InodeRef, &[u8]) -> SysResult<InodeRef>,
    ) -> SysResult<Path> {
        let parent = self.resolve_parent(ctx, at, path)?;
        let Last::Name(name) = parent.last else { return Err(Errno::EEXIST) };
        let dir = parent.dir;
        let dir_inode = dir.inode()?;
        let guard = dir_inode.common().lock.lock();
        let old = lookup_locked(&dir.dentry, &name)?;
        if old.inode().is_some() {
            return Err(Errno::EEXIST);
        }
        if dir.mount.fs.has_fixed_names() || parent.trailing && kind != Creates::Directory {
            return Err(Errno::ENOENT);
        }
        want_write(&dir.mount)?;
        may_create(ctx.creds, &dir)?;
        let inode = make(&dir, dir_inode, &name)?;
        let dentry = dir.dentry.attach(&name, inode.clone());
        drop(guard);
        if kind == Creates::Link {
            notify::notify(&inode, None, b"", event::ATTRIB, 0);
        }
        notify::notify(&inode, Some(dir_inode), &name, event::CREATE, 0);
        Ok(Path { mount: dir.mount.clone(), dentry })
    }

    /// mkdir(2).
    pub fn mkdir(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], mode: u32) -> SysResult<Path> {
        self.create_with(ctx, at, path, Creates::Directory, |_, dir, name| {
            let (node, lists) = new_node(ctx, dir, S_IFDIR | (mode & (0o777 | S_ISVTX)))?;
            let inode = dir.mkdir(name, node)?;
            lists.apply(&inode)?;
            Ok(inode)
        })
    }

    /// mknod(2): regular files, FIFOs, sockets (also for bind(2) of `AF_UNIX`, which turns `EEXIST`
    /// into `EADDRINUSE`), devices (`CAP_MKNOD`, but for 0:0, the whiteout of an overlay).
    pub fn mknod(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], mode: u32, rdev: u64) -> SysResult<Path> {
        let mode = match mode & S_IFMT {
            0 => mode | S_IFREG,
            S_IFREG | S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => mode,
            S_IFDIR => return Err(Errno::EPERM),
            _ => return Err(Errno::EINVAL),
        };
        let is_device = matches!(mode & S_IFMT, S_IFCHR | S_IFBLK);
        let is_whiteout = mode & S_IFMT == S_IFCHR && rdev == 0;
        self.create_with(ctx, at, path, Creates::Other, |_, dir, name| {
            if is_device && !is_whiteout && !ctx.creds.capable(Cap::Mknod) {
                return Err(Errno::EPERM);
            }
            let (node, lists) = new_node(ctx, dir, mode & (S_IFMT | 0o7777))?;
            let inode = if mode & S_IFMT == S_IFREG {
                dir.create(name, node)
            } else {
                dir.mknod(name, node, if is_device { rdev } else { 0 })
            }?;
            lists.apply(&inode)?;
            Ok(inode)
        })
    }

    /// symlink(2).
    pub fn symlink(&self, ctx: &FsContext<'_>, target: &[u8], at: Option<&Path>, path: &[u8]) -> SysResult<Path> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        if target.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.create_with(ctx, at, path, Creates::Other, |_, dir, name| {
            let (mut node, _) = new_node(ctx, dir, S_IFLNK)?;
            node.mode = S_IFLNK | 0o777;
            dir.symlink(name, target, node)
        })
    }

    /// linkat(2) with `FOLLOW` for `AT_SYMLINK_FOLLOW` and `EMPTY` for `AT_EMPTY_PATH` (which needs
    /// `CAP_DAC_READ_SEARCH`, else `ENOENT`).
    pub fn link(
        &self,
        ctx: &FsContext<'_>,
        old_at: Option<&Path>,
        old: &[u8],
        new_at: Option<&Path>,
        new: &[u8],
        flags: LookupFlags,
    ) -> SysResult<()> {
        if flags.contains(LookupFlags::EMPTY) && !ctx.creds.capable(Cap::DacReadSearch) {
            return Err(Errno::ENOENT);
        }
        let source = self.resolve(ctx, old_at, old, flags)?;
        let inode = source.inode()?.clone();
        let both = AccessMask::READ | AccessMask::WRITE;
        let usable = inode_permission(ctx.creds, &source.mount, &inode, both).is_ok();
        protection::may_link(ctx.creds, &inode.access_attrs(), usable)?;
        self.create_with(ctx, new_at, new, Creates::Link, |dir, dir_inode, name| {
            if !alloc::sync::Arc::ptr_eq(&dir.mount, &source.mount) {
                return Err(Errno::EXDEV);
            }
            if inode.access_attrs().mode & (IMMUTABLE | APPEND_ONLY) != 0 {
                return Err(Errno::EPERM);
            }
            if inode.file_type() == FileType::Dir {
                return Err(Errno::EPERM);
            }
            // Its last name must not go between the look at the count and the new name.
            let _source = inode.common().lock.lock();
            let m = inode.metadata();
            if m.nlink == 0 && !inode.common().is_linkable() {
                return Err(Errno::ENOENT);
            }
            dir_inode.link(name, &inode)?;
            Ok(inode.clone())
        })?;
        Ok(())
    }

    /// unlink(2).
    pub fn unlink(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<()> {
        self.remove(ctx, at, path, false)
    }

    /// rmdir(2).
    pub fn rmdir(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<()> {
        self.remove(ctx, at, path, true)
    }

    /// `do_unlinkat` and `do_rmdir`.
    fn remove(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], is_dir: bool) -> SysResult<()> {
        let parent = self.resolve_parent(ctx, at, path)?;
        let name = match (parent.last, is_dir) {
            (Last::Name(name), _) => name,
            (_, false) => return Err(Errno::EISDIR),
            (Last::DotDot, true) => return Err(Errno::ENOTEMPTY),
            (Last::Dot, true) => return Err(Errno::EINVAL),
            (Last::Root, true) => return Err(Errno::EBUSY),
        };
        let dir = parent.dir;
        want_write(&dir.mount)?;
        let dir_inode = dir.inode()?;
        let guard = dir_inode.common().lock.lock();
        let victim = lookup_locked(&dir.dentry, &name)?;
        let inode = victim.inode().cloned().ok_or(Errno::ENOENT)?;
        if parent.trailing && !is_dir {
            return Err(if inode.file_type() == FileType::Dir { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        may_delete(ctx.creds, &dir, &victim, is_dir)?;
        if victim.is_mountpoint() {
            return Err(Errno::EBUSY);
        }
        if is_dir {
            dir_inode.rmdir(&name)?
        } else {
            let _victim = inode.common().lock.lock();
            dir_inode.unlink(&name)?
        }
        dir.dentry.detach(&victim);
        victim.shrink();
        drop(guard);
        if !is_dir {
            notify::notify(&inode, None, b"", event::ATTRIB, 0);
        }
        // If nobody else has it, this tells of the end of the file: before its directory is told,
        // as on Linux.
        drop(victim);
        notify::notify(&inode, Some(dir_inode), &name, event::DELETE, 0);
        Ok(())
    }
}
