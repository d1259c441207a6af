//! Process groups and sessions (credentials(7), setpgid(2)).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, Signal, SysResult};

use super::family;
use super::process::Process;
use super::signal::pending::Queued;
use super::signal::send::post_to_process;
use super::table::{self, Receivers, broadcast};

/// The signals that a process is sent as one of many. A child that it is making just then is not
/// among the many, so that would be spared: clone(2) begins anew when such a signal has come
/// between.
#[derive(Default)]
pub struct BroadcastSeq {
    /// How many there were. Counted with the table of processes locked, when the receivers are
    /// chosen.
    begun: AtomicU32,
    /// How many of them have arrived.
    arrived: AtomicU32,
}

impl BroadcastSeq {
    /// One more is on its way. The table that receivers and new processes are in is locked.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It has arrived.
    pub(super) fn arrived(&self) {
        self.arrived.fetch_add(1, Ordering::Release);
    }

    /// How many have been sent, all of which have arrived. They do not take long: who sends neither
    /// sleeps nor is preempted.
    pub(super) fn count(&self) -> u32 {
        loop {
            let arrived = self.arrived.load(Ordering::Acquire);
            if self.begun.load(Ordering::Relaxed) == arrived {
                return arrived;
            }
            core::hint::spin_loop();
        }
    }

    /// Whether there are still those that [`BroadcastSeq::count`] told. The table is locked.
    pub(super) fn is_still(&self, count: u32) -> bool {
        self.begun.load(Ordering::Relaxed) == count
    }
}

fn group_of(process: &Process) -> i32 {
    process.pgid.load(Ordering::Relaxed)
}

fn session_of(process: &Process) -> i32 {
    process.sid.load(Ordering::Relaxed)
}

pub use table::group as members;

/// Whether no member of the group has a parent in another group of the session, who could continue
/// it.
pub fn is_orphaned(pgid: i32) -> bool {
    is_orphaned_without(pgid, None)
}

fn is_orphaned_without(pgid: i32, ended: Option<&Process>) -> bool {
    let counts = |process: &Process| !ended.is_some_and(|e| core::ptr::eq(e, process));
    !members(pgid).filter(|p| counts(p) && !p.zombie.load(Ordering::Acquire)).any(|process| {
        process.parent().is_some_and(|parent| group_of(&parent) != pgid && session_of(&parent) == session_of(&process))
    })
}

/// `process` has lost `parent`, or the other way round: if that made an orphan of the group, and
/// one of it is stopped, all are sent `SIGHUP` and `SIGCONT` (setpgid(2)). The caller holds the
/// family's lock.
pub fn release_if_orphaned(process: &Process, parent: &Process) {
    let pgid = group_of(process);
    if group_of(parent) == pgid || session_of(parent) != session_of(process) {
        return;
    }
    let ended = process.zombie.load(Ordering::Acquire).then_some(process);
    let stopped = || members(pgid).any(|member| member.signals.lock().stop.is_stopped());
    if !stopped() || !is_orphaned_without(pgid, ended) {
        return;
    }
    for signal in [Signal::SIGHUP, Signal::SIGCONT] {
        let send = |member: &Arc<Process>| _ = post_to_process(member, Queued::new(Siginfo::kernel(signal)));
        broadcast(Receivers::Group(pgid), send);
    }
}

/// setpgid(2): `pgid` 0 makes a group of the target's own.
pub fn set(caller: &Arc<Process>, target: &Arc<Process>, pgid: i32) -> SysResult<()> {
    let pgid = if pgid == 0 { target.pid } else { pgid };
    let session = session_of(target);
    family::check_and_set_group(target, pgid, || {
        if !Arc::ptr_eq(target, caller) {
            if !target.parent().is_some_and(|parent| Arc::ptr_eq(&parent, caller)) {
                return Err(Errno::ESRCH);
            }
            if session != session_of(caller) {
                return Err(Errno::EPERM);
            }
            if target.has_executed.load(Ordering::Relaxed) {
                return Err(Errno::EACCES);
            }
        }
        if session == target.pid {
            return Err(Errno::EPERM);
        }
        if pgid != target.pid && !members(pgid).any(|member| session_of(&member) == session) {
            return Err(Errno::EPERM);
        }
        Ok(())
    })
}

/// setsid(2): a session and a group of its own, without a terminal. `EPERM` where the group exists
/// already.
pub fn new_session(process: &Process) -> SysResult<()> {
    let _family = family::lock();
    if session_of(process) == process.pid || members(process.pid).next().is_some() {
        return Err(Errno::EPERM);
    }
    process.sid.store(process.pid, Ordering::Relaxed);
    table::set_group(process, process.pid);
    Ok(())
}
