//! The end of threads and processes.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, Signal, SysResult};

use super::core_dump::Hold;
use super::process::Process;
use super::sched::deadline::Budget;
use super::thread::{Task, state};
use super::{accounting, current, current_arc, family, sched, signal, table};
use crate::upcalls::above;
use usermem::{UserAddr, UserPtr};

/// Ends the whole process with wait status `status` (`code << 8`, or the number of the signal that
/// killed it): `exit_group(2)`.
pub fn exit_group(status: u32) -> ! {
    begin_group_exit(&current().process, status);
    exit_thread()
}

/// Marks a process as ending and wakes its threads to notice. The first status given counts:
/// whether it was this one. Usable from interrupt handlers; no lock of signals is held.
pub fn begin_group_exit(process: &Process, status: u32) -> bool {
    {
        let _threads = process.threads.lock();
        if !process.decide_exit(status) {
            return false;
        }
    }
    // None comes any more.
    for thread in process.threads() {
        if core::ptr::eq(&*thread, current()) {
            thread.signal_pending.store(true, Ordering::Release);
        } else {
            signal::wake_to_exit(&thread);
        }
    }
    true
}

/// `exit(2)`: ends the calling thread with `code`; the last one ends the process, with its code.
pub fn exit(code: i32) -> ! {
    let process = &current().process;
    let exiting = process.exiting.load(Ordering::Acquire);
    end_thread(if exiting { process.exit_status.load(Ordering::Acquire) } else { (code as u32 & 0xff) << 8 })
}

/// Ends the calling thread alone by a signal that it cannot have caught.
pub fn end_by_signal(signal: Signal) -> ! {
    let process = &current().process;
    let exiting = process.exiting.load(Ordering::Acquire);
    end_thread(if exiting { process.exit_status.load(Ordering::Acquire) } else { signal.number().into() })
}

/// Ends the calling thread, as its process ends.
pub fn exit_thread() -> ! {
    end_thread(current().process.exit_status.load(Ordering::Acquire))
}

/// Ends the calling thread, with that wait status of its own.
fn end_thread(status: u32) -> ! {
    let task = current_arc();
    let process = task.process.clone();
    {
        // Several may end at the same time, and be a while about it: who comes here last is the
        // last.
        let threads = process.threads.lock();
        if process.ending_threads.fetch_add(1, Ordering::Relaxed) + 1 == threads.len() {
            process.decide_exit(status);
        }
    }
    Hold::park(&task);
    if above().shows_signals() {
        above().ended(&task, status);
    }
    release_user_state(&task);
    ipc::sem::leave(&task.undo, task.process.pid);
    let last = {
        let mut threads = process.threads.lock();
        // `task` is another reference.
        threads.remove(&task);
        process.ending_threads.fetch_sub(1, Ordering::Relaxed);
        let (user, system) = sched::cpu_time(&task);
        process.dead_threads_ns[0].fetch_add(user, Ordering::Relaxed);
        process.dead_threads_ns[1].fetch_add(system, Ordering::Relaxed);
        threads.is_empty()
    };
    process.remember(&task);
    if last {
        accounting::process_ends(&process, &task, process.exit_status.load(Ordering::Acquire));
        process.leave_space(&process.mm());
    }
    // Closing files may sleep, so it happens here and not in a destructor. The table is dropped
    // with its last user.
    let files = task.files.lock().take();
    drop(files);
    drop(task.seccomp.release());
    task.fs.lock().end();
    table::remove_task(task.tid());
    if last {
        end_process(&process);
    } else {
        signal::stop::thread_ended(&process);
        family::thread_ended(&task);
        process.exit_wait.wake_all();
    }
    // What it was promised is free for others. There is nothing that this could fail by.
    let _ = sched::deadline::promise(task.deadline.budget(), Budget::default());
    task.forget_waiters();
    drop(process);
    drop(task);
    sched::set_state(state::DEAD);
    super::schedule();
    unreachable!("a dead task was scheduled")
}

/// What Linux's `mm_release` does where a thread leaves its address space: robust futexes, and the
/// word that joiners wait for.
pub(super) fn release_user_state(task: &Task) {
    super::futex::exit_robust_list(task);
    let clear = task.clear_child_tid.swap(0, Ordering::AcqRel);
    // Where nobody is left to see the word, writing it would only copy its page.
    let seen = task.process.threads.lock().len() > 1 || task.process.mm().is_shared();
    // A bad address is the program's own doing; nobody is left to tell.
    if clear != 0 && seen && UserPtr::<i32>::new(clear).write(0).is_ok() {
        super::futex::wake_address(UserAddr(clear), 1);
    }
}

/// The last thread has ended.
fn end_process(process: &Arc<Process>) {
    process.timers.stop_all();
    process.signals.lock().cancel_stop();
    // A zombie keeps no files.
    let exe = process.exe.lock().take();
    drop(exe);
    if process.pid == process.sid.load(Ordering::Relaxed) {
        tty::session_ended(process.pid);
    }
    if process.pid == family::FIRST_PID {
        family::end_all_others(process);
        above().program_ended(process.exit_status.load(Ordering::Acquire));
    }
    family::process_ended(process);
    process.exit_wait.wake_all();
}

/// Waits until the calling thread is the only one of its process, having told the others to end
/// (for `execve`). `EAGAIN` if another thread told this one first, or the process ends.
pub fn end_other_threads() -> SysResult<()> {
    let task = current_arc();
    let process = &task.process;
    {
        let threads = process.threads.lock();
        if must_exit(&task) {
            return Err(Errno::EAGAIN);
        }
        for thread in threads.iter().filter(|thread| !Arc::ptr_eq(thread, &task)) {
            thread.exit_requested.store(true, Ordering::Release);
            signal::wake_to_exit(thread);
        }
    }
    let alone = || (must_exit(&task) || process.threads.lock().len() == 1).then_some(());
    super::wait::wait_uninterruptible(&process.exit_wait, alone);
    if must_exit(&task) { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// Whether the thread must end rather than return to the application.
pub fn must_exit(task: &Task) -> bool {
    task.process.exiting.load(Ordering::Acquire) || task.exit_requested.load(Ordering::Acquire)
}
