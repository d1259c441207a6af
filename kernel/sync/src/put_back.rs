//! Faults that tests put back, to see that they would be found.

use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The condition is looked at before the task is marked asleep, not after.
    LookBeforeMark,
    /// The mark is set anew after the look, over a wake-up that came in between.
    ClearAfterLook,
    /// Who frees a sleeping mutex looks for those who wait before it is free.
    LookBeforeFree,
}

std::thread_local! {
    static BACK: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Puts a fault back for the test that calls this.
pub fn put_back(fault: Fault) {
    BACK.set(Some(fault));
}

/// Whether it is there.
pub fn is(fault: Fault) -> bool {
    BACK.get() == Some(fault)
}
