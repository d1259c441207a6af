//! Interrupt vectors, and who handles what devices raise.
//!
//! Vectors 0 to 31 are the processor's exceptions. From 32 on they are ours: the higher, the more
//! urgent (the local APIC ranks by the upper four bits).

use core::sync::atomic::{AtomicU8, Ordering};

use super::hook::Hook;

/// First vector for devices.
pub const DEVICE_FIRST: u8 = 0x30;
/// Vectors for devices.
pub const DEVICE_COUNT: u8 = 64;
/// Asks another CPU to look at its run queue.
pub const RESCHEDULE: u8 = 0xf0;
/// Asks another CPU to drop translations.
pub const TLB_FLUSH: u8 = 0xf1;
/// The local APIC timer.
pub const TIMER: u8 = 0xfd;
/// Local APIC errors.
pub const ERROR: u8 = 0xfe;
/// Spurious interrupts of the local APIC; they take no end-of-interrupt.
pub const SPURIOUS: u8 = 0xff;

/// Handlers of the device vectors, written once before the interrupt is routed.
static HANDLERS: [Hook; DEVICE_COUNT as usize] = [const { Hook::new() }; DEVICE_COUNT as usize];
static NEXT: AtomicU8 = AtomicU8::new(0);

/// Gives `handler` a vector of its own. It runs in interrupt context on whichever CPU takes the
/// interrupt. `None` when all vectors are taken.
pub fn allocate(handler: fn()) -> Option<u8> {
    let index = NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < DEVICE_COUNT).then_some(n + 1)).ok()?;
    HANDLERS[usize::from(index)].set(handler);
    Some(DEVICE_FIRST + index)
}

/// Whether an interrupt may come at `vector`.
pub fn is_used(vector: u8) -> bool {
    match vector {
        RESCHEDULE | TLB_FLUSH | TIMER | ERROR => true,
        // It sets no bit in the in-service register, and nobody waits for it.
        SPURIOUS => false,
        other => other.checked_sub(DEVICE_FIRST).is_some_and(|index| index < NEXT.load(Ordering::Relaxed)),
    }
}

/// Calls the handler of a device vector; the caller then ends the interrupt. False when `vector` is
/// not a device's.
pub fn dispatch(vector: u8) -> bool {
    let Some(slot) = vector.checked_sub(DEVICE_FIRST).and_then(|index| HANDLERS.get(usize::from(index))) else {
        return false;
    };
    slot.call();
    true
}
