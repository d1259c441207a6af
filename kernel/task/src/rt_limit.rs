//! `RLIMIT_RTTIME`: how long a thread may run by a real-time policy without once sleeping
//! (getrlimit(2)).
//!
//! While there is such a limit, the process's threads are looked at each 10 ms of its time, as
//! Linux does at each tick: one that has slept since begins anew.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general as g;
use syscall_shim::Signal;
use syscall_shim::types::{RLIM_INFINITY, Siginfo};

use super::process::Process;
use super::sched;
use super::signal::pending::Queued;
use super::signal::send::post_to_process;
use super::thread::Task;

const LOOK_PERIOD_NS: u64 = 10_000_000;
const NS_PER_US: u64 = 1000;
/// By how much the soft limit goes up with each signal, in microseconds.
const STEP: u64 = 1_000_000;

/// When a thread slept last, as far as was looked.
#[derive(Default)]
pub struct RealtimeUse {
    /// How often it had slept.
    sleeps: AtomicU64,
    /// The time that it had used by then, in nanoseconds.
    since: AtomicU64,
}

/// The soft limit is `soft` microseconds from now on, or none.
pub fn set(process: &Arc<Process>, soft: u64) {
    process.timers.watch_realtime(process, if soft == RLIM_INFINITY { 0 } else { LOOK_PERIOD_NS });
}

/// Nanoseconds that a thread has run by a real-time policy since it slept last.
fn used(task: &Task) -> u64 {
    let (user, system) = sched::cpu_time(task);
    let (now, sleeps) = (user + system, task.switches[0].load(Ordering::Relaxed));
    let is_realtime = matches!(task.sched.get().policy, g::SCHED_FIFO | g::SCHED_RR);
    if task.rt_use.sleeps.swap(sleeps, Ordering::Relaxed) != sleeps || !is_realtime {
        task.rt_use.since.store(now, Ordering::Relaxed);
    }
    now.saturating_sub(task.rt_use.since.load(Ordering::Relaxed))
}

/// Sends what the limit says: `SIGKILL` at the hard one, `SIGXCPU` at the soft one, which is a
/// second later the next time. Interrupt context: where somebody holds the limits, the next look
/// will do.
pub(super) fn look(process: &Arc<Process>) {
    let most = process.threads.lock().iter().map(|task| used(task)).max().unwrap_or(0) / NS_PER_US;
    let Some(mut limits) = process.rlimits.try_lock() else { return };
    let limit = &mut limits[g::RLIMIT_RTTIME as usize];
    let signal = if limit.hard != RLIM_INFINITY && most >= limit.hard {
        Signal::SIGKILL
    } else if limit.soft != RLIM_INFINITY && most >= limit.soft {
        limit.soft = limit.soft.saturating_add(STEP).min(limit.hard);
        Signal::SIGXCPU
    } else {
        return;
    };
    drop(limits);
    post_to_process(process, Queued::new(Siginfo::kernel(signal)));
}
