//! Structures that cross the system-call boundary, laid out as Linux on x86-64 lays them out and
//! with the field names of the man pages. All are plain bytes (`zerocopy`), padding is explicit,
//! and sizes are checked at compile time.

mod file;
mod ipc;
mod poll;
mod process;
mod signal;
mod time;
mod tty;

pub use file::*;
pub use ipc::*;
pub use poll::*;
pub use process::*;
pub use signal::*;
pub use time::*;
pub use tty::*;
