//! The Linux x86-64 system-call ABI as pure, host-tested code.
#![no_std]
#![forbid(unsafe_code)]

pub mod errno;

pub use errno::{Errno, SysResult};
