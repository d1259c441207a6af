//! A process as a file: pidfd_open(2).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write as _;
use core::sync::atomic::Ordering;

use fs::OpenFlags;
use syscall_shim::{Errno, SysResult};

use super::poll::{PollTable, ev};
use super::{FileOps, OpenFile, anon};
use crate::task::{Process, table};
use crate::usermem::UserAddr;

/// A pidfd. It keeps what is left of an ended process, so that the number cannot come to mean another.
pub struct PidFd {
    process: Arc<Process>,
}

impl PidFd {
    /// A new one, open.
    pub fn open(process: Arc<Process>, flags: OpenFlags) -> Arc<OpenFile> {
        let (path, inode) = anon::anon_inode("[pidfd]");
        OpenFile::new(path, inode, Arc::new(PidFd { process }), flags | OpenFlags::RDWR)
    }

    /// The process of a pidfd. `EBADF` for another kind of file.
    pub fn process_of(file: &OpenFile) -> SysResult<&Arc<Process>> {
        file.ops_as::<PidFd>().map(|pidfd| &pidfd.process).ok_or(Errno::EBADF)
    }
}

impl PidFd {
    /// Whether the process is still there, be it as a zombie.
    fn is_listed(&self) -> bool {
        table::process(self.process.pid).is_some_and(|process| Arc::ptr_eq(&process, &self.process))
    }
}

impl FileOps for PidFd {
    fn can_read_and_write(&self) -> (bool, bool) {
        (false, false)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.process.exit_wait);
        let ended = self.process.zombie.load(Ordering::Acquire);
        match ended {
            false => 0,
            true if self.is_listed() => ev::READABLE,
            true => ev::READABLE | ev::HUP,
        }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        super::pidfd_info::ioctl(&self.process, request, arg)
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let pid = if self.is_listed() { self.process.pid } else { -1 };
        let _ = write!(out, "Pid:\t{pid}\nNSpid:\t{pid}\n");
    }
}
