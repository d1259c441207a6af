//! Waiting for children (wait4(2), waitid(2)).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::WaitStatus;
use syscall_shim::{Errno, Signal, SysResult, WaitOptions};

use super::family;
use super::process::Process;
use super::usage::Usage;
use super::wait::wait_until;
use super::{current, table};

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

/// What was found.
enum Found {
    /// A child, and its status.
    Event(Arc<Process>, u32),
    /// None has anything to tell yet.
    Nothing,
    /// There is none.
    NoChild,
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

    /// The one child that can be meant, where that is known.
    fn one(&self) -> Option<Option<Arc<Process>>> {
        match &self.which {
            Which::Any | Which::Group(_) => None,
            Which::Process(pid) => Some(table::process(*pid)),
            Which::Exactly(process) => Some(Some(process.clone())),
        }
    }

    /// The oldest child with something to tell. However many live, only those are looked at that
    /// can have: all for stops, those that have ended else.
    fn find(&self, parent: &Process) -> Found {
        let one = self.one();
        let children = parent.children.lock();
        let event = |child: &Arc<Process>| Some(Found::Event(child.clone(), self.event(child)?));
        // One that has ended has nothing more to tell to who does not ask for ends.
        let may_tell = |child: &&Arc<Process>| !child.zombie.load(Ordering::Acquire) && self.covers(child);
        let nobody = |any: bool| if any { Found::Nothing } else { Found::NoChild };
        if let Some(one) = one {
            let child = one.filter(|child| children.contains(child) && self.covers(child));
            return child.iter().find_map(event).unwrap_or_else(|| nobody(child.iter().any(|child| may_tell(&child))));
        }
        let event = if self.options.intersects(WaitOptions::WUNTRACED | WaitOptions::WCONTINUED) {
            children.iter().filter(|child| self.covers(child)).find_map(event)
        } else {
            children.zombies().filter(|child| self.covers(child)).find_map(event)
        };
        event.unwrap_or_else(|| nobody(children.iter().any(|child| may_tell(&child))))
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

/// Looks once: `None` if a child that is waited for has nothing to tell yet, `ECHILD` if there is
/// no such child.
fn look(parent: &Process, wanted: &Wanted) -> Option<SysResult<Report>> {
    // Dropped after the lock is free: it may be the last reference.
    let found;
    let family = family::lock();
    found = wanted.find(parent);
    match &found {
        Found::Event(child, status) => {
            let report = Report { pid: child.pid, uid: child.uid(), status: *status, usage: child.usage() };
            if child.zombie.load(Ordering::Acquire) && !wanted.options.contains(WaitOptions::WNOWAIT) {
                family::reap(parent, child, &family);
            }
            Some(Ok(report))
        }
        Found::Nothing => None,
        Found::NoChild => Some(Err(Errno::ECHILD)),
    }
}

/// Waits for a child to change state. `None` with `WNOHANG` if none has. `ECHILD`; a signal
/// interrupts the wait.
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
