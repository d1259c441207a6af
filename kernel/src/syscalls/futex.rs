//! Futexes: futex(2), futex_waitv(2), set_robust_list(2).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general as g;
use syscall_shim::types::{FutexWaitv, RobustListHead, Timespec};
use syscall_shim::{Errno, SysResult};

use crate::arch::clock::monotonic_ns;
use crate::usermem::{UserAddr, UserPtr};
use task::clock::Clock;
use task::futex::{self, MATCH_ANY, Timeout, pi, waitv};
use task::{current, table};

/// `FUTEX_WAITV_MAX`.
const WAITV_MAX: u32 = 128;
/// `FUTEX2_SIZE_U32`, the one size there is, and `FUTEX2_PRIVATE`.
const FUTEX2_SIZE_U32: u32 = 2;
const FUTEX2_PRIVATE: u32 = 128;

/// The time-out of an operation that takes one; relative only for `FUTEX_WAIT`.
fn timeout(ptr: UserPtr<Timespec>, relative: bool, realtime: bool) -> SysResult<Option<Timeout>> {
    let Some(ptr) = ptr.non_null() else { return Ok(None) };
    let ns = ptr.read()?.to_ns()?;
    Ok(Some(if relative {
        Timeout { clock: Clock::Monotonic, at: monotonic_ns().saturating_add(ns) }
    } else {
        Timeout { clock: if realtime { Clock::Realtime } else { Clock::Monotonic }, at: ns }
    }))
}

/// futex(2). `fourth` is a time-out or a second count, as the operation has it.
pub fn futex(addr: UserAddr, op: u32, value: u32, fourth: u64, second: UserAddr, value3: u32) -> SysResult {
    let private = op & g::FUTEX_PRIVATE_FLAG != 0;
    // First what nearly every call wants.
    match op & !g::FUTEX_PRIVATE_FLAG {
        g::FUTEX_WAKE => futex::wake(addr, private, value, MATCH_ANY),
        g::FUTEX_WAIT if fourth == 0 => futex::wait_for_good(addr, private, value, MATCH_ANY),
        _ => other_futex(addr, op, value, fourth, second, value3),
    }
}

/// The rarer operations.
#[inline(never)]
fn other_futex(addr: UserAddr, op: u32, value: u32, fourth: u64, second: UserAddr, value3: u32) -> SysResult {
    let private = op & g::FUTEX_PRIVATE_FLAG != 0;
    let realtime = op & g::FUTEX_CLOCK_REALTIME != 0;
    let command = op & !(g::FUTEX_PRIVATE_FLAG | g::FUTEX_CLOCK_REALTIME);
    let takes_clock = matches!(command, g::FUTEX_WAIT_BITSET | g::FUTEX_WAIT_REQUEUE_PI | g::FUTEX_LOCK_PI2);
    if realtime && !takes_clock {
        return Err(Errno::ENOSYS);
    }
    let time = |realtime| timeout(UserPtr::new(fourth), command == g::FUTEX_WAIT, realtime);
    let count2 = fourth as i32;
    match command {
        g::FUTEX_WAIT => futex::wait(addr, private, value, MATCH_ANY, time(false)?),
        g::FUTEX_WAIT_BITSET => futex::wait(addr, private, value, value3, time(realtime)?),
        g::FUTEX_WAKE_BITSET => futex::wake(addr, private, value, value3),
        g::FUTEX_REQUEUE => futex::requeue((addr, private), (second, private), value as i32, count2, None),
        g::FUTEX_CMP_REQUEUE => futex::requeue((addr, private), (second, private), value as i32, count2, Some(value3)),
        g::FUTEX_WAKE_OP => futex::wake_op(addr, second, private, value, count2 as u32, value3),
        g::FUTEX_LOCK_PI => pi::lock(addr, private, true, time(true)?.as_ref()),
        g::FUTEX_LOCK_PI2 => pi::lock(addr, private, true, time(realtime)?.as_ref()),
        g::FUTEX_TRYLOCK_PI => pi::lock(addr, private, false, None),
        g::FUTEX_UNLOCK_PI => pi::unlock(addr, private),
        g::FUTEX_WAIT_REQUEUE_PI => {
            futex::wait_requeue_pi(addr, private, value, MATCH_ANY, time(realtime)?.as_ref(), second)
        }
        g::FUTEX_CMP_REQUEUE_PI => futex::requeue_pi(addr, second, private, value as i32, count2, value3),
        _ => Err(Errno::ENOSYS),
    }
}

/// Whether flags of futex2 calls ask for a private futex. `EINVAL` for sizes other than 32 bits and
/// unknown bits.
fn is_private(flags: u32) -> SysResult<bool> {
    if flags & !FUTEX2_PRIVATE != FUTEX2_SIZE_U32 {
        return Err(Errno::EINVAL);
    }
    Ok(flags & FUTEX2_PRIVATE != 0)
}

/// The absolute time-out of futex2 calls, on `CLOCK_REALTIME` or `CLOCK_MONOTONIC`.
fn timeout2(ptr: UserPtr<Timespec>, clock: i32) -> SysResult<Option<Timeout>> {
    if ptr.is_null() {
        return Ok(None);
    }
    match clock as u32 {
        g::CLOCK_REALTIME => timeout(ptr, false, true),
        g::CLOCK_MONOTONIC => timeout(ptr, false, false),
        _ => Err(Errno::EINVAL),
    }
}

/// futex_waitv(2).
pub fn futex_waitv(waiters: UserPtr<FutexWaitv>, count: u32, flags: u32, time: UserPtr<Timespec>, clock: i32) -> SysResult {
    if flags != 0 || count == 0 || count > WAITV_MAX || waiters.is_null() {
        return Err(Errno::EINVAL);
    }
    let timeout = timeout2(time, clock)?;
    let words = waiters
        .read_vec(count as usize)?
        .into_iter()
        .map(|w| {
            if w.reserved != 0 {
                return Err(Errno::EINVAL);
            }
            Ok(waitv::Word { addr: UserAddr(w.uaddr), private: is_private(w.flags)?, expected: w.val as u32 })
        })
        .collect::<SysResult<Vec<_>>>()?;
    waitv::wait_any(&words, timeout.as_ref())
}

/// futex_wake (Linux 6.7).
pub fn futex_wake(addr: UserAddr, mask: u64, count: i32, flags: u32) -> SysResult {
    let private = is_private(flags)?;
    let bitset = u32::try_from(mask).map_err(|_| Errno::EINVAL)?;
    if count == 0 {
        return Ok(0);
    }
    futex::wake(addr, private, count as u32, bitset)
}

/// futex_wait (Linux 6.7).
pub fn futex_wait(addr: UserAddr, value: u64, mask: u64, flags: u32, time: UserPtr<Timespec>, clock: i32) -> SysResult {
    let private = is_private(flags)?;
    let bitset = u32::try_from(mask).map_err(|_| Errno::EINVAL)?;
    let expected = u32::try_from(value).map_err(|_| Errno::EINVAL)?;
    futex::wait(addr, private, expected, bitset, timeout2(time, clock)?)
}

/// futex_requeue (Linux 6.7): the two words are described as for futex_waitv(2).
pub fn futex_requeue(waiters: UserPtr<FutexWaitv>, flags: u32, wake: i32, requeue: i32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let words: [FutexWaitv; 2] = UserPtr::new(waiters.addr().0).read()?;
    let [from, to] = words;
    let (from_private, to_private) = (is_private(from.flags)?, is_private(to.flags)?);
    let expected = Some(from.val as u32);
    futex::requeue((UserAddr(from.uaddr), from_private), (UserAddr(to.uaddr), to_private), wake, requeue, expected)
}

/// set_robust_list(2).
pub fn set_robust_list(head: UserAddr, len: usize) -> SysResult {
    if len != size_of::<RobustListHead>() {
        return Err(Errno::EINVAL);
    }
    current().robust_list.store(head.0, Ordering::Relaxed);
    Ok(0)
}

/// get_robust_list(2).
pub fn get_robust_list(tid: i32, head: UserPtr<u64>, len: UserPtr<u64>) -> SysResult {
    let list = if tid == 0 {
        current().robust_list.load(Ordering::Relaxed)
    } else {
        let task = table::task(tid).ok_or(Errno::ESRCH)?;
        super::identity::may_inspect(&task)?;
        task.robust_list.load(Ordering::Relaxed)
    };
    len.write(size_of::<RobustListHead>() as u64)?;
    head.write(list)?;
    Ok(0)
}
