//! `status`, `stat` and the small files about what a task is and does.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::format as text;
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::memory::vm_status;
use super::target::Target;
use crate::arch::boot;
use task::thread::state;
use task::{Process, Task, current, sched, signal};
use vm::flags::PAGE_SIZE;

/// Nanoseconds of a clock tick (`USER_HZ`).
pub const TICK: u64 = 10_000_000;

/// The letter of proc_pid_stat(5).
fn state_letter(process: &Process, task: Option<&Task>) -> char {
    match task.map(Task::run_state) {
        None => 'Z',
        Some(_) if process.signals.lock().stop.is_stopped() => 'T',
        Some(state::RUNNING) => 'R',
        Some(state::UNINTERRUPTIBLE | state::KILLABLE) => 'D',
        Some(state::STOPPED) => 'T',
        Some(state::DEAD) => 'X',
        Some(_) => 'S',
    }
}

fn name(process: &Process, task: Option<&Task>) -> Vec<u8> {
    match task {
        Some(task) => {
            let comm = *task.comm.lock();
            comm.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
        }
        None => process.ended_name(),
    }
}

fn parent(process: &Process) -> i32 {
    process.parent().map_or(0, |parent| parent.pid)
}

fn signal_sets(process: &Process, task: Option<&Task>) -> text::SignalSets {
    let (ignored, caught) = process.sighand.summary();
    let shared_pending = process.signals.lock().pending.set().0;
    let (pending, blocked, uid) = task.map_or((0, 0, 0), |task| {
        let uid = task.credentials().uid;
        let own = task.signals.lock();
        (own.pending.set().0, own.mask.0, uid)
    });
    text::SignalSets {
        queued: signal::pending::Charge::count(uid),
        queue_limit: process.rlimit(g::RLIMIT_SIGPENDING),
        pending,
        shared_pending,
        blocked,
        ignored: ignored.0,
        caught: caught.0,
    }
}

/// The thread behind a target; `None` when all of a process's have ended. `ESRCH` for a thread that
/// has.
fn task_of(target: &Target) -> SysResult<Option<alloc::sync::Arc<Task>>> {
    match target.task() {
        Ok(task) => Ok(Some(task)),
        Err(errno) if target.is_thread() => Err(errno),
        Err(_) => Ok(None),
    }
}

/// `status`
pub fn status(target: &Target) -> SysResult<Vec<u8>> {
    let process = target.process()?;
    let task = task_of(target)?;
    let task = task.as_deref();
    let creds = task.map(Task::credentials).unwrap_or_default();
    let switches = |which: usize| task.and_then(|task| task.switches.get(which)).map_or(0, |count| count.load(Relaxed));
    Ok(text::status(&text::Status {
        name: name(&process, task),
        umask: task.map_or(0, |task| task.fs().umask()),
        state: state_letter(&process, task),
        tgid: process.pid,
        pid: target.id,
        ppid: parent(&process),
        tracer: 0,
        uid: [creds.uid, creds.euid, creds.suid, creds.fsuid],
        gid: [creds.gid, creds.egid, creds.sgid, creds.fsgid],
        fd_size: task.and_then(|task| task.files().ok()).map_or(0, |files| files.capacity() as u32),
        groups: creds.groups.clone(),
        pgid: process.pgid.load(Relaxed),
        sid: process.sid.load(Relaxed),
        vm: target.mm()?.map(|mm| vm_status(&mm.memory_use())),
        threads: process.thread_count().max(1) as u32,
        signals: signal_sets(&process, task),
        caps: [creds.cap_inheritable, creds.cap_permitted, creds.cap_effective, creds.cap_bounding, creds.cap_ambient],
        seccomp: task.map_or((0, 0), |task| (task.seccomp.mode(), task.seccomp.filters())),
        no_new_privs: task.is_some_and(|task| task.no_new_privs.load(Relaxed)),
        cpus_allowed: task.map_or(0, |task| task.affinity.load(Relaxed)) & sched::online_cpus(),
        voluntary_switches: switches(0),
        nonvoluntary_switches: switches(1),
    }))
}

/// Priority as the scheduler sees it: 0 to 39 by the nice value, -2 to -100 for real-time tasks.
fn schedule(task: &Task) -> text::Schedule {
    let params = task.sched.get();
    let realtime = matches!(params.policy, g::SCHED_FIFO | g::SCHED_RR);
    text::Schedule {
        priority: if realtime { -1 - i64::from(params.rt_priority) } else { 20 + i64::from(params.nice) },
        nice: params.nice.into(),
        processor: 0,
        rt_priority: params.rt_priority,
        policy: params.policy,
    }
}

/// `PF_*` of linux/sched.h, as far as the kernel has the state behind them.
fn flags(process: &Process) -> u32 {
    const EXITING: u32 = 0x4;
    const RANDOMIZE: u32 = 0x0040_0000;
    const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;
    let fixed = process.personality.load(Relaxed) & ADDR_NO_RANDOMIZE != 0 || boot::option("aslr") == Some("off");
    let exiting = if process.exiting.load(Relaxed) { EXITING } else { 0 };
    exiting | if fixed { 0 } else { RANDOMIZE }
}

/// `stat`
pub fn stat(target: &Target) -> SysResult<Vec<u8>> {
    let process = target.process()?;
    let task = task_of(target)?;
    let task = task.as_deref();
    let (user, system) = match task {
        Some(task) if target.is_thread() => sched::cpu_time(task),
        _ => process.cpu_time(),
    };
    let [minor, major] = match task {
        Some(task) if target.is_thread() => task.faults.each_ref().map(|count| count.load(Relaxed)),
        _ => process.faults(),
    };
    let signals = signal_sets(&process, task);
    let terminal = tty::controlling(process.sid.load(Relaxed)).map(|tty| tty.shown());
    let mm = target.mm()?;
    let memory = mm.as_ref().map(|mm| mm.memory_use()).unwrap_or_default();
    // Addresses are for those who may look into the process; the others see 1 for 'somewhere'
    // (`do_task_stat`).
    let allowed = target.check_access().is_ok();
    let layout = mm.as_ref().filter(|_| allowed).map(|mm| mm.layout()).unwrap_or_default();
    let somewhere = u64::from(mm.is_some() && !allowed);
    Ok(text::stat(&text::Stat {
        pid: target.id,
        comm: name(&process, task),
        state: state_letter(&process, task),
        ppid: parent(&process),
        pgrp: process.pgid.load(Relaxed),
        session: process.sid.load(Relaxed),
        tty_nr: terminal.map_or(0, |(rdev, _)| rdev as i32),
        tpgid: terminal.map_or(-1, |(_, foreground)| foreground),
        flags: flags(&process),
        minflt: minor,
        majflt: major,
        utime: user / TICK,
        stime: system / TICK,
        cutime: (process.children_usage().cpu_ns[0] / TICK) as i64,
        cstime: (process.children_usage().cpu_ns[1] / TICK) as i64,
        schedule: task.map(schedule).unwrap_or_default(),
        num_threads: process.thread_count() as u32,
        starttime: task.filter(|_| target.is_thread()).map_or(process.started_at, |task| task.started_at) / TICK,
        vsize: memory.vm_size,
        rss: memory.vm_rss() / PAGE_SIZE,
        rsslim: process.rlimit(g::RLIMIT_RSS),
        startcode: layout.start_code + somewhere,
        endcode: layout.end_code + somewhere,
        startstack: layout.start_stack,
        signal: signals.pending,
        blocked: signals.blocked,
        sigignore: signals.ignored,
        sigcatch: signals.caught,
        exit_signal: if target.is_thread() { -1 } else { process.exit_signal.load(Relaxed) },
        start_data: layout.start_data,
        end_data: layout.end_data,
        start_brk: layout.start_brk,
        arg_start: layout.arg_start,
        arg_end: layout.arg_end,
        env_start: layout.env_start,
        env_end: layout.env_end,
        exit_code: if allowed { process.exit_status.load(Relaxed) as i32 } else { 0 },
        ..text::Stat::default()
    }))
}

/// `comm`
pub fn comm(target: &Target) -> SysResult<Vec<u8>> {
    let mut text = name(&*target.process()?, task_of(target)?.as_deref());
    text.push(b'\n');
    Ok(text)
}

/// Renames a thread of the caller's own process; `EINVAL` for others.
pub fn set_comm(target: &Target, bytes: &[u8]) -> SysResult<()> {
    let task = target.task()?;
    if task.process.pid != current().process.pid {
        return Err(Errno::EINVAL);
    }
    task.set_name(bytes);
    Ok(())
}

/// `children`: the ids of a thread's children, the oldest first.
pub fn children(target: &Target) -> SysResult<Vec<u8>> {
    let ids = target.process()?.children_of(target.id)?;
    let mut text = String::new();
    text.try_reserve(ids.len() * "4194304 ".len()).map_err(|_| Errno::ENOMEM)?;
    for id in ids {
        let _ = write!(text, "{id} ");
    }
    Ok(text.into_bytes())
}

/// `personality`
pub fn personality(target: &Target) -> SysResult<Vec<u8>> {
    Ok(format!("{:08x}\n", target.process()?.personality.load(Relaxed)).into_bytes())
}

/// `syscall`: number, arguments, stack pointer and program counter of the call that the thread
/// sleeps in; -1 without one.
pub fn syscall(target: &Target) -> SysResult<Vec<u8>> {
    let task = target.task()?;
    if task.run_state() == state::RUNNING && !core::ptr::eq(&*task, current()) {
        return Ok(b"running\n".to_vec());
    }
    let mut frame = task.app_frame();
    task.process.mm().original_ip(&mut frame);
    if !frame.in_syscall() {
        return Ok(format!("-1 {:#x} {:#x}\n", frame.rsp, frame.rip).into_bytes());
    }
    let [a, b, c, d, e, f] = [frame.rdi, frame.rsi, frame.rdx, frame.r10, frame.r8, frame.r9];
    let text = format!("{} {a:#x} {b:#x} {c:#x} {d:#x} {e:#x} {f:#x} {:#x} {:#x}\n", frame.error, frame.rsp, frame.rip);
    Ok(text.into_bytes())
}
