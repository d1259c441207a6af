//! Time: clock_gettime(2), gettimeofday(2), nanosleep(2), times(2), getrusage(2), adjtimex(2).

use alloc::boxed::Box;

use linux_raw_sys::general as g;
use syscall_shim::types::{NSEC_PER_SEC, Rusage, Timespec, Timeval, Timex, Timezone, Tms};
use syscall_shim::{Errno, SysResult};

use crate::arch::clock::{monotonic_ns, realtime_ns};
use crate::usermem::UserPtr;
use task::clock::{self, Clock};
use task::usage::Usage;
use task::vdso;
use task::{current, ntp, sched};

/// Nanoseconds of a clock tick (`sysconf(_SC_CLK_TCK)` is 100).
const TICK: u64 = 10_000_000;
const TIMER_ABSTIME: u32 = 1;
/// Capabilities (capabilities(7)).
const CAP_SYS_TIME: u32 = 25;

/// clock_gettime(2).
pub fn clock_gettime(id: i32, time: UserPtr<Timespec>) -> SysResult {
    time.write(Timespec::from_ns(Clock::from_id(id)?.now()))?;
    Ok(0)
}

/// clock_getres(2): all clocks count nanoseconds, and the coarse ones are no coarser here than they
/// have to be; they say what Linux says, a tick.
pub fn clock_getres(id: i32, resolution: UserPtr<Timespec>) -> SysResult {
    let tick = u64::from(task::vdso::COARSE_RESOLUTION_NS);
    Clock::from_id(id)?;
    let coarse = id >= 0 && matches!(id as u32, g::CLOCK_REALTIME_COARSE | g::CLOCK_MONOTONIC_COARSE);
    resolution.write_if_some(Timespec::from_ns(if coarse { tick } else { 1 }))?;
    Ok(0)
}

fn may_set_time() -> SysResult<()> {
    if current().credentials().capable(CAP_SYS_TIME) { Ok(()) } else { Err(Errno::EPERM) }
}

/// A time of day in nanoseconds. `EINVAL` for one from which the clock could not go on for 30
/// years.
fn settable(time: Timespec) -> SysResult<u64> {
    const LATEST: i64 = 9_223_372_036 - 30 * 365 * 24 * 3600;
    let ns = time.to_ns()?;
    if time.tv_sec >= LATEST { Err(Errno::EINVAL) } else { Ok(ns) }
}

/// clock_settime(2).
pub fn clock_settime(id: i32, time: UserPtr<Timespec>) -> SysResult {
    if id != g::CLOCK_REALTIME as i32 {
        // Other clocks exist but cannot be set.
        Clock::from_id(id)?;
        return Err(Errno::EINVAL);
    }
    let ns = settable(time.read()?)?;
    may_set_time()?;
    // The monotonic clock would have started before 1970.
    if ns < monotonic_ns() {
        return Err(Errno::EINVAL);
    }
    clock::set_realtime(ns);
    ntp::clear();
    Ok(0)
}

/// gettimeofday(2).
pub fn gettimeofday(time: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> SysResult {
    time.write_if_some(Timeval::from_ns(realtime_ns()))?;
    let (tz_minuteswest, tz_dsttime) = vdso::zone();
    zone.write_if_some(Timezone { tz_minuteswest, tz_dsttime })?;
    Ok(0)
}

/// settimeofday(2). Linux moves the clock by the first time zone that it is told alone, which is
/// for the start of the system to do where the hardware's clock shows local time. Here it shows
/// UTC.
pub fn settimeofday(time: UserPtr<Timeval>, zone: UserPtr<Timezone>) -> SysResult {
    /// Minutes from Greenwich.
    const ZONES: core::ops::RangeInclusive<i32> = -15 * 60..=15 * 60;
    let new = time.non_null().map(|time| time.read()).transpose()?;
    if new.is_some_and(|time| !(0..1_000_000).contains(&time.tv_usec)) {
        return Err(Errno::EINVAL);
    }
    let zone = zone.non_null().map(|zone| zone.read()).transpose()?;
    let ns = new.map(|Timeval { tv_sec, tv_usec }| settable(Timespec { tv_sec, tv_nsec: tv_usec * 1000 })).transpose()?;
    may_set_time()?;
    if zone.is_some_and(|zone| !ZONES.contains(&zone.tz_minuteswest)) {
        return Err(Errno::EINVAL);
    }
    if let Some(zone) = zone {
        vdso::set_zone(zone.tz_minuteswest, zone.tz_dsttime);
    }
    if let Some(ns) = ns {
        clock::set_realtime(ns);
        ntp::clear();
    }
    Ok(0)
}

/// time(2).
pub fn time(result: UserPtr<i64>) -> SysResult {
    let seconds = (realtime_ns() / NSEC_PER_SEC) as i64;
    result.write_if_some(seconds)?;
    Ok(seconds as usize)
}

/// Sleeps until `clock` shows `at`. `ERESTARTNOHAND` when a signal comes.
fn sleep_until(clock: &Clock, at: u64) -> SysResult<()> {
    clock::sleep_until(clock, at).map_err(|_| Errno::ERESTARTNOHAND)
}

/// Sleeps for a time and says how much is left when a signal interrupts it; after a signal without
/// handler it goes on to the same end.
fn sleep_relative(clock: Clock, end: u64, remaining: UserPtr<Timespec>) -> SysResult {
    if sleep_until(&clock, end).is_ok() {
        return Ok(0);
    }
    let left = end.saturating_sub(clock.now());
    if left == 0 {
        return Ok(0);
    }
    remaining.write_if_some(Timespec::from_ns(left))?;
    let remaining = remaining.addr();
    *current().restart.lock() = Some(Box::new(move || sleep_relative(clock, end, remaining.cast())));
    Err(Errno::ERESTART_RESTARTBLOCK)
}

/// nanosleep(2).
pub fn nanosleep(request: UserPtr<Timespec>, remaining: UserPtr<Timespec>) -> SysResult {
    let ns = request.read()?.to_ns()?;
    sleep_relative(Clock::Monotonic, monotonic_ns().saturating_add(ns), remaining)
}

/// clock_nanosleep(2).
pub fn clock_nanosleep(id: i32, flags: u32, request: UserPtr<Timespec>, remaining: UserPtr<Timespec>) -> SysResult {
    // Clocks that are read only (`CLOCK_MONOTONIC_RAW`, the coarse ones), and the thread's own,
    // cannot be waited for; nor those that wake a machine that sleeps, where no device can.
    if id as u32 == g::CLOCK_THREAD_CPUTIME_ID || Clock::has_no_timers(id) {
        return Err(Errno::EOPNOTSUPP);
    }
    let clock = Clock::from_id(id)?;
    let ns = request.read()?.to_ns()?;
    if flags & TIMER_ABSTIME != 0 {
        return sleep_until(&clock, ns).map(|()| 0);
    }
    // A relative sleep does not follow changes of the time of day.
    let clock = if clock.is_settable() { Clock::Monotonic } else { clock };
    let end = clock.now().saturating_add(ns);
    sleep_relative(clock, end, remaining)
}

/// times(2).
pub fn times(buffer: UserPtr<Tms>) -> SysResult {
    let process = &current().process;
    let (user, system) = process.cpu_time();
    let [child_user, child_system] = process.children_usage().cpu_ns;
    let ticks = |ns: u64| (ns / TICK) as i64;
    buffer.write_if_some(Tms {
        tms_utime: ticks(user),
        tms_stime: ticks(system),
        tms_cutime: ticks(child_user),
        tms_cstime: ticks(child_system),
    })?;
    Ok((monotonic_ns() / TICK) as usize)
}

/// getrusage(2).
pub fn getrusage(who: i32, usage: UserPtr<Rusage>) -> SysResult {
    let task = current();
    let result = match who {
        0 => task.process.usage(),
        -1 => task.process.children_usage(),
        1 => {
            let (user, system) = sched::cpu_time(task);
            let peak_rss = task.process.mm().peak_rss();
            let mut result = Usage { cpu_ns: [user, system], peak_rss, ..Usage::default() };
            result.add_thread(task);
            result
        }
        _ => return Err(Errno::EINVAL),
    };
    usage.write(result.to_rusage())?;
    Ok(0)
}

/// adjtimex(2).
pub fn adjtimex(buffer: UserPtr<Timex>) -> SysResult {
    let mut request = buffer.read()?;
    let state = ntp::adjust(&mut request, may_set_time().is_ok())?;
    buffer.write(request)?;
    Ok(state)
}

/// clock_adjtime(2): adjtimex(2) for a clock, of which only `CLOCK_REALTIME` is one.
pub fn clock_adjtime(id: i32, buffer: UserPtr<Timex>) -> SysResult {
    Clock::from_id(id)?;
    if id != g::CLOCK_REALTIME as i32 {
        return Err(Errno::EOPNOTSUPP);
    }
    adjtimex(buffer)
}
