//! The processors: the real ones, or on a host those of the machine that tests have.

#[cfg(target_os = "none")]
pub use arch::{control, ipi, layout, percpu, tlb};

#[cfg(not(target_os = "none"))]
pub(crate) use crate::host::{cpus::*, frames_freed, layout};

/// The frames are free from here on. On a host it is checked that no CPU may still use them.
#[cfg(target_os = "none")]
#[inline(always)]
pub fn frames_freed(_first: u64, _count: usize) {}
