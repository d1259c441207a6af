//! The memory of a ring, which the socket shares with a program.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use base::addr::PAGE_SIZE;
use fs::PageRef;
use syscall_shim::{Errno, SysResult};

/// Pages, one behind the other. What a program may write at any time is read as it comes: nothing
/// here trusts it.
pub struct Pages(Vec<PageRef>);

impl Pages {
    /// So many bytes of zeroes. `ENOMEM`.
    pub fn new(bytes: usize) -> SysResult<Pages> {
        let count = bytes / PAGE_SIZE;
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        for _ in 0..count {
            pages.push(PageRef::alloc()?);
        }
        Ok(Pages(pages))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &PageRef> {
        self.0.iter()
    }

    /// Bytes of memory.
    pub fn len(&self) -> usize {
        self.0.len() * PAGE_SIZE
    }

    /// Writes as far as the memory goes.
    pub fn write(&self, mut at: usize, mut bytes: &[u8]) {
        while let (false, Some(target)) = (bytes.is_empty(), self.0.get(at / PAGE_SIZE)) {
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE_SIZE - at % PAGE_SIZE));
            target.write(at % PAGE_SIZE, now);
            at += now.len();
            bytes = rest;
        }
    }

    /// Writes words.
    pub fn write_words(&self, at: usize, words: &[u32]) {
        words.iter().zip((at..).step_by(4)).for_each(|(word, at)| self.write(at, &word.to_ne_bytes()));
    }

    /// Reads as far as the memory goes.
    pub fn read(&self, mut at: usize, mut bytes: &mut [u8]) {
        while let (false, Some(source)) = (bytes.is_empty(), self.0.get(at / PAGE_SIZE)) {
            let now = bytes.len().min(PAGE_SIZE - at % PAGE_SIZE);
            let (now, rest) = bytes.split_at_mut(now);
            source.read(at % PAGE_SIZE, now);
            at += now.len();
            bytes = rest;
        }
    }

    /// A word.
    pub fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        self.read(at, &mut word);
        u32::from_ne_bytes(word)
    }

    /// A word by which the other side gives something away: nothing of that is read before it.
    pub fn status(&self, at: usize) -> u32 {
        let status = self.word(at);
        fence(Ordering::Acquire);
        status
    }

    /// Gives something away: all of it is written before the word is.
    pub fn set_status(&self, at: usize, status: u32) {
        fence(Ordering::Release);
        self.write(at, &status.to_ne_bytes());
    }
}
