//! A process or a thread as a file: pidfd_open(2).

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::fmt::Write as _;
use core::sync::atomic::Ordering;

use fs::OpenFlags;
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserAddr;
use fd::poll::{PollTable, ev};
use fd::{FileOps, OpenFile, anon};
use task::{Process, Task, table};

/// A pidfd. It keeps what is left of an ended process, so that the number cannot come to mean
/// another.
pub struct PidFd {
    process: Arc<Process>,
    /// With `PIDFD_THREAD`: the thread that is meant.
    thread: Option<Thread>,
}

/// A thread, which the pidfd does not keep.
struct Thread {
    tid: i32,
    task: Weak<Task>,
}

/// `PIDFD_THREAD` among the flags of an open file.
const THREAD: OpenFlags = OpenFlags::EXCL;

/// A pidfd for the process with this id, for who is only told of it. `ESRCH`.
pub fn open_for(pid: i32) -> SysResult<Arc<OpenFile>> {
    let process = table::process(pid).ok_or(Errno::ESRCH)?;
    Ok(PidFd::open(process, OpenFlags::CLOEXEC))
}

impl PidFd {
    /// A new one, open.
    pub fn open(process: Arc<Process>, flags: OpenFlags) -> Arc<OpenFile> {
        Self::open_with(PidFd { process, thread: None }, flags)
    }

    /// A new one for a thread, open.
    pub fn open_thread(task: &Arc<Task>, flags: OpenFlags) -> Arc<OpenFile> {
        let thread = Thread { tid: task.tid(), task: Arc::downgrade(task) };
        Self::open_with(PidFd { process: task.process.clone(), thread: Some(thread) }, flags | THREAD)
    }

    fn open_with(pidfd: PidFd, flags: OpenFlags) -> Arc<OpenFile> {
        let (path, inode) = anon::anon_inode("[pidfd]");
        OpenFile::new(path, inode, Arc::new(pidfd), flags | OpenFlags::RDWR)
    }

    /// The pidfd that a file is. `EBADF` for another kind.
    pub fn of(file: &OpenFile) -> SysResult<&PidFd> {
        file.ops_as::<PidFd>().ok_or(Errno::EBADF)
    }

    /// The process of a pidfd. `EBADF` for another kind of file.
    pub fn process_of(file: &OpenFile) -> SysResult<&Arc<Process>> {
        Self::of(file).map(|pidfd| &pidfd.process)
    }

    /// Whether it means a thread.
    pub fn is_thread(&self) -> bool {
        self.thread.is_some()
    }

    /// The thread that is meant. `ESRCH` once it has ended, and where it is a process.
    pub fn task(&self) -> SysResult<Arc<Task>> {
        let thread = self.thread.as_ref().ok_or(Errno::ESRCH)?;
        let task = thread.task.upgrade().ok_or(Errno::ESRCH)?;
        let listed = table::task(thread.tid).filter(|listed| Arc::ptr_eq(listed, &task));
        listed.ok_or(Errno::ESRCH)
    }

    /// Whether the process has not been waited for, or the thread not ended.
    fn is_there(&self) -> bool {
        let listed = table::process(self.process.pid).is_some_and(|process| Arc::ptr_eq(&process, &self.process));
        listed && (!self.is_other_thread() || self.task().is_ok())
    }

    /// Whether it means a thread that is not the first of its process, and ends by itself.
    pub fn is_other_thread(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.tid != self.process.pid)
    }

    fn id(&self) -> i32 {
        self.thread.as_ref().map_or(self.process.pid, |thread| thread.tid)
    }
}

impl FileOps for PidFd {
    fn can_read_and_write(&self) -> (bool, bool) {
        (false, false)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.process.exit_wait);
        let ended = if self.is_other_thread() { self.task().is_err() } else { self.process.zombie.load(Ordering::Acquire) };
        // A thread leaves nothing to be waited for.
        let gone = if ended && !self.is_there() { ev::HUP } else { 0 };
        if ended { ev::READABLE | gone } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        super::pidfd_info::ioctl(&self.process, self.id(), request, arg)
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let pid = if self.is_there() { self.id() } else { -1 };
        let _ = write!(out, "Pid:\t{pid}\nNSpid:\t{pid}\n");
    }
}
