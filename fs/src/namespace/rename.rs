//! renameat2(2).

use super::{Namespace, inode_permission, may_create, may_delete, want_write};
use crate::dentry::Dentry;
use crate::inode::{InodeRef, NewNode, same_inode};
use crate::notify::{self, event};
use crate::path::Path;
use crate::sync::SleepGuard;
use crate::types::*;
use crate::walk::{FsContext, Last, Parent, lookup_locked};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use syscall_shim::{Errno, SysResult};

/// Ties the two events of one rename together (inotify(7)).
static COOKIE: AtomicU32 = AtomicU32::new(1);

/// One end of a rename.
struct End {
    dir: Path,
    dir_inode: InodeRef,
    name: alloc::vec::Vec<u8>,
    trailing: bool,
}

impl End {
    fn new(parent: Parent<'_>, not_a_name: Errno) -> SysResult<End> {
        let Last::Name(name) = parent.last else { return Err(not_a_name) };
        let dir_inode = parent.dir.inode()?.clone();
        Ok(End { dir: parent.dir, dir_inode, name: name.into_owned(), trailing: parent.trailing })
    }
}

/// The locks of a rename (`lock_rename`).
struct Locks<'a> {
    _second: Option<SleepGuard<'a>>,
    _first: SleepGuard<'a>,
    _tree: Option<SleepGuard<'a>>,
}

/// The rename lock of the file system, then the ancestor before the descendant; one lock when both
/// are one directory.
fn lock_both<'a>(old: &'a End, new: &'a End) -> Locks<'a> {
    let (a, b) = (&old.dir_inode.common().lock, &new.dir_inode.common().lock);
    if same_inode(&old.dir_inode, &new.dir_inode) {
        return Locks { _second: None, _first: a.lock(), _tree: None };
    }
    let tree = old.dir.mount.fs.rename_lock().lock();
    let (first, second) = if new.dir.dentry.is_ancestor_of(&old.dir.dentry) { (b, a) } else { (a, b) };
    let first = first.lock();
    Locks { _second: Some(second.lock()), _first: first, _tree: Some(tree) }
}

impl Namespace {
    /// renameat2(2). `WHITEOUT` answers `EINVAL` on file systems without whiteouts.
    pub fn rename(
        &self,
        ctx: &FsContext<'_>,
        old_at: Option<&Path>,
        old: &[u8],
        new_at: Option<&Path>,
        new: &[u8],
        flags: RenameFlags,
    ) -> SysResult<()> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let noreplace = flags.contains(RenameFlags::NOREPLACE);
        let whiteout = flags.contains(RenameFlags::WHITEOUT);
        let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE | RenameFlags::WHITEOUT;
        if !known.contains(flags) || (exchange && (noreplace || whiteout)) {
            return Err(Errno::EINVAL);
        }
        let old_parent = self.resolve_parent(ctx, old_at, old)?;
        let new_parent = self.resolve_parent(ctx, new_at, new)?;
        if !Arc::ptr_eq(&old_parent.dir.mount, &new_parent.dir.mount) {
            return Err(Errno::EXDEV);
        }
        let from = End::new(old_parent, Errno::EBUSY)?;
        let to = End::new(new_parent, if noreplace { Errno::EEXIST } else { Errno::EBUSY })?;
        want_write(&from.dir.mount)?;

        let locks = lock_both(&from, &to);
        let source = lookup_locked(&from.dir.dentry, &from.name)?;
        let inode = source.inode().cloned().ok_or(Errno::ENOENT)?;
        let target = lookup_locked(&to.dir.dentry, &to.name)?;
        check_ends(&from, &to, &source, &target, flags)?;
        if target.inode().is_some_and(|t| same_inode(t, &inode)) {
            return Ok(());
        }
        may_rename(ctx, &from, &to, &source, &target, exchange)?;
        if whiteout && !from.dir_inode.has_whiteouts() {
            return Err(Errno::EINVAL);
        }
        {
            // A file whose last name may go, against link(2).
            let file = target.inode().filter(|t| t.file_type() != FileType::Dir);
            let _target = file.map(|t| t.common().lock.lock());
            from.dir_inode.rename(&from.name, &to.dir_inode, &to.name, flags - RenameFlags::WHITEOUT)?;
        }
        if exchange {
            from.dir.dentry.exchange(&source, &to.dir.dentry, &target);
        } else {
            let replaced = target.inode().is_some().then_some(&target);
            from.dir.dentry.move_child(&source, &to.dir.dentry, &to.name, replaced);
        }
        if whiteout {
            let node = NewNode { mode: S_IFCHR, uid: ctx.creds.fsuid, gid: ctx.creds.fsgid };
            let inode = from.dir_inode.mknod(&from.name, node, 0)?;
            from.dir.dentry.attach(&from.name, inode);
        }
        if !exchange {
            target.shrink();
        }
        drop(locks);
        // What was replaced tells of its own end when `target` goes.
        tell(&from, &to, &inode, target.inode(), exchange);
        Ok(())
    }
}

/// What the two names are, before any permission (`do_renameat2`).
fn check_ends(from: &End, to: &End, source: &Arc<Dentry>, target: &Arc<Dentry>, flags: RenameFlags) -> SysResult<()> {
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    if flags.contains(RenameFlags::NOREPLACE) && target.inode().is_some() {
        return Err(Errno::EEXIST);
    }
    if exchange {
        if target.inode().is_none() {
            return Err(Errno::ENOENT);
        }
        if !target.is_dir() && to.trailing {
            return Err(Errno::ENOTDIR);
        }
    }
    if !source.is_dir() && (from.trailing || (!exchange && to.trailing)) {
        return Err(Errno::ENOTDIR);
    }
    // A directory cannot move into its own subtree, nor replace an ancestor of what moves.
    if source.is_ancestor_of(&to.dir.dentry) {
        return Err(Errno::EINVAL);
    }
    if target.inode().is_some() && target.is_ancestor_of(&from.dir.dentry) {
        return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    Ok(())
}

/// The permission part of `vfs_rename`.
fn may_rename(
    ctx: &FsContext<'_>,
    from: &End,
    to: &End,
    source: &Arc<Dentry>,
    target: &Arc<Dentry>,
    exchange: bool,
) -> SysResult<()> {
    let source_is_dir = source.is_dir();
    may_delete(ctx.creds, &from.dir, source, source_is_dir)?;
    if target.inode().is_none() {
        may_create(ctx.creds, &to.dir)?;
    } else {
        may_delete(ctx.creds, &to.dir, target, if exchange { target.is_dir() } else { source_is_dir })?;
    }
    if !same_inode(&from.dir_inode, &to.dir_inode) {
        // Its `..` changes, so a directory itself must be writable.
        let moved = [Some(source), exchange.then_some(target)];
        for dentry in moved.into_iter().flatten().filter(|d| d.is_dir()) {
            if let Some(inode) = dentry.inode() {
                inode_permission(ctx.creds, &from.dir.mount, inode, AccessMask::WRITE)?;
            }
        }
    }
    if source.is_mountpoint() || target.is_mountpoint() { Err(Errno::EBUSY) } else { Ok(()) }
}

/// `fsnotify_move`.
fn tell(from: &End, to: &End, inode: &InodeRef, target: Option<&InodeRef>, exchange: bool) {
    if !notify::active() {
        return;
    }
    let moved = |inode: &InodeRef, from: &End, to: &End, replaced: Option<&InodeRef>| {
        let cookie = COOKIE.fetch_add(1, Ordering::Relaxed);
        notify::notify(inode, Some(&from.dir_inode), &from.name, event::MOVED_FROM, cookie);
        notify::notify(inode, Some(&to.dir_inode), &to.name, event::MOVED_TO, cookie);
        if let Some(replaced) = replaced {
            notify::notify(replaced, None, b"", event::ATTRIB, 0);
        }
        notify::notify(inode, None, b"", event::MOVE_SELF, 0);
    };
    moved(inode, from, to, target.filter(|_| !exchange));
    if let Some(target) = target.filter(|_| exchange) {
        moved(target, to, from, None);
    }
}
