//! Sleeping until something happens: what tasks are to the queues of [`sync::wait`].

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use super::thread::{Task, state};
use super::{current, current_arc, sched, signal, timer};
use sync::scheduler::{Alarm, Scheduler, Sleep};
pub use sync::wait::*;

/// A sleeping task as a waker.
struct TaskWaker {
    task: Arc<Task>,
    woken: AtomicBool,
}

impl Waker for TaskWaker {
    fn wake(&self, _key: u32) -> bool {
        if self.woken.swap(true, Ordering::AcqRel) {
            return false;
        }
        sched::wake(&self.task, state::INTERRUPTIBLE | state::UNINTERRUPTIBLE | state::KILLABLE);
        true
    }
}

impl Parker for TaskWaker {
    fn clear_woken(&self) {
        self.woken.swap(false, Ordering::SeqCst);
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }
}

struct Tasks;

impl Scheduler for Tasks {
    fn parker() -> Arc<dyn Parker> {
        let kept = current().parker.lock().take().filter(|parker| Arc::strong_count(parker) == 1);
        kept.unwrap_or_else(|| Arc::new(TaskWaker { task: current_arc(), woken: AtomicBool::new(false) }))
    }

    fn keep_parker(parker: Arc<dyn Parker>) {
        *current().parker.lock() = Some(parker);
    }

    #[inline]
    fn prepare(sleep: Sleep) {
        sched::set_state(match sleep {
            Sleep::Interruptible => state::INTERRUPTIBLE,
            Sleep::Killable => state::KILLABLE,
            Sleep::Uninterruptible => state::UNINTERRUPTIBLE,
        });
    }

    fn park() {
        super::schedule();
    }

    #[inline]
    fn unprepare() {
        sched::set_state(state::RUNNING);
    }

    #[inline]
    fn is_interrupted(sleep: Sleep) -> bool {
        match sleep {
            Sleep::Interruptible => current().signal_pending.load(Ordering::Acquire),
            Sleep::Killable => signal::is_being_killed(current()),
            Sleep::Uninterruptible => false,
        }
    }

    fn set_alarm(deadline: u64, waker: Arc<dyn Waker>) -> Alarm {
        timer::wake_at(deadline, waker)
    }

    fn cancel_alarm(alarm: Alarm) {
        timer::cancel(alarm);
    }
}

sync::scheduler!(Tasks);
