//! How often each system call was made: each CPU counts its own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use base::counts::{CallCounts, slot};
use syscall_shim::vdso::COUNTED;
use syscall_shim::{NR_SYSCALLS, Status, table};

use crate::arch::percpu::{self, this_cpu};
use crate::sync::IrqSpinLock;
use task::current;

/// Every CPU's counts. The host may ask in an interrupt.
static CPUS: IrqSpinLock<Vec<&'static CallCounts>> = IrqSpinLock::new(Vec::new());
/// Calls that are absent and were asked for, a bit each.
static MISSED: [AtomicU64; NR_SYSCALLS.div_ceil(64) + 1] = [const { AtomicU64::new(0) }; NR_SYSCALLS.div_ceil(64) + 1];

/// Gives this CPU its counters.
pub fn init_cpu() {
    let counts: &CallCounts = Box::leak(Box::new(CallCounts::new()));
    this_cpu().counts.set(counts);
    CPUS.lock().push(counts);
}

/// Counts a call that was made by a `syscall` instruction.
#[inline]
pub fn trapped(nr: u64) {
    if let Some(counts) = this_cpu().call_counts() {
        counts.count_trapped(nr);
    }
}

/// Names a call that is absent in the log, the first time.
#[cold]
pub fn absent(nr: u64) {
    let slot = slot(nr);
    if MISSED[slot / 64].fetch_or(1 << (slot % 64), Ordering::Relaxed) >> (slot % 64) & 1 != 0 {
        return;
    }
    match table::name(nr) {
        Some(name) if matches!(table::status(nr), Status::Absent) => {
            kwarn!("{}: system call {name} ({nr}) is absent: ENOSYS", current().name());
        }
        Some(_) => {}
        None => kwarn!("{}: there is no system call {nr}: ENOSYS", current().name()),
    }
}

/// How often a call was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// The call's number; one that does not exist stands for all those.
    pub nr: u64,
    /// By a `syscall` instruction.
    pub trapped: u64,
    /// By a jump.
    pub direct: u64,
    /// Answered by the vDSO, without the kernel.
    pub vdso: u64,
}

/// The counts of the calls that were made at all.
pub fn calls() -> Vec<Count> {
    let mut sums: Vec<Count> = (0..=NR_SYSCALLS as u64).map(|nr| Count { nr, ..Count::default() }).collect();
    for counts in CPUS.lock().iter() {
        for (sum, (direct, trapped)) in sums.iter_mut().zip(counts.direct.iter().zip(&counts.trapped)) {
            sum.direct += direct.load(Ordering::Relaxed);
            sum.trapped += trapped.load(Ordering::Relaxed);
        }
    }
    for cpu in percpu::each(task::sched::online_cpus()) {
        for (nr, answers) in COUNTED.iter().zip(&cpu.vdso_answers) {
            if let Some(sum) = sums.get_mut(*nr as usize) {
                sum.vdso += answers.load(Ordering::Relaxed);
            }
        }
    }
    sums.retain(|count| count.trapped + count.direct + count.vdso > 0);
    sums
}
