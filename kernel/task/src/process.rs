//! One process: what its threads share.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use linux_raw_sys::general as g;

use super::core_dump::Hold;
use super::family::Children;
use super::group::BroadcastSeq;
use super::halts::Halts;
use super::ordered::{HasPlace, Ordered, in_batches};
use super::posix_timer::ProcessTimers;
use super::signal::{SharedSignals, SigHand};
use super::thread::Task;
use super::usage::{Usage, add};
use super::wait::WaitQueue;
use fd::poll::{PollQueue, poll_queue};
use sync::{IrqSpinLock, SpinLock};
use vm::AddressSpace;

/// Number of `RLIMIT_*` resources.
pub const RLIMITS: usize = 16;
/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

/// Soft and hard limit of one resource.
#[derive(Clone, Copy, Debug)]
pub struct Rlimit {
    /// `rlim_cur`
    pub soft: u64,
    /// `rlim_max`
    pub hard: u64,
}

/// The limits of a first process, as Linux starts one.
pub fn default_rlimits() -> [Rlimit; RLIMITS] {
    let mut limits = [Rlimit { soft: RLIM_INFINITY, hard: RLIM_INFINITY }; RLIMITS];
    let mut set = |resource: u32, soft, hard| limits[resource as usize] = Rlimit { soft, hard };
    set(g::RLIMIT_STACK, 8 << 20, RLIM_INFINITY);
    set(g::RLIMIT_CORE, 0, RLIM_INFINITY);
    set(g::RLIMIT_NOFILE, 1024, 1 << 20);
    set(g::RLIMIT_MEMLOCK, 8 << 20, 8 << 20);
    set(g::RLIMIT_SIGPENDING, 16384, 16384);
    set(g::RLIMIT_NPROC, 16384, 16384);
    set(g::RLIMIT_MSGQUEUE, 819_200, 819_200);
    set(g::RLIMIT_NICE, 0, 0);
    set(g::RLIMIT_RTPRIO, 0, 0);
    limits
}

/// Anonymous mappings, the first page of ELF files, and private huge ones: Linux's default.
const COREDUMP_FILTER: u32 = 0x33;

/// What threads that have ended leave behind, for the figures of their process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// Their faults and switches; the peak of memory of address spaces that were given up.
    pub(super) usage: Usage,
    /// As [`Task::io`].
    io: [u64; 4],
    /// `comm` of the last one.
    name: [u8; 16],
    /// Its real user id.
    uid: u32,
}

/// A thread group: Linux's `signal_struct` and what hangs from it.
pub struct Process {
    /// Process id (thread group id).
    pub pid: i32,
    /// The parent; empty for the first process. Changed by [`super::family`] alone, as are the
    /// children.
    parent: SpinLock<Weak<Process>>,
    /// The parent's id; 0 for the first process.
    pub ppid: AtomicI32,
    /// Children, ended ones that nobody waited for included.
    pub(super) children: SpinLock<Children>,
    /// Its place among the children of its parent.
    place: AtomicU64,
    /// The thread of the parent that is in the parent's place for `__WNOTHREAD` and
    /// `PR_SET_PDEATHSIG`.
    pub(super) creator: AtomicI32,
    /// Live threads.
    pub threads: IrqSpinLock<Ordered<Task>>,
    /// How many of them are ending. Changed with `threads` locked.
    pub(super) ending_threads: AtomicUsize,
    /// The address space; `execve` replaces it. The scheduler reads it with its queue locked.
    pub(super) mm: IrqSpinLock<Arc<AddressSpace>>,
    /// Its address, for those who only compare.
    space: AtomicUsize,
    /// Signal handlers.
    pub sighand: Arc<SigHand>,
    /// Signals pending for the process as a whole.
    pub signals: IrqSpinLock<SharedSignals>,
    /// Those of them that others get too.
    pub broadcast_seq: BroadcastSeq,
    /// Soft and hard limits, by `RLIMIT_*`.
    pub rlimits: SpinLock<[Rlimit; RLIMITS]>,
    /// Process group.
    pub pgid: AtomicI32,
    /// Session.
    pub sid: AtomicI32,
    /// Set once the whole process is ending, with `threads` locked; `exit_status` is final then.
    pub exiting: AtomicBool,
    /// Wait status: `code << 8`, or the signal number (plus 0x80 with a core).
    pub exit_status: AtomicU32,
    /// Set when the last thread is gone.
    pub zombie: AtomicBool,
    /// Woken when a child changes state.
    pub child_wait: WaitQueue,
    /// Woken when a thread of this process ends, and when the process does.
    pub exit_wait: PollQueue,
    /// The process has left the address space that it was created in: what vfork(2) waits for.
    pub left_first_space: AtomicBool,
    /// The process has called execve(2): setpgid(2) by its parent comes too late.
    pub has_executed: AtomicBool,
    /// The program's file, for /proc/PID/exe.
    pub exe: SpinLock<Option<fs::Path>>,
    /// The auxiliary vector, for /proc/PID/auxv.
    pub auxv: SpinLock<Vec<(u64, u64)>>,
    /// Its path as given to execve, for messages.
    pub exe_name: SpinLock<String>,
    /// Nanoseconds used by threads that have ended: application, kernel.
    pub dead_threads_ns: [AtomicU64; 2],
    /// What else they leave behind.
    pub(super) ended: IrqSpinLock<Ended>,
    /// What children used that were waited for.
    pub(super) children_usage: SpinLock<Usage>,
    /// `prctl(PR_SET_DUMPABLE)`.
    pub dumpable: AtomicU32,
    /// When it started, monotonic.
    pub started_at: super::Instant,
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adj: AtomicI32,
    /// `/proc/PID/coredump_filter`: which kinds of mappings a core file has (core(5)).
    pub coredump_filter: AtomicU32,
    /// `personality(2)`.
    pub personality: AtomicU32,
    /// `prctl(PR_SET_MDWE)`
    pub no_exec_gain: AtomicU32,
    /// The signal that the parent gets at the end (clone's exit signal).
    pub exit_signal: AtomicI32,
    /// `prctl(PR_SET_PDEATHSIG)`: sent to this process when its parent ends; 0 for none.
    pub pdeath_signal: AtomicU32,
    /// `prctl(PR_SET_CHILD_SUBREAPER)`: gets the orphans among its descendants.
    pub child_subreaper: AtomicBool,
    /// `prctl(PR_SET_MEMORY_MERGE)`: kept and inherited; nothing is ever merged.
    pub memory_merge: AtomicBool,
    /// Keeps the threads still for a core file.
    pub hold: Hold,
    /// Which `hlt` instructions it has executed.
    pub halts: SpinLock<Halts>,
    /// Interval and POSIX timers.
    pub timers: ProcessTimers,
}

impl HasPlace for Process {
    fn place(&self) -> &AtomicU64 {
        &self.place
    }
}

impl Process {
    /// `PR_MDWE_NO_INHERIT`: children, and the next program, can do again what
    /// [`Process::no_exec_gain`] refuses.
    pub const MDWE_NO_INHERIT: u32 = 2;
    /// Where its address space's address is, for debuggers.
    pub(super) const OFF_SPACE: usize = core::mem::offset_of!(Process, space);

    /// A process without threads, which uses `mm` until [`Process::leave_space`].
    pub fn new(pid: i32, mm: Arc<AddressSpace>, sighand: Arc<SigHand>) -> Self {
        mm.enter();
        Self {
            pid,
            parent: SpinLock::new(Weak::new()),
            ppid: AtomicI32::new(0),
            children: SpinLock::new(Children::new()),
            place: AtomicU64::new(0),
            creator: AtomicI32::new(0),
            threads: IrqSpinLock::new(Ordered::new()),
            ending_threads: AtomicUsize::new(0),
            space: AtomicUsize::new(Arc::as_ptr(&mm).addr()),
            mm: IrqSpinLock::new(mm),
            sighand,
            signals: IrqSpinLock::new(SharedSignals::default()),
            broadcast_seq: BroadcastSeq::default(),
            rlimits: SpinLock::new(default_rlimits()),
            pgid: AtomicI32::new(pid),
            sid: AtomicI32::new(pid),
            exiting: AtomicBool::new(false),
            exit_status: AtomicU32::new(0),
            zombie: AtomicBool::new(false),
            child_wait: WaitQueue::new(),
            exit_wait: poll_queue(),
            left_first_space: AtomicBool::new(false),
            has_executed: AtomicBool::new(false),
            exe: SpinLock::new(None),
            auxv: SpinLock::new(Vec::new()),
            exe_name: SpinLock::new(String::new()),
            dead_threads_ns: [const { AtomicU64::new(0) }; 2],
            ended: IrqSpinLock::new(Ended::default()),
            children_usage: SpinLock::new(Usage::default()),
            dumpable: AtomicU32::new(1),
            started_at: arch::clock::monotonic_ns(),
            oom_score_adj: AtomicI32::new(0),
            coredump_filter: AtomicU32::new(COREDUMP_FILTER),
            personality: AtomicU32::new(0),
            no_exec_gain: AtomicU32::new(0),
            exit_signal: AtomicI32::new(17),
            pdeath_signal: AtomicU32::new(0),
            child_subreaper: AtomicBool::new(false),
            memory_merge: AtomicBool::new(false),
            hold: Hold::default(),
            halts: SpinLock::default(),
            timers: ProcessTimers::default(),
        }
    }

    /// A child of this process, by fork(2), "The child process is an exact duplicate ... except".
    pub fn new_child(&self, pid: i32, mm: Arc<AddressSpace>, sighand: Arc<SigHand>, exit_signal: i32) -> Self {
        let child = Self::new(pid, mm, sighand);
        *child.rlimits.lock() = *self.rlimits.lock();
        *child.exe.lock() = self.exe.lock().clone();
        *child.auxv.lock() = self.auxv.lock().clone();
        *child.exe_name.lock() = self.exe_name.lock().clone();
        let copy = |to: &AtomicU32, from: &AtomicU32| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        copy(&child.dumpable, &self.dumpable);
        copy(&child.coredump_filter, &self.coredump_filter);
        copy(&child.personality, &self.personality);
        let no_exec_gain = self.no_exec_gain.load(Ordering::Relaxed);
        if no_exec_gain & Self::MDWE_NO_INHERIT == 0 {
            child.no_exec_gain.store(no_exec_gain, Ordering::Relaxed);
        }
        child.oom_score_adj.store(self.oom_score_adj.load(Ordering::Relaxed), Ordering::Relaxed);
        child.memory_merge.store(self.memory_merge.load(Ordering::Relaxed), Ordering::Relaxed);
        child.exit_signal.store(exit_signal, Ordering::Relaxed);
        child
    }

    /// The process ends with `status` from now on, unless it has been decided with which before:
    /// whether it is this one. `threads` is locked.
    pub(super) fn decide_exit(&self, status: u32) -> bool {
        let undecided = !self.exiting.load(Ordering::Acquire);
        if undecided {
            self.exit_status.store(status, Ordering::Release);
            self.exiting.store(true, Ordering::Release);
        }
        undecided
    }

    /// Gives up the address space, and says so to a parent that waits in vfork(2). The last process
    /// to use it clears it.
    pub fn leave_space(&self, mm: &AddressSpace) {
        let peak = mm.peak_rss();
        {
            let mut ended = self.ended.lock();
            ended.usage.peak_rss = ended.usage.peak_rss.max(peak);
        }
        mm.leave();
        self.left_first_space.store(true, Ordering::Release);
        self.exit_wait.wake_all();
    }

    /// Calls `f` with the calling thread's address space, without counting another user of it. `f`
    /// does not exchange it.
    #[inline]
    pub fn with_own_mm<R>(f: impl FnOnce(&AddressSpace) -> R) -> R {
        // SAFETY: only the one thread that a process has left in execve exchanges it, and not while
        // it is here; others only read it.
        f(unsafe { super::current().process.mm.peek() })
    }

    /// The address space.
    pub fn mm(&self) -> Arc<AddressSpace> {
        self.mm.lock().clone()
    }

    /// What tells the address space from others, without counting another user of it. A thread's
    /// own is not replaced while it looks.
    #[inline]
    pub fn space(&self) -> usize {
        self.space.load(Ordering::Relaxed)
    }

    /// Gives the process another address space, and returns the old one.
    pub fn replace_mm(&self, new: Arc<AddressSpace>) -> Arc<AddressSpace> {
        let mut mm = self.mm.lock();
        self.space.store(Arc::as_ptr(&new).addr(), Ordering::Relaxed);
        core::mem::replace(&mut mm, new)
    }

    /// Soft limit of `resource` (`RLIMIT_*`).
    pub fn rlimit(&self, resource: u32) -> u64 {
        self.rlimits.lock().get(resource as usize).map_or(RLIM_INFINITY, |limit| limit.soft)
    }

    /// The live threads, the oldest first. One that comes or goes meanwhile is among them or not.
    pub fn threads(&self) -> impl Iterator<Item = Arc<Task>> {
        in_batches(0, |from, batch| batch.fill(self.threads.lock().from(from)), |place: u64| place.checked_add(1))
    }

    /// How many threads live.
    pub fn thread_count(&self) -> usize {
        self.threads.lock().len()
    }

    /// The oldest thread that lives.
    pub fn first_thread(&self) -> Option<Arc<Task>> {
        self.threads.lock().first().cloned()
    }

    /// Nanoseconds used so far by all threads, live and ended: application, kernel.
    pub fn cpu_time(&self) -> (u64, u64) {
        let mut user = self.dead_threads_ns[0].load(Ordering::Relaxed);
        let mut system = self.dead_threads_ns[1].load(Ordering::Relaxed);
        for thread in self.threads.lock().iter() {
            let (u, s) = super::sched::cpu_time(thread);
            user += u;
            system += s;
        }
        (user, system)
    }

    /// Whether a CPU runs one of its threads.
    pub fn is_running(&self) -> bool {
        self.threads.lock().iter().any(|thread| thread.on_cpu.load(Ordering::SeqCst))
    }

    /// Takes over the figures of a thread that is ending.
    pub fn remember(&self, task: &Task) {
        let name = *task.comm.lock();
        let uid = task.credentials().uid;
        let mut ended = self.ended.lock();
        ended.usage.add_thread(task);
        add(&mut ended.io, &task.io);
        (ended.name, ended.uid) = (name, uid);
    }

    /// Minor and major page faults of all threads, live and ended.
    pub fn faults(&self) -> [u64; 2] {
        self.usage().faults
    }

    /// [`Task::io`] of all threads, live and ended.
    pub fn io(&self) -> [u64; 4] {
        let mut sum = self.ended.lock().io;
        self.threads().for_each(|thread| add(&mut sum, &thread.io));
        sum
    }

    /// `comm` of a process whose threads have all ended.
    pub fn ended_name(&self) -> Vec<u8> {
        let name = self.ended.lock().name;
        name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
    }

    /// The real user id: the first thread's, or the last one's that ended.
    pub fn uid(&self) -> u32 {
        self.first_thread().map_or_else(|| self.ended.lock().uid, |task| task.credentials().uid)
    }

    /// The process's parent, if any is left.
    pub fn parent(&self) -> Option<Arc<Process>> {
        self.parent.lock().upgrade()
    }

    /// Gives the process a parent, its first or another.
    pub(super) fn set_parent(&self, parent: &Arc<Process>) {
        let mut link = self.parent.lock();
        self.ppid.store(parent.pid, Ordering::Relaxed);
        *link = Arc::downgrade(parent);
    }
}
