//! The Linux 64-bit boot protocol: `struct boot_params` ("zero page"), for Firecracker before 1.12.
//!
//! Source: Documentation/arch/x86/zero-page.rst and boot.rst.

use core::ptr;

use super::boot_info::{BootInfo, early_virt};

const ACPI_RSDP_ADDR: u64 = 0x070;
const EXT_RAMDISK_IMAGE: u64 = 0x0c0;
const EXT_RAMDISK_SIZE: u64 = 0x0c4;
const EXT_CMD_LINE_PTR: u64 = 0x0c8;
const E820_ENTRIES: u64 = 0x1e8;
const RAMDISK_IMAGE: u64 = 0x218;
const RAMDISK_SIZE: u64 = 0x21c;
const CMD_LINE_PTR: u64 = 0x228;
const E820_TABLE: u64 = 0x2d0;
const E820_ENTRY_SIZE: u64 = 20;
const E820_TYPE_RAM: u32 = 1;
const E820_MAX_ENTRIES: u8 = 128;

/// Reads the zero page at physical address `params`.
///
/// # Safety
/// `params` comes from the loader and the boot page tables are live.
pub(super) unsafe fn read(params: u64, boot: &mut BootInfo) {
    // SAFETY: each field lies in the page that the protocol puts at `params`.
    let read_u32 = |offset: u64| -> u64 { unsafe { ptr::read_unaligned(early_virt(params + offset).cast::<u32>()) }.into() };
    // SAFETY: as above, and `offset` is within the E820 table in the same page.
    let read_u64 = |offset: u64| -> u64 { unsafe { ptr::read_unaligned(early_virt(params + offset).cast::<u64>()) } };
    // SAFETY: as above.
    let entries = unsafe { early_virt(params + E820_ENTRIES).read() }.min(E820_MAX_ENTRIES);
    for index in 0..u64::from(entries) {
        let entry = E820_TABLE + index * E820_ENTRY_SIZE;
        if read_u32(entry + 16) == u64::from(E820_TYPE_RAM) {
            boot.add_memory(read_u64(entry), read_u64(entry + 8));
        }
    }
    boot.add_module(
        read_u32(RAMDISK_IMAGE) | read_u32(EXT_RAMDISK_IMAGE) << 32,
        read_u32(RAMDISK_SIZE) | read_u32(EXT_RAMDISK_SIZE) << 32,
    );
    boot.rsdp = read_u64(ACPI_RSDP_ADDR);
    // SAFETY: a NUL-terminated string by the protocol.
    unsafe { boot.copy_command_line(read_u32(CMD_LINE_PTR) | read_u32(EXT_CMD_LINE_PTR) << 32) };
}
