//! Job control: who may use a terminal, and who gets its signals (credentials(7), tcsetpgrp(3)).

use core::sync::atomic::Ordering;

use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, Signal, SysResult};

use super::Tty;
use crate::task::signal::send;
use crate::task::{current, group};
use crate::usermem::UserAddr;

impl Tty {
    /// Whether this controls the session of the current process.
    pub(super) fn controls_caller(&self) -> bool {
        self.session.load(Ordering::Relaxed) == current().process.sid.load(Ordering::Relaxed)
    }

    /// A background process that reads or sets its controlling terminal gets `signal` (`SIGTTIN`, `SIGTTOU`) with its group.
    pub(super) fn check_foreground(&self, signal: Signal) -> SysResult<()> {
        let process = &current().process;
        let own_group = process.pgid.load(Ordering::Relaxed);
        if !self.controls_caller() || own_group == self.foreground.load(Ordering::Relaxed) {
            return Ok(());
        }
        let unheard = current().signals.lock().mask.contains(signal) || process.sighand.ignores(signal);
        match (unheard, signal) {
            (true, Signal::SIGTTIN) => return Err(Errno::EIO),
            (true, _) => return Ok(()),
            _ => {}
        }
        if group::is_orphaned(own_group) {
            return Err(Errno::EIO);
        }
        // The caller is a member.
        let _ = send::send_to_group(own_group, Siginfo::kernel(signal));
        Err(Errno::ERESTARTSYS)
    }

    /// `TIOCGPGRP`.
    pub(super) fn foreground_group(&self) -> SysResult<i32> {
        if self.controls_caller() { Ok(self.foreground.load(Ordering::Relaxed)) } else { Err(Errno::ENOTTY) }
    }

    /// `TIOCSPGRP`. `EPERM` for a group of another session.
    pub(super) fn set_foreground_group(&self, pgid: UserAddr) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        if !self.controls_caller() {
            return Err(Errno::ENOTTY);
        }
        let pgid = pgid.cast::<i32>().read()?;
        if pgid < 0 {
            return Err(Errno::EINVAL);
        }
        let session = self.session.load(Ordering::Relaxed);
        let mut members = group::members(pgid).peekable();
        if members.peek().is_none() {
            return Err(Errno::ESRCH);
        }
        if !members.any(|p| p.sid.load(Ordering::Relaxed) == session) {
            return Err(Errno::EPERM);
        }
        self.foreground.store(pgid, Ordering::Relaxed);
        Ok(())
    }

    /// `TIOCSCTTY`: a session leader without a terminal gets this one, if it is free or the caller may steal it.
    pub(super) fn take_control(&self, steal: bool) -> SysResult<()> {
        let process = &current().process;
        if self.controls_caller() {
            return Ok(());
        }
        if process.sid.load(Ordering::Relaxed) != process.pid {
            return Err(Errno::EPERM);
        }
        if super::controlling(process).is_some() {
            return Err(Errno::EPERM);
        }
        let may_steal = steal && crate::files::capable(fs::Cap::SysAdmin as u32);
        if self.session.load(Ordering::Relaxed) != 0 && !may_steal {
            return Err(Errno::EPERM);
        }
        self.become_controlling(process);
        Ok(())
    }

    /// `TIOCNOTTY`: the session loses the terminal when its leader gives it up.
    pub(super) fn give_up(&self) -> SysResult<()> {
        if !self.controls_caller() {
            return Err(Errno::ENOTTY);
        }
        let process = &current().process;
        if process.sid.load(Ordering::Relaxed) == process.pid {
            self.signal_foreground(Signal::SIGHUP);
            self.signal_foreground(Signal::SIGCONT);
            self.session.store(0, Ordering::Relaxed);
            self.foreground.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}
