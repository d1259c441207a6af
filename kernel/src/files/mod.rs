//! Open files.
//!
//! [`fd_table`] gives descriptors to [`open_file`]s; an open file has [`FileOps`], which one module per kind implements:
//! [`regular`], [`dir`], [`pseudo_file`], [`devices`], [`tty`], [`pipe`], [`epoll`] and so on. [`open`] chooses among them for a
//! file that was found by its name. Bytes move through [`io`]; readiness is [`poll`]'s.
//!
//! Locks: a description's position, then the file's own locks (inode lock, ring of a pipe), which sleep; spin locks are leaves.

pub mod anon;
pub mod devices;
pub mod dir;
pub mod dnotify;
pub mod epoll;
pub mod eventfd;
pub mod events;
pub mod fd_table;
pub mod fileattr;
pub mod fs_context;
pub mod host_stream;
pub mod inotify;
pub mod io;
pub mod kmsg;
pub mod lease;
pub mod locks;
pub mod mapped;
pub mod memfd;
pub mod missing_paths;
pub mod open;
pub mod open_file;
pub mod owner;
mod page_copy;
pub mod pidfd;
mod pidfd_info;
pub mod pipe;
pub mod pipe_share;
pub mod poll;
pub mod pseudo_file;
mod random;
pub mod regular;
pub mod seccomp_notify;
pub mod signalfd;
pub mod socket;
pub mod splice;
pub mod stdio;
pub mod timerfd;
pub mod tty;
pub mod unix;

pub use caller::{FsContext, capable, with_fs};
pub use fd_table::FdTable;
pub use open_file::{FileOps, OpenFile};
pub use stdio::open_standard_files;
