//! Job control: who may use a terminal, and who gets its signals (credentials(7), tcsetpgrp(3)).

use core::sync::atomic::Ordering;

use caller::Target;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, Signal, SysResult};
use usermem::UserAddr;

use super::Tty;

impl Tty {
    /// Whether this controls the session of the current process.
    pub(super) fn controls_caller(&self) -> bool {
        self.session.load(Ordering::Relaxed) == caller::session()
    }

    /// A background process that reads or sets its controlling terminal gets `signal` (`SIGTTIN`,
    /// `SIGTTOU`) with its group.
    pub(super) fn check_foreground(&self, signal: Signal) -> SysResult<()> {
        let own_group = caller::group();
        if !self.controls_caller() || own_group == self.foreground.load(Ordering::Relaxed) {
            return Ok(());
        }
        match (caller::is_deaf_to(signal), signal) {
            (true, Signal::SIGTTIN) => return Err(Errno::EIO),
            (true, _) => return Ok(()),
            _ => {}
        }
        if caller::is_orphaned() {
            return Err(Errno::EIO);
        }
        // The caller is a member.
        caller::send(Target::Group, own_group, Siginfo::kernel(signal));
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
        caller::check_group(pgid, session)?;
        self.foreground.store(pgid, Ordering::Relaxed);
        Ok(())
    }

    /// `TIOCSCTTY`: a session leader without a terminal gets this one, if it is free or the caller
    /// may steal it.
    pub(super) fn take_control(&self, steal: bool) -> SysResult<()> {
        if self.controls_caller() {
            return Ok(());
        }
        if caller::session() != caller::pid() {
            return Err(Errno::EPERM);
        }
        if super::controlling(caller::session()).is_some() {
            return Err(Errno::EPERM);
        }
        let may_steal = steal && caller::capable(fs::Cap::SysAdmin as u32);
        if self.session.load(Ordering::Relaxed) != 0 && !may_steal {
            return Err(Errno::EPERM);
        }
        self.become_controlling();
        Ok(())
    }

    /// `TIOCNOTTY`: the session loses the terminal when its leader gives it up.
    pub(super) fn give_up(&self) -> SysResult<()> {
        if !self.controls_caller() {
            return Err(Errno::ENOTTY);
        }
        if caller::session() == caller::pid() {
            self.signal_foreground(Signal::SIGHUP);
            self.signal_foreground(Signal::SIGCONT);
            self.session.store(0, Ordering::Relaxed);
            self.foreground.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}
