//! Priorities of threads, processes, groups and users: getpriority(2), setpriority(2),
//! ioprio_get(2), ioprio_set(2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::sched::{CAP_SYS_NICE, may_be_nice, may_change};
use task::io_context::IoContext;
use task::thread::SchedParams;
use task::{Task, current, current_arc, sched, table};

const CAP_SYS_ADMIN: u32 = g::CAP_SYS_ADMIN;

fn of_user(uid: u32) -> Vec<Arc<Task>> {
    table::tasks().filter(|task| task.credentials().uid == uid).collect()
}

/// The threads that `which` and `who` name (getpriority(2)). `EINVAL`.
fn threads_of(which: i32, who: i32) -> SysResult<Vec<Arc<Task>>> {
    let me = current();
    Ok(match which {
        0 if who == 0 => alloc::vec![current_arc()],
        0 => table::task(who).into_iter().collect(),
        1 => {
            let group = if who == 0 { me.process.pgid.load(Ordering::Relaxed) } else { who };
            table::group(group).flat_map(|process| process.threads().collect::<Vec<_>>()).collect()
        }
        2 => {
            let user = if who == 0 { me.credentials().uid } else { who as u32 };
            of_user(user)
        }
        _ => return Err(Errno::EINVAL),
    })
}

/// getpriority(2): 20 less the nice value, so that it is never negative.
pub fn getpriority(which: i32, who: i32) -> SysResult {
    let best = threads_of(which, who)?.iter().map(|task| 20 - task.sched.get().nice).max();
    best.map(|value| value as usize).ok_or(Errno::ESRCH)
}

/// setpriority(2).
pub fn setpriority(which: i32, who: i32, nice: i32) -> SysResult {
    let nice = nice.clamp(-20, 19);
    let mut result = Err(Errno::ESRCH);
    for task in threads_of(which, who)? {
        let allowed = may_change(&task).and_then(|()| {
            let raises = nice < task.sched.get().nice;
            if raises && !may_be_nice(&task, nice) { Err(Errno::EACCES) } else { Ok(()) }
        });
        match allowed {
            Ok(()) => {
                sched::change_parameters(&task, || task.sched.set(SchedParams { nice, ..task.sched.get() }));
                result = if result == Err(Errno::ESRCH) { Ok(0) } else { result };
            }
            Err(errno) => result = Err(errno),
        }
    }
    result
}

/// The threads that `which` and `who` name to ioprio_get(2). `EINVAL`.
fn threads_by_ioprio(which: i32, who: i32) -> SysResult<Vec<Arc<Task>>> {
    match which {
        // No user, not even the caller's, is meant by 0 but user 0.
        3 => Ok(of_user(who as u32)),
        1 | 2 => threads_of(which - 1, who),
        _ => Err(Errno::EINVAL),
    }
}

/// ioprio_get(2): the best of those threads, in whose numbering less is better.
pub fn ioprio_get(which: i32, who: i32) -> SysResult {
    let threads = threads_by_ioprio(which, who)?;
    let priority = |task: &Arc<Task>| match (which, IoContext::priority_of(task)) {
        // As it is, where one thread is asked for.
        (1, own) => u32::from(own),
        (_, 0) => by_scheduling(task.sched.get()),
        (_, own) => u32::from(own),
    };
    threads.iter().map(priority).min().map(|priority| priority as usize).ok_or(Errno::ESRCH)
}

const CLASS_SHIFT: u32 = 13;
const CLASS_NONE: u32 = 0;
const CLASS_REALTIME: u32 = 1;
const CLASS_BEST_EFFORT: u32 = 2;
const CLASS_IDLE: u32 = 3;

/// What a thread without an I/O priority of its own has.
fn by_scheduling(params: SchedParams) -> u32 {
    let class = match params.policy {
        g::SCHED_IDLE => CLASS_IDLE,
        _ if params.is_realtime() => CLASS_REALTIME,
        _ => CLASS_BEST_EFFORT,
    };
    class << CLASS_SHIFT | ((params.nice + 20) / 5) as u32
}

/// `EINVAL` for what is no I/O priority, `EPERM` for one that the caller may not give.
fn check_io_priority(priority: u32) -> SysResult<()> {
    const LEVEL: u32 = 7;
    let credentials = current().credentials();
    match (priority >> CLASS_SHIFT & 7, priority & LEVEL) {
        (CLASS_REALTIME, _) if !credentials.capable(CAP_SYS_ADMIN) && !credentials.capable(CAP_SYS_NICE) => {
            Err(Errno::EPERM)
        }
        (CLASS_REALTIME | CLASS_BEST_EFFORT | CLASS_IDLE, _) | (CLASS_NONE, 0) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// ioprio_set(2).
pub fn ioprio_set(which: i32, who: i32, priority: u32) -> SysResult {
    check_io_priority(priority)?;
    let threads = threads_by_ioprio(which, who)?;
    let me = current().credentials();
    for task in &threads {
        let owner = task.credentials().uid;
        if owner != me.euid && owner != me.uid && !me.capable(CAP_SYS_NICE) {
            return Err(Errno::EPERM);
        }
        IoContext::set_priority(task, priority as u16);
    }
    if threads.is_empty() { Err(Errno::ESRCH) } else { Ok(0) }
}
