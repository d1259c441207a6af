//! Holding the threads of a process still, so that one of them can write down what all of them do.
//!
//! Each parks on its way out of the kernel, or at its end: its registers are in its frame then, its
//! FPU state where a switch saved it. One that sleeps where no signal reaches it is as good as
//! parked.

use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::process::Process;
use crate::signal;
use crate::thread::{Task, state};
use crate::wait::{wait_uninterruptible, wait_uninterruptible_until};

/// How long threads may take before they are told once more: one may have been created, or have
/// missed it.
const AGAIN_NS: u64 = 20_000_000;

/// Whether a process is held, and by whom.
#[derive(Default)]
pub struct Hold {
    /// The thread that holds the others; 0 for none.
    holder: AtomicI32,
    /// Somebody outside wants a core file of the living process.
    requested: AtomicBool,
}

impl Hold {
    /// Whether threads have something to do about it on their way out of the kernel.
    pub fn concerns_threads(&self) -> bool {
        self.holder.load(Ordering::Acquire) != 0 || self.requested.load(Ordering::Acquire)
    }

    /// Has one of the threads write a core file, as soon as one comes by. In any context.
    pub fn request(process: &Process) {
        process.hold.requested.store(true, Ordering::Release);
        process.threads().for_each(|thread| signal::wake_to_exit(&thread));
    }

    /// Whether a request is waiting; whoever asks first has it.
    pub fn take_request(&self) -> bool {
        self.requested.load(Ordering::Acquire) && self.requested.swap(false, Ordering::AcqRel)
    }

    /// Parks the current thread while another one holds it. Whether it did.
    pub fn park(task: &Task) -> bool {
        let (process, hold) = (&task.process, &task.process.hold);
        let holder = hold.holder.load(Ordering::Acquire);
        if holder == 0 || holder == task.tid() {
            return false;
        }
        process.exit_wait.wake_all();
        wait_uninterruptible(&process.exit_wait, || (hold.holder.load(Ordering::Acquire) != holder).then_some(()));
        true
    }

    /// Makes the current thread the holder; waits while another one is.
    pub fn take(task: &Task) {
        let hold = &task.process.hold;
        while hold.holder.compare_exchange(0, task.tid(), Ordering::AcqRel, Ordering::Acquire).is_err() {
            Self::park(task);
        }
    }

    /// Waits until all threads but the current one, the holder, are still.
    pub fn wait_for_others(task: &Task) {
        let process = &task.process;
        let still = || {
            let threads = process.threads.lock();
            let asleep = |thread: &&alloc::sync::Arc<Task>| {
                matches!(thread.run_state(), state::KILLABLE | state::UNINTERRUPTIBLE)
                    && !thread.on_cpu.load(Ordering::SeqCst)
            };
            // Those that are parked sleep that way.
            let count = threads.iter().filter(asleep).count();
            (count + 1 >= threads.len()).then_some(())
        };
        loop {
            for thread in process.threads().filter(|thread| thread.tid() != task.tid()) {
                signal::wake_to_exit(&thread);
            }
            let again = arch::clock::monotonic_ns() + AGAIN_NS;
            if wait_uninterruptible_until(&process.exit_wait, again, still).is_some() {
                return;
            }
        }
    }

    /// Lets the others go on.
    pub fn release(task: &Task) {
        task.process.hold.holder.store(0, Ordering::Release);
        task.process.exit_wait.wake_all();
    }
}
