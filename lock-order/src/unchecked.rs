//! What is left in builds that check nothing.

use core::fmt;

/// Where a lock was made.
pub struct Class;

impl Class {
    /// The class of locks that the caller makes.
    #[inline(always)]
    pub const fn here() -> Self {
        Self
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kernel with debug assertions says which")
    }
}

/// A spinning lock is about to be taken.
#[inline(always)]
pub fn acquire(_class: &Class) {}
/// A spinning lock was taken that was free.
#[inline(always)]
pub fn acquired_without_wait(_class: &Class) {}
/// A spinning lock is about to be freed.
#[inline(always)]
pub fn release(_class: &Class) {}
/// A spinning lock is about to be taken that must not be taken with interrupts off.
#[inline(always)]
pub fn interrupts_may_come(_class: &Class) {}
/// A sleeping lock is about to be taken.
#[inline(always)]
pub fn acquire_sleeping(_class: &Class) {}
/// A sleeping lock was taken.
#[inline(always)]
pub fn acquired_sleeping(_class: &Class) {}
/// A sleeping lock is about to be freed.
#[inline(always)]
pub fn release_sleeping(_class: &Class) {}
/// The caller is about to do what can sleep.
#[inline(always)]
pub fn may_sleep() {}
/// The caller is about to wait for what another party decides.
#[inline(always)]
pub fn may_wait_for_others() {}
/// The caller is about to wait for an answer of other CPUs.
#[inline(always)]
pub fn may_wait_for_cpus() {}
