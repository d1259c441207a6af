//! Translation look-aside buffers: what must be flushed after page tables change, and what may be freed only then.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use alloc::vec::Vec;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

use super::flags::PAGE_SIZE;
use super::user_page;

/// More pages than this are flushed by reloading CR3 (Linux's `tlb_single_page_flush_ceiling`).
const FLUSH_ALL_ABOVE: u64 = 33;

/// Flushes other CPUs, those online of the mask: `(cpus, start, end)`, all of the lower half when `end - start` is large. Returns when they have.
pub type Shootdown = fn(cpus: u64, start: u64, end: u64);

static SHOOTDOWN: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Installs the function that flushes other CPUs; until then there is one CPU.
#[expect(dead_code, reason = "for the start of further CPUs")]
pub fn set_shootdown(f: Shootdown) {
    SHOOTDOWN.store(f as *mut (), Ordering::Release);
}

/// Flushes the translations of `start..end` on this CPU. Also what a shootdown's receiver calls.
pub fn flush_local(start: u64, end: u64) {
    if (end - start) / PAGE_SIZE > FLUSH_ALL_ABOVE {
        tlb::flush_all();
    } else {
        for addr in (start..end).step_by(PAGE_SIZE as usize) {
            tlb::flush(VirtAddr::new_truncate(addr));
        }
    }
}

/// Interrupts the other CPUs of `cpus` and waits until each has been: a memory barrier there (membarrier(2)).
pub fn interrupt(cpus: &CpuMask) {
    core::sync::atomic::fence(Ordering::SeqCst);
    shoot_down(cpus.bits(), 0, PAGE_SIZE);
}

/// Interrupts all other CPUs.
pub fn interrupt_all() {
    core::sync::atomic::fence(Ordering::SeqCst);
    shoot_down(u64::MAX, 0, PAGE_SIZE);
}

fn shoot_down(cpus: u64, start: u64, end: u64) {
    let others = cpus & !(1 << super::cpu_number());
    let hook = SHOOTDOWN.load(Ordering::Acquire);
    if others != 0 && !hook.is_null() {
        // SAFETY: the only value ever stored besides null is a `Shootdown`.
        let hook: Shootdown = unsafe { core::mem::transmute(hook) };
        hook(others, start, end);
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

/// Changes to one address space whose stale translations are still to be flushed. Frames and tables that were unmapped wait
/// here and are released after the flush; dropping the batch does both.
pub struct TlbBatch<'a> {
    cpus: &'a CpuMask,
    start: u64,
    end: u64,
    frames: Vec<u64>,
    tables: bool,
}

impl<'a> TlbBatch<'a> {
    /// An empty batch for the address space that runs on `cpus`.
    pub fn new(cpus: &'a CpuMask) -> Self {
        Self { cpus, start: u64::MAX, end: 0, frames: Vec::new(), tables: false }
    }

    /// The translations of `addr..addr + size` changed in a way that CPUs must see.
    pub fn touch(&mut self, addr: u64, size: u64) {
        self.start = self.start.min(addr);
        self.end = self.end.max(addr + size);
    }

    /// Releases one reference to a frame once the flush is done.
    pub fn free_frame(&mut self, phys: u64) {
        // Without room to remember it, flush at once: memory is short exactly when it is being given back.
        if self.frames.len() == self.frames.capacity() && (self.frames.len() >= 512 || self.frames.try_reserve(64).is_err())
        {
            self.flush();
        }
        if self.frames.capacity() == 0 {
            user_page::put(phys);
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
        if self.tables {
            // A freed table may have been cached for any address below it.
            self.start = 0;
            self.end = self.end.max((FLUSH_ALL_ABOVE + 1) * PAGE_SIZE);
        }
        if self.start < self.end {
            let cpus = self.cpus.bits();
            let here = 1 << super::cpu_number();
            if cpus & here != 0 {
                flush_local(self.start, self.end);
            }
            shoot_down(cpus, self.start, self.end);
        }
        (self.start, self.end, self.tables) = (u64::MAX, 0, false);
        for phys in self.frames.drain(..) {
            user_page::put(phys);
        }
    }
}

impl Drop for TlbBatch<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
