//! epoll_create(2), epoll_ctl(2), epoll_wait(2) and their forms.

use fs::OpenFlags;
use linux_raw_sys::general as g;
use syscall_shim::types::{EpollEvent, Timespec};
use syscall_shim::{Errno, SysResult};

use super::paths::file;
use super::poll::sigmask;
use super::time_left::{Timeout, after_ms};
use crate::usermem::UserPtr;
use fd::epoll::Epoll;
use task::signal::with_mask;
use task::{Instant, current};

/// epoll_create1(2).
pub fn epoll_create1(flags: u32) -> SysResult {
    if flags & !g::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    current().files()?.insert(Epoll::open(OpenFlags::empty()), flags != 0).map(|fd| fd as usize)
}

/// epoll_create(2).
pub fn epoll_create(size: i32) -> SysResult {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(0) }
}

/// epoll_ctl(2).
pub fn epoll_ctl(epfd: i32, op: u32, fd: i32, event: UserPtr<EpollEvent>) -> SysResult {
    let event = if op == g::EPOLL_CTL_DEL { EpollEvent::default() } else { event.read()? };
    let instance = file(epfd)?;
    let target = file(fd)?;
    if !target.ops.pollable() {
        return Err(Errno::EPERM);
    }
    let epoll = instance.ops_as::<Epoll>().ok_or(Errno::EINVAL)?;
    match op {
        g::EPOLL_CTL_ADD => epoll.add(&target, fd, event),
        g::EPOLL_CTL_MOD => epoll.modify(&target, fd, event),
        g::EPOLL_CTL_DEL => epoll.delete(&target, fd),
        _ => Err(Errno::EINVAL),
    }
    .map(|()| 0)
}

fn wait_until(epfd: i32, events: UserPtr<EpollEvent>, max: i32, deadline: Option<Instant>) -> SysResult {
    let max = usize::try_from(max).ok().filter(|n| *n > 0 && *n <= i32::MAX as usize / size_of::<EpollEvent>());
    let max = max.ok_or(Errno::EINVAL)?;
    if !events.addr().range_ok(max * size_of::<EpollEvent>()) {
        return Err(Errno::EFAULT);
    }
    let instance = file(epfd)?;
    let epoll = instance.ops_as::<Epoll>().ok_or(Errno::EINVAL)?;
    epoll.wait(max, deadline, &mut |index, event| events.add(index).write(event))
}

/// epoll_wait(2).
pub fn epoll_wait(epfd: i32, events: UserPtr<EpollEvent>, max: i32, timeout: i32) -> SysResult {
    wait_until(epfd, events, max, after_ms(timeout))
}

/// epoll_pwait(2).
pub fn epoll_pwait(
    epfd: i32,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: i32,
    mask: UserPtr<u64>,
    size: usize,
) -> SysResult {
    let mask = sigmask(mask, size)?;
    with_mask(mask, || wait_until(epfd, events, max, after_ms(timeout)))
}

/// epoll_pwait2(2).
pub fn epoll_pwait2(
    epfd: i32,
    events: UserPtr<EpollEvent>,
    max: i32,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<u64>,
    size: usize,
) -> SysResult {
    let timeout = Timeout::from_timespec(timeout)?;
    let mask = sigmask(mask, size)?;
    with_mask(mask, || wait_until(epfd, events, max, timeout.deadline))
}
