//! Out of memory: which process ends so that the others can go on.
//!
//! As in Linux, it is the one that has most, by resident pages and page tables, with
//! `oom_score_adj` in thousandths of all memory; none with -1000. Its private memory is taken from
//! it at once, whatever its threads wait for, and only where that is not enough is its end waited
//! for. The first process is not spared: the machine ends with it, and says what it lacks.

use alloc::sync::Weak;
use core::sync::atomic::{AtomicBool, Ordering};

use syscall_shim::Signal;

use super::process::Process;
use super::wait::{WaitQueue, wait_uninterruptible_until};
use super::{Instant, current, exit, family, table};
use arch::clock;
use arch::percpu::this_cpu;
use mem::{PAGE_SIZE, frames, user_page};
use sync::SleepMutex;

/// `oom_score_adj` of what is never chosen (`OOM_SCORE_ADJ_MIN`, linux/oom.h).
const NEVER: i32 = -1000;
/// So long a chosen process has to end before another is chosen.
const VICTIM_TIMEOUT_NS: u64 = 1_000_000_000;
/// Pages of caches that are given up at once.
const RECLAIMED: u64 = 256;
/// How long to wait between two looks.
const POLL_INTERVAL_NS: u64 = 2_000_000;

/// The last process that was chosen, and when.
type Last = Option<(Weak<Process>, Instant)>;

/// Held by who chooses. The address spaces' locks are taken while it is held; nobody waits for
/// memory with one of those.
static CHOICE: SleepMutex<Last> = SleepMutex::new(None);
/// Nobody wakes it: see [`POLL_INTERVAL_NS`].
static WAITING: WaitQueue = WaitQueue::new();
/// The kernel's heap begins to use its reserve up.
static CALLED_FOR: AtomicBool = AtomicBool::new(false);

/// Has the current thread, or another, see to memory on its way out of the kernel. Callable from
/// everywhere.
pub fn call_for() {
    CALLED_FOR.store(true, Ordering::Relaxed);
    this_cpu().need_resched.store(true, Ordering::Relaxed);
}

/// Does what [`call_for`] asked for. No lock is held.
pub fn answer() {
    if CALLED_FOR.load(Ordering::Relaxed) && CALLED_FOR.swap(false, Ordering::Relaxed) {
        relieve(0);
    }
}

/// Sees to it that programs can have `pages` more. Whether the calling thread goes on: otherwise
/// its process is one of those that end, or is ending anyway. May sleep, for a bounded time.
pub fn relieve(pages: u64) -> bool {
    let task = current();
    loop {
        if exit::must_exit(task) {
            return false;
        }
        if user_page::available(pages) {
            return true;
        }
        // What is on a disk too is given up first.
        if fs::mapping::reclaim(pages.max(RECLAIMED)) > 0 {
            continue;
        }
        choose(pages);
        let settled = || (exit::must_exit(task) || user_page::available(pages)).then_some(());
        wait_uninterruptible_until(&WAITING, clock::monotonic_ns() + POLL_INTERVAL_NS, settled);
    }
}

/// Chooses a process and ends it, unless one that was chosen is still on its way.
fn choose(pages: u64) {
    let mut last = CHOICE.lock();
    let now = clock::monotonic_ns();
    if user_page::available(pages)
        || last
            .as_ref()
            .is_some_and(|(victim, since)| victim.upgrade().is_some_and(|victim| is_ending(&victim, *since, now)))
    {
        return;
    }
    let victim =
        table::processes().filter_map(|process| Some((badness(&process)?, process))).max_by_key(|(points, _)| *points);
    // Where all are excepted, the one that asks.
    let victim = victim.map_or_else(|| current().process.clone(), |(_, victim)| victim);
    let space = victim.mm();
    tell(&victim, space.rss_pages());
    for process in table::processes().filter(|process| process.space() == victim.space()) {
        exit::begin_group_exit(&process, u32::from(Signal::SIGKILL.number()));
    }
    space.reap();
    *last = Some((alloc::sync::Arc::downgrade(&victim), now));
}

/// Whether more memory can be expected of a process that was chosen at `since`.
fn is_ending(victim: &Process, since: Instant, now: Instant) -> bool {
    !victim.zombie.load(Ordering::Acquire) && now.saturating_sub(since) < VICTIM_TIMEOUT_NS
}

/// Linux's `oom_badness`, in pages; `None` for what is not chosen.
fn badness(process: &Process) -> Option<i64> {
    let adjust = process.oom_score_adj.load(Ordering::Relaxed);
    if adjust == NEVER || process.exiting.load(Ordering::Acquire) {
        return None;
    }
    Some(process.mm().pages_for_oom() as i64 + i64::from(adjust) * frames::total() as i64 / 1000)
}

fn tell(victim: &Process, pages: u64) {
    const MIB: u64 = (1 << 20) / PAGE_SIZE as u64;
    let total = frames::total() as u64 / MIB;
    let leader = victim.first_thread();
    let Some(leader) = leader else { return };
    let (name, pid) = (leader.name(), victim.pid);
    if pid == family::FIRST_PID {
        kerr!("out of memory: {name} (pid {pid}) needs more than this machine's {total} MiB: raise --memory");
    } else {
        let had = pages / MIB;
        kerr!("out of memory: {name} (pid {pid}), which had {had} of this machine's {total} MiB, is killed: raise --memory");
    }
}
