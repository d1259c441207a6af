//! One process: what its threads share.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use linux_raw_sys::general as g;

use super::posix_timer::ProcessTimers;
use super::signal::{SharedSignals, SigHand};
use super::thread::Task;
use super::wait::WaitQueue;
use crate::mm::AddressSpace;
use crate::sync::{IrqLock, SpinLock};

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
    /// Minor and major page faults.
    faults: [u64; 2],
    /// As [`Task::io`].
    io: [u64; 4],
    /// `comm` of the last one.
    name: [u8; 16],
}

/// A thread group: Linux's `signal_struct` and what hangs from it.
pub struct Process {
    /// Process id (thread group id).
    pub pid: i32,
    /// The parent; empty for the first process.
    pub parent: SpinLock<Weak<Process>>,
    /// Live threads.
    pub threads: IrqLock<Vec<Arc<Task>>>,
    /// The address space; `execve` replaces it.
    pub mm: SpinLock<Arc<AddressSpace>>,
    /// Signal handlers.
    pub sighand: Arc<SigHand>,
    /// Signals pending for the process as a whole.
    pub signals: IrqLock<SharedSignals>,
    /// Soft and hard limits, by `RLIMIT_*`.
    pub rlimits: SpinLock<[Rlimit; RLIMITS]>,
    /// Process group.
    pub pgid: AtomicI32,
    /// Session.
    pub sid: AtomicI32,
    /// Set once the whole process is ending; `exit_status` is final then.
    pub exiting: AtomicBool,
    /// Wait status: `code << 8`, or the signal number (plus 0x80 with a core).
    pub exit_status: AtomicU32,
    /// Set when the last thread is gone.
    pub zombie: AtomicBool,
    /// Woken when a child changes state.
    pub child_wait: WaitQueue,
    /// Woken when a thread of this process ends, and when the process does.
    pub exit_wait: WaitQueue,
    /// The program's file, for /proc/PID/exe.
    pub exe: SpinLock<Option<fs::Path>>,
    /// The auxiliary vector, for /proc/PID/auxv.
    pub auxv: SpinLock<Vec<(u64, u64)>>,
    /// Its path as given to execve, for messages.
    pub exe_name: SpinLock<String>,
    /// Nanoseconds used by threads that have ended: application, kernel.
    pub dead_threads_ns: [AtomicU64; 2],
    /// What else they leave behind.
    pub ended: SpinLock<Ended>,
    /// Nanoseconds used by children that were waited for: application, kernel.
    pub children_ns: [AtomicU64; 2],
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
    /// The signal that the parent gets at the end (clone's exit signal).
    pub exit_signal: AtomicI32,
    /// `prctl(PR_SET_PDEATHSIG)`: sent to this process when its parent ends; 0 for none.
    pub pdeath_signal: AtomicU32,
    /// `prctl(PR_SET_CHILD_SUBREAPER)`: gets the orphans among its descendants.
    pub child_subreaper: AtomicBool,
    /// `prctl(PR_SET_THP_DISABLE)`.
    pub thp_disabled: AtomicBool,
    /// Interval and POSIX timers.
    pub timers: ProcessTimers,
}

fn add<const N: usize>(sum: &mut [u64; N], counts: &[AtomicU64; N]) {
    sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.load(Ordering::Relaxed));
}

impl Process {
    /// A process without threads.
    pub fn new(pid: i32, mm: Arc<AddressSpace>, sighand: Arc<SigHand>) -> Self {
        Self {
            pid,
            parent: SpinLock::new(Weak::new()),
            threads: IrqLock::new(Vec::new()),
            mm: SpinLock::new(mm),
            sighand,
            signals: IrqLock::new(SharedSignals::default()),
            rlimits: SpinLock::new(default_rlimits()),
            pgid: AtomicI32::new(pid),
            sid: AtomicI32::new(pid),
            exiting: AtomicBool::new(false),
            exit_status: AtomicU32::new(0),
            zombie: AtomicBool::new(false),
            child_wait: WaitQueue::new(),
            exit_wait: WaitQueue::new(),
            exe: SpinLock::new(None),
            auxv: SpinLock::new(Vec::new()),
            exe_name: SpinLock::new(String::new()),
            dead_threads_ns: [const { AtomicU64::new(0) }; 2],
            ended: SpinLock::new(Ended::default()),
            children_ns: [const { AtomicU64::new(0) }; 2],
            dumpable: AtomicU32::new(1),
            started_at: crate::arch::clock::monotonic_ns(),
            oom_score_adj: AtomicI32::new(0),
            coredump_filter: AtomicU32::new(COREDUMP_FILTER),
            personality: AtomicU32::new(0),
            exit_signal: AtomicI32::new(17),
            pdeath_signal: AtomicU32::new(0),
            child_subreaper: AtomicBool::new(false),
            thp_disabled: AtomicBool::new(false),
            timers: ProcessTimers::default(),
        }
    }

    /// The address space.
    pub fn mm(&self) -> Arc<AddressSpace> {
        self.mm.lock().clone()
    }

    /// Soft limit of `resource` (`RLIMIT_*`).
    pub fn rlimit(&self, resource: u32) -> u64 {
        self.rlimits.lock().get(resource as usize).map_or(RLIM_INFINITY, |limit| limit.soft)
    }

    /// The live threads, at this moment.
    pub fn threads(&self) -> Vec<Arc<Task>> {
        self.threads.lock().clone()
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

    /// Takes over the figures of a thread that is ending.
    pub fn remember(&self, task: &Task) {
        let name = *task.comm.lock();
        let mut ended = self.ended.lock();
        add(&mut ended.faults, &task.faults);
        add(&mut ended.io, &task.io);
        ended.name = name;
    }

    /// Minor and major page faults of all threads, live and ended.
    pub fn faults(&self) -> [u64; 2] {
        let mut sum = self.ended.lock().faults;
        self.threads().iter().for_each(|thread| add(&mut sum, &thread.faults));
        sum
    }

    /// [`Task::io`] of all threads, live and ended.
    pub fn io(&self) -> [u64; 4] {
        let mut sum = self.ended.lock().io;
        self.threads().iter().for_each(|thread| add(&mut sum, &thread.io));
        sum
    }

    /// `comm` of a process whose threads have all ended.
    pub fn ended_name(&self) -> Vec<u8> {
        let name = self.ended.lock().name;
        name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
    }

    /// The process's parent, if any is left.
    pub fn parent(&self) -> Option<Arc<Process>> {
        self.parent.lock().upgrade()
    }
}
