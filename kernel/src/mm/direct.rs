//! The kernel's half of every address space: the image in the top 2 GiB, the direct map of RAM, the dynamic area.
//!
//! Every address space has the same upper half: new ones copy entries 256 to 511 of the kernel's top-level table. So all
//! entries that will ever be in use get their second-level table here, at boot.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;
use x86_64::{PhysAddr, VirtAddr};

use super::frames::{self, EarlyFrames};
use super::vsyscall;
use super::{LARGE_PAGE_SIZE, PAGE_SIZE};
use crate::arch::boot::{BootInfo, PhysRange};
use crate::sync::IrqLock;

/// Start of the direct map: physical address `p` is at `DIRECT_MAP + p`.
pub const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;
/// End of the direct map: it reaches 64 TiB.
const DIRECT_MAP_END: u64 = 0xffff_c880_0000_0000;
/// Start of the kernel's dynamic area (stacks, device registers).
pub const DYNAMIC_AREA: u64 = 0xffff_c900_0000_0000;
/// The kernel image is linked at its physical address plus this.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;

const GIB: u64 = 1 << 30;
const LARGE: u64 = LARGE_PAGE_SIZE as u64;

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

/// Kernel data: present, writable, never executed, never written back by the CPU for accessed and dirty.
const DATA: u64 = bits::PRESENT | bits::WRITE | bits::NO_EXECUTE | bits::GLOBAL | bits::ACCESSED | bits::DIRTY;
const RODATA: u64 = DATA & !(bits::WRITE | bits::DIRTY);
const TEXT: u64 = RODATA & !bits::NO_EXECUTE;
/// Device registers.
pub const DEVICE: u64 = DATA | bits::CACHE_DISABLE;
/// Kernel memory in the dynamic area.
pub const MEMORY: u64 = DATA;
const TABLE: u64 = bits::PRESENT | bits::WRITE | bits::ACCESSED;

static KERNEL_PML4: AtomicU64 = AtomicU64::new(0);
/// Guards the tables below the kernel's top-level entries after boot; no other lock but the frame allocator's is taken
/// while it is held.
static TABLES: IrqLock<()> = IrqLock::new(());

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
pub(super) fn boot_tables() -> PhysRange {
    image_range(&raw const __boot_tables_start, &raw const __boot_tables_end)
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

/// The pieces of physical memory that kernel memory lies in, by address and length.
pub fn physical_pieces(memory: &[u8]) -> impl Iterator<Item = (u64, usize)> + '_ {
    let in_direct_map = (DIRECT_MAP..DIRECT_MAP_END).contains(&(memory.as_ptr().addr() as u64));
    let mut rest = memory;
    core::iter::from_fn(move || {
        let to_page_end = PAGE_SIZE - rest.as_ptr().addr() % PAGE_SIZE;
        let len = if in_direct_map { rest.len() } else { rest.len().min(to_page_end) };
        let (piece, behind) = rest.split_at_checked(len).filter(|(piece, _)| !piece.is_empty())?;
        rest = behind;
        Some((virt_to_phys(piece.as_ptr()), len))
    })
}

/// Physical address of the kernel's top-level page table.
pub fn kernel_pml4_phys() -> u64 {
    KERNEL_PML4.load(Ordering::Relaxed)
}

/// A page table, by its physical address.
#[derive(Clone, Copy)]
struct Table(u64);

impl Table {
    /// The entry for `virt` at `level` (3 is the top, 0 maps pages).
    fn entry(self, level: u32, virt: u64) -> *mut u64 {
        let index = virt >> (12 + 9 * level) & 511;
        phys_to_virt(self.0 + index * 8)
    }

    /// The table below the entry for `virt`, made with `alloc` where there is none.
    ///
    /// # Safety
    /// `self` is a live table of `level`, which must be above 0, and the caller is the only one to change it.
    unsafe fn below(self, level: u32, virt: u64, alloc: &mut dyn FnMut() -> Option<u64>) -> Option<Table> {
        let slot = self.entry(level, virt);
        // SAFETY: a slot of a live table, ours by the caller's promise.
        let entry = unsafe { slot.read() };
        if entry & bits::PRESENT == 0 {
            let table = alloc()?;
            // SAFETY: as above.
            unsafe { slot.write(table | TABLE) };
            return Some(Table(table));
        }
        if entry & bits::LARGE == 0 {
            return Some(Table(entry & bits::ADDRESS));
        }
        // Split a large page into 512 of the next size, which means the same.
        let table = alloc()?;
        let step = 1 << (12 + 9 * (level - 1));
        let flags = if level == 1 { entry & !bits::ADDRESS & !bits::LARGE } else { entry & !bits::ADDRESS };
        for index in 0..512 {
            // SAFETY: the new table is ours.
            unsafe { phys_to_virt::<u64>(table + index * 8).write(((entry & bits::ADDRESS) + index * step) | flags) };
        }
        // SAFETY: as above.
        unsafe { slot.write(table | TABLE) };
        Some(Table(table))
    }

    /// Sets the entry for `virt` at `level`, below this top-level table.
    ///
    /// # Safety
    /// As for `below`; and `entry` maps what the kernel may have at `virt`.
    unsafe fn set(self, virt: u64, level: u32, entry: u64, alloc: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
        let mut table = self;
        for above in (level + 1..=3).rev() {
            // SAFETY: the caller's promise.
            table = unsafe { table.below(above, virt, alloc)? };
        }
        // SAFETY: the caller's promise.
        unsafe { table.entry(level, virt).write(entry) };
        Some(())
    }
}

/// Builds the kernel's page tables and switches to them.
pub(super) fn init(boot: &BootInfo, early: &mut EarlyFrames) {
    let mut alloc = || early.alloc(1);
    let built = (|| {
        let pml4 = Table(alloc()?);
        map_ram(pml4, boot, &mut alloc)?;
        map_image(pml4, &mut alloc)?;
        // SAFETY: not live yet; nothing else is there, and the page is code that nobody writes.
        unsafe { pml4.set(vsyscall::ADDRESS, 0, vsyscall::phys() | TEXT, &mut alloc)? };
        // SAFETY: not live yet, so ours alone.
        unsafe { pml4.below(3, DYNAMIC_AREA, &mut alloc)? };
        Some(pml4)
    })();
    let pml4 = built.expect("no room for the kernel's page tables");
    KERNEL_PML4.store(pml4.0, Ordering::Relaxed);
    // SAFETY: the new tables map the running code, its stack and all data where the old ones do.
    unsafe { Cr3::write(PhysFrame::containing_address(PhysAddr::new(pml4.0)), Cr3Flags::empty()) };
}

/// Maps all RAM at [`DIRECT_MAP`], in the largest pages that fit.
fn map_ram(pml4: Table, boot: &BootInfo, alloc: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
    let huge_pages = raw_cpuid::CpuId::new()
        .get_extended_processor_and_feature_identifiers()
        .is_some_and(|features| features.has_1gib_pages());
    let mut mapped = 0;
    for range in boot.memory.as_slice() {
        let mut phys = (range.start & !(LARGE - 1)).max(mapped);
        let end = range.end.next_multiple_of(LARGE);
        while phys < end {
            let huge = huge_pages && phys.is_multiple_of(GIB) && phys >= range.start && range.end - phys >= GIB;
            let (level, size) = if huge { (2, GIB) } else { (1, LARGE) };
            // SAFETY: not live yet; RAM is what the direct map is for.
            unsafe { pml4.set(DIRECT_MAP + phys, level, phys | DATA | bits::LARGE, alloc)? };
            phys += size;
        }
        mapped = phys.max(mapped);
    }
    Some(())
}

/// Maps the kernel image page by page but for the guard page of the boot stack, and takes the right to write its code from
/// the direct map.
fn map_image(pml4: Table, alloc: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
    let text = image_range(&raw const __kernel_start, &raw const __text_end);
    let rodata = image_range(&raw const __rodata_start, &raw const __rodata_end);
    let guard = virt_to_phys(&raw const boot_stack_guard);
    for phys in kernel_image().pages().filter(|phys| *phys != guard) {
        let within = |range: &PhysRange| range.start <= phys && phys < range.end;
        let (flags, alias) = match phys {
            _ if within(&text) => (TEXT, RODATA),
            _ if within(&rodata) => (RODATA, RODATA),
            _ => (DATA, DATA),
        };
        // SAFETY: not live yet; the image and its own protection.
        unsafe {
            pml4.set(KERNEL_BASE + phys, 0, phys | flags, alloc)?;
            if alias != DATA {
                pml4.set(DIRECT_MAP + phys, 0, phys | alias, alloc)?;
            }
        }
    }
    Some(())
}

fn table_frame() -> Option<u64> {
    frames::alloc_zeroed().map(frames::Frame::into_raw)
}

/// Maps one page of the dynamic area; `None` when memory for the tables is out.
///
/// # Safety
/// `virt` is in the dynamic area and not in use; `phys` is the caller's to map.
pub(super) unsafe fn map_page(virt: u64, phys: u64, flags: u64) -> Option<()> {
    let _guard = TABLES.lock();
    // SAFETY: the lock is held; the rest is the caller's promise.
    unsafe { Table(kernel_pml4_phys()).set(virt, 0, phys | flags, &mut table_frame) }
}

/// Takes one page of the dynamic area away; says what was behind it.
///
/// # Safety
/// Nothing uses `virt` any more.
pub(super) unsafe fn unmap_page(virt: u64) -> Option<u64> {
    let phys = translate(virt)?;
    let _guard = TABLES.lock();
    // SAFETY: the lock is held, and the entry is present, so no table is made.
    unsafe { Table(kernel_pml4_phys()).set(virt, 0, 0, &mut || None)? };
    x86_64::instructions::tlb::flush(VirtAddr::new_truncate(virt));
    Some(phys)
}

/// Memory that the loader filled (the payload, a module), as bytes; `None` for an empty range or one that is not in RAM.
pub fn boot_memory(range: PhysRange) -> Option<&'static [u8]> {
    let in_ram = |phys: u64| frames::refcount(phys) != 0;
    if range.is_empty() || !range.pages().all(in_ram) {
        return None;
    }
    // SAFETY: RAM in the direct map, and the boot's own until somebody adopts its frames.
    Some(unsafe { core::slice::from_raw_parts(phys_to_virt(range.start), range.len() as usize) })
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

/// Walks the kernel's tables.
fn translate(virt: u64) -> Option<u64> {
    let mut table = Table(kernel_pml4_phys());
    for level in (0..=3).rev() {
        // SAFETY: kernel tables stay once they are made.
        let entry = unsafe { table.entry(level, virt).read_volatile() };
        if entry & bits::PRESENT == 0 {
            return None;
        }
        let size = 1u64 << (12 + 9 * level);
        if level == 0 || entry & bits::LARGE != 0 {
            return Some((entry & bits::ADDRESS & !(size - 1)) + (virt & (size - 1)));
        }
        table = Table(entry & bits::ADDRESS);
    }
    None
}
