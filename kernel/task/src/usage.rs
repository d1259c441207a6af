//! What processes have used (getrusage(2)): their threads, live and ended, and the children that
//! were waited for.

use core::sync::atomic::{AtomicU64, Ordering};

use syscall_shim::types::{Rusage, Timeval};

use super::process::Process;
use super::thread::Task;

/// The unit of `ru_inblock` and `ru_oublock`, in bytes.
const BLOCK: u64 = 512;

/// Time, memory, faults, disk transfers and switches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Nanoseconds in the application and in the kernel.
    pub cpu_ns: [u64; 2],
    /// Most memory that was resident at once, in bytes.
    pub peak_rss: u64,
    /// Minor and major page faults.
    pub faults: [u64; 2],
    /// Bytes that disks were asked to read and to write.
    pub blocks: [u64; 2],
    /// Voluntary and involuntary context switches.
    pub switches: [u64; 2],
}

/// Adds counters to sums.
pub(super) fn add<const N: usize>(sum: &mut [u64; N], counts: &[AtomicU64; N]) {
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.load(Ordering::Relaxed));
}

fn add_all<const N: usize>(sum: &mut [u64; N], other: [u64; N]) {
    sum.iter_mut().zip(other).for_each(|(sum, count)| *sum += count);
}

impl Usage {
    /// Counts one thread's faults, disk transfers and switches.
    pub fn add_thread(&mut self, task: &Task) {
        add(&mut self.faults, &task.faults);
        add(&mut self.blocks, &task.blocks);
        add(&mut self.switches, &task.switches);
    }

    /// Adds a child's.
    pub fn add(&mut self, other: &Usage) {
        add_all(&mut self.cpu_ns, other.cpu_ns);
        add_all(&mut self.faults, other.faults);
        add_all(&mut self.blocks, other.blocks);
        add_all(&mut self.switches, other.switches);
        self.peak_rss = self.peak_rss.max(other.peak_rss);
    }

    /// As getrusage(2) and wait4(2) show it.
    pub fn to_rusage(self) -> Rusage {
        Rusage {
            ru_utime: Timeval::from_ns(self.cpu_ns[0]),
            ru_stime: Timeval::from_ns(self.cpu_ns[1]),
            ru_maxrss: (self.peak_rss / 1024) as i64,
            ru_minflt: self.faults[0] as i64,
            ru_majflt: self.faults[1] as i64,
            ru_inblock: (self.blocks[0] / BLOCK) as i64,
            ru_oublock: (self.blocks[1] / BLOCK) as i64,
            ru_nvcsw: self.switches[0] as i64,
            ru_nivcsw: self.switches[1] as i64,
            ..Rusage::default()
        }
    }
}

impl Process {
    /// What the process has used itself: `RUSAGE_SELF`.
    pub fn usage(&self) -> Usage {
        let (user, system) = self.cpu_time();
        let mut usage = self.ended.lock().usage;
        usage.cpu_ns = [user, system];
        usage.peak_rss = usage.peak_rss.max(self.mm().peak_rss());
        self.threads().for_each(|thread| usage.add_thread(&thread));
        usage
    }

    /// What the children used that were waited for: `RUSAGE_CHILDREN`.
    pub fn children_usage(&self) -> Usage {
        *self.children_usage.lock()
    }
}
