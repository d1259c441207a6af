//! Locks.
//!
//! The kernel is preempted only where it says so, so a [`SpinLock`] may be held with interrupts on
//! as long as no interrupt handler takes it. What interrupt handlers touch (run queues, wait
//! queues, timers, pending signals, the heap) is behind an [`IrqSpinLock`]. Only a [`SleepMutex`]
//! or a [`SleepRwLock`] may be held over something that can sleep: a page fault, a copy to or from
//! the application, a disk read.
//!
//! With an [`IrqSpinLock`] held no [`SpinLock`] is taken: its holder may be interrupted by a
//! handler that wants the former. Kernels with debug assertions check that ([`order`]), that locks
//! are always taken in the same order, that no spinning one is held across a sleep, and none over a
//! wait that another party decides.
//!
//! Whoever has to sleep does so in a [`wait::WaitQueue`]; the tasks above say how, by the trait
//! [`scheduler::Scheduler`].
#![no_std]

extern crate alloc;
#[macro_use]
extern crate base;
#[cfg(not(target_os = "none"))]
extern crate std;

mod arc_table;
mod cpu;
mod irq_spin_lock;
#[cfg(test)]
mod put_back;
mod rw;
pub mod scheduler;
mod sleep;
mod spin_lock;
mod users;
pub mod wait;

/// The monotonic clock, by which waits have their deadlines.
pub mod clock {
    #[cfg(not(target_os = "none"))]
    pub use crate::cpu::clock::hasten;
    pub use crate::cpu::clock::monotonic_ns;
}

pub use lock_order as order;

pub use arc_table::{ArcTable, Writer};
pub use irq_spin_lock::{IrqSpinGuard, IrqSpinLock};
pub use rw::{ReadGuard, SleepRwLock, WriteGuard};
pub use sleep::{SleepGuard, SleepMutex};
pub use spin_lock::{SpinGuard, SpinLock};
pub use users::{HasUsers, Use, Users};

#[cfg(test)]
mod tests;
