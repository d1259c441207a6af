//! Waiting for children (wait4(2), waitid(2)).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::WaitStatus;
use syscall_shim::{Errno, Signal, SysResult, WaitOptions};

use super::current;
use super::family;
use super::process::Process;
use super::usage::Usage;
use super::wait::wait_until;

/// Which children.
#[derive(Clone)]
pub enum Which {
    /// All.
    Any,
    /// The one with this id.
    Process(i32),
    /// Those of this process group.
    Group(i32),
    /// The one that a pidfd is for.
    Exactly(Arc<Process>),
}

/// What to wait for.
pub struct Wanted {
    /// Which children.
    pub which: Which,
    /// `WEXITED`, `WUNTRACED`, `WCONTINUED`, and the rest of wait(2)'s.
    pub options: WaitOptions,
}

/// What happened to a child.
pub struct Report {
    /// Its process id.
    pub pid: i32,
    /// Its real user id.
    pub uid: u32,
    /// The status word of wait4(2).
    pub status: u32,
    /// What it and its children used.
    pub usage: Usage,
}

impl Wanted {
    fn covers(&self, child: &Process) -> bool {
        let chosen = match &self.which {
            Which::Any => true,
            Which::Process(pid) => child.pid == *pid,
            Which::Exactly(process) => core::ptr::eq(child, &**process),
            Which::Group(pgid) => child.pgid.load(Ordering::Relaxed) == *pgid,
        };
        // A child that ends with another signal than SIGCHLD is a "clone" child.
        let clone = child.exit_signal.load(Ordering::Relaxed) != i32::from(Signal::SIGCHLD.number());
        let kind = self.options.contains(WaitOptions::WALL) || clone == self.options.contains(WaitOptions::WCLONE);
        let mine =
            !self.options.contains(WaitOptions::WNOTHREAD) || child.creator.load(Ordering::Relaxed) == current().tid();
        chosen && kind && mine
    }

    /// What there is to tell about `child` now. Unless with `WNOWAIT` it is not told again.
    fn event(&self, child: &Process) -> Option<u32> {
        let take = !self.options.contains(WaitOptions::WNOWAIT);
        if child.zombie.load(Ordering::Acquire) {
            let wanted = self.options.contains(WaitOptions::WEXITED);
            return wanted.then(|| child.exit_status.load(Ordering::Acquire));
        }
        let mut signals = child.signals.lock();
        if self.options.contains(WaitOptions::WUNTRACED)
            && let Some(signal) = signals.stop.report_stop(take)
        {
            return Some(WaitStatus::Stopped(signal.number()).encode());
        }
        (self.options.contains(WaitOptions::WCONTINUED) && signals.stop.report_continue(take))
            .then(|| WaitStatus::Continued.encode())
    }
}

/// Looks once: `None` if a child that is waited for has nothing to tell yet, `ECHILD` if there is no such child.
fn look(parent: &Process, wanted: &Wanted) -> Option<SysResult<Report>> {
    // Dropped after the lock is free: the last reference to a child may be among them.
    let children;
    let family = family::lock();
    children = family::children(parent);
    let mut any = false;
    for child in children.iter().filter(|child| wanted.covers(child)) {
        // One that has ended has nothing more to tell to who does not ask for ends.
        any |= !child.zombie.load(Ordering::Acquire);
        let Some(status) = wanted.event(child) else { continue };
        let report = Report { pid: child.pid, uid: child.uid(), status, usage: child.usage() };
        if child.zombie.load(Ordering::Acquire) && !wanted.options.contains(WaitOptions::WNOWAIT) {
            family::reap(parent, child, &family);
        }
        return Some(Ok(report));
    }
    (!any).then_some(Err(Errno::ECHILD))
}

/// Waits for a child to change state. `None` with `WNOHANG` if none has. `ECHILD`; a signal interrupts the wait.
pub fn wait(wanted: &Wanted) -> SysResult<Option<Report>> {
    let process = &current().process;
    if wanted.options.contains(WaitOptions::WNOHANG) {
        return look(process, wanted).transpose();
    }
    match wait_until(&[&process.child_wait], None, || look(process, wanted)) {
        Ok(result) => result.map(Some),
        Err(_) => Err(Errno::ERESTARTSYS),
    }
}
