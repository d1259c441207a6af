//! Faults that there were once, which tests put back to see that they would be found.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Fault {
    /// mremap(2) takes an old length that leaves the address space.
    RemapBeyondEnd,
    /// It frees the page tables of the old place before it is known that the pages are in the table
    /// beside.
    TablesBesideMoved,
    /// mprotect(2) leaves the old translations where they are.
    ProtectWithoutFlush,
    /// fork(2) leaves the parent the right to write to what it shares.
    ForkWithoutProtection,
    /// A call site becomes a jump without waiting until all CPUs have seen the `int3` at its
    /// beginning.
    JumpInOneStep,
}

/// Whether the fault is there.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_back(_fault: Fault) -> bool {
    false
}

#[cfg(test)]
pub(crate) use crate::tests::put_back::is_back;
