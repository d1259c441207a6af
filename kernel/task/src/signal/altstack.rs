//! The alternate signal stack (sigaltstack(2)).

use syscall_shim::types::StackT;
use syscall_shim::{Errno, SsFlags, SysResult};

/// Smallest stack that sigaltstack(2) takes.
const MINSIGSTKSZ: u64 = 2048;

/// A thread's alternate stack; without one, `size` is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct AltStack {
    start: u64,
    size: u64,
    /// Forget the stack when a handler starts on it (`SS_AUTODISARM`).
    autodisarm: bool,
}

impl AltStack {
    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.size != 0
    }

    /// Whether `rsp` lies in the stack's range. As Linux has it, the lowest byte does not count and
    /// the end does.
    pub fn covers(&self, rsp: u64) -> bool {
        rsp > self.start && rsp - self.start <= self.size
    }

    /// Whether the thread runs on it now. With `SS_AUTODISARM` it never does: the stack is
    /// forgotten by then.
    pub fn in_use(&self, rsp: u64) -> bool {
        !self.autodisarm && self.covers(rsp)
    }

    /// Its end, where a handler starts.
    pub fn top(&self) -> u64 {
        self.start.wrapping_add(self.size)
    }

    /// What sigaltstack(2) returns.
    pub fn describe(&self, rsp: u64) -> StackT {
        let state = match () {
            () if !self.is_set() => SsFlags::SS_DISABLE,
            () if self.in_use(rsp) => SsFlags::SS_ONSTACK,
            () => SsFlags::empty(),
        };
        let autodisarm = if self.autodisarm { SsFlags::SS_AUTODISARM } else { SsFlags::empty() };
        StackT { ss_sp: self.start, ss_flags: (state | autodisarm).bits(), pad: 0, ss_size: self.size }
    }

    /// The stack that `new` asks for in place of this one. `EPERM` while the thread runs on this
    /// one, `EINVAL` for flags that do not exist, `ENOMEM` for one that is too small.
    pub fn replaced_by(&self, new: &StackT, rsp: u64) -> SysResult<Self> {
        if self.in_use(rsp) {
            return Err(Errno::EPERM);
        }
        let autodisarm = SsFlags::SS_AUTODISARM.bits();
        match new.ss_flags & !autodisarm {
            mode if mode == SsFlags::SS_DISABLE.bits() => Ok(Self::default()),
            // Linux takes SS_ONSTACK for "enable", for the sake of programs that hand back what
            // they were given.
            mode if mode == 0 || mode == SsFlags::SS_ONSTACK.bits() => {
                if new.ss_size < MINSIGSTKSZ {
                    return Err(Errno::ENOMEM);
                }
                Ok(Self { start: new.ss_sp, size: new.ss_size, autodisarm: new.ss_flags & autodisarm != 0 })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Forgets the stack if it is to be forgotten when a handler starts.
    pub fn entered(&mut self) {
        if self.autodisarm {
            *self = Self::default();
        }
    }
}
