//! The translation look-aside buffer of this CPU.

use base::addr::PAGE_SIZE;
use x86_64::instructions::tlb;
use x86_64::registers::control::{Cr3, Cr3Flags, Cr4, Cr4Flags};
use x86_64::structures::paging::PhysFrame;
use x86_64::{PhysAddr, VirtAddr};

use crate::irq;

/// First address of the kernel's half.
const KERNEL_HALF: u64 = 1 << 63;

/// More pages than this are flushed by reloading CR3 (Linux's `tlb_single_page_flush_ceiling`).
pub const FLUSH_ALL_ABOVE: u64 = 33;

/// Flushes the translations of `start..end` on this CPU. Also what a shootdown's receiver calls.
pub fn flush_local(start: u64, end: u64) {
    if (end - start) / PAGE_SIZE as u64 > FLUSH_ALL_ABOVE {
        if start >= KERNEL_HALF { flush_global() } else { tlb::flush_all() }
    } else {
        for addr in (start..end).step_by(PAGE_SIZE) {
            tlb::flush(VirtAddr::new_truncate(addr));
        }
    }
}

/// Flushes all translations of the program's half on this CPU.
pub fn flush_all_local() {
    tlb::flush_all();
}

/// Makes this CPU use the page tables below `root`, without stale translations.
///
/// # Safety
/// The upper half of the tables is the kernel's, so that its code, stack and data stay mapped as
/// they are, and they live until another root is loaded.
pub unsafe fn load_root(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
    // SAFETY: by the caller.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// Physical address of the root of the page tables that this CPU uses.
pub fn loaded_root() -> u64 {
    Cr3::read().0.start_address().as_u64()
}

/// Flushes everything, global translations too (SDM volume 3A, 4.10.4.1: a change of CR4.PGE does).
fn flush_global() {
    let cr4 = Cr4::read();
    let interrupts = irq::save_and_disable();
    // SAFETY: only PGE changes, and is restored at once.
    unsafe {
        Cr4::write(cr4 & !Cr4Flags::PAGE_GLOBAL);
        Cr4::write(cr4);
    }
    irq::restore(interrupts);
}
