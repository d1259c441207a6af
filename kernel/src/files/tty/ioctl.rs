//! ioctl_tty(2).

use linux_raw_sys::{general as g, ioctl as i};
use syscall_shim::types::{Termios, Termios2, Winsize};
use syscall_shim::{Errno, Signal, SysResult};

use super::Tty;
use crate::files::poll::ev;
use crate::usermem::UserAddr;

/// The only line discipline (asm/termios.h).
const N_TTY: u32 = 0;

impl Tty {
    pub(super) fn ioctl(&self, request: u32, arg: UserAddr) -> SysResult {
        match request {
            i::TCGETS => arg.cast::<Termios>().write(self.termios().into())?,
            i::TCGETS2 => arg.cast::<Termios2>().write(self.termios())?,
            i::TCSETS | i::TCSETSW | i::TCSETSF => {
                let new = arg.cast::<Termios>().read()?;
                let merged = Termios2 {
                    c_iflag: new.c_iflag,
                    c_oflag: new.c_oflag,
                    c_cflag: new.c_cflag,
                    c_lflag: new.c_lflag,
                    c_line: new.c_line,
                    c_cc: new.c_cc,
                    ..self.termios()
                };
                self.set_termios(merged, request == i::TCSETSF)?;
            }
            i::TCSETS2 | i::TCSETSW2 | i::TCSETSF2 => {
                let new = arg.cast::<Termios2>().read()?;
                self.set_termios(new, request == i::TCSETSF2)?;
            }
            i::TIOCGWINSZ => {
                let size = self.state.lock().size;
                arg.cast::<Winsize>().write(size)?;
            }
            i::TIOCSWINSZ => self.set_winsize(arg.cast::<Winsize>().read()?),
            i::TIOCGPGRP => arg.cast::<i32>().write(self.foreground_group()?)?,
            i::TIOCSPGRP => self.set_foreground_group(arg.cast::<i32>().read()?)?,
            i::TIOCGSID => {
                let session = self.session.load(core::sync::atomic::Ordering::Relaxed);
                if !self.controls_caller() {
                    return Err(Errno::ENOTTY);
                }
                arg.cast::<i32>().write(session)?;
            }
            i::TIOCSCTTY => self.take_control(arg.0 == 1)?,
            i::TIOCNOTTY => self.give_up()?,
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
            i::TCSBRK | i::TCSBRKP => self.check_foreground(Signal::SIGTTOU)?,
            i::TIOCSTI => {
                if !self.controls_caller() && !crate::files::capable(fs::Cap::SysAdmin as u32) {
                    return Err(Errno::EPERM);
                }
                let byte = arg.cast::<u8>().read()?;
                self.receive(&[byte]);
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    fn termios(&self) -> Termios2 {
        *self.state.lock().discipline.termios()
    }

    fn set_termios(&self, new: Termios2, flush: bool) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        let mut state = self.state.lock();
        if flush {
            state.discipline.flush_input();
        }
        state.discipline.set_termios(new);
        let readable = state.discipline.ready(1);
        drop(state);
        if readable {
            self.input_queue.wake_key(ev::READABLE);
        }
        Ok(())
    }

    fn flush(&self, which: u64) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        match which as u32 {
            g::TCIFLUSH | g::TCIOFLUSH => self.state.lock().discipline.flush_input(),
            // Nothing is held back on the way out.
            g::TCOFLUSH => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    fn flow(&self, action: u64) -> SysResult<()> {
        self.check_foreground(Signal::SIGTTOU)?;
        match action as u32 {
            g::TCOOFF => self.state.lock().discipline.set_stopped(true),
            g::TCOON => {
                self.state.lock().discipline.set_stopped(false);
                self.output_queue.wake_key(ev::WRITABLE);
            }
            // The host's terminal is not ours to stop.
            g::TCIOFF | g::TCION => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}
