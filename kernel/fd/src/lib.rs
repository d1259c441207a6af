//! Open files.
//!
//! [`fd_table`] gives descriptors to [`open_file`]s; an open file has [`FileOps`], which one module
//! per kind implements. Here are the kinds that need no task, device or network: [`regular`],
//! [`dir`], [`pseudo_file`], [`pipe`], [`epoll`], [`eventfd`], [`signalfd`], [`inotify`]. Bytes
//! move through [`io`]; readiness is [`poll`]'s. Who calls is [`caller`]'s to say.
//!
//! Locks: a description's position, then the file's own locks (inode lock, ring of a pipe), which
//! sleep; spin locks are leaves.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(all(any(test, feature = "testing"), not(target_os = "none")))]
extern crate std;

pub mod anon;
mod caller_table;
pub mod dir;
pub mod dnotify;
pub mod epoll;
pub mod eventfd;
pub mod events;
pub mod fd_table;
pub mod fileattr;
pub mod inotify;
pub mod io;
pub mod lease;
pub mod locks;
pub mod open_file;
pub mod owner;
pub mod pipe;
pub mod pipe_share;
pub mod poll;
pub mod pseudo_file;
pub mod regular;
pub mod signalfd;
pub mod socket;
pub mod socket_filter;
pub mod splice;
#[cfg(all(any(test, feature = "testing"), not(target_os = "none")))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use caller::{FsContext, capable, with_fs};
pub use caller_table::{caller_table, set_caller_table};
pub use fd_table::FdTable;
pub use open_file::{FileOps, OpenFile};
