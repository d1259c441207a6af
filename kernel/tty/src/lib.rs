//! Terminals (termios(3), ioctl_tty(2)).
//!
//! A [`Tty`] is a [`discipline::Discipline`], a foreground process group, and a [`Driver`] that
//! shows bytes: the host's terminal ([`set_console`]) or the master of a pair ([`pty`]). Typed
//! bytes come in by [`Tty::receive`], in interrupt context. Those that the discipline has no room
//! for wait in front of it, and go on when a read, a flush or a change of mode makes room.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod devpts;
mod discipline;
mod ioctl;
mod job;
pub mod pty;
mod read;
mod termios;
#[cfg(test)]
mod tests;
mod turn;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use caller::Target;
use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::{FileOps, OpenFile};
use fs::namespace::Opened;
use fs::{InodeRef, OpenFlags, major, minor};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use spin::Once;
use sync::IrqSpinLock;
use sync::wait::wait_until;
use syscall_shim::types::{Siginfo, Winsize};
use syscall_shim::{Errno, Signal, SysResult};
use usermem::UserAddr;

use self::discipline::{Discipline, Effects};
use self::turn::Turn;

pub use devpts::{DevptsOptions, devpts};

/// Bytes of a write that go through the discipline at a time.
const PIECE: usize = 512;
/// What one written byte can become, at most: a tab, blanks.
const WIDEST: usize = 8;
/// Typed bytes that wait for room in the discipline: so many as Linux's buffers of 256 hold where
/// one is begun while they have not more than 8192.
const PENDING_SIZE: usize = 8192 + 256;

/// What is on the other side of a terminal.
pub trait Driver: Send + Sync {
    /// Shows bytes, as many as there is room for now; says how many. Callable with interrupts off.
    fn show(&self, bytes: &[u8]) -> usize;
    /// Bytes that can be shown now.
    fn room(&self) -> usize;
    /// Is woken when there is room again.
    fn room_queue(&self) -> &PollQueue;
    /// Shows all of a piece for which there was room, asleep where that is not true any more.
    fn show_all(&self, bytes: &[u8]) -> SysResult<()>;
    /// There is room for typed bytes again after [`Tty::receive`] refused some.
    fn input_has_room(&self) {}
    /// The state of the terminal changed: bits of packet mode (`TIOCPKT_*`) to set and to take
    /// away.
    fn tell(&self, _set: u32, _clear: u32) {}
    /// Sends a character that stops or starts what the other side sends.
    fn send_flow(&self, _character: u8) {}
    /// Whether there is nobody on the other side any more.
    fn other_side_gone(&self) -> bool {
        false
    }
    /// The terminal is about to be opened. `EIO` if it cannot be.
    fn opened(&self) -> SysResult<()> {
        Ok(())
    }
    /// What of `c_cflag` is fixed.
    fn control_flags(&self, flags: u32) -> u32 {
        flags
    }
    /// All open terminals were ended.
    fn all_closed(&self) {}
    /// An open terminal was closed.
    fn closed(&self) {}
}

/// What changes under one lock: taken by interrupt handlers too. Only the driver's own locks are
/// taken inside.
struct State {
    discipline: Discipline,
    /// Typed bytes that the discipline had no room for.
    pending: VecDeque<u8>,
    size: Winsize,
}

/// A terminal.
pub struct Tty {
    /// Device number.
    rdev: u64,
    /// How often it was hung up: what was opened before is at its end.
    hang_ups: AtomicU32,
    /// `TIOCEXCL`
    exclusive: AtomicBool,
    state: IrqSpinLock<State>,
    driver: Arc<dyn Driver>,
    /// Session that it controls; 0 for none.
    session: AtomicI32,
    /// Foreground process group; 0 for none.
    foreground: AtomicI32,
    writing: Turn,
    reading: Turn,
    input_queue: PollQueue,
    output_queue: PollQueue,
}

impl Tty {
    /// A terminal with the device number `rdev`.
    pub fn new(rdev: u64, driver: Arc<dyn Driver>) -> Arc<Self> {
        let state = State { discipline: Discipline::new(), pending: VecDeque::new(), size: Winsize::default() };
        Arc::new(Self {
            rdev,
            hang_ups: AtomicU32::new(0),
            exclusive: AtomicBool::new(false),
            state: IrqSpinLock::new(state),
            driver,
            session: AtomicI32::new(0),
            foreground: AtomicI32::new(0),
            writing: Turn::new(),
            reading: Turn::new(),
            input_queue: poll_queue(),
            output_queue: poll_queue(),
        })
    }

    /// Ends the terminal for all that have it open, and tells its session.
    fn hang_up(&self) {
        self.hang_ups.fetch_add(1, Ordering::AcqRel);
        let session = self.session.swap(0, Ordering::Relaxed);
        if session > 0 {
            // A leader that has ended need not be told.
            caller::send(Target::Process, session, Siginfo::kernel(Signal::SIGHUP));
            caller::send(Target::Process, session, Siginfo::kernel(Signal::SIGCONT));
        }
        self.signal_foreground(Signal::SIGHUP);
        self.signal_foreground(Signal::SIGCONT);
        self.foreground.store(0, Ordering::Relaxed);
        self.input_queue.wake_all();
        self.output_queue.wake_all();
    }

    /// vhangup(2): as if the line had been cut.
    pub fn vhangup(&self) {
        self.hang_up();
        self.driver.all_closed();
    }

    /// Makes this the controlling terminal of the caller's session, with the caller's group in the
    /// foreground.
    pub fn become_controlling(&self) {
        self.session.store(caller::session(), Ordering::Relaxed);
        self.foreground.store(caller::group(), Ordering::Relaxed);
    }

    /// Takes typed bytes, as many as there is room for; says how many.
    pub fn receive(&self, bytes: &[u8]) -> usize {
        let taken = {
            let mut state = self.state.lock();
            let taken = bytes.len().min(PENDING_SIZE.saturating_sub(state.pending.len()));
            state.pending.extend(bytes.iter().take(taken));
            taken
        };
        self.advance();
        taken
    }

    /// Typed bytes that [`Self::receive`] would take.
    fn input_room(&self) -> usize {
        PENDING_SIZE.saturating_sub(self.state.lock().pending.len())
    }

    /// Gives the discipline what waits in front of it, as far as there is room, and has everybody
    /// know.
    fn advance(&self) {
        let (effects, readable) = {
            let mut state = self.state.lock();
            let State { discipline, pending, .. } = &mut *state;
            let effects = discipline.receive(pending);
            if !effects.echo.is_empty() {
                self.driver.show(&effects.echo);
            }
            (effects, state.discipline.ready(1))
        };
        if readable {
            self.input_queue.wake_key(ev::READABLE);
        }
        self.follow(&effects);
    }

    fn follow(&self, effects: &Effects) {
        if let Some(stopped) = effects.flow {
            self.flow_changed(stopped);
        }
        if effects.flushed {
            self.driver.tell(g::TIOCPKT_FLUSHREAD | g::TIOCPKT_FLUSHWRITE, 0);
        }
        for signal in &effects.signals {
            self.signal_foreground(*signal);
        }
    }

    /// Output was stopped, or started.
    fn flow_changed(&self, stopped: bool) {
        let (set, clear) = if stopped { (g::TIOCPKT_STOP, g::TIOCPKT_START) } else { (g::TIOCPKT_START, g::TIOCPKT_STOP) };
        self.driver.tell(set, clear);
        self.output_queue.wake_key(ev::WRITABLE);
    }

    /// Some of the input was taken away: more may come in.
    fn input_consumed(&self) {
        self.advance();
        self.driver.input_has_room();
    }

    /// The other side takes output again.
    pub fn writable(&self) {
        self.output_queue.wake_key(ev::WRITABLE);
    }

    fn signal_foreground(&self, signal: Signal) {
        let group = self.foreground.load(Ordering::Relaxed);
        if group > 0 {
            // A group without members gets nothing.
            caller::send(Target::Group, group, Siginfo::kernel(signal));
        }
    }

    /// Sets the size; the foreground group gets `SIGWINCH` when it changes.
    pub fn set_size(&self, rows: u16, columns: u16) {
        self.set_winsize(Winsize { ws_row: rows, ws_col: columns, ..Winsize::default() });
    }

    fn set_winsize(&self, size: Winsize) {
        let changed = {
            let mut state = self.state.lock();
            let old = core::mem::replace(&mut state.size, size);
            (old.ws_row, old.ws_col, old.ws_xpixel, old.ws_ypixel)
                != (size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel)
        };
        if changed {
            self.signal_foreground(Signal::SIGWINCH);
        }
    }

    /// Written bytes that can go out now, whatever they become.
    fn output_room(&self) -> usize {
        let room = self.driver.room();
        let state = self.state.lock();
        match state.discipline.stopped() {
            true => 0,
            false if state.discipline.termios().c_oflag & g::OPOST == 0 => room,
            false => room / WIDEST,
        }
    }
}

/// An open terminal.
struct OpenTty {
    tty: Arc<Tty>,
    /// How often the terminal had been hung up when this was opened.
    hang_ups: u32,
}

impl OpenTty {
    fn new(tty: Arc<Tty>) -> Arc<Self> {
        let hang_ups = tty.hang_ups.load(Ordering::Acquire);
        Arc::new(Self { tty, hang_ups })
    }

    fn is_hung_up(&self) -> bool {
        self.tty.hang_ups.load(Ordering::Acquire) != self.hang_ups
    }

    /// Waits until something can go out; says how many bytes of a write.
    fn wait_for_room(&self, nonblock: bool) -> SysResult<usize> {
        let tty = &*self.tty;
        let room = || match (self.is_hung_up(), tty.output_room()) {
            (true, _) => Some(Err(Errno::EIO)),
            (false, 0) => None,
            (false, room) => Some(Ok(room)),
        };
        if nonblock {
            return room().unwrap_or(Err(Errno::EAGAIN));
        }
        wait_until(&[&tty.output_queue, tty.driver.room_queue()], None, room).map_err(|_| Errno::ERESTARTSYS)?
    }

    /// Writes the next piece; says how much of it.
    fn write_piece(&self, nonblock: bool, from: &mut Source<'_>) -> SysResult<usize> {
        let tty = &*self.tty;
        let mut piece = [0; PIECE];
        let room = self.wait_for_room(nonblock)?.min(PIECE);
        let n = from.take(piece.get_mut(..room).unwrap_or_default())?;
        let bytes = tty.state.lock().discipline.output(piece.get(..n).unwrap_or_default());
        tty.driver.show_all(&bytes)?;
        Ok(n)
    }
}

impl Drop for OpenTty {
    fn drop(&mut self) {
        if !self.is_hung_up() {
            self.tty.driver.closed();
        }
    }
}

impl FileOps for OpenTty {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let tty = &*self.tty;
        if self.is_hung_up() {
            return Ok(0);
        }
        tty.check_foreground(Signal::SIGTTIN)?;
        if to.remaining() == 0 {
            return Ok(0);
        }
        let bytes = {
            let _turn = tty.reading.take(file.nonblocking())?;
            self.take(to.remaining(), file.nonblocking())?
        };
        tty.input_consumed();
        if bytes.is_empty() { Ok(0) } else { to.put(&bytes) }
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let tty = &*self.tty;
        if self.is_hung_up() {
            return Err(Errno::EIO);
        }
        if tty.state.lock().discipline.termios().c_lflag & g::TOSTOP != 0 {
            tty.check_foreground(Signal::SIGTTOU)?;
        }
        let _turn = tty.writing.take(file.nonblocking())?;
        let mut done = 0;
        while from.remaining() > 0 {
            match self.write_piece(file.nonblocking(), from) {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        self.events(table)
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if self.is_hung_up() {
            return Err(if request == i::TIOCSPGRP { Errno::ENOTTY } else { Errno::EIO });
        }
        match request {
            // Only the master gives out its terminal.
            i::TIOCGPTPEER if major(self.tty.rdev) == pty::MAJOR => Err(Errno::EIO),
            _ => self.tty.ioctl(request, arg),
        }
    }
}

static CONSOLE: Once<Arc<Tty>> = Once::new();

/// Says which terminal is `/dev/console`, the one that the first process has. The first call
/// counts.
pub fn set_console(tty: Arc<Tty>) {
    CONSOLE.call_once(|| tty);
}

/// `/dev/console`, if there is one.
pub fn console() -> Option<&'static Arc<Tty>> {
    CONSOLE.get()
}

/// What makes an open file of what was found by its name.
pub type Opener = fn(Opened, OpenFlags) -> SysResult<Arc<OpenFile>>;

static OPENER: Once<Opener> = Once::new();

/// Says how files are opened, which a master does for its terminal. The first call counts.
pub fn set_opener(opener: Opener) {
    OPENER.call_once(|| opener);
}

fn open_found(opened: Opened, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    let open = OPENER.get().ok_or(Errno::ENXIO)?;
    open(opened, flags)
}

/// Opens a terminal device by number: `/dev/console` and the serial ports are the host's terminal,
/// `/dev/tty` the controlling one. A session leader without a terminal gets the one that it opens,
/// unless with `O_NOCTTY`.
pub fn open(inode: &InodeRef, flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
    let rdev = inode.metadata().rdev;
    let tty = match (major(rdev), minor(rdev)) {
        (5, 2) => return pty::open_master(devpts::instance_of(inode)),
        (pty::MAJOR, number) => pty::slave(&devpts::instance_of(inode), number)?,
        (5, 0) => {
            let tty = controlling(caller::session()).ok_or(Errno::ENXIO)?;
            return open_terminal(tty).map(|ops| ops as Arc<dyn FileOps>);
        }
        (5, 1) | (4, 0 | 64) => console().ok_or(Errno::ENXIO)?.clone(),
        _ => return Err(Errno::ENXIO),
    };
    let ops = open_terminal(tty.clone())?;
    let session = caller::session();
    let leads = caller::pid() == session;
    let free = tty.session.load(Ordering::Relaxed) == 0 && controlling(session).is_none();
    if !flags.contains(OpenFlags::NOCTTY) && leads && free {
        tty.become_controlling();
    }
    Ok(ops)
}

/// `EBUSY` for what others have for themselves.
fn open_terminal(tty: Arc<Tty>) -> SysResult<Arc<OpenTty>> {
    if tty.exclusive.load(Ordering::Relaxed) && !caller::capable(fs::Cap::SysAdmin as u32) {
        return Err(Errno::EBUSY);
    }
    tty.driver.opened()?;
    Ok(OpenTty::new(tty))
}

/// The controlling terminal of a session.
pub fn controlling(session: i32) -> Option<Arc<Tty>> {
    let own = |tty: &Arc<Tty>| tty.session.load(Ordering::Relaxed) == session;
    console().filter(|tty| own(tty)).cloned().or_else(|| pty::terminals().into_iter().find(own))
}

/// The leader of a session ends: the foreground group of its terminal is told, and the terminal is
/// free.
pub fn session_ended(session: i32) {
    if let Some(tty) = controlling(session) {
        tty.signal_foreground(Signal::SIGHUP);
        tty.session.store(0, Ordering::Relaxed);
        tty.foreground.store(0, Ordering::Relaxed);
    }
}

impl Tty {
    /// Device number and foreground process group, as /proc/PID/stat shows them.
    pub fn shown(&self) -> (u64, i32) {
        (self.rdev, self.foreground.load(Ordering::Relaxed))
    }
}
