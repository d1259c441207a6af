//! The host's terminal.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use fs::makedev;
use syscall_shim::SysResult;

use super::{Driver, Tty};
use crate::channel;
use crate::channel::frame::Outgoing;
use crate::files::host_stream;
use crate::files::poll::{PollQueue, PollTable};

struct Host;

static CONSOLE: spin::LazyLock<Arc<Tty>> = spin::LazyLock::new(|| Tty::new(makedev(5, 1), Arc::new(Host)));

/// The terminal that the first process has.
pub fn console() -> &'static Arc<Tty> {
    &CONSOLE
}

impl Driver for Host {
    fn show(&self, bytes: &[u8]) -> usize {
        channel::write(Outgoing::Tty, bytes)
    }

    fn room(&self) -> usize {
        // The host does not say how much it takes.
        if host_stream::poll_room(&mut PollTable::none()) { usize::MAX } else { 0 }
    }

    fn room_queue(&self) -> &PollQueue {
        host_stream::room_queue()
    }

    fn show_all(&self, mut bytes: &[u8]) -> SysResult<()> {
        while !bytes.is_empty() {
            let n = host_stream::send(Outgoing::Tty, bytes, false)?;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    fn input_has_room(&self) {
        if REFUSED.swap(false, Ordering::AcqRel) {
            channel::resume();
        }
    }
}

/// The host was told to wait for room.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Takes bytes from the host, as many as there is room for; says how many. In interrupt context.
pub fn receive(bytes: &[u8]) -> usize {
    let taken = console().receive(bytes);
    if taken < bytes.len() {
        REFUSED.store(true, Ordering::Release);
    }
    taken
}
