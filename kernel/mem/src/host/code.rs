//! What other CPUs have seen of code that is changed while they execute it.
//!
//! A CPU need not see a change before it serializes, and may see the bytes of one in any mixture.
//! So the states in which all of them have seen everything are kept: between two of them, each byte
//! that differs may be the old or the new one.

use core::sync::atomic::Ordering;
use std::cell::RefCell;
use std::vec::Vec;

use super::layout::entry;
use super::translations::{self, Touch};
use crate::size::PAGE as PAGE_SIZE;

struct Watch {
    at: u64,
    len: usize,
    states: Vec<Vec<u8>>,
}

std::thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Keeps the states of `len` bytes at `at` from here on; the first is what is there now.
pub(super) fn watch(at: u64, len: usize) {
    WATCH.set(Some(Watch { at, len, states: Vec::new() }));
    seen();
}

/// The states that were kept, the last being what is there now. Keeps no more.
pub(super) fn watched() -> Vec<Vec<u8>> {
    seen();
    WATCH.take().map_or_else(Vec::new, |watch| watch.states)
}

/// Every CPU has serialized.
pub(super) fn seen() {
    WATCH.with_borrow_mut(|watch| {
        let Some(Watch { at, len, states }) = watch else { return };
        let byte = |addr: u64| {
            let phys = translations::access(addr, Touch::Execute).expect("code is mapped while it is watched");
            let word = entry(phys & !(PAGE_SIZE - 1), (addr % PAGE_SIZE / 8) as usize).load(Ordering::Relaxed);
            word.to_le_bytes()[(addr % 8) as usize]
        };
        let state: Vec<u8> = (*at..).take(*len).map(byte).collect();
        states.push(state);
    });
}
