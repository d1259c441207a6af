//! What the boot loader told us, whichever protocol it speaks.
//!
//! The structures of the loader lie in memory that will be given out as free, so all of it is
//! copied here first.

use base::addr::PhysRange;
use spin::Once;

pub use super::boot_info::{BootInfo, List};
use super::{linux_boot, pvh};

// Host tests link this crate at any address.
#[cfg(target_os = "none")]
core::arch::global_asm!(include_str!("boot.s"), options(att_syntax));

/// Names the payload that mkimage appended to the kernel: it finds this by the magic and fills in
/// the rest.
#[repr(C)]
struct PayloadHeader {
    magic: [u8; 16],
    phys: u64,
    len: u64,
    /// Of the file before the payload; for the host.
    _head_sum: u64,
    /// Of [`Image::parts`], address and length of the payload; 0 in a bare kernel.
    sum: u64,
    /// Length of the constants in the file, whose segment is longer in memory.
    rodata_len: u64,
}

#[used]
#[unsafe(link_section = ".skiff.payload")]
static PAYLOAD: PayloadHeader =
    PayloadHeader { magic: *b"SKIFFPAYLOAD\0\0\0\x02", phys: 0, len: 0, _head_sum: 0, sum: 0, rodata_len: 0 };

/// What mkimage has written into the kernel about itself and the payload.
pub struct Image {
    /// Physical memory of the payload; empty in a bare kernel.
    pub payload: PhysRange,
    /// What [`Image::parts`] add up to; 0 in a bare kernel.
    pub sum: u64,
    rodata_len: u64,
}

impl Image {
    /// Reads what stands in the image.
    pub fn read() -> Self {
        // SAFETY: a valid static; volatile because its value is changed after the compiler has seen
        // it.
        let PayloadHeader { phys, len, sum, rodata_len, .. } = unsafe { (&raw const PAYLOAD).read_volatile() };
        Self { payload: PhysRange { start: phys, end: phys.saturating_add(len) }, sum, rodata_len }
    }

    /// Code and constants, as they stood in the file; `None` where what the image says of them
    /// cannot be.
    pub fn parts(&self) -> Option<[&'static [u8]; 2]> {
        let [text, rodata] = crate::layout::image_constants();
        Some([text, rodata.get(..usize::try_from(self.rodata_len).ok()?)?])
    }
}

/// Whether the host has seen already that the image is as mkimage made it.
pub fn verified() -> bool {
    option("verified").is_some()
}

static BOOT_INFO: Once<BootInfo> = Once::new();

/// Which protocol entered the kernel; boot.s has the same numbers.
const PROTOCOL_PVH: u64 = 0;

/// Copies what the loader left. Called once, first of all.
///
/// # Safety
/// `info` is the loader's pointer, unchanged, and the boot page tables are live.
pub unsafe fn init(protocol: u64, info: u64) -> &'static BootInfo {
    BOOT_INFO.call_once(|| {
        let mut boot = BootInfo::new();
        // SAFETY: the caller's promise; each reader checks what the protocol lets it check.
        unsafe {
            if protocol == PROTOCOL_PVH {
                pvh::read(info, &mut boot);
            } else {
                linux_boot::read(info, &mut boot);
            }
        }
        boot.normalise();
        boot
    })
}

/// What the loader said. Empty before [`init`].
pub fn info() -> &'static BootInfo {
    static EMPTY: BootInfo = BootInfo::new();
    BOOT_INFO.get().unwrap_or(&EMPTY)
}

/// The value of `key=value` on the command line, or `""` for a bare `key`. The last one counts.
pub fn option(key: &str) -> Option<&'static str> {
    options(key).last()
}

/// Every value of `key` on the command line, in order; what follows `--` belongs to the program.
pub fn options(key: &str) -> impl Iterator<Item = &'static str> {
    info().command_line().split_ascii_whitespace().take_while(|word| *word != "--").filter_map(move |word| {
        match word.split_once('=') {
            Some((name, value)) if name == key => Some(value),
            None if word == key => Some(""),
            _ => None,
        }
    })
}
