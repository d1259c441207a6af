//! Inodes: reading, writing, and what their fields mean.

use crate::cache::copied;
use crate::checksum::crc32c;
use crate::error::{Error, Result, corrupt};
use crate::features::*;
use crate::layout::*;
use crate::volume::Volume;
use alloc::vec::Vec;
use fs::{FileType, Metadata, Timespec};
use syscall_shim::Errno;
use zerocopy::{FromZeros, IntoBytes};

/// An inode in memory. Changes count once it is given to [`Volume::put_inode`].
#[derive(Clone)]
pub(crate) struct Inode {
    pub ino: u32,
    pub raw: RawInode,
    /// What follows the fields of `raw` in a large inode: attributes, mostly.
    pub tail: Vec<u8>,
}

impl Inode {
    pub(crate) fn mode(&self) -> u32 {
        u32::from(self.raw.mode.get())
    }

    pub(crate) fn file_type(&self) -> Option<FileType> {
        FileType::from_mode(self.mode())
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.file_type() == Some(FileType::Dir)
    }

    pub(crate) fn size(&self) -> u64 {
        u64::from(self.raw.size_lo.get()) | u64::from(self.raw.size_hi.get()) << 32
    }

    pub(crate) fn set_size(&mut self, size: u64) {
        self.raw.size_lo.set(size as u32);
        self.raw.size_hi.set((size >> 32) as u32);
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.raw.flags.get() & flag != 0
    }

    pub(crate) fn set_flag(&mut self, flag: u32, on: bool) {
        let flags = self.raw.flags.get();
        self.raw.flags.set(if on { flags | flag } else { flags & !flag });
    }

    pub(crate) fn links(&self) -> u32 {
        u32::from(self.raw.links_count.get())
    }

    pub(crate) fn uid(&self) -> u32 {
        u32::from(self.raw.uid_lo.get()) | u32::from(self.raw.uid_hi.get()) << 16
    }

    pub(crate) fn gid(&self) -> u32 {
        u32::from(self.raw.gid_lo.get()) | u32::from(self.raw.gid_hi.get()) << 16
    }

    pub(crate) fn set_owner(&mut self, uid: u32, gid: u32) {
        self.raw.uid_lo.set(uid as u16);
        self.raw.uid_hi.set((uid >> 16) as u16);
        self.raw.gid_lo.set(gid as u16);
        self.raw.gid_hi.set((gid >> 16) as u16);
    }

    /// The block of extended attributes, or 0.
    pub(crate) fn file_acl(&self) -> u64 {
        u64::from(self.raw.file_acl_lo.get()) | u64::from(self.raw.file_acl_hi.get()) << 32
    }

    pub(crate) fn set_file_acl(&mut self, block: u64) {
        self.raw.file_acl_lo.set(block as u32);
        self.raw.file_acl_hi.set((block >> 32) as u16);
    }

    /// Bytes of extra fields beyond the first 128 bytes.
    pub(crate) fn extra(&self) -> usize {
        usize::from(self.raw.extra_isize.get())
    }

    /// Whether the symbolic link's text is in the inode.
    pub(crate) fn is_fast_symlink(&self) -> bool {
        !self.has(flag::EXTENTS | flag::INLINE_DATA) && self.size() < 60
    }

    fn has_field(&self, end: usize) -> bool {
        OLD_INODE_SIZE + self.extra() >= end
    }

    fn time(&self, seconds: u32, extra: u32, end: usize) -> Timespec {
        let sec = i64::from(seconds as i32);
        if !self.has_field(end) {
            return Timespec { sec, nsec: 0 };
        }
        Timespec { sec: sec + (i64::from(extra & 3) << 32), nsec: (extra >> 2).min(999_999_999) }
    }

    pub(crate) fn atime(&self) -> Timespec {
        self.time(self.raw.atime.get(), self.raw.atime_extra.get(), 0x90)
    }

    pub(crate) fn mtime(&self) -> Timespec {
        self.time(self.raw.mtime.get(), self.raw.mtime_extra.get(), 0x8c)
    }

    pub(crate) fn ctime(&self) -> Timespec {
        self.time(self.raw.ctime.get(), self.raw.ctime_extra.get(), 0x88)
    }

    fn crtime(&self) -> Timespec {
        match self.has_field(0x98) {
            true => self.time(self.raw.crtime.get(), self.raw.crtime_extra.get(), 0x98),
            false => Timespec::default(),
        }
    }

    /// Seconds and the extra word, as near as they can hold the time.
    fn encode(&self, time: Timespec, end: usize) -> (u32, u32) {
        let low = i64::from(i32::MIN);
        if !self.has_field(end) {
            return (time.sec.clamp(low, i64::from(i32::MAX)) as i32 as u32, 0);
        }
        let sec = time.sec.clamp(low, low + (4 << 32) - 1);
        let epoch = ((sec - i64::from(sec as i32)) >> 32) as u32;
        (sec as u32, epoch & 3 | time.nsec << 2)
    }

    pub(crate) fn set_atime(&mut self, time: Timespec) {
        let (sec, extra) = self.encode(time, 0x90);
        self.raw.atime.set(sec);
        self.raw.atime_extra.set(extra);
    }

    pub(crate) fn set_mtime(&mut self, time: Timespec) {
        let (sec, extra) = self.encode(time, 0x8c);
        self.raw.mtime.set(sec);
        self.raw.mtime_extra.set(extra);
    }

    pub(crate) fn set_ctime(&mut self, time: Timespec) {
        let (sec, extra) = self.encode(time, 0x88);
        self.raw.ctime.set(sec);
        self.raw.ctime_extra.set(extra);
    }

    pub(crate) fn set_crtime(&mut self, time: Timespec) {
        let (sec, extra) = self.encode(time, 0x98);
        self.raw.crtime.set(sec);
        self.raw.crtime_extra.set(extra);
    }

    /// The number of a device node: the old form in the first word, the new one in the second.
    pub(crate) fn rdev(&self) -> u64 {
        let old = u32_at(&self.raw.block, 0).unwrap_or(0);
        if old != 0 {
            return fs::makedev(old >> 8 & 0xff, old & 0xff);
        }
        let new = u32_at(&self.raw.block, 4).unwrap_or(0);
        fs::makedev(new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
    }

    pub(crate) fn set_rdev(&mut self, rdev: u64) {
        let (major, minor) = (fs::major(rdev), fs::minor(rdev));
        let (at, value) = match major < 256 && minor < 256 {
            true => (0, major << 8 | minor),
            false => (4, major << 8 | minor & 0xff | (minor & !0xff) << 12),
        };
        let _fits = put(&mut self.raw.block, at, &value.to_le_bytes());
    }
}

impl Volume {
    /// Sectors of 512 bytes that an inode has.
    pub(crate) fn sectors(&self, inode: &Inode) -> u64 {
        let mut n = u64::from(inode.raw.blocks_lo.get());
        if self.geo.has_ro(RO_HUGE_FILE) {
            n |= u64::from(inode.raw.blocks_hi.get()) << 32;
            if inode.has(flag::HUGE_FILE) {
                n = n.saturating_mul((self.geo.block_size / 512) as u64);
            }
        }
        n
    }

    /// Adds blocks to what an inode counts as its own, or takes them off.
    pub(crate) fn count_blocks(&self, inode: &mut Inode, blocks: i64) -> Result<()> {
        let per = (self.geo.block_size / 512) as i64;
        let sectors = self.sectors(inode).saturating_add_signed(blocks.saturating_mul(per));
        let huge = sectors >= 1 << 48;
        let max = if self.geo.has_ro(RO_HUGE_FILE) { u64::MAX } else { u64::from(u32::MAX) };
        if sectors > max {
            return Err(Errno::EFBIG.into());
        }
        let stored = if huge { sectors / per as u64 } else { sectors };
        inode.set_flag(flag::HUGE_FILE, huge);
        inode.raw.blocks_lo.set(stored as u32);
        inode.raw.blocks_hi.set((stored >> 32) as u16);
        Ok(())
    }

    /// What seeds the checksums of an inode and its blocks.
    pub(crate) fn inode_seed(&self, inode: &Inode) -> u32 {
        let seed = crc32c(self.geo.csum_seed, &inode.ino.to_le_bytes());
        crc32c(seed, inode.raw.generation.as_bytes())
    }

    fn inode_checksum(&self, inode: &Inode) -> u32 {
        let mut raw = inode.raw;
        raw.checksum_lo.set(0);
        if inode.has_field(0x84) {
            raw.checksum_hi.set(0);
        }
        let bytes = raw.as_bytes();
        let bytes = bytes.get(..self.geo.inode_size.min(bytes.len())).unwrap_or(bytes);
        crc32c(crc32c(self.inode_seed(inode), bytes), &inode.tail)
    }

    fn inode_place(&mut self, ino: u32) -> Result<(u64, usize)> {
        if ino == 0 || ino > self.geo.inodes {
            return corrupt("inode number");
        }
        let (group, index) = ((ino - 1) / self.geo.inodes_per_group, (ino - 1) % self.geo.inodes_per_group);
        let desc = self.desc(group)?;
        let at = u64::from(index) * self.geo.inode_size as u64;
        let within = (at % self.geo.block_size as u64) as usize;
        Ok((desc.inode_table() + (at >> self.geo.block_bits), within))
    }

    /// Reads an inode, in use or not.
    pub(crate) fn raw_inode(&mut self, ino: u32) -> Result<Inode> {
        let (block, at) = self.inode_place(ino)?;
        let data = self.block(block)?;
        let Some(bytes) = data.get(at..at + self.geo.inode_size) else { return corrupt("inode table") };
        let mut raw = RawInode::new_zeroed();
        let n = bytes.len().min(size_of::<RawInode>());
        let (head, tail) = bytes.split_at(n);
        if let Some(to) = raw.as_mut_bytes().get_mut(..n) {
            to.copy_from_slice(head);
        }
        Ok(Inode { ino, raw, tail: copied(tail)? })
    }

    /// Reads an inode that is in use. `ESTALE` for one that is not.
    pub(crate) fn inode(&mut self, ino: u32) -> Result<Inode> {
        let inode = self.raw_inode(ino)?;
        if inode.mode() == 0 {
            return Err(Errno::ESTALE.into());
        }
        if self.geo.inode_size > OLD_INODE_SIZE
            && (OLD_INODE_SIZE + inode.extra() > self.geo.inode_size || !inode.extra().is_multiple_of(4))
        {
            return corrupt("i_extra_isize");
        }
        if self.geo.csum {
            let sum = self.inode_checksum(&inode);
            let (lo, hi) = (inode.raw.checksum_lo.get(), inode.raw.checksum_hi.get());
            let right = match self.geo.inode_size > OLD_INODE_SIZE && inode.has_field(0x84) {
                true => sum == u32::from(lo) | u32::from(hi) << 16,
                false => sum as u16 == lo,
            };
            if !right {
                return Err(Error::Checksum("inode"));
            }
        }
        if inode.file_type().is_none() {
            return corrupt("i_mode");
        }
        if inode.size() > fs::MAX_FILE_SIZE || (inode.is_dir() && inode.size() > u64::from(u32::MAX) << self.geo.block_bits)
        {
            return corrupt("i_size");
        }
        if inode.has(flag::EA_INODE) {
            return corrupt("i_flags: ea_inode");
        }
        Ok(inode)
    }

    /// Writes an inode with its checksum.
    pub(crate) fn put_inode(&mut self, inode: &Inode) -> Result<()> {
        let mut raw = inode.raw;
        if self.geo.csum {
            let sum = self.inode_checksum(inode);
            raw.checksum_lo.set(sum as u16);
            if self.geo.inode_size > OLD_INODE_SIZE && inode.has_field(0x84) {
                raw.checksum_hi.set((sum >> 16) as u16);
            }
        }
        let (block, at) = self.inode_place(inode.ino)?;
        let size = self.geo.inode_size;
        let data = self.edit(block)?;
        let Some(place) = data.get_mut(at..at + size) else { return corrupt("inode table") };
        let n = size.min(size_of::<RawInode>());
        let (head, tail) = place.split_at_mut(n);
        head.copy_from_slice(raw.as_bytes().get(..n).unwrap_or(&[]));
        match tail.len() == inode.tail.len() {
            true => tail.copy_from_slice(&inode.tail),
            false => return corrupt("size of an inode"),
        }
        Ok(())
    }

    /// Everything stat(2) reports, but for the device.
    pub(crate) fn metadata(&mut self, inode: &Inode) -> Metadata {
        let device = matches!(inode.file_type(), Some(FileType::Char | FileType::Block));
        Metadata {
            dev: 0,
            ino: u64::from(inode.ino),
            mode: inode.mode(),
            nlink: inode.links(),
            uid: inode.uid(),
            gid: inode.gid(),
            rdev: if device { inode.rdev() } else { 0 },
            size: inode.size(),
            blksize: self.geo.block_size as u32,
            blocks: self.sectors(inode),
            atime: inode.atime(),
            mtime: inode.mtime(),
            ctime: inode.ctime(),
            btime: inode.crtime(),
        }
    }
}
