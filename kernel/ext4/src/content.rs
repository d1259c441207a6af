//! Where the pages of a file come from and go to.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use ext4::Ext4;
use fs::{PAGE_SIZE, PageRef, PageSource};
use syscall_shim::{Errno, SysResult};

use crate::node::Node;

const PAGE: u64 = PAGE_SIZE as u64;
/// The most pages that are written at once, and how far ahead of a stream is read.
const RUN: usize = 64;
const READ_AHEAD: u64 = 32;

/// The content of a file on the disk.
pub struct Content {
    /// The file system.
    pub core: Arc<Ext4>,
    /// The file.
    pub ino: u32,
    /// Its node, which lives as long as a page of it is dirty.
    pub node: Weak<Node>,
}

/// A buffer. `ENOMEM`.
fn buffer(len: usize) -> SysResult<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    buffer.resize(len, 0);
    Ok(buffer)
}

impl PageSource for Content {
    fn fill(&self, index: u64, page: &PageRef) -> SysResult<()> {
        self.fill_run(index, core::slice::from_ref(page))
    }

    fn fill_run(&self, first: u64, pages: &[PageRef]) -> SysResult<()> {
        // What the buffer keeps of zeros is a hole, or lies behind the end.
        let mut bytes = buffer(pages.len() * PAGE_SIZE)?;
        self.core.read(self.ino, first.checked_mul(PAGE).ok_or(Errno::EFBIG)?, &mut bytes)?;
        for (bytes, page) in bytes.chunks(PAGE_SIZE).zip(pages) {
            page.write(0, bytes);
        }
        Ok(())
    }

    fn read_ahead(&self) -> u64 {
        READ_AHEAD
    }

    fn has_backing(&self) -> bool {
        true
    }

    fn dirtied(&self, _index: u64) {
        if let Some(node) = self.node.upgrade() {
            node.keep_dirty();
        }
    }

    fn write_back(&self, index: u64, page: &PageRef) -> SysResult<()> {
        self.write_run(&[(index, page.clone())])
    }

    fn write_run(&self, pages: &[(u64, PageRef)]) -> SysResult<()> {
        let Some(size) = self.node.upgrade().map(|node| node.size()) else { return Err(Errno::EIO) };
        let mut result = Ok(());
        for run in pages.chunk_by(|(a, _), (b, _)| a + 1 == *b).flat_map(|run| run.chunks(RUN)) {
            result = result.and(self.write_pages(run, size));
        }
        result
    }
}

impl Content {
    /// Writes pages that follow each other, up to the file's `size`: all at once, or in halves
    /// where there is no memory for that.
    fn write_pages(&self, run: &[(u64, PageRef)], size: u64) -> SysResult<()> {
        let Some((first, _)) = run.first() else { return Ok(()) };
        let at = first * PAGE;
        let len = size.saturating_sub(at).min(run.len() as u64 * PAGE) as usize;
        if len == 0 {
            return Ok(());
        }
        match buffer(len) {
            Ok(mut bytes) => {
                for (bytes, (_, page)) in bytes.chunks_mut(PAGE_SIZE).zip(run) {
                    page.read(0, bytes);
                }
                Ok(self.core.write(self.ino, at, &bytes)?)
            }
            Err(_) if run.len() > 1 => {
                let (before, behind) = run.split_at(run.len() / 2);
                self.write_pages(before, size).and(self.write_pages(behind, size))
            }
            Err(errno) => Err(errno),
        }
    }
}
