//! What a task may that maps or touches memory.

use core::sync::atomic::Ordering;

use linux_raw_sys::general::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_STACK};

use super::Task;
use vm::limits::{Execution, INFINITY, Limits, Rights};

const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_RAWIO: u32 = 17;

impl Rights for Task {
    fn limits(&self) -> Limits {
        let limits = self.process.rlimits.lock();
        let soft = |resource: u32| limits.get(resource as usize).map_or(INFINITY, |limit| limit.soft);
        Limits {
            address_space: soft(RLIMIT_AS),
            data: soft(RLIMIT_DATA),
            stack: soft(RLIMIT_STACK),
            memlock: soft(RLIMIT_MEMLOCK),
            may_lock: self.credentials().capable(CAP_IPC_LOCK),
        }
    }

    fn execution(&self) -> Execution {
        const READ_IMPLIES_EXEC: u32 = 0x040_0000;
        Execution {
            implied: self.process.personality.load(Ordering::Relaxed) & READ_IMPLIES_EXEC != 0,
            no_gain: self.process.no_exec_gain.load(Ordering::Relaxed) != 0,
        }
    }

    fn may_map_low(&self) -> bool {
        self.credentials().capable(CAP_SYS_RAWIO)
    }
}
