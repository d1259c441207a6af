//! Block maps of ext2 and ext3: twelve blocks in the inode, then trees of one, two and three levels
//! of pointers.

use crate::error::{Error, Result, corrupt};
use crate::inode::Inode;
use crate::layout::{put, u32_at};
use crate::volume::Volume;
use alloc::vec::Vec;
use syscall_shim::Errno;

const DIRECT: u64 = 12;

/// Which pointer of `i_block` leads to a block of the file, and the index in each block of pointers
/// on the way.
struct Path {
    root: usize,
    steps: Vec<usize>,
}

/// A removal on its way: runs of blocks, from the end backwards.
pub(crate) struct IndirectCut {
    pub removed: Vec<(u64, u64)>,
    budget: usize,
    pub more: bool,
}

impl Volume {
    fn pointers(&self) -> u64 {
        (self.geo.block_size / 4) as u64
    }

    fn indirect_path(&self, block: u64) -> Result<Path> {
        let per = self.pointers();
        if block < DIRECT {
            return Ok(Path { root: block as usize, steps: Vec::new() });
        }
        let mut rest = block - DIRECT;
        let mut span = per;
        for level in 1..=3usize {
            if rest < span {
                let mut steps = Vec::with_capacity(3);
                let mut below = span;
                for _ in 0..level {
                    below /= per;
                    steps.push((rest / below) as usize);
                    rest %= below;
                }
                return Ok(Path { root: 11 + level, steps });
            }
            rest -= span;
            span *= per;
        }
        Err(Errno::EFBIG.into())
    }

    fn check_pointer(&self, pointer: u32) -> Result<u64> {
        match pointer == 0 || self.geo.valid(u64::from(pointer), 1) {
            true => Ok(u64::from(pointer)),
            false => corrupt("pointer in a block map"),
        }
    }

    /// The block on the disk of `block` of the file (0: none) and how many after it are alike, up
    /// to `max`.
    pub(crate) fn indirect_map(&mut self, inode: &Inode, block: u64, max: u64) -> Result<(u64, u64)> {
        let path = self.indirect_path(block)?;
        let pointer = u32_at(&inode.raw.block, path.root * 4).ok_or(Error::Corrupt("block map"))?;
        let mut here = self.check_pointer(pointer)?;
        let mut span: u64 = self.pointers().pow(path.steps.len() as u32);
        let mut within = if path.steps.is_empty() { 0 } else { block - DIRECT };
        (1..path.steps.len() as u32).for_each(|level| within -= self.pointers().pow(level));
        for (level, step) in path.steps.iter().enumerate() {
            if here == 0 {
                break;
            }
            span /= self.pointers();
            within %= span.max(1);
            let data = self.block(here)?;
            let at = |i: usize| u32_at(&data, i * 4).unwrap_or(0);
            here = self.check_pointer(at(*step))?;
            if level + 1 == path.steps.len() && here != 0 {
                let left = (self.pointers() - *step as u64).min(max);
                let run = (1..left).take_while(|n| u64::from(at(*step + *n as usize)) == here + n).count() as u64;
                return Ok((here, run + 1));
            }
        }
        if here != 0 {
            let next = |n: u64| u32_at(&inode.raw.block, (path.root + n as usize) * 4).unwrap_or(0);
            let left = (DIRECT - block).min(max);
            let run = (1..left).take_while(|n| u64::from(next(*n)) == here + n).count() as u64;
            return Ok((here, run + 1));
        }
        Ok((0, (span - within % span.max(1)).clamp(1, max.max(1))))
    }

    /// Makes `target` the block of `block` of the file, where there was a hole.
    pub(crate) fn indirect_set(&mut self, inode: &mut Inode, block: u64, target: u64) -> Result<()> {
        let narrow = u32::try_from(target).map_err(|_| Errno::EFBIG)?;
        let path = self.indirect_path(block)?;
        let pointer = u32_at(&inode.raw.block, path.root * 4).ok_or(Error::Corrupt("block map"))?;
        let mut here = self.check_pointer(pointer)?;
        if path.steps.is_empty() {
            return self.set_pointer(&mut inode.raw.block, path.root, narrow);
        }
        if here == 0 {
            here = self.new_pointers(inode)?;
            self.set_pointer(&mut inode.raw.block, path.root, here as u32)?;
        }
        for (level, step) in path.steps.iter().enumerate() {
            let last = level + 1 == path.steps.len();
            let data = self.block(here)?;
            let mut next = self.check_pointer(u32_at(&data, step * 4).unwrap_or(0))?;
            drop(data);
            if last || next == 0 {
                next = if last { target } else { self.new_pointers(inode)? };
                let data = self.edit(here)?;
                if !put(data, step * 4, &(next as u32).to_le_bytes()) {
                    return corrupt("block map");
                }
            }
            here = next;
        }
        Ok(())
    }

    fn set_pointer(&self, root: &mut [u8; 60], at: usize, pointer: u32) -> Result<()> {
        match put(root, at * 4, &pointer.to_le_bytes()) {
            true => Ok(()),
            false => corrupt("block map"),
        }
    }

    fn new_pointers(&mut self, inode: &mut Inode) -> Result<u64> {
        let goal = self.inode_goal(inode.ino);
        let block = self.new_metadata_block(inode, goal)?;
        if block > u64::from(u32::MAX) {
            return Err(Errno::EFBIG.into());
        }
        self.fresh(block)?;
        Ok(block)
    }

    /// Takes up to `budget` runs, the last ones of `[from, to)`, out of the map.
    pub(crate) fn cut_indirect(&mut self, inode: &mut Inode, from: u64, to: u64, budget: usize) -> Result<IndirectCut> {
        let mut cut = IndirectCut { removed: Vec::new(), budget, more: false };
        let per = self.pointers();
        let bases = [DIRECT, DIRECT + per, DIRECT + per + per * per];
        for (level, base) in bases.into_iter().enumerate().rev() {
            let root = 12 + level;
            let pointer = self.check_pointer(u32_at(&inode.raw.block, root * 4).unwrap_or(0))?;
            if pointer != 0 && base < to && base + per.pow(level as u32 + 1) > from {
                let empty = self.cut_pointers(inode, pointer, level as u32, base, (from, to), &mut cut)?;
                if empty {
                    self.free_metadata_block(inode, pointer)?;
                    self.set_pointer(&mut inode.raw.block, root, 0)?;
                }
            }
        }
        for i in (from..to.min(DIRECT)).rev() {
            let pointer = self.check_pointer(u32_at(&inode.raw.block, i as usize * 4).unwrap_or(0))?;
            if pointer != 0 && cut.take(pointer) {
                self.set_pointer(&mut inode.raw.block, i as usize, 0)?;
            }
        }
        Ok(cut)
    }

    /// Cuts below a block of pointers; true when it has none left.
    fn cut_pointers(
        &mut self,
        inode: &mut Inode,
        block: u64,
        level: u32,
        base: u64,
        (from, to): (u64, u64),
        cut: &mut IndirectCut,
    ) -> Result<bool> {
        let per = self.pointers();
        let span = per.pow(level);
        let data = self.block(block)?;
        let mut cleared: Vec<usize> = Vec::new();
        let mut kept = false;
        for i in (0..per as usize).rev() {
            let pointer = self.check_pointer(u32_at(&data, i * 4).unwrap_or(0))?;
            let start = base + i as u64 * span;
            if pointer == 0 {
                continue;
            }
            let gone = start < to
                && start + span > from
                && match level {
                    0 => cut.take(pointer),
                    _ if cut.more => false,
                    _ => {
                        let empty = self.cut_pointers(inode, pointer, level - 1, start, (from, to), cut)?;
                        if empty {
                            self.free_metadata_block(inode, pointer)?;
                        }
                        empty
                    }
                };
            match gone {
                true => cleared.push(i),
                false => kept = true,
            }
        }
        drop(data);
        if kept && !cleared.is_empty() {
            let data = self.edit(block)?;
            for i in cleared {
                if !put(data, i * 4, &[0; 4]) {
                    return corrupt("block map");
                }
            }
        }
        Ok(!kept)
    }
}

impl IndirectCut {
    /// Adds a block, before the run at hand or as a new one. False when there were enough.
    fn take(&mut self, block: u64) -> bool {
        if let Some((first, len)) = self.removed.last_mut()
            && block + 1 == *first
        {
            *first = block;
            *len += 1;
            return true;
        }
        if self.removed.len() >= self.budget {
            self.more = true;
            return false;
        }
        self.removed.push((block, 1));
        true
    }
}
