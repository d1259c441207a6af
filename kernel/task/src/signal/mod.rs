//! Signals (signal(7)): what a process does with each, what is pending, how one is sent and how it
//! reaches the program.
//!
//! Three things hold state. [`SigHand`] has the actions; processes made with `CLONE_SIGHAND` share
//! it. [`SharedSignals`] is what is pending for a process as a whole, and whether it is stopped.
//! [`ThreadSignals`] is a thread's own: its mask, what is pending for it alone, its alternate
//! stack.
//!
//! All three are behind locks that interrupt handlers may take, because timers send signals. They
//! are taken in the order `Process::threads`, `SharedSignals`, `ThreadSignals`, `SigHand`, and only
//! then a run queue's lock. `Task::signal_pending` is written under the lock of the queue that
//! changed, and cleared only with both queues locked.
//!
//! [`send`] puts signals into queues and picks the thread that takes them; [`deliver`] runs on the
//! way out of the kernel, takes them out and acts; [`frame`] makes the handler's stack frame and
//! takes it back; [`fault`] turns CPU exceptions into signals; [`report`] explains a fatal one.

pub mod altstack;
pub mod deliver;
pub mod fault;
pub mod frame;
mod init;
pub mod pending;
pub mod report;
pub mod send;
pub mod stop;
pub mod wait;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::{SIG_DFL, SIG_IGN, Sigaction, Siginfo, StackT};
use syscall_shim::{DefaultAction, SigSet, Signal, SysResult};

use super::process::Process;
use super::thread::Task;
use super::wait::WaitQueue;
pub use altstack::AltStack;
pub use deliver::handle;
pub use fault::{Fault, force, force_default, force_fault};
use pending::Pending;
pub use send::{is_being_killed, wake_to_exit};
use sync::IrqSpinLock;

/// Number of signals.
pub const SIGNALS: usize = Signal::MAX as usize;

type Actions = IrqSpinLock<[Sigaction; SIGNALS]>;

/// The actions of a process (sigaction(2)).
pub struct SigHand {
    /// `CLONE_SIGHAND` without `CLONE_THREAD` shares them with another process.
    actions: IrqSpinLock<Arc<Actions>>,
    /// Woken whenever a signal becomes pending: for signalfd(2).
    pub arrived: Arc<WaitQueue>,
}

impl Default for SigHand {
    fn default() -> Self {
        Self::with([Sigaction::default(); SIGNALS])
    }
}

impl SigHand {
    fn with(actions: [Sigaction; SIGNALS]) -> Self {
        Self { actions: IrqSpinLock::new(Arc::new(IrqSpinLock::new(actions))), arrived: Arc::new(WaitQueue::new()) }
    }

    fn actions(&self) -> Arc<Actions> {
        self.actions.lock().clone()
    }

    /// A copy, for a process that does not share them.
    pub fn duplicate(&self) -> Self {
        Self::with(*self.actions().lock())
    }

    /// For a process that shares the actions.
    pub fn share(&self) -> Self {
        Self { actions: IrqSpinLock::new(self.actions()), arrived: Arc::new(WaitQueue::new()) }
    }

    /// The same for processes that share their actions, and for no others.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.actions()).addr()
    }

    /// The action for `signal`.
    pub fn action(&self, signal: Signal) -> Sigaction {
        self.actions().lock()[signal.index()]
    }

    /// Replaces the action for `signal`.
    pub fn set_action(&self, signal: Signal, action: Sigaction) {
        self.actions().lock()[signal.index()] = action;
    }

    /// What `execve` leaves: handlers become the default, ignored signals stay ignored, and nobody
    /// shares them any more.
    pub fn reset_for_exec(&self) {
        let mut actions = *self.actions().lock();
        for action in &mut actions {
            let handler = if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL };
            *action = Sigaction { handler, ..Sigaction::default() };
        }
        let own = Arc::new(IrqSpinLock::new(actions));
        let old = core::mem::replace(&mut *self.actions.lock(), own);
        drop(old);
    }

    /// Whether `signal` would have no effect on the process.
    pub fn ignores(&self, signal: Signal) -> bool {
        match self.action(signal).handler {
            SIG_IGN => true,
            SIG_DFL => matches!(signal.default_action(), DefaultAction::Ign | DefaultAction::Cont),
            _ => false,
        }
    }

    /// The signals that are ignored, and those that have handlers: `SigIgn` and `SigCgt` of
    /// /proc/PID/status.
    pub fn summary(&self) -> (SigSet, SigSet) {
        let actions = self.actions();
        let actions = actions.lock();
        let (mut ignored, mut caught) = (SigSet::EMPTY, SigSet::EMPTY);
        for (signal, action) in (1..).map_while(Signal::new).zip(actions.iter()) {
            match action.handler {
                SIG_DFL => {}
                SIG_IGN => ignored.insert(signal),
                _ => caught.insert(signal),
            }
        }
        (ignored, caught)
    }
}

/// What the last fault of a thread was: `sigcontext`'s `trapno`, `err` and `cr2`, which Linux keeps
/// until the next one.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct LastFault {
    pub trapno: u64,
    pub err: u64,
    pub cr2: u64,
}

/// A thread's own part.
#[derive(Default)]
pub struct ThreadSignals {
    /// Blocked signals.
    pub mask: SigSet,
    /// The mask to go back to on the way out of the kernel: sigsuspend(2), ppoll(2) and their like
    /// have replaced it.
    pub saved_mask: Option<SigSet>,
    /// During rt_sigtimedwait(2): the mask as the program set it. Signals in it are not dropped
    /// even if ignored.
    pub real_mask: SigSet,
    /// Pending for this thread alone.
    pub pending: Pending,
    /// sigaltstack(2).
    pub altstack: AltStack,
    /// The last fault.
    pub fault: LastFault,
}

impl ThreadSignals {
    /// What a new thread starts with: the creator's mask, nothing pending, and no alternate stack,
    /// because the two share memory (sigaltstack(2)).
    pub fn for_new_thread(&self) -> Self {
        Self { mask: self.saved_mask.unwrap_or(self.mask), ..Self::default() }
    }

    /// What the thread of a new process starts with. With a copy of the memory, and while the
    /// creator waits in vfork(2), the alternate stack is its own.
    pub fn for_new_process(&self, keeps_altstack: bool) -> Self {
        let altstack = if keeps_altstack { self.altstack } else { AltStack::default() };
        Self { altstack, ..self.for_new_thread() }
    }

    /// What `execve` takes away: the alternate stack and the last fault. Mask and pending signals
    /// stay.
    pub fn reset_for_exec(&mut self) {
        self.altstack = AltStack::default();
        self.fault = LastFault::default();
    }
}

/// A process's own part.
#[derive(Default)]
pub struct SharedSignals {
    /// Pending for whichever thread takes it first.
    pub pending: Pending,
    /// Whether the process is stopped, and what its parent has yet to hear.
    pub stop: stop::StopState,
}

impl Task {
    /// Recomputes `signal_pending`. `shared` and `own` are the locked queues of the process and of
    /// this thread.
    fn recalculate(&self, shared: &SharedSignals, own: &ThreadSignals) {
        let pending = shared.pending.set().union(own.pending.set());
        let wanted =
            !pending.without(own.mask).is_empty() || shared.stop.concerns_threads() || self.process.hold.concerns_threads();
        self.signal_pending.swap(wanted, Ordering::SeqCst);
        // Who has the thread end says so before it sets the flag, which alone is looked at on the
        // way out.
        if super::exit::must_exit(self) {
            self.signal_pending.store(true, Ordering::Release);
        }
    }

    /// Recomputes whether the thread has something to handle.
    pub fn recalculate_signals(&self) {
        let shared = self.process.signals.lock();
        let own = self.signals.lock();
        self.recalculate(&shared, &own);
    }

    /// Replaces the mask of blocked signals and returns the old one. `SIGKILL` and `SIGSTOP` are
    /// never blocked.
    pub fn set_signal_mask(&self, mask: SigSet) -> SigSet {
        let shared = self.process.signals.lock();
        let mut own = self.signals.lock();
        let old = core::mem::replace(&mut own.mask, mask.without(SigSet::UNBLOCKABLE));
        self.recalculate(&shared, &own);
        old
    }

    /// The signals pending for the thread and its process.
    pub fn pending_signals(&self) -> SigSet {
        let shared = self.process.signals.lock().pending.set();
        shared.union(self.signals.lock().pending.set())
    }

    /// Takes the first pending signal among `wanted`: as signalfd(2) and sigtimedwait(2) do. The
    /// lowest number goes first, the thread's own before the process's.
    pub fn take_signal(&self, wanted: SigSet) -> Option<Siginfo> {
        let taken = {
            let mut shared = self.process.signals.lock();
            let mut own = self.signals.lock();
            let taken = own.pending.take(wanted).or_else(|| shared.pending.take(wanted));
            self.recalculate(&shared, &own);
            taken
        }?;
        Some(taken.into_info())
    }
}

impl Process {
    /// Sets the action of `signal`, as sigaction(2): pending instances of a signal that is ignored
    /// from now on are dropped.
    pub fn set_signal_action(&self, signal: Signal, action: Sigaction) {
        self.sighand.set_action(signal, action);
        if self.sighand.ignores(signal) {
            let set = SigSet::of(&[signal]);
            // Taken with no lock held: a timer whose signal goes starts its next period.
            let mut dropped = alloc::vec![self.signals.lock().pending.remove(set)];
            for thread in self.threads() {
                dropped.push(thread.signals.lock().pending.remove(set));
            }
            for queued in dropped.into_iter().flat_map(alloc::collections::BTreeMap::into_values) {
                queued.into_info();
            }
        }
    }
}

/// What execve(2) does to signals: caught ones get their default action back, the alternate stack
/// goes.
pub fn reset_for_exec(task: &Task) {
    task.process.sighand.reset_for_exec();
    task.signals.lock().reset_for_exec();
}

/// Runs `call` with `mask` in force, as ppoll(2), pselect(2) and epoll_pwait(2) do: when a signal
/// interrupts the call, its handler still runs under that mask, and the old one comes back when it
/// returns.
pub fn with_mask<T>(mask: Option<SigSet>, call: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
    let Some(mask) = mask else { return call() };
    let task = super::current();
    let old = task.set_signal_mask(mask);
    task.signals.lock().saved_mask = Some(old);
    let result = call();
    if !(result.is_err() && task.signal_pending.load(Ordering::Acquire)) {
        restore_saved_mask(task);
    }
    result
}

/// Puts back the mask that a call replaced for its own time.
fn restore_saved_mask(task: &Task) {
    let saved = task.signals.lock().saved_mask.take();
    if let Some(mask) = saved {
        task.set_signal_mask(mask);
    }
}

/// The alternate stack as `uc_stack` and sigaltstack(2) show it.
pub(super) fn stack_of(task: &Task, rsp: u64) -> StackT {
    task.signals.lock().altstack.describe(rsp)
}
