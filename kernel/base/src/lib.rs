//! The lowest layer of the kernel: what all others know, and nothing of hardware. It builds and is
//! tested on the host.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod addr;
pub mod counts;
pub mod log;
pub mod prot;
pub mod ring;
pub mod symbol;
mod tsc_scale;

pub use tsc_scale::TscScale;
