//! The interrupt flag of this CPU.

use core::arch::asm;

const RFLAGS_IF: u64 = 1 << 9;

/// Whether interrupts are enabled on this CPU.
#[inline]
pub fn enabled() -> bool {
    let flags: u64;
    // SAFETY: reads RFLAGS through the stack of the kernel, which has no red zone.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(nomem, preserves_flags)) };
    flags & RFLAGS_IF != 0
}

/// Turns interrupts off; says whether they were on.
#[inline]
pub fn disable() -> bool {
    let was = enabled();
    // SAFETY: later interrupts only; not `nomem`, so that no access moves out of the critical section.
    unsafe { asm!("cli", options(nostack)) };
    was
}

/// Turns interrupts on.
///
/// # Safety
/// The IDT is loaded and no lock that a handler takes is held.
#[inline]
pub unsafe fn enable() {
    // SAFETY: the caller's promise.
    unsafe { asm!("sti", options(nostack)) };
}

/// Puts the flag back as [`disable`] found it.
#[inline]
pub fn restore(enabled: bool) {
    if enabled {
        // SAFETY: interrupts were on before, so they may be on again.
        unsafe { enable() };
    }
}

/// Waits for an interrupt, with interrupts on; returns with them on.
#[inline]
pub fn enable_and_halt() {
    // SAFETY: `sti` takes effect after the next instruction, so no interrupt is lost between the two.
    unsafe { asm!("sti", "hlt", options(nostack)) };
}

/// Stops this CPU for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: nothing is left to run here; an NMI comes back to the loop.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
