//! Which CPU a task runs on: where it ran last if that is idle, else an idle one, else where it is
//! woken, or where least wait. A CPU with nothing to do takes waiting tasks from others, and one
//! with too many hands some on when a turn ends.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::super::thread::Task;
use super::queue::Arrival;
use super::{RUN_QUEUES, enqueue, online_cpus, queue_of};
use arch::clock;
use arch::percpu::{self, this_cpu};

/// The idle CPUs, a bit each; whoever sends a task to one takes its bit away, so that the next task
/// goes elsewhere.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// Says that CPU `cpu` has nothing to do, or has again.
pub fn set_idle(cpu: u32, idle: bool) {
    if idle {
        IDLE.fetch_or(1 << cpu, Ordering::Relaxed);
    } else if IDLE.load(Ordering::Relaxed) >> cpu & 1 != 0 {
        IDLE.fetch_and(!(1 << cpu), Ordering::Relaxed);
    }
}

fn claim(cpu: u32) -> bool {
    IDLE.load(Ordering::Relaxed) >> cpu & 1 != 0 && IDLE.fetch_and(!(1 << cpu), Ordering::Relaxed) >> cpu & 1 != 0
}

/// The CPUs that `task` may run on.
pub fn allowed(task: &Task) -> u64 {
    match task.affinity.load(Ordering::Relaxed) & online_cpus() {
        0 => online_cpus(),
        cpus => cpus,
    }
}

/// Whether `task` may run on `cpu`.
pub fn may_run(task: &Task, cpu: u32) -> bool {
    allowed(task) >> cpu & 1 != 0
}

/// Takes an idle CPU out of `cpus`.
fn claim_among(cpus: u64) -> Option<u32> {
    loop {
        let candidates = IDLE.load(Ordering::Relaxed) & cpus;
        if candidates == 0 {
            return None;
        }
        let cpu = candidates.trailing_zeros();
        if claim(cpu) {
            return Some(cpu);
        }
    }
}

/// Tasks that run or wait on `cpu`, about.
fn load(cpu: u32) -> u32 {
    let idle = IDLE.load(Ordering::Relaxed) >> cpu & 1;
    percpu::of(cpu).waiting.load(Ordering::Relaxed) + u32::from(idle == 0)
}

/// The CPU for `task`, which has become ready and ran on `last` before.
pub fn choose(task: &Task, last: u32) -> u32 {
    let cpus = allowed(task);
    if cpus == 1 << last {
        return last;
    }
    if cpus >> last & 1 != 0 && claim(last) {
        return last;
    }
    if let Some(cpu) = claim_among(cpus) {
        return cpu;
    }
    // Nobody is idle. Whoever wakes it has what it is woken for in its cache, and needs no
    // interrupt to have it run here, which a busy CPU, or its host, may be slow to take.
    let own = this_cpu().id.get();
    if cpus >> own & 1 != 0 && load(own) <= load(last) + 1 {
        return own;
    }
    let least = percpu::each(cpus).map(|cpu| cpu.id.get()).min_by_key(|cpu| (load(*cpu), *cpu != last)).unwrap_or(last);
    // A warm cache is worth a place in the queue.
    if cpus >> last & 1 != 0 && load(last) <= load(least) + 1 { last } else { least }
}

/// Sends a task that waits nowhere, marked as queued, to CPU `cpu`. It has left its old queue.
pub fn send(task: Arc<Task>, cpu: u32) {
    task.cpu.store(cpu, Ordering::Release);
    let mut queue = queue_of(cpu).lock();
    enqueue(&mut queue, cpu, task, Arrival::Moved, clock::monotonic_ns());
}

/// Takes a waiting task over from the CPU with the most. Whether it found one. For a CPU with
/// nothing to do.
pub fn pull() -> bool {
    let own = this_cpu().id.get();
    let others = online_cpus() & !(1 << own);
    let mut candidates: u64 =
        percpu::each(others).filter(|cpu| cpu.waiting.load(Ordering::Relaxed) > 0).map(|cpu| 1 << cpu.id.get()).sum();
    while candidates != 0 {
        let busiest = percpu::each(candidates).max_by_key(|cpu| cpu.waiting.load(Ordering::Relaxed));
        let Some(cpu) = busiest.map(|cpu| cpu.id.get()) else { return false };
        candidates &= !(1 << cpu);
        let task = queue_of(cpu).lock().take(clock::monotonic_ns(), |task| may_run(task, own));
        if let Some(task) = task {
            send(task, own);
            return true;
        }
    }
    false
}

/// Hands a waiting task of this CPU on to one that is idle, or has at least two tasks less. Called
/// when a turn ends.
pub fn hand_on() {
    let own = this_cpu().id.get();
    let others = online_cpus() & !(1 << own);
    if others == 0 || percpu::of(own).waiting.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some(cpu) = percpu::each(others).map(|cpu| cpu.id.get()).min_by_key(|cpu| load(*cpu)) else { return };
    if load(cpu) + 2 > load(own) {
        return;
    }
    let task = RUN_QUEUES[own as usize].lock().take(clock::monotonic_ns(), |task| may_run(task, cpu));
    if let Some(task) = task {
        claim(cpu);
        send(task, cpu);
    }
}
