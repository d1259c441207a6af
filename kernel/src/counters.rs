//! How often each system call was made: each CPU counts its own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use syscall_shim::vdso::COUNTED;
use syscall_shim::{NR_SYSCALLS, Status, table};

use crate::arch::percpu::{self, this_cpu};
use crate::sync::IrqLock;
use crate::task::current;

/// One for each number; the last stands for numbers that do not exist.
pub type PerCall = [AtomicU64; NR_SYSCALLS + 1];

/// The counts of one CPU, which alone changes them. The entry code counts direct calls itself.
#[repr(C)]
pub struct CallCounts {
    /// By stubs. First, because the entry code relies on it.
    direct: PerCall,
    /// By `syscall` instructions.
    pub trapped: PerCall,
}

impl CallCounts {
    const fn new() -> Self {
        Self {
            direct: [const { AtomicU64::new(0) }; NR_SYSCALLS + 1],
            trapped: [const { AtomicU64::new(0) }; NR_SYSCALLS + 1],
        }
    }
}

/// Every CPU's counts. The host may ask in an interrupt.
static CPUS: IrqLock<Vec<&'static CallCounts>> = IrqLock::new(Vec::new());
/// Calls that are absent and were asked for, a bit each.
static MISSED: [AtomicU64; NR_SYSCALLS.div_ceil(64) + 1] = [const { AtomicU64::new(0) }; NR_SYSCALLS.div_ceil(64) + 1];

/// Gives this CPU its counters.
pub fn init_cpu() {
    let counts: &CallCounts = Box::leak(Box::new(CallCounts::new()));
    this_cpu().counts.set(counts);
    CPUS.lock().push(counts);
}

fn slot(nr: u64) -> usize {
    (nr as usize).min(NR_SYSCALLS)
}

/// Counts a call that was made by a `syscall` instruction.
#[inline]
pub fn trapped(nr: u64) {
    if let Some(counts) = this_cpu().call_counts() {
        let count = &counts.trapped[slot(nr)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
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
    for cpu in percpu::each(crate::task::sched::online_cpus()) {
        for (nr, answers) in COUNTED.iter().zip(&cpu.vdso_answers) {
            if let Some(sum) = sums.get_mut(*nr as usize) {
                sum.vdso += answers.load(Ordering::Relaxed);
            }
        }
    }
    sums.retain(|count| count.trapped + count.direct + count.vdso > 0);
    sums
}
