//! One thread.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use syscall_shim::{Errno, SysResult};

use super::arrival::Arrival;
use super::credentials::Credentials;
use super::io_context::IoContext;
use super::ordered::HasPlace;
use super::process::Process;
use super::recent_calls::RecentCalls;
use super::rt_limit::RealtimeUse;
use super::sched::CpuTime;
use super::seccomp::Seccomp;
use super::signal::ThreadSignals;
use arch::fpu::FpuArea;
use arch::switch;
use arch::trap::TrapFrame;
use fd::{FdTable, FsContext, OpenFile};
use ipc::sem::UndoSlot;
use mem::vmalloc::KernelStack;
use sync::{IrqSpinLock, SpinLock, Use};
use vm::flags::Policy;

/// Size in bytes of a thread's kernel stack.
pub const KERNEL_STACK_SIZE: usize = 32 * 1024;

/// What a task is doing, as the scheduler sees it. The values are bits, so that a wake-up can name
/// those that it ends.
pub mod state {
    /// Running, or ready to.
    pub const RUNNING: u32 = 0;
    /// Asleep; a signal wakes it.
    pub const INTERRUPTIBLE: u32 = 1;
    /// Asleep; only what it waits for wakes it.
    pub const UNINTERRUPTIBLE: u32 = 2;
    /// Stopped by a signal.
    pub const STOPPED: u32 = 4;
    /// Ended; it never runs again.
    pub const DEAD: u32 = 8;
    /// Asleep; of signals, only one that kills wakes it.
    pub const KILLABLE: u32 = 16;
}

/// What a program can set of its scheduling (sched(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedParams {
    /// `SCHED_*` policy.
    pub policy: u32,
    /// Real-time priority, 1..=99, for `SCHED_FIFO` and `SCHED_RR`.
    pub rt_priority: u32,
    /// Nice value, -20..=19.
    pub nice: i32,
    /// `SCHED_RESET_ON_FORK`: children get none of the privileges that this gives.
    pub reset_on_fork: bool,
}

impl SchedParams {
    /// Whether the policy is one of real time.
    pub fn is_realtime(&self) -> bool {
        use linux_raw_sys::general as g;
        matches!(self.policy, g::SCHED_FIFO | g::SCHED_RR | g::SCHED_DEADLINE)
    }

    /// What a child begins with.
    pub fn for_child(self) -> Self {
        match self {
            Self { reset_on_fork: false, .. } => self,
            Self { .. } if self.is_realtime() => Self::default(),
            Self { policy, nice, .. } => Self { policy, nice: nice.max(0), ..Self::default() },
        }
    }
}

/// [`SchedParams`] in one word, so that they are read without a lock. Whoever changes them holds
/// the lock of the task's run queue, or has not started the task yet.
#[derive(Default)]
pub struct SchedCell(AtomicU32);

impl SchedCell {
    /// What is set now.
    #[inline]
    pub fn get(&self) -> SchedParams {
        let [policy, rt_priority, nice, reset] = self.0.load(Ordering::Relaxed).to_le_bytes();
        let nice = i32::from(nice as i8);
        SchedParams { policy: policy.into(), rt_priority: rt_priority.into(), nice, reset_on_fork: reset != 0 }
    }

    /// Whether all is as by default: `SCHED_OTHER` and nice 0.
    #[inline(always)]
    pub fn is_default(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Sets all.
    pub fn set(&self, SchedParams { policy, rt_priority, nice, reset_on_fork }: SchedParams) {
        let word = u32::from_le_bytes([policy as u8, rt_priority as u8, nice as u8, reset_on_fork.into()]);
        self.0.store(word, Ordering::Relaxed);
    }
}

/// How much later than asked for a thread may wake (`PR_SET_TIMERSLACK`), in nanoseconds. Sleeps
/// here end on time whatever it is.
pub struct TimerSlack {
    now: AtomicU64,
    default: AtomicU64,
}

impl Default for TimerSlack {
    fn default() -> Self {
        const NS: u64 = 50_000;
        Self { now: AtomicU64::new(NS), default: AtomicU64::new(NS) }
    }
}

impl TimerSlack {
    /// What is set.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Sets it; 0 goes back to the default.
    pub fn set(&self, ns: u64) {
        let ns = if ns == 0 { self.default.load(Ordering::Relaxed) } else { ns };
        self.now.store(ns, Ordering::Relaxed);
    }

    /// A real-time thread has none, and the default when it is one no more.
    pub fn follow(&self, params: SchedParams) {
        if params.is_realtime() {
            self.now.store(0, Ordering::Relaxed);
        } else if self.get() == 0 {
            self.set(0);
        }
    }

    /// A child begins with what `creator` has, and has that for a default.
    pub fn inherit(&self, creator: &Self) {
        self.now.store(creator.get(), Ordering::Relaxed);
        self.default.store(creator.get(), Ordering::Relaxed);
    }
}

/// `restart_syscall(2)`'s continuation.
pub type Restart = Box<dyn FnOnce() -> SysResult + Send>;

/// User and group ids as the quickest calls tell them: those of [`Task::credentials`].
#[derive(Default)]
pub struct Ids {
    /// Real user id.
    pub uid: AtomicU32,
    /// Effective user id.
    pub euid: AtomicU32,
    /// Real group id.
    pub gid: AtomicU32,
    /// Effective group id.
    pub egid: AtomicU32,
}

impl Ids {
    fn set(&self, credentials: &Credentials) {
        let Credentials { uid, euid, gid, egid, .. } = credentials;
        for (id, value) in [(&self.uid, uid), (&self.euid, euid), (&self.gid, gid), (&self.egid, egid)] {
            id.store(*value, Ordering::Relaxed);
        }
    }
}

/// Offset in [`Task`] of the pointer to its process, for the entry code.
pub const OFF_PROCESS: usize = core::mem::offset_of!(Task, process_ptr);

/// One thread: Linux's `task_struct`.
pub struct Task {
    /// Thread id; the leader's is the process id.
    pub tid: AtomicI32,
    /// The thread group.
    pub process: Arc<Process>,
    /// The same, for the entry code.
    process_ptr: *const Process,
    /// For the entry code too.
    pub ids: Ids,
    /// `None` for the boot CPU's idle task, which keeps the boot stack.
    stack: Option<KernelStack>,
    pub(super) saved_rsp: UnsafeCell<u64>,
    pub(super) fpu: UnsafeCell<FpuArea>,
    /// FS base, saved while the thread does not run.
    pub(super) fs_base: AtomicU64,
    pub(super) state: AtomicU32,
    /// On a run queue or running; guarded by the run queue's lock.
    pub(super) queued: AtomicBool,
    /// The CPU whose run queue it belongs to; changed under the lock of that queue, or while it is
    /// marked as queued and is on none.
    pub cpu: AtomicU32,
    /// Switched away from a CPU that it may not run on any more, and not yet sent to another.
    pub(super) in_transit: AtomicBool,
    /// Virtual time, as the fair queues count it; guarded by the run queue's lock.
    pub(super) vruntime: AtomicU64,
    /// What a CPU runs when it has nothing to run: it has no application state.
    pub(super) idle: bool,
    /// Its place among the threads of its process.
    place: AtomicU64,
    /// A CPU runs it.
    pub(super) on_cpu: AtomicBool,
    /// Policy, priority, nice value.
    pub sched: SchedCell,
    /// What disks would know of it; `CLONE_IO` shares it. `None` for one who never had a priority.
    pub io_context: SpinLock<Option<Arc<IoContext>>>,
    /// What is undone in semaphores; `CLONE_SYSVSEM` shares it. `None` where there never was
    /// anything.
    pub undo: UndoSlot,
    /// What `SCHED_DEADLINE` gives it.
    pub deadline: super::sched::deadline::Deadline,
    /// Bit per CPU that the thread may run on.
    pub affinity: AtomicU64,
    /// The table of open files; `clone` shares or copies it. `None` once the thread has ended. Only
    /// the thread itself exchanges it.
    pub files: SpinLock<Option<Use<FdTable>>>,
    /// Working directory, root and umask; `clone` shares or copies it.
    pub fs: SpinLock<Use<FsContext>>,
    /// User and group ids, per thread as in Linux.
    credentials: IrqSpinLock<Arc<Credentials>>,
    /// `comm`: at most 15 bytes and a NUL.
    pub comm: IrqSpinLock<[u8; 16]>,
    /// Mask, pending signals and alternate stack.
    pub signals: IrqSpinLock<ThreadSignals>,
    /// Whether a signal, or the end of the process, waits to be handled on the way out of the
    /// kernel.
    pub signal_pending: AtomicBool,
    /// Set by an `execve` of another thread: this one ends.
    pub exit_requested: AtomicBool,
    /// `set_tid_address(2)`: cleared and woken when the thread ends.
    pub clear_child_tid: AtomicU64,
    /// `set_robust_list(2)`.
    pub robust_list: AtomicU64,
    /// `rseq(2)`: address, or 0.
    pub rseq: AtomicU64,
    /// The CPU that it ran on last; rseq's memory tells the application.
    pub(super) last_cpu: AtomicU32,
    /// It runs on another CPU than when it was last in the application, which rseq's memory does
    /// not say yet.
    pub moved: AtomicBool,
    /// Signature of the rseq registration.
    pub rseq_signature: AtomicU32,
    /// What it waited by last, for its next wait; it holds a reference to the task, and goes as the
    /// thread ends.
    pub(super) futex_waiter: SpinLock<Option<Arc<super::futex::Waiter>>>,
    pub(super) parker: SpinLock<Option<Arc<dyn super::wait::Parker>>>,
    /// The sleeping locks that it holds, in kernels that check their order.
    #[cfg(debug_assertions)]
    pub(super) held: sync::order::Held,
    /// Where the kernel had it go on last.
    pub arrival: Arrival,
    /// Where `restart_syscall(2)` goes on.
    pub restart: SpinLock<Option<Restart>>,
    /// Time used.
    pub(super) cpu_time: CpuTime,
    /// Voluntary and involuntary context switches.
    pub switches: [AtomicU64; 2],
    /// For `RLIMIT_RTTIME`.
    pub(super) rt_use: RealtimeUse,
    /// Minor and major page faults.
    pub faults: [AtomicU64; 2],
    /// Bytes read and written, and calls that did: `rchar`, `wchar`, `syscr` and `syscw` of
    /// `/proc/PID/io`.
    pub io: [AtomicU64; 4],
    /// Bytes that disks were asked to read and to write for it (`read_bytes`, `write_bytes`).
    pub blocks: [AtomicU64; 2],
    /// When the thread started, monotonic.
    pub started_at: Instant,
    /// The last system calls, for the panic report and dumps.
    pub recent_calls: RecentCalls,
    /// `prctl(PR_SET_NO_NEW_PRIVS)`.
    pub no_new_privs: AtomicBool,
    /// seccomp(2).
    pub seccomp: Seccomp,
    /// `PR_MCE_KILL`: kept and inherited; no machine check is ever told.
    pub mce_kill: AtomicU8,
    /// `PR_SET_IO_FLUSHER`: kept and inherited; no memory is given back by writing.
    pub io_flusher: AtomicBool,
    /// `RWF_NOSIGNAL`: the write that it is in sends it no `SIGPIPE`.
    pub no_broken_pipe: AtomicBool,
    /// `prctl(PR_SET_TIMERSLACK)`.
    pub timer_slack: TimerSlack,
    /// set_mempolicy(2).
    pub memory_policy: SpinLock<Policy>,
}

use super::Instant;

// SAFETY: `saved_rsp` and `fpu` are touched by the CPU that runs or switches the task, under its
// run queue's lock, or before the task first runs; everything else is behind locks or atomic.
unsafe impl Sync for Task {}
// SAFETY: as above.
unsafe impl Send for Task {}

/// Parts of a new thread that its creator chooses.
pub struct NewTask {
    /// Thread id.
    pub tid: i32,
    /// The thread group.
    pub process: Arc<Process>,
    /// Open files.
    pub files: Arc<FdTable>,
    /// Working directory, root, umask.
    pub fs: Arc<FsContext>,
    /// User and group ids.
    pub credentials: Arc<Credentials>,
    /// Name.
    pub comm: [u8; 16],
    /// Signal mask and the like.
    pub signals: ThreadSignals,
}

impl HasPlace for Task {
    fn place(&self) -> &AtomicU64 {
        &self.place
    }
}

impl Task {
    /// `PR_MCE_KILL_DEFAULT`
    pub const MCE_KILL_DEFAULT: u8 = 2;
    /// A thread that is not on any run queue yet. `ENOMEM` when there is no memory for its kernel
    /// stack.
    pub fn new(new: NewTask) -> SysResult<Self> {
        let stack = KernelStack::new(KERNEL_STACK_SIZE).ok_or(Errno::ENOMEM)?;
        Ok(Self::with_stack(new, Some(stack)))
    }

    /// A thread that begins with `run` in the kernel. `ENOMEM`.
    pub fn new_in_kernel(new: NewTask, run: extern "C" fn(usize) -> !) -> SysResult<Self> {
        let mut task = Self::new(new)?;
        let top = task.stack_bounds().1;
        // SAFETY: the stack is new, and nobody else knows of it.
        *task.saved_rsp.get_mut() = unsafe { switch::prepare_kernel(top, run, 0) };
        Ok(task)
    }

    pub(super) fn with_stack(new: NewTask, stack: Option<KernelStack>) -> Self {
        let now = arch::clock::monotonic_ns();
        let ids = Ids::default();
        ids.set(&new.credentials);
        Self {
            tid: AtomicI32::new(new.tid),
            process_ptr: Arc::as_ptr(&new.process),
            process: new.process,
            ids,
            stack,
            saved_rsp: UnsafeCell::new(0),
            fpu: UnsafeCell::new(FpuArea::new()),
            fs_base: AtomicU64::new(0),
            state: AtomicU32::new(state::RUNNING),
            queued: AtomicBool::new(false),
            cpu: AtomicU32::new(0),
            in_transit: AtomicBool::new(false),
            vruntime: AtomicU64::new(0),
            idle: false,
            on_cpu: AtomicBool::new(false),
            place: AtomicU64::new(0),
            sched: SchedCell::default(),
            io_context: SpinLock::new(None),
            undo: SpinLock::new(None),
            deadline: Default::default(),
            affinity: AtomicU64::new(u64::MAX),
            files: SpinLock::new(Some(Use::new(new.files))),
            fs: SpinLock::new(Use::new(new.fs)),
            credentials: IrqSpinLock::new(new.credentials),
            comm: IrqSpinLock::new(new.comm),
            signals: IrqSpinLock::new(new.signals),
            signal_pending: AtomicBool::new(false),
            exit_requested: AtomicBool::new(false),
            clear_child_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            rseq: AtomicU64::new(0),
            last_cpu: AtomicU32::new(0),
            moved: AtomicBool::new(false),
            rseq_signature: AtomicU32::new(0),
            futex_waiter: SpinLock::new(None),
            parker: SpinLock::new(None),
            #[cfg(debug_assertions)]
            held: sync::order::Held::new(),
            arrival: Arrival::default(),
            restart: SpinLock::new(None),
            cpu_time: CpuTime::default(),
            switches: [const { AtomicU64::new(0) }; 2],
            rt_use: RealtimeUse::default(),
            faults: [const { AtomicU64::new(0) }; 2],
            io: [const { AtomicU64::new(0) }; 4],
            blocks: [const { AtomicU64::new(0) }; 2],
            started_at: now,
            recent_calls: RecentCalls::new(),
            no_new_privs: AtomicBool::new(false),
            seccomp: Seccomp::default(),
            mce_kill: AtomicU8::new(Self::MCE_KILL_DEFAULT),
            io_flusher: AtomicBool::new(false),
            no_broken_pipe: AtomicBool::new(false),
            timer_slack: TimerSlack::default(),
            memory_policy: SpinLock::new(Policy::default()),
        }
    }

    /// Drops what the thread, which ends, waited by.
    pub(super) fn forget_waiters(&self) {
        let waiters = (self.futex_waiter.lock().take(), self.parker.lock().take());
        drop(waiters);
    }

    /// Counts a call that read `bytes`.
    pub fn count_read(&self, bytes: usize) {
        self.io[0].fetch_add(bytes as u64, Ordering::Relaxed);
        self.io[2].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call that wrote `bytes`.
    pub fn count_written(&self, bytes: usize) {
        self.io[1].fetch_add(bytes as u64, Ordering::Relaxed);
        self.io[3].fetch_add(1, Ordering::Relaxed);
    }

    /// The thread id.
    pub fn tid(&self) -> i32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Lowest and highest address of the kernel stack; zeroes for the boot CPU's idle task.
    pub fn stack_bounds(&self) -> (u64, u64) {
        self.stack.as_ref().map_or((0, 0), |s| (s.bottom(), s.top()))
    }

    /// The stack pointer at which the task was switched away: where a backtrace of a sleeping task
    /// starts.
    pub fn saved_stack_pointer(&self) -> u64 {
        // SAFETY: a plain read for dumps; a torn or old value only spoils the dump.
        unsafe { self.saved_rsp.get().read_volatile() }
    }

    /// Where a task that does not run goes on in the kernel, and the frame pointer it has there.
    pub fn left_at(&self) -> Option<(u64, u64)> {
        // `switch_stacks` pushed r15, r14, r13, r12, rbp, rbx below the return address.
        const PUSHED: u64 = 56;
        let rsp = self.saved_stack_pointer();
        let (bottom, top) = self.stack_bounds();
        if self.on_cpu.load(Ordering::Relaxed) || rsp < bottom || rsp + PUSHED > top {
            return None;
        }
        // SAFETY: within the task's own kernel stack, which lives as long as the task. Where it
        // runs again meanwhile, the words are old or torn, and who walks on from them checks what
        // it reads.
        Some(unsafe { (((rsp + 48) as *const u64).read_volatile(), ((rsp + 32) as *const u64).read_volatile()) })
    }

    /// Whether it is what a CPU runs when there is nothing to run.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// FS base of a task that does not run.
    pub fn saved_fs_base(&self) -> u64 {
        self.fs_base.load(Ordering::Relaxed)
    }

    /// A copy of the FPU state that was saved when the task was switched away. It must not run
    /// meanwhile.
    pub fn saved_fpu(&self) -> FpuArea {
        // SAFETY: only a switch writes the area, and the caller keeps the task from running.
        unsafe { (*self.fpu.get()).clone() }
    }

    /// What the task does: one of [`state`].
    pub fn run_state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// The files of the thread. `EBADF` once it has ended.
    pub fn files(&self) -> SysResult<Arc<FdTable>> {
        self.files.lock().as_ref().map(Use::arc).ok_or(Errno::EBADF)
    }

    /// The open file behind a descriptor of the calling thread, `O_PATH` or not. `EBADF`.
    pub fn own_file(fd: i32) -> SysResult<Arc<OpenFile>> {
        // SAFETY: a thread exchanges its table itself (execve, unshare, exit), so it does not while
        // it is here; others only read it.
        let files = unsafe { super::current().files.peek() };
        files.as_ref().ok_or(Errno::EBADF)?.get_any(fd)
    }

    /// Calls `f` with what path resolution needs of the calling thread, without counting another
    /// user of it. `f` exchanges neither.
    pub fn with_own_fs<R>(f: impl FnOnce(&FsContext, &Credentials) -> R) -> R {
        let me = super::current();
        // SAFETY: a thread exchanges these itself (unshare, set*id, execve), so it does not while
        // it is here; others only read them.
        f(unsafe { me.fs.peek() }, unsafe { me.credentials.peek() })
    }

    /// Working directory, root and umask of the thread.
    pub fn fs(&self) -> Arc<FsContext> {
        self.fs.lock().arc()
    }

    /// User and group ids of the thread.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.lock().clone()
    }

    /// Gives the thread other ids. Where it can do other things with them, what the process holds
    /// is no longer for all to see, and its parent's end tells it nothing (`commit_creds`).
    pub fn set_credentials(&self, new: Credentials) {
        let mut credentials = self.credentials.lock();
        let acts_as = |c: &Credentials| (c.euid, c.egid, c.fsuid, c.fsgid);
        let gains = new.cap_permitted & !credentials.cap_permitted != 0;
        if acts_as(&new) != acts_as(&credentials) || gains {
            self.process.dumpable.store(super::core_dump::SUID_DUMPABLE.load(Ordering::Relaxed), Ordering::Relaxed);
            self.process.pdeath_signal.store(0, Ordering::Relaxed);
        }
        if new.uid != credentials.uid {
            super::table::user_changed(credentials.uid, new.uid);
        }
        self.ids.set(&new);
        *credentials = Arc::new(new);
    }

    /// `comm` without the padding.
    pub fn name(&self) -> alloc::string::String {
        let comm = *self.comm.lock();
        let len = comm.iter().position(|&b| b == 0).unwrap_or(comm.len());
        alloc::string::String::from_utf8_lossy(&comm[..len]).into_owned()
    }

    /// Sets `comm` from the first 15 bytes of `name`.
    pub fn set_name(&self, name: &[u8]) {
        let mut comm = [0; 16];
        let len = name.iter().position(|&b| b == 0).unwrap_or(name.len()).min(15);
        comm[..len].copy_from_slice(&name[..len]);
        *self.comm.lock() = comm;
    }

    /// Where the registers lie that the thread entered the kernel with.
    pub fn frame_ptr(&self) -> *mut TrapFrame {
        let (_, top) = self.stack_bounds();
        debug_assert!(top != 0, "the idle task has no application frame");
        (top - TrapFrame::SIZE as u64) as *mut TrapFrame
    }

    /// The application's registers as of the thread's last entry into the kernel.
    pub fn app_frame(&self) -> TrapFrame {
        if self.stack.is_none() {
            return TrapFrame::default();
        }
        // SAFETY: the top of the stack always holds the frame of the last entry; reading plain
        // integers is sound.
        unsafe { self.frame_ptr().read() }
    }
}

/// Runs `f` on the registers that the current thread entered the kernel with.
pub fn with_frame<R>(f: impl FnOnce(&mut TrapFrame) -> R) -> R {
    let task = super::current();
    // SAFETY: the frame at the top of the current thread's own stack; only this thread touches it
    // while it runs, and callers do not nest.
    f(unsafe { &mut *task.frame_ptr() })
}

/// Loads the FPU state that `f` writes, for the current thread. What `f` finds there means nothing.
pub fn set_fpu(f: impl FnOnce(&mut FpuArea)) {
    let task = super::current();
    let saved = arch::irq::save_and_disable();
    // SAFETY: the current thread's own area, with no switch meanwhile.
    unsafe {
        f(&mut *task.fpu.get());
        (*task.fpu.get()).restore();
    }
    arch::irq::restore(saved);
}

/// The bytes of the current thread's FPU state, with room for `more`.
pub fn fpu_bytes(more: usize) -> alloc::vec::Vec<u8> {
    let mut bytes = alloc::vec::Vec::with_capacity(arch::fpu::area_size() + more);
    let task = super::current();
    let saved = arch::irq::save_and_disable();
    // SAFETY: as above.
    unsafe {
        (*task.fpu.get()).save();
        bytes.extend_from_slice((*task.fpu.get()).bytes());
    }
    arch::irq::restore(saved);
    bytes
}

/// A copy of the current thread's FPU state.
pub fn fpu_state() -> FpuArea {
    let task = super::current();
    let saved = arch::irq::save_and_disable();
    // SAFETY: the current thread's own area, with no switch meanwhile.
    let copy = unsafe {
        (*task.fpu.get()).save();
        (*task.fpu.get()).clone()
    };
    arch::irq::restore(saved);
    copy
}
