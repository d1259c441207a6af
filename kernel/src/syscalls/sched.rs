//! Scheduling: sched_yield(2), sched_setscheduler(2), sched_setattr(2), sched_setaffinity(2),
//! getcpu(2).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_raw_sys::general as g;
use syscall_shim::types::{SchedAttr, SchedParam, Timespec};
use syscall_shim::{Errno, PAGE_SIZE, SysResult};

use crate::arch::percpu::this_cpu;
use crate::usermem::{self, UserAddr, UserPtr};
use task::sched::deadline::Budget;
use task::thread::SchedParams;
use task::{Task, current, current_arc, sched, table, yield_now};

pub(super) const CAP_SYS_NICE: u32 = 23;
/// `SCHED_RESET_ON_FORK`, or-ed to a policy.
const RESET_ON_FORK: u32 = 0x4000_0000;
const MAX_RT_PRIORITY: u32 = 99;
/// Bytes of the kernel's CPU mask.
const CPU_MASK_SIZE: usize = 8;

/// The thread `tid`, the caller for 0. `ESRCH`.
fn thread(tid: i32) -> SysResult<Arc<Task>> {
    if tid == 0 { Ok(current_arc()) } else { table::task(tid).ok_or(Errno::ESRCH) }
}

/// `EINVAL` for what most calls take for no id at all.
fn check_id(tid: i32) -> SysResult<()> {
    if tid < 0 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Whether the caller may change how `task` is scheduled: its owner may.
pub(super) fn may_change(task: &Task) -> SysResult<()> {
    let (me, other) = (current().credentials(), task.credentials());
    if me.euid == other.uid || me.euid == other.euid || me.capable(CAP_SYS_NICE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Whether `nice` is not below what the caller may ask for (`RLIMIT_NICE`: 20 less the limit).
pub(super) fn may_be_nice(task: &Task, nice: i32) -> bool {
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

/// Gives `task` other parameters, with a budget for `SCHED_DEADLINE`.
fn set_parameters(task: &Arc<Task>, new: SchedParams, budget: Option<Budget>) -> SysResult<()> {
    let (min, max) = priorities(new.policy)?;
    let is_deadline = new.policy == g::SCHED_DEADLINE;
    if is_deadline != budget.is_some() || !(min..=max).contains(&new.rt_priority) {
        return Err(Errno::EINVAL);
    }
    let old = task.sched.get();
    let limit = task.process.rlimit(g::RLIMIT_RTPRIO);
    let raises = if is_deadline {
        true
    } else if new.is_realtime() {
        new.policy != old.policy && limit == 0 || new.rt_priority > old.rt_priority && u64::from(new.rt_priority) > limit
    } else {
        new.nice < old.nice && !may_be_nice(task, new.nice)
    };
    // SCHED_IDLE is left as nice 20 would be.
    let leaves_idle = old.policy == g::SCHED_IDLE && new.policy != g::SCHED_IDLE && !may_be_nice(task, old.nice);
    let privileged = raises || leaves_idle || old.reset_on_fork && !new.reset_on_fork || may_change(task).is_err();
    if privileged && !current().credentials().capable(CAP_SYS_NICE) {
        return Err(Errno::EPERM);
    }
    let budget = budget.unwrap_or_default();
    if is_deadline && task.affinity.load(Ordering::Relaxed) & sched::online_cpus() != sched::online_cpus() {
        return Err(Errno::EPERM);
    }
    sched::deadline::promise(task.deadline.budget(), budget)?;
    sched::change_parameters(task, || {
        task.sched.set(new);
        task.deadline.set(budget);
    });
    task.timer_slack.follow(new);
    Ok(())
}

/// The priority that a program gives. `EINVAL` for NULL.
fn priority_given(tid: i32, param: UserPtr<SchedParam>) -> SysResult<u32> {
    check_id(tid)?;
    // What is negative is no priority of any policy.
    Ok(param.non_null().ok_or(Errno::EINVAL)?.read()?.sched_priority as u32)
}

/// sched_setscheduler(2).
pub fn sched_setscheduler(tid: i32, policy: i32, param: UserPtr<SchedParam>) -> SysResult {
    let policy = u32::try_from(policy).map_err(|_| Errno::EINVAL)?;
    let rt_priority = priority_given(tid, param)?;
    let task = thread(tid)?;
    let nice = task.sched.get().nice;
    let reset_on_fork = policy & RESET_ON_FORK != 0;
    set_parameters(&task, SchedParams { policy: policy & !RESET_ON_FORK, rt_priority, nice, reset_on_fork }, None)?;
    Ok(0)
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(tid: i32) -> SysResult {
    check_id(tid)?;
    let params = thread(tid)?.sched.get();
    Ok((params.policy | if params.reset_on_fork { RESET_ON_FORK } else { 0 }) as usize)
}

/// sched_setparam(2).
pub fn sched_setparam(tid: i32, param: UserPtr<SchedParam>) -> SysResult {
    let rt_priority = priority_given(tid, param)?;
    let task = thread(tid)?;
    let old = task.sched.get();
    let budget = (old.policy == g::SCHED_DEADLINE).then(|| task.deadline.budget());
    set_parameters(&task, SchedParams { rt_priority, ..old }, budget)?;
    Ok(0)
}

/// sched_getparam(2).
pub fn sched_getparam(tid: i32, param: UserPtr<SchedParam>) -> SysResult {
    check_id(tid)?;
    let param = param.non_null().ok_or(Errno::EINVAL)?;
    let params = thread(tid)?.sched.get();
    param.write(SchedParam { sched_priority: params.rt_priority as i32 })?;
    Ok(0)
}

/// `SCHED_FLAG_*` of sched_setattr(2).
const FLAG_RESET_ON_FORK: u64 = 0x01;
/// `SCHED_FLAG_RECLAIM` and `SCHED_FLAG_DL_OVERRUN`
const BUDGET_FLAGS: u64 = 0x06;

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
    let size = if size == 0 { VERSION_0_SIZE } else { size };
    let too_big = |errno| {
        if errno == Errno::E2BIG {
            // What there is to know of this kernel's size.
            attr.cast::<u32>().write(size_of::<SchedAttr>() as u32)?;
        }
        Err(errno)
    };
    if !(VERSION_0_SIZE..=PAGE_SIZE as u32).contains(&size) {
        return too_big(Errno::E2BIG);
    }
    let new: SchedAttr = match usermem::read_extensible(attr, size as usize) {
        Ok(new) => new,
        Err(errno) => return too_big(errno),
    };
    if new.sched_policy > i32::MAX as u32 {
        return Err(Errno::EINVAL);
    }
    let task = thread(tid)?;
    let old = task.sched.get();
    let keeps_params = new.sched_flags & KEEP_PARAMS != 0;
    let params = SchedParams {
        // Of the parameters to keep the policy is one.
        policy: if new.sched_flags & (KEEP_POLICY | KEEP_PARAMS) != 0 { old.policy } else { new.sched_policy },
        rt_priority: if keeps_params { old.rt_priority } else { new.sched_priority },
        nice: if keeps_params { old.nice } else { new.sched_nice.clamp(-20, 19) },
        reset_on_fork: match new.sched_flags & KEEP_POLICY {
            0 => new.sched_flags & FLAG_RESET_ON_FORK != 0,
            _ => old.reset_on_fork,
        },
    };
    if new.sched_flags & KEEP_POLICY == 0 {
        priorities(new.sched_policy)?;
    }
    if new.sched_flags & !KNOWN_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let budget = match params.policy {
        g::SCHED_DEADLINE if keeps_params => Some(task.deadline.budget()),
        g::SCHED_DEADLINE => {
            let flags = new.sched_flags & BUDGET_FLAGS;
            Some(Budget::new(new.sched_runtime, new.sched_deadline, new.sched_period, flags)?)
        }
        _ => None,
    };
    set_parameters(&task, params, budget)?;
    Ok(0)
}

/// sched_getattr(2): as much of the structure as the caller has room for.
pub fn sched_getattr(tid: i32, attr: UserPtr<u8>, size: u32, flags: u32) -> SysResult {
    const VERSION_0_SIZE: u32 = 48;
    if attr.is_null() || tid < 0 || !(VERSION_0_SIZE..=PAGE_SIZE as u32).contains(&size) || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let task = thread(tid)?;
    let params = task.sched.get();
    let budget = task.deadline.budget();
    let known = size_of::<SchedAttr>().min(size as usize);
    let value = SchedAttr {
        size: known as u32,
        sched_policy: params.policy,
        sched_flags: budget.flags | if params.reset_on_fork { FLAG_RESET_ON_FORK } else { 0 },
        sched_nice: if params.is_realtime() { 0 } else { params.nice },
        sched_priority: params.rt_priority,
        sched_runtime: budget.runtime,
        sched_deadline: budget.deadline,
        sched_period: budget.period,
        ..SchedAttr::default()
    };
    attr.write_slice(zerocopy::IntoBytes::as_bytes(&value).get(..known).unwrap_or_default())?;
    Ok(0)
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(tid: i32, interval: UserPtr<Timespec>) -> SysResult {
    check_id(tid)?;
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

/// getcpu(2).
pub fn getcpu(cpu: UserPtr<u32>, node: UserPtr<u32>, _cache: UserAddr) -> SysResult {
    cpu.write_if_some(this_cpu().id.get())?;
    node.write_if_some(0)?;
    Ok(0)
}
