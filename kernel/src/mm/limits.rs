//! The resource limits of the running program that concern memory (getrlimit(2)).

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

/// Those of the current task; Linux's defaults before there is one.
pub fn current() -> Limits {
    Limits { address_space: INFINITY, data: INFINITY, stack: 8 << 20, memlock: 8 << 20, may_lock: true }
}
