//! Directories: looking up, reading, adding and removing names, whatever the directory's form.

use crate::cache::Block;
use crate::dirblock;
use crate::error::{Error, Result, corrupt};
use crate::features::{COMPAT_DIR_INDEX, INCOMPAT_FILETYPE};
use crate::inode::Inode;
use crate::layout::{flag, put};
use crate::volume::Volume;
use alloc::vec::Vec;
use fs::{DirEntry, FileType};
use syscall_shim::Errno;

/// An entry that was found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub ino: u32,
    /// The block on the disk, and the entry's place in it. Without meaning in a directory that is
    /// within its inode.
    pub block: u64,
    pub at: usize,
}

/// Cookies below are the caller's: `.` and `..`.
const FIRST_COOKIE: u64 = 2;

impl Volume {
    /// Where the entries of a block end.
    pub(crate) fn dir_end(&self) -> usize {
        self.geo.block_size - if self.geo.csum { dirblock::TAIL } else { 0 }
    }

    /// Block `n` of a directory: its place, and its checked content.
    pub(crate) fn dir_block(&mut self, dir: &Inode, n: u64) -> Result<(u64, Block)> {
        let block = self.map_one(dir, n)?;
        let (csum, seed) = (self.geo.csum, self.inode_seed(dir));
        let data = self.checked(block, "directory block", |data| !csum || dirblock::checksum_right(data, seed))?;
        Ok((block, data))
    }

    /// Where the names of a block end: nowhere for one of an index.
    fn names_end(&self, dir: &Inode, n: u64, data: &[u8]) -> usize {
        let index = dir.has(flag::INDEX) && n > 0 && dirblock::index_head(data) == Some(8);
        // An empty block of names looks like a node, and has no names either.
        let root = dir.has(flag::INDEX) && n == 0;
        match (index, root) {
            (true, _) => 0,
            (_, true) => data.len(),
            _ => self.dir_end(),
        }
    }

    pub(crate) fn find_in_block(&mut self, dir: &Inode, n: u64, name: &[u8]) -> Result<Option<Found>> {
        let (block, data) = self.dir_block(dir, n)?;
        let end = self.names_end(dir, n, &data);
        let found = dirblock::find(&data, end, name)?;
        Ok(found.map(|entry| Found { ino: entry.ino, block, at: entry.at }))
    }

    /// The entry called `name`.
    pub(crate) fn find(&mut self, dir: &Inode, name: &[u8]) -> Result<Option<Found>> {
        if name.len() > fs::NAME_MAX {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if dir.has(flag::INLINE_DATA) {
            let entries = self.inline_entries(dir)?;
            let found = entries.into_iter().find(|(_, _, n)| n == name);
            return Ok(found.map(|(ino, _, _)| Found { ino, block: 0, at: 0 }));
        }
        if name != b".."
            && name != b"."
            && let Some(version) = self.index_version(dir)?
        {
            return self.index_lookup(dir, version, name);
        }
        for n in 0..self.dir_blocks(dir)? {
            if let Some(found) = self.find_in_block(dir, n, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The inode called `name` in a directory. `ENOENT`.
    pub(crate) fn lookup(&mut self, dir: &Inode, name: &[u8]) -> Result<Inode> {
        let found = self.find(dir, name)?.ok_or(Errno::ENOENT)?;
        let inode = match self.inode(found.ino) {
            Err(Error::Refused(Errno::ESTALE)) => return corrupt("directory: an entry of a deleted inode"),
            inode => inode?,
        };
        if inode.links() == 0 {
            return corrupt("directory: an entry of a deleted inode");
        }
        Ok(inode)
    }

    pub(crate) fn kind_byte(&self, file_type: FileType) -> u8 {
        if self.geo.has_incompat(INCOMPAT_FILETYPE) { dirblock::kind_of(file_type) } else { 0 }
    }

    /// The type that an entry tells, or that its inode has.
    fn entry_type(&mut self, ino: u32, kind: u8) -> FileType {
        let told = self.geo.has_incompat(INCOMPAT_FILETYPE).then(|| dirblock::file_type_of(kind)).flatten();
        let look = |vol: &mut Volume| vol.inode(ino).ok().and_then(|inode| inode.file_type());
        told.or_else(|| look(self)).unwrap_or(FileType::Regular)
    }

    /// Reads from `cookie` on, as [`fs::Inode::readdir`] says.
    pub(crate) fn readdir(&mut self, dir: &Inode, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<u64> {
        let grows_index = self.geo.has_compat(COMPAT_DIR_INDEX) && !dir.has(flag::INDEX);
        if dir.has(flag::INLINE_DATA) || (grows_index && self.dir_blocks(dir)? <= 1) {
            return self.read_small(dir, cookie, emit);
        }
        if let Some(version) = self.index_version(dir)? {
            return self.read_indexed(dir, version, cookie, emit);
        }
        let size = self.geo.block_size as u64;
        let start = cookie.saturating_sub(FIRST_COOKIE);
        for n in start / size..self.dir_blocks(dir)? {
            let (_, data) = self.dir_block(dir, n)?;
            let mut batch: Vec<(u32, u8, &[u8], u64)> = Vec::new();
            dirblock::each(&data, self.dir_end(), |entry| {
                let at = n * size + entry.at as u64;
                if at >= start && !matches!(entry.name, b"." | b"..") {
                    batch.push((entry.ino, entry.kind, entry.name, at + entry.len as u64 + FIRST_COOKIE));
                }
                true
            })?;
            let mut from = (n * size).max(start) + FIRST_COOKIE;
            for (ino, kind, name, next) in batch {
                let file_type = self.entry_type(ino, kind);
                if !emit(DirEntry { name, ino: u64::from(ino), file_type, next }) {
                    return Ok(from);
                }
                from = next;
            }
        }
        Ok((self.dir_blocks(dir)? * size).max(start) + FIRST_COOKIE)
    }

    /// A directory of one block at most, in the order of hashes, so that it may get an index while
    /// it is read.
    fn read_small(&mut self, dir: &Inode, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<u64> {
        let entries = if dir.has(flag::INLINE_DATA) {
            self.inline_entries(dir)?
        } else {
            let mut list = Vec::new();
            for n in 0..self.dir_blocks(dir)? {
                let (_, data) = self.dir_block(dir, n)?;
                dirblock::each(&data, self.dir_end(), |entry| {
                    list.push((entry.ino, entry.kind, Vec::from(entry.name)));
                    true
                })?;
            }
            list
        };
        let version = self.geo.hash_version;
        match self.emit_sorted(entries, version, cookie, emit)? {
            Some(stopped) => Ok(stopped),
            None => Ok(cookie.max(u64::MAX >> 1)),
        }
    }

    fn read_indexed(
        &mut self,
        dir: &Inode,
        version: u8,
        cookie: u64,
        emit: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<u64> {
        let start = cookie.saturating_sub(FIRST_COOKIE + 1) >> 32 << 1;
        let mut way = self.descend(dir, start as u32)?;
        // A sound index has no more leaves than the directory has blocks.
        for _ in 0..self.dir_blocks(dir)? {
            let (_, data) = self.dir_block(dir, u64::from(way.leaf))?;
            let mut entries = Vec::new();
            dirblock::each(&data, self.names_end(dir, u64::from(way.leaf), &data), |entry| {
                entries.push((entry.ino, entry.kind, Vec::from(entry.name)));
                true
            })?;
            if let Some(stopped) = self.emit_sorted(entries, version, cookie, emit)? {
                return Ok(stopped);
            }
            if self.next_leaf(dir, &mut way)?.is_none() {
                break;
            }
        }
        Ok(cookie.max(u64::MAX >> 1))
    }

    /// Hands entries out in the order of their hashes. `Some` is the cookie of the entry that was
    /// not taken.
    fn emit_sorted(
        &mut self,
        entries: Vec<(u32, u8, Vec<u8>)>,
        version: u8,
        cookie: u64,
        emit: &mut dyn FnMut(DirEntry<'_>) -> bool,
    ) -> Result<Option<u64>> {
        let mut sorted = Vec::new();
        sorted.try_reserve_exact(entries.len()).map_err(|_| Errno::ENOMEM)?;
        for (ino, kind, name) in entries {
            if matches!(&name[..], b"." | b"..") {
                continue;
            }
            let (major, minor) = self.name_hash(&name, version)?;
            let next = (u64::from(major >> 1) << 32 | u64::from(minor)) + FIRST_COOKIE + 1;
            sorted.push((next, ino, kind, name));
        }
        sorted.sort_unstable();
        for (next, ino, kind, name) in sorted {
            if next <= cookie {
                continue;
            }
            let file_type = self.entry_type(ino, kind);
            if !emit(DirEntry { name: &name, ino: u64::from(ino), file_type, next }) {
                return Ok(Some(next - 1));
            }
        }
        Ok(None)
    }

    /// A new block of names at a directory's end, empty: its number in the directory, and its
    /// place.
    pub(crate) fn append_dir_block(&mut self, dir: &mut Inode) -> Result<(u32, u64)> {
        let n = self.dir_blocks(dir)?;
        let narrow = u32::try_from(n).map_err(|_| Errno::ENOSPC)?;
        self.fill(dir, n, 1, false)?;
        let block = self.map_one(dir, n)?;
        let (end, seed, csum) = (self.dir_end(), self.inode_seed(dir), self.geo.csum);
        let data = self.fresh(block)?;
        if !dirblock::clear(data, end) || (csum && !dirblock::seal(data, seed)) {
            return corrupt("directory block");
        }
        dir.set_size((n + 1) << self.geo.block_bits);
        Ok((narrow, block))
    }

    /// Adds a name to a block; false when it has no room.
    pub(crate) fn insert_in_block(&mut self, dir: &Inode, n: u64, name: &[u8], ino: u32, kind: u8) -> Result<bool> {
        let (block, data) = self.dir_block(dir, n)?;
        let (end, seed, csum) = (self.dir_end(), self.inode_seed(dir), self.geo.csum);
        let mut copy = crate::cache::copied(&data)?;
        drop(data);
        if !dirblock::insert(&mut copy, end, ino, kind, name)? {
            return Ok(false);
        }
        if csum && !dirblock::seal(&mut copy, seed) {
            return corrupt("directory block");
        }
        self.edit(block)?.copy_from_slice(&copy);
        Ok(true)
    }

    /// Adds a name, which is not there. The caller writes the directory's inode.
    pub(crate) fn add_name(&mut self, dir: &mut Inode, name: &[u8], ino: u32, file_type: FileType) -> Result<()> {
        self.leave_inline(dir)?;
        let kind = self.kind_byte(file_type);
        self.touch(dir);
        if let Some(version) = self.index_version(dir)? {
            return self.index_insert(dir, version, name, ino, kind);
        }
        // With an index that cannot be used, a new name would be missed by who can use it.
        let blocks = self.dir_blocks(dir)?;
        for n in 0..blocks {
            if self.insert_in_block(dir, n, name, ino, kind)? {
                dir.set_flag(flag::INDEX, false);
                return Ok(());
            }
        }
        if blocks == 1 && self.geo.has_compat(COMPAT_DIR_INDEX) && self.geo.hash_version <= 5 {
            self.make_index(dir)?;
            let version = self.geo.hash_version;
            return self.index_insert(dir, version, name, ino, kind);
        }
        dir.set_flag(flag::INDEX, false);
        let (n, _) = self.append_dir_block(dir)?;
        match self.insert_in_block(dir, u64::from(n), name, ino, kind)? {
            true => Ok(()),
            false => corrupt("directory block"),
        }
    }

    /// Removes a name that was found. The caller writes the directory's inode.
    pub(crate) fn remove_name(&mut self, dir: &mut Inode, name: &[u8]) -> Result<()> {
        self.leave_inline(dir)?;
        let found = self.find(dir, name)?.ok_or(Errno::ENOENT)?;
        self.touch(dir);
        let end = self.dir_end();
        self.edit_names(dir, found.block, |data| dirblock::remove(data, end, found.at))
    }

    /// Has a name lead to another inode. The caller writes the directory's inode.
    pub(crate) fn replace_name(&mut self, dir: &mut Inode, name: &[u8], ino: u32, file_type: FileType) -> Result<()> {
        self.leave_inline(dir)?;
        let found = self.find(dir, name)?.ok_or(Errno::ENOENT)?;
        self.touch(dir);
        let kind = self.kind_byte(file_type);
        self.edit_names(dir, found.block, |data| {
            match put(data, found.at, &ino.to_le_bytes()) && put(data, found.at + 7, &[kind]) {
                true => Ok(()),
                false => corrupt("directory block"),
            }
        })
    }

    fn edit_names(&mut self, dir: &Inode, block: u64, change: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
        let (seed, csum, index) = (self.inode_seed(dir), self.geo.csum, dir.has(flag::INDEX));
        let data = self.edit(block)?;
        let root = index && dirblock::index_head(data) == Some(32);
        change(data)?;
        let sealed = match root {
            _ if !csum => true,
            true => dirblock::seal_index(data, 32, seed),
            false => dirblock::seal(data, seed),
        };
        if sealed { Ok(()) } else { corrupt("directory block") }
    }

    /// The first block of a new directory.
    pub(crate) fn init_dir(&mut self, dir: &mut Inode, parent: u32) -> Result<()> {
        let own = dir.ino;
        let kind = self.kind_byte(FileType::Dir);
        let (_, block) = self.append_dir_block(dir)?;
        let end = self.dir_end();
        self.edit_names(dir, block, |data| {
            match dirblock::write(data, 0, 12, own, kind, b".") && dirblock::write(data, 12, end - 12, parent, kind, b"..") {
                true => Ok(()),
                false => corrupt("directory block"),
            }
        })
    }

    /// Whether a directory has no names but `.` and `..`.
    pub(crate) fn is_empty_dir(&mut self, dir: &Inode) -> Result<bool> {
        if dir.has(flag::INLINE_DATA) {
            return Ok(self.inline_entries(dir)?.iter().all(|(_, _, name)| matches!(&name[..], b"." | b"..")));
        }
        for n in 0..self.dir_blocks(dir)? {
            let (_, data) = self.dir_block(dir, n)?;
            let mut empty = true;
            dirblock::each(&data, self.names_end(dir, n, &data), |entry| {
                empty &= matches!(entry.name, b"." | b"..");
                empty
            })?;
            if !empty {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
