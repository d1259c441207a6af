//! Walking a kernel stack by its frame pointers.

use crate::layout;

/// Longest walk, against a stack that loops.
const DEPTH: usize = 400;

/// The frame pointer of the caller.
#[inline(always)]
pub fn frame_pointer() -> u64 {
    let rbp: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack, preserves_flags)) };
    rbp
}

/// Return addresses, innermost first, from a saved frame pointer. Ends at the first that does not
/// point into kernel code, or that lies where nothing is mapped; safe on a broken stack.
pub fn return_addresses(frame_pointer: u64) -> impl Iterator<Item = u64> {
    let mut rbp = frame_pointer;
    core::iter::from_fn(move || {
        let frame = layout::read_kernel_words::<2>(rbp)?;
        let [above, address] = frame;
        if !layout::kernel_text().contains(&address) {
            return None;
        }
        // Stacks grow down: a caller's frame lies above.
        rbp = if above > rbp { above } else { 0 };
        Some(address)
    })
    .take(DEPTH)
}
