//! Standard output, standard error and the terminal, each with a thread that writes: one that
//! nobody reads holds back neither the others nor what decides about the machine.
//!
//! The guest is told of what was written, and of what could not be, by [`ToGuest::PassedOn`]; it
//! keeps what is on its way short.

use crate::error::{On, Result, STDOUT};
use crate::frame::ToGuest;
use crate::guest::Guest;
use crate::terminal::Streams;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Bytes that are written at a time, if so many have come.
const AT_ONCE: usize = 64 << 10;
/// What may wait of text that the guest does not count, before whoever brings more has to wait.
const MAX_WAITING: usize = 64 << 20;
const STEP: Duration = Duration::from_millis(5);

/// A stream of the guest's, by the number of its frames' type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// The terminal.
    Tty = 3,
}

impl Stream {
    const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Tty];

    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
            Self::Tty => "terminal",
        }
    }
}

/// Where a stream goes.
#[derive(Debug)]
enum Sink {
    Stdout,
    Stderr,
    Terminal(File),
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stdout => stdout(),
            Self::Stderr => stderr(),
            Self::Terminal(file) => file.as_fd(),
        }
    }
}

struct Piece {
    bytes: Vec<u8>,
    /// The stream that the guest wants to know of.
    stream: Option<Stream>,
    /// Told when it is written.
    done: Option<SyncSender<()>>,
}

/// What the writers have in common.
#[derive(Debug, Default)]
struct Shared {
    written: AtomicU64,
    waiting: AtomicUsize,
    /// The first failure of each stream.
    lost: Mutex<[Option<Errno>; 3]>,
}

/// The ways out.
#[derive(Clone)]
pub struct Outlets {
    stdout: Sender<Piece>,
    stderr: Sender<Piece>,
    terminal: Sender<Piece>,
    /// The terminal is raw: a line's end needs a carriage return.
    raw: bool,
    shared: Arc<Shared>,
}

/// What is known when all is written, or given up.
#[derive(Clone)]
pub struct Account(Arc<Shared>);

impl Outlets {
    /// The ways out of a machine; `ended` is called as often as the second result says, when all is
    /// written. With `guest`, it is told what was.
    pub fn new(
        streams: Streams,
        raw: bool,
        guest: Option<&Guest>,
        ended: impl Fn() + Send + Clone + 'static,
    ) -> (Self, usize) {
        let shared = Arc::new(Shared::default());
        let mut writers = 0;
        let mut start = |sink: Sink| {
            let (queue, pieces) = channel();
            let (shared, guest, ended) = (shared.clone(), guest.cloned(), ended.clone());
            thread::spawn(move || {
                write_all(&sink, &pieces, &shared, guest.as_ref());
                ended();
            });
            writers += 1;
            queue
        };
        let stdout = start(Sink::Stdout);
        // What comes in some order out of one end of a pipe must go in by one hand.
        let stderr =
            if same(rustix::stdio::stdout(), rustix::stdio::stderr()) { stdout.clone() } else { start(Sink::Stderr) };
        let terminal = match (streams.tty, OpenOptions::new().write(true).open("/dev/tty")) {
            ([_, true, _], _) => stdout.clone(),
            ([_, _, true], _) | (_, Err(_)) => stderr.clone(),
            (_, Ok(tty)) => start(Sink::Terminal(tty)),
        };
        if let Some(guest) = guest {
            watch(Stream::Stdout, guest);
            watch(Stream::Stderr, guest);
        }
        (Self { stdout, stderr, terminal, raw, shared }, writers)
    }

    /// Bytes of the program's.
    pub fn stream(&self, stream: Stream, bytes: Vec<u8>) {
        let queue = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
            Stream::Tty => &self.terminal,
        };
        self.put(queue, Piece { bytes, stream: Some(stream), done: None });
    }

    /// Text of ours or the kernel's, for standard error.
    pub fn say(&self, text: &[u8]) {
        self.put(&self.stderr, Piece { bytes: lines(text, self.raw), stream: None, done: None });
    }

    /// Bytes of a serial port, which has no other way to be held back: returns when they are
    /// written. False if they cannot be.
    pub fn serial(&self, to_stdout: bool, bytes: &[u8]) -> bool {
        let (done, written) = sync_channel(1);
        let (queue, bytes, stream) = match to_stdout {
            true => (&self.stdout, bytes.to_vec(), Some(Stream::Stdout)),
            false => (&self.stderr, lines(bytes, self.raw), None),
        };
        self.put(queue, Piece { bytes, stream, done: Some(done) });
        written.recv().is_ok()
    }

    fn put(&self, queue: &Sender<Piece>, piece: Piece) {
        while self.shared.waiting.load(Ordering::Relaxed) > MAX_WAITING {
            thread::sleep(STEP);
        }
        self.shared.waiting.fetch_add(piece.bytes.len(), Ordering::Relaxed);
        let _ = queue.send(piece);
    }

    /// What has become of it all.
    pub fn account(&self) -> Account {
        Account(self.shared.clone())
    }
}

impl Account {
    /// Grows as long as somebody takes what is written.
    pub fn progress(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Streams of which something was lost without the program's knowing, and why. `told` has a bit
    /// for each that it knows of.
    pub fn lost(&self, told: u8) -> Vec<(&'static str, Errno)> {
        let Ok(lost) = self.0.lost.lock() else { return Vec::new() };
        let unknown = Stream::ALL.into_iter().zip(*lost).filter(|(stream, _)| told & 1 << (*stream as u8 - 1) == 0);
        unknown.filter_map(|(stream, errno)| Some((stream.name(), errno?))).collect()
    }
}

fn write_all(sink: &Sink, pieces: &Receiver<Piece>, shared: &Shared, guest: Option<&Guest>) {
    let mut next = None;
    while let Some(mut piece) = next.take().or_else(|| pieces.recv().ok()) {
        while piece.done.is_none() && piece.bytes.len() < AT_ONCE {
            match pieces.try_recv() {
                Ok(more) if more.stream == piece.stream && more.done.is_none() => piece.bytes.extend_from_slice(&more.bytes),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = write(sink.as_fd(), &piece.bytes, &shared.written);
        shared.waiting.fetch_sub(piece.bytes.len(), Ordering::Relaxed);
        if let (Err(errno), Some(stream)) = (result, piece.stream)
            && let Ok(mut lost) = shared.lost.lock()
        {
            lost[stream as usize - 1].get_or_insert(errno);
        }
        if let (Some(stream), Some(guest)) = (piece.stream, guest) {
            let errno = result.map_or_else(|e| e.raw_os_error().unsigned_abs(), |()| 0);
            guest.send(&ToGuest::PassedOn { stream: stream as u8, bytes: piece.bytes.len() as u32, errno });
        }
        if let (Some(done), Ok(())) = (piece.done, result) {
            let _ = done.send(());
        }
    }
}

fn write(to: BorrowedFd, mut bytes: &[u8], written: &AtomicU64) -> std::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => {
                written.fetch_add(n as u64, Ordering::Relaxed);
                bytes = bytes.get(n..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            // Whoever shares it with us has made it non-blocking.
            Err(Errno::AGAIN) => drop(poll(&mut [PollFd::new(&to, PollFlags::OUT)], None)),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Tells the guest when the last reader of a pipe has gone, also while nothing is written.
fn watch(stream: Stream, guest: &Guest) {
    let fd = if stream == Stream::Stdout { stdout() } else { stderr() };
    if fstat(fd).is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Fifo) {
        let guest = guest.clone();
        thread::spawn(move || {
            // Errors are told without being asked for.
            let mut fds = [PollFd::new(&fd, PollFlags::empty())];
            while let Err(Errno::INTR) = poll(&mut fds, None) {}
            if fds[0].revents().contains(PollFlags::ERR) {
                let errno = Errno::PIPE.raw_os_error().unsigned_abs();
                guest.send(&ToGuest::PassedOn { stream: stream as u8, bytes: 0, errno });
            }
        });
    }
}

fn same(one: BorrowedFd, other: BorrowedFd) -> bool {
    match (fstat(one), fstat(other)) {
        (Ok(one), Ok(other)) => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
        _ => false,
    }
}

/// Says something on standard error, and goes on where that cannot be written: what is only told
/// must not end what is done.
pub fn tell(text: std::fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// Prints what was asked for.
pub fn print(text: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text).and_then(|()| out.flush()).on(STDOUT)
}

/// Says something on standard error, unless nobody takes it: for the end, when no other thread
/// does.
pub fn last_words(text: &str) {
    let fd = stderr();
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
    if poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0) {
        // A pipe that is ready takes a page without waiting.
        let _ = rustix::io::write(fd, &text.as_bytes()[..text.len().min(4096)]);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_terminals_need_carriage_returns() {
        assert_eq!(lines(b"a\nb\r\n", true), b"a\r\nb\r\n");
        assert_eq!(lines(b"a\n", false), b"a\n");
    }

    #[test]
    fn errors_of_a_device_are_passed_on() {
        let full = Sink::Terminal(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let shared = Shared::default();
        let (queue, pieces) = channel();
        queue.send(Piece { bytes: b"x".to_vec(), stream: Some(Stream::Stdout), done: None }).unwrap();
        drop(queue);
        write_all(&full, &pieces, &shared, None);
        let account = Account(Arc::new(shared));
        assert_eq!(account.lost(0), [("standard output", Errno::NOSPC)]);
        assert_eq!(account.lost(1), []);
    }
}
