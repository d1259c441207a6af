//! Pseudo terminals (pty(7)): `/dev/ptmx` makes a pair, `/dev/pts/N` is its terminal.
//!
//! The master side is the terminal's driver: what the terminal shows, the master reads; what the
//! master writes is typed.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::{FileOps, OpenFile};
use fs::{OpenFlags, makedev};
use linux_raw_sys::{general as g, ioctl as i};
use sync::IrqSpinLock;
use sync::wait::wait_until;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::devpts::Instance;
use super::turn::Turn;
use super::{Driver, Tty};

/// Major number of the terminals.
pub const MAJOR: u32 = 136;
/// Bytes shown that the master has not read yet; one piece more may come in that had begun before.
const LIMIT: usize = 12 * 1024;

/// One pair.
pub(super) struct Pair {
    number: u32,
    pub tty: Arc<Tty>,
    line: Arc<Line>,
    instance: Arc<Instance>,
}

/// What lies between the two sides.
struct Line {
    /// Shown and not yet read; a leaf lock.
    shown: IrqSpinLock<VecDeque<u8>>,
    /// Those who read at the master.
    readers: PollQueue,
    /// Those who wait for room to show.
    writers: PollQueue,
    /// Those who write at the master.
    typists: PollQueue,
    /// Open terminals.
    slaves: AtomicU32,
    /// A terminal has been opened: from now on none open is a hang-up.
    was_opened: AtomicBool,
    /// `TIOCSPTLCK`: the terminal cannot be opened yet.
    locked: AtomicBool,
    master_gone: AtomicBool,
    /// Packet mode (`TIOCPKT`).
    packet: AtomicBool,
    /// What the master has not been told yet in packet mode (`TIOCPKT_*`).
    status: AtomicU32,
}

impl Line {
    fn put(&self, bytes: &[u8], limit: usize) -> usize {
        let n = {
            let mut shown = self.shown.lock();
            let n = bytes.len().min(limit.saturating_sub(shown.len()));
            shown.extend(bytes.iter().take(n));
            n
        };
        if n > 0 {
            self.readers.wake_key(ev::READABLE);
        }
        n
    }

    /// No terminal is open, and one was.
    fn is_hung_up(&self) -> bool {
        self.was_opened.load(Ordering::Acquire) && self.slaves.load(Ordering::Acquire) == 0
    }

    fn has_status(&self) -> bool {
        self.packet.load(Ordering::Acquire) && self.status.load(Ordering::Acquire) != 0
    }
}

impl Driver for Line {
    fn show(&self, bytes: &[u8]) -> usize {
        self.put(bytes, LIMIT)
    }

    fn room(&self) -> usize {
        LIMIT.saturating_sub(self.shown.lock().len())
    }

    fn room_queue(&self) -> &PollQueue {
        &self.writers
    }

    fn show_all(&self, bytes: &[u8]) -> SysResult<()> {
        if self.master_gone.load(Ordering::Acquire) {
            return Err(Errno::EIO);
        }
        self.put(bytes, usize::MAX);
        Ok(())
    }

    fn input_has_room(&self) {
        self.typists.wake_key(ev::WRITABLE);
    }

    fn tell(&self, set: u32, clear: u32) {
        if self.packet.load(Ordering::Acquire) {
            let change = |status: u32| Some(status & !clear | set);
            let _ = self.status.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
            self.readers.wake_key(ev::READABLE | ev::PRI);
        }
    }

    fn send_flow(&self, character: u8) {
        if character != 0 {
            self.put(&[character], usize::MAX);
        }
    }

    /// Nothing but eight bits goes over it.
    fn control_flags(&self, flags: u32) -> u32 {
        flags & !(g::CSIZE | g::PARENB) | g::CS8 | g::CREAD
    }

    fn other_side_gone(&self) -> bool {
        self.master_gone.load(Ordering::Acquire)
    }

    fn opened(&self) -> SysResult<()> {
        if self.locked.load(Ordering::Acquire) || self.master_gone.load(Ordering::Acquire) {
            return Err(Errno::EIO);
        }
        self.slaves.fetch_add(1, Ordering::AcqRel);
        self.was_opened.store(true, Ordering::Release);
        Ok(())
    }

    fn all_closed(&self) {
        self.slaves.store(0, Ordering::Release);
        self.readers.wake_key(ev::HUP);
    }

    fn closed(&self) {
        let less = |open: u32| open.checked_sub(1);
        if self.slaves.fetch_update(Ordering::AcqRel, Ordering::Acquire, less) == Ok(1) {
            self.readers.wake_key(ev::HUP);
        }
    }
}

/// The master side, open.
struct Master {
    pair: Arc<Pair>,
    reading: Turn,
    writing: Turn,
}

impl Drop for Master {
    fn drop(&mut self) {
        let pair = &self.pair;
        pair.instance.remove(pair.number);
        pair.line.master_gone.store(true, Ordering::Release);
        pair.line.writers.wake_all();
        pair.tty.hang_up();
    }
}

impl Master {
    /// What a read finds now: in packet mode a change of state, or data with a byte before it that
    /// says so.
    fn take(&self, room: usize) -> Option<SysResult<Vec<u8>>> {
        let line = &self.pair.line;
        let packet = line.packet.load(Ordering::Acquire);
        let mut bytes = Vec::new();
        if packet {
            match line.status.swap(0, Ordering::AcqRel) {
                0 => bytes.push(g::TIOCPKT_DATA as u8),
                status => return Some(Ok(alloc::vec![status as u8])),
            }
        }
        let mut shown = line.shown.lock();
        if !shown.is_empty() {
            let n = shown.len().min(room - bytes.len());
            bytes.extend(shown.drain(..n));
            return Some(Ok(bytes));
        }
        drop(shown);
        line.is_hung_up().then_some(Err(Errno::EIO))
    }

    fn set_packet_mode(&self, on: bool) {
        let line = &self.pair.line;
        if on && !line.packet.load(Ordering::Acquire) {
            line.status.store(0, Ordering::Release);
        }
        line.packet.store(on, Ordering::Release);
    }

    /// Forgets what is on its way to the master, to the terminal, or both (`TCFLSH`).
    fn flush(&self, which: u64) -> SysResult<()> {
        let which = u32::try_from(which).ok().filter(|which| *which <= g::TCIOFLUSH).ok_or(Errno::EINVAL)?;
        if which != g::TCOFLUSH {
            self.pair.line.shown.lock().clear();
            self.pair.line.writers.wake_key(ev::WRITABLE);
        }
        if which != g::TCIFLUSH {
            self.pair.tty.state.lock().pending.clear();
            self.pair.line.typists.wake_key(ev::WRITABLE);
        }
        Ok(())
    }

    /// `TIOCGPTPEER`: the terminal, whatever is mounted where.
    fn open_terminal(&self, flags: OpenFlags) -> SysResult {
        let opened = self.pair.instance.open(self.pair.number, flags)?;
        let file = super::open_found(opened, flags)?;
        let fd = fd::caller_table()?.insert(file, flags.contains(OpenFlags::CLOEXEC))?;
        Ok(fd as usize)
    }
}

impl FileOps for Master {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let room = to.remaining().min(LIMIT);
        if room == 0 {
            return Ok(0);
        }
        let line = &self.pair.line;
        let bytes = {
            let _turn = self.reading.take(file.nonblocking())?;
            match self.take(room) {
                Some(bytes) => bytes?,
                None if file.nonblocking() => return Err(Errno::EAGAIN),
                None => wait_until(&[&line.readers], None, || self.take(room)).map_err(|_| Errno::ERESTARTSYS)??,
            }
        };
        line.writers.wake_key(ev::WRITABLE);
        to.put(&bytes)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let _turn = self.writing.take(file.nonblocking())?;
        let tty = &*self.pair.tty;
        let mut done = 0;
        let mut piece = [0; super::PIECE];
        while from.remaining() > 0 {
            let room = || Some(tty.input_room()).filter(|room| *room > 0);
            let step = match file.nonblocking() {
                true => room().ok_or(Errno::EAGAIN),
                false => wait_until(&[&self.pair.line.typists], None, room).map_err(|_| Errno::ERESTARTSYS),
            };
            let step = step.and_then(|room| from.take(piece.get_mut(..room.min(super::PIECE)).unwrap_or_default()));
            match step {
                // Whoever may write has room for what was asked for: only a TIOCSTI comes between.
                Ok(n) => done += tty.receive(piece.get(..n).unwrap_or_default()),
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let line = &self.pair.line;
        table.add(&line.readers);
        table.add(&line.typists);
        let state = if line.has_status() { ev::READABLE | ev::PRI } else { 0 };
        let readable = if line.shown.lock().is_empty() { 0 } else { ev::READABLE };
        let room = !self.writing.is_taken() && self.pair.tty.input_room() > 0;
        state | readable | if line.is_hung_up() { ev::HUP } else { 0 } | if room { ev::WRITABLE } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let pair = &self.pair;
        match request {
            i::TIOCGPTN => arg.cast::<u32>().write(pair.number)?,
            i::TIOCSPTLCK => pair.line.locked.store(arg.cast::<i32>().read()? != 0, Ordering::Release),
            i::TIOCGPTLCK => arg.cast::<i32>().write(i32::from(pair.line.locked.load(Ordering::Acquire)))?,
            i::TIOCPKT => self.set_packet_mode(arg.cast::<i32>().read()? != 0),
            i::TIOCGPKT => arg.cast::<i32>().write(i32::from(pair.line.packet.load(Ordering::Acquire)))?,
            i::TIOCGPTPEER => return self.open_terminal(OpenFlags::from_bits_retain(arg.0 as u32)),
            i::TIOCGPGRP => arg.cast::<i32>().write(pair.tty.shown().1)?,
            i::TIOCGSID => match pair.tty.session.load(Ordering::Relaxed) {
                0 => return Err(Errno::ENOTTY),
                session => arg.cast::<i32>().write(session)?,
            },
            // No session has a master for its terminal.
            i::TIOCNOTTY => return Err(Errno::ENOTTY),
            i::TCFLSH => self.flush(arg.0)?,
            i::FIONREAD => {
                let n = pair.line.shown.lock().len();
                arg.cast::<i32>().write(n as i32)?;
            }
            _ => return pair.tty.ioctl(request, arg),
        }
        Ok(0)
    }
}

/// Opens `/dev/ptmx`: a new pair. `ENOSPC` when there are too many.
pub(super) fn open_master(instance: Arc<Instance>) -> SysResult<Arc<dyn FileOps>> {
    let line = Arc::new(Line {
        shown: IrqSpinLock::new(VecDeque::new()),
        readers: poll_queue(),
        writers: poll_queue(),
        typists: poll_queue(),
        slaves: AtomicU32::new(0),
        was_opened: AtomicBool::new(false),
        locked: AtomicBool::new(true),
        master_gone: AtomicBool::new(false),
        packet: AtomicBool::new(false),
        status: AtomicU32::new(0),
    });
    let pair = instance.add(|number| {
        let tty = Tty::new(makedev(MAJOR, number), line.clone());
        tty.without_modem();
        Arc::new(Pair { number, tty, line: line.clone(), instance: instance.clone() })
    })?;
    Ok(Arc::new(Master { pair, reading: Turn::new(), writing: Turn::new() }))
}

/// The terminal `/dev/pts/N`. `EIO` when its master is gone.
pub(super) fn slave(instance: &Instance, number: u32) -> SysResult<Arc<Tty>> {
    instance.pair(number).map(|pair| pair.tty.clone()).ok_or(Errno::EIO)
}

/// The terminals that exist.
pub fn terminals() -> Vec<Arc<Tty>> {
    super::devpts::pairs().iter().map(|pair| pair.tty.clone()).collect()
}
