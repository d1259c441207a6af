//! Fast commits: behind the ring, Linux notes small changes since the last whole transaction, as
//! tags of changed inodes, ranges and names. They are replayed on the file system that the ring's
//! transactions leave, and can be replayed again.

use super::*;
use crate::extent::{Item, MAX_LEN};
use crate::group::{Bitmap, bit, set_bits};
use crate::inode::Inode;
use crate::layout::{RawInode, flag, u16_at, u32_at};
use alloc::collections::BTreeSet;
use zerocopy::{FromZeros, IntoBytes};

const ADD_RANGE: u16 = 1;
const DEL_RANGE: u16 = 2;
const CREATE: u16 = 3;
const LINK: u16 = 4;
const UNLINK: u16 = 5;
const INODE: u16 = 6;
const PAD: u16 = 7;
const TAIL: u16 = 8;
const HEAD: u16 = 9;

/// A tag with its value.
type Tag = (u16, Vec<u8>);

impl Journal {
    /// The tags of whole fast commits that follow the last transaction.
    pub(crate) fn fast_commits(&self, device: &dyn BlockDevice) -> Result<Vec<Tag>> {
        let mut tags = Vec::new();
        let mut whole = 0;
        let mut sum = 0;
        if self.incompat & INCOMPAT_FAST_COMMIT == 0 {
            return Ok(tags);
        }
        // The block right behind the ring is not used.
        for block in self.last + 1..self.end {
            let data = self.read(device, block)?;
            let mut at = 0;
            while let (Some(tag), Some(len)) = (u16_at(&data, at), u16_at(&data, at + 2)) {
                let len = usize::from(len);
                let Some(value) = data.get(at + 4..at + 4 + len) else { break };
                let head = data.get(at..at + 4).unwrap_or(&[]);
                match tag {
                    HEAD if u32_at(value, 0) != Some(0) || u32_at(value, 4) != Some(self.sequence) => {
                        tags.truncate(whole);
                        return Ok(tags);
                    }
                    TAIL => {
                        sum = crc32c(crc32c(sum, head), value.get(..4).unwrap_or(&[]));
                        if u32_at(value, 0) != Some(self.sequence) || u32_at(value, 4) != Some(sum) {
                            tags.truncate(whole);
                            return Ok(tags);
                        }
                        sum = 0;
                        whole = tags.len();
                    }
                    ADD_RANGE..=PAD | HEAD => {
                        sum = crc32c(crc32c(sum, head), value);
                        tags.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                        tags.push((tag, crate::cache::copied(value)?));
                    }
                    _ => {
                        tags.truncate(whole);
                        return Ok(tags);
                    }
                }
                at += 4 + len;
            }
        }
        tags.truncate(whole);
        Ok(tags)
    }
}

fn word(value: &[u8], at: usize) -> Result<u32> {
    u32_at(value, at).ok_or(Error::Corrupt("fast commit"))
}

fn extent_of(value: &[u8]) -> Result<Item> {
    let len = u32::from(u16_at(value, 8).ok_or(Error::Corrupt("fast commit"))?);
    let high = u16_at(value, 10).ok_or(Error::Corrupt("fast commit"))?;
    let unwritten = len > MAX_LEN;
    Ok(Item {
        first: word(value, 4)?,
        len: if unwritten { len - MAX_LEN } else { len },
        block: u64::from(word(value, 12)?) | u64::from(high) << 32,
        unwritten,
    })
}

impl Volume {
    /// Replays fast commits, straight to their places. The journal is cleared after that, not
    /// before.
    pub(crate) fn replay_fast(&mut self, tags: &[Tag]) -> Result<()> {
        let mut inodes = BTreeSet::new();
        let mut gone: Vec<Item> = Vec::new();
        // First, so that no block of theirs is taken for something else on the way.
        for (_, value) in tags.iter().filter(|(tag, _)| *tag == ADD_RANGE) {
            let item = extent_of(value)?;
            self.transact(|vol| vol.mark_used(item.block, u64::from(item.len)))?;
        }
        for (tag, value) in tags {
            match *tag {
                INODE => {
                    inodes.insert(word(value, 0)?);
                    gone.extend(self.forget_user(word(value, 0)?, value.get(4..).unwrap_or(&[]))?);
                    self.transact(|vol| vol.replay_inode(word(value, 0)?, value.get(4..).unwrap_or(&[])))?;
                }
                ADD_RANGE => {
                    let item = extent_of(value)?;
                    inodes.insert(word(value, 0)?);
                    gone.extend(self.replace_range(word(value, 0)?, u64::from(item.first), item.end(), Some(item))?);
                }
                DEL_RANGE => {
                    inodes.insert(word(value, 0)?);
                    let from = u64::from(word(value, 4)?);
                    let to = from + u64::from(word(value, 8)?);
                    gone.extend(self.replace_range(word(value, 0)?, from, to, None)?);
                }
                CREATE | LINK | UNLINK => {
                    let (dir, ino) = (word(value, 0)?, word(value, 4)?);
                    let name = value.get(8..).unwrap_or(&[]);
                    inodes.extend([dir, ino]);
                    self.transact(|vol| vol.replay_name(*tag, dir, ino, name))?;
                }
                _ => {}
            }
        }
        self.settle(&inodes, &gone)
    }

    /// Sets the bits of blocks in use that are not set yet.
    fn mark_used(&mut self, block: u64, len: u64) -> Result<()> {
        if len == 0 || !self.geo.valid(block, len) {
            return corrupt("range of a fast commit");
        }
        let (mut at, end) = (block, block + len);
        while at < end {
            let group = self.geo.group_of(at);
            let start = (at - self.geo.group_start(group)) as usize;
            let n = (end - at).min(u64::from(self.geo.group_blocks(group)) - start as u64) as usize;
            let mut desc = self.desc(group)?;
            let mut fresh = 0;
            self.edit_bitmap(group, &mut desc, Bitmap::Blocks, |bits| {
                fresh = (start..start + n).filter(|i| !bit(bits, *i)).count() as u32;
                set_bits(bits, start, start + n);
                Ok(())
            })?;
            desc.set_free_blocks(desc.free_blocks().saturating_sub(fresh));
            self.put_desc(group, &desc)?;
            let total = self.free_blocks_count().saturating_sub(u64::from(fresh));
            self.set_free_blocks_count(total);
            at += n as u64;
        }
        Ok(())
    }

    /// Takes the blocks of the file that had an inode's number before, if `bytes` are another's.
    fn forget_user(&mut self, ino: u32, bytes: &[u8]) -> Result<Vec<Item>> {
        let old = self.raw_inode(ino)?;
        let (group, index) = ((ino - 1) / self.geo.inodes_per_group, (ino - 1) % self.geo.inodes_per_group);
        let mut desc = self.desc(group)?;
        let used = bit(&self.bitmap(group, &desc, Bitmap::Inodes)?, index as usize);
        if !used || old.mode() == 0 || u32_at(bytes, 0x64) == Some(old.raw.generation.get()) {
            return Ok(Vec::new());
        }
        let directory = u16_at(bytes, 0).map(|mode| u32::from(mode) & fs::S_IFMT) == Some(fs::S_IFDIR);
        self.transact(|vol| {
            let dirs = desc.used_dirs() + u32::from(directory);
            desc.set_used_dirs(dirs.saturating_sub(u32::from(old.is_dir())));
            vol.put_desc(group, &desc)
        })?;
        match old.has(flag::EXTENTS) && !old.has(flag::INLINE_DATA) {
            true => self.replace_range(ino, 0, 1 << 32, None),
            false => Ok(Vec::new()),
        }
    }

    /// An inode as it was, but for its map of blocks, which the ranges make.
    fn replay_inode(&mut self, ino: u32, bytes: &[u8]) -> Result<()> {
        let old = self.raw_inode(ino)?;
        if bytes.len() < crate::layout::OLD_INODE_SIZE || bytes.len() > self.geo.inode_size {
            return corrupt("inode in a fast commit");
        }
        let mut new = Inode { ino, raw: RawInode::new_zeroed(), tail: old.tail.clone() };
        let (head, tail) = bytes.split_at(bytes.len().min(size_of::<RawInode>()));
        new.raw.as_mut_bytes().iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        new.tail.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        let mapped = new.has(flag::EXTENTS) && !new.has(flag::INLINE_DATA);
        if mapped {
            let known =
                u16_at(&old.raw.block, 0) == Some(0xf30a) && old.mode() != 0 && old.raw.generation == new.raw.generation;
            new.raw.block = if known { old.raw.block } else { crate::extent::empty_root() };
        }
        self.mark_inode_used(ino, new.is_dir())?;
        self.put_inode(&new)
    }

    fn mark_inode_used(&mut self, ino: u32, directory: bool) -> Result<()> {
        let (group, index) = ((ino - 1) / self.geo.inodes_per_group, (ino - 1) % self.geo.inodes_per_group);
        let mut desc = self.desc(group)?;
        let bits = self.bitmap(group, &desc, Bitmap::Inodes)?;
        if bit(&bits, index as usize) {
            return Ok(());
        }
        drop(bits);
        self.edit_bitmap(group, &mut desc, Bitmap::Inodes, |bits| {
            set_bits(bits, index as usize, index as usize + 1);
            Ok(())
        })?;
        desc.set_free_inodes(desc.free_inodes().saturating_sub(1));
        if directory {
            desc.set_used_dirs(desc.used_dirs() + 1);
        }
        let behind = self.geo.inodes_per_group - (index + 1);
        desc.set_itable_unused(desc.itable_unused().min(behind));
        self.put_desc(group, &desc)?;
        self.sb.free_inodes_count.set(self.sb.free_inodes_count.get().saturating_sub(1));
        self.sb_dirty = true;
        Ok(())
    }

    /// Takes a range out of a file's map and puts an extent in. Answers what was there and is not
    /// the same.
    fn replace_range(&mut self, ino: u32, from: u64, to: u64, item: Option<Item>) -> Result<Vec<Item>> {
        let mut gone: Vec<Item> = Vec::new();
        loop {
            let cut = self.transact(|vol| {
                let mut inode = vol.inode(ino)?;
                if !inode.has(flag::EXTENTS) {
                    return corrupt("range of a fast commit");
                }
                let cut = vol.cut_extents(&mut inode, from, to, 32)?;
                if let Some(item) = item.filter(|_| !cut.more) {
                    vol.insert_extent(&mut inode, item)?;
                }
                vol.put_inode(&inode)?;
                Ok(cut)
            })?;
            gone.extend(cut.removed);
            if !cut.more {
                return Ok(gone);
            }
        }
    }

    fn replay_name(&mut self, tag: u16, dir: u32, ino: u32, name: &[u8]) -> Result<()> {
        if name.is_empty() || name.len() > fs::NAME_MAX || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return corrupt("name in a fast commit");
        }
        let mut parent = self.dir_inode(dir)?;
        let times = (parent.mtime(), parent.ctime());
        let found = self.find(&parent, name)?;
        if tag == UNLINK {
            if found.is_none_or(|found| found.ino != ino) {
                return Ok(());
            }
            self.remove_name(&mut parent, name)?;
            // Where the file is still there, its inode follows with the right count.
            let mut child = self.inode(ino)?;
            let left = if child.is_dir() { 0 } else { child.links().saturating_sub(1) };
            child.raw.links_count.set(left as u16);
            self.put_inode(&child)?;
        } else {
            let mut child = self.inode(ino)?;
            let kind = child.file_type().ok_or(Error::Corrupt("i_mode"))?;
            if tag == CREATE && child.is_dir() && self.map(&child, 0, 1)?.block.is_none() {
                child.set_size(0);
                self.init_dir(&mut child, dir)?;
                self.put_inode(&child)?;
            }
            match found {
                Some(found) if found.ino == ino => return Ok(()),
                Some(_) => self.replace_name(&mut parent, name, ino, kind)?,
                None => self.add_name(&mut parent, name, ino, kind)?,
            }
        }
        parent.set_mtime(times.0);
        parent.set_ctime(times.1);
        self.put_inode(&parent)
    }

    /// Counts the blocks of changed inodes anew, and frees those that none of them has any more.
    fn settle(&mut self, inodes: &BTreeSet<u32>, gone: &[Item]) -> Result<()> {
        let mut kept: Vec<Item> = Vec::new();
        for ino in inodes {
            let inode = self.raw_inode(*ino)?;
            if inode.mode() == 0 || !inode.has(flag::EXTENTS) {
                continue;
            }
            let mut blocks = self.tree_blocks(&inode)? + u64::from(inode.file_acl() != 0);
            let mut at = 0;
            while at < 1 << 32 {
                let run = self.map(&inode, at, (1 << 32) - at)?;
                if let Some(block) = run.block {
                    blocks += run.len;
                    kept.push(Item { first: at as u32, len: run.len as u32, block, unwritten: false });
                }
                at += run.len;
            }
            let subdirs = self.subdirs(&inode)?;
            self.transact(|vol| {
                let mut inode = vol.inode(*ino)?;
                if inode.is_dir() && inode.links() > 1 && 2 + subdirs <= u32::from(u16::MAX) {
                    inode.raw.links_count.set(2 + subdirs as u16);
                }
                let now = vol.sectors(&inode) / (vol.geo.block_size as u64 / 512);
                vol.count_blocks(&mut inode, blocks as i64 - now as i64)?;
                vol.put_inode(&inode)
            })?;
        }
        let held = |block: u64| kept.iter().any(|item| block >= item.block && block - item.block < u64::from(item.len));
        let mut freed = BTreeSet::new();
        for block in gone.iter().flat_map(|item| item.block..item.block + u64::from(item.len)) {
            if !held(block) && freed.insert(block) {
                self.transact(|vol| vol.free_blocks(block, 1, false))?;
            }
        }
        for ino in inodes {
            let inode = self.raw_inode(*ino)?;
            if inode.mode() != 0 && inode.links() == 0 && inode.raw.dtime.get() == 0 {
                self.evict(*ino)?;
            }
        }
        self.commit()
    }

    /// Directories right below one; 0 for other files.
    fn subdirs(&mut self, inode: &Inode) -> Result<u32> {
        let mut count = 0;
        if inode.is_dir() {
            let mut cookie = 2;
            loop {
                let next = self.readdir(inode, cookie, &mut |entry| {
                    count += u32::from(entry.file_type == fs::FileType::Dir);
                    true
                })?;
                if next <= cookie || next == u64::MAX >> 1 {
                    break;
                }
                cookie = next;
            }
        }
        Ok(count)
    }
}
