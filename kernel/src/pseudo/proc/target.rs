//! The process or thread that a directory of procfs is about.

use alloc::sync::{Arc, Weak};

use fs::pseudo::NodeSpec;
use syscall_shim::{Errno, SysResult};

use task::thread::state;
use task::{Process, Task, credentials, current, table};
use vm::AddressSpace;

const CAP_SYS_PTRACE: u32 = 19;

/// What a node's inode number says besides the task: the tables of entries and descriptors count
/// apart.
#[derive(Clone, Copy)]
pub enum Class {
    /// The directory of a process, and the files in it.
    Process,
    /// The directory of a thread, and the files in it.
    Thread,
    /// `fd/N`.
    Fd,
    /// `fdinfo/N`.
    FdInfo,
    /// `ns/NAME`.
    Namespace,
    /// `map_files/RANGE`.
    Mapped,
}

/// A process (`/proc/PID`) or one thread (`/proc/PID/task/TID`). Weak, so that open files of procfs
/// keep nobody in memory.
#[derive(Clone)]
pub struct Target {
    /// Device number of the procfs.
    pub dev: u64,
    process: Weak<Process>,
    thread: Option<Weak<Task>>,
    /// Process id, or the thread's.
    pub id: i32,
}

impl Target {
    /// The process `pid`. `ENOENT`.
    pub fn process_of(dev: u64, pid: i32) -> SysResult<Target> {
        let process = table::process(pid).ok_or(Errno::ENOENT)?;
        Ok(Target { dev, process: Arc::downgrade(&process), thread: None, id: pid })
    }

    /// The thread `tid` of the same process. `ENOENT`.
    pub fn thread_of(&self, tid: i32) -> SysResult<Target> {
        let task = table::task(tid).ok_or(Errno::ENOENT)?;
        if !core::ptr::eq(Arc::as_ptr(&task.process), self.process.as_ptr()) {
            return Err(Errno::ENOENT);
        }
        Ok(Target { dev: self.dev, process: self.process.clone(), thread: Some(Arc::downgrade(&task)), id: tid })
    }

    /// Whether it is one thread.
    pub fn is_thread(&self) -> bool {
        self.thread.is_some()
    }

    /// The process. `ESRCH` once it is gone.
    pub fn process(&self) -> SysResult<Arc<Process>> {
        let process = self.process.upgrade().ok_or(Errno::ESRCH)?;
        // A reaped process may live on in a reference; its number is another's by then.
        match table::process(process.pid) {
            Some(listed) if Arc::ptr_eq(&listed, &process) => Ok(process),
            _ => Err(Errno::ESRCH),
        }
    }

    /// The thread, or the one that stands for the process: its leader, and when that has ended
    /// another. `ESRCH`.
    pub fn task(&self) -> SysResult<Arc<Task>> {
        if let Some(thread) = &self.thread {
            return thread.upgrade().filter(|task| task.run_state() != state::DEAD).ok_or(Errno::ESRCH);
        }
        let process = self.process()?;
        let leader = table::task(self.id).filter(|task| Arc::ptr_eq(&task.process, &process));
        leader.or_else(|| process.first_thread()).ok_or(Errno::ESRCH)
    }

    /// The address space; `None` for a zombie.
    pub fn mm(&self) -> SysResult<Option<Arc<AddressSpace>>> {
        let process = self.process()?;
        let ended = process.zombie.load(core::sync::atomic::Ordering::Acquire);
        Ok((!ended).then(|| process.mm()))
    }

    /// Whether it is the caller's process.
    pub fn is_own(&self) -> bool {
        self.process().is_ok_and(|process| process.pid == current().process.pid)
    }

    /// `EACCES` unless the caller may look into the process: `PTRACE_MODE_READ_FSCREDS` of
    /// ptrace(2).
    pub fn check_access(&self) -> SysResult<()> {
        let process = self.process()?;
        if process.pid == current().process.pid {
            return Ok(());
        }
        let mine = current().credentials();
        // Also of a process that has no thread any more.
        if mine.capable(CAP_SYS_PTRACE) {
            return Ok(());
        }
        if credentials::may_inspect(&*self.task()?, mine.fsuid, mine.fsgid) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Who owns the files (`task_dump_owner`): the effective ids, or root where the process must
    /// not be dumped. Directories that all may read always go by the ids.
    pub fn owner(&self, open_dir: bool) -> (u32, u32) {
        let dumpable = self.process().is_ok_and(|process| dumpable(&process));
        match self.task() {
            Ok(task) if dumpable || open_dir => {
                let creds = task.credentials();
                (creds.euid, creds.egid)
            }
            _ => (0, 0),
        }
    }

    /// A node of this target's: `key` tells apart those of one class, below 2^28.
    pub fn spec(&self, class: Class, key: u32, mode: u32) -> NodeSpec {
        let (uid, gid) = self.owner(mode == 0o555);
        NodeSpec { dev: self.dev, ino: self.ino(class, key), mode, uid, gid, changeable: false, size: None }
    }

    /// The inode number that goes with [`Target::spec`].
    pub fn ino(&self, class: Class, key: u32) -> u64 {
        (self.id as u64) << 32 | (class as u64) << 28 | u64::from(key)
    }
}

fn dumpable(process: &Process) -> bool {
    const SUID_DUMP_USER: u32 = 1;
    process.dumpable.load(core::sync::atomic::Ordering::Relaxed) == SUID_DUMP_USER
}
