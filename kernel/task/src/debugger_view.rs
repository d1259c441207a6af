//! What a debugger reads of tasks, without knowing the types of the kernel: a list of them, and
//! where in a task it finds what.
//!
//! With `gdb` on the command line only; skiff/src/gdb/skiff.py is the reader.

use alloc::vec::Vec;
use core::mem::{offset_of, size_of};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::process::Process;
use super::thread::{OFF_PROCESS, Task};
use arch::trap::TrapFrame;
use vm::AddressSpace;

/// Tasks that are listed; of more, the first, which the reader says.
const SLOTS: usize = 16_384;

/// A listed task, or none.
#[repr(C)]
struct Slot {
    task: AtomicPtr<Task>,
    /// Top of its kernel stack, below which the application's registers lie.
    stack_top: AtomicU64,
    /// Its name: 16 bytes.
    comm: AtomicPtr<[u8; 16]>,
}

/// The list, once there is one.
#[unsafe(export_name = "skiff_tasks")]
static TASKS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// Slots of the list that have ever been in use, the first ones; one more than there are where some
/// task found none.
#[unsafe(export_name = "skiff_tasks_used")]
static USED: AtomicU64 = AtomicU64::new(0);

/// How to read it.
#[unsafe(export_name = "skiff_task_layout")]
static LAYOUT: [u64; 11] = [
    SLOTS as u64,
    size_of::<Slot>() as u64,
    offset_of!(Task, tid) as u64,
    OFF_PROCESS as u64,
    offset_of!(Task, state) as u64,
    offset_of!(Task, on_cpu) as u64,
    offset_of!(Task, cpu) as u64,
    offset_of!(Task, saved_rsp) as u64,
    offset_of!(Process, pid) as u64,
    Process::OFF_SPACE as u64,
    AddressSpace::OFF_ROOT as u64,
];

/// Begins to list tasks.
pub fn start() {
    let slots: Vec<Slot> = (0..SLOTS)
        .map(|_| Slot { task: AtomicPtr::default(), stack_top: AtomicU64::new(0), comm: AtomicPtr::default() })
        .collect();
    TASKS.store(slots.leak().as_mut_ptr(), Ordering::Release);
    core::hint::black_box(&LAYOUT);
    const { assert!(TrapFrame::SIZE == 22 * 8, "the reader knows the frame") };
}

fn slots() -> &'static [Slot] {
    let slots = TASKS.load(Ordering::Acquire);
    if slots.is_null() {
        return &[];
    }
    // SAFETY: `start` leaked that many.
    unsafe { core::slice::from_raw_parts(slots, SLOTS) }
}

/// A task has begun.
pub(super) fn add(task: &Task) {
    let own = ptr::from_ref(task).cast_mut();
    let slots = slots();
    for (n, slot) in (1..).zip(slots) {
        if slot.task.compare_exchange(ptr::null_mut(), own, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            slot.stack_top.store(task.stack_bounds().1, Ordering::Relaxed);
            slot.comm.store(task.comm.as_ptr(), Ordering::Relaxed);
            USED.fetch_max(n, Ordering::Relaxed);
            return;
        }
    }
    if !slots.is_empty() {
        USED.store(slots.len() as u64 + 1, Ordering::Relaxed);
    }
}

/// A task ends.
pub(super) fn remove(task: &Task) {
    let own = ptr::from_ref(task).cast_mut();
    if let Some(slot) = slots().iter().find(|slot| slot.task.load(Ordering::Relaxed) == own) {
        slot.task.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
