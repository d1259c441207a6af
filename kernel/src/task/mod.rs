//! Tasks: threads, the processes they belong to, and how they are scheduled, sleep, start and end.

pub mod accounting;
mod arrival;
mod caller;
pub mod clock;
pub mod clone;
pub mod core_dump;
pub mod credentials;
pub mod debugger_view;
pub mod dump;
pub mod exec;
pub mod exit;
pub mod family;
pub mod futex;
pub mod group;
mod halts;
#[cfg(debug_assertions)]
pub mod held_locks;
pub mod init;
pub mod io_context;
mod load;
pub mod ntp;
pub mod oom;
mod ordered;
pub mod posix_timer;
pub mod process;
pub mod reap;
pub mod recent_calls;
mod rights;
pub mod rseq;
pub mod rt_limit;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod table;
pub mod thread;
pub mod timer;
pub mod usage;
pub mod uts;
pub mod wait;
pub mod watchdog;

pub use init::start_init;
pub use process::Process;
pub use sched::{current, current_arc, schedule, yield_now};
pub use thread::Task;

pub use ::caller::Instant;
