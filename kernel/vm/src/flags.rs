//! Protection, placement and per-area flags of application memory (mmap(2), mprotect(2),
//! madvise(2)).

use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;

pub use base::prot::Prot;
use bitflags::bitflags;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = base::addr::PAGE_SIZE as u64;
/// Bytes in a large page.
pub const HUGE_SIZE: u64 = base::addr::LARGE_PAGE_SIZE as u64;
/// The first address above application memory (`TASK_SIZE` of x86-64 with 4-level paging).
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// Only the privileged map anything below this address, where they say so exactly
/// (`vm.mmap_min_addr`).
pub const MMAP_MIN_ADDR: u64 = 65536;
/// Room kept free below an area that grows downwards (`stack_guard_gap`, 256 pages).
pub const STACK_GUARD_GAP: u64 = 256 * PAGE_SIZE;
/// How many areas one address space may have (`vm.max_map_count`).
pub static MAX_MAP_COUNT: AtomicI32 = AtomicI32::new(65530);

/// [`MAX_MAP_COUNT`] now.
pub fn max_map_count() -> usize {
    usize::try_from(MAX_MAP_COUNT.load(Relaxed)).unwrap_or(0)
}

/// A memory policy (set_mempolicy(2)), of a thread or an area: which nodes pages shall come from.
/// The default one prefers the nearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `MPOL_*`, with its flags.
    pub mode: u32,
    /// The first 64 nodes, a bit each, as get_mempolicy(2) shows them.
    pub nodes: u64,
}

/// Rounds `v` down to a page boundary.
pub const fn page_down(v: u64) -> u64 {
    v & !(PAGE_SIZE - 1)
}

/// Rounds `v` up to a page boundary, past the largest number to 0.
pub const fn page_up_wrapping(v: u64) -> u64 {
    v.wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Rounds `v` up to a page boundary; `None` when that overflows.
pub const fn page_up(v: u64) -> Option<u64> {
    match v.checked_add(PAGE_SIZE - 1) {
        Some(v) => Some(v & !(PAGE_SIZE - 1)),
        None => None,
    }
}

bitflags! {
    /// `MAP_*` of mmap(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        /// Changes go to the file and to other mappings of it.
        const SHARED = 0x01;
        /// Changes stay in this mapping.
        const PRIVATE = 0x02;
        /// `MAP_SHARED_VALIDATE`: shared, and unknown flags are refused.
        const SHARED_VALIDATE = 0x03;
        /// Private, anonymous, and the kernel may take its pages at any time.
        const DROPPABLE = 0x08;
        /// The bits of the four above.
        const TYPE = 0x0f;
        /// Exactly at the address given, over whatever is there.
        const FIXED = 0x10;
        /// No file: zeroes.
        const ANONYMOUS = 0x20;
        /// In the first 2 GiB.
        const MAP_32BIT = 0x40;
        /// The area grows downwards on faults below it.
        const GROWSDOWN = 0x100;
        /// Historical; ignored.
        const DENYWRITE = 0x800;
        /// Historical; ignored.
        const EXECUTABLE = 0x1000;
        /// Locked as by mlock(2).
        const LOCKED = 0x2000;
        /// No commit accounting.
        const NORESERVE = 0x4000;
        /// Pages are faulted in at once.
        const POPULATE = 0x8000;
        /// With `POPULATE`: only what is already in memory.
        const NONBLOCK = 0x10000;
        /// A thread's stack: no large pages, as in Linux since 6.7.
        const STACK = 0x20000;
        /// From the pool of huge pages.
        const HUGETLB = 0x40000;
        /// Synchronous page faults (DAX files only).
        const SYNC = 0x80000;
        /// As `FIXED`, but refused with `EEXIST` when something is there.
        const FIXED_NOREPLACE = 0x100000;
        /// The bits that name a size with `HUGETLB`: those of 2 MiB and 1 GiB.
        const HUGE_SIZES = (21 << 26) | (30 << 26);
        /// Memory that is not cleared; ignored as on kernels with an MMU.
        const UNINITIALIZED = 0x4000000;
    }
}

bitflags! {
    /// What an area is and what was advised for it, besides its protection.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct VmFlags: u32 {
        /// `MAP_SHARED`.
        const SHARED = 1 << 0;
        /// Grows downwards on faults below it.
        const GROWSDOWN = 1 << 1;
        /// mlock(2)ed.
        const LOCKED = 1 << 2;
        /// With `LOCKED`: pages are locked only once they fault (`MLOCK_ONFAULT`).
        const LOCKONFAULT = 1 << 3;
        /// `MAP_NORESERVE`: never charged.
        const NORESERVE = 1 << 4;
        /// Charged to `Committed_AS`.
        const ACCOUNT = 1 << 5;
        /// `MADV_DONTFORK`.
        const DONTCOPY = 1 << 6;
        /// `MADV_WIPEONFORK`.
        const WIPEONFORK = 1 << 7;
        /// `MADV_DONTDUMP`.
        const DONTDUMP = 1 << 8;
        /// `MADV_HUGEPAGE`.
        const HUGEPAGE = 1 << 9;
        /// `MADV_NOHUGEPAGE`.
        const NOHUGEPAGE = 1 << 10;
        /// `MADV_MERGEABLE`.
        const MERGEABLE = 1 << 11;
        /// `MADV_SEQUENTIAL`.
        const SEQ_READ = 1 << 12;
        /// `MADV_RANDOM`.
        const RAND_READ = 1 << 13;
        /// mprotect(2) may add `PROT_READ`.
        const MAYREAD = 1 << 14;
        /// mprotect(2) may add `PROT_WRITE`.
        const MAYWRITE = 1 << 15;
        /// mprotect(2) may add `PROT_EXEC`.
        const MAYEXEC = 1 << 16;
        /// Cannot be expanded or moved by mremap(2) (kernel pages such as the vDSO).
        const DONTEXPAND = 1 << 17;
        /// `MAP_SHARED` was asked for (`SHARED` is dropped for read-only files).
        const MAYSHARE = 1 << 18;
        /// `MAP_DROPPABLE`.
        const DROPPABLE = 1 << 20;
        /// mseal(2)ed.
        const SEALED = 1 << 21;
        /// `MADV_GUARD_INSTALL`: whatever the protection says, nobody comes here.
        const GUARD = 1 << 19;
    }
}

/// The kind of access that faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Access {
    /// A write (error-code bit 1).
    pub write: bool,
    /// An instruction fetch (error-code bit 4).
    pub exec: bool,
}

impl Access {
    /// A data read.
    pub const READ: Access = Access { write: false, exec: false };
    /// A data write.
    pub const WRITE: Access = Access { write: true, exec: false };
}

/// Why a fault could not be resolved; each names the signal that Linux would send (sigaction(2),
/// `si_code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// Nothing is mapped there: `SIGSEGV`, `SEGV_MAPERR`.
    Maperr,
    /// The mapping forbids this access: `SIGSEGV`, `SEGV_ACCERR`.
    Accerr,
    /// Beyond the end of the mapped file, or its data cannot be read: `SIGBUS`, `BUS_ADRERR`.
    BusAdrerr,
    /// No memory is left.
    Oom,
}
