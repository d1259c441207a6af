//! Who waits for whom among the processes that sleep in `F_SETLKW`.

use super::Owner;
use litemap::LiteMap;

/// How far a chain is followed (`MAX_DEADLK_ITERATIONS`).
const MAX_STEPS: usize = 10;

/// The sleeping owners of all files and the owner each waits for. Locks of open file descriptions
/// are left out, as on Linux: such a lock can be released by any process that shares the
/// description.
#[derive(Default, Debug)]
pub struct Deadlocks {
    waits: LiteMap<Owner, Owner>,
}

impl Deadlocks {
    /// An empty graph.
    pub const fn new() -> Deadlocks {
        Deadlocks { waits: LiteMap::new_vec() }
    }

    /// Records that `waiter` is about to sleep for `blocker`. False (`EDEADLK`) when `blocker`
    /// waits, however indirectly, for `waiter`; then nothing is recorded.
    pub fn wait(&mut self, waiter: Owner, blocker: Owner) -> bool {
        if !matches!(waiter, Owner::Process(_)) {
            return true;
        }
        let mut at = blocker;
        for _ in 0..MAX_STEPS {
            if at == waiter {
                return false;
            }
            match self.waits.get(&at) {
                Some(next) => at = *next,
                None => break,
            }
        }
        self.waits.insert(waiter, blocker);
        true
    }

    /// `waiter` sleeps no longer.
    pub fn done(&mut self, waiter: Owner) {
        self.waits.remove(&waiter);
    }
}
