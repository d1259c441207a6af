//! The kernel's half of every address space: where the image, the direct map of RAM and the dynamic
//! area lie, and the arithmetic between physical and virtual addresses.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use base::addr::PhysRange;

/// Start of the direct map: physical address `p` is at `DIRECT_MAP + p`.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// End of the direct map: it reaches 64 TiB.
pub const DIRECT_MAP_END: u64 = 0xffff_c880_0000_0000;
/// Start of the kernel's dynamic area (stacks, device registers).
pub const DYNAMIC_AREA: u64 = 0xffff_c900_0000_0000;
/// The kernel image is linked at its physical address plus this.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

/// Bits of page table entries (SDM volume 3A, 4.5).
pub mod bits {
    /// The entry is valid.
    pub const PRESENT: u64 = 1 << 0;
    /// Writes are allowed.
    pub const WRITE: u64 = 1 << 1;
    /// No caching; with the default PAT, for device registers.
    pub const CACHE_DISABLE: u64 = 1 << 4;
    /// The CPU has used the entry.
    pub const ACCESSED: u64 = 1 << 5;
    /// The CPU has written through the entry.
    pub const DIRTY: u64 = 1 << 6;
    /// The entry maps a large page.
    pub const LARGE: u64 = 1 << 7;
    /// The translation survives a change of address space.
    pub const GLOBAL: u64 = 1 << 8;
    /// No instruction fetches.
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// The physical address in an entry.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
}

/// Physical address of the kernel's top-level page table, once there is one beside that of boot.s.
static KERNEL_PML4: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    static __kernel_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static boot_stack_guard: u8;
    static __boot_tables_start: u8;
    static __boot_tables_end: u8;
    static __kernel_end: u8;
}

fn image_range(start: *const u8, end: *const u8) -> PhysRange {
    PhysRange { start: start.addr() as u64 - KERNEL_BASE, end: end.addr() as u64 - KERNEL_BASE }
}

/// Physical memory of the kernel image, zero-initialised data included.
pub fn kernel_image() -> PhysRange {
    image_range(&raw const __kernel_start, &raw const __kernel_end)
}

/// Physical memory of the tables that boot.s starts with.
pub fn boot_tables() -> PhysRange {
    image_range(&raw const __boot_tables_start, &raw const __boot_tables_end)
}

/// Physical memory of the kernel's code.
pub fn text() -> PhysRange {
    image_range(&raw const __kernel_start, &raw const __text_end)
}

/// Physical memory of its constants.
pub fn rodata() -> PhysRange {
    image_range(&raw const __rodata_start, &raw const __rodata_end)
}

/// Physical address of the page below the boot stack, where nothing may be mapped.
pub fn boot_stack_guard_page() -> u64 {
    virt_to_phys(&raw const boot_stack_guard)
}

/// Virtual addresses of the kernel's code.
pub fn kernel_text() -> core::ops::Range<u64> {
    (&raw const __kernel_start).addr() as u64..(&raw const __text_end).addr() as u64
}

/// The address of RAM at `phys` in the direct map.
#[inline]
pub fn phys_to_virt<T>(phys: u64) -> *mut T {
    ptr::with_exposed_provenance_mut((DIRECT_MAP + phys) as usize)
}

/// The physical address behind a kernel address; 0 where nothing is mapped.
pub fn virt_to_phys<T: ?Sized>(virt: *const T) -> u64 {
    let virt = virt.cast::<u8>().addr() as u64;
    match virt {
        DIRECT_MAP..DIRECT_MAP_END => virt - DIRECT_MAP,
        KERNEL_BASE.. => virt - KERNEL_BASE,
        _ => translate(virt).unwrap_or(0),
    }
}

/// Physical address of the kernel's top-level page table.
pub fn kernel_pml4_phys() -> u64 {
    KERNEL_PML4.load(Ordering::Relaxed)
}

/// Tells where the kernel's top-level page table is. The tables below it that map the kernel are
/// never freed.
pub fn set_kernel_pml4(phys: u64) {
    KERNEL_PML4.store(phys, Ordering::Relaxed);
}

/// The kernel's code and its constants.
pub fn image_constants() -> [&'static [u8]; 2] {
    // SAFETY: the linker's symbols around what is mapped for good and never written to.
    let between = |start: *const u8, end: *const u8| unsafe {
        core::slice::from_raw_parts(start, end.addr().saturating_sub(start.addr()))
    };
    [between(&raw const __kernel_start, &raw const __text_end), between(&raw const __rodata_start, &raw const __rodata_end)]
}

/// Reads aligned words of kernel memory, wherever `addr` may point: `None` where nothing is mapped.
pub fn read_kernel_words<const N: usize>(addr: u64) -> Option<[u64; N]> {
    if addr < DIRECT_MAP || !addr.is_multiple_of(8) {
        return None;
    }
    let last = addr.checked_add(N as u64 * 8 - 1)?;
    translate(addr).and_then(|_| translate(last))?;
    let words = ptr::with_exposed_provenance::<[u64; N]>(addr as usize);
    // SAFETY: mapped just now, and kernel mappings that a stack can lie in stay while it is in use.
    Some(unsafe { words.read_volatile() })
}

/// The physical address behind a kernel address, by a walk of the kernel's tables.
pub fn translate(virt: u64) -> Option<u64> {
    let mut table = kernel_pml4_phys();
    for level in (0..=3).rev() {
        let index = virt >> (12 + 9 * level) & 511;
        // SAFETY: kernel tables stay once they are made.
        let entry = unsafe { phys_to_virt::<u64>(table + index * 8).read_volatile() };
        if entry & bits::PRESENT == 0 {
            return None;
        }
        let size = 1u64 << (12 + 9 * level);
        if level == 0 || entry & bits::LARGE != 0 {
            return Some((entry & bits::ADDRESS & !(size - 1)) + (virt & (size - 1)));
        }
        table = entry & bits::ADDRESS;
    }
    None
}
