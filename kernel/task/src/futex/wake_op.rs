//! `FUTEX_WAKE_OP`: change one word, wake waiters of another, and perhaps of the one changed.

use syscall_shim::{Errno, SysResult};

use super::bucket::Pair;
use super::{Key, MATCH_ANY};
use usermem::{self, UserAddr};

/// The operation packed into futex(2)'s last argument.
struct Operation {
    op: u32,
    argument: u32,
    compare: u32,
    comparand: i32,
}

const SHIFTED_ARGUMENT: u32 = 8;

impl Operation {
    fn decode(word: u32) -> Self {
        let signed12 = |value: u32| ((value << 20) as i32) >> 20;
        let op = word >> 28;
        let argument = signed12(word >> 12 & 0xfff);
        let argument = if op & SHIFTED_ARGUMENT != 0 { 1 << (argument & 31) } else { argument as u32 };
        Self { op: op & 7, argument, compare: word >> 24 & 15, comparand: signed12(word & 0xfff) }
    }

    /// The word's new value. `ENOSYS` for an operation that does not exist.
    fn apply(&self, old: u32) -> SysResult<u32> {
        Ok(match self.op {
            0 => self.argument,
            1 => old.wrapping_add(self.argument),
            2 => old | self.argument,
            3 => old & !self.argument,
            4 => old ^ self.argument,
            _ => return Err(Errno::ENOSYS),
        })
    }

    fn holds(&self, old: u32) -> SysResult<bool> {
        let old = old as i32;
        Ok(match self.compare {
            0 => old == self.comparand,
            1 => old != self.comparand,
            2 => old < self.comparand,
            3 => old <= self.comparand,
            4 => old > self.comparand,
            5 => old >= self.comparand,
            _ => return Err(Errno::ENOSYS),
        })
    }
}

/// Wakes up to `count` waiters of `addr`, after changing the word at `second` by `operation`; up to
/// `second_count` waiters of that one too if its old value compares as asked. Returns how many were
/// woken.
pub fn wake_op(addr: UserAddr, second: UserAddr, private: bool, count: u32, second_count: u32, operation: u32) -> SysResult {
    let operation = Operation::decode(operation);
    let (key, second_key) = (Key::new(addr, private)?, Key::new(second, private)?);
    loop {
        let mut pair = Pair::lock(key, second_key);
        let Ok(mut old) = usermem::load_u32_nofault(second) else {
            drop(pair);
            usermem::fault_in_u32_writable(second)?;
            continue;
        };
        let changed = loop {
            match usermem::compare_exchange_u32_nofault(second, old, operation.apply(old)?) {
                Ok(seen) if seen == old => break true,
                Ok(seen) => old = seen,
                Err(_) => break false,
            }
        };
        if !changed {
            drop(pair);
            usermem::fault_in_u32_writable(second)?;
            continue;
        }
        let holds = operation.holds(old)?;
        let mut woken = pair.of(key).wake(key, count.max(1) as usize, MATCH_ANY)?;
        if holds {
            woken += pair.of(second_key).wake(second_key, second_count.max(1) as usize, MATCH_ANY)?;
        }
        return Ok(woken);
    }
}
