//! Translation look-aside buffers: what must be flushed after page tables change, and what may be
//! freed only then.

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::vec::Vec;

use super::size::PAGE as PAGE_SIZE;
use super::{huge, user_page};
use crate::cpu::tlb::FLUSH_ALL_ABOVE;
pub use crate::cpu::tlb::{flush_all_local, flush_local};
use crate::cpu::{ipi, percpu};
use sync::order;

/// So many frames wait for one flush.
const MAX_FRAMES: usize = 2048;

/// Marks the address of a large page among those of frames.
const HUGE: u64 = 1;

/// Interrupts the other CPUs of `cpus` and waits until each has been: a memory barrier there
/// (membarrier(2)).
pub fn interrupt(cpus: &CpuMask) {
    core::sync::atomic::fence(Ordering::SeqCst);
    shoot_down(cpus.bits(), 0, PAGE_SIZE);
}

/// Has this CPU and the others of `cpus` serialize before they execute more of the application, and
/// returns when those that run it have. One that uses the space for nothing sees the new generation
/// before it goes on, and loads CR3, which serializes too.
pub fn serialize(cpus: &CpuMask, generation: &Generation) {
    generation.advance();
    shoot_down(in_use(cpus.bits()), 0, PAGE_SIZE);
    crate::cpu::control::serialize();
}

/// Number of this CPU.
pub fn this_cpu() -> u32 {
    percpu::this_cpu().id.get()
}

/// The CPUs of `cpus` but for those that are idle.
fn in_use(cpus: u64) -> u64 {
    percpu::each(cpus).filter(|cpu| !cpu.lazy.load(Ordering::SeqCst)).map(|cpu| 1 << cpu.id.get()).sum()
}

/// Interrupts all other CPUs.
pub fn interrupt_all() {
    core::sync::atomic::fence(Ordering::SeqCst);
    shoot_down(u64::MAX, 0, PAGE_SIZE);
}

/// Flushes `start..end`, of the kernel's half, everywhere.
pub fn flush_kernel(start: u64, end: u64) {
    flush_local(start, end);
    shoot_down(u64::MAX, start, end);
}

fn shoot_down(cpus: u64, start: u64, end: u64) {
    let others = cpus & percpu::online() & !(1 << percpu::this_cpu().id.get());
    if others != 0 {
        order::may_wait_for_cpus();
        ipi::flush(others, start, end);
    }
}

/// Counts the changes of an address space that CPUs have had to flush. One that uses it for nothing
/// at the moment is not interrupted; it compares before it goes on.
#[derive(Default)]
pub struct Generation(AtomicU64);

impl Generation {
    /// The number of changes so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// CPUs that may hold translations of one address space: bit n is CPU n.
#[derive(Default)]
pub struct CpuMask(AtomicU64);

impl CpuMask {
    /// Notes that `cpu` runs on the address space.
    pub fn add(&self, cpu: u32) {
        self.0.fetch_or(1 << cpu, Ordering::SeqCst);
    }

    /// Notes that `cpu` left it (and its translations are gone with CR3).
    pub fn remove(&self, cpu: u32) {
        self.0.fetch_and(!(1 << cpu), Ordering::SeqCst);
    }

    /// The mask now.
    pub fn bits(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Changes to one address space whose stale translations are still to be flushed. Frames and tables
/// that were unmapped wait here and are released after the flush; dropping the batch does both.
pub struct TlbBatch<'a> {
    cpus: &'a CpuMask,
    generation: &'a Generation,
    start: u64,
    end: u64,
    frames: Vec<u64>,
    tables: bool,
}

impl<'a> TlbBatch<'a> {
    /// An empty batch for the address space that runs on `cpus`.
    pub fn new(cpus: &'a CpuMask, generation: &'a Generation) -> Self {
        Self { cpus, generation, start: u64::MAX, end: 0, frames: Vec::new(), tables: false }
    }

    /// The translations of `addr..addr + size` changed in a way that CPUs must see.
    pub fn touch(&mut self, addr: u64, size: u64) {
        self.start = self.start.min(addr);
        self.end = self.end.max(addr + size);
    }

    /// Releases one reference to a frame once the flush is done.
    pub fn free_frame(&mut self, phys: u64) {
        self.free(phys);
    }

    /// Releases what a large leaf has of the page `phys` once the flush is done.
    pub fn free_huge(&mut self, phys: u64) {
        self.free(phys | HUGE);
    }

    fn free(&mut self, phys: u64) {
        // Without room to remember it, flush at once: memory is short exactly when it is being
        // given back.
        let full = self.frames.len() == self.frames.capacity();
        if full && (self.frames.len() >= MAX_FRAMES || self.frames.try_reserve(64).is_err()) {
            self.flush();
        }
        if self.frames.capacity() == 0 {
            release(phys);
        } else {
            self.frames.push(phys);
        }
    }

    /// Releases the frame of a page table once the flush is done.
    pub fn free_table(&mut self, phys: u64) {
        self.tables = true;
        self.free_frame(phys);
    }

    /// Flushes and releases what has gathered.
    pub fn flush(&mut self) {
        self.flush_translations();
        self.frames.drain(..).for_each(release);
    }

    /// The first half of [`Self::flush`]. What was unmapped is still to be released, which need not
    /// hold up anybody.
    pub fn flush_translations(&mut self) {
        if self.tables {
            // A freed table may have been cached for any address below it.
            self.start = 0;
            self.end = self.end.max((FLUSH_ALL_ABOVE + 1) * PAGE_SIZE);
        }
        if self.start < self.end {
            // The tables have changed before; a CPU that goes on with the space from here on sees
            // the new generation, and one that has seen the old one is not lazy any more.
            self.generation.advance();
            let cpus = self.cpus.bits();
            let here = 1 << percpu::this_cpu().id.get();
            if cpus & here != 0 {
                flush_local(self.start, self.end);
            }
            // Freed tables are not left to a lazy CPU either: it might walk them of its own accord.
            let others = if self.tables { cpus } else { in_use(cpus) };
            shoot_down(others, self.start, self.end);
        }
        (self.start, self.end, self.tables) = (u64::MAX, 0, false);
    }
}

fn release(phys: u64) {
    if phys & HUGE != 0 { huge::put(phys & !HUGE) } else { user_page::put(phys) }
}

impl Drop for TlbBatch<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
