//! What the processes of each user have of something together, where there is a limit on that.

use alloc::collections::BTreeMap;

use sync::IrqSpinLock;

/// Counts by user id. A leaf lock.
pub struct PerUser(IrqSpinLock<BTreeMap<u32, u64>>);

impl Default for PerUser {
    fn default() -> Self {
        Self::new()
    }
}

impl PerUser {
    /// Nobody has any.
    #[track_caller]
    pub const fn new() -> Self {
        Self(IrqSpinLock::new(BTreeMap::new()))
    }

    /// Gives user `uid` so many more, unless that is beyond `limit`. Whether it was done.
    pub fn add(&self, uid: u32, more: u64, limit: u64) -> bool {
        let mut counts = self.0.lock();
        let count = counts.entry(uid).or_insert(0);
        let sum = count.saturating_add(more);
        if sum > limit {
            return false;
        }
        *count = sum;
        true
    }

    /// Takes so many back.
    pub fn sub(&self, uid: u32, fewer: u64) {
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(&uid) {
            *count = count.saturating_sub(fewer);
            if *count == 0 {
                counts.remove(&uid);
            }
        }
    }

    /// How many user `uid` has.
    pub fn count(&self, uid: u32) -> u64 {
        self.0.lock().get(&uid).copied().unwrap_or(0)
    }
}
