//! Timers: timer_create(2) and its kin, setitimer(2), alarm(2).

use linux_raw_sys::general as g;
use syscall_shim::types::{Itimerspec, Itimerval, NSEC_PER_SEC, Sigevent, Timespec, Timeval};
use syscall_shim::{Errno, Signal, SysResult};

use crate::usermem::UserPtr;
use task::clock::Clock;
use task::current;
use task::posix_timer::{Notify, Setting, default_notify, thread_of_process};

const TIMER_ABSTIME: u32 = 1;

/// timer_create(2).
pub fn timer_create(clock: i32, event: UserPtr<Sigevent>, id: UserPtr<i32>) -> SysResult {
    let process = &current().process;
    if Clock::has_no_timers(clock) {
        return Err(Errno::EOPNOTSUPP);
    }
    let clock = Clock::from_id(clock)?;
    let new = match event.non_null() {
        None => process.timers.create(process, clock, default_notify)?,
        Some(event) => {
            let notify = notification(&event.read()?)?;
            process.timers.create(process, clock, |_| notify)?
        }
    };
    if let Err(errno) = id.write(new) {
        process.timers.delete(process, new)?;
        return Err(errno);
    }
    Ok(0)
}

/// What a sigevent(3type) asks for. `EINVAL`.
fn notification(event: &Sigevent) -> SysResult<Notify> {
    let signal = || u32::try_from(event.sigev_signo).ok().and_then(Signal::new).ok_or(Errno::EINVAL);
    match event.sigev_notify as u32 {
        g::SIGEV_NONE => Ok(Notify::Nothing),
        // SIGEV_THREAD is the C library's business; what comes down here is a signal.
        g::SIGEV_SIGNAL | g::SIGEV_THREAD => Ok(Notify::Process(signal()?, event.sigev_value)),
        g::SIGEV_THREAD_ID => Ok(Notify::Thread(thread_of_process(event.sigev_tid)?, signal()?, event.sigev_value)),
        _ => Err(Errno::EINVAL),
    }
}

fn to_itimerspec(setting: Setting) -> Itimerspec {
    Itimerspec { it_interval: Timespec::from_ns(setting.interval), it_value: Timespec::from_ns(setting.value) }
}

/// timer_settime(2).
pub fn timer_settime(id: i32, flags: u32, new: UserPtr<Itimerspec>, old: UserPtr<Itimerspec>) -> SysResult {
    let new = new.non_null().ok_or(Errno::EINVAL)?.read()?;
    let setting = Setting { value: new.it_value.to_ns()?, interval: new.it_interval.to_ns()? };
    let timer = current().process.timers.get(id)?;
    let before = timer.set(setting, flags & TIMER_ABSTIME != 0);
    old.write_if_some(to_itimerspec(before))?;
    Ok(0)
}

/// timer_gettime(2).
pub fn timer_gettime(id: i32, setting: UserPtr<Itimerspec>) -> SysResult {
    let now = current().process.timers.get(id)?.get();
    setting.write(to_itimerspec(now))?;
    Ok(0)
}

/// timer_getoverrun(2).
pub fn timer_getoverrun(id: i32) -> SysResult {
    Ok(current().process.timers.get(id)?.overrun() as usize)
}

/// timer_delete(2).
pub fn timer_delete(id: i32) -> SysResult {
    let process = &current().process;
    process.timers.delete(process, id)?;
    Ok(0)
}

/// Microseconds, rounded up so that a running timer never shows zero.
fn to_itimerval(setting: Setting) -> Itimerval {
    let up = |ns: u64| Timeval::from_ns(ns.saturating_add(999));
    Itimerval { it_interval: up(setting.interval), it_value: up(setting.value) }
}

/// getitimer(2).
pub fn getitimer(which: i32, value: UserPtr<Itimerval>) -> SysResult {
    let process = &current().process;
    let now = process.timers.interval(process, which)?.get();
    value.write(to_itimerval(now))?;
    Ok(0)
}

/// setitimer(2). Without a new value the timer stops, as Linux still has it.
pub fn setitimer(which: i32, new: UserPtr<Itimerval>, old: UserPtr<Itimerval>) -> SysResult {
    let process = &current().process;
    let setting = match new.non_null() {
        None => Setting::default(),
        Some(new) => {
            let new = new.read()?;
            Setting { value: new.it_value.to_ns()?, interval: new.it_interval.to_ns()? }
        }
    };
    let before = process.timers.interval(process, which)?.set(setting, false);
    old.write_if_some(to_itimerval(before))?;
    Ok(0)
}

/// alarm(2): the seconds that were left, rounded to the nearest, but never to zero for a running
/// alarm.
pub fn alarm(seconds: u32) -> SysResult {
    let process = &current().process;
    let timer = process.timers.interval(process, 0)?;
    let left = timer.set(Setting { value: u64::from(seconds) * NSEC_PER_SEC, interval: 0 }, false).value;
    let rounded = (left + NSEC_PER_SEC / 2) / NSEC_PER_SEC;
    Ok(if left > 0 { rounded.max(1) as usize } else { 0 })
}
