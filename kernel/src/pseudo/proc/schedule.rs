//! What a process's directory tells of scheduling and time: `sched`, `timers`, `timens_offsets`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use syscall_shim::{Errno, SysResult};

use super::target::Target;
use task::sched;

/// Columns of a name, and of a value.
const NAME: usize = 45;
const VALUE: usize = 20;

/// `sched`: what the scheduler knows of the thread.
pub fn sched(target: &Target) -> SysResult<Vec<u8>> {
    let process = target.process()?;
    let task = target.task()?;
    let (user, system) = sched::cpu_time(&task);
    let run = user + system;
    let params = task.sched.get();
    let [voluntary, involuntary] = [0, 1].map(|which| task.switches.get(which).map_or(0, |count| count.load(Relaxed)));
    let mut out: String = task.name();
    out += &format!(" ({}, #threads: {})\n{}\n", target.id, process.thread_count().max(1), "-".repeat(NAME + VALUE + 2));
    out += &format!("{:<NAME$}:{:>VALUE$}\n", "se.sum_exec_runtime", format!("{}.{:06}", run / 1_000_000, run % 1_000_000));
    // 120 and the nice value, or what a real-time priority leaves of 99.
    let realtime = params.rt_priority > 0;
    let prio = if realtime { 99 - i64::from(params.rt_priority) } else { 120 + i64::from(params.nice) };
    let rows = [
        ("nr_switches", voluntary as i64 + involuntary as i64),
        ("nr_voluntary_switches", voluntary as i64),
        ("nr_involuntary_switches", involuntary as i64),
        ("policy", i64::from(params.policy)),
        ("prio", prio),
    ];
    for (name, value) in rows {
        out += &format!("{name:<NAME$}:{value:>VALUE$}\n");
    }
    Ok(out.into_bytes())
}

/// Writing to `sched` begins the counts anew on Linux; they are others' here, too.
pub fn reset(_: &Target, _: &[u8]) -> SysResult<()> {
    Err(Errno::EPERM)
}

/// `autogroup`: there are no groups that the scheduler makes by itself, and Linux shows nothing of
/// a thread that is in none.
pub fn autogroup(_: &Target) -> SysResult<Vec<u8>> {
    Ok(Vec::new())
}

/// The weight of the group that everybody is in cannot be changed.
pub fn set_autogroup(_: &Target, _: &[u8]) -> SysResult<()> {
    Err(Errno::EINVAL)
}

/// `timers`: those of timer_create(2).
pub fn timers(target: &Target) -> SysResult<Vec<u8>> {
    let process = target.process()?;
    Ok(process.timers.list(process.pid).into_bytes())
}

/// `timens_offsets`: there is one time namespace, which shows the clocks as they are
/// (time_namespaces(7)).
pub fn time_offsets(_: &Target) -> SysResult<Vec<u8>> {
    Ok(b"monotonic           0         0\nboottime            0         0\n".to_vec())
}
