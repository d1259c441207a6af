//! Where a new address space has its parts, with and without address-space randomisation
//! (`arch/x86/mm/mmap.c`, `fs/binfmt_elf.c` of Linux).

use crate::{PAGE_SIZE, USER_TOP};

/// `ELF_ET_DYN_BASE`: two thirds of the address space.
const PIE_BASE: u64 = (USER_TOP / 3 * 2) & !(PAGE_SIZE - 1);
/// `mmap_rnd_bits`: 28 bits of pages.
const MMAP_RANDOM_BITS: u32 = 28;
/// `STACK_RND_MASK`: 22 bits of pages, 16 GiB.
const STACK_RANDOM_MASK: u64 = 0x3f_ffff;
/// `stack_guard_gap`: 256 pages.
pub const STACK_GUARD_GAP: u64 = 256 * PAGE_SIZE;
/// Least and greatest room kept for the stack below its top.
const GAP_MIN: u64 = 128 << 20;
const GAP_MAX: u64 = USER_TOP / 6 * 5;
/// How far the heap may start above the program.
const BRK_RANDOM_RANGE: u64 = 1 << 30;
/// The vDSO lies within one page-table page of the stack.
const PMD_SIZE: u64 = 2 << 20;

/// Random words, one per decision, so that none tells another.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// For the mmap base.
    pub mmap: u64,
    /// For the base of a PIE.
    pub pie: u64,
    /// For the stack's top.
    pub stack: u64,
    /// For the stack pointer within its page.
    pub stack_offset: u64,
    /// For the start of the heap.
    pub brk: u64,
    /// For the vDSO.
    pub vdso: u64,
}

/// The plan of one address space.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// First address above the stack.
    pub stack_top: u64,
    /// `mmap(2)` without an address searches downwards from here.
    pub mmap_base: u64,
    /// Base of a position-independent program with an interpreter.
    pub pie_base: u64,
    random: Option<Random>,
}

impl Layout {
    /// Plans an address space; `None` for `random` gives Linux's fixed places (`--no-aslr`).
    /// `stack_limit` is the soft `RLIMIT_STACK`: the gap kept free for the stack's growth.
    pub fn new(random: Option<Random>, stack_limit: u64) -> Self {
        let (mmap, pie, stack) = random.map_or((0, 0, 0), |r| (r.mmap, r.pie, r.stack));
        let bits = |word: u64| (word & ((1 << MMAP_RANDOM_BITS) - 1)) * PAGE_SIZE;
        let stack_spread = if random.is_some() { STACK_RANDOM_MASK * PAGE_SIZE } else { 0 };
        let gap = stack_limit.saturating_add(stack_spread + STACK_GUARD_GAP).clamp(GAP_MIN, GAP_MAX);
        Self {
            stack_top: USER_TOP - (stack & STACK_RANDOM_MASK) * PAGE_SIZE,
            mmap_base: (USER_TOP - gap - bits(mmap) + PAGE_SIZE - 1) & !(PAGE_SIZE - 1),
            pie_base: PIE_BASE + bits(pie),
            random,
        }
    }

    /// Base of a PIE whose segments want `align` (a power of two).
    pub fn pie_base_aligned(&self, align: u64) -> u64 {
        self.pie_base & !(align.max(PAGE_SIZE) - 1)
    }

    /// Start of the heap of a program that ends at `end`. `in_mmap_area` says that the program is a
    /// static PIE: its heap goes where a PIE would be, lest it meets the mappings above it.
    pub fn brk_start(&self, end: u64, in_mmap_area: bool) -> u64 {
        let end = if in_mmap_area { PIE_BASE } else { end.next_multiple_of(PAGE_SIZE) };
        match self.random {
            Some(r) => end + r.brk % (BRK_RANDOM_RANGE / PAGE_SIZE) * PAGE_SIZE,
            None => end,
        }
    }

    /// Where to put a vDSO (with its data pages) of `len` bytes, given the stack pointer at the
    /// program's start: a hint above the stack. `None`: wherever mmap finds room.
    pub fn vdso_hint(&self, start_stack: u64, len: u64) -> Option<u64> {
        let r = self.random?;
        let start = start_stack.checked_next_multiple_of(PAGE_SIZE)?;
        let end = start.checked_next_multiple_of(PMD_SIZE)?.min(USER_TOP).checked_sub(len)?;
        let slots = end.checked_sub(start)? / PAGE_SIZE + 1;
        Some(start + r.vdso % slots * PAGE_SIZE)
    }

    /// How far the first stack pointer lies below the strings, before alignment
    /// (`arch_align_stack`).
    pub fn stack_offset(&self) -> u64 {
        self.random.map_or(0, |r| r.stack_offset % 8192)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT_MIB: u64 = 8 << 20;

    fn random(word: u64) -> Option<Random> {
        Some(Random { mmap: word, pie: word, stack: word, stack_offset: word, brk: word, vdso: word })
    }

    #[test]
    fn fixed_places_are_linux_s() {
        let l = Layout::new(None, EIGHT_MIB);
        assert_eq!(l.stack_top, 0x7fff_ffff_f000);
        assert_eq!(l.mmap_base, 0x7fff_f7ff_f000);
        assert_eq!(l.pie_base, 0x5555_5555_4000);
        assert_eq!(l.brk_start(0x5555_5555_9123, false), 0x5555_5555_a000);
        assert_eq!(l.vdso_hint(0x7fff_ffff_e000, 0x3000), None);
        assert_eq!(l.stack_offset(), 0);
    }

    #[test]
    fn every_choice_stays_in_its_range() {
        for i in 0..2000u64 {
            let word = if i == 0 { u64::MAX } else { i.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
            let l = Layout::new(random(word), EIGHT_MIB);
            assert!(l.stack_top <= USER_TOP && l.stack_top > USER_TOP - (16 << 30));
            assert!(l.mmap_base + EIGHT_MIB + STACK_GUARD_GAP < l.stack_top);
            assert!((PIE_BASE..PIE_BASE + (1 << 40)).contains(&l.pie_base));
            assert_eq!(l.pie_base_aligned(2 << 20) % (2 << 20), 0);
            assert_eq!((l.stack_top | l.mmap_base | l.pie_base) % PAGE_SIZE, 0);
            let brk = l.brk_start(0x40_0000, false);
            assert!((0x40_0000..0x40_0000 + (1 << 30)).contains(&brk) && brk.is_multiple_of(PAGE_SIZE));
            if let Some(vdso) = l.vdso_hint(l.stack_top - 0x2000, 0x3000) {
                assert!(vdso + 0x3000 <= USER_TOP && vdso.is_multiple_of(PAGE_SIZE));
            }
        }
    }

    #[test]
    fn a_huge_stack_limit_keeps_a_sixth_for_mmap() {
        let l = Layout::new(None, u64::MAX);
        assert_eq!(l.mmap_base, (USER_TOP - GAP_MAX + PAGE_SIZE - 1) & !(PAGE_SIZE - 1));
    }
}
