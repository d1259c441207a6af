//! Open files: the kinds that know tasks, devices or the network, besides those of [`fd`]. [`open`]
//! chooses among them for a file that was found by its name.

pub mod console;
pub mod devices;
pub mod fs_context;
pub mod host_stream;
pub mod hugetlb;
pub mod kmsg;
pub mod mapped;
pub mod memfd;
pub mod missing_paths;
pub mod open;
pub mod pidfd;
pub mod pidfd_info;
mod random;
pub mod seccomp_notify;
pub mod stdio;
pub mod timerfd;

pub use stdio::open_standard_files;
