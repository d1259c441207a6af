//! New names, names that go, and names that move.

use super::layers::{Child, New, Place};
use super::node::Node;
use crate::inode::{InodeRef, NewNode};
use crate::namespace::OpenHow;
use crate::types::*;
use crate::walk::LookupFlags;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use syscall_shim::{Errno, SysResult};

impl Node {
    /// Makes a file. Where a whiteout has its name, it is made aside and takes that place in one
    /// step.
    pub(super) fn add(&self, name: &[u8], new: &New<'_>, node: NewNode) -> SysResult<InodeRef> {
        let dir = self.copy_up(false)?;
        let is_dir = matches!(new, New::Dir);
        let place = if self.is_hidden(name)? {
            let (place, aside) = self.layers.make_aside(new, node)?;
            if is_dir {
                self.layers.set_opaque(&place).inspect_err(|_| self.layers.drop_aside(&aside))?;
                self.layers.put(&aside, dir, name, RenameFlags::EXCHANGE)?;
                self.layers.drop_aside(&aside);
            } else {
                self.layers.put(&aside, dir, name, RenameFlags::empty())?;
            }
            place
        } else {
            self.layers.make(dir, name, new, node)?
        };
        self.made(place)
    }

    fn made(&self, place: Place) -> SysResult<InodeRef> {
        Ok(Node::get(&self.layers, Some(place), alloc::vec::Vec::new(), None)?)
    }

    /// Makes a file without a name.
    pub(super) fn add_unnamed(&self, node: NewNode) -> SysResult<InodeRef> {
        let dir = self.copy_up(false)?;
        let how = OpenHow { flags: OpenFlags::TMPFILE | OpenFlags::RDWR, mode: node.mode, resolve: LookupFlags::default() };
        let opened = self.layers.act(|ns, ctx| ns.open(ctx, Some(&dir.path), b".", &how))?;
        let place = Place { path: opened.path, inode: opened.inode };
        let attr =
            SetAttr { uid: Some(node.uid), gid: Some(node.gid), mode: Some(node.mode & 0o7777), ..SetAttr::default() };
        place.inode.setattr(&attr)?;
        self.made(place)
    }

    /// Gives a file a further name.
    pub(super) fn add_link(&self, name: &[u8], file: &Node) -> SysResult<()> {
        if !Arc::ptr_eq(&self.layers, &file.layers) {
            return Err(Errno::EXDEV);
        }
        let (from, dir) = (file.copy_up(false)?, self.copy_up(false)?);
        let link = |dir: &Place, name: &[u8]| {
            self.layers.act(|ns, ctx| ns.link(ctx, Some(&from.path), b"", Some(&dir.path), name, LookupFlags::EMPTY))
        };
        if !self.is_hidden(name)? {
            return link(dir, name);
        }
        let aside = self.layers.free_name();
        link(&self.layers.writable_layer()?.work, aside.as_bytes())?;
        self.layers.put(&aside, dir, name, RenameFlags::empty())
    }

    /// Removes a name, and leaves a whiteout where a layer below has it.
    pub(super) fn remove(&self, name: &[u8]) -> SysResult<()> {
        let victim = self.find(name)?;
        let is_dir = victim.real().is_dir();
        if is_dir && !victim.is_empty()? {
            return Err(Errno::ENOTEMPTY);
        }
        let dir = self.copy_up(false)?;
        if self.is_below(name)? {
            let aside = self.layers.whiteout_aside()?;
            if is_dir && victim.upper.get().is_some() {
                // It goes with the whiteouts that are in it, and nothing of what they hide is seen
                // in between.
                self.layers.put(&aside, dir, name, RenameFlags::EXCHANGE)?;
                self.layers.drop_aside(&aside);
            } else {
                self.layers.put(&aside, dir, name, RenameFlags::empty())?;
            }
        } else {
            if is_dir {
                self.layers.clear_whiteouts(victim.real())?;
            }
            let at = Some(&dir.path);
            self.layers.act(|ns, ctx| if is_dir { ns.rmdir(ctx, at, name) } else { ns.unlink(ctx, at, name) })?;
        }
        victim.gone.store(true, Ordering::Release);
        Ok(())
    }

    /// Moves a name, or exchanges two.
    pub(super) fn move_name(&self, old: &[u8], to: &Node, new: &[u8], flags: RenameFlags) -> SysResult<()> {
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let source = self.find(old)?;
        let target = match to.find(new) {
            Err(Errno::ENOENT) => None,
            found => Some(found?),
        };
        let stays = |node: &Node| node.real().is_dir() && !node.lower.is_empty();
        if stays(&source) || exchange && target.as_ref().is_some_and(|target| stays(target)) {
            return Err(Errno::EXDEV);
        }
        let replaced = target.as_ref().filter(|_| !exchange);
        if let Some(target) = replaced.filter(|target| target.real().is_dir())
            && !target.is_empty()?
        {
            return Err(Errno::ENOTEMPTY);
        }
        let moved = source.copy_up(false)?;
        if let Some(target) = target.as_ref().filter(|_| exchange) {
            target.copy_up(false)?;
        }
        let (from, into) = (self.copy_up(false)?, to.copy_up(false)?);
        // A directory hides what is below where it comes to be.
        self.hide_below(moved, to, new)?;
        if let Some(target) = target.as_ref().filter(|_| exchange) {
            self.hide_below(target.copy_up(false)?, self, old)?;
        }
        let leaves_whiteout = !exchange && self.is_below(old)?;
        let hidden = matches!(self.layers.child(into, new)?, Child::Whiteout);
        let rename = |flags| self.layers.act(|ns, ctx| ns.rename(ctx, Some(&from.path), old, Some(&into.path), new, flags));
        if let Some(upper) = replaced.and_then(|target| target.upper.get()).filter(|upper| upper.is_dir()) {
            self.layers.clear_whiteouts(upper)?;
        }
        if exchange {
            rename(RenameFlags::EXCHANGE)?;
        } else if moved.is_dir() && hidden {
            // The whiteout comes to where the directory was, and stays there if it is of use.
            rename(RenameFlags::EXCHANGE)?;
            if !leaves_whiteout {
                self.layers.act(|ns, ctx| ns.unlink(ctx, Some(&from.path), old))?;
            }
        } else {
            rename(if leaves_whiteout { RenameFlags::WHITEOUT } else { RenameFlags::empty() })?;
        }
        if let Some(target) = replaced {
            target.gone.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Marks a directory that moves to a name of `to`, if other layers may have something there.
    fn hide_below(&self, moved: &Place, to: &Node, name: &[u8]) -> SysResult<()> {
        let needed = moved.is_dir() && !to.lower.is_empty() && to.is_below(name)?;
        if needed && !self.layers.is_opaque(moved) { self.layers.set_opaque(moved) } else { Ok(()) }
    }
}
