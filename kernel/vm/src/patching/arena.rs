//! Pages of trampolines: `[skiff-calls]` in `/proc/PID/maps`, which the program may execute and
//! read.

use alloc::sync::Arc;
use alloc::vec::Vec;

use syscall_shim::patching::{INT3, JUMP_LEN, TRAMPOLINE_MAX, Window, is_guarded, places};

use crate::address_space::{Area, Locked};
use crate::flags::{MMAP_MIN_ADDR, PAGE_SIZE, Policy, Prot, USER_END, VmFlags, page_down};
use crate::object::{Object, SpecialPages};
use crate::user_page;

/// Pages in one arena: a few that suit nearly every site, or one for a site with less of a choice.
const PAGES: u64 = 4;
/// Trampolines begin at multiples of this many bytes.
const GRAIN: u64 = 16;
/// Grains in one arena.
const GRAINS: usize = (PAGES * PAGE_SIZE / GRAIN) as usize;

/// A piece of address space with room for trampolines.
pub(super) struct Arena {
    pub at: u64,
    pages: Arc<SpecialPages>,
    /// A bit per grain in use.
    used: [u64; GRAINS / 64],
    /// Shared with the space that this one was forked from, or no longer what it was: nothing is
    /// added.
    closed: bool,
}

impl Arena {
    /// The arena as a forked child has it.
    pub fn shared(&self) -> Self {
        Self { at: self.at, pages: self.pages.clone(), used: self.used, closed: true }
    }

    fn end(&self) -> u64 {
        self.at + self.pages.frames.len() as u64 * PAGE_SIZE
    }

    pub fn overlaps(&self, start: u64, end: u64) -> bool {
        start < self.end() && self.at < end
    }

    pub fn contains(&self, at: u64) -> bool {
        self.overlaps(at, at + 1)
    }

    /// Adds no more trampolines.
    pub fn close(&mut self) {
        self.closed = true;
    }

    fn is_free(&self, grain: usize) -> bool {
        self.used.get(grain / 64).is_some_and(|word| word >> (grain % 64) & 1 == 0)
    }

    /// Takes room for the longest trampoline at a place that suits the window.
    pub fn take(&mut self, window: &Window, site: u64) -> Option<u64> {
        const LENGTH: usize = TRAMPOLINE_MAX.div_ceil(GRAIN as usize);
        if self.closed {
            return None;
        }
        let last = ((self.end() - self.at) / GRAIN) as usize - LENGTH;
        let mut first = 0;
        loop {
            if first > last {
                return None;
            }
            let at = self.at + first as u64 * GRAIN;
            if !is_guarded(window, site, at) {
                // The lowest byte of the jump's displacement does not matter: on with the next
                // value of the others.
                let low = at.wrapping_sub(site + JUMP_LEN as u64) % 256;
                first += (256 - low).div_ceil(GRAIN) as usize;
            } else if let Some(used) = (first..first + LENGTH).rfind(|grain| !self.is_free(*grain)) {
                first = used + 1;
            } else {
                break;
            }
        }
        for grain in first..first + LENGTH {
            if let Some(word) = self.used.get_mut(grain / 64) {
                *word |= 1 << (grain % 64);
            }
        }
        Some(self.at + first as u64 * GRAIN)
    }

    /// Gives room back that [`Self::take`] gave and nothing was written to, beyond `len` bytes.
    pub fn trim(&mut self, at: u64, len: usize) {
        let first = ((at - self.at) / GRAIN) as usize;
        let (from, to) = (first + len.div_ceil(GRAIN as usize), first + TRAMPOLINE_MAX.div_ceil(GRAIN as usize));
        for grain in from..to {
            if let Some(word) = self.used.get_mut(grain / 64) {
                *word &= !(1 << (grain % 64));
            }
        }
    }

    /// Writes a trampoline's code.
    pub fn write(&self, mut at: u64, mut code: &[u8]) {
        while let Some(&phys) = self.pages.frames.get(((at - self.at) / PAGE_SIZE) as usize)
            && !code.is_empty()
        {
            let offset = (at % PAGE_SIZE) as usize;
            let (now, rest) = code.split_at(code.len().min(PAGE_SIZE as usize - offset));
            user_page::write(phys, offset, now);
            (at, code) = (at + now.len() as u64, rest);
        }
    }
}

impl Locked<'_> {
    /// Maps a new arena where a trampoline for this window can be. `None` when memory or address
    /// space is short.
    pub(super) fn new_arena(&mut self, window: &Window, site: u64) -> Option<Arena> {
        let count = if window.kept(4).is_none() { PAGES } else { 1 };
        let len = count * PAGE_SIZE;
        let fits = |at: &u64| {
            *at >= MMAP_MIN_ADDR && *at <= USER_END - len && {
                let areas = &self.inner.areas;
                !areas.any(*at, at + len) && areas.find_from(*at).is_none_or(|next| at + len <= next.start_gap())
            }
        };
        // A trampoline at the first address of the place must not reach over the end.
        let room = |at: &u64| at % PAGE_SIZE <= PAGE_SIZE - 256;
        let at = places(window, site).filter(room).map(page_down).find(fits)?;
        let mut frames = Vec::new();
        for _ in 0..count {
            match user_page::alloc() {
                Some(phys) => frames.push(phys),
                None => {
                    frames.into_iter().for_each(user_page::put);
                    return None;
                }
            }
        }
        for &phys in &frames {
            user_page::write(phys, 0, &[INT3; PAGE_SIZE as usize]);
        }
        let pages = Arc::new(SpecialPages { name: "[skiff-calls]", frames, owned: true });
        let flags = VmFlags::MAYREAD | VmFlags::MAYEXEC | VmFlags::DONTEXPAND;
        let backing = Some(Object::Special(pages.clone()));
        let prot = Prot::READ | Prot::EXEC;
        self.insert(Area {
            start: at,
            end: at + len,
            prot,
            flags,
            offset: 0,
            backing,
            name: None,
            policy: Policy::default(),
        });
        Some(Arena { at, pages, used: [0; GRAINS / 64], closed: false })
    }
}
