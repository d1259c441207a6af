//! Reading a terminal: what is waited for, by `ICANON`, `VMIN` and `VTIME` (termios(3);
//! `n_tty_read` where that leaves it open).

use alloc::vec::Vec;

use fd::poll::{PollTable, ev};
use linux_raw_sys::general as g;
use sync::clock::monotonic_ns;
use sync::wait::{WaitError, wait_until};
use syscall_shim::{Errno, SysResult};

use super::{OpenTty, Tty};

/// Unit of `VTIME` in nanoseconds.
const TENTH: u64 = 100_000_000;

/// What a read waits for.
struct Wanted {
    /// A line, whatever the others say.
    canonical: bool,
    /// Bytes after which it ends.
    least: usize,
    /// How long it waits for the first byte, if not for ever.
    first: Option<u64>,
    /// How long it waits for each further one, if not for ever.
    next: Option<u64>,
}

impl Tty {
    fn wanted(&self) -> Wanted {
        let state = self.state.lock();
        let d = &state.discipline;
        let (min, time) = (usize::from(d.character(g::VMIN)), u64::from(d.character(g::VTIME)) * TENTH);
        let canonical = d.termios().c_lflag & g::ICANON != 0;
        match (canonical, min) {
            (true, _) => Wanted { canonical, least: 1, first: None, next: None },
            (false, 0) => Wanted { canonical, least: 1, first: Some(time), next: None },
            _ => Wanted { canonical, least: min, first: None, next: (time > 0).then_some(time) },
        }
    }
}

impl OpenTty {
    /// Waits as long as the settings say, and reads up to `room` bytes; none at the end of the
    /// file.
    pub(super) fn take(&self, room: usize, nonblock: bool) -> SysResult<Vec<u8>> {
        let tty = &*self.tty;
        let mut bytes: Vec<u8> = Vec::new();
        let wanted = tty.wanted();
        let mut patience = wanted.first;
        while bytes.len() < room {
            let ready = || (tty.state.lock().discipline.ready(1) || self.is_hung_up()).then_some(());
            if ready().is_none() {
                if patience == Some(0) {
                    break;
                }
                let waited = match nonblock {
                    true => Err(Errno::EAGAIN),
                    false => {
                        let deadline = patience.map(|ns| monotonic_ns().saturating_add(ns));
                        match wait_until(&[&tty.input_queue], deadline, ready) {
                            Err(WaitError::TimedOut) => break,
                            result => result.map_err(|_| Errno::ERESTARTSYS),
                        }
                    }
                };
                match waited {
                    Err(_) if !bytes.is_empty() => break,
                    result => result?,
                }
            }
            if self.is_hung_up() {
                // Whoever waited learns that the master has gone; whoever comes later finds the
                // end.
                return if bytes.is_empty() && tty.driver.other_side_gone() { Err(Errno::EIO) } else { Ok(bytes) };
            }
            let more = tty.state.lock().discipline.read(room - bytes.len());
            bytes.extend_from_slice(&more);
            if wanted.canonical || bytes.len() >= wanted.least {
                break;
            }
            patience = wanted.next;
        }
        Ok(bytes)
    }

    /// The events of a terminal.
    pub(super) fn events(&self, table: &mut PollTable) -> u32 {
        let tty = &*self.tty;
        table.add(&tty.input_queue);
        table.add(&tty.output_queue);
        table.add(tty.driver.room_queue());
        if self.is_hung_up() {
            return ev::READABLE | ev::WRITABLE | ev::ERR | ev::HUP;
        }
        let room = tty.driver.room() > 0 && !tty.writing.is_taken();
        let state = tty.state.lock();
        let d = &state.discipline;
        let min = if d.character(g::VTIME) == 0 { usize::from(d.character(g::VMIN)) } else { 1 };
        let readable = if d.ready(min) { ev::READABLE } else { 0 };
        readable | if room && !d.stopped() { ev::WRITABLE } else { 0 }
    }
}
