//! What several may use together, and how many do: whoever only looks at it holds a reference and
//! is no user.

use alloc::sync::Arc;
use core::ops::Deref;

use crate::cpu::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many users something has.
#[derive(Default)]
pub struct Users(AtomicUsize);

impl Users {
    /// How many there are. Only a user who is the only one can rely on it: others come from users
    /// alone.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// What counts its users.
pub trait HasUsers {
    /// The count.
    fn users(&self) -> &Users;
}

/// One user's part in it.
pub struct Use<T: HasUsers> {
    of: Arc<T>,
    counted: AtomicBool,
}

impl<T: HasUsers> Use<T> {
    /// One more user.
    pub fn new(of: Arc<T>) -> Self {
        of.users().0.fetch_add(1, Ordering::AcqRel);
        Self { of, counted: AtomicBool::new(true) }
    }

    /// Ends the use; it can still be looked at.
    pub fn end(&self) {
        if self.counted.swap(false, Ordering::AcqRel) {
            self.of.users().0.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// For who only looks.
    pub fn arc(&self) -> Arc<T> {
        self.of.clone()
    }
}

impl<T: HasUsers> Deref for Use<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.of
    }
}

impl<T: HasUsers> Drop for Use<T> {
    fn drop(&mut self) {
        self.end();
    }
}
