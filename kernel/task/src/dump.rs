//! What tasks are doing, for panics and for the host's watchdog. Prints to the serial port and
//! waits for no lock.

use core::sync::atomic::{AtomicBool, Ordering};

use super::recent_calls::Call;
use super::table;
use super::thread::{Task, state};
use arch::trap::TrapFrame;
use arch::{ipi, percpu};
use observe::panic::print_backtrace;

fn state_name(task: &Task) -> &'static str {
    match task.run_state() {
        state::RUNNING => "running",
        state::INTERRUPTIBLE => "asleep",
        state::UNINTERRUPTIBLE | state::KILLABLE => "asleep, uninterruptible",
        state::STOPPED => "stopped",
        _ => "dead",
    }
}

fn print_call(call: &Call) {
    let name = syscall_shim::table::name(call.nr).unwrap_or("?");
    let [a, b, c, d] = call.args;
    match call.result {
        Some(result) if (-4095..0).contains(&result) => {
            let errno = syscall_shim::Errno(-result as u16);
            emergency!("  {name}({a:#x}, {b:#x}, {c:#x}, {d:#x}) = -1 {errno:?}");
        }
        Some(result) => emergency!("  {name}({a:#x}, {b:#x}, {c:#x}, {d:#x}) = {result:#x}"),
        None => emergency!("  {name}({a:#x}, {b:#x}, {c:#x}, {d:#x}) <running>"),
    }
}

fn print_calls(task: &Task) {
    emergency!("last system calls:");
    task.recent_calls.for_each(|call| print_call(&call));
}

/// The running task and its last system calls.
pub fn current_task() {
    let task = percpu::this_cpu().current.get().cast::<Task>();
    if task.is_null() {
        return;
    }
    // SAFETY: the run queue keeps the running task alive.
    let task = unsafe { &*task };
    emergency!("task {} of process {}:", task.tid(), task.process.pid);
    print_calls(task);
}

/// What this CPU does; the one that comes first then shows every task, unless only the CPUs' stacks
/// are wanted. For an NMI, which all CPUs get at about the same time: they take turns.
pub fn this_cpu(frame: &TrapFrame) {
    /// Turns to wait for the others, each as long as a pause; one that never ends must not keep the
    /// rest from showing.
    const MAX_PAUSES: u32 = 50_000_000;
    static TURN: AtomicBool = AtomicBool::new(false);
    static ALL_SHOWN: AtomicBool = AtomicBool::new(false);
    let mut pauses_left = MAX_PAUSES;
    while TURN.swap(true, Ordering::Acquire) && pauses_left > 0 {
        core::hint::spin_loop();
        pauses_left -= 1;
    }
    let cpu = percpu::this_cpu();
    emergency!("\nskiff: CPU {}\n{frame}", cpu.id.get());
    print_backtrace(Some(frame.rip), frame.rbp);
    if ipi::stack_wanted() {
        current_task();
    } else if !ALL_SHOWN.swap(true, Ordering::Relaxed) {
        emergency!("\nskiff: dump of all tasks, at the host's request");
        all_tasks();
    }
    TURN.store(false, Ordering::Release);
}

/// Every task: state, where it is in the application and in the kernel, and its last system calls.
pub fn all_tasks() {
    let Some(()) = table::try_for_each(|task| {
        emergency!("\ntask {} of process {}, {}", task.tid(), task.process.pid, state_name(task));
        let frame = task.app_frame();
        let mm = task.process.mm.try_lock().map(|mm| mm.clone());
        let rip = mm.and_then(|mm| mm.try_original_ip(frame.rip)).unwrap_or(frame.rip);
        emergency!("application at rip {rip:#x} rsp {:#x}", frame.rsp);
        if let Some((rip, rbp)) = task.left_at() {
            print_backtrace(Some(rip), rbp);
        }
        print_calls(task);
    }) else {
        emergency!("the table of tasks is locked");
        return;
    };
}
