//! What tasks ask of the layers above them, given once at boot.

use alloc::sync::Arc;

use fd::OpenFile;
use fs::OpenFlags;
use fs::namespace::Opened;
use observe::host_link::frame::Outgoing;
use spin::Once;
use syscall_shim::SysResult;
use syscall_shim::types::Siginfo;

use crate::{Process, Task};

/// The layers above.
pub trait Upcalls: Sync {
    /// Whether signals and ends of threads are told to [`Self::signal`] and [`Self::ended`].
    fn shows_signals(&self) -> bool;

    /// A thread is given a signal.
    fn signal(&self, task: &Task, info: &Siginfo);

    /// A thread ends, with that wait status.
    fn ended(&self, task: &Task, status: u32);

    /// Has the calls of the machine looked at before they are made, but for those that pass.
    fn inspect_calls(&self, passes: &dyn Fn(u64) -> bool);

    /// A descriptor for a process: pidfd_open(2).
    fn pidfd(&self, process: Arc<Process>) -> Arc<OpenFile>;

    /// An open file description for what open(2) found.
    fn open(&self, opened: Opened, flags: OpenFlags) -> SysResult<Arc<OpenFile>>;

    /// Sends all of `bytes` to the host, and sleeps for it where it must.
    fn send_to_host(&self, kind: Outgoing, bytes: &[u8]);

    /// The first process has ended with that wait status: the end of the machine.
    fn program_ended(&self, status: u32) -> !;
}

static ABOVE: Once<&'static dyn Upcalls> = Once::new();

/// Says who they are. The first stays.
pub fn init(above: &'static dyn Upcalls) {
    ABOVE.call_once(|| above);
}

/// Those above.
///
/// # Panics
/// Before [`init`]: a mistake in the order of boot.
pub(crate) fn above() -> &'static dyn Upcalls {
    match ABOVE.get() {
        Some(above) => *above,
        None => panic!("a task runs before the layers above are known"),
    }
}
