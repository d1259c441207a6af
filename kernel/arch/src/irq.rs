//! The interrupt flag of this CPU.

use core::arch::asm;

const RFLAGS_IF: u64 = 1 << 9;

/// Whether interrupts are on.
#[inline]
pub fn enabled() -> bool {
    let flags: u64;
    // SAFETY: reads RFLAGS through the kernel's own stack.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags, options(preserves_flags)) };
    flags & RFLAGS_IF != 0
}

/// Turns interrupts off and tells whether they were on.
#[inline]
pub fn save_and_disable() -> bool {
    let was = enabled();
    disable();
    was
}

/// Turns interrupts on again if `was_enabled`.
#[inline]
pub fn restore(was_enabled: bool) {
    if was_enabled {
        enable();
    }
}

/// Turns interrupts off.
#[inline]
pub fn disable() {
    // SAFETY: only clears IF; the memory clobber keeps guarded accesses inside.
    unsafe { asm!("cli", options(nostack)) };
}

/// Turns interrupts on.
#[inline]
pub fn enable() {
    // SAFETY: only sets IF; every vector has a handler since the IDT was loaded.
    unsafe { asm!("sti", options(nostack)) };
}

/// Turns interrupts on and halts until one comes, with no window in which it could be missed.
#[inline]
pub fn enable_and_halt() {
    // SAFETY: `sti` holds interrupts back for one instruction, so a wake-up cannot fall between the
    // two.
    unsafe { asm!("sti", "hlt", options(nostack)) };
}

/// Stops this CPU for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: nothing is left to run here; an NMI comes back to the loop.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
