//! The kernel's own messages: one line each, to the serial port, or to the host tool when the channel is up.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use crate::arch::serial;
use crate::sync::IrqLock;

/// How grave a message is; the numbers are those of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be, and we go on.
    Warning = 4,
    /// Worth knowing.
    Info = 6,
}

/// Messages above this level are dropped; `loglevel=N` sets it.
static MAX_LEVEL: AtomicU8 = AtomicU8::new(Level::Warning as u8);

/// Takes one whole message.
pub type Sink = fn(&[u8]);

/// Where whole messages go instead of the serial port, once set.
static SINK: IrqLock<Option<Sink>> = IrqLock::new(None);

/// Held while a line is written, so that lines of two CPUs do not mix.
static SERIAL: IrqLock<()> = IrqLock::new(());

/// Takes the level from the command line: with `loglevel=N`, messages up to and including level N are shown.
pub fn init() {
    if let Some(level) = crate::arch::boot::option("loglevel").and_then(|value| value.parse().ok()) {
        MAX_LEVEL.store(level, Ordering::Relaxed);
    }
}

/// Sends messages to `sink` from now on.
pub fn set_sink(sink: Option<Sink>) {
    *SINK.lock() = sink;
}

/// Whether messages of this level are shown.
pub fn enabled(level: Level) -> bool {
    level as u8 <= MAX_LEVEL.load(Ordering::Relaxed)
}

/// Longest message; the rest is cut. On the stack, because messages must work without a heap.
const LINE_SIZE: usize = 400;

/// A message being put together.
struct Line {
    bytes: [u8; LINE_SIZE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte is kept for the newline.
        let room = LINE_SIZE - 1 - self.len;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
        Ok(())
    }
}

/// Writes one message. Use the macros.
pub fn write(level: Level, args: fmt::Arguments<'_>) {
    if !enabled(level) {
        return;
    }
    let mut line = Line { bytes: [0; LINE_SIZE], len: 0 };
    let _ = line.write_str("skiff: ");
    let _ = line.write_fmt(args);
    line.bytes[line.len] = b'\n';
    let bytes = &line.bytes[..=line.len];
    let sink = *SINK.lock();
    match sink {
        Some(sink) => sink(bytes),
        None => {
            let _guard = SERIAL.lock();
            serial::write(bytes);
        }
    }
}

/// The serial port as a text sink, past all locks and levels: for panics and dumps.
pub struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        serial::write(text.as_bytes());
        Ok(())
    }
}

/// Something failed.
#[macro_export]
macro_rules! kerr {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Error, format_args!($($arg)*)) };
}

/// Something is not as it should be.
#[macro_export]
macro_rules! kwarn {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($arg)*)) };
}

/// Worth knowing.
#[macro_export]
macro_rules! kinfo {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($arg)*)) };
}

/// Writes to the serial port past locks and levels: for panics and dumps only.
#[macro_export]
macro_rules! emergency {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::log::Emergency, $($arg)*);
    }};
}
