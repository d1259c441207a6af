//! The Linux x86-64 system-call ABI as pure, host-tested code.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod layout;
pub mod core_file;
pub mod errno;
pub mod errno_text;
pub mod flags;
pub mod halt;
mod instruction;
pub mod patching;
pub mod signal;
pub mod signal_frame;
pub mod table;
pub mod trace;
pub mod types;
pub mod vdso;

pub use errno::{Errno, SysResult};
pub use flags::*;
pub use signal::{DefaultAction, SigSet, Signal};
pub use table::{Arg, NR_SYSCALLS, Status};

/// Bytes in a page: the one definition, which the other crates pass on.
pub const PAGE_SIZE: usize = 4096;
