//! A mount namespace, with the path-based system calls as methods.
//!
//! In each, `ctx` says who acts and from where, and `at` is the place that a directory descriptor
//! names (`None`: the current directory; it is not looked at for absolute paths). Errors and their
//! order are those of Linux's `fs/namei.c`.

mod attr;
mod branch;
mod change;
mod detached;
mod open;
pub mod protection;
mod rename;
mod tree;
mod xattr;

#[cfg(test)]
mod tests;

pub use attr::SetTime;
pub use branch::{MAX_MOUNTS, Propagation};
pub use detached::MountChange;
pub use open::{OpenHow, Opened};
pub use tree::MountLine;

use crate::acl::{self, Inherited};
use crate::creds::{Cap, Credentials};
use crate::dentry::Dentry;
use crate::inode::{InodeRef, NewNode};
use crate::mount::Mount;
use crate::path::Path;
use crate::sync::RwLock;
use crate::types::*;
use crate::walk::{FsContext, LookupFlags, Parent, Walker};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use branch::Table;
use syscall_shim::{Errno, SysResult};

/// The dentry of a file that somebody has a handle of.
struct Alias(Weak<Dentry>);

/// The mounts, as one tree.
pub struct Namespace {
    root: Arc<Mount>,
    /// Taken before the lock of dentries that move.
    table: RwLock<Table>,
}

impl Namespace {
    /// The place that `path` names.
    pub fn resolve(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], flags: LookupFlags) -> SysResult<Path> {
        Walker::new(self, ctx, at, path, flags)?.resolve()
    }

    /// The directory of the last component of `path`, and that component.
    fn resolve_parent<'a>(&'a self, ctx: &'a FsContext<'_>, at: Option<&'a Path>, path: &'a [u8]) -> SysResult<Parent<'a>> {
        Walker::new(self, ctx, at, path, LookupFlags::default())?.parent()
    }

    /// name_to_handle_at(2): the kind of handle, and the handle.
    pub fn handle(&self, path: &Path) -> SysResult<(i32, Vec<u8>)> {
        let inode = path.inode()?;
        let handle = inode.handle()?;
        inode.common().set_ext(Arc::new(Alias(Arc::downgrade(&path.dentry))));
        Ok(handle)
    }

    /// The place of the file that a handle names, in the mount of `anchor`. `ESTALE` where it is
    /// gone, and for a directory that the cache has forgotten: it must not get a second dentry.
    pub fn by_handle(&self, anchor: &Path, kind: i32, handle: &[u8]) -> SysResult<Path> {
        let mount = anchor.mount.clone();
        let inode = mount.fs.by_handle(kind, handle)?;
        let known = inode.common().get_ext::<Alias>().and_then(|alias| alias.0.upgrade());
        let dentry = match known {
            Some(dentry) => dentry,
            None if inode.file_type() == FileType::Dir => return Err(Errno::ESTALE),
            None => Dentry::unlinked(inode, &mount.root, b"/"),
        };
        Ok(Path { mount, dentry })
    }

    /// Opens the file at a place that was found by a handle.
    pub fn open_place(&self, ctx: &FsContext<'_>, path: Path, flags: OpenFlags) -> SysResult<Opened> {
        self.finish_open(ctx, path, open::checked_flags(flags)?, false, None)
    }

    /// readlinkat(2), whole text. An empty path reads the link that `at` names (an `O_PATH`
    /// descriptor).
    pub fn readlink(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<Vec<u8>> {
        let found = self.resolve(ctx, at, path, LookupFlags::EMPTY)?;
        let inode = found.inode()?;
        if inode.file_type() != FileType::Symlink {
            return Err(if path.is_empty() { Errno::ENOENT } else { Errno::EINVAL });
        }
        crate::file::accessed(&found.mount, inode);
        inode.readlink()
    }
}

/// `inode_permission`: a read-only file system first, then the mode bits.
fn inode_permission(creds: &Credentials<'_>, mount: &Mount, inode: &InodeRef, mask: AccessMask) -> SysResult<()> {
    let attrs = inode.access_attrs();
    let changes_disk = matches!(attrs.mode & S_IFMT, S_IFREG | S_IFDIR | S_IFLNK);
    if mask.contains(AccessMask::WRITE) && changes_disk && mount.fs.read_only() {
        return Err(Errno::EROFS);
    }
    if mask.contains(AccessMask::WRITE) && attrs.mode & IMMUTABLE != 0 {
        return Err(Errno::EPERM);
    }
    acl::permission(creds, inode, &attrs, mask)
}

/// `mnt_want_write`.
fn want_write(mount: &Mount) -> SysResult<()> {
    if mount.read_only() { Err(Errno::EROFS) } else { Ok(()) }
}

/// `may_create`: a new name in `dir`.
fn may_create(creds: &Credentials<'_>, dir: &Path) -> SysResult<()> {
    if dir.dentry.is_unlinked() {
        return Err(Errno::ENOENT);
    }
    inode_permission(creds, &dir.mount, dir.inode()?, AccessMask::WRITE | AccessMask::EXEC)
}

/// `may_delete`: the removal (or replacement) of `victim` in `dir` by a directory (`is_dir`) or
/// something else.
fn may_delete(creds: &Credentials<'_>, dir: &Path, victim: &Dentry, is_dir: bool) -> SysResult<()> {
    let inode = victim.inode().ok_or(Errno::ENOENT)?;
    let dir_inode = dir.inode()?;
    inode_permission(creds, &dir.mount, dir_inode, AccessMask::WRITE | AccessMask::EXEC)?;
    let (attrs, dir_attrs) = (inode.access_attrs(), dir_inode.access_attrs());
    if dir_attrs.mode & APPEND_ONLY != 0 || attrs.mode & (APPEND_ONLY | IMMUTABLE) != 0 {
        return Err(Errno::EPERM);
    }
    let sticky = dir_attrs.mode & S_ISVTX != 0 && creds.fsuid != attrs.uid && creds.fsuid != dir_attrs.uid;
    if sticky && !creds.capable(Cap::Fowner) {
        return Err(Errno::EPERM);
    }
    match (is_dir, attrs.mode & S_IFMT == S_IFDIR) {
        (true, false) => return Err(Errno::ENOTDIR),
        (false, true) => return Err(Errno::EISDIR),
        _ => {}
    }
    if dir.dentry.is_unlinked() { Err(Errno::ENOENT) } else { Ok(()) }
}

/// `inode_init_owner` and `posix_acl_create`: who owns a new file in `dir`, its mode after umask or
/// the directory's list and the set-group-ID rules, and its lists. `mode` has type bits.
fn new_node(ctx: &FsContext<'_>, dir: &InodeRef, mode: u32) -> SysResult<(NewNode, Inherited)> {
    let attrs = dir.access_attrs();
    let creds = ctx.creds;
    let (lists, mut mode) = match acl::inherit(dir, &attrs, mode)? {
        Some(inherited) => inherited,
        None => (Inherited::default(), mode & !(ctx.umask & 0o777)),
    };
    let mut gid = creds.fsgid;
    if attrs.mode & S_ISGID != 0 {
        gid = attrs.gid;
        if mode & S_IFMT == S_IFDIR {
            mode |= S_ISGID;
        } else if mode & (S_ISGID | 0o010) == S_ISGID | 0o010 && !creds.in_group(gid) && !creds.capable(Cap::Fsetid) {
            mode &= !S_ISGID;
        }
    }
    Ok((NewNode { mode, uid: creds.fsuid, gid }, lists))
}
