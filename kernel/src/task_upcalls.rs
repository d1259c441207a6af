//! What tasks ask of the layers above them.

use alloc::sync::Arc;

use fd::OpenFile;
use fs::OpenFlags;
use fs::namespace::Opened;
use observe::host_link::frame::Outgoing;
use syscall_shim::SysResult;
use syscall_shim::types::Siginfo;
use task::upcalls::Upcalls;
use task::{Process, Task};

use crate::files::pidfd::PidFd;
use crate::files::{host_stream, open};
use crate::{power, syscalls, trace};

/// The kernel, as tasks see it.
pub struct Kernel;

impl Upcalls for Kernel {
    fn shows_signals(&self) -> bool {
        trace::shows_signals()
    }

    fn signal(&self, task: &Task, info: &Siginfo) {
        trace::signal(task, info);
    }

    fn ended(&self, task: &Task, status: u32) {
        trace::ended(task, status);
    }

    fn inspect_calls(&self, passes: &dyn Fn(u64) -> bool) {
        syscalls::inspect_calls(passes);
    }

    fn pidfd(&self, process: Arc<Process>) -> Arc<OpenFile> {
        PidFd::open(process, OpenFlags::empty())
    }

    fn open(&self, opened: Opened, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
        open::open(opened, flags)
    }

    fn send_to_host(&self, kind: Outgoing, bytes: &[u8]) {
        host_stream::send_all(kind, bytes);
    }

    fn program_ended(&self, status: u32) -> ! {
        power::program_ended(status)
    }
}
