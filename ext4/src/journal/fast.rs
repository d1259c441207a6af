//! Fast commits: the blocks behind the ring, in which Linux notes small changes since the last whole transaction.

use super::*;
use crate::layout::{u16_at, u32_at};

const TAG_HEAD: u16 = 0xa;

impl Journal {
    /// Whether fast commits follow the last whole transaction. They begin with a tag that has its successor's number.
    pub(crate) fn has_fast_commits(&self, device: &dyn BlockDevice) -> Result<bool> {
        if self.incompat & INCOMPAT_FAST_COMMIT == 0 {
            return Ok(false);
        }
        let data = self.read(device, self.last)?;
        let head = u16_at(&data, 0) == Some(TAG_HEAD) && u16_at(&data, 2).is_some_and(|len| len >= 8);
        Ok(head && u32_at(&data, 8) == Some(self.sequence))
    }
}
