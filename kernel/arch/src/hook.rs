//! A function to be called later, in a static that interrupts and panics can read without a lock.

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Holds a `fn()`, or nothing.
pub struct Hook(AtomicPtr<()>);

impl Default for Hook {
    fn default() -> Self {
        Self::new()
    }
}

impl Hook {
    /// Holds nothing.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `function` in, whatever was there.
    pub fn set(&self, function: fn()) {
        self.0.store(function as *mut (), Ordering::Release);
    }

    /// Puts `function` in if nothing is there; says whether it did.
    pub fn set_if_empty(&self, function: fn()) -> bool {
        self.0.compare_exchange(ptr::null_mut(), function as *mut (), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Calls the function, if there is one.
    pub fn call(&self) {
        let function = self.0.load(Ordering::Acquire);
        if !function.is_null() {
            // SAFETY: only `set` and `set_if_empty` store here, and they store a `fn()`.
            let function = unsafe { mem::transmute::<*mut (), fn()>(function) };
            function();
        }
    }
}
