//! Interprocess communication: that of System V (sysvipc(7)), objects that keys and ids name, and
//! their permissions, and POSIX message queues, which are files.
//!
//! [`msg`], [`sem`] and [`shm`] have the three kinds of the former, [`mqueue`] has the latter. How
//! a segment of memory is mapped is the address spaces' to say.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod limits;
pub mod mqueue;
pub mod msg;
mod registry;
pub mod sem;
pub mod shm;
#[cfg(test)]
mod tests;

pub use registry::{Object, Permissions, Registry};

/// `IPC_NOWAIT`.
pub const IPC_NOWAIT: u32 = 0o4000;
/// Commands of the `*ctl` calls, without `IPC_64`.
pub const IPC_RMID: u32 = 0;
/// `IPC_SET`
pub const IPC_SET: u32 = 1;
/// `IPC_STAT`
pub const IPC_STAT: u32 = 2;
/// `IPC_INFO`
pub const IPC_INFO: u32 = 3;

/// Reading, as a permission to ask for.
pub const READ: u32 = 0o444;
/// Writing (altering).
pub const WRITE: u32 = 0o222;

/// Now, in seconds since 1970: `shm_ctime` and its like.
pub fn now() -> i64 {
    fs::platform::now().sec
}
