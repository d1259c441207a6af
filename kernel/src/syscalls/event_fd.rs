//! Descriptors that stand for events: eventfd(2), timerfd_create(2), signalfd(2), memfd_create(2).

use fs::OpenFlags;
use linux_raw_sys::general as g;
use syscall_shim::types::Itimerspec;
use syscall_shim::{Errno, MemfdFlags, SigSet, SysResult};

use super::paths::file;
use crate::files::timerfd::TimerFd;
use crate::files::{hugetlb, memfd};
use crate::usermem::{UserAddr, UserPtr, read_cstr_bounded};
use alloc::sync::Arc;
use fd::OpenFile;
use fd::eventfd::EventFd;
use fd::signalfd::SignalFd;
use task::current;

/// `O_CLOEXEC` and `O_NONBLOCK`, which all these calls take under names of their own.
fn common_flags(flags: u32, others: u32) -> SysResult<(OpenFlags, bool)> {
    if flags & !(g::O_CLOEXEC | g::O_NONBLOCK | others) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((OpenFlags::from_bits_retain(flags & g::O_NONBLOCK), flags & g::O_CLOEXEC != 0))
}

fn install(file: Arc<OpenFile>, cloexec: bool) -> SysResult {
    current().files()?.insert(file, cloexec).map(|fd| fd as usize)
}

/// eventfd2(2).
pub fn eventfd2(initial: u32, flags: u32) -> SysResult {
    let (status, cloexec) = common_flags(flags, g::EFD_SEMAPHORE)?;
    install(EventFd::open(initial, flags & g::EFD_SEMAPHORE != 0, status), cloexec)
}

/// eventfd(2).
pub fn eventfd(initial: u32) -> SysResult {
    eventfd2(initial, 0)
}

/// timerfd_create(2).
pub fn timerfd_create(clock: i32, flags: u32) -> SysResult {
    let (status, cloexec) = common_flags(flags, 0)?;
    install(TimerFd::open(clock, status)?, cloexec)
}

/// timerfd_settime(2).
pub fn timerfd_settime(fd: i32, flags: u32, new: UserPtr<Itimerspec>, old: UserPtr<Itimerspec>) -> SysResult {
    const CANCEL_ON_SET: u32 = 2;
    if flags & !(g::TIMER_ABSTIME | CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let new = new.read()?;
    let file = file(fd)?;
    let timer = file.ops_as::<TimerFd>().ok_or(Errno::EINVAL)?;
    let before = timer.set(new, flags & g::TIMER_ABSTIME != 0, flags & CANCEL_ON_SET != 0)?;
    old.write_if_some(before).map(|()| 0)
}

/// timerfd_gettime(2).
pub fn timerfd_gettime(fd: i32, out: UserPtr<Itimerspec>) -> SysResult {
    let file = file(fd)?;
    out.write(file.ops_as::<TimerFd>().ok_or(Errno::EINVAL)?.get()).map(|()| 0)
}

/// signalfd4(2).
pub fn signalfd4(fd: i32, mask: UserPtr<u64>, size: usize, flags: u32) -> SysResult {
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let mask = SigSet(mask.read()?);
    let (status, cloexec) = common_flags(flags, 0)?;
    if fd == -1 {
        return install(SignalFd::open(mask, status), cloexec);
    }
    file(fd)?.ops_as::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(mask);
    Ok(fd as usize)
}

/// signalfd(2).
pub fn signalfd(fd: i32, mask: UserPtr<u64>, size: usize) -> SysResult {
    signalfd4(fd, mask, size, 0)
}

/// memfd_create(2).
pub fn memfd_create(name: UserAddr, flags: u32) -> SysResult {
    const NAME_LIMIT: usize = 250;
    const HUGE_SHIFT: u32 = 26;
    const HUGE_SIZE: u32 = 0x3f << HUGE_SHIFT;
    let known = MemfdFlags::from_bits_truncate(flags);
    let huge = if known.contains(MemfdFlags::MFD_HUGETLB) { HUGE_SIZE } else { 0 };
    if flags & !(MemfdFlags::all().bits() | huge) != 0 || known.contains(MemfdFlags::MFD_EXEC | MemfdFlags::MFD_NOEXEC_SEAL)
    {
        return Err(Errno::EINVAL);
    }
    let name = read_cstr_bounded(name, NAME_LIMIT)?.ok_or(Errno::EINVAL)?;
    let no_exec = known.contains(MemfdFlags::MFD_NOEXEC_SEAL);
    let sealing = known.contains(MemfdFlags::MFD_ALLOW_SEALING) || no_exec;
    let mode = if no_exec { 0o666 } else { 0o777 };
    let file = if known.contains(MemfdFlags::MFD_HUGETLB) {
        let page_shift = match flags >> HUGE_SHIFT & 0x3f {
            0 => hugetlb::DEFAULT_SIZE,
            named => named,
        };
        hugetlb::open(&name, page_shift, sealing, mode)?
    } else {
        memfd::open(&name, sealing, mode)?
    };
    if no_exec {
        file.inode.add_seals(fs::Seals::EXEC, false)?;
    }
    install(file, known.contains(MemfdFlags::MFD_CLOEXEC))
}
