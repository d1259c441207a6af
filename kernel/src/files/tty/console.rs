//! The host's terminal.

use alloc::sync::Arc;

use fs::makedev;
use syscall_shim::SysResult;

use super::{Driver, Tty};
use crate::channel;
use crate::channel::frame::Outgoing;
use crate::files::host_stream;
use crate::files::poll::PollTable;

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

    fn poll_room(&self, table: &mut PollTable) -> bool {
        host_stream::poll_room(Outgoing::Tty, table)
    }

    fn show_waiting(&self, bytes: &[u8]) -> SysResult<usize> {
        host_stream::send(Outgoing::Tty, bytes, false)
    }

    fn input_has_room(&self) {}
}
