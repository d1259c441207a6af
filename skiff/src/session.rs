//! A machine's run, from its start to its end: streams, signals, the time limit, and the exit status.

use crate::control::{Desk, Place};
use crate::core::{Cores, Progress};
use crate::error::{Error, On, Result};
use crate::frame::{self, Exit, ExitKind, FromGuest, ToGuest};
use crate::gdb::Debugger;
use crate::machine::{Channel, Machine};
use crate::metrics;
use crate::terminal::{self, RawMode, Streams};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Exit status when the kernel panicked.
pub const PANIC: u8 = 120;
/// Exit status when the machine ended without a word.
pub const NO_EXIT: u8 = 121;
/// Exit status after `--timeout`, as timeout(1) has it.
pub const TIMED_OUT: u8 = 124;
/// Shells report a program that died of signal N as this plus N.
const SIGNALLED: u8 = 128;
/// How long a machine may take to power off after its exit frame, or to write its state after the watchdog's NMI.
const GRACE: Duration = Duration::from_secs(2);
/// How long a program may take to end after SIGTERM.
const TERM_GRACE: Duration = Duration::from_secs(5);
/// Ctrl-]: ends the machine from the keyboard when its terminal has all other keys.
const ESCAPE: u8 = 0x1d;

enum Event {
    Exit(Exit),
    Signal(i32),
    Escape,
    /// The control channel broke.
    Broken(io::Error),
    /// A stream of QEMU's ended.
    End,
    /// gdb has ended.
    DebuggerGone,
}

/// What goes on beside the program's own input and output.
pub struct Settings {
    /// Ends the machine after that long.
    pub timeout: Option<Duration>,
    /// Takes core files.
    pub cores: Arc<Mutex<Cores>>,
    /// Where others find the machine.
    pub place: Option<Place>,
    /// Where Prometheus finds its figures.
    pub metrics: Option<String>,
    /// Takes samples.
    pub profile: Option<SyncSender<ProfileEvent>>,
    /// Has the terminal, and its end is the machine's.
    pub debugger: Option<Debugger>,
}

/// What the profiler gets.
#[derive(Debug)]
pub enum ProfileEvent {
    /// Of an address space.
    Mapped(Vec<u8>),
    /// A sample.
    Sample(Vec<u8>),
    /// More of its stack.
    Stack(Vec<u8>),
}

/// Runs a machine to its end and returns the status for our own exit.
pub fn run(machine: &Machine, streams: Streams, settings: Settings) -> Result<u8> {
    let Settings { timeout, cores, place, metrics, profile, debugger } = settings;
    let start = Instant::now();
    let mut running = machine.start()?;
    let raw = (streams.interactive() && debugger.is_none()).then(RawMode::on).flatten();
    let newline = if raw.is_some() { "\r\n" } else { "\n" };
    let (events, inbox) = channel();

    let mut readers = Vec::new();
    let mut to_guest: Option<Arc<Mutex<UnixStream>>> = None;
    if let Some(stream) = running.channel.take() {
        let writer = Arc::new(Mutex::new(stream.try_clone().on("control channel")?));
        if let (true, Some((rows, cols))) = (streams.tty.contains(&true), terminal::size()) {
            send(&writer, &ToGuest::Winsize { rows, cols });
        }
        let input = writer.clone();
        let events_in = events.clone();
        if debugger.is_none() {
            thread::spawn(move || forward_input(&input, streams, &events_in));
        } else {
            send(&input, &ToGuest::StdinEof);
        }
        let desk = Arc::new(Desk::new(writer.clone(), cores));
        if let Some(place) = &place {
            place.serve(desk.clone()).on("control socket")?;
        }
        if let Some(address) = metrics {
            eprint!("skiff: metrics at {}{newline}", metrics::serve(&address, desk.clone())?);
        }
        readers.push(spawn_channel(stream, streams, desk, profile, events.clone()));
        to_guest = Some(writer);
    }
    if let Some(stdin) = running.child.stdin.take() {
        let events_in = events.clone();
        thread::spawn(move || forward_serial_input(stdin, streams, &events_in));
    }
    if let Some(serial) = running.child.stdout.take() {
        let to_stdout = machine.channel == Channel::Serial;
        readers.push(spawn_serial(serial, to_stdout, raw.is_some(), events.clone()));
    }
    let complaints = running.child.stderr.take().map(|stderr| thread::spawn(move || collect(stderr)));
    let signals = spawn_signals(events.clone()).on("signals")?;
    let debugging = debugger.is_some();
    let gdb = debugger.as_ref().map(|gdb| gdb.start().inspect_err(|_| end(&running.child))).transpose()?;
    let gdb = gdb.map(|gdb| thread::spawn(move || wait_for_debugger(gdb, &events)));

    let session = Session { inbox, to_guest, streams, start, timeout, open: readers.len(), debugging };
    let ended = session.watch(&mut running.child, running.monitor.as_mut());
    let status = running.child.wait().on("QEMU")?;
    for reader in readers {
        let _ = reader.join();
    }
    drop(raw);
    let gdb = gdb.map(|gdb| gdb.join().unwrap_or(NO_EXIT));
    signals.close();
    let complaints = complaints.and_then(|c| c.join().ok()).unwrap_or_default();
    if ended.exit.is_none() && ended.status.is_none() && status.code() == Some(1) && !complaints.is_empty() {
        return Err(Error::Qemu(complaints.join("; ")));
    }
    for line in complaints {
        eprint!("qemu: {line}{newline}");
    }
    if let Some(status) = gdb {
        return Ok(status);
    }
    Ok(status_of(&ended, status.code(), machine.channel))
}

/// How it ended.
#[derive(Default)]
struct Ended {
    /// The exit frame.
    exit: Option<Exit>,
    /// Decided by the host.
    status: Option<u8>,
}

fn status_of(ended: &Ended, qemu: Option<i32>, channel: Channel) -> u8 {
    match (ended.exit, ended.status) {
        (Some(Exit { kind: ExitKind::Panic, .. }), _) => PANIC,
        (Some(exit), _) => (exit.status & 0xff) as u8,
        (None, Some(status)) => status,
        // isa-debug-exit makes `value << 1 | 1` of what the guest writes, and has room for 7 bits.
        (None, None) if channel == Channel::Serial => match qemu {
            Some(0) => 0,
            Some(code) if code & 1 == 1 => (code >> 1) as u8,
            _ => NO_EXIT,
        },
        (None, None) => {
            eprintln!("skiff: the machine ended without an exit status");
            NO_EXIT
        }
    }
}

struct Session {
    inbox: Receiver<Event>,
    to_guest: Option<Arc<Mutex<UnixStream>>>,
    streams: Streams,
    start: Instant,
    timeout: Option<Duration>,
    open: usize,
    debugging: bool,
}

impl Session {
    /// Handles events until the machine is gone; kills it where it must be.
    fn watch(mut self, child: &mut Child, monitor: Option<&mut UnixStream>) -> Ended {
        let mut monitor = monitor;
        let mut ended = Ended::default();
        let mut deadline = self.timeout.map(|t| self.start + t);
        let mut warned = false;
        while self.open > 0 {
            let event = match deadline {
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::End) => self.open -= 1,
                Ok(Event::Exit(exit)) => {
                    ended.exit = Some(exit);
                    deadline = Some(Instant::now() + GRACE);
                }
                Ok(Event::Signal(SIGWINCH)) => {
                    if let Some((rows, cols)) = terminal::size().filter(|_| self.streams.tty.contains(&true)) {
                        self.send(&ToGuest::Winsize { rows, cols });
                    }
                }
                // Keys at the debugger's terminal.
                Ok(Event::Signal(SIGINT | SIGQUIT)) if self.debugging => {}
                Ok(Event::DebuggerGone) => end(child),
                // Whoever waits for us is out of patience.
                Ok(Event::Signal(SIGUSR1)) if monitor.is_some() => {
                    self.timeout = Some(self.start.elapsed());
                    deadline = Some(Instant::now());
                }
                Ok(Event::Signal(number)) => {
                    if warned || !self.send(&ToGuest::Signal(number as u32)) {
                        ended.status = Some(SIGNALLED + number as u8);
                        end(child);
                    } else if number == SIGTERM || number == SIGHUP {
                        // Whoever sends these will not ask twice.
                        ended.status = Some(SIGNALLED + number as u8);
                        deadline = Some(Instant::now() + TERM_GRACE);
                        monitor = None;
                    }
                    warned = true;
                }
                Ok(Event::Escape) => {
                    ended.status = Some(SIGNALLED + SIGINT as u8);
                    end(child);
                }
                Ok(Event::Broken(e)) => {
                    eprintln!("skiff: {e}");
                    end(child);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => match monitor.take() {
                    Some(monitor) if ended.exit.is_none() => {
                        let limit = self.timeout.unwrap_or_default().as_secs_f64();
                        eprintln!("skiff: still running after {limit} s (--timeout): its state follows");
                        ended.status = Some(TIMED_OUT);
                        let _ = inject_nmi(monitor);
                        deadline = Some(Instant::now() + GRACE);
                    }
                    _ => {
                        end(child);
                        deadline = None;
                    }
                },
            }
        }
        if ended.status == Some(TIMED_OUT) {
            ended.exit = None;
        }
        ended
    }

    /// Sends without waiting for an input thread that the guest does not read from.
    fn send(&self, frame: &ToGuest) -> bool {
        let Some(stream) = &self.to_guest else {
            return false;
        };
        stream.try_lock().is_ok_and(|mut s| s.write_all(&frame.encode()).is_ok())
    }
}

fn send(stream: &Mutex<UnixStream>, frame: &ToGuest) -> bool {
    stream.lock().is_ok_and(|mut s| s.write_all(&frame.encode()).is_ok())
}

fn end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Waits for gdb's end, and returns its status.
fn wait_for_debugger(mut gdb: Child, events: &Sender<Event>) -> u8 {
    let status = gdb.wait().ok().and_then(|status| status.code()).unwrap_or(NO_EXIT.into());
    let _ = events.send(Event::DebuggerGone);
    u8::try_from(status).unwrap_or(NO_EXIT)
}

/// QMP: the greeting, then capabilities, then the command (QEMU's docs/interop/qmp-spec).
fn inject_nmi(monitor: &mut UnixStream) -> io::Result<()> {
    monitor.set_read_timeout(Some(GRACE))?;
    let mut replies = BufReader::new(monitor.try_clone()?);
    let mut line = String::new();
    replies.read_line(&mut line)?;
    for command in ["qmp_capabilities", "inject-nmi"] {
        monitor.write_all(format!("{{\"execute\":\"{command}\"}}\n").as_bytes())?;
        line.clear();
        replies.read_line(&mut line)?;
    }
    Ok(())
}

fn forward_input(guest: &Mutex<UnixStream>, streams: Streams, events: &Sender<Event>) {
    let interactive = streams.interactive();
    each_chunk(&mut io::stdin().lock(), |bytes| {
        if interactive && bytes.contains(&ESCAPE) {
            let _ = events.send(Event::Escape);
            return false;
        }
        send(guest, &if interactive { ToGuest::Tty(bytes) } else { ToGuest::Stdin(bytes) })
    });
    if !interactive {
        send(guest, &ToGuest::StdinEof);
    }
}

fn forward_serial_input(mut serial: impl Write, streams: Streams, events: &Sender<Event>) {
    each_chunk(&mut io::stdin().lock(), |bytes| {
        if streams.interactive() && bytes.contains(&ESCAPE) {
            let _ = events.send(Event::Escape);
            return false;
        }
        serial.write_all(bytes).and_then(|()| serial.flush()).is_ok()
    });
}

fn each_chunk(input: &mut impl Read, mut take: impl FnMut(&[u8]) -> bool) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) if !take(&buffer[..n]) => return,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn spawn_channel(
    mut stream: UnixStream,
    streams: Streams,
    desk: Arc<Desk>,
    profile: Option<SyncSender<ProfileEvent>>,
    events: Sender<Event>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let raw = streams.interactive();
        let mut tty: Box<dyn Write> = match (streams.tty, OpenOptions::new().write(true).open("/dev/tty")) {
            ([_, true, _], _) => Box::new(io::stdout()),
            (_, Ok(tty)) => Box::new(tty),
            _ => Box::new(io::stderr()),
        };
        loop {
            let written = match frame::read(&mut stream) {
                Ok(Some(FromGuest::Stdout(bytes))) => put(&mut io::stdout(), &bytes),
                Ok(Some(FromGuest::Stderr(bytes))) => put(&mut io::stderr(), &bytes),
                Ok(Some(FromGuest::Tty(bytes))) => put(&mut tty, &bytes),
                Ok(Some(FromGuest::Log(bytes) | FromGuest::Trace(bytes))) => put(&mut io::stderr(), &lines(&bytes, raw)),
                Ok(Some(FromGuest::Exit(exit))) => {
                    let _ = events.send(Event::Exit(exit));
                    Ok(())
                }
                Ok(Some(FromGuest::Core(bytes))) => {
                    take_core(&desk, raw, |cores| cores.data(&bytes).map(|()| Progress::Going))
                }
                Ok(Some(FromGuest::CoreMark(mark))) => take_core(&desk, raw, |cores| cores.mark(&mark)),
                Ok(Some(FromGuest::Stats(bytes))) => {
                    desk.stats_part(&bytes);
                    Ok(())
                }
                Ok(Some(FromGuest::Mapped(bytes))) => pass(&profile, ProfileEvent::Mapped(bytes)),
                Ok(Some(FromGuest::Sample(bytes))) => pass(&profile, ProfileEvent::Sample(bytes)),
                Ok(Some(FromGuest::SampleStack(bytes))) => pass(&profile, ProfileEvent::Stack(bytes)),
                Ok(Some(FromGuest::Unknown(_))) => Ok(()),
                Ok(None) => break,
                // QEMU left with input unread.
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => break,
                Err(e) => {
                    let _ = events.send(Event::Broken(e));
                    break;
                }
            };
            // The reader of our output has gone: the program would get SIGPIPE.
            if written.is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
                let _ = events.send(Event::Signal(signal_hook::consts::SIGPIPE));
                let _ = events.send(Event::Signal(signal_hook::consts::SIGPIPE));
            }
        }
        let _ = events.send(Event::End);
    })
}

fn pass(profile: &Option<SyncSender<ProfileEvent>>, event: ProfileEvent) -> io::Result<()> {
    if let Some(profile) = profile {
        // It may have ended, and then nobody wants it.
        let _ = profile.send(event);
    }
    Ok(())
}

/// Passes a frame on, and says what came of it. A file that cannot be written must not end the machine.
fn take_core(desk: &Desk, raw: bool, take: impl FnOnce(&mut Cores) -> io::Result<Progress>) -> io::Result<()> {
    let result = match desk.cores.lock() {
        Ok(mut cores) => take(&mut cores),
        Err(_) => return Ok(()),
    };
    let text = match result {
        Ok(Progress::Going) => return Ok(()),
        Ok(Progress::Done(path)) => {
            desk.core_done(Ok(&path));
            format!("skiff: core file written: {}\n", path.display())
        }
        Ok(Progress::Cut(path)) => {
            desk.core_done(Err(format!("{}: cut short", path.display())));
            format!("skiff: core file cut short: {}\n", path.display())
        }
        Ok(Progress::NoProcess(pid)) => {
            desk.core_done(Err(format!("the machine has no process {pid}: skiff top lists them")));
            return Ok(());
        }
        Err(e) => {
            desk.core_done(Err(e.to_string()));
            format!("skiff: core file: {e}\n")
        }
    };
    put(&mut io::stderr(), &lines(text.as_bytes(), raw))
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(bytes)?;
    out.flush()
}

/// Text for a terminal that may be raw.
fn lines(text: &[u8], raw: bool) -> Vec<u8> {
    if !raw {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    for byte in text {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

fn spawn_serial(
    mut serial: impl Read + Send + 'static,
    to_stdout: bool,
    raw: bool,
    events: Sender<Event>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        each_chunk(&mut serial, |bytes| {
            let result = if to_stdout { put(&mut io::stdout(), bytes) } else { put(&mut io::stderr(), &lines(bytes, raw)) };
            let _ = result;
            true
        });
        let _ = events.send(Event::End);
    })
}

/// QEMU's own messages, without those that say nothing to a user.
fn collect(stderr: impl Read) -> Vec<String> {
    let noise =
        |line: &str| line.contains("TCG doesn't support requested feature") || line.contains("terminating on signal");
    let lines = BufReader::new(stderr).lines().map_while(io::Result::ok).filter(|l| !noise(l));
    lines.map(|l| l.trim_start_matches("qemu-system-x86_64: ").to_owned()).collect()
}

fn spawn_signals(events: Sender<Event>) -> io::Result<signal_hook::iterator::Handle> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGWINCH])?;
    let handle = signals.handle();
    thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let exit = |status, kind| Ended { exit: Some(Exit { status, kind }), status: None };
        assert_eq!(status_of(&exit(3, ExitKind::Program), Some(7), Channel::Virtio), 3);
        assert_eq!(status_of(&exit(139, ExitKind::Program), None, Channel::Virtio), 139);
        assert_eq!(status_of(&exit(0, ExitKind::Panic), Some(0), Channel::Virtio), PANIC);
        assert_eq!(status_of(&Ended::default(), Some(0), Channel::Virtio), NO_EXIT);
        assert_eq!(status_of(&Ended { exit: None, status: Some(TIMED_OUT) }, None, Channel::Virtio), TIMED_OUT);
        assert_eq!(status_of(&Ended::default(), Some(85), Channel::Serial), 42);
    }

    #[test]
    fn raw_terminals_need_carriage_returns() {
        assert_eq!(lines(b"a\nb\r\n", true), b"a\r\nb\r\n");
        assert_eq!(lines(b"a\n", false), b"a\n");
    }
}
