//! Rarely used options of the level `IPPROTO_TCP`: what a listener keeps of a `SYN`, keys, and the
//! bounds of timers.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use fd::socket::int;
use inet::tcp::Settings;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

/// Options that linux-raw-sys does not know yet (linux/tcp.h).
const TCP_RTO_MAX_MS: u32 = 44;
const TCP_RTO_MIN_US: u32 = 45;
const TCP_DELACK_MAX_US: u32 = 46;
/// `TCP_FASTOPEN_KEY` takes one key or two.
const KEY: usize = 16;

/// An option that is a number: its name, its value at first, and its bounds.
struct Number(u32, u32, u32, u32);

const SAVE_SYN: usize = 0;
const RTO_MAX: usize = 1;
const RTO_MIN: usize = 2;
const DELACK_MAX: usize = 3;

/// The least of the last two is a tick of Linux's at 1,000 Hz or 2; here time-outs are exact.
static NUMBERS: [Number; 5] = [
    Number(n::TCP_SAVE_SYN, 0, 0, 2),
    Number(TCP_RTO_MAX_MS, 120_000, 1_000, 120_000),
    Number(TCP_RTO_MIN_US, 200_000, 2_000, 200_000),
    Number(TCP_DELACK_MAX_US, 200_000, 2_000, 200_000),
    // It has an effect where the interface's queue knows of times, of which Linux too has none at
    // first.
    Number(n::TCP_TX_DELAY, 0, 0, i32::MAX as u32),
];

/// A socket's.
pub struct Tuning {
    numbers: [AtomicU32; NUMBERS.len()],
    /// `TCP_FASTOPEN_KEY`. A leaf lock.
    keys: SpinLock<Vec<u8>>,
}

impl Default for Tuning {
    fn default() -> Self {
        let numbers = core::array::from_fn(|at| AtomicU32::new(NUMBERS.get(at).map_or(0, |number| number.1)));
        Self { numbers, keys: SpinLock::new(Vec::new()) }
    }
}

impl Tuning {
    /// A copy, for an accepted connection.
    pub fn inherit(&self) -> Self {
        let copy = Self::default();
        copy.numbers
            .iter()
            .zip(&self.numbers)
            .for_each(|(to, from)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed));
        copy
    }

    fn number(&self, at: usize) -> u32 {
        self.numbers[at].load(Ordering::Relaxed)
    }

    /// `TCP_SAVE_SYN`: whether listeners keep the headers of a `SYN`, and if so, whether with the
    /// link's.
    pub fn saves_syn(&self) -> Option<bool> {
        match self.number(SAVE_SYN) {
            0 => None,
            kind => Some(kind == 2),
        }
    }

    /// What the state machine needs to know.
    pub fn fill(&self, settings: &mut Settings) {
        const US: u64 = 1_000;
        settings.retransmit_min = u64::from(self.number(RTO_MIN)) * US;
        settings.retransmit_max = u64::from(self.number(RTO_MAX)) * US * 1_000;
        settings.delayed_ack_max = u64::from(self.number(DELACK_MAX)) * US;
    }

    /// Sets one of these options; `None` for all others.
    pub fn set(&self, option: u32, value: &[u8]) -> Option<SysResult<()>> {
        if option == n::TCP_FASTOPEN_KEY {
            if value.len() != KEY && value.len() != 2 * KEY {
                return Some(Err(Errno::EINVAL));
            }
            *self.keys.lock() = value.to_vec();
            return Some(Ok(()));
        }
        let (Number(_, _, least, most), slot) = self.find(option)?;
        let number = match int(value) {
            Ok(number) => number,
            Err(errno) => return Some(Err(errno)),
        };
        Some(match u32::try_from(number) {
            Ok(number) if (*least..=*most).contains(&number) => {
                slot.store(number, Ordering::Relaxed);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        })
    }

    /// The value of one of these options; `None` for all others.
    pub fn get(&self, option: u32) -> Option<Vec<u8>> {
        if option == n::TCP_FASTOPEN_KEY {
            return Some(self.keys.lock().clone());
        }
        self.find(option).map(|(_, slot)| slot.load(Ordering::Relaxed).to_ne_bytes().to_vec())
    }

    fn find(&self, option: u32) -> Option<(&'static Number, &AtomicU32)> {
        NUMBERS.iter().zip(&self.numbers).find(|(number, _)| number.0 == option)
    }
}
