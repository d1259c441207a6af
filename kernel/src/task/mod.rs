//! Tasks: threads, the processes they belong to, and how they are scheduled, sleep, start and end.

pub mod accounting;
mod arrival;
pub mod clock;
pub mod clone;
pub mod core_dump;
pub mod credentials;
pub mod dump;
pub mod exec;
pub mod exit;
pub mod family;
pub mod first;
pub mod futex;
pub mod group;
pub mod history;
pub mod io_context;
mod load;
pub mod ntp;
pub mod oom;
pub mod per_user;
pub mod posix_timer;
pub mod process;
pub mod reap;
pub mod rseq;
pub mod rt_limit;
pub mod sched;
pub mod seccomp;
pub mod set_ids;
pub mod shown;
pub mod signal;
pub mod table;
pub mod thread;
pub mod timer;
pub mod usage;
pub mod uts;
pub mod wait;
pub mod watchdog;

pub use first::start_first_process;
pub use process::Process;
pub use sched::{current, current_arc, schedule, yield_now};
pub use thread::Task;

/// A point on the monotonic clock, in nanoseconds since boot.
pub type Instant = u64;
