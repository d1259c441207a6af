//! The PVH boot protocol: `struct hvm_start_info`.
//!
//! Source: xen/include/public/arch-x86/hvm/start_info.h.

use core::ptr;

use super::boot_info::{BootInfo, early_virt};

const START_INFO_MAGIC: u32 = 0x336e_c578;
/// Type of a memory map entry that is plain RAM, as in the E820 map.
const MEMMAP_TYPE_RAM: u32 = 1;
/// More entries than any loader makes; a larger count is taken for garbage.
const MEMMAP_ENTRIES_LIMIT: u32 = 1024;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist_paddr: u64,
    cmdline_paddr: u64,
    rsdp_paddr: u64,
    /// From here on since version 1.
    memmap_paddr: u64,
    memmap_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ModlistEntry {
    paddr: u64,
    size: u64,
    cmdline_paddr: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MemmapEntry {
    addr: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// Reads the start info at physical address `info`.
///
/// # Safety
/// `info` comes from the loader and the boot page tables are live.
pub(super) unsafe fn read(info: u64, boot: &mut BootInfo) {
    // SAFETY: the PVH protocol puts a start info there; 32-bit alignment is all it promises.
    let start: StartInfo = unsafe { ptr::read_unaligned(early_virt(info).cast()) };
    if start.magic != START_INFO_MAGIC {
        kerr!("boot: PVH start info at {info:#x} has magic {:#x}, expected {START_INFO_MAGIC:#x}", start.magic);
        return;
    }
    if start.version < 1 {
        kerr!("boot: PVH start info version 0 has no memory map, need version 1");
        return;
    }
    for index in 0..start.memmap_entries.min(MEMMAP_ENTRIES_LIMIT) {
        let at = start.memmap_paddr + u64::from(index) * size_of::<MemmapEntry>() as u64;
        // SAFETY: within the table that the start info describes.
        let entry: MemmapEntry = unsafe { ptr::read_unaligned(early_virt(at).cast()) };
        // qboot adds an empty entry and one of type 4 (ACPI NVS); neither is RAM to use.
        if entry.kind == MEMMAP_TYPE_RAM {
            boot.add_memory(entry.addr, entry.size);
        }
    }
    for index in 0..start.nr_modules {
        let at = start.modlist_paddr + u64::from(index) * size_of::<ModlistEntry>() as u64;
        // SAFETY: within the list that the start info describes.
        let module: ModlistEntry = unsafe { ptr::read_unaligned(early_virt(at).cast()) };
        boot.add_module(module.paddr, module.size);
    }
    boot.rsdp = start.rsdp_paddr;
    // SAFETY: a NUL-terminated string by the protocol.
    unsafe { boot.copy_command_line(start.cmdline_paddr) };
}
