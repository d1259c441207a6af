//! What is due at which time.
//!
//! Each CPU has a queue of deadlines on the monotonic clock, those that were set while it ran; its
//! timer interrupt runs what is due and sets the next one-shot.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::wait::Waker;
use super::{Instant, sched};
use arch::percpu::{MAX_CPUS, this_cpu};
use arch::{clock, irq, timer as hardware};
use sync::IrqSpinLock;
pub use sync::scheduler::Alarm as TimerId;

/// What happens at a deadline. Runs in interrupt context: it takes only [`IrqSpinLock`]s and does
/// not sleep.
enum Action {
    Wake(Arc<dyn Waker>),
    Call(Arc<dyn Fn() + Send + Sync>),
}

type Queue = IrqSpinLock<BTreeMap<TimerId, Action>>;

/// Deadlines in order, by CPU. No other lock but the heap's is taken while one is held, and no
/// action runs.
static QUEUES: [Queue; MAX_CPUS] = [const { IrqSpinLock::new(BTreeMap::new()) }; MAX_CPUS];
static SERIAL: AtomicU64 = AtomicU64::new(0);

fn queue_of(cpu: u32) -> &'static Queue {
    &QUEUES[cpu as usize % MAX_CPUS]
}

fn add(deadline: Instant, action: Action) -> TimerId {
    let interrupts = irq::save_and_disable();
    let cpu = this_cpu().id.get();
    let id = TimerId { deadline, serial: SERIAL.fetch_add(1, Ordering::Relaxed), cpu };
    let mut queue = queue_of(cpu).lock();
    let first = queue.first_key_value().is_none_or(|(next, _)| id < *next);
    queue.insert(id, action);
    drop(queue);
    if first {
        no_later_than(deadline);
    }
    irq::restore(interrupts);
    id
}

/// Wakes `waker` at `deadline`.
pub fn wake_at(deadline: Instant, waker: Arc<dyn Waker>) -> TimerId {
    add(deadline, Action::Wake(waker))
}

/// Calls `f` at `deadline`, in interrupt context.
pub fn call_at(deadline: Instant, f: Arc<dyn Fn() + Send + Sync>) -> TimerId {
    add(deadline, Action::Call(f))
}

/// Takes a deadline out. Whether it was still there: if not, its action has run or runs now.
pub fn cancel(id: TimerId) -> bool {
    let removed = queue_of(id.cpu).lock().remove(&id);
    removed.is_some()
}

/// Makes sure that this CPU's one-shot comes no later than what is next: a deadline or the end of
/// the time slice. One that comes earlier is left alone, since setting it costs a VM exit; it finds
/// nothing due and sets the next.
pub fn reprogram() {
    let interrupts = irq::save_and_disable();
    let next = queue_of(this_cpu().id.get()).lock().first_key_value().map(|(id, _)| id.deadline);
    let running = sched::interrupt_at();
    if let Some(soonest) = next.into_iter().chain(running).chain(observe::sampling::next()).min() {
        no_later_than(soonest);
    }
    irq::restore(interrupts);
}

/// Makes sure that this CPU's one-shot comes no later than `deadline`. Interrupts are off.
pub fn no_later_than(deadline: Instant) {
    let armed = &this_cpu().timer_armed;
    if deadline < armed.get() {
        armed.set(deadline);
        hardware::program(Some(deadline));
    }
}

/// The timer interrupt.
pub fn interrupt() {
    let armed = this_cpu().timer_armed.replace(Instant::MAX);
    let now = clock::monotonic_ns();
    let queue = queue_of(this_cpu().id.get());
    loop {
        let due = {
            let mut queue = queue.lock();
            match queue.first_key_value() {
                Some((id, _)) if id.deadline <= now => queue.pop_first(),
                _ => None,
            }
        };
        match due {
            Some((_, Action::Wake(waker))) => {
                waker.wake(0);
            }
            Some((_, Action::Call(f))) => f(),
            None => break,
        }
    }
    sched::tick(now, now.saturating_sub(armed));
    reprogram();
}
