//! The resource limits of the running program that concern memory (getrlimit(2)).

use linux_raw_sys::general;

use super::flags::MMAP_MIN_ADDR;

/// No limit.
pub const INFINITY: u64 = u64::MAX;

/// Soft limits in bytes, and the privilege to lock memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `RLIMIT_AS`
    pub address_space: u64,
    /// `RLIMIT_DATA`
    pub data: u64,
    /// `RLIMIT_STACK`
    pub stack: u64,
    /// `RLIMIT_MEMLOCK`
    pub memlock: u64,
    /// `CAP_IPC_LOCK`: `memlock` does not bind.
    pub may_lock: bool,
}

/// Whether the current process gets no large pages (`PR_SET_THP_DISABLE`).
pub fn huge_pages_disabled() -> bool {
    crate::task::current().process.thp_disabled.load(core::sync::atomic::Ordering::Relaxed)
}

/// Whether the current task may have a mapping begin exactly at `addr`: below [`MMAP_MIN_ADDR`] that takes `CAP_SYS_RAWIO`.
pub fn may_map_at(addr: u64) -> bool {
    const CAP_SYS_RAWIO: u32 = 17;
    addr >= MMAP_MIN_ADDR || crate::task::current().credentials().capable(CAP_SYS_RAWIO)
}

/// Those of the current task.
pub fn current() -> Limits {
    const CAP_IPC_LOCK: u32 = 14;
    let task = crate::task::current();
    let limits = task.process.rlimits.lock();
    let soft = |resource: u32| limits.get(resource as usize).map_or(INFINITY, |limit| limit.soft);
    Limits {
        address_space: soft(general::RLIMIT_AS),
        data: soft(general::RLIMIT_DATA),
        stack: soft(general::RLIMIT_STACK),
        memlock: soft(general::RLIMIT_MEMLOCK),
        may_lock: task.credentials().capable(CAP_IPC_LOCK),
    }
}
