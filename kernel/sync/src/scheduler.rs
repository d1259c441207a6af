//! What the locks and queues need of the tasks above them.

use alloc::sync::Arc;

/// Something that a [`WaitQueue`](crate::wait::WaitQueue) can wake. Called with interrupts off,
/// from any context, and with the queue locked: what a waker wakes in turn must never lead back to
/// a queue that it can be in. Those of signals and of epoll instances come last.
pub trait Waker: Send + Sync {
    /// Tells that `key` (poll events, or 0 for 'anything') happened. Returns whether somebody was
    /// woken, which is what [`WaitQueue::wake_one`](crate::wait::WaitQueue::wake_one) counts.
    fn wake(&self, key: u32) -> bool;
}

/// A sleeping task as a waker; it remembers that it was woken, so that one wake-up is not spent
/// twice on it.
pub trait Parker: Waker {
    /// Forgets that it was woken, and is a full barrier.
    fn clear_woken(&self);

    /// Whether it was woken.
    fn is_woken(&self) -> bool;
}

/// How a task sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// A signal ends the sleep.
    Interruptible,
    /// Of signals, only one that kills does.
    Killable,
    /// No signal does.
    Uninterruptible,
}

/// Names a deadline that was set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Alarm {
    /// When, in nanoseconds since boot.
    pub deadline: u64,
    /// Tells alarms of one moment apart.
    pub serial: u64,
    /// The CPU whose timer has it.
    pub cpu: u32,
}

/// The tasks, as those see them who wait; [`scheduler!`](crate::scheduler!) says which type it is.
pub trait Scheduler {
    /// What ends the running task's sleep: the one that was kept, if nobody else has it any more.
    fn parker() -> Arc<dyn Parker>;

    /// Keeps a parker for the running task's next wait.
    fn keep_parker(parker: Arc<dyn Parker>);

    /// Marks the running task asleep. It runs on until [`Self::park`]; who ends the sleep before
    /// then has that return at once.
    fn prepare(sleep: Sleep);

    /// Lets others run until somebody ends the sleep.
    fn park();

    /// Marks the running task awake, whatever was prepared.
    fn unprepare();

    /// Whether a signal ends the running task's sleep.
    fn is_interrupted(sleep: Sleep) -> bool;

    /// Wakes `waker` at `deadline`, in nanoseconds since boot.
    fn set_alarm(deadline: u64, waker: Arc<dyn Waker>) -> Alarm;

    /// Takes an alarm back; one that has gone off is no error.
    fn cancel_alarm(alarm: Alarm);
}

/// Makes a type that implements [`Scheduler`](scheduler::Scheduler) the one that locks and queues
/// use. Once in a program.
#[macro_export]
macro_rules! scheduler {
    ($scheduler:ty) => {
        const _: () = {
            extern crate alloc;
            use alloc::sync::Arc;
            use $crate::scheduler::{Alarm, Parker, Scheduler, Sleep, Waker};

            #[unsafe(no_mangle)]
            fn scheduler_parker() -> Arc<dyn Parker> {
                <$scheduler as Scheduler>::parker()
            }
            #[unsafe(no_mangle)]
            fn scheduler_keep_parker(parker: Arc<dyn Parker>) {
                <$scheduler as Scheduler>::keep_parker(parker)
            }
            #[unsafe(no_mangle)]
            fn scheduler_prepare(sleep: Sleep) {
                <$scheduler as Scheduler>::prepare(sleep)
            }
            #[unsafe(no_mangle)]
            fn scheduler_park() {
                <$scheduler as Scheduler>::park()
            }
            #[unsafe(no_mangle)]
            fn scheduler_unprepare() {
                <$scheduler as Scheduler>::unprepare()
            }
            #[unsafe(no_mangle)]
            fn scheduler_is_interrupted(sleep: Sleep) -> bool {
                <$scheduler as Scheduler>::is_interrupted(sleep)
            }
            #[unsafe(no_mangle)]
            fn scheduler_set_alarm(deadline: u64, waker: Arc<dyn Waker>) -> Alarm {
                <$scheduler as Scheduler>::set_alarm(deadline, waker)
            }
            #[unsafe(no_mangle)]
            fn scheduler_cancel_alarm(alarm: Alarm) {
                <$scheduler as Scheduler>::cancel_alarm(alarm)
            }
        };
    };
}

/// The functions that [`scheduler!`](crate::scheduler!) makes, for safe use.
pub(crate) mod calls {
    use super::{Alarm, Arc, Parker, Sleep, Waker};

    // SAFETY: each is defined by `scheduler!`, with these types, from functions that are safe.
    unsafe extern "Rust" {
        #[link_name = "scheduler_parker"]
        pub safe fn parker() -> Arc<dyn Parker>;
        #[link_name = "scheduler_keep_parker"]
        pub safe fn keep_parker(parker: Arc<dyn Parker>);
        #[link_name = "scheduler_prepare"]
        pub safe fn prepare(sleep: Sleep);
        #[link_name = "scheduler_park"]
        pub safe fn park();
        #[link_name = "scheduler_unprepare"]
        pub safe fn unprepare();
        #[link_name = "scheduler_is_interrupted"]
        pub safe fn is_interrupted(sleep: Sleep) -> bool;
        #[link_name = "scheduler_set_alarm"]
        pub safe fn set_alarm(deadline: u64, waker: Arc<dyn Waker>) -> Alarm;
        #[link_name = "scheduler_cancel_alarm"]
        pub safe fn cancel_alarm(alarm: Alarm);
    }
}
