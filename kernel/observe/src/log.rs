//! The kernel's own messages: one line each, kept for dmesg(1), and shown on the console (the
//! serial port, or the host tool when the channel is up) where their level is below the console's.

pub mod reader;

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};

pub use base::log::Level;
use base::log::Output;
pub use base::ring;
use base::ring::Ring;

use arch::{clock, serial};
use sync::IrqSpinLock;

/// Level of the console without `loglevel=N`: warnings are shown.
pub const DEFAULT_CONSOLE_LEVEL: u32 = Level::Warning as u32 + 1;
/// Level of a message that names none.
pub const DEFAULT_MESSAGE_LEVEL: u16 = 4;

/// Messages of lower levels than this are shown on the console, as in Linux.
pub static CONSOLE_LEVEL: AtomicU32 = AtomicU32::new(DEFAULT_CONSOLE_LEVEL);

/// The numbers of `/proc/sys/kernel/printk` behind the console's level: that of messages without
/// one, the console's lowest, which it has while `CONSOLE_OFF` holds, and its default.
static REST: [AtomicU32; 3] =
    [AtomicU32::new(DEFAULT_MESSAGE_LEVEL as u32), AtomicU32::new(1), AtomicU32::new(DEFAULT_CONSOLE_LEVEL)];
/// What was logged. Taken inside any other lock.
static RING: IrqSpinLock<Ring> = IrqSpinLock::new(Ring::new());

/// Takes one whole message.
pub type Sink = fn(&[u8]);

/// Where whole messages go instead of the serial port, once set.
static SINK: IrqSpinLock<Option<Sink>> = IrqSpinLock::new(None);

/// Held while a line is written, so that lines of two CPUs do not mix.
static SERIAL: IrqSpinLock<()> = IrqSpinLock::new(());

/// From now on messages of all layers are kept and shown.
pub fn start() {
    base::log::set_output(Output { message: write, emergency: |text| serial::write(text.as_bytes()) });
}

/// Takes the console's level from the command line: with `loglevel=N`, messages of levels below N
/// are shown.
pub fn init() {
    if let Some(level) = arch::boot::option("loglevel").and_then(|value| value.parse().ok()) {
        CONSOLE_LEVEL.store(level, Ordering::Relaxed);
    }
}

/// `/proc/sys/kernel/printk`: the console's level, and what [`REST`] says.
pub fn printk() -> [u32; 4] {
    let [message, least, usual] = REST.each_ref().map(|level| level.load(Ordering::Relaxed));
    [CONSOLE_LEVEL.load(Ordering::Relaxed), message, least, usual]
}

/// Sets the four of them.
pub fn set_printk(levels: [u32; 4]) {
    let [console, rest @ ..] = levels;
    CONSOLE_LEVEL.store(console, Ordering::Relaxed);
    REST.iter().zip(rest).for_each(|(slot, level)| slot.store(level, Ordering::Relaxed));
}

/// Sends messages to `sink` from now on.
pub fn set_sink(sink: Option<Sink>) {
    *SINK.lock() = sink;
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

/// Text in a vector, for the formatting macros.
struct Bytes(Vec<u8>);

impl Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn write(level: Level, args: fmt::Arguments<'_>) {
    const PREFIX: &str = "skiff: ";
    let mut line = Line { bytes: [0; LINE_SIZE], len: 0 };
    let _ = line.write_str(PREFIX);
    let _ = line.write_fmt(args);
    line.bytes[line.len] = b'\n';
    keep(level as u16, &line.bytes[PREFIX.len()..line.len]);
    if (level as i32) < CONSOLE_LEVEL.load(Ordering::Relaxed) as i32 {
        show(&line.bytes[..=line.len]);
    }
}

/// Logs what a program wrote to /dev/kmsg.
pub fn write_from_program(priority: u16, text: &[u8]) {
    keep(priority, text);
    if i32::from(priority & 7) < CONSOLE_LEVEL.load(Ordering::Relaxed) as i32 {
        show(&[text, b"\n"].concat());
    }
}

fn keep(priority: u16, text: &[u8]) {
    RING.lock().push(clock::monotonic_ns(), priority, text);
    reader::written();
}

fn show(bytes: &[u8]) {
    let sink = *SINK.lock();
    match sink {
        Some(sink) => sink(bytes),
        None => {
            let _guard = SERIAL.lock();
            serial::write(bytes);
        }
    }
}
