//! The lower half of a 4-level x86-64 page table: where application memory is mapped.
//!
//! Faults of several threads share the tables: every step that a [`PageTable`] does by `&self`
//! takes effect by one atomic exchange and does nothing if somebody else was faster. Steps by `&mut
//! self` rely on nobody else changing them.
//!
//! Every leaf that is not `SPECIAL` owns one reference to its frame (a large leaf shares in one to
//! each of its 512 frames, see `huge`). Application pages are supervisor pages: the program runs in
//! ring 0 beside the kernel, and CR0.WP and NX bind it. Format: Intel SDM volume 3A, 4.5 "4-level
//! paging".

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use base::prot::Prot;
use syscall_shim::Errno;

use super::cpu;
use super::size::{LARGE_PAGE as HUGE_SIZE, PAGE as PAGE_SIZE};
use super::tlb::TlbBatch;
use super::{huge, user_page};

/// Present.
pub const P: u64 = 1 << 0;
/// Writable.
pub const W: u64 = 1 << 1;
/// Accessed, set by the CPU.
pub const A: u64 = 1 << 5;
/// Dirty, set by the CPU.
pub const D: u64 = 1 << 6;
/// In a page directory: a leaf of 2 MiB.
pub const PS: u64 = 1 << 7;
/// Software: the page is private anonymous memory (also after copy-on-write of a file page).
pub const ANON: u64 = 1 << 9;
/// Software: not present although a page is there, because the area grants no access (`PROT_NONE`).
pub const PROTNONE: u64 = 1 << 10;
/// Software: the frame is not reference-counted by this entry (the zero page, kernel pages such as
/// the vDSO).
pub const SPECIAL: u64 = 1 << 11;
/// Software, with [`PROTNONE`]: a fault is putting another page here, and has yet to see every CPU
/// drop the old translation.
pub const BUSY: u64 = 1 << 52;
/// No execution.
pub const NX: u64 = 1 << 63;

const ADDR: u64 = 0x000f_ffff_ffff_f000;
const ENTRIES: usize = 512;

type Table = [AtomicU64; ENTRIES];

/// Page tables could not be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl From<NoMemory> for Errno {
    fn from(_: NoMemory) -> Errno {
        Errno::ENOMEM
    }
}

/// Value of a leaf entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pte(pub u64);

impl Pte {
    /// Nothing is there.
    pub const NONE: Pte = Pte(0);

    /// A leaf for `phys` with the access `prot` grants; writing only if `write`.
    pub fn new(phys: u64, prot: Prot, write: bool, soft: u64) -> Self {
        let access = if prot.is_empty() { PROTNONE } else { P | A };
        let w = if write && prot.contains(Prot::WRITE) { W } else { 0 };
        let nx = if prot.contains(Prot::EXEC) { 0 } else { NX };
        Pte(phys | access | w | nx | soft)
    }

    /// The same page under another protection.
    pub fn with_prot(self, prot: Prot, write: bool) -> Self {
        let keep = self.0 & (A | D | PS | ANON | SPECIAL);
        Pte(Pte::new(self.phys(), prot, write, 0).0 | keep)
    }

    /// Physical address of the frame.
    pub fn phys(self) -> u64 {
        // Bit 12 of a large leaf is PAT, which is never set here.
        self.0 & ADDR
    }

    /// Whether a frame belongs to this entry, accessible or not.
    pub fn has_page(self) -> bool {
        self.0 & (P | PROTNONE) != 0
    }

    /// Whether the CPU may use it.
    pub fn present(self) -> bool {
        self.0 & P != 0
    }

    /// Whether all of `bits` are set.
    pub fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}

/// The table that the last leaf went into: the 2 MiB that it covers, and its physical address.
#[derive(Default)]
pub struct LastTable(Option<(u64, u64)>);

/// A leaf met on a walk.
pub struct Leaf<'a> {
    /// First address that the leaf maps.
    pub addr: u64,
    /// 4 KiB or 2 MiB.
    pub size: u64,
    entry: &'a AtomicU64,
}

impl Leaf<'_> {
    /// The entry's value now.
    pub fn get(&self) -> Pte {
        Pte(self.entry.load(Ordering::Acquire))
    }

    /// Replaces the entry; returns what was there, with the accessed and dirty bits up to that
    /// instant.
    pub fn replace(&self, new: Pte) -> Pte {
        Pte(self.entry.swap(new.0, Ordering::AcqRel))
    }

    /// Replaces the entry if it still is `old`, to the accessed and dirty bits; returns whether it
    /// was.
    pub fn exchange(&self, old: Pte, new: Pte) -> bool {
        self.entry.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Clears `bits`; returns the value before.
    pub fn clear(&self, bits: u64) -> Pte {
        Pte(self.entry.fetch_and(!bits, Ordering::AcqRel))
    }

    /// Whether this is a 2 MiB leaf.
    pub fn is_huge(&self) -> bool {
        self.size == HUGE_SIZE
    }

    /// Whether this leaf's references to the frames of the anonymous page `pte` are the only ones.
    pub fn is_exclusive(&self, pte: Pte) -> bool {
        if self.is_huge() { huge::is_exclusive(pte.phys()) } else { user_page::is_exclusive(pte.phys()) }
    }
}

/// The top of the page tables of an address space, by its physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Root(u64);

impl Root {
    /// Its physical address.
    pub fn phys(self) -> u64 {
        self.0
    }

    /// Makes this CPU use the tables, without stale translations. Who does so keeps them alive
    /// until another root is loaded.
    pub fn load(self) {
        // SAFETY: every root has the kernel's upper half; and the caller keeps it.
        unsafe { cpu::tlb::load_root(self.0) };
    }

    /// Whether this CPU uses the tables.
    pub fn is_loaded(self) -> bool {
        cpu::tlb::loaded_root() == self.0
    }
}

/// Page tables of one address space. Tables are taken out by `&mut` only, which the address space's
/// lock gives.
pub struct PageTable {
    root: u64,
    tables: AtomicU64,
}

fn table(phys: u64) -> &'static Table {
    // SAFETY: `phys` is the frame of a page table, which stays allocated while the `PageTable` that
    // owns it lives; every access to it, also the CPU's, is an atomic access to one entry.
    unsafe { &*user_page::ptr(phys).cast::<Table>() }
}

const fn index(addr: u64, level: u32) -> usize {
    (addr >> (12 + 9 * level)) as usize & (ENTRIES - 1)
}

/// Bytes that one entry of a table of `level` covers (0: 4 KiB).
const fn span(level: u32) -> u64 {
    PAGE_SIZE << (9 * level)
}

impl PageTable {
    /// An empty lower half below a copy of the kernel's upper half.
    pub fn new() -> Option<Self> {
        let root = user_page::alloc_zeroed()?;
        let kernel = table(cpu::layout::kernel_pml4_phys());
        for (to, from) in table(root)[ENTRIES / 2..].iter().zip(&kernel[ENTRIES / 2..]) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Some(Self { root, tables: AtomicU64::new(1) })
    }

    /// The root, for CR3.
    pub fn root(&self) -> Root {
        Root(self.root)
    }

    /// Bytes in page tables (`VmPTE`).
    pub fn bytes(&self) -> u64 {
        self.tables.load(Ordering::Relaxed) * PAGE_SIZE
    }

    /// The leaf that maps `addr`, present or held.
    pub fn leaf(&self, addr: u64) -> Option<Leaf<'_>> {
        let mut phys = self.root;
        for level in (0..4).rev() {
            let entry = &table(phys)[index(addr, level)];
            let value = entry.load(Ordering::Acquire);
            if level == 0 || value & PS != 0 {
                let size = span(level);
                return Pte(value).has_page().then_some(Leaf { addr: addr & !(size - 1), size, entry });
            }
            if value & P == 0 {
                return None;
            }
            phys = value & ADDR;
        }
        None
    }

    /// The entry of `level` for `addr`, with the tables above it made as needed; `None` inside a
    /// large page.
    fn entry(&self, addr: u64, level: u32) -> Result<Option<&'static AtomicU64>, NoMemory> {
        Ok(self.table_of(addr, level)?.map(|phys| &table(phys)[index(addr, level)]))
    }

    /// The table of `level` for `addr`, made as needed; `None` inside a large page.
    fn table_of(&self, addr: u64, level: u32) -> Result<Option<u64>, NoMemory> {
        let mut phys = self.root;
        for l in (level + 1..4).rev() {
            let entry = &table(phys)[index(addr, l)];
            let mut value = entry.load(Ordering::Acquire);
            if value == 0 {
                value = self.new_table(entry)?;
            }
            if value & PS != 0 {
                return Ok(None);
            }
            phys = value & ADDR;
        }
        Ok(Some(phys))
    }

    /// Puts an empty table into `entry`; returns what is there then, which is somebody else's if
    /// they were faster.
    #[cold]
    fn new_table(&self, entry: &AtomicU64) -> Result<u64, NoMemory> {
        let phys = user_page::alloc_zeroed().ok_or(NoMemory)?;
        // Upper levels grant everything; the leaf decides.
        let new = phys | P | W | A;
        match entry.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.tables.fetch_add(1, Ordering::Relaxed);
                Ok(new)
            }
            Err(other) => {
                user_page::put(phys);
                Ok(other)
            }
        }
    }

    /// Makes the tables that a leaf at `addr` needs.
    pub fn prepare(&self, addr: u64) -> Result<(), NoMemory> {
        self.entry(addr, 0).map(|_| ())
    }

    /// Puts a leaf at `addr`, where the reference to its frame then belongs to the table; `false`
    /// if one is there already.
    pub fn map(&self, addr: u64, pte: Pte) -> Result<bool, NoMemory> {
        let Some(entry) = self.entry(addr, 0)? else { return Ok(false) };
        Ok(entry.compare_exchange(0, pte.0, Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }

    /// As [`PageTable::map`], for many leaves in ascending order in tables that hold none and that
    /// nobody else uses: the walk down is done once for each table, which `last` remembers.
    pub fn map_after(&mut self, last: &mut LastTable, addr: u64, pte: Pte) -> Result<(), NoMemory> {
        let base = addr & !(span(1) - 1);
        let phys = match last.0 {
            Some((of, phys)) if of == base => phys,
            _ => self.table_of(addr, 0)?.ok_or(NoMemory)?,
        };
        last.0 = Some((base, phys));
        table(phys)[index(addr, 0)].store(pte.0, Ordering::Release);
        Ok(())
    }

    /// The entries of `start..end`, which lie in one table, made as needed; `None` inside a large
    /// page.
    pub fn entries(&self, start: u64, end: u64) -> Result<Option<&'static [AtomicU64]>, NoMemory> {
        let Some(phys) = self.table_of(start, 0)? else { return Ok(None) };
        let first = index(start, 0);
        Ok(table(phys).get(first..first + ((end - start) / PAGE_SIZE) as usize))
    }

    /// Puts a 2 MiB leaf at the aligned address `addr`; `false` if something is (or was) there.
    pub fn map_huge(&self, addr: u64, pte: Pte) -> Result<bool, NoMemory> {
        let Some(entry) = self.entry(addr, 1)? else { return Ok(false) };
        Ok(entry.compare_exchange(0, pte.0 | PS, Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }

    /// Whether no table is there for the 2 MiB around `addr`, so that a large page fits.
    pub fn huge_slot_free(&self, addr: u64) -> bool {
        let mut phys = self.root;
        for level in (1..4).rev() {
            let value = table(phys)[index(addr, level)].load(Ordering::Acquire);
            if value == 0 {
                return true;
            }
            if value & (P | PS) != P {
                return false;
            }
            phys = value & ADDR;
        }
        false
    }

    /// Replaces the 2 MiB leaf around `addr`, if any, by 512 leaves of the same pages.
    pub fn split_huge(&self, addr: u64) -> Result<(), NoMemory> {
        if !self.leaf(addr).is_some_and(|leaf| leaf.is_huge()) {
            return Ok(());
        }
        let new = user_page::alloc_zeroed().ok_or(NoMemory)?;
        let mut held = None;
        // Until the exchange meets what the table was made from; the CPU may set bits meanwhile.
        while let Some(leaf) = self.leaf(addr).filter(Leaf::is_huge) {
            let old = leaf.get();
            if !old.has(PS) {
                continue;
            }
            // The small leaves' references are there before the leaves are.
            if held.is_none() {
                huge::hold_frames(old.phys());
                held = Some(old.phys());
            }
            for (i, entry) in table(new).iter().enumerate() {
                entry.store((old.0 & !PS) + i as u64 * PAGE_SIZE, Ordering::Relaxed);
            }
            if leaf.exchange(old, Pte(new | P | W | A)) {
                self.tables.fetch_add(1, Ordering::Relaxed);
                huge::put(old.phys());
                return Ok(());
            }
        }
        user_page::put(new);
        if let Some(phys) = held {
            huge::release_frames(phys);
        }
        Ok(())
    }

    /// Calls `visit` for every leaf that overlaps `start..end`, ascending.
    pub fn for_each(&self, start: u64, end: u64, mut visit: impl FnMut(Leaf<'_>)) {
        walk(self.root, 3, start, end, &mut visit);
    }

    /// Frees the tables of `start..end`, whose leaves have been taken out, but for those that reach
    /// out of `free`, the range around it where nothing is mapped. `batch` keeps them until the
    /// TLBs are flushed, because CPUs cache upper levels too (SDM 4.10.3).
    pub fn free_unused(&mut self, start: u64, end: u64, free: &Range<u64>, batch: &mut TlbBatch) {
        let freed = free_unused(self.root, 3, start..end, free, batch);
        self.tables.fetch_sub(freed, Ordering::Relaxed);
    }
}

impl Drop for PageTable {
    fn drop(&mut self) {
        // Leaves are the address space's business; by now there are none, and no CPU uses this
        // root.
        fn free(phys: u64, level: u32, entries: usize) {
            if level > 0 {
                for entry in &table(phys)[..entries] {
                    let value = entry.load(Ordering::Relaxed);
                    if value & (P | PS) == P {
                        free(value & ADDR, level - 1, ENTRIES);
                    }
                }
            }
            user_page::put(phys);
        }
        if self.tables.load(Ordering::Relaxed) == 1 {
            return user_page::put(self.root);
        }
        free(self.root, 3, ENTRIES / 2);
    }
}

/// Most of a table is empty: what is not is found by a short loop.
fn walk_leaves(phys: u64, start: u64, end: u64, visit: &mut impl FnMut(Leaf<'_>)) {
    let first = index(start, 0);
    let count = ((end - start).div_ceil(PAGE_SIZE) as usize).min(ENTRIES - first);
    for (i, entry) in table(phys)[first..first + count].iter().enumerate() {
        let value = entry.load(Ordering::Acquire);
        if value != 0 && Pte(value).has_page() {
            visit(Leaf { addr: (start & !(PAGE_SIZE - 1)) + i as u64 * PAGE_SIZE, size: PAGE_SIZE, entry });
        }
    }
}

fn walk(phys: u64, level: u32, start: u64, end: u64, visit: &mut impl FnMut(Leaf<'_>)) {
    let size = span(level);
    let mut at = start;
    while at < end {
        let base = at & !(size - 1);
        let next = base.saturating_add(size);
        let entry = &table(phys)[index(at, level)];
        let value = entry.load(Ordering::Acquire);
        if value & PS != 0 {
            if Pte(value).has_page() {
                visit(Leaf { addr: base, size, entry });
            }
        } else if value & P != 0 && level == 1 {
            walk_leaves(value & ADDR, at, end.min(next), visit);
        } else if value & P != 0 {
            walk(value & ADDR, level - 1, at, end.min(next), visit);
        }
        at = next;
    }
}

/// Frees tables below the table `phys`, as [`PageTable::free_unused`]; returns how many.
fn free_unused(phys: u64, level: u32, range: Range<u64>, free: &Range<u64>, batch: &mut TlbBatch) -> u64 {
    let size = span(level);
    let (mut at, mut freed) = (range.start, 0);
    while at < range.end {
        let base = at & !(size - 1);
        let next = base.saturating_add(size);
        let entry = &table(phys)[index(at, level)];
        let value = entry.load(Ordering::Acquire);
        if value & (P | PS) == P {
            let child = value & ADDR;
            if level > 1 {
                freed += free_unused(child, level - 1, at..range.end.min(next), free, batch);
            }
            if free.start <= base && next <= free.end {
                debug_assert!(table(child).iter().all(|e| e.load(Ordering::Relaxed) == 0));
                entry.store(0, Ordering::Release);
                batch.free_table(child);
                freed += 1;
            }
        }
        at = next;
    }
    freed
}
