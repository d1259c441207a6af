//! The last system calls of a thread, kept so that a crash or a hang can be explained.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many calls a thread remembers.
pub const LENGTH: usize = 32;
/// Words of an entry: number, four arguments, result, and two to spare.
const WORDS: usize = 8;
const EMPTY: u64 = u64::MAX;
const RUNNING: u64 = i64::MIN as u64;

/// A ring of the last [`LENGTH`] calls. The owning thread writes it; dumps read it, torn entries
/// included.
pub struct RecentCalls {
    next: AtomicUsize,
    calls: [[AtomicU64; WORDS]; LENGTH],
}

// Of a size that needs no multiplication: the entry is found twice in each call.
const _: () = assert!(size_of::<[AtomicU64; WORDS]>().is_power_of_two());

/// One remembered call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// System-call number.
    pub nr: u64,
    /// The first four arguments.
    pub args: [u64; 4],
    /// `rax` afterwards; `None` while the call runs.
    pub result: Option<i64>,
}

impl Default for RecentCalls {
    fn default() -> Self {
        Self::new()
    }
}

impl RecentCalls {
    /// An empty ring.
    pub const fn new() -> Self {
        Self { next: AtomicUsize::new(0), calls: [const { [const { AtomicU64::new(EMPTY) }; WORDS] }; LENGTH] }
    }

    /// Notes the start of a call.
    #[inline(always)]
    pub fn enter(&self, nr: u64, args: &[u64; 6]) {
        let entry = &self.calls[self.next.load(Ordering::Relaxed) % LENGTH];
        entry[0].store(nr, Ordering::Relaxed);
        for (slot, arg) in entry[1..5].iter().zip(args) {
            slot.store(*arg, Ordering::Relaxed);
        }
        entry[5].store(RUNNING, Ordering::Relaxed);
    }

    /// Notes its end.
    #[inline(always)]
    pub fn leave(&self, result: i64) {
        let next = self.next.load(Ordering::Relaxed);
        self.calls[next % LENGTH][5].store(result as u64, Ordering::Relaxed);
        self.next.store(next.wrapping_add(1), Ordering::Relaxed);
    }

    /// Calls `f` with the remembered calls, oldest first; the last one may still run. Allocates
    /// nothing.
    pub fn for_each(&self, f: impl FnMut(Call)) {
        let next = self.next.load(Ordering::Relaxed) % LENGTH;
        let running = self.calls[next][5].load(Ordering::Relaxed) == RUNNING;
        let order = (1..LENGTH).map(|i| (next + i) % LENGTH).chain(running.then_some(next));
        order
            .map(|index| &self.calls[index])
            .filter(|entry| entry[0].load(Ordering::Relaxed) != EMPTY)
            .map(|entry| {
                let word = |i: usize| entry[i].load(Ordering::Relaxed);
                let result = word(5);
                Call {
                    nr: word(0),
                    args: [word(1), word(2), word(3), word(4)],
                    result: (result != RUNNING).then_some(result as i64),
                }
            })
            .for_each(f);
    }
}
