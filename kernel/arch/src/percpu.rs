//! What each CPU has of its own. GS base points at its [`PerCpu`] always: application and kernel
//! share ring 0, so there is no `swapgs`. Entry code reaches the first fields by their offset.

use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use base::counts::CallCounts;
use syscall_shim::vdso::COUNTED;

/// CPUs that the tables have room for.
pub const MAX_CPUS: usize = 64;
/// So many are counted, to say how many are left out.
pub const LISTED_CPUS: usize = 4 * MAX_CPUS;

/// The running task, of which this layer knows nothing but where it is.
pub enum CurrentTask {}

/// The per-CPU block. The offsets of the fields that assembly uses are checked below. Blocks share
/// no cache line.
#[repr(C, align(128))]
pub struct PerCpu {
    self_ptr: Cell<*const PerCpu>,
    /// The running task; the run queue holds the reference count.
    pub current: Cell<*const CurrentTask>,
    /// Top of the running task's kernel stack: where entries from the application start.
    pub stack_top: Cell<u64>,
    /// Lowest address of that stack.
    pub stack_bottom: Cell<u64>,
    /// The application's stack pointer, for the first instructions of an entry.
    pub scratch: Cell<u64>,
    /// Its counts of system calls; set before the first.
    pub counts: Cell<*const CallCounts>,
    /// Index of this CPU, from 0.
    pub id: Cell<u32>,
    /// Its local APIC's id, by which others interrupt it.
    pub apic_id: AtomicU32,
    /// Set when the running task should give way at the next return to the application.
    pub need_resched: AtomicBool,
    /// Tasks that wait for this CPU, for others to read without its queue's lock.
    pub waiting: AtomicU32,
    /// CPUs whose request to drop translations waits here, a bit each.
    pub flush_requests: AtomicU64,
    /// The CPU is idle and will look at `need_resched` by itself.
    pub polling: AtomicBool,
    /// The CPU is idle and uses the address space that it has loaded for nothing: it flushes before
    /// it does again.
    pub lazy: AtomicBool,
    /// The table of counted pointers of which the CPU reads an entry just now: its address, or 0.
    pub reading: AtomicUsize,
    /// Under KVM, bit 0 is set while the end of an interrupt may be told by clearing it.
    pub pv_eoi: AtomicU32,
    /// When the one-shot timer is set to fire, monotonic; `u64::MAX` when it is not.
    pub timer_armed: Cell<u64>,
    /// When the profiler is to look at this CPU next, monotonic.
    pub next_sample: Cell<u64>,
    /// Interrupts taken.
    pub interrupts: AtomicU64,
    /// Of these, those by which other CPUs had it drop translations.
    pub flushes: AtomicU64,
    /// And those by which they had it look at its run queue.
    pub kicks: AtomicU64,
    /// Context switches.
    pub switches: AtomicU64,
    /// Spin locks that were not free when this CPU came.
    pub contended: AtomicU64,
    /// Times that a task slept for a lock.
    pub lock_sleeps: AtomicU64,
    /// What the vDSO has answered by itself, as [`syscall_shim::vdso::COUNTED`] orders it. Its code
    /// counts.
    pub vdso_answers: [AtomicU64; COUNTED.len()],
}

/// Where from GS base on the vDSO counts.
pub const VDSO_ANSWERS: usize = offset_of!(PerCpu, vdso_answers);
/// Where from GS base the top of the kernel stack is.
pub const STACK_TOP: usize = offset_of!(PerCpu, stack_top);
/// Where from GS base its lowest address is.
pub const STACK_BOTTOM: usize = offset_of!(PerCpu, stack_bottom);
/// Where from GS base the running task is.
pub const CURRENT: usize = offset_of!(PerCpu, current);
/// Where from GS base the counts of system calls is.
pub const COUNTS: usize = offset_of!(PerCpu, counts);
/// Where from GS base the word for the first instructions of an entry is.
pub const SCRATCH: usize = offset_of!(PerCpu, scratch);
const _: () = assert!(offset_of!(PerCpu, self_ptr) == 0);

// SAFETY: each block is used by its own CPU; the fields that others touch are atomics.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// Its counts of system calls.
    pub fn call_counts(&self) -> Option<&'static CallCounts> {
        // SAFETY: null, or made for good.
        unsafe { self.counts.get().as_ref() }
    }

    const fn new() -> Self {
        Self {
            self_ptr: Cell::new(core::ptr::null()),
            current: Cell::new(core::ptr::null()),
            stack_top: Cell::new(0),
            stack_bottom: Cell::new(0),
            scratch: Cell::new(0),
            counts: Cell::new(core::ptr::null()),
            id: Cell::new(0),
            apic_id: AtomicU32::new(0),
            need_resched: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            flush_requests: AtomicU64::new(0),
            polling: AtomicBool::new(false),
            lazy: AtomicBool::new(false),
            reading: AtomicUsize::new(0),
            pv_eoi: AtomicU32::new(0),
            timer_armed: Cell::new(u64::MAX),
            next_sample: Cell::new(0),
            interrupts: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            kicks: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            contended: AtomicU64::new(0),
            lock_sleeps: AtomicU64::new(0),
            vdso_answers: [const { AtomicU64::new(0) }; COUNTED.len()],
        }
    }
}

/// The CPUs that run tasks, a bit each.
static ONLINE: AtomicU64 = AtomicU64::new(1);

/// The CPUs that run tasks, a bit each.
pub fn online() -> u64 {
    ONLINE.load(Ordering::Acquire)
}

/// From now on this CPU runs tasks.
pub fn set_online() {
    ONLINE.fetch_or(1 << this_cpu().id.get(), Ordering::SeqCst);
}

static CPUS: [PerCpu; MAX_CPUS] = [const { PerCpu::new() }; MAX_CPUS];

const IA32_GS_BASE: u32 = 0xc000_0101;

/// Points GS base of this CPU at its block, the one with index `id`. `stack` is the stack that it
/// runs on, lowest and highest address. The first thing that a CPU does: locks, interrupts and the
/// scheduler need it.
pub fn init(id: u32, stack: (u64, u64)) {
    let cpu = of(id);
    cpu.self_ptr.set(cpu);
    cpu.id.set(id);
    cpu.stack_bottom.set(stack.0);
    cpu.stack_top.set(stack.1);
    // SAFETY: the kernel alone uses GS, and the block is static.
    unsafe { super::msr::write(IA32_GS_BASE, core::ptr::from_ref(cpu) as u64) };
}

/// The block of the CPU with index `id`, of which another CPU may use the atomics.
pub fn of(id: u32) -> &'static PerCpu {
    &CPUS[id as usize % MAX_CPUS]
}

/// The blocks of the CPUs in `mask`, a bit each.
pub fn each(mask: u64) -> impl Iterator<Item = &'static PerCpu> {
    let mut left = mask;
    core::iter::from_fn(move || {
        let id = left.trailing_zeros();
        // None is left: beyond the last.
        let cpu = CPUS.get(id as usize)?;
        left &= left - 1;
        Some(cpu)
    })
}

/// This CPU's block. Valid until the caller can be moved to another CPU, that is, until it sleeps.
#[inline]
pub fn this_cpu() -> &'static PerCpu {
    let ptr: *const PerCpu;
    // SAFETY: GS base points at a static PerCpu whose first field is its own address. The read must
    // not be moved across a call that can sleep, so it is not declared free of side effects.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) ptr, options(nostack, preserves_flags));
        &*ptr
    }
}
