//! `clone(2)`, `clone3(2)`, `fork(2)`, `vfork(2)`: new threads and processes.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use linux_raw_sys::general::{CAP_SYS_ADMIN, CAP_SYS_RESOURCE, RLIMIT_CPU, RLIMIT_NPROC, RLIMIT_RTTIME};
use syscall_shim::{CloneFlags, Errno, SysResult};

use super::family::{self, Relation};
use super::io_context::IoContext;
use super::process::{Process, RLIM_INFINITY};
use super::signal::SigHand;
use super::thread::{NewTask, Task, with_frame};
use super::{current, sched, table};
use crate::upcalls::above;
use fd::FdTable;
use fd::fd_table::ReservedFd;
use ipc::sem::UndoList;
use mem::heap;
use observe::mmap_events;
use usermem::{USER_END, UserPtr};
use vm::AddressSpace;

/// `struct clone_args` of clone(2).
#[derive(Clone, Copy, Debug)]
pub struct CloneArgs {
    /// `CLONE_*`, without the exit signal.
    pub flags: CloneFlags,
    /// The signal that the parent gets when the child ends.
    pub exit_signal: i32,
    /// Where `CLONE_CHILD_SETTID` and `CLONE_CHILD_CLEARTID` write.
    pub child_tid: u64,
    /// Where `CLONE_PIDFD` writes.
    pub pidfd: u64,
    /// Where `CLONE_PARENT_SETTID` writes.
    pub parent_tid: u64,
    /// Initial stack pointer; 0 keeps the caller's.
    pub stack: u64,
    /// FS base for `CLONE_SETTLS`.
    pub tls: u64,
    /// The id that the child is to have.
    pub set_tid: Option<i32>,
}

/// What needs `CAP_SYS_ADMIN` in Linux. There are no namespaces here, so nobody has the privilege.
pub const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWCGROUP)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUSER)
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWNET);

/// The combinations of flags that clone(2) forbids: `EINVAL`, and `EPERM` for namespaces.
fn check(args: &CloneArgs) -> SysResult<()> {
    let has = |flags| args.flags.contains(flags);
    let thread = has(CloneFlags::CLONE_THREAD);
    if has(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        || has(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWUSER)
        || thread && !has(CloneFlags::CLONE_SIGHAND)
        || has(CloneFlags::CLONE_SIGHAND) && !has(CloneFlags::CLONE_VM)
        || has(CloneFlags::CLONE_SIGHAND | CloneFlags::CLONE_CLEAR_SIGHAND)
        || thread && args.flags.intersects(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
        || has(CloneFlags::CLONE_PIDFD) && (thread || has(CloneFlags::CLONE_DETACHED))
        || has(CloneFlags::CLONE_PIDFD | CloneFlags::CLONE_PARENT_SETTID) && args.pidfd == args.parent_tid
        || has(CloneFlags::CLONE_SYSVSEM | CloneFlags::CLONE_NEWIPC)
        || has(CloneFlags::CLONE_PARENT) && current().process.pid == family::FIRST_PID
    {
        return Err(Errno::EINVAL);
    }
    if args.flags.intersects(NAMESPACES) || has(CloneFlags::CLONE_SETTLS) && args.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    Ok(())
}

/// `EAGAIN` at `RLIMIT_NPROC`, which does not bind root, and at the machine's limit; `ENOMEM`.
fn check_limits(parent: &Task) -> SysResult<()> {
    heap::check()?;
    let total = table::counts().0 as u64;
    if total >= table::threads_max() {
        return Err(Errno::EAGAIN);
    }
    let credentials = parent.credentials();
    let limit = parent.process.rlimit(RLIMIT_NPROC);
    let exempt = credentials.uid == 0 || credentials.capable(CAP_SYS_RESOURCE) || credentials.capable(CAP_SYS_ADMIN);
    if !exempt && table::threads_of_user(credentials.uid) >= limit { Err(Errno::EAGAIN) } else { Ok(()) }
}

fn choose_id(wanted: Option<i32>) -> SysResult<i32> {
    match wanted {
        None => Ok(table::allocate_id()),
        Some(id) if !(1..table::PID_MAX.load(Ordering::Relaxed)).contains(&id) => Err(Errno::EINVAL),
        Some(_) if !current().credentials().capable(CAP_CHECKPOINT_RESTORE) => Err(Errno::EPERM),
        Some(id) if table::is_taken(id) => Err(Errno::EEXIST),
        Some(id) => Ok(id),
    }
}

const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// Creates a thread or a process and returns its id.
pub fn clone(args: &CloneArgs) -> SysResult<i32> {
    check(args)?;
    loop {
        if let Some(tid) = try_clone(args)? {
            return Ok(tid);
        }
    }
}

/// `None` if a signal came between that the child must not miss, or the end of the caller.
fn try_clone(args: &CloneArgs) -> SysResult<Option<i32>> {
    let parent = current();
    let broadcast_seq = parent.process.broadcast_seq.count();
    // What is pending is handled first, so that a signal to the group cannot miss the child.
    if parent.signal_pending.load(Ordering::Acquire) {
        return Err(Errno::ERESTARTNOINTR);
    }
    check_limits(parent)?;
    let flags = args.flags;
    let files = parent.files()?;
    let tid = choose_id(args.set_tid)?;
    let process = if flags.contains(CloneFlags::CLONE_THREAD) {
        parent.process.clone()
    } else {
        Arc::new(new_process(parent, tid, args)?)
    };
    let child = match new_task(parent, tid, &process, flags) {
        Ok(child) => Arc::new(child),
        Err(errno) => {
            abandon(&process, flags);
            return Err(errno);
        }
    };
    let pidfd = match reserve_pidfd(&files, args) {
        Ok(pidfd) => pidfd,
        Err(errno) => {
            abandon(&process, flags);
            return Err(errno);
        }
    };
    set_up(&child, args);
    let entered = if flags.contains(CloneFlags::CLONE_THREAD) {
        enter_thread(parent, &child)
    } else {
        let sibling = flags.contains(CloneFlags::CLONE_PARENT);
        let relation = if sibling { Relation::Sibling } else { Relation::Child };
        family::enter(&process, &child, relation, broadcast_seq)
    };
    if entered.is_none() {
        abandon(&process, flags);
        return Ok(None);
    }
    if let Some(pidfd) = pidfd {
        pidfd.install(above().pidfd(process.clone()));
    }
    if flags.contains(CloneFlags::CLONE_PARENT_SETTID) {
        // A fault is not reported: the child exists already.
        let _ = UserPtr::<i32>::new(args.parent_tid).write(tid);
    }
    if !flags.contains(CloneFlags::CLONE_THREAD) {
        start_cpu_limit(&process);
    }
    sched::start(&child);
    if flags.contains(CloneFlags::CLONE_VFORK) {
        // A thread never leaves its process's memory but with its end.
        let ended = || !process.threads.lock().contains(&child);
        let thread = flags.contains(CloneFlags::CLONE_THREAD);
        let done = || if thread { ended() } else { process.left_first_space.load(Ordering::Acquire) }.then_some(());
        // A thread that is being killed does not wait: it never uses the memory again.
        let _ = super::wait::wait_killable(&process.exit_wait, done);
    }
    Ok(Some(tid))
}

fn fork(mm: &AddressSpace) -> SysResult<Arc<AddressSpace>> {
    let child = mm.fork()?;
    mmap_events::space_copied(mm, &child);
    Ok(child)
}

/// Memory, signal actions and what else belongs to a process of its own.
fn new_process(parent: &Task, pid: i32, args: &CloneArgs) -> SysResult<Process> {
    let flags = args.flags;
    let mm: Arc<AddressSpace> = parent.process.mm();
    let mm = if flags.contains(CloneFlags::CLONE_VM) { mm } else { fork(&mm)? };
    let actions = &parent.process.sighand;
    let sighand = if flags.contains(CloneFlags::CLONE_SIGHAND) { actions.share() } else { actions.duplicate() };
    if flags.contains(CloneFlags::CLONE_CLEAR_SIGHAND) {
        SigHand::reset_for_exec(&sighand);
    }
    let sibling = flags.contains(CloneFlags::CLONE_PARENT);
    let exit_signal = if sibling { parent.process.exit_signal.load(Ordering::Relaxed) } else { args.exit_signal };
    Ok(parent.process.new_child(pid, mm, Arc::new(sighand), exit_signal))
}

/// A descriptor for `CLONE_PIDFD`, whose number the program is told at once.
fn reserve_pidfd<'a>(files: &'a FdTable, args: &CloneArgs) -> SysResult<Option<ReservedFd<'a>>> {
    if !args.flags.contains(CloneFlags::CLONE_PIDFD) {
        return Ok(None);
    }
    let reserved = files.reserve(true)?;
    UserPtr::<i32>::new(args.pidfd).write(reserved.number())?;
    Ok(Some(reserved))
}

/// A process that never came to be gives its memory back.
fn abandon(process: &Process, flags: CloneFlags) {
    if !flags.contains(CloneFlags::CLONE_THREAD) {
        process.leave_space(&process.mm());
    }
}

fn new_task(parent: &Task, tid: i32, process: &Arc<Process>, flags: CloneFlags) -> SysResult<Task> {
    let files = parent.files()?;
    let files = if flags.contains(CloneFlags::CLONE_FILES) { files } else { Arc::new(files.duplicate()?) };
    let fs = parent.fs();
    let fs = if flags.contains(CloneFlags::CLONE_FS) { fs } else { Arc::new(fs.duplicate()) };
    let shares_memory = flags.contains(CloneFlags::CLONE_VM);
    let signals = {
        let own = parent.signals.lock();
        own.for_new_process(!shares_memory || flags.contains(CloneFlags::CLONE_VFORK))
    };
    let comm = *parent.comm.lock();
    let credentials = parent.credentials();
    let scheduling = parent.sched.get().for_child();
    // A budget is not shared.
    if scheduling.policy == linux_raw_sys::general::SCHED_DEADLINE {
        return Err(Errno::EAGAIN);
    }
    let child = Task::new(NewTask { tid, process: process.clone(), files, fs, credentials, comm, signals })?;
    child.sched.set(scheduling);
    *child.io_context.lock() = IoContext::for_child(parent, flags.contains(CloneFlags::CLONE_IO));
    if flags.contains(CloneFlags::CLONE_SYSVSEM) {
        *child.undo.lock() = Some(UndoList::of(&parent.undo));
    }
    child.affinity.store(parent.affinity.load(Ordering::Relaxed), Ordering::Relaxed);
    child.mce_kill.store(parent.mce_kill.load(Ordering::Relaxed), Ordering::Relaxed);
    child.io_flusher.store(parent.io_flusher.load(Ordering::Relaxed), Ordering::Relaxed);
    child.no_new_privs.store(parent.no_new_privs.load(Ordering::Relaxed), Ordering::Relaxed);
    drop(child.seccomp.inherit(&parent.seccomp));
    child.timer_slack.inherit(&parent.timer_slack);
    *child.memory_policy.lock() = *parent.memory_policy.lock();
    if !shares_memory {
        // The copied memory has the registered area as well.
        child.rseq.store(parent.rseq.load(Ordering::Relaxed), Ordering::Relaxed);
        child.rseq_signature.store(parent.rseq_signature.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    Ok(child)
}

/// Registers, FPU state, and the words that tell the child's id.
fn set_up(child: &Task, args: &CloneArgs) {
    if args.flags.contains(CloneFlags::CLONE_CHILD_SETTID) {
        // Linux writes this from the child and does not report a fault.
        let _ = child.process.mm().write_exact(args.child_tid, &child.tid().to_ne_bytes());
    }
    if args.flags.contains(CloneFlags::CLONE_CHILD_CLEARTID) {
        child.clear_child_tid.store(args.child_tid, Ordering::Relaxed);
    }
    let mut frame = with_frame(|frame| *frame);
    frame.rax = 0;
    frame.leave_syscall();
    if args.stack != 0 {
        frame.rsp = args.stack;
    }
    let fs_base = if args.flags.contains(CloneFlags::CLONE_SETTLS) { args.tls } else { arch::msr::fs_base() };
    sched::copy_fpu(child);
    sched::prepare(child, &frame, fs_base);
}

/// Adds a thread to the caller's process. `None` if that is ending: it must not get a thread that
/// nobody told to end.
fn enter_thread(parent: &Task, child: &Arc<Task>) -> Option<()> {
    // The caller may have been given filters since.
    let _old_filters = {
        let mut threads = parent.process.threads.lock();
        if super::exit::must_exit(parent) {
            return None;
        }
        threads.push(child.clone());
        child.no_new_privs.store(parent.no_new_privs.load(Ordering::Relaxed), Ordering::Relaxed);
        child.seccomp.inherit(&parent.seccomp)
    };
    table::add_task(child.clone());
    Some(())
}

/// The child inherits `RLIMIT_CPU` and `RLIMIT_RTTIME`, and starts with no time used.
fn start_cpu_limit(process: &Arc<Process>) {
    let limit = process.rlimits.lock()[RLIMIT_RTTIME as usize];
    super::rt_limit::set(process, limit.soft);
    let limit = process.rlimits.lock()[RLIMIT_CPU as usize];
    if limit.soft != RLIM_INFINITY {
        process.timers.set_cpu_limit(process, limit.soft, limit.hard);
    }
}
