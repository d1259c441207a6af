//! The kernel's half of every address space: the image in the top 2 GiB, the direct map of RAM, the
//! dynamic area.
//!
//! Every address space has the same upper half: new ones copy entries 256 to 511 of the kernel's
//! top-level table. So all entries that will ever be in use get their second-level table here, at
//! boot.

use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;
use x86_64::{PhysAddr, VirtAddr};

use super::frames::{self, EarlyFrames};
use super::vsyscall;
use arch::boot::BootInfo;
use arch::layout::{self, DIRECT_MAP_END, translate};
pub use arch::layout::{
    DIRECT_MAP, DYNAMIC_AREA, KERNEL_BASE, bits, kernel_image, kernel_pml4_phys, kernel_text, phys_to_virt, virt_to_phys,
};
use base::addr::PhysRange;
use base::addr::{LARGE_PAGE_SIZE, PAGE_SIZE};
use sync::IrqSpinLock;

const GIB: u64 = 1 << 30;
const LARGE: u64 = LARGE_PAGE_SIZE as u64;

/// Kernel data: present, writable, never executed, never written back by the CPU for accessed and
/// dirty.
const DATA: u64 = bits::PRESENT | bits::WRITE | bits::NO_EXECUTE | bits::GLOBAL | bits::ACCESSED | bits::DIRTY;
const RODATA: u64 = DATA & !(bits::WRITE | bits::DIRTY);
const TEXT: u64 = RODATA & !bits::NO_EXECUTE;
/// Device registers.
pub const DEVICE: u64 = DATA | bits::CACHE_DISABLE;
/// Kernel memory in the dynamic area.
pub const MEMORY: u64 = DATA;
const TABLE: u64 = bits::PRESENT | bits::WRITE | bits::ACCESSED;

/// Guards the tables below the kernel's top-level entries after boot; no other lock but the frame
/// allocator's is taken while it is held.
static TABLES: IrqSpinLock<()> = IrqSpinLock::new(());

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
    /// `self` is a live table of `level`, which must be above 0, and the caller is the only one to
    /// change it.
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
pub fn init(boot: &BootInfo, early: &mut EarlyFrames) {
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
    layout::set_kernel_pml4(pml4.0);
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

/// Maps the kernel image page by page but for the guard page of the boot stack, and takes the right
/// to write its code from the direct map.
fn map_image(pml4: Table, alloc: &mut dyn FnMut() -> Option<u64>) -> Option<()> {
    let (text, rodata, guard) = (layout::text(), layout::rodata(), layout::boot_stack_guard_page());
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
pub unsafe fn map_page(virt: u64, phys: u64, flags: u64) -> Option<()> {
    let _guard = TABLES.lock();
    // SAFETY: the lock is held; the rest is the caller's promise.
    unsafe { Table(kernel_pml4_phys()).set(virt, 0, phys | flags, &mut table_frame) }
}

/// Takes one page of the dynamic area away; says what was behind it.
///
/// # Safety
/// Nothing uses `virt` any more.
pub unsafe fn unmap_page(virt: u64) -> Option<u64> {
    let phys = translate(virt)?;
    let _guard = TABLES.lock();
    // SAFETY: the lock is held, and the entry is present, so no table is made.
    unsafe { Table(kernel_pml4_phys()).set(virt, 0, 0, &mut || None)? };
    x86_64::instructions::tlb::flush(VirtAddr::new_truncate(virt));
    Some(phys)
}

/// Memory that the loader filled (the payload, a module), as bytes; `None` for an empty range or
/// one that is not in RAM.
pub fn boot_memory(range: PhysRange) -> Option<&'static [u8]> {
    let in_ram = |phys: u64| frames::refcount(phys) != 0;
    if range.is_empty() || !range.pages().all(in_ram) {
        return None;
    }
    // SAFETY: RAM in the direct map, and the boot's own until somebody adopts its frames.
    Some(unsafe { core::slice::from_raw_parts(phys_to_virt(range.start), range.len() as usize) })
}
