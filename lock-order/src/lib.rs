//! The order of locks, checked as they are taken: one family, whoever makes them. The kernel's
//! spinning and sleeping locks (`sync`) and those of the file systems (`fs::sync`) each have a
//! [`Class`], and report here what is done with them. In builds without debug assertions nothing of
//! this is left, nor is anything stored in the locks.
//!
//! A lock's class is the place in the source that makes it. Which class was taken while which other
//! one was held is kept as a graph over classes; a new edge that closes a circle is a deadlock that
//! has only not happened yet, and a panic, with the stack that made the opposite edge beside the
//! present one. Locks of one class may be held together: each place that does so says in which
//! order (the futex buckets by index, inodes from the root down).
//!
//! What is checked:
//! - a lock is taken in the same order as before, with respect to those of its kind that are held:
//!   [`acquire`], [`acquire_sleeping`]. Between the kinds there is one order: sleeping ones first.
//! - nothing sleeps, and no sleeping lock is taken, with a spinning one held: [`may_sleep`];
//! - no spinning lock of threads is taken with interrupts off: [`interrupts_may_come`];
//! - nobody waits for another party (a peer, a terminal, a child) with a lock held:
//!   [`may_wait_for_others`].
//!
//! The policy that these checks are a part of is in docs/internals/policies.md.
//!
//! Spinning locks belong to the CPU that took them, sleeping ones to the task. Where each keeps
//! what it holds says the [`Context`]; before there is one nothing is checked.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(debug_assertions)]
mod checked;
#[cfg(debug_assertions)]
mod graph;
#[cfg(debug_assertions)]
mod held;
#[cfg(all(test, debug_assertions))]
mod tests;
#[cfg(not(debug_assertions))]
mod unchecked;

#[cfg(debug_assertions)]
pub use checked::*;
#[cfg(debug_assertions)]
pub use graph::Stack;
#[cfg(debug_assertions)]
pub use held::Held;
#[cfg(not(debug_assertions))]
pub use unchecked::*;
