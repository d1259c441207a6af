//! Inodes: choosing a group for a new one, and giving them back.

use crate::error::{Result, corrupt};
use crate::extent::empty_root;
use crate::features::*;
use crate::group::{Bitmap, bit, clear_bits, find_bit, set_bits};
use crate::inode::Inode;
use crate::layout::*;
use crate::volume::Volume;
use fs::inode::NewNode;
use syscall_shim::Errno;
use zerocopy::FromZeros;

impl Volume {
    /// Whether a group would do for a new directory far from its parent: no worse than the average.
    fn roomy(&mut self, group: u32) -> Result<Option<u32>> {
        let desc = self.desc(group)?;
        let groups = u64::from(self.geo.groups);
        let inodes = u64::from(self.sb.free_inodes_count.get()) / groups;
        let blocks = self.free_blocks_count() / groups;
        let good =
            desc.free_inodes() > 0 && u64::from(desc.free_inodes()) >= inodes && u64::from(desc.free_blocks()) >= blocks;
        Ok(good.then_some(desc.used_dirs()))
    }

    /// Orlov's rule: directories of the root are spread over the disk, those below stay near their
    /// parent while that has room; files go to their directory's group, or to the next that has
    /// room.
    fn choose_group(&mut self, parent: &Inode, directory: bool) -> Result<u32> {
        let groups = self.geo.groups;
        let home = ((parent.ino - 1) / self.geo.inodes_per_group).min(groups - 1);
        if directory && (parent.ino == ROOT_INO || parent.has(flag::TOPDIR)) {
            let start = self.env.random() % groups;
            let mut best: Option<(u32, u32)> = None;
            for group in (0..groups.min(128)).map(|step| (start + step) % groups) {
                if let Some(dirs) = self.roomy(group)?
                    && best.is_none_or(|(old, _)| dirs < old)
                {
                    best = Some((dirs, group));
                }
            }
            if let Some((_, group)) = best {
                return Ok(group);
            }
        }
        let (inodes, blocks) = match directory {
            true => (self.geo.inodes_per_group / 4, self.geo.blocks_per_group / 4),
            false => (1, 1),
        };
        for (inodes, blocks) in [(inodes, blocks), (1, 1), (1, 0)] {
            for group in (0..groups).map(|step| ((u64::from(home) + u64::from(step)) % u64::from(groups)) as u32) {
                let desc = self.desc(group)?;
                if desc.free_inodes() >= inodes && desc.free_blocks() >= blocks {
                    return Ok(group);
                }
            }
        }
        Err(Errno::ENOSPC.into())
    }

    /// A new inode, not yet written, without links. `ENOSPC`.
    pub(crate) fn new_inode(&mut self, parent: &Inode, node: NewNode) -> Result<Inode> {
        let directory = node.mode & fs::S_IFMT == fs::S_IFDIR;
        let first = self.choose_group(parent, directory)?;
        let groups = self.geo.groups;
        for group in (0..groups).map(|step| ((u64::from(first) + u64::from(step)) % u64::from(groups)) as u32) {
            let mut desc = self.desc(group)?;
            if desc.free_inodes() == 0 {
                continue;
            }
            let bits = self.bitmap(group, &desc, Bitmap::Inodes)?;
            let low = if group == 0 { self.geo.first_ino as usize - 1 } else { 0 };
            let Some(index) = find_bit(&bits, low, self.geo.inodes_per_group as usize, false) else { continue };
            drop(bits);
            // Before the table of the group is used, its bitmap of blocks is written, which has the
            // table in it.
            if desc.flags.get() & BG_BLOCK_UNINIT != 0 && self.geo.ro_compat & (RO_GDT_CSUM | RO_METADATA_CSUM) != 0 {
                self.edit_bitmap(group, &mut desc, Bitmap::Blocks, |_| Ok(()))?;
            }
            self.edit_bitmap(group, &mut desc, Bitmap::Inodes, |bits| {
                set_bits(bits, index, index + 1);
                Ok(())
            })?;
            desc.set_free_inodes(desc.free_inodes() - 1);
            if directory {
                desc.set_used_dirs(desc.used_dirs() + 1);
            }
            if self.geo.ro_compat & (RO_GDT_CSUM | RO_METADATA_CSUM) != 0 {
                let behind = self.geo.inodes_per_group - (index as u32 + 1);
                desc.set_itable_unused(desc.itable_unused().min(behind));
            }
            self.put_desc(group, &desc)?;
            self.sb.free_inodes_count.set(self.sb.free_inodes_count.get().saturating_sub(1));
            self.sb_dirty = true;
            return self.init_inode(group * self.geo.inodes_per_group + index as u32 + 1, parent, node);
        }
        Err(Errno::ENOSPC.into())
    }

    fn init_inode(&mut self, ino: u32, parent: &Inode, node: NewNode) -> Result<Inode> {
        let tail = crate::cache::zeroed(self.geo.inode_size.saturating_sub(size_of::<RawInode>()))?;
        let mut inode = Inode { ino, raw: RawInode::new_zeroed(), tail };
        let now = self.now();
        inode.raw.mode.set(node.mode as u16);
        inode.raw.generation.set(self.env.random());
        inode.set_owner(node.uid, node.gid);
        if self.geo.inode_size > OLD_INODE_SIZE {
            let room = (self.geo.inode_size - OLD_INODE_SIZE) as u16;
            let want = if self.geo.want_extra_isize == 0 { 32 } else { self.geo.want_extra_isize };
            inode.raw.extra_isize.set((want & !3).min(room));
            inode.set_crtime(now);
            if parent.has(flag::PROJINHERIT) {
                inode.raw.projid = parent.raw.projid;
            }
        }
        inode.set_atime(now);
        inode.set_mtime(now);
        inode.set_ctime(now);
        let kind = node.mode & fs::S_IFMT;
        let mut flags = parent.raw.flags.get() & flag::INHERITED;
        if kind != fs::S_IFDIR {
            // What only makes sense for directories.
            flags &= !(flag::PROJINHERIT | 0x4000);
        }
        if !matches!(kind, fs::S_IFDIR | fs::S_IFREG) {
            flags &= flag::NODUMP | flag::NOATIME;
        }
        inode.raw.flags.set(flags);
        if self.geo.has_incompat(INCOMPAT_EXTENTS) && matches!(kind, fs::S_IFDIR | fs::S_IFREG) {
            self.use_extents(&mut inode);
        }
        Ok(inode)
    }

    /// Gives an inode without blocks an empty tree of extents.
    pub(crate) fn use_extents(&self, inode: &mut Inode) {
        inode.set_flag(flag::EXTENTS, true);
        inode.raw.block = empty_root();
    }

    /// Gives an inode back that has no links and no blocks any more.
    pub(crate) fn free_inode(&mut self, inode: &mut Inode) -> Result<()> {
        let (group, index) = ((inode.ino - 1) / self.geo.inodes_per_group, (inode.ino - 1) % self.geo.inodes_per_group);
        if inode.ino < self.geo.first_ino {
            return corrupt("number of an inode to be freed");
        }
        let mut desc = self.desc(group)?;
        self.edit_bitmap(group, &mut desc, Bitmap::Inodes, |bits| {
            if !bit(bits, index as usize) {
                return corrupt("inode bitmap: an inode in use is free");
            }
            clear_bits(bits, index as usize, index as usize + 1);
            Ok(())
        })?;
        desc.set_free_inodes(desc.free_inodes() + 1);
        if inode.is_dir() {
            desc.set_used_dirs(desc.used_dirs().saturating_sub(1));
        }
        self.put_desc(group, &desc)?;
        self.sb.free_inodes_count.set(self.sb.free_inodes_count.get() + 1);
        self.sb_dirty = true;
        inode.raw.dtime.set(self.now().sec as u32);
        inode.set_size(0);
        self.put_inode(inode)
    }
}
