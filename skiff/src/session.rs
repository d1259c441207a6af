//! A machine's run, from its start to its end: streams, signals, the time limit, and the exit
//! status.

use crate::control::{Desk, Place};
use crate::core::{Cores, Progress};
use crate::error::{Error, On, Result};
use crate::frame::{self, Exit, ExitKind, FromGuest, ToGuest};
use crate::gdb::Debugger;
use crate::guest::{Guest, Room};
use crate::machine::{Channel, Machine};
use crate::metrics;
use crate::outlet::{Account, Outlets, Stream, last_words};
use crate::terminal::{self, RawMode, Streams};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
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
/// How long a machine may take to power off after its exit frame, or to write its state after the
/// watchdog's NMI.
const GRACE: Duration = Duration::from_secs(2);
/// How long a machine may take to unmount its disks when its program is killed.
const UNMOUNT_GRACE: Duration = Duration::from_secs(5);
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
    /// All that was to be written to one of ours is.
    Written,
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
    let (events, inbox) = channel();
    let stream = running.channel.take();
    let guest = stream.as_ref().map(|stream| stream.try_clone().map(Guest::new)).transpose().on("control channel")?;
    let written = {
        let events = events.clone();
        move || drop(events.send(Event::Written))
    };
    let (outlets, writers) = Outlets::new(streams, raw.is_some(), guest.as_ref(), written);

    let mut readers = Vec::new();
    if let (Some(stream), Some(guest)) = (stream, &guest) {
        if let (true, Some((rows, cols))) = (streams.tty.contains(&true), terminal::size()) {
            guest.send(&ToGuest::Winsize { rows, cols });
        }
        let room = Arc::new(Room::new());
        if debugger.is_none() {
            let (guest, room, events) = (guest.clone(), room.clone(), events.clone());
            thread::spawn(move || forward_input(&guest, &room, streams, &events));
        } else {
            guest.send(&ToGuest::StdinEof);
        }
        let desk = Arc::new(Desk::new(guest.clone(), cores));
        if let Some(place) = &place {
            place.serve(desk.clone()).on("control socket")?;
        }
        if let Some(address) = metrics {
            outlets.say(format!("skiff: metrics at {}\n", metrics::serve(&address, desk.clone())?).as_bytes());
        }
        let channel = Channels { outlets: outlets.clone(), room, desk, profile };
        readers.push(channel.spawn(stream, events.clone()));
    }
    if let Some(stdin) = running.child.stdin.take() {
        let events_in = events.clone();
        thread::spawn(move || forward_serial_input(stdin, streams, &events_in));
    }
    if let Some(serial) = running.child.stdout.take() {
        let to_stdout = machine.channel == Channel::Serial;
        readers.push(spawn_serial(serial, to_stdout, outlets.clone(), events.clone()));
    }
    let complaints = running.child.stderr.take().map(|stderr| thread::spawn(move || collect(stderr)));
    let signals = spawn_signals(events.clone()).on("signals")?;
    let debugging = debugger.is_some();
    let gdb = debugger.as_ref().map(|gdb| gdb.start().inspect_err(|_| end(&running.child))).transpose()?;
    let gdb = gdb.map(|gdb| thread::spawn(move || wait_for_debugger(gdb, &events)));

    let account = outlets.account();
    let session = Session {
        inbox,
        guest,
        account: account.clone(),
        outlets: Some(outlets),
        streams,
        start,
        watchdog: timeout.map(|timeout| start + timeout),
        grace: None,
        asked: false,
        ending: false,
        killed: false,
        readers: readers.len(),
        writers,
        debugging,
    };
    let ended = session.watch(&mut running.child, running.monitor.take());
    end(&running.child);
    let status = gone(&mut running.child).on("QEMU")?;
    drop(raw);
    let gdb = gdb.map(|gdb| gdb.join().unwrap_or(NO_EXIT));
    signals.close();
    let Some(status) = status else {
        last_words(&format!("skiff: QEMU (process {}) does not end, though it was killed\n", running.child.id()));
        return Ok(status_of(&ended, None, machine.channel));
    };
    let complaints = complaints.and_then(|c| c.join().ok()).unwrap_or_default();
    if ended.exit.is_none() && ended.status.is_none() && status.code() == Some(1) && !complaints.is_empty() {
        return Err(Error::Qemu(complaints.join("; ")));
    }
    for line in complaints {
        last_words(&format!("qemu: {line}\n"));
    }
    if let Some(status) = gdb {
        return Ok(status);
    }
    let status = status_of(&ended, status.code(), machine.channel);
    Ok(with_losses(status, &account.lost(ended.exit.map_or(0, |exit| exit.told))))
}

/// The status where a part of the output was lost and the program did not learn of it, as it would
/// have natively.
fn with_losses(status: u8, lost: &[(&'static str, Errno)]) -> u8 {
    let mut own = 0;
    for (stream, errno) in lost {
        if *errno == Errno::PIPE {
            own = own.max(SIGNALLED + signal_hook::consts::SIGPIPE as u8);
        } else {
            last_words(&format!("skiff: {stream}: {errno}: a part of the output is lost\n"));
            own = own.max(1);
        }
    }
    if status == 0 { own } else { status }
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
            last_words("skiff: the machine ended without an exit status\n");
            NO_EXIT
        }
    }
}

struct Session {
    inbox: Receiver<Event>,
    guest: Option<Guest>,
    account: Account,
    /// Until nothing more can come from the machine.
    outlets: Option<Outlets>,
    streams: Streams,
    start: Instant,
    /// When `--timeout` ends the machine.
    watchdog: Option<Instant>,
    /// When what it has been asked for must have happened.
    grace: Option<Instant>,
    /// Somebody wants it to end.
    asked: bool,
    /// Its program was sent SIGKILL.
    ending: bool,
    /// Nothing is left but what is still to be written.
    killed: bool,
    /// Threads that read from the machine, and that write what it said.
    readers: usize,
    writers: usize,
    debugging: bool,
}

impl Session {
    /// Handles events until the machine is gone and what it said is written; kills it where it must
    /// be. Output that nobody takes holds up the end only as long as nobody asks for it.
    fn watch(mut self, child: &mut Child, mut monitor: Option<UnixStream>) -> Ended {
        let mut ended = Ended::default();
        let mut progress = 0;
        while self.readers + self.writers > 0 {
            let event = match [self.watchdog, self.grace].into_iter().flatten().min() {
                Some(at) => self.inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::End) => {
                    self.readers -= 1;
                    if self.readers == 0 {
                        self.outlets = None;
                        self.killed |= self.asked;
                        self.grace = self.killed.then(|| Instant::now() + GRACE);
                    }
                }
                Ok(Event::Written) => self.writers -= 1,
                Ok(Event::Exit(exit)) => {
                    ended.exit = Some(exit);
                    self.grace = Some(Instant::now() + GRACE);
                }
                Ok(Event::Signal(SIGWINCH)) => {
                    if let Some((rows, cols)) = terminal::size().filter(|_| self.streams.tty.contains(&true)) {
                        self.send(&ToGuest::Winsize { rows, cols });
                    }
                }
                // Keys at the debugger's terminal.
                Ok(Event::Signal(SIGINT | SIGQUIT)) if self.debugging => {}
                Ok(Event::DebuggerGone) => self.kill(child),
                // Whoever waits for us is out of patience.
                Ok(Event::Signal(SIGUSR1)) if monitor.is_some() => self.watchdog = Some(Instant::now()),
                Ok(Event::Signal(number)) if self.readers == 0 => {
                    ended.status = Some(SIGNALLED + number as u8);
                    break;
                }
                Ok(Event::Signal(number)) => {
                    if self.asked || !self.send(&ToGuest::Signal(number as u32)) {
                        ended.status = Some(SIGNALLED + number as u8);
                        self.give_up(child);
                    } else if number == SIGTERM || number == SIGHUP {
                        // Whoever sends these will not ask twice.
                        ended.status = Some(SIGNALLED + number as u8);
                        self.grace = Some(Instant::now() + TERM_GRACE);
                        self.watchdog = None;
                    }
                    self.asked = true;
                }
                Ok(Event::Escape) => {
                    ended.status = Some(SIGNALLED + SIGINT as u8);
                    self.give_up(child);
                }
                Ok(Event::Broken(e)) => {
                    self.say(&format!("skiff: {e}\n"));
                    self.kill(child);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // As long as somebody takes what was said, let him.
                Err(RecvTimeoutError::Timeout) if self.killed && progress != self.account.progress() => {
                    progress = self.account.progress();
                    self.grace = Some(Instant::now() + GRACE);
                }
                Err(RecvTimeoutError::Timeout) if self.killed => break,
                Err(RecvTimeoutError::Timeout) if self.watchdog.take_if(|at| *at <= Instant::now()).is_some() => {
                    self.asked = true;
                    ended.status = Some(TIMED_OUT);
                    let limit = self.start.elapsed().as_secs_f64();
                    match monitor.take() {
                        Some(monitor) if ended.exit.is_none() && self.readers > 0 => {
                            self.say(&format!("skiff: still running after {limit:.1} s (--timeout): its state follows\n"));
                            let _ = inject_nmi(&monitor);
                            self.grace = Some(Instant::now() + GRACE);
                        }
                        _ => {
                            self.say(&format!("skiff: its output is not taken after {limit:.1} s (--timeout)\n"));
                            self.kill(child);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.grace = None;
                    if ended.exit.is_none() {
                        self.give_up(child);
                    } else {
                        end(child);
                        if self.asked {
                            self.kill(child);
                        }
                    }
                }
            }
        }
        // What the host decided counts, not what it did to bring it about.
        let forced = self.ending && ended.exit.is_some_and(|exit| exit.status == i32::from(SIGNALLED) + SIGKILL);
        if ended.status == Some(TIMED_OUT) || forced && ended.status.is_some() {
            ended.exit = None;
        }
        ended
    }

    /// Has the kernel kill the program, unmount the disks and end the machine. Whoever has not the
    /// patience for that, or finds the kernel stuck, ends the machine as it is.
    fn give_up(&mut self, child: &Child) {
        if self.ending || !self.send(&ToGuest::Signal(SIGKILL as u32)) {
            return self.kill(child);
        }
        self.ending = true;
        self.grace = Some(Instant::now() + UNMOUNT_GRACE);
    }

    fn kill(&mut self, child: &Child) {
        end(child);
        self.killed = true;
        self.grace = Some(Instant::now() + GRACE);
    }

    fn say(&self, text: &str) {
        match &self.outlets {
            Some(outlets) => outlets.say(text.as_bytes()),
            None => last_words(text),
        }
    }

    fn send(&self, frame: &ToGuest) -> bool {
        self.guest.as_ref().is_some_and(|guest| guest.send(frame))
    }
}

fn end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Waits for the end of a child that was killed; `None` where it does not come: a process that
/// hangs in the host's kernel (in KVM, say) must not keep this one.
fn gone(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    const STEPS: u32 = 5000;
    for step in 0..STEPS {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        // Mostly it has ended by now, or is about to.
        thread::sleep(Duration::from_millis(u64::from(step.min(2))));
    }
    Ok(None)
}

/// Waits for gdb's end, and returns its status.
fn wait_for_debugger(mut gdb: Child, events: &Sender<Event>) -> u8 {
    let status = gdb.wait().ok().and_then(|status| status.code()).unwrap_or(NO_EXIT.into());
    let _ = events.send(Event::DebuggerGone);
    u8::try_from(status).unwrap_or(NO_EXIT)
}

/// QMP: the greeting, then capabilities, then the command (QEMU's docs/interop/qmp-spec).
fn inject_nmi(mut monitor: &UnixStream) -> io::Result<()> {
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

fn forward_input(guest: &Guest, room: &Room, streams: Streams, events: &Sender<Event>) {
    let mut input = io::stdin().lock();
    if streams.interactive() {
        each_chunk(&mut input, |bytes| {
            if bytes.contains(&ESCAPE) {
                let _ = events.send(Event::Escape);
                return false;
            }
            guest.send(&ToGuest::Tty(bytes))
        });
        return;
    }
    each_chunk(&mut input, |mut bytes| {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(room.wait().min(bytes.len()));
            room.take(now.len());
            if now.is_empty() || !guest.send(&ToGuest::Stdin(now)) {
                return false;
            }
            bytes = later;
        }
        true
    });
    guest.send(&ToGuest::StdinEof);
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

/// What the frames of a machine are for.
struct Channels {
    outlets: Outlets,
    room: Arc<Room>,
    desk: Arc<Desk>,
    profile: Option<SyncSender<ProfileEvent>>,
}

impl Channels {
    fn spawn(self, mut stream: UnixStream, events: Sender<Event>) -> JoinHandle<()> {
        thread::spawn(move || {
            loop {
                match frame::read(&mut stream) {
                    Ok(Some(frame)) => self.take(frame, &events),
                    Ok(None) => break,
                    // QEMU left with input unread.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => break,
                    Err(e) => {
                        let _ = events.send(Event::Broken(e));
                        break;
                    }
                }
            }
            drop(self);
            let _ = events.send(Event::End);
        })
    }

    fn take(&self, frame: FromGuest, events: &Sender<Event>) {
        match frame {
            FromGuest::Stdout(bytes) => self.outlets.stream(Stream::Stdout, bytes),
            FromGuest::Stderr(bytes) => self.outlets.stream(Stream::Stderr, bytes),
            FromGuest::Tty(bytes) => self.outlets.stream(Stream::Tty, bytes),
            FromGuest::Log(bytes) | FromGuest::Trace(bytes) => self.outlets.say(&bytes),
            FromGuest::Exit(exit) => drop(events.send(Event::Exit(exit))),
            FromGuest::Core(bytes) => self.core(|cores| cores.data(&bytes).map(|()| Progress::Going)),
            FromGuest::CoreMark(mark) => self.core(|cores| cores.mark(&mark)),
            FromGuest::Stats(bytes) => self.desk.stats_part(&bytes),
            FromGuest::Room(bytes) => self.room.add(bytes),
            FromGuest::Mapped(bytes) => self.pass(ProfileEvent::Mapped(bytes)),
            FromGuest::Sample(bytes) => self.pass(ProfileEvent::Sample(bytes)),
            FromGuest::SampleStack(bytes) => self.pass(ProfileEvent::Stack(bytes)),
            FromGuest::Unknown(_) => {}
        }
    }

    fn pass(&self, event: ProfileEvent) {
        if let Some(profile) = &self.profile {
            // It may have ended, and then nobody wants it.
            let _ = profile.send(event);
        }
    }

    /// Passes a frame on, and says what came of it. A file that cannot be written must not end the
    /// machine.
    fn core(&self, take: impl FnOnce(&mut Cores) -> io::Result<Progress>) {
        let result = match self.desk.cores.lock() {
            Ok(mut cores) => take(&mut cores),
            Err(_) => return,
        };
        let text = match result {
            Ok(Progress::Going) => return,
            Ok(Progress::Done(path)) => {
                self.desk.core_done(Ok(&path));
                format!("skiff: core file written: {}\n", path.display())
            }
            Ok(Progress::Cut(path)) => {
                self.desk.core_done(Err(format!("{}: cut short", path.display())));
                format!("skiff: core file cut short: {}\n", path.display())
            }
            Ok(Progress::NoProcess(pid)) => {
                self.desk.core_done(Err(format!("the machine has no process {pid}: skiff top lists them")));
                return;
            }
            Err(e) => {
                self.desk.core_done(Err(e.to_string()));
                format!("skiff: core file: {e}\n")
            }
        };
        self.outlets.say(text.as_bytes());
    }
}

fn spawn_serial(
    mut serial: impl Read + Send + 'static,
    to_stdout: bool,
    outlets: Outlets,
    events: Sender<Event>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut whole = true;
        // What cannot be written is still read: the machine must not wait for it.
        each_chunk(&mut serial, |bytes| {
            whole = whole && outlets.serial(to_stdout, bytes);
            true
        });
        drop(outlets);
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
        let exit = |status, kind| Ended { exit: Some(Exit { status, kind, told: 0 }), status: None };
        assert_eq!(status_of(&exit(3, ExitKind::Program), Some(7), Channel::Virtio), 3);
        assert_eq!(status_of(&exit(139, ExitKind::Program), None, Channel::Virtio), 139);
        assert_eq!(status_of(&exit(0, ExitKind::Panic), Some(0), Channel::Virtio), PANIC);
        assert_eq!(status_of(&Ended::default(), Some(0), Channel::Virtio), NO_EXIT);
        assert_eq!(status_of(&Ended { exit: None, status: Some(TIMED_OUT) }, None, Channel::Virtio), TIMED_OUT);
        assert_eq!(status_of(&Ended::default(), Some(85), Channel::Serial), 42);
    }

    #[test]
    fn losses_count_where_the_program_did_not_learn_of_them() {
        assert_eq!(with_losses(0, &[]), 0);
        assert_eq!(with_losses(0, &[("standard output", Errno::PIPE)]), 141);
        assert_eq!(with_losses(3, &[("standard output", Errno::PIPE)]), 3);
    }
}
