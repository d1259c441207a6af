//! What becomes of writes with `MSG_ZEROCOPY` (linux/errqueue.h): a socket's error queue tells by
//! their numbers that the buffers may be used again. They are always copied, as Linux does on the
//! loopback interface, and says so.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use fd::socket::{Ancillary, Control, Received};
use linux_raw_sys::net as n;
use sync::SpinLock;

use super::socket::Family;

/// `MSG_ZEROCOPY`.
pub const MSG_ZEROCOPY: u32 = 0x400_0000;
/// `ee_origin` and `ee_code` of a `struct sock_extended_err`.
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

#[derive(Default)]
struct Done {
    /// Number of the next write.
    next: u32,
    /// First and last of those that nobody was told of.
    ranges: VecDeque<(u32, u32)>,
}

/// A socket's.
#[derive(Default)]
pub struct ZeroCopies {
    /// A leaf lock.
    done: SpinLock<Done>,
    /// Whether there is something to tell: those who poll look at this alone.
    pending: AtomicBool,
}

impl ZeroCopies {
    /// A write is over.
    pub fn done(&self) {
        let mut done = self.done.lock();
        self.pending.store(true, Ordering::Release);
        let number = done.next;
        done.next = number.wrapping_add(1);
        match done.ranges.back_mut() {
            Some((_, last)) if last.wrapping_add(1) == number => *last = number,
            _ => done.ranges.push_back((number, number)),
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.pending.load(Ordering::Acquire)
    }

    /// Takes what there is to tell (`MSG_ERRQUEUE`).
    pub fn receive(&self, family: Family) -> Option<Received> {
        let mut done = self.done.lock();
        let (first, last) = done.ranges.pop_front()?;
        self.pending.store(!done.ranges.is_empty(), Ordering::Release);
        drop(done);
        let mut data = [0u8; 4].to_vec();
        data.extend_from_slice(&[SO_EE_ORIGIN_ZEROCOPY, 0, SO_EE_CODE_ZEROCOPY_COPIED, 0]);
        data.extend_from_slice(&first.to_ne_bytes());
        data.extend_from_slice(&last.to_ne_bytes());
        // Nobody has sent this.
        let nobody = family.encode(&SocketAddr::new(family.any(), 0));
        data.extend(core::iter::repeat_n(0, nobody.len()));
        let (level, kind) = match family {
            Family::V4 => (n::SOL_IP, n::IP_RECVERR),
            Family::V6 => (n::SOL_IPV6, n::IPV6_RECVERR),
        };
        let control: Vec<Control> = [Control { level, kind, data }].into();
        let ancillary = Ancillary { control, ..Ancillary::default() };
        Some(Received { ancillary, flags: n::MSG_ERRQUEUE, ..Received::default() })
    }
}
