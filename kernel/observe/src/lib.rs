//! How the kernel is seen from outside: its messages, the link to the host tool and what goes over
//! it, names for addresses, how long calls take, and its end.
//!
//! All of it knows the machine and its devices, and nothing of tasks: what tells of those, as a
//! trace or a sample, lies above them and sends through here. With nobody who looks on, each costs
//! a load.
// The link is a device's; `kernel/tests` runs what needs none.
#![cfg(target_os = "none")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[macro_use]
extern crate base;

pub mod host_link;
pub mod latency;
pub mod log;
pub mod mmap_events;
pub mod panic;
pub mod sampling;
pub mod symbols;
