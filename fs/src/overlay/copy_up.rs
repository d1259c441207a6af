//! Bringing a file into the writable layer, before it changes: made in the work directory, and
//! moved to its place when it is whole.

use super::layers::{New, Place};
use super::node::Node;
use crate::file::{self, WriteRequest};
use crate::inode::NewNode;
use crate::types::*;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use syscall_shim::{Errno, SysResult};

/// Content is copied in pieces of this size, which stay holes where they are holes.
const CHUNK: usize = 64 << 10;

impl Node {
    /// The file in the writable layer, copied there if it is not yet, `without_content` if that
    /// goes anyway. `EROFS`, and the errors of the file systems.
    pub(super) fn copy_up(&self, without_content: bool) -> SysResult<&Place> {
        if self.upper.get().is_none() {
            // Directories first, from the topmost down.
            let mut chain = Vec::from([self.myself()?]);
            while let Some((dir, _)) = chain.last().and_then(|node| node.home.as_ref())
                && dir.upper.get().is_none()
            {
                let dir = dir.clone();
                chain.push(dir);
            }
            let last = chain.len() - 1;
            for (n, node) in chain.iter().rev().enumerate() {
                node.copy_up_alone(without_content && n == last)?;
            }
        }
        self.upper.get().ok_or(Errno::EROFS)
    }

    /// Copies a file up whose directory is there.
    fn copy_up_alone(&self, without_content: bool) -> SysResult<()> {
        let _one = self.copying.lock();
        if self.upper.get().is_some() {
            return Ok(());
        }
        let (dir, name) = self.home.as_ref().ok_or(Errno::EROFS)?;
        let below = self.real();
        let attrs = below.inode.metadata();
        let target = if attrs.file_type() == FileType::Symlink { below.inode.readlink()? } else { Vec::new() };
        let new = match attrs.file_type() {
            FileType::Regular => New::File,
            FileType::Dir => New::Dir,
            FileType::Symlink => New::Symlink(&target),
            _ => New::Special(attrs.rdev),
        };
        let node = NewNode { mode: attrs.mode, uid: attrs.uid, gid: attrs.gid };
        let (copy, aside) = self.layers.make_aside(&new, node)?;
        let filled = if without_content { Ok(()) } else { copy_content(below, &copy) };
        let filled = filled.and_then(|()| self.copy_attributes(below, &copy, &attrs));
        if let Err(errno) = filled {
            self.layers.drop_aside(&aside);
            return Err(errno);
        }
        if self.gone.load(Ordering::Acquire) {
            // It has no place any more; who has it open goes on with it.
            self.layers.drop_aside(&aside);
        } else {
            let to = dir.upper.get().ok_or(Errno::ESTALE)?;
            let before = to.inode.metadata();
            self.layers.put(&aside, to, name, RenameFlags::NOREPLACE)?;
            // To whoever looks, nothing has happened.
            let attr = SetAttr { atime: Some(before.atime), mtime: Some(before.mtime), ..SetAttr::default() };
            to.inode.setattr(&attr)?;
        }
        self.copied(copy);
        Ok(())
    }

    /// Extended attributes, and then the times, which the rest changes.
    fn copy_attributes(&self, from: &Place, to: &Place, attrs: &Metadata) -> SysResult<()> {
        for name in from.inode.listxattr()?.iter().filter(|name| !self.layers.is_mark(name)) {
            let value = from.inode.getxattr(name)?;
            match to.inode.setxattr(name, &value, XattrFlags::empty()) {
                // A layer that has no such attributes does without.
                Err(Errno::EOPNOTSUPP) => {}
                set => set?,
            }
        }
        let mode = (attrs.file_type() != FileType::Symlink).then_some(attrs.mode & 0o7777);
        let attr = SetAttr { mode, atime: Some(attrs.atime), mtime: Some(attrs.mtime), ..SetAttr::default() };
        to.inode.setattr(&attr)
    }
}

/// Copies what a regular file holds.
fn copy_content(from: &Place, to: &Place) -> SysResult<()> {
    if from.inode.file_type() != FileType::Regular {
        return Ok(());
    }
    let size = from.inode.metadata().size;
    let mut piece = Vec::new();
    piece.try_reserve_exact(CHUNK).map_err(|_| Errno::ENOMEM)?;
    piece.resize(CHUNK, 0);
    let mut at = 0;
    while at < size {
        at = match from.inode.seek_data(at) {
            Err(Errno::ENXIO) => break,
            found => found?,
        };
        let n = read(from, at, &mut piece)?;
        if n == 0 {
            break;
        }
        write(to, at, piece.get(..n).unwrap_or_default())?;
        at += n as u64;
    }
    if to.inode.metadata().size < size { to.inode.truncate(size) } else { Ok(()) }
}

fn read(from: &Place, at: u64, piece: &mut [u8]) -> SysResult<usize> {
    if from.inode.mapping().is_none() {
        return from.inode.read_at(at, piece);
    }
    let mut done = 0;
    file::read(&from.inode, at, piece.len(), &mut |page, off, n| {
        let room = piece.get_mut(done..done + n).unwrap_or_default();
        if let Some(page) = page {
            page.read(off, room);
        } else {
            room.fill(0);
        }
        done += n;
        Ok(n)
    })
}

fn write(to: &Place, at: u64, bytes: &[u8]) -> SysResult<()> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = bytes.get(done..).unwrap_or_default();
        let pos = at + done as u64;
        let request = WriteRequest { pos, len: rest.len(), append: false, fsize_limit: u64::MAX, keep_setid: true };
        let mut taken = 0;
        let (n, _) = file::write(&to.inode, &request, &mut |page, off, n| {
            let chunk = rest.get(taken..taken + n).unwrap_or_default();
            taken += n;
            Ok(page.write(off, chunk))
        })?;
        if n == 0 {
            return Err(Errno::ENOSPC);
        }
        done += n;
    }
    Ok(())
}
