//! The end of threads and processes.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::thread::{Task, state};
use super::{current, current_arc, sched, signal, table};
use crate::usermem::{UserAddr, UserPtr};

/// Ends the whole process with wait status `status` (`code << 8`, or the number of the signal that killed it): `exit_group(2)`.
pub fn exit_group(status: u32) -> ! {
    begin_group_exit(&current().process, status);
    exit_thread()
}

/// Marks a process as ending and wakes its threads to notice. The first status given counts.
pub fn begin_group_exit(process: &super::Process, status: u32) {
    if process.exiting.swap(true, Ordering::AcqRel) {
        return;
    }
    process.exit_status.store(status, Ordering::Release);
    for thread in process.threads() {
        if !core::ptr::eq(&*thread, current()) {
            signal::wake_to_exit(&thread);
        }
    }
}

/// `exit(2)`: ends the calling thread with `code`; the last one ends the process.
pub fn exit(code: i32) -> ! {
    let process = &current().process;
    if process.threads.lock().len() == 1 && !process.exiting.load(Ordering::Acquire) {
        process.exit_status.store((code as u32 & 0xff) << 8, Ordering::Release);
    }
    exit_thread()
}

/// Ends the calling thread.
pub fn exit_thread() -> ! {
    release_user_state();
    let task = current_arc();
    let process = task.process.clone();
    let last = {
        let mut threads = process.threads.lock();
        threads.retain(|t| !Arc::ptr_eq(t, &task));
        process.remember(&task);
        let (user, system) = sched::cpu_time(&task);
        process.dead_threads_ns[0].fetch_add(user, Ordering::Relaxed);
        process.dead_threads_ns[1].fetch_add(system, Ordering::Relaxed);
        threads.is_empty()
    };
    // Closing files may sleep, so it happens here and not in a destructor. The table is dropped with its last user.
    let files = task.files.lock().take();
    drop(files);
    table::remove_task(task.tid());
    if last {
        end_process(&process);
    } else {
        process.exit_wait.wake_all();
    }
    drop(process);
    drop(task);
    sched::set_state(state::DEAD);
    super::schedule();
    unreachable!("a dead task was scheduled")
}

/// What Linux's `mm_release` does: robust futexes, and the word that joiners wait for.
fn release_user_state() {
    let task = current();
    super::futex::exit_robust_list(task);
    let clear = task.clear_child_tid.swap(0, Ordering::AcqRel);
    // A bad address is the program's own doing; nobody is left to tell.
    if clear != 0 && UserPtr::<i32>::new(clear).write(0).is_ok() {
        super::futex::wake_address(UserAddr(clear), 1);
    }
}

fn end_process(process: &Arc<super::Process>) {
    process.exiting.store(true, Ordering::Release);
    process.timers.stop_all();
    process.signals.lock().cancel_stop();
    process.zombie.store(true, Ordering::Release);
    process.exit_wait.wake_all();
    match process.parent() {
        Some(parent) => parent.child_wait.wake_all(),
        None => crate::power::program_ended(process.exit_status.load(Ordering::Acquire)),
    }
}

/// Waits until the calling thread is the only one of its process, having told the others to end (for `execve`).
pub fn end_other_threads() {
    let task = current_arc();
    let process = &task.process;
    for thread in process.threads() {
        if !Arc::ptr_eq(&thread, &task) {
            thread.exit_requested.store(true, Ordering::Release);
            signal::wake_to_exit(&thread);
        }
    }
    super::wait::wait_uninterruptible(&process.exit_wait, || (process.threads.lock().len() == 1).then_some(()));
}

/// Whether the thread must end rather than return to the application.
pub fn must_exit(task: &Task) -> bool {
    task.process.exiting.load(Ordering::Acquire) || task.exit_requested.load(Ordering::Acquire)
}
