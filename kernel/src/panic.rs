//! The end of the kernel.

use core::panic::PanicInfo;

use crate::arch::poweroff;

/// The status that tells the host of a kernel panic.
const PANIC_STATUS: u8 = 120;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    crate::emergency!("\nskiff: kernel {info}");
    poweroff::poweroff(PANIC_STATUS)
}
