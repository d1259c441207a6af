//! `/proc/PID/status` and `/proc/PID/stat`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fs::pseudo::format::{self, Schedule, SignalSets, Stat, Status};
use linux_raw_sys::general as g;
use syscall_shim::SysResult;

use super::memory::vm_status;
use super::task_dir::Target;
use crate::task::thread::state;
use crate::task::{Process, Task, sched};

/// Nanoseconds in a clock tick.
const TICK: u64 = 10_000_000;

/// The letter of what a task does.
pub fn state_letter(task: Option<&Task>) -> char {
    match task.map(Task::run_state) {
        None => 'Z',
        Some(state::RUNNING) => 'R',
        Some(state::INTERRUPTIBLE) => 'S',
        Some(state::UNINTERRUPTIBLE) => 'D',
        Some(state::STOPPED) => 'T',
        Some(_) => 'Z',
    }
}

fn signals(process: &Process, task: Option<&Task>) -> SignalSets {
    let (ignored, caught) = process.sighand.summary();
    let shared = process.signals.lock().pending.set();
    let (pending, blocked) = task.map_or((0, 0), |t| {
        let own = t.signals.lock();
        (own.pending.set().0, own.mask.0)
    });
    SignalSets {
        queued: u64::from((shared.0 | pending).count_ones()),
        queue_limit: process.rlimit(g::RLIMIT_SIGPENDING),
        pending,
        shared_pending: shared.0,
        blocked,
        ignored: ignored.0,
        caught: caught.0,
    }
}

fn parent_pid(process: &Process) -> i32 {
    process.parent().map_or(0, |p| p.pid)
}

/// `/proc/PID/status`.
pub fn status(t: &Target) -> SysResult<Vec<u8>> {
    let process = t.process()?;
    let task = t.task().ok();
    let task = task.as_deref();
    let creds = task.map(Task::credentials).unwrap_or_default();
    let zombie = process.zombie.load(Ordering::Acquire);
    Ok(format::status(&Status {
        name: task.map(|t| t.name().into_bytes()).unwrap_or_default(),
        umask: task.map_or(0, |t| t.fs().umask()),
        state: state_letter(task),
        tgid: process.pid,
        pid: if t.whole { process.pid } else { t.tid },
        ppid: parent_pid(&process),
        tracer: 0,
        uid: [creds.uid, creds.euid, creds.suid, creds.fsuid],
        gid: [creds.gid, creds.egid, creds.sgid, creds.fsgid],
        fd_size: task.and_then(|t| t.files().ok()).map_or(0, |f| f.capacity() as u32),
        groups: creds.groups.to_vec(),
        pgid: process.pgid.load(Ordering::Relaxed),
        sid: process.sid.load(Ordering::Relaxed),
        vm: (!zombie).then(|| vm_status(&process.mm())),
        threads: process.threads().len().max(1) as u32,
        signals: signals(&process, task),
        caps: [creds.cap_inheritable, creds.cap_permitted, creds.cap_effective, creds.cap_bounding, creds.cap_ambient],
        no_new_privs: task.is_some_and(|t| t.no_new_privs.load(Ordering::Relaxed)),
        cpus_allowed: task.map_or(1, |t| t.affinity.load(Ordering::Relaxed)) & sched::online_cpus(),
        voluntary_switches: task.map_or(0, |t| t.switches[0].load(Ordering::Relaxed)),
        nonvoluntary_switches: task.map_or(0, |t| t.switches[1].load(Ordering::Relaxed)),
    }))
}

fn sum(tasks: &[Arc<Task>], count: impl Fn(&Task) -> u64) -> u64 {
    tasks.iter().map(|t| count(t)).sum()
}

/// `/proc/PID/stat`.
pub fn stat(t: &Target) -> SysResult<Vec<u8>> {
    let process = t.process()?;
    let task = t.task().ok();
    let task = task.as_deref();
    let zombie = process.zombie.load(Ordering::Acquire);
    let (user, system) = match task {
        Some(task) if !t.whole => sched::cpu_time(task),
        _ => process.cpu_time(),
    };
    let vm = if zombie { format::VmStatus::default() } else { vm_status(&process.mm()) };
    let layout = if zombie { crate::mm::Layout::default() } else { process.mm().layout() };
    let tasks = process.threads();
    let sets = signals(&process, task);
    let sched = task.map(|t| *t.sched.lock()).unwrap_or_default();
    let realtime = sched.rt_priority > 0;
    let frame = task.filter(|t| t.stack_bounds().1 != 0).map(Task::app_frame).unwrap_or_default();
    let children = |i: usize| (process.children_ns[i].load(Ordering::Relaxed) / TICK) as i64;
    let start = task.map_or(process.started_at, |task| if t.whole { process.started_at } else { task.started_at });
    let terminal = crate::files::tty::controlling(&process);
    Ok(format::stat(&Stat {
        pid: if t.whole { process.pid } else { t.tid },
        comm: task.map(|t| t.name().into_bytes()).unwrap_or_default(),
        state: state_letter(task),
        ppid: parent_pid(&process),
        pgrp: process.pgid.load(Ordering::Relaxed),
        session: process.sid.load(Ordering::Relaxed),
        tty_nr: terminal.map_or(0, |(rdev, _)| rdev as i32),
        tpgid: terminal.map_or(-1, |(_, foreground)| foreground),
        flags: 0x0040_0000,
        minflt: sum(&tasks, |t| t.faults[0].load(Ordering::Relaxed)),
        majflt: sum(&tasks, |t| t.faults[1].load(Ordering::Relaxed)),
        utime: user / TICK,
        stime: system / TICK,
        cutime: children(0),
        cstime: children(1),
        schedule: Schedule {
            priority: if realtime { -1 - i64::from(sched.rt_priority) } else { 20 + i64::from(sched.nice) },
            nice: i64::from(sched.nice),
            processor: 0,
            rt_priority: sched.rt_priority,
            policy: sched.policy,
        },
        num_threads: tasks.len() as u32,
        starttime: start / TICK,
        vsize: vm.size,
        rss: (vm.rss_anon + vm.rss_file + vm.rss_shmem) / 4096,
        rsslim: process.rlimit(g::RLIMIT_RSS),
        startcode: layout.start_code,
        endcode: layout.end_code,
        startstack: layout.start_stack,
        kstkesp: frame.rsp,
        kstkeip: frame.rip,
        signal: sets.pending,
        blocked: sets.blocked,
        sigignore: sets.ignored,
        sigcatch: sets.caught,
        exit_signal: process.exit_signal.load(Ordering::Relaxed),
        start_data: layout.start_data,
        end_data: layout.end_data,
        start_brk: layout.start_brk,
        arg_start: layout.arg_start,
        arg_end: layout.arg_end,
        env_start: layout.env_start,
        env_end: layout.env_end,
        exit_code: process.exit_status.load(Ordering::Relaxed) as i32,
        ..Stat::default()
    }))
}
