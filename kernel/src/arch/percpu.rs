//! What each CPU has of its own. GS base points at its [`PerCpu`] always: application and kernel share ring 0, so there is no
//! `swapgs`. Entry code reaches the first fields by their offset.

use core::arch::asm;
use core::cell::Cell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::task::Task;

/// The per-CPU block. The offsets of the fields that assembly uses are checked below.
#[repr(C)]
pub struct PerCpu {
    self_ptr: Cell<*const PerCpu>,
    /// The running task; the run queue holds the reference count.
    pub current: Cell<*const Task>,
    /// Top of the running task's kernel stack: where entries from the application start.
    pub stack_top: Cell<u64>,
    /// Lowest address of that stack.
    pub stack_bottom: Cell<u64>,
    /// The application's stack pointer, for the first instructions of an entry.
    pub scratch: Cell<u64>,
    /// Index of this CPU, from 0.
    pub id: Cell<u32>,
    /// Set when the running task should give way at the next return to the application.
    pub need_resched: AtomicBool,
    /// Under KVM, bit 0 is set while the end of an interrupt may be told by clearing it.
    pub pv_eoi: AtomicU32,
    /// When the one-shot timer is set to fire, monotonic; `u64::MAX` when it is not.
    pub timer_armed: Cell<u64>,
    /// Interrupts taken.
    pub interrupts: AtomicU64,
    /// Context switches.
    pub switches: AtomicU64,
}

pub(super) const STACK_TOP: usize = offset_of!(PerCpu, stack_top);
pub(super) const STACK_BOTTOM: usize = offset_of!(PerCpu, stack_bottom);
pub(super) const SCRATCH: usize = offset_of!(PerCpu, scratch);
const _: () = assert!(offset_of!(PerCpu, self_ptr) == 0);

// SAFETY: each block is used by its own CPU; the fields that others touch are atomics.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> Self {
        Self {
            self_ptr: Cell::new(core::ptr::null()),
            current: Cell::new(core::ptr::null()),
            stack_top: Cell::new(0),
            stack_bottom: Cell::new(0),
            scratch: Cell::new(0),
            id: Cell::new(0),
            need_resched: AtomicBool::new(false),
            pv_eoi: AtomicU32::new(0),
            timer_armed: Cell::new(u64::MAX),
            interrupts: AtomicU64::new(0),
            switches: AtomicU64::new(0),
        }
    }
}

static BOOT_CPU: PerCpu = PerCpu::new();

const IA32_GS_BASE: u32 = 0xc000_0101;

/// Points GS base of the boot CPU at its block. `stack` is the stack that boot runs on, lowest and highest address.
pub fn init_boot_cpu(stack: (u64, u64)) {
    let cpu = &BOOT_CPU;
    cpu.self_ptr.set(cpu);
    cpu.stack_bottom.set(stack.0);
    cpu.stack_top.set(stack.1);
    // SAFETY: the kernel alone uses GS, and the block is static.
    unsafe { super::msr::write(IA32_GS_BASE, core::ptr::from_ref(cpu) as u64) };
}

/// This CPU's block. Valid until the caller can be moved to another CPU, that is, until it sleeps.
#[inline]
pub fn this_cpu() -> &'static PerCpu {
    let ptr: *const PerCpu;
    // SAFETY: GS base points at a static PerCpu whose first field is its own address.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) ptr, options(nostack, preserves_flags, readonly));
        &*ptr
    }
}
