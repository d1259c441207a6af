//! One program's address space: its areas, its page tables and the counters about them.
//!
//! One sleeping lock guards both areas and tables. Who changes areas, or takes pages out, has it
//! alone; faults share it, also while they read a page of a file, and side by side put leaves and
//! tables into the page tables by atomic exchanges ([`PageTable`] says which steps those are). It
//! may be taken while an inode's lock is held (truncation unmaps); nothing that takes an inode's
//! lock is called with it held, and dropped files wait until it is free.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use syscall_shim::{Errno, SysResult};

use super::account::{self, Rss};
use super::flags::{PAGE_SIZE, USER_END, VmFlags};
use super::numa::Barriers;
use super::object::Object;
use super::page_table::{PageTable, Root};
use super::pages::Pages;
use super::patching::PatchedSites;
use super::put_back::{Fault, is_back};
use super::tlb::{self, CpuMask, Generation, TlbBatch};
use super::user_page;
use super::vma::{Vma, VmaSet};
use super::{FaultGuard, MapGuard, MapLock};

/// An area of an address space.
pub type Area = Vma<Object>;

/// Where the parts of a program lie, as exec places them; `/proc/PID/stat` and `prctl(PR_SET_MM)`
/// name the fields.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Layout {
    /// mmap(2) places areas downwards from here.
    pub mmap_base: u64,
    /// Where the heap begins.
    pub start_brk: u64,
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    /// The stack pointer at the program's entry.
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
}

/// An address space; shared by the threads of a program.
pub struct AddressSpace {
    pub(super) me: Weak<AddressSpace>,
    root: Root,
    /// Processes that use it: more than one after vfork(2) and `clone(CLONE_VM)`.
    users: AtomicU32,
    pub(super) cpus: CpuMask,
    pub(super) generation: Generation,
    pub(super) rss: Rss,
    /// The out-of-memory killer has taken pages out: nobody may see what is there instead.
    reaped: AtomicBool,
    /// `PR_SET_THP_DISABLE`: no large pages.
    huge_pages_disabled: AtomicBool,
    /// Memory policy and barriers.
    pub barriers: Barriers,
    /// Call sites that are jumps.
    pub(super) sites: PatchedSites,
    pub(super) inner: MapLock<Inner>,
}

/// What the lock guards.
pub(super) struct Inner {
    pub table: PageTable,
    pub areas: VmaSet<Object>,
    pub layout: Layout,
    /// The program break: where the heap ends.
    pub brk: u64,
    /// mlock(2)ed pages.
    pub locked: u64,
    /// Flags for new areas: those of `mlockall(MCL_FUTURE)`.
    pub future: VmFlags,
    /// Pages charged to `Committed_AS`.
    pub charged: u64,
    /// `VmPeak`, in bytes.
    pub peak: u64,
}

/// Areas that the end of a space removes at a time.
const MAX_DEAD: usize = 64;

/// The lock held, with the flushes that are due and the areas that are going. Dropping flushes;
/// then the order of the fields is the order in which it settles them: release the lock, free
/// pages, close files.
pub(super) struct Locked<'a> {
    pub inner: MapGuard<'a, Inner>,
    pub batch: TlbBatch<'a>,
    pub dead: Vec<Area>,
    pub space: &'a AddressSpace,
}

/// The lock held together with others, by a fault. Dropping flushes, then releases it.
pub(super) struct ReadLocked<'a> {
    pub batch: TlbBatch<'a>,
    pub inner: FaultGuard<'a, Inner>,
    pub space: &'a AddressSpace,
}

impl AddressSpace {
    /// Where [`Self::root`] is, for debuggers.
    pub const OFF_ROOT: usize = core::mem::offset_of!(AddressSpace, root);

    /// An empty address space: nothing below, the kernel above. `ENOMEM`.
    pub fn new() -> SysResult<Arc<Self>> {
        let table = PageTable::new().ok_or(Errno::ENOMEM)?;
        let root = table.root();
        let layout = Layout { mmap_base: USER_END - (136 << 20), ..Layout::default() };
        let inner = Inner {
            table,
            areas: VmaSet::default(),
            layout,
            brk: 0,
            locked: 0,
            future: VmFlags::empty(),
            charged: 0,
            peak: 0,
        };
        Ok(Arc::new_cyclic(|me| Self {
            me: me.clone(),
            root,
            users: AtomicU32::new(0),
            cpus: CpuMask::default(),
            generation: Generation::default(),
            rss: Rss::default(),
            reaped: AtomicBool::new(false),
            huge_pages_disabled: AtomicBool::new(false),
            barriers: Barriers::default(),
            sites: PatchedSites::default(),
            inner: MapLock::new(inner),
        }))
    }

    /// Physical address of its page table's root, by which debuggers know it.
    pub fn root(&self) -> u64 {
        self.root.phys()
    }

    /// Whether the program gets no large pages (`PR_GET_THP_DISABLE`).
    pub fn huge_pages_disabled(&self) -> bool {
        self.huge_pages_disabled.load(Ordering::Relaxed)
    }

    /// Says whether the program gets large pages from here on (`PR_SET_THP_DISABLE`).
    pub fn disable_huge_pages(&self, disabled: bool) {
        self.huge_pages_disabled.store(disabled, Ordering::Relaxed);
    }

    /// Makes this CPU use the address space, without stale translations. Returns the generation of
    /// those that it has then. The caller keeps the space alive until [`Self::deactivate`].
    pub fn activate(&self) -> u64 {
        self.cpus.add(tlb::this_cpu());
        // Read first: a change that comes later finds this CPU in the mask, or is seen by the CPU
        // when it walks the tables.
        let generation = self.generation.get();
        self.root.load();
        generation
    }

    /// Makes sure that this CPU, which has had the address space loaded without using it, has no
    /// translation older than the space's generation; `have` is that of what it has.
    pub fn refresh(&self, have: &mut u64) {
        let now = self.generation.get();
        if *have != now {
            *have = now;
            tlb::flush_all_local();
        }
    }

    /// Notes that this CPU has gone on to another address space.
    pub fn deactivate(&self) {
        self.cpus.remove(tlb::this_cpu());
    }

    /// Says where exec put the parts of the program; the break starts at `start_brk`.
    pub fn set_layout(&self, layout: Layout) {
        let mut locked = self.lock();
        locked.inner.layout = layout;
        locked.inner.brk = layout.start_brk;
    }

    /// Where the parts of the program are.
    pub fn layout(&self) -> Layout {
        self.inner.read().layout
    }

    /// One process more uses the space.
    pub fn enter(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// A process uses the space no longer. With the last one its memory and files go at once,
    /// whoever still holds on to the empty space.
    pub fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.clear();
        }
    }

    /// Whether any process still uses the space.
    pub fn is_used(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// Whether several processes use the space.
    pub fn is_shared(&self) -> bool {
        self.users.load(Ordering::Acquire) > 1
    }

    /// Takes the anonymous memory of a program that is ending from it. Whichever of its threads
    /// comes upon that finds no memory.
    pub fn reap(&self) {
        self.reaped.store(true, Ordering::Release);
        let mut locked = self.lock();
        let (areas, mut pages) = locked.parts();
        for area in areas.iter().filter(|area| area.backing.is_none()) {
            pages.zap(area, area.start, area.end, true);
        }
    }

    /// Whether [`Self::reap`] was here.
    pub(super) fn is_reaped(&self) -> bool {
        self.reaped.load(Ordering::Acquire)
    }

    /// Resident pages.
    pub fn rss_pages(&self) -> u64 {
        self.rss.total()
    }

    /// What its end would give back, as the out-of-memory killer sees it: resident pages, and page
    /// tables.
    pub fn pages_for_oom(&self) -> u64 {
        self.rss.total() + self.inner.read().table.bytes() / PAGE_SIZE
    }

    fn clear(&self) {
        self.lock().forget_all_sites();
        // Some at a time, since what is removed is gathered. Nothing can fail: whole areas never
        // cut a large page.
        loop {
            let mut locked = self.lock();
            let Some(end) = locked.inner.areas.iter().take(MAX_DEAD).last().map(|area| area.end) else { return };
            if locked.unmap(0, end).is_err() {
                return;
            }
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            batch: TlbBatch::new(&self.cpus, &self.generation),
            inner: self.inner.write(),
            dead: Vec::new(),
            space: self,
        }
    }

    pub(super) fn read_lock(&self) -> ReadLocked<'_> {
        ReadLocked { batch: TlbBatch::new(&self.cpus, &self.generation), inner: self.inner.read(), space: self }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.batch.flush_translations();
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // Whoever has it loaded keeps it alive.
        debug_assert!(self.cpus.bits() == 0 && !self.root.is_loaded());
        self.clear();
    }
}

/// The pages by which the heap grows in one call, generously.
pub const SLACK: u64 = 32;

/// No memory is left for more areas.
pub fn memory_is_short() -> bool {
    !user_page::available(SLACK)
}

impl<'a> Locked<'a> {
    /// The areas, and the pages beside them.
    pub fn parts(&mut self) -> (&mut VmaSet<Object>, Pages<'_, 'a>) {
        let inner = &mut *self.inner;
        let pages = Pages { table: &mut inner.table, batch: &mut self.batch, space: self.space };
        (&mut inner.areas, pages)
    }

    /// `ENOMEM` when memory is so short that the kernel could not keep account of more areas: these
    /// calls fail, rather than the kernel's own allocations.
    pub fn check_memory(&self) -> SysResult<()> {
        if memory_is_short() { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// Charges `pages` to `Committed_AS`.
    pub fn charge(&mut self, pages: u64) -> SysResult<()> {
        account::charge(pages)?;
        self.inner.charged += pages;
        Ok(())
    }

    /// Takes a charge back.
    pub fn uncharge(&mut self, pages: u64) {
        account::uncharge(pages);
        self.inner.charged -= pages;
    }

    /// Adds an area to a free range.
    pub fn insert(&mut self, area: Area) {
        if area.flags.contains(VmFlags::LOCKED) {
            self.inner.locked += area.pages();
        }
        if let Some(Object::File(map)) = &area.backing {
            map.file.mapping().add_observer(self.space.me.clone());
        }
        self.inner.areas.insert(area);
        self.inner.peak = self.inner.peak.max(self.inner.areas.bytes());
    }

    /// Unmaps everything in `start..end`. `ENOMEM` if a large page cannot be split; then nothing
    /// has changed.
    pub fn unmap(&mut self, start: u64, end: u64) -> SysResult<()> {
        // Callers see to it; the tables' upper half is the kernel's, so it is seen to once more.
        if end > USER_END && !is_back(Fault::RemapBeyondEnd) {
            return Err(Errno::EINVAL);
        }
        let count = self.inner.areas.overlapping(start, end).count();
        self.dead.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
        self.parts().1.split_edges(start, end)?;
        self.forget_sites(start, end);
        let inner = &mut *self.inner;
        let mut pages = Pages { table: &mut inner.table, batch: &mut self.batch, space: self.space };
        let first = self.dead.len();
        inner.areas.remove(start, end, &mut self.dead);
        for area in self.dead.iter().skip(first) {
            pages.zap(area, area.start, area.end, true);
            if area.flags.contains(VmFlags::ACCOUNT) {
                account::uncharge(area.pages());
                inner.charged -= area.pages();
            }
            if area.flags.contains(VmFlags::LOCKED) {
                inner.locked -= area.pages();
            }
        }
        let free = inner.areas.free_around(start, end);
        let dead = self.dead.get(first..).unwrap_or(&[]);
        for (area, next) in dead.iter().zip(dead.iter().skip(1).map(Some).chain([None])) {
            // What the next one needs too goes with that.
            let ceiling = next.map_or(free.end, |next| next.start);
            inner.table.free_unused(area.start, area.end, &(free.start..ceiling), &mut self.batch);
        }
        Ok(())
    }
}

/// Bytes of `pages`.
pub(super) const fn bytes(pages: u64) -> u64 {
    pages * PAGE_SIZE
}
