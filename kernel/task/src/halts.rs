//! Which `hlt` instructions a process has executed of late. That nothing else leads behind one is a
//! search of all its code: who executes many, and steps over them in a handler, has it done once a
//! second.

use super::Instant;

/// How long what was found holds: code may change.
const VALID_NS: Instant = 1_000_000_000;
const PLACES: usize = 4;

/// The places behind the last ones, and until when each holds.
#[derive(Default)]
pub struct Halts {
    places: [(u64, Instant); PLACES],
    next: usize,
}

impl Halts {
    /// Whether the `hlt` in front of `rip` was executed, as far as a search not long before `now`
    /// told.
    pub fn is_known(&self, rip: u64, now: Instant) -> bool {
        self.places.iter().any(|(place, until)| *place == rip && now < *until)
    }

    /// It was, at `now`.
    pub fn add(&mut self, rip: u64, now: Instant) {
        if let Some(place) = self.places.get_mut(self.next) {
            *place = (rip, now + VALID_NS);
        }
        self.next = (self.next + 1) % PLACES;
    }
}
