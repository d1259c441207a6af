//! Tasks: threads, the processes they belong to, and how they are scheduled, sleep, start and end.
//!
//! From below to above: `thread`, `process` and `table` are what there is; `sched`, `timer`,
//! `clock` and `wait` are time; `signal`, `futex`, `seccomp` and `rseq` are what threads do to each
//! other and have done to them; `clone`, `exec`, `exit`, `family` and `reap` are lives; `core_dump`
//! and `dump` tell of them. What lies above, as files, traces and the entry of system calls, is
//! reached by [`upcalls`].
//!
//! Unsafe code is where a stack is switched or laid out, and where lists of counted tasks are
//! linked.
// A task's registers are the processor's; `kernel/tests` runs what needs none.
#![cfg(target_os = "none")]
#![no_std]

extern crate alloc;
#[macro_use]
extern crate base;

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
pub mod io_context;
mod load;
mod namespace;
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
pub mod upcalls;
pub mod usage;
pub mod uts;
pub mod vdso;
pub mod wait;
pub mod watchdog;

pub use namespace::{namespace, set_namespace};
pub use process::Process;
pub use sched::{current, current_arc, schedule, yield_now};
pub use thread::Task;

pub use ::caller::Instant;
