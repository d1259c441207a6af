//! ioctl_tty(2).

use core::sync::atomic::Ordering;

use caller::capable;
use fd::poll::ev;
use fs::Cap;
use linux_raw_sys::{general as g, ioctl as i};
use syscall_shim::types::{Termio, Termios, Termios2, Winsize};
use syscall_shim::{Errno, Signal, SysResult};
use usermem::UserAddr;

use super::{Tty, termios};

/// The only line discipline (asm/termios.h).
const N_TTY: u32 = 0;
/// asm-generic/ioctls.h; libc keeps it to itself.
const TIOCVHANGUP: u32 = 0x5437;

impl Tty {
    pub(super) fn ioctl(&self, request: u32, arg: UserAddr) -> SysResult {
        match request {
            i::TCGETS..=i::TCSETAF | i::TCGETS2 | i::TCSETS2 | i::TCSETSW2 | i::TCSETSF2 => {
                return self.settings(request, arg);
            }
            i::TIOCGSOFTCAR => {
                let local = self.termios().c_cflag & g::CLOCAL != 0;
                arg.cast::<i32>().write(i32::from(local))?;
            }
            i::TIOCSSOFTCAR => {
                let local = if arg.cast::<i32>().read()? != 0 { g::CLOCAL } else { 0 };
                let old = self.termios();
                self.change_termios(Termios2 { c_cflag: old.c_cflag & !g::CLOCAL | local, ..old }, false);
            }
            i::TIOCGWINSZ => {
                let size = self.state.lock().size;
                arg.cast::<Winsize>().write(size)?;
            }
            i::TIOCSWINSZ => self.set_winsize(arg.cast::<Winsize>().read()?),
            i::TIOCGPGRP => arg.cast::<i32>().write(self.foreground_group()?)?,
            i::TIOCSPGRP => self.set_foreground_group(arg)?,
            i::TIOCGSID => {
                if !self.controls_caller() {
                    return Err(Errno::ENOTTY);
                }
                arg.cast::<i32>().write(self.session.load(Ordering::Relaxed))?;
            }
            i::TIOCSCTTY => self.take_control(arg.0 == 1)?,
            i::TIOCNOTTY => self.give_up()?,
            i::TIOCEXCL | i::TIOCNXCL => self.exclusive.store(request == i::TIOCEXCL, Ordering::Relaxed),
            i::TIOCGEXCL => arg.cast::<i32>().write(i32::from(self.exclusive.load(Ordering::Relaxed)))?,
            i::TIOCGDEV => arg.cast::<u32>().write(self.rdev as u32)?,
            TIOCVHANGUP => {
                if !capable(Cap::SysAdmin as u32) {
                    return Err(Errno::EPERM);
                }
                self.vhangup();
            }
            i::FIONREAD => {
                let waiting = self.state.lock().discipline.readable();
                arg.cast::<i32>().write(waiting as i32)?;
            }
            // Output is on its way when write(2) returns.
            i::TIOCOUTQ => arg.cast::<i32>().write(0)?,
            i::TIOCGETD => arg.cast::<i32>().write(N_TTY as i32)?,
            i::TIOCSETD => {
                if arg.cast::<u32>().read()? != N_TTY {
                    return Err(Errno::EINVAL);
                }
            }
            i::TCFLSH => self.flush(arg.0)?,
            i::TCXONC => self.flow(arg.0)?,
            // There is no line to break or to drain.
            i::TCSBRK | i::TCSBRKP | i::TIOCSBRK | i::TIOCCBRK => self.check_foreground(Signal::SIGTTOU)?,
            i::TIOCSTI => {
                if !self.controls_caller() && !capable(Cap::SysAdmin as u32) {
                    return Err(Errno::EPERM);
                }
                let byte = arg.cast::<u8>().read()?;
                self.receive(&[byte]);
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    /// The requests that get and set the settings.
    fn settings(&self, request: u32, arg: UserAddr) -> SysResult {
        let old = self.termios();
        let new = match request {
            i::TCGETS => return arg.cast::<Termios>().write(old.into()).map(|()| 0),
            i::TCGETS2 => return arg.cast::<Termios2>().write(old).map(|()| 0),
            i::TCGETA => return arg.cast::<Termio>().write(termios::termio(&old)).map(|()| 0),
            i::TCSETS | i::TCSETSW | i::TCSETSF => {
                self.check_foreground(Signal::SIGTTOU)?;
                termios::merge_termios(old, arg.cast().read()?)
            }
            i::TCSETA | i::TCSETAW | i::TCSETAF => {
                self.check_foreground(Signal::SIGTTOU)?;
                termios::merge_termio(old, arg.cast().read()?)
            }
            i::TCSETS2 | i::TCSETSW2 | i::TCSETSF2 => {
                self.check_foreground(Signal::SIGTTOU)?;
                arg.cast::<Termios2>().read()?
            }
            _ => return Err(Errno::ENOTTY),
        };
        self.change_termios(new, matches!(request, i::TCSETSF | i::TCSETAF | i::TCSETSF2));
        Ok(0)
    }

    /// There is no line that closing could hang up.
    pub(super) fn without_modem(&self) {
        let old = self.termios();
        self.change_termios(Termios2 { c_cflag: old.c_cflag & !g::HUPCL, ..old }, false);
    }

    fn termios(&self) -> Termios2 {
        *self.state.lock().discipline.termios()
    }

    fn change_termios(&self, new: Termios2, flush: bool) {
        let mut new = termios::with_rates(new);
        new.c_cflag = self.driver.control_flags(new.c_cflag);
        let old = {
            let mut state = self.state.lock();
            if flush {
                state.discipline.flush_input();
            }
            let old = *state.discipline.termios();
            state.discipline.set_termios(new);
            // Nothing holds output back any more that could let it go.
            if new.c_iflag & g::IXON == 0 && old.c_iflag & g::IXON != 0 {
                state.discipline.set_stopped(false);
            }
            old
        };
        if flush {
            self.driver.tell(g::TIOCPKT_FLUSHREAD, 0);
        }
        self.tell_flow(&old, &new);
        self.input_queue.wake_key(ev::READABLE);
        self.output_queue.wake_key(ev::WRITABLE);
        self.input_consumed();
    }

    /// Packet mode: whether `VSTOP` and `VSTART` are the usual ones and heeded, and all changes
    /// under `EXTPROC`.
    fn tell_flow(&self, old: &Termios2, new: &Termios2) {
        let usual = |t: &Termios2| {
            let character = |index: u32| t.c_cc.get(index as usize).copied();
            t.c_iflag & g::IXON != 0 && character(g::VSTOP) == Some(0x13) && character(g::VSTART) == Some(0x11)
        };
        if (old.c_lflag | new.c_lflag) & g::EXTPROC != 0 {
            self.driver.tell(g::TIOCPKT_IOCTL, 0);
        }
        match (usual(old), usual(new)) {
            (true, false) => self.driver.tell(g::TIOCPKT_NOSTOP, g::TIOCPKT_DOSTOP),
            (false, true) => self.driver.tell(g::TIOCPKT_DOSTOP, g::TIOCPKT_NOSTOP),
            _ => {}
        }
    }

    fn flush(&self, which: u64) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        let which = u32::try_from(which).map_err(|_| Errno::EINVAL)?;
        if which > g::TCIOFLUSH {
            return Err(Errno::EINVAL);
        }
        if which != g::TCOFLUSH {
            {
                let mut state = self.state.lock();
                state.discipline.flush_input();
                state.pending.clear();
            }
            self.driver.tell(g::TIOCPKT_FLUSHREAD, 0);
            self.input_consumed();
        }
        // Nothing is held back on the way out: what was written is the other side's already.
        if which != g::TCIFLUSH {
            self.driver.tell(g::TIOCPKT_FLUSHWRITE, 0);
        }
        Ok(())
    }

    fn flow(&self, action: u64) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        let character = |index: u32| self.state.lock().discipline.character(index);
        match u32::try_from(action).map_err(|_| Errno::EINVAL)? {
            g::TCOOFF => self.set_stopped(true),
            g::TCOON => self.set_stopped(false),
            g::TCIOFF => self.driver.send_flow(character(g::VSTOP)),
            g::TCION => self.driver.send_flow(character(g::VSTART)),
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn set_stopped(&self, stopped: bool) {
        if self.state.lock().discipline.set_stopped(stopped) {
            self.flow_changed(stopped);
        }
    }
}
