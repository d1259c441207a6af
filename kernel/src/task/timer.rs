//! What is due at which time.
//!
//! One queue of deadlines on the monotonic clock; the timer interrupt runs what is due and sets the next one-shot.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::wait::Waker;
use super::{Instant, sched};
use crate::arch::percpu::this_cpu;
use crate::arch::{clock, irq, timer as hardware};
use crate::sync::IrqLock;

/// Names a deadline in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerId {
    deadline: Instant,
    serial: u64,
}

/// What happens at a deadline. Runs in interrupt context: it takes only [`IrqLock`]s and does not sleep.
enum Action {
    Wake(Arc<dyn Waker>),
    Call(Arc<dyn Fn() + Send + Sync>),
}

/// Deadlines in order. Its lock is never held while an action runs.
static QUEUE: IrqLock<BTreeMap<TimerId, Action>> = IrqLock::new(BTreeMap::new());
static SERIAL: AtomicU64 = AtomicU64::new(0);

fn add(deadline: Instant, action: Action) -> TimerId {
    let id = TimerId { deadline, serial: SERIAL.fetch_add(1, Ordering::Relaxed) };
    let mut queue = QUEUE.lock();
    let first = queue.first_key_value().is_none_or(|(next, _)| id < *next);
    queue.insert(id, action);
    drop(queue);
    if first {
        reprogram();
    }
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
    let removed = QUEUE.lock().remove(&id);
    removed.is_some()
}

/// Makes sure that this CPU's one-shot comes no later than what is next: a deadline or the end of the time slice. One that
/// comes earlier is left alone, since setting it costs a VM exit; it finds nothing due and sets the next.
pub fn reprogram() {
    let interrupts = irq::save_and_disable();
    let next = QUEUE.lock().first_key_value().map(|(id, _)| id.deadline);
    let slice = sched::slice_end();
    let soonest = match (next, slice) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let armed = &this_cpu().timer_armed;
    if let Some(soonest) = soonest.filter(|soonest| *soonest < armed.get()) {
        armed.set(soonest);
        hardware::program(Some(soonest));
    }
    irq::restore(interrupts);
}

/// The timer interrupt.
pub fn interrupt() {
    this_cpu().timer_armed.set(Instant::MAX);
    let now = clock::monotonic_ns();
    loop {
        let due = {
            let mut queue = QUEUE.lock();
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
    sched::tick(now);
    reprogram();
}
