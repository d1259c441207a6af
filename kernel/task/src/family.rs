//! Who is whose parent, and what the end of a process means to its relatives (wait(2), exit(3)).

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use syscall_shim::types::{SIG_IGN, Siginfo, WaitStatus, si_code};
use syscall_shim::{Errno, SaFlags, Signal, SysResult};

use super::group;
use super::ordered::{HasPlace, Ordered};
use super::process::Process;
use super::signal::pending::Queued;
use super::signal::send::post_to_process;
use super::thread::Task;
use super::{current, exit, table};
use sync::{SpinGuard, SpinLock};

/// The process that the image is made for: orphans become its children, and the virtual machine
/// ends with it.
pub const FIRST_PID: i32 = 1;

/// Held by whoever changes which process is whose child, or a process's group or session. Taken
/// before every other lock of tasks and signals.
static FAMILY: SpinLock<()> = SpinLock::new(());

/// Keeps relations, groups and sessions as they are.
pub fn lock() -> SpinGuard<'static, ()> {
    FAMILY.lock()
}

/// What only matters where it is used: CLONE_PARENT makes a sibling of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// A child of the caller.
    Child,
    /// Another child of the caller's parent.
    Sibling,
}

/// Enters a new process with its one thread: from now on it can be found, signalled and waited for.
/// `None` if the calling thread must end, or its process has been sent more signals as one of many
/// than `broadcast_seq`, which nobody would tell the child.
pub fn enter(child: &Arc<Process>, thread: &Arc<Task>, relation: Relation, broadcast_seq: u32) -> Option<()> {
    let me = current();
    let _family = FAMILY.lock();
    if exit::must_exit(me) {
        return None;
    }
    let (parent, creator) = match relation {
        Relation::Child => (me.process.clone(), me.tid()),
        Relation::Sibling => (me.process.parent()?, me.process.creator.load(Ordering::Relaxed)),
    };
    // It can be found by nobody yet.
    for (to, from) in [(&child.pgid, &me.process.pgid), (&child.sid, &me.process.sid)] {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    child.set_parent(&parent);
    child.creator.store(creator, Ordering::Relaxed);
    child.threads.lock().push(thread.clone());
    if table::add_child(child, &me.process, broadcast_seq).is_none() {
        // The two refer to each other.
        child.threads.lock().take().for_each(drop);
        return None;
    }
    parent.children.lock().push(child.clone(), false);
    table::add_task(thread.clone());
    Some(())
}

/// The children of a process. Changed with the family's lock held.
pub struct Children {
    /// All, ended ones that nobody waited for included.
    all: Ordered<Process>,
    /// The places of those that have ended.
    zombies: BTreeSet<u64>,
}

impl Default for Children {
    fn default() -> Self {
        Self::new()
    }
}

impl Children {
    /// None.
    pub const fn new() -> Self {
        Self { all: Ordered::new(), zombies: BTreeSet::new() }
    }

    fn push(&mut self, child: Arc<Process>, ended: bool) {
        self.all.push(child.clone());
        if ended {
            self.ended(&child);
        }
    }

    fn ended(&mut self, child: &Process) {
        if self.all.contains(child) {
            self.zombies.insert(child.place().load(Ordering::Relaxed));
        }
    }

    fn remove(&mut self, child: &Process) {
        if self.all.remove(child).is_some() {
            self.zombies.remove(&child.place().load(Ordering::Relaxed));
        }
    }

    fn take(&mut self) -> impl Iterator<Item = Arc<Process>> + use<> {
        self.zombies.clear();
        self.all.take()
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.all.iter()
    }

    /// Those that have ended, the oldest first.
    pub fn zombies(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.zombies.iter().filter_map(|place| self.all.at(*place))
    }

    /// Whether it is one of them.
    pub fn contains(&self, process: &Process) -> bool {
        self.all.contains(process)
    }
}

impl Process {
    /// The ids of the children of one thread, the oldest first.
    pub fn children_of(&self, tid: i32) -> SysResult<Vec<i32>> {
        let _family = FAMILY.lock();
        let children = self.children.lock();
        let mut ids = Vec::new();
        ids.try_reserve(children.all.len()).map_err(|_| Errno::ENOMEM)?;
        ids.extend(children.all.iter().filter(|child| child.creator.load(Ordering::Relaxed) == tid).map(|child| child.pid));
        Ok(ids)
    }
}

/// A thread ends and others of its process do not: its children get another thread for a parent.
pub fn thread_ended(task: &Task) {
    let process = &task.process;
    if process.children.lock().all.is_empty() {
        return;
    }
    let _family = FAMILY.lock();
    let heir = process.threads.lock().first().map_or(process.pid, |thread| thread.tid());
    for child in process.children.lock().all.iter() {
        if child.creator.load(Ordering::Relaxed) == task.tid() {
            child.creator.store(heir, Ordering::Relaxed);
            parent_died(child);
        }
    }
}

/// `PR_SET_PDEATHSIG`.
fn parent_died(child: &Process) {
    if let Some(signal) = Signal::new(child.pdeath_signal.load(Ordering::Relaxed)) {
        post_to_process(child, Queued::new(Siginfo::kill(signal, si_code::SI_USER, 0, 0)));
    }
}

/// The last thread of `process` has ended: children go to the next reaper, stopped groups that
/// nobody can continue any more are continued, the parent is told. The process is a zombie then, or
/// gone if the parent does not want to know.
pub fn process_ended(process: &Arc<Process>) {
    let _family = FAMILY.lock();
    let reaper = reaper_for(process);
    let orphans = process.children.lock().take();
    for child in orphans {
        child.set_parent(&reaper);
        child.creator.store(reaper.pid, Ordering::Relaxed);
        child.exit_signal.store(i32::from(Signal::SIGCHLD.number()), Ordering::Relaxed);
        let ended = child.zombie.load(Ordering::Acquire);
        reaper.children.lock().push(child.clone(), ended);
        parent_died(&child);
        if ended {
            tell_parent(&child, &reaper);
        } else {
            group::release_if_orphaned(&child, process);
        }
    }
    process.zombie.store(true, Ordering::Release);
    if let Some(parent) = process.parent() {
        parent.children.lock().ended(process);
        group::release_if_orphaned(process, &parent);
        tell_parent(process, &parent);
    }
}

/// Who gets the children of `process`: the nearest ancestor that asked for orphans, else the first
/// process.
fn reaper_for(process: &Arc<Process>) -> Arc<Process> {
    let mut ancestor = process.parent();
    while let Some(candidate) = ancestor {
        if candidate.child_subreaper.load(Ordering::Relaxed) && !candidate.zombie.load(Ordering::Acquire) {
            return candidate;
        }
        ancestor = candidate.parent();
    }
    // The first process itself ends only after all others.
    table::process(FIRST_PID).unwrap_or_else(|| process.clone())
}

/// Sends a zombie's exit signal. A parent that ignores `SIGCHLD` or has set `SA_NOCLDWAIT` never
/// hears of it again.
fn tell_parent(child: &Arc<Process>, parent: &Arc<Process>) {
    let signal = u32::try_from(child.exit_signal.load(Ordering::Relaxed)).ok().and_then(Signal::new);
    let action = parent.sighand.action(Signal::SIGCHLD);
    let ignored = action.handler == SIG_IGN;
    let unwanted = signal == Some(Signal::SIGCHLD) && (ignored || action.sa_flags().contains(SaFlags::SA_NOCLDWAIT));
    if let Some(signal) = signal.filter(|_| !(unwanted && ignored)) {
        let (code, status) = describe(child.exit_status.load(Ordering::Acquire));
        let [user, system] = child.usage().cpu_ns.map(|ns| (ns / NANOSECONDS_PER_TICK) as i64);
        let mut info = Siginfo::child(code, child.pid, child.uid(), status, user, system);
        info.si_signo = i32::from(signal.number());
        post_to_process(parent, Queued::new(info));
    }
    if unwanted {
        parent.children.lock().remove(child);
        table::remove_process(child.pid);
    }
    parent.child_wait.wake_all();
}

/// `clock_t` of `siginfo_t`: a hundredth of a second.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// `si_code` and `si_status` for a status word of wait(2).
pub fn describe(status: u32) -> (i32, i32) {
    match WaitStatus::decode(status) {
        WaitStatus::Exited(code) => (si_code::CLD_EXITED, i32::from(code)),
        WaitStatus::Signaled(signal, true) => (si_code::CLD_DUMPED, i32::from(signal)),
        WaitStatus::Signaled(signal, false) => (si_code::CLD_KILLED, i32::from(signal)),
        WaitStatus::Stopped(signal) => (si_code::CLD_STOPPED, i32::from(signal)),
        WaitStatus::Continued => (si_code::CLD_CONTINUED, i32::from(Signal::SIGCONT.number())),
    }
}

/// Removes an ended child from the process table: it was waited for. What it used counts for the
/// parent. The caller holds the family's lock.
pub fn reap(parent: &Process, child: &Arc<Process>, _family: &SpinGuard<'static, ()>) {
    parent.children.lock().remove(child);
    table::remove_process(child.pid);
    let mut sum = parent.children_usage.lock();
    sum.add(&child.usage());
    sum.add(&child.children_usage());
}

/// Ends every process but the first, whose last thread calls this, and waits until they have.
pub fn end_all_others(first: &Arc<Process>) {
    let others = || table::processes().filter(|p| p.pid != first.pid && !p.zombie.load(Ordering::Acquire));
    {
        // Locked, so that nobody enters a child who has not been told yet.
        let _family = FAMILY.lock();
        for process in others() {
            exit::begin_group_exit(&process, u32::from(Signal::SIGKILL.number()));
        }
    }
    // Each of them becomes a child of the first process at the latest when the last one between
    // them ends.
    super::wait::wait_uninterruptible(&first.child_wait, || others().next().is_none().then_some(()));
}

/// Moves a process to group `pgid`: setpgid(2), once its checks are done.
pub fn check_and_set_group(target: &Process, pgid: i32, check: impl FnOnce() -> SysResult<()>) -> SysResult<()> {
    let _family = FAMILY.lock();
    check()?;
    table::set_group(target, pgid);
    Ok(())
}
