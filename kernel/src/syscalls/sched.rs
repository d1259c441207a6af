//! Scheduling: sched_yield(2), sched_setscheduler(2), sched_setaffinity(2), getpriority(2), ioprio_get(2), getcpu(2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general as g;
use syscall_shim::types::{SchedAttr, SchedParam, Timespec};
use syscall_shim::{Errno, SysResult};

use crate::arch::percpu::this_cpu;
use crate::task::thread::SchedParams;
use crate::task::{Task, current, current_arc, sched, table, yield_now};
use crate::usermem::{UserAddr, UserPtr};

const CAP_SYS_NICE: u32 = 23;
/// `SCHED_RESET_ON_FORK`, or-ed to a policy.
const RESET_ON_FORK: u32 = 0x4000_0000;
const MAX_RT_PRIORITY: u32 = 99;
/// Bytes of the kernel's CPU mask.
const CPU_MASK_SIZE: usize = 8;

/// The thread `tid`, the caller for 0. `EINVAL` for negative ids, `ESRCH`.
fn thread(tid: i32) -> SysResult<Arc<Task>> {
    match tid {
        0 => Ok(current_arc()),
        1.. => table::task(tid).ok_or(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether the caller may change how `task` is scheduled: its owner may.
fn may_change(task: &Task) -> SysResult<()> {
    let (me, other) = (current().credentials(), task.credentials());
    if me.euid == other.uid || me.euid == other.euid || me.capable(CAP_SYS_NICE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Whether `nice` is not below what the caller may ask for (`RLIMIT_NICE`: 20 less the limit).
fn may_be_nice(task: &Task, nice: i32) -> bool {
    let lowest = 20 - i64::try_from(task.process.rlimit(g::RLIMIT_NICE)).unwrap_or(i64::MAX).min(40);
    i64::from(nice) >= lowest || current().credentials().capable(CAP_SYS_NICE)
}

/// sched_yield(2).
pub fn sched_yield() -> SysResult {
    yield_now();
    Ok(0)
}

/// Range of the static priority of a policy. `EINVAL` for unknown policies.
fn priorities(policy: u32) -> SysResult<(u32, u32)> {
    match policy {
        g::SCHED_FIFO | g::SCHED_RR => Ok((1, MAX_RT_PRIORITY)),
        g::SCHED_NORMAL | g::SCHED_BATCH | g::SCHED_IDLE | g::SCHED_DEADLINE => Ok((0, 0)),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_get_priority_max(2).
pub fn sched_get_priority_max(policy: u32) -> SysResult {
    priorities(policy).map(|(_, max)| max as usize)
}

/// sched_get_priority_min(2).
pub fn sched_get_priority_min(policy: u32) -> SysResult {
    priorities(policy).map(|(min, _)| min as usize)
}

/// Gives `task` another policy. Deadline scheduling is not there: `EINVAL`, as on a kernel built without it.
fn set_policy(task: &Arc<Task>, policy: u32, priority: u32, nice: Option<i32>) -> SysResult<()> {
    let policy = policy & !RESET_ON_FORK;
    let (min, max) = priorities(policy)?;
    if policy == g::SCHED_DEADLINE || !(min..=max).contains(&priority) {
        return Err(Errno::EINVAL);
    }
    may_change(task)?;
    let old = task.sched.get();
    let limit = task.process.rlimit(g::RLIMIT_RTPRIO);
    let realtime = max > 0;
    let raises =
        realtime && (policy != old.policy && limit == 0 || priority > old.rt_priority && u64::from(priority) > limit);
    let nice = nice.unwrap_or(old.nice);
    let raises_nice = !realtime && nice < old.nice && !may_be_nice(task, nice);
    if (raises || raises_nice) && !current().credentials().capable(CAP_SYS_NICE) {
        return Err(Errno::EPERM);
    }
    sched::change_parameters(task, || task.sched.set(SchedParams { policy, rt_priority: priority, nice }));
    Ok(())
}

/// sched_setscheduler(2).
pub fn sched_setscheduler(tid: i32, policy: i32, param: UserPtr<SchedParam>) -> SysResult {
    let policy = u32::try_from(policy).map_err(|_| Errno::EINVAL)?;
    let param = param.non_null().ok_or(Errno::EINVAL)?.read()?;
    let priority = u32::try_from(param.sched_priority).map_err(|_| Errno::EINVAL)?;
    set_policy(&thread(tid)?, policy, priority, None)?;
    Ok(0)
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(tid: i32) -> SysResult {
    Ok(thread(tid)?.sched.get().policy as usize)
}

/// sched_setparam(2).
pub fn sched_setparam(tid: i32, param: UserPtr<SchedParam>) -> SysResult {
    let param = param.non_null().ok_or(Errno::EINVAL)?.read()?;
    let task = thread(tid)?;
    let policy = task.sched.get().policy;
    set_policy(&task, policy, u32::try_from(param.sched_priority).map_err(|_| Errno::EINVAL)?, None)?;
    Ok(0)
}

/// sched_getparam(2).
pub fn sched_getparam(tid: i32, param: UserPtr<SchedParam>) -> SysResult {
    let param = param.non_null().ok_or(Errno::EINVAL)?;
    let params = thread(tid)?.sched.get();
    param.write(SchedParam { sched_priority: params.rt_priority as i32 })?;
    Ok(0)
}

/// sched_setattr(2).
pub fn sched_setattr(tid: i32, attr: UserAddr, flags: u32) -> SysResult {
    const VERSION_0_SIZE: u32 = 48;
    const KEEP_POLICY: u64 = 0x08;
    const KEEP_PARAMS: u64 = 0x10;
    const KNOWN_FLAGS: u64 = 0x7f;
    if attr.is_null() || tid < 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let size: u32 = attr.cast().read()?;
    if size != 0 && size < VERSION_0_SIZE || size as usize > 4096 {
        attr.cast::<u32>().write(size_of::<SchedAttr>() as u32)?;
        return Err(Errno::E2BIG);
    }
    let size = if size == 0 { VERSION_0_SIZE } else { size };
    let mut bytes: Vec<u8> = attr.cast::<u8>().read_vec(size as usize)?;
    if bytes.iter().skip(size_of::<SchedAttr>()).any(|byte| *byte != 0) {
        attr.cast::<u32>().write(size_of::<SchedAttr>() as u32)?;
        return Err(Errno::E2BIG);
    }
    bytes.resize(size_of::<SchedAttr>(), 0);
    let new: SchedAttr = zerocopy::FromBytes::read_from_bytes(&bytes).map_err(|_| Errno::EINVAL)?;
    if new.sched_flags & !KNOWN_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let task = thread(tid)?;
    let old = task.sched.get();
    let policy = if new.sched_flags & KEEP_POLICY != 0 { old.policy } else { new.sched_policy };
    if new.sched_flags & KEEP_PARAMS != 0 {
        set_policy(&task, policy, old.rt_priority, None)?;
    } else {
        set_policy(&task, policy, new.sched_priority, Some(new.sched_nice.clamp(-20, 19)))?;
    }
    Ok(0)
}

/// sched_getattr(2): as much of the structure as the caller has room for.
pub fn sched_getattr(tid: i32, attr: UserPtr<u8>, size: u32, flags: u32) -> SysResult {
    const VERSION_0_SIZE: u32 = 48;
    if attr.is_null() || tid < 0 || !(VERSION_0_SIZE..=4096).contains(&size) || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let params = thread(tid)?.sched.get();
    let known = size_of::<SchedAttr>().min(size as usize);
    let value = SchedAttr {
        size: known as u32,
        sched_policy: params.policy,
        sched_nice: if params.rt_priority == 0 { params.nice } else { 0 },
        sched_priority: params.rt_priority,
        ..SchedAttr::default()
    };
    attr.write_slice(zerocopy::IntoBytes::as_bytes(&value).get(..known).unwrap_or_default())?;
    Ok(0)
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(tid: i32, interval: UserPtr<Timespec>) -> SysResult {
    let policy = thread(tid)?.sched.get().policy;
    let ns = match policy {
        g::SCHED_RR => sched::rr_slice(),
        g::SCHED_FIFO => 0,
        _ => sched::TIME_SLICE,
    };
    interval.write(Timespec::from_ns(ns))?;
    Ok(0)
}

/// sched_setaffinity(2). `EINVAL` when no CPU that is there is left.
pub fn sched_setaffinity(tid: i32, len: usize, mask: UserPtr<u8>) -> SysResult {
    let given = mask.read_vec(len.min(CPU_MASK_SIZE))?;
    let mut bytes = [0; CPU_MASK_SIZE];
    for (to, from) in bytes.iter_mut().zip(given) {
        *to = from;
    }
    let task = thread(tid)?;
    may_change(&task)?;
    let cpus = u64::from_le_bytes(bytes) & sched::online_cpus();
    if cpus == 0 {
        return Err(Errno::EINVAL);
    }
    sched::change_parameters(&task, || task.affinity.store(cpus, Ordering::Relaxed));
    Ok(0)
}

/// sched_getaffinity(2): returns the size of the kernel's mask.
pub fn sched_getaffinity(tid: i32, len: usize, mask: UserPtr<u64>) -> SysResult {
    if len < CPU_MASK_SIZE || !len.is_multiple_of(size_of::<u64>()) {
        return Err(Errno::EINVAL);
    }
    let cpus = thread(tid)?.affinity.load(Ordering::Relaxed) & sched::online_cpus();
    mask.write(cpus)?;
    Ok(CPU_MASK_SIZE)
}

/// The threads that `which` and `who` name (getpriority(2), ioprio_get(2) with their numbering from 0). `EINVAL`.
fn threads_of(which: i32, who: i32) -> SysResult<Vec<Arc<Task>>> {
    let all = |filter: &dyn Fn(&Task) -> bool| table::tasks().into_iter().filter(|t| filter(t)).collect();
    let me = current();
    Ok(match which {
        0 if who == 0 => alloc::vec![current_arc()],
        0 => table::task(who).into_iter().collect(),
        1 => {
            let group = if who == 0 { me.process.pgid.load(Ordering::Relaxed) } else { who };
            all(&|t| t.process.pgid.load(Ordering::Relaxed) == group)
        }
        2 => {
            let user = if who == 0 { me.credentials().uid } else { who as u32 };
            all(&|t| t.credentials().uid == user)
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

/// getcpu(2).
pub fn getcpu(cpu: UserPtr<u32>, node: UserPtr<u32>, _cache: UserAddr) -> SysResult {
    cpu.write_if_some(this_cpu().id.get())?;
    node.write_if_some(0)?;
    Ok(0)
}

/// ioprio_get(2): no thread has a priority of its own here, which Linux shows as best effort derived from the nice value.
pub fn ioprio_get(which: i32, who: i32) -> SysResult {
    const CLASS_BEST_EFFORT: usize = 2 << 13;
    let threads = threads_of(which - 1, who)?;
    let nice = threads.iter().map(|task| task.sched.get().nice).min().ok_or(Errno::ESRCH)?;
    Ok(CLASS_BEST_EFFORT | ((nice + 20) / 5) as usize)
}
