//! Terminals (termios(3), ioctl_tty(2)).
//!
//! A [`Tty`] is a [`discipline::Discipline`], a foreground process group, and a [`Driver`] that shows bytes: the host's terminal
//! ([`console`]). Typed bytes come in by [`Tty::receive`], in interrupt context.

mod console;
mod discipline;
mod ioctl;
mod job;
pub mod pty;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use fs::{OpenFlags, major, minor};
use linux_raw_sys::general as g;
use syscall_shim::types::{Siginfo, Winsize};
use syscall_shim::{Errno, Signal, SysResult};

use self::discipline::Discipline;
use super::io::{Sink, Source};
use super::poll::{PollQueue, PollTable, ev, poll_queue};
use super::{FileOps, OpenFile};
use crate::arch::clock::monotonic_ns;
use crate::sync::{IrqLock, SleepMutex};
use crate::task::current;
use crate::task::process::Process;
use crate::task::signal::send;
use crate::task::wait::{WaitError, wait_until};
use crate::usermem::UserAddr;

pub use console::console;

/// Bytes of a write that go through the discipline at a time.
const PIECE: usize = 512;
/// Unit of `VTIME` in nanoseconds.
const TENTH: u64 = 100_000_000;

/// What is on the other side of a terminal.
trait Driver: Send + Sync {
    /// Shows bytes, as many as there is room for now; says how many. Callable with interrupts off.
    fn show(&self, bytes: &[u8]) -> usize;
    /// Names the queue that tells of room; says whether there is some.
    fn poll_room(&self, table: &mut PollTable) -> bool;
    /// Shows bytes, asleep until there is room for at least one.
    fn show_waiting(&self, bytes: &[u8]) -> SysResult<usize>;
    /// There is room for typed bytes again after [`Tty::receive`] refused some.
    fn input_has_room(&self);
    /// An open terminal was closed.
    fn closed(&self) {}
}

/// What changes under one lock: taken by interrupt handlers too. Only the driver's own locks are taken inside.
struct State {
    discipline: Discipline,
    size: Winsize,
}

/// A terminal.
pub struct Tty {
    /// Device number.
    rdev: u64,
    /// The other side is gone.
    hung_up: AtomicBool,
    state: IrqLock<State>,
    driver: Arc<dyn Driver>,
    /// Session that it controls; 0 for none.
    session: AtomicI32,
    /// Foreground process group; 0 for none.
    foreground: AtomicI32,
    /// Keeps the writes of several tasks apart.
    writing: SleepMutex<()>,
    /// Keeps the reads of several tasks apart.
    reading: SleepMutex<()>,
    input_queue: PollQueue,
    output_queue: PollQueue,
}

impl Tty {
    fn new(rdev: u64, driver: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self {
            rdev,
            hung_up: AtomicBool::new(false),
            state: IrqLock::new(State { discipline: Discipline::new(), size: Winsize::default() }),
            driver,
            session: AtomicI32::new(0),
            foreground: AtomicI32::new(0),
            writing: SleepMutex::new(()),
            reading: SleepMutex::new(()),
            input_queue: poll_queue(),
            output_queue: poll_queue(),
        })
    }

    /// The other side is gone: readers see the end, and the session is told.
    fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Release);
        let session = self.session.load(Ordering::Relaxed);
        if let Some(leader) = crate::task::table::process(session).filter(|_| session > 0) {
            // A leader that has ended need not be told.
            let _ = send::send_to_process(&leader, Siginfo::kernel(Signal::SIGHUP));
            let _ = send::send_to_process(&leader, Siginfo::kernel(Signal::SIGCONT));
        }
        self.signal_foreground(Signal::SIGHUP);
        self.signal_foreground(Signal::SIGCONT);
        self.input_queue.wake_all();
        self.output_queue.wake_all();
    }

    fn is_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Acquire)
    }

    /// Makes this the controlling terminal of a process's session, with its group in the foreground.
    pub fn become_controlling(&self, process: &Process) {
        self.session.store(process.sid.load(Ordering::Relaxed), Ordering::Relaxed);
        self.foreground.store(process.pgid.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Takes typed bytes. All are used up: what no buffer has room for is lost, as on Linux's own lines.
    pub fn receive(&self, bytes: &[u8]) -> usize {
        let (effects, readable) = {
            let mut state = self.state.lock();
            let effects = state.discipline.receive(bytes);
            if !effects.echo.is_empty() {
                self.driver.show(&effects.echo);
            }
            (effects, state.discipline.ready(1))
        };
        if readable {
            self.input_queue.wake_key(ev::READABLE);
        }
        if effects.flow_changed {
            self.output_queue.wake_key(ev::WRITABLE);
        }
        for signal in effects.signals {
            self.signal_foreground(signal);
        }
        bytes.len()
    }

    /// The other side takes output again.
    pub fn writable(&self) {
        self.output_queue.wake_key(ev::WRITABLE);
    }

    fn signal_foreground(&self, signal: Signal) {
        let group = self.foreground.load(Ordering::Relaxed);
        if group > 0 {
            // A group without members gets nothing.
            let _ = send::send_to_group(group, Siginfo::kernel(signal));
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

    /// Waits as long as `VMIN` and `VTIME` say, and reads.
    fn take(&self, room: usize, nonblock: bool) -> SysResult<alloc::vec::Vec<u8>> {
        let (canonical, min, time) = {
            let state = self.state.lock();
            let d = &state.discipline;
            let canonical = d.termios().c_lflag & g::ICANON != 0;
            (canonical, usize::from(d.character(g::VMIN)), u64::from(d.character(g::VTIME)) * TENTH)
        };
        let ready = |min: usize| (self.is_hung_up() || self.state.lock().discipline.ready(min)).then_some(());
        let read = |room| self.state.lock().discipline.read(room);
        let interrupted = |_: WaitError| Errno::ERESTARTSYS;
        if nonblock {
            return match ready(1) {
                Some(()) => Ok(read(room)),
                None if !canonical && min == 0 && time == 0 => Ok(alloc::vec::Vec::new()),
                None => Err(Errno::EAGAIN),
            };
        }
        if canonical {
            wait_until(&[&self.input_queue], None, || ready(1)).map_err(interrupted)?;
            return Ok(read(room));
        }
        if min == 0 {
            let deadline = monotonic_ns().saturating_add(time);
            return match wait_until(&[&self.input_queue], Some(deadline), || ready(1)) {
                Ok(()) | Err(WaitError::TimedOut) => Ok(read(room)),
                Err(WaitError::Interrupted) => Err(Errno::ERESTARTSYS),
            };
        }
        let wanted = min.min(room);
        if time == 0 {
            return match wait_until(&[&self.input_queue], None, || ready(wanted)) {
                Err(_) if ready(1).is_none() => Err(Errno::ERESTARTSYS),
                _ => Ok(read(room)),
            };
        }
        // The time runs between bytes.
        wait_until(&[&self.input_queue], None, || ready(1)).map_err(interrupted)?;
        loop {
            let have = self.state.lock().discipline.readable();
            let deadline = monotonic_ns().saturating_add(time);
            let more = wait_until(&[&self.input_queue], Some(deadline), || ready(wanted.min(have + 1)));
            if have >= wanted || more.is_err() || self.is_hung_up() {
                return Ok(read(room));
            }
        }
    }

    /// Waits until no `VSTOP` holds output back.
    fn wait_until_started(&self, nonblock: bool) -> SysResult<()> {
        let started = || (!self.state.lock().discipline.stopped()).then_some(());
        if nonblock {
            return started().ok_or(Errno::EAGAIN);
        }
        wait_until(&[&self.output_queue], None, started).map_err(|_| Errno::ERESTARTSYS)
    }

    /// Sends bytes that went through the discipline.
    fn show_all(&self, mut bytes: &[u8]) -> SysResult<()> {
        while !bytes.is_empty() {
            let n = self.driver.show_waiting(bytes)?;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }
}

/// An open terminal.
struct OpenTty(Arc<Tty>);

impl Drop for OpenTty {
    fn drop(&mut self) {
        self.0.driver.closed();
    }
}

impl FileOps for OpenTty {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let tty = &*self.0;
        tty.check_foreground(Signal::SIGTTIN)?;
        if to.remaining() == 0 {
            return Ok(0);
        }
        let bytes = {
            let _one = tty.reading.lock();
            tty.take(to.remaining(), file.nonblocking())?
        };
        tty.driver.input_has_room();
        if bytes.is_empty() { Ok(0) } else { to.put(&bytes) }
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let tty = &*self.0;
        if tty.state.lock().discipline.termios().c_lflag & g::TOSTOP != 0 {
            tty.check_foreground(Signal::SIGTTOU)?;
        }
        let _one = tty.writing.lock();
        let mut done = 0;
        let mut piece = [0; PIECE];
        while from.remaining() > 0 {
            let step = tty.wait_until_started(file.nonblocking()).and_then(|()| {
                if file.nonblocking() && !tty.driver.poll_room(&mut PollTable::none()) {
                    return Err(Errno::EAGAIN);
                }
                let n = from.take(&mut piece)?;
                let bytes = tty.state.lock().discipline.output(piece.get(..n).unwrap_or_default());
                tty.show_all(&bytes).map(|()| n)
            });
            match step {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let tty = &*self.0;
        table.add(&tty.input_queue);
        table.add(&tty.output_queue);
        let room = tty.driver.poll_room(table);
        let state = tty.state.lock();
        let d = &state.discipline;
        let min = if d.character(g::VTIME) == 0 { usize::from(d.character(g::VMIN)) } else { 1 };
        let readable = if d.ready(min) { ev::READABLE } else { 0 };
        if tty.is_hung_up() {
            return readable | ev::READABLE | ev::WRITABLE | ev::HUP;
        }
        readable | if room && !d.stopped() { ev::WRITABLE } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        self.0.ioctl(request, arg)
    }
}

/// Opens a terminal device by number: `/dev/console` and the serial ports are the host's terminal, `/dev/tty` the controlling one.
/// A session leader without a terminal gets the one that it opens, unless with `O_NOCTTY`.
pub fn open(rdev: u64, flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
    let (tty, ops): (Arc<Tty>, Arc<dyn FileOps>) = match (major(rdev), minor(rdev)) {
        (5, 2) => return pty::open_master(),
        (pty::MAJOR, number) => pty::open_slave(number)?,
        (5, 0) => {
            let tty = controlling(&current().process).ok_or(Errno::ENXIO)?;
            if tty.rdev != console().rdev {
                return pty::open_slave(minor(tty.rdev)).map(|(_, ops)| ops);
            }
            return Ok(Arc::new(OpenTty(tty)));
        }
        (5, 1) | (4, 0 | 64) => (console().clone(), Arc::new(OpenTty(console().clone()))),
        _ => return Err(Errno::ENXIO),
    };
    let process = &current().process;
    let leader = process.pid == process.sid.load(Ordering::Relaxed);
    let free = tty.session.load(Ordering::Relaxed) == 0 && controlling(process).is_none();
    if !flags.contains(OpenFlags::NOCTTY) && leader && free {
        tty.become_controlling(process);
    }
    Ok(ops)
}

/// A process's controlling terminal.
pub fn controlling(process: &Process) -> Option<Arc<Tty>> {
    let session = process.sid.load(Ordering::Relaxed);
    let own = |tty: &Arc<Tty>| tty.session.load(Ordering::Relaxed) == session;
    Some(console()).filter(|tty| own(tty)).cloned().or_else(|| pty::terminals().into_iter().find(own))
}

/// The leader of a session ends: the foreground group of its terminal is told, and the terminal is free.
pub fn session_ended(leader: &Process) {
    if leader.pid == leader.sid.load(Ordering::Relaxed)
        && let Some(tty) = controlling(leader)
    {
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
