//! I/O ports.

use core::arch::asm;

macro_rules! port_access {
    ($in:ident, $out:ident, $ty:ty, $reg:tt, $width:literal) => {
        #[doc = concat!("Reads ", $width, " bits from an I/O port.")]
        ///
        /// # Safety
        /// The read must not have a side effect on memory that Rust relies on; the caller owns the
        /// device.
        #[inline]
        #[allow(dead_code, reason = "each width has both directions")]
        pub unsafe fn $in(port: u16) -> $ty {
            let value: $ty;
            // SAFETY: the caller answers for the device behind the port.
            unsafe {
                asm!(concat!("in ", $reg, ", dx"), out($reg) value, in("dx") port, options(nomem, nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes ", $width, " bits to an I/O port.")]
        ///
        /// # Safety
        /// The write must not have a side effect on memory that Rust relies on; the caller owns the
        /// device.
        #[inline]
        pub unsafe fn $out(port: u16, value: $ty) {
            // SAFETY: the caller answers for the device behind the port.
            unsafe {
                asm!(concat!("out dx, ", $reg), in("dx") port, in($reg) value, options(nostack, preserves_flags));
            }
        }
    };
}

port_access!(inb, outb, u8, "al", "8");
port_access!(inw, outw, u16, "ax", "16");
port_access!(inl, outl, u32, "eax", "32");
