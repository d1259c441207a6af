//! Reading what was logged, as syslog(2), /proc/kmsg and /dev/kmsg give it.

use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;

use super::ring::{self, Record, TEXT_MAX, Text};
use super::{Bytes, RING};
use fd::poll::{PollQueue, poll_queue};
use sync::IrqSpinLock;

/// Bytes that the log holds, as `SYSLOG_ACTION_SIZE_BUFFER` tells.
pub const SIZE: usize = ring::SIZE;

/// Whether somebody has waited for messages: without, writing one wakes nobody.
static WANTED: AtomicBool = AtomicBool::new(false);
static QUEUE: Once<PollQueue> = Once::new();

/// Where the readers are that all share.
struct Shared {
    /// The next record of `SYSLOG_ACTION_READ`, and how many bytes of its line have been read.
    read: (u64, usize),
    /// The first record that `SYSLOG_ACTION_CLEAR` has left.
    clear: u64,
}

static SHARED: IrqSpinLock<Shared> = IrqSpinLock::new(Shared { read: (0, 0), clear: 0 });

/// What is woken when there is a message.
pub fn queue() -> &'static PollQueue {
    WANTED.store(true, Ordering::Release);
    QUEUE.call_once(poll_queue)
}

/// A message has been written.
pub(super) fn written() {
    if WANTED.load(Ordering::Acquire)
        && let Some(queue) = QUEUE.get()
    {
        queue.wake_all();
    }
}

/// The record `seq`, or the oldest after it.
pub fn record(seq: u64, text: &mut Text) -> Option<Record> {
    RING.lock().read(seq, text)
}

/// Numbers of the oldest record, of the next, and of the first after the last clearing.
pub fn bounds() -> (u64, u64, u64) {
    let clear = SHARED.lock().clear;
    let ring = RING.lock();
    (ring.first(), ring.next(), clear.max(ring.first()))
}

/// `<PRIORITY>[SECONDS.MICROSECONDS] TEXT`, a line for each of the text's.
fn lines(record: &Record, text: &Text) -> Vec<u8> {
    let mut out = Bytes(Vec::new());
    let micros = record.time / 1000;
    for line in text[..record.len].split(|byte| *byte == b'\n') {
        let _ = write!(out, "<{}>[{:5}.{:06}] ", record.priority, micros / 1_000_000, micros % 1_000_000);
        out.0.extend_from_slice(line);
        out.0.push(b'\n');
    }
    out.0
}

/// The next bytes that `SYSLOG_ACTION_READ` has not given yet, at most `room`; none if there are
/// none.
pub fn take(room: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut text = [0; TEXT_MAX];
    let mut shared = SHARED.lock();
    while let Some(found) = record(shared.read.0, &mut text) {
        if found.seq != shared.read.0 {
            shared.read = (found.seq, 0);
        }
        let line = lines(&found, &text);
        let rest = line.get(shared.read.1..).unwrap_or_default();
        let taken = rest.len().min(room - out.len());
        out.extend_from_slice(&rest[..taken]);
        if taken < rest.len() {
            shared.read.1 += taken;
            break;
        }
        shared.read = (found.seq + 1, 0);
    }
    out
}

/// Bytes that `SYSLOG_ACTION_READ` has not given yet.
pub fn unread() -> usize {
    let (next, partial) = SHARED.lock().read;
    let all: usize = every(next).map(|(_, line)| line.len()).sum();
    all.saturating_sub(partial)
}

/// The last whole lines after the last clearing, at most `room` bytes.
pub fn last(room: usize) -> Vec<u8> {
    let from = SHARED.lock().clear;
    let mut sizes: usize = every(from).map(|(_, line)| line.len()).sum();
    let mut out = Vec::new();
    for (_, line) in every(from) {
        if sizes <= room && out.len() + line.len() <= room {
            out.extend_from_slice(&line);
        }
        sizes = sizes.saturating_sub(line.len());
    }
    out
}

/// Hides what there is from [`last`].
pub fn clear() {
    let next = RING.lock().next();
    SHARED.lock().clear = next;
}

fn every(from: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let mut seq = from;
    core::iter::from_fn(move || {
        let mut text = [0; TEXT_MAX];
        let found = record(seq, &mut text)?;
        seq = found.seq + 1;
        Some((found.seq, lines(&found, &text)))
    })
}

/// A record as /dev/kmsg gives it (Documentation/ABI/testing/dev-kmsg).
pub fn kmsg_line(record: &Record, text: &Text) -> Vec<u8> {
    let mut out = Bytes(Vec::new());
    let _ = write!(out, "{},{},{},-;", record.priority, record.seq, record.time / 1000);
    for byte in &text[..record.len] {
        if matches!(byte, b' '..=b'~') && *byte != b'\\' {
            out.0.push(*byte);
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.0.push(b'\n');
    out.0
}
