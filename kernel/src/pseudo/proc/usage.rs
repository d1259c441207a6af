//! What a process has used and may use: `limits`, `io`, `schedstat`, `oom_score` and their
//! settings.

use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::format as text;
use syscall_shim::{Errno, SysResult};

use super::target::Target;
use fd::capable;
use mem::frames;
use task::{current, sched, table};

const CAP_SYS_NICE: u32 = 23;
const CAP_SYS_RESOURCE: u32 = 24;
/// `oom_score_adj` ranges from its negative to it (linux/oom.h).
const ADJ_MAX: i32 = 1000;
/// `OOM_DISABLE`, the lowest of the old scale, whose highest is 15.
const OLD_ADJ_MIN: i32 = -17;
const OLD_ADJ_MAX: i32 = 15;

/// Nanoseconds that programs have used since boot: application, kernel. Processes that were waited
/// for are in their parents' sums.
pub fn busy_time() -> (u64, u64) {
    table::processes().fold((0, 0), |(user, system), process| {
        let (own_user, own_system) = process.cpu_time();
        let [children_user, children_system] = process.children_usage().cpu_ns;
        (user + own_user + children_user, system + own_system + children_system)
    })
}

/// An integer as programs write it, with blanks around it. `EINVAL`.
pub fn parse<T: core::str::FromStr>(bytes: &[u8]) -> SysResult<T> {
    let text = core::str::from_utf8(bytes.trim_ascii()).map_err(|_| Errno::EINVAL)?;
    text.parse().map_err(|_| Errno::EINVAL)
}

/// `limits`
pub fn limits(target: &Target) -> SysResult<Vec<u8>> {
    let limits = *target.process()?.rlimits.lock();
    Ok(text::limits(&limits.map(|limit| text::Limit { soft: limit.soft, hard: limit.hard })))
}

/// `io`. Nothing that is to be written is ever cancelled: only disks are behind it, and nobody cuts
/// these short.
pub fn io(target: &Target) -> SysResult<Vec<u8>> {
    let ([rchar, wchar, syscr, syscw], [read_bytes, write_bytes]) = if target.is_thread() {
        let task = target.task()?;
        (task.io.each_ref().map(|count| count.load(Relaxed)), task.blocks.each_ref().map(|count| count.load(Relaxed)))
    } else {
        let process = target.process()?;
        (process.io(), process.usage().blocks)
    };
    Ok(text::io(&text::Io { rchar, wchar, syscr, syscw, read_bytes, write_bytes, ..text::Io::default() }))
}

/// `schedstat`: nanoseconds on a CPU; waiting for one, which is not measured; turns.
pub fn schedstat(target: &Target) -> SysResult<Vec<u8>> {
    let task = target.task()?;
    let (user, system) = sched::cpu_time(&task);
    let turns: u64 = task.switches.iter().map(|count| count.load(Relaxed)).sum();
    Ok(format!("{} 0 {turns}\n", user + system).into_bytes())
}

/// `oom_score`: from 0 to about 1333; without memory and adjustment it is 666 (`proc_oom_score`).
pub fn oom_score(target: &Target) -> SysResult<Vec<u8>> {
    let total = frames::stats().total as i64;
    let adjust = i64::from(target.process()?.oom_score_adj.load(Relaxed));
    let used = target.mm()?.map_or(0, |mm| {
        let memory = mm.memory_use();
        ((memory.vm_rss() + memory.vm_pte) / base::addr::PAGE_SIZE as u64) as i64
    });
    let badness = used + adjust * total / 1000;
    let score = if adjust == i64::from(-ADJ_MAX) { 0 } else { (1000 + badness * 1000 / total.max(1)) * 2 / 3 };
    Ok(format!("{}\n", score.max(0)).into_bytes())
}

/// `oom_score_adj`
pub fn oom_score_adj(target: &Target) -> SysResult<Vec<u8>> {
    Ok(format!("{}\n", target.process()?.oom_score_adj.load(Relaxed)).into_bytes())
}

/// Sets `oom_score_adj`; lowering it takes `CAP_SYS_RESOURCE`.
pub fn set_oom_score_adj(target: &Target, bytes: &[u8]) -> SysResult<()> {
    let new: i32 = parse(bytes)?;
    if !(-ADJ_MAX..=ADJ_MAX).contains(&new) {
        return Err(Errno::EINVAL);
    }
    adjust(target, new)
}

fn adjust(target: &Target, new: i32) -> SysResult<()> {
    let process = target.process()?;
    if new < process.oom_score_adj.load(Relaxed) && !capable(CAP_SYS_RESOURCE) {
        return Err(Errno::EACCES);
    }
    process.oom_score_adj.store(new, Relaxed);
    Ok(())
}

/// `oom_adj`: the same on the old scale.
pub fn oom_adj(target: &Target) -> SysResult<Vec<u8>> {
    let adjust = target.process()?.oom_score_adj.load(Relaxed);
    let old = if adjust == ADJ_MAX { OLD_ADJ_MAX } else { adjust * -OLD_ADJ_MIN / ADJ_MAX };
    Ok(format!("{}\n", old.min(OLD_ADJ_MAX)).into_bytes())
}

/// Sets `oom_adj`.
pub fn set_oom_adj(target: &Target, bytes: &[u8]) -> SysResult<()> {
    let new: i32 = parse(bytes)?;
    if !(OLD_ADJ_MIN..=OLD_ADJ_MAX).contains(&new) {
        return Err(Errno::EINVAL);
    }
    adjust(target, if new == OLD_ADJ_MAX { ADJ_MAX } else { new * ADJ_MAX / -OLD_ADJ_MIN })
}

/// `coredump_filter` (core(5)).
pub fn coredump_filter(target: &Target) -> SysResult<Vec<u8>> {
    Ok(format!("{:08x}\n", target.process()?.coredump_filter.load(Relaxed)).into_bytes())
}

/// Sets `coredump_filter`, in C's notation of numbers; bits that mean nothing are dropped.
pub fn set_coredump_filter(target: &Target, bytes: &[u8]) -> SysResult<()> {
    const KNOWN: u32 = 0x1ff;
    let text = core::str::from_utf8(bytes.trim_ascii()).map_err(|_| Errno::EINVAL)?;
    let value = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8),
        None => text.parse(),
    };
    target.process()?.coredump_filter.store(value.map_err(|_| Errno::EINVAL)? & KNOWN, Relaxed);
    Ok(())
}

/// The caller's own, or `CAP_SYS_NICE`: `EPERM`.
fn may_set_slack(target: &Target) -> SysResult<()> {
    let own = target.process()?.pid == current().process.pid;
    if own || capable(CAP_SYS_NICE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// `timerslack_ns`
pub fn timer_slack(target: &Target) -> SysResult<Vec<u8>> {
    may_set_slack(target)?;
    Ok(format!("{}\n", target.task()?.timer_slack.get()).into_bytes())
}

/// Sets `timerslack_ns`; 0 goes back to the default.
pub fn set_timer_slack(target: &Target, bytes: &[u8]) -> SysResult<()> {
    may_set_slack(target)?;
    let new = parse(bytes)?;
    let task = target.task()?;
    if !task.sched.get().is_realtime() {
        task.timer_slack.set(new);
    }
    Ok(())
}
