//! The Linux x86-64 system-call ABI as pure, host-tested code.
#![no_std]
#![forbid(unsafe_code)]

pub mod errno;
pub mod table;

pub use errno::{Errno, SysResult};
pub use table::{Arg, NR_SYSCALLS, Status};
