//! Indexed directories: a tree from hashes of names to blocks of names, its root in block 0 of the
//! directory.

use crate::dirblock::{self, Entry};
use crate::error::{Error, Result, corrupt};
use crate::features::INCOMPAT_LARGEDIR;
use crate::hash::hash;
use crate::inode::Inode;
use crate::layout::{flag, put, u16_at, u32_at};
use crate::volume::Volume;
use alloc::vec::Vec;
use syscall_shim::Errno;

const ROOT_HEAD: usize = 32;
const NODE_HEAD: usize = 8;

/// A node on the way down.
pub(crate) struct Frame {
    /// Its block within the directory.
    block: u32,
    head: usize,
    limit: usize,
    /// Hash from which on a child has names (its lowest bit: it also has some of the hash before),
    /// and its block.
    entries: Vec<(u32, u32)>,
    at: usize,
}

impl Frame {
    fn child(&self) -> Result<u32> {
        self.entries.get(self.at).map(|(_, block)| *block).ok_or(Error::Corrupt("directory index"))
    }
}

/// The way from the root to a leaf.
pub(crate) struct Descent {
    frames: Vec<Frame>,
    pub leaf: u32,
}

impl Volume {
    /// The kind of hash that a directory's index uses; `None` when it has no index that can be
    /// used.
    pub(crate) fn index_version(&mut self, dir: &Inode) -> Result<Option<u8>> {
        if !dir.has(flag::INDEX) || dir.has(flag::INLINE_DATA) || !self.geo.has_compat(crate::features::COMPAT_DIR_INDEX) {
            return Ok(None);
        }
        let (_, data) = self.dir_block(dir, 0)?;
        if dirblock::index_head(&data) != Some(ROOT_HEAD) {
            return corrupt("root of a directory index");
        }
        Ok(data.get(28).copied().filter(|version| *version <= 5))
    }

    /// The hash of a name in a directory whose index uses `version`.
    pub(crate) fn name_hash(&self, name: &[u8], version: u8) -> Result<(u32, u32)> {
        hash(name, version, self.geo.hash_unsigned, &self.geo.hash_seed).ok_or(Error::Corrupt("hash version of a directory"))
    }

    fn frame(&mut self, dir: &Inode, block: u32, head: usize) -> Result<Frame> {
        let (_, data) = self.dir_block(dir, u64::from(block))?;
        if dirblock::index_head(&data) != Some(head) {
            return corrupt("node of a directory index");
        }
        let word = |at| u16_at(&data, at).map(usize::from).unwrap_or(0);
        let (limit, count) = (word(head), word(head + 2));
        let room = (data.len() - head - if self.geo.csum { 8 } else { 0 }) / 8;
        if limit != room || count == 0 || count > limit {
            return corrupt("limit or count of a directory index");
        }
        let blocks = self.dir_blocks(dir)?;
        let mut entries = Vec::new();
        entries.try_reserve_exact(count + 1).map_err(|_| Errno::ENOMEM)?;
        for i in 0..count {
            let hash = if i == 0 { 0 } else { u32_at(&data, head + 8 * i).unwrap_or(0) };
            let child = u32_at(&data, head + 8 * i + 4).unwrap_or(0) & 0x0fff_ffff;
            if child == 0 || u64::from(child) >= blocks || entries.last().is_some_and(|(before, _)| *before > hash) {
                return corrupt("entry of a directory index");
            }
            entries.push((hash, child));
        }
        Ok(Frame { block, head, limit, entries, at: 0 })
    }

    fn index_levels(&mut self, dir: &Inode) -> Result<usize> {
        let (_, data) = self.dir_block(dir, 0)?;
        let levels = usize::from(*data.get(30).unwrap_or(&0));
        if levels > self.max_levels() {
            return corrupt("depth of a directory index");
        }
        Ok(levels)
    }

    fn max_levels(&self) -> usize {
        if self.geo.has_incompat(INCOMPAT_LARGEDIR) { 2 } else { 1 }
    }

    /// The way to the first leaf that may hold names of `hash`.
    pub(crate) fn descend(&mut self, dir: &Inode, hash: u32) -> Result<Descent> {
        let levels = self.index_levels(dir)?;
        let mut frames = Vec::with_capacity(3);
        let mut block = 0;
        for level in 0..=levels {
            let mut frame = self.frame(dir, block, if level == 0 { ROOT_HEAD } else { NODE_HEAD })?;
            frame.at = frame.entries.partition_point(|(from, _)| *from <= hash).saturating_sub(1);
            block = frame.child()?;
            frames.push(frame);
        }
        Ok(Descent { frames, leaf: block })
    }

    /// Goes to the leaf after this one. Answers its hash, `None` at the end.
    pub(crate) fn next_leaf(&mut self, dir: &Inode, way: &mut Descent) -> Result<Option<u32>> {
        let Some(up) = way.frames.iter().rposition(|frame| frame.at + 1 < frame.entries.len()) else { return Ok(None) };
        let Some(frame) = way.frames.get_mut(up) else { return Ok(None) };
        frame.at += 1;
        let hash = frame.entries.get(frame.at).map_or(0, |(hash, _)| *hash);
        let mut block = frame.child()?;
        for level in up + 1..way.frames.len() {
            let next = self.frame(dir, block, NODE_HEAD)?;
            block = next.child()?;
            if let Some(frame) = way.frames.get_mut(level) {
                *frame = next;
            }
        }
        way.leaf = block;
        Ok(Some(hash))
    }

    /// The entry called `name` by way of the index: its inode, kind, block and place in it.
    pub(crate) fn index_lookup(&mut self, dir: &Inode, version: u8, name: &[u8]) -> Result<Option<crate::dir::Found>> {
        let (hash, _) = self.name_hash(name, version)?;
        let mut way = self.descend(dir, hash)?;
        loop {
            if let Some(found) = self.find_in_block(dir, u64::from(way.leaf), name)? {
                return Ok(Some(found));
            }
            match self.next_leaf(dir, &mut way)? {
                // The leaf goes on with the hash of the one before.
                Some(next) if next == hash | 1 => {}
                _ => return Ok(None),
            }
        }
    }

    /// Makes an index for a directory that has filled its first block.
    pub(crate) fn make_index(&mut self, dir: &mut Inode) -> Result<()> {
        let seed = self.inode_seed(dir);
        let (csum, end) = (self.geo.csum, self.dir_end());
        let version = self.geo.hash_version;
        let (_, old) = self.dir_block(dir, 0)?;
        let up = dirblock::find(&old, end, b"..")?.map(|entry| entry.ino).ok_or(Error::Corrupt("directory without .."))?;
        let mut entries = Vec::new();
        dirblock::each(&old, end, |entry| {
            if !matches!(entry.name, b"." | b"..") {
                entries.push(entry);
            }
            true
        })?;
        let (leaf, _) = self.append_dir_block(dir)?;
        self.write_leaf(dir, leaf, &entries)?;
        let root = self.map_one(dir, 0)?;
        let size = self.geo.block_size;
        let kind = if self.geo.has_incompat(crate::features::INCOMPAT_FILETYPE) { 2 } else { 0 };
        let limit = (size - ROOT_HEAD - if csum { 8 } else { 0 }) / 8;
        let own = dir.ino;
        let data = self.edit(root)?;
        data.fill(0);
        let fits = dirblock::write(data, 0, 12, own, kind, b".")
            && dirblock::write(data, 12, size - 12, up, kind, b"..")
            && put(data, 28, &[version, 8, 0, 0])
            && put(data, ROOT_HEAD, &(limit as u16).to_le_bytes())
            && put(data, ROOT_HEAD + 2, &1u16.to_le_bytes())
            && put(data, ROOT_HEAD + 4, &leaf.to_le_bytes())
            && (!csum || dirblock::seal_index(data, ROOT_HEAD, seed));
        dir.set_flag(flag::INDEX, true);
        if fits { Ok(()) } else { corrupt("directory") }
    }

    /// Writes a block that holds these entries and no others.
    fn write_leaf(&mut self, dir: &Inode, block: u32, entries: &[Entry<'_>]) -> Result<()> {
        let place = self.map_one(dir, u64::from(block))?;
        let (seed, end, csum) = (self.inode_seed(dir), self.dir_end(), self.geo.csum);
        let data = self.edit(place)?;
        let mut fits = dirblock::clear(data, end);
        let mut at = 0;
        for (i, entry) in entries.iter().enumerate() {
            let need = dirblock::needed(entry.name.len());
            let len = if i + 1 == entries.len() { end.saturating_sub(at) } else { need };
            fits = fits && at + len <= end && dirblock::write(data, at, len, entry.ino, entry.kind, entry.name);
            at += len;
        }
        fits = fits && (!csum || dirblock::seal(data, seed));
        if fits { Ok(()) } else { corrupt("directory leaf") }
    }

    fn write_frame(&mut self, dir: &Inode, frame: &Frame) -> Result<()> {
        let place = self.map_one(dir, u64::from(frame.block))?;
        let (seed, csum) = (self.inode_seed(dir), self.geo.csum);
        let data = self.edit(place)?;
        let head = frame.head;
        let mut fits = put(data, head, &(frame.limit as u16).to_le_bytes());
        fits &= put(data, head + 2, &(frame.entries.len() as u16).to_le_bytes());
        for (i, (hash, block)) in frame.entries.iter().enumerate() {
            fits &= i == 0 || put(data, head + 8 * i, &hash.to_le_bytes());
            fits &= put(data, head + 8 * i + 4, &block.to_le_bytes());
        }
        fits = fits && (!csum || dirblock::seal_index(data, head, seed));
        if fits { Ok(()) } else { corrupt("directory index") }
    }

    /// A new inner node with these entries.
    fn new_frame(&mut self, dir: &mut Inode, entries: Vec<(u32, u32)>) -> Result<Frame> {
        let (block, place) = self.append_dir_block(dir)?;
        let size = self.geo.block_size;
        let limit = (size - NODE_HEAD - if self.geo.csum { 8 } else { 0 }) / 8;
        let data = self.edit(place)?;
        data.fill(0);
        let len = if size >= 65536 { u16::MAX } else { size as u16 };
        if !put(data, 4, &len.to_le_bytes()) {
            return corrupt("directory index");
        }
        let frame = Frame { block, head: NODE_HEAD, limit, entries, at: 0 };
        self.write_frame(dir, &frame)?;
        Ok(frame)
    }

    /// Adds an entry by way of the index, splitting what is full.
    pub(crate) fn index_insert(&mut self, dir: &mut Inode, version: u8, name: &[u8], ino: u32, kind: u8) -> Result<()> {
        let (hash, _) = self.name_hash(name, version)?;
        let mut way = self.descend(dir, hash)?;
        if self.insert_in_block(dir, u64::from(way.leaf), name, ino, kind)? {
            return Ok(());
        }
        // The leaf is full: the upper half of its hashes goes to a new one.
        let end = self.dir_end();
        let (_, data) = self.dir_block(dir, u64::from(way.leaf))?;
        let mut entries: Vec<(u32, u32, Entry<'_>)> = Vec::new();
        let mut bad = None;
        dirblock::each(&data, end, |entry| {
            match self.name_hash(entry.name, version) {
                Ok((major, minor)) => entries.push((major, minor, entry)),
                Err(error) => bad = Some(error),
            }
            true
        })?;
        if let Some(error) = bad {
            return Err(error);
        }
        entries.sort_by_key(|(major, minor, _)| (*major, *minor));
        let mut size = 0;
        let middle = entries.iter().position(|(_, _, entry)| {
            size += dirblock::needed(entry.name.len());
            size > end / 2
        });
        let middle = middle.unwrap_or(entries.len() / 2).clamp(1, entries.len().saturating_sub(1).max(1));
        let (lower, upper) = entries.split_at(middle.min(entries.len()));
        let (Some(last), Some(first)) = (lower.last(), upper.first()) else { return corrupt("directory leaf") };
        let boundary = first.0 | u32::from(last.0 == first.0);
        let (new, _) = self.append_dir_block(dir)?;
        self.write_leaf(dir, way.leaf, &lower.iter().map(|(_, _, entry)| *entry).collect::<Vec<_>>())?;
        self.write_leaf(dir, new, &upper.iter().map(|(_, _, entry)| *entry).collect::<Vec<_>>())?;
        let old = way.leaf;
        let depth = way.frames.len() - 1;
        self.index_add(dir, &mut way.frames, depth, boundary, new)?;
        let leaf = if hash >= boundary { new } else { old };
        match self.insert_in_block(dir, u64::from(leaf), name, ino, kind)? {
            true => Ok(()),
            false => Err(Errno::ENOSPC.into()),
        }
    }

    /// Puts a child behind the one that the way at `level` goes through.
    fn index_add(&mut self, dir: &mut Inode, frames: &mut Vec<Frame>, level: usize, hash: u32, block: u32) -> Result<()> {
        let Some(frame) = frames.get_mut(level) else { return corrupt("directory index") };
        if frame.entries.len() < frame.limit {
            frame.entries.insert(frame.at + 1, (hash, block));
            let frame = frames.get(level).ok_or(Error::Corrupt("directory index"))?;
            return self.write_frame(dir, frame);
        }
        let entries = core::mem::take(&mut frame.entries);
        let at = frame.at;
        if level == 0 {
            if frames.len() > self.max_levels() {
                return Err(Errno::ENOSPC.into());
            }
            let mut below = self.new_frame(dir, entries)?;
            below.at = at;
            let child = below.block;
            if let Some(root) = frames.first_mut() {
                root.entries = Vec::from([(0, child)]);
                root.at = 0;
            }
            let levels = frames.len() as u8;
            let place = self.map_one(dir, 0)?;
            if !put(self.edit(place)?, 30, &[levels]) {
                return corrupt("directory index");
            }
            if let Some(root) = frames.first() {
                self.write_frame(dir, root)?;
            }
            frames.insert(1, below);
            return self.index_add(dir, frames, 1, hash, block);
        }
        let mut lower = entries;
        let upper = lower.split_off(lower.len() / 2);
        let boundary = upper.first().map_or(0, |(hash, _)| *hash);
        let split = lower.len();
        let new = self.new_frame(dir, upper)?;
        let (own, head, limit) = match frames.get(level) {
            Some(frame) => (frame.block, frame.head, frame.limit),
            None => return corrupt("directory index"),
        };
        let new_block = new.block;
        let mut low = Frame { block: own, head, limit, entries: lower, at };
        let mut high = new;
        if at >= split {
            high.entries.insert(at - split + 1, (hash, block));
        } else {
            low.entries.insert(at + 1, (hash, block));
        }
        self.write_frame(dir, &low)?;
        self.write_frame(dir, &high)?;
        self.index_add(dir, frames, level - 1, boundary, new_block)
    }
}
