//! The way to the guest: frames wait in a queue for it, so that nobody who has something to say
//! waits.
//!
//! Standard input is the one stream that can be long; of it, no more is sent than the guest has
//! room for.

use crate::frame::ToGuest;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex};
use std::thread;

/// Sends frames.
#[derive(Debug, Clone)]
pub struct Guest(Sender<Vec<u8>>);

impl Guest {
    /// For the machine at the other end.
    pub fn new(mut stream: UnixStream) -> Self {
        let (queue, frames) = channel::<Vec<u8>>();
        thread::spawn(move || {
            for frame in frames {
                if stream.write_all(&frame).is_err() {
                    break;
                }
            }
        });
        Self(queue)
    }

    /// Sends a frame, after those before it. False when the machine has ended.
    pub fn send(&self, frame: &ToGuest) -> bool {
        self.0.send(frame.encode()).is_ok()
    }
}

/// How much more of standard input the guest has room for.
#[derive(Debug)]
pub struct Room {
    bytes: Mutex<usize>,
    more: Condvar,
}

impl Room {
    /// What the guest has at first (`INPUT_SIZE` of its `files/host_stream.rs`).
    const AT_FIRST: usize = 64 << 10;

    /// For a guest that has read nothing yet.
    pub fn new() -> Self {
        Self { bytes: Mutex::new(Self::AT_FIRST), more: Condvar::new() }
    }

    /// The guest's program has read so much.
    pub fn add(&self, bytes: usize) {
        if let Ok(mut room) = self.bytes.lock() {
            *room = room.saturating_add(bytes).min(Self::AT_FIRST);
            self.more.notify_all();
        }
    }

    /// Waits until there is room, and says how much.
    pub fn wait(&self) -> usize {
        let Ok(room) = self.bytes.lock() else { return 0 };
        self.more.wait_while(room, |room| *room == 0).map_or(0, |room| *room)
    }

    /// So much was sent.
    pub fn take(&self, bytes: usize) {
        if let Ok(mut room) = self.bytes.lock() {
            *room = room.saturating_sub(bytes);
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}
