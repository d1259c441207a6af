//! `clone(2)`, `clone3(2)`: new threads.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use syscall_shim::{CloneFlags, Errno, SysResult};

use super::thread::{NewTask, Task, with_frame};
use super::{current, sched, table};
use crate::usermem::{USER_END, UserPtr};

/// `struct clone_args` of clone(2), as far as threads need it.
#[derive(Clone, Copy, Debug)]
pub struct CloneArgs {
    /// `CLONE_*`, without the exit signal.
    pub flags: CloneFlags,
    /// Where `CLONE_CHILD_SETTID` and `CLONE_CHILD_CLEARTID` write.
    pub child_tid: u64,
    /// Where `CLONE_PARENT_SETTID` writes.
    pub parent_tid: u64,
    /// Initial stack pointer; 0 keeps the caller's.
    pub stack: u64,
    /// FS base for `CLONE_SETTLS`.
    pub tls: u64,
}

/// What makes a task a thread of its creator's process.
const THREAD: CloneFlags = CloneFlags::CLONE_VM.union(CloneFlags::CLONE_SIGHAND).union(CloneFlags::CLONE_THREAD);

/// Creates a thread and returns its id. The combinations of flags that clone(2) forbids give `EINVAL`. A task with an address
/// space of its own is a process, which this kernel does not create yet: `ENOSYS`.
pub fn clone(args: &CloneArgs) -> SysResult<i32> {
    let flags = args.flags;
    if flags.contains(CloneFlags::CLONE_THREAD) && !flags.contains(CloneFlags::CLONE_SIGHAND)
        || flags.contains(CloneFlags::CLONE_SIGHAND) && !flags.contains(CloneFlags::CLONE_VM)
        || flags.contains(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
    {
        return Err(Errno::EINVAL);
    }
    if flags.contains(CloneFlags::CLONE_SETTLS) && args.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    if !flags.contains(THREAD) {
        return Err(Errno::ENOSYS);
    }
    let parent = current();
    let process = &parent.process;
    let files = parent.files()?;
    let files = if flags.contains(CloneFlags::CLONE_FILES) { files } else { Arc::new(files.duplicate()) };
    let fs = parent.fs();
    let fs = if flags.contains(CloneFlags::CLONE_FS) { fs } else { Arc::new(fs.duplicate()) };
    let signals = parent.signals.lock().for_new_thread();
    let comm = *parent.comm.lock();
    let tid = table::allocate_id();
    let child = Arc::new(Task::new(NewTask {
        tid,
        process: process.clone(),
        files,
        fs,
        credentials: parent.credentials(),
        comm,
        signals,
    })?);
    *child.sched.lock() = *parent.sched.lock();
    child.affinity.store(parent.affinity.load(Ordering::Relaxed), Ordering::Relaxed);
    child.no_new_privs.store(parent.no_new_privs.load(Ordering::Relaxed), Ordering::Relaxed);
    child.timer_slack.store(parent.timer_slack.load(Ordering::Relaxed), Ordering::Relaxed);
    if flags.contains(CloneFlags::CLONE_PARENT_SETTID) {
        UserPtr::<i32>::new(args.parent_tid).write(tid)?;
    }
    if flags.contains(CloneFlags::CLONE_CHILD_SETTID) {
        // Linux writes this from the child and does not report a fault.
        let _ = UserPtr::<i32>::new(args.child_tid).write(tid);
    }
    if flags.contains(CloneFlags::CLONE_CHILD_CLEARTID) {
        child.clear_child_tid.store(args.child_tid, Ordering::Relaxed);
    }
    let mut frame = with_frame(|frame| *frame);
    frame.rax = 0;
    frame.leave_syscall();
    if args.stack != 0 {
        frame.rsp = args.stack;
    }
    let fs_base = if flags.contains(CloneFlags::CLONE_SETTLS) { args.tls } else { crate::arch::msr::fs_base() };
    sched::copy_fpu(&child);
    sched::prepare(&child, &frame, fs_base);
    {
        let mut threads = process.threads.lock();
        // A process that ends meanwhile must not get a thread that nobody told to end.
        if super::exit::must_exit(parent) {
            return Err(Errno::ERESTARTNOINTR);
        }
        threads.push(child.clone());
    }
    table::add_task(child.clone());
    sched::start(&child);
    Ok(tid)
}
