//! The host's terminal.

use alloc::sync::Arc;

use fs::makedev;
use syscall_shim::SysResult;
use tty::{Driver, Tty};

use crate::files::host_stream;
use fd::poll::{PollQueue, PollTable};
use observe::host_link;
use observe::host_link::frame::Outgoing;

struct Host;

/// Makes it `/dev/console`.
pub fn init() {
    tty::set_console(Tty::new(makedev(5, 1), Arc::new(Host)));
}

impl Driver for Host {
    fn show(&self, bytes: &[u8]) -> usize {
        host_link::write(Outgoing::Tty, bytes)
    }

    fn room(&self) -> usize {
        // The host does not say how much it takes.
        if host_stream::poll_room(Outgoing::Tty, &mut PollTable::none()) { usize::MAX } else { 0 }
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
}

/// Takes bytes from the host. All are used up, so that what comes behind them finds the way free:
/// what no buffer has room for is lost, as on Linux's own lines. In interrupt context.
pub fn receive(bytes: &[u8]) -> usize {
    if let Some(console) = tty::console() {
        console.receive(bytes);
    }
    bytes.len()
}
