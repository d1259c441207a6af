//! Pages that may hold something, asked without a lock.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::flags::PAGE_SIZE;

const WORDS: usize = 16;

/// A set of pages that may say yes for a page that was never added: pages share bits. Nothing is
/// taken out again one by one.
#[derive(Default)]
pub(super) struct PageFilter([AtomicU64; WORDS]);

impl PageFilter {
    fn bit(&self, page: u64) -> (&AtomicU64, u64) {
        // Neighbouring pages differ in the low bits; areas of a program, in the next.
        let n = (page ^ (page >> 10)) as usize;
        (&self.0[n / 64 % WORDS], 1 << (n % 64))
    }

    /// Adds the pages of `len` bytes from `at` on, before anybody may meet what lies there.
    pub(super) fn add(&self, at: u64, len: u64) {
        for page in at / PAGE_SIZE..=(at + len.saturating_sub(1)) / PAGE_SIZE {
            let (word, bit) = self.bit(page);
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::SeqCst);
            }
        }
    }

    /// Whether the page of `at` was added; perhaps yes where it was not.
    pub(super) fn may_have(&self, at: u64) -> bool {
        let (word, bit) = self.bit(at / PAGE_SIZE);
        word.load(Ordering::SeqCst) & bit != 0
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Ordering::SeqCst));
    }

    /// Becomes as `other` is.
    pub(super) fn copy_from(&self, other: &Self) {
        for (word, theirs) in self.0.iter().zip(&other.0) {
            word.store(theirs.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
}
