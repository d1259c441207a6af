//! What carries the packets of an interface.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use inet::Bytes;
use sync::SpinLock;

use super::Interface;
use crate::device::Card;
use crate::neighbor::Neighbors;
use crate::tun::Tun;

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Frames that may wait in an [`Inbox`].
const WAITING: usize = 1000;

/// A packet on the loopback interface: from the IP header on, and the payload where that was not
/// copied behind it.
pub struct Looped {
    /// IP header, and at least the upper protocol's.
    pub head: Bytes,
    /// The rest.
    pub tail: Bytes,
    /// A copy for ourselves of what this interface has sent to a group; 0 for what the loopback
    /// interface carries.
    pub copy_of: u32,
    /// The payload is several datagrams of this size; 0 for one.
    pub segment: u16,
}

/// What carries the packets.
pub enum Link {
    /// Back to ourselves.
    Loopback(SpinLock<VecDeque<Looped>>),
    /// Frames of Ethernet, and who is reached by them.
    Ethernet(Port, Neighbors),
}

/// Where frames go.
pub enum Port {
    /// A network card.
    Card(Arc<dyn Card>),
    /// A program that reads /dev/net/tun. A tun, in contrast to a tap, has packets without an
    /// Ethernet header.
    Tun(Arc<Tun>),
    /// The other interface of a pair.
    Veth(SpinLock<Weak<Interface>>),
    /// Nowhere.
    Dummy,
}

impl Port {
    /// Takes a frame that `from` sends. Whether it went anywhere, or was meant to go nowhere.
    pub fn take(&self, from: &Interface, frame: Vec<u8>) -> bool {
        if !from.is_up() {
            return false;
        }
        match self {
            Port::Card(_) => false,
            Port::Tun(tun) => tun.push(frame),
            Port::Veth(peer) => {
                let peer = peer.lock().upgrade();
                peer.is_some_and(|peer| peer.deliver(Bytes::from(frame)))
            }
            Port::Dummy => true,
        }
    }
}

/// Frames that programs and other interfaces hand to one, until it is its turn.
#[derive(Default)]
pub struct Inbox {
    /// A leaf lock.
    frames: SpinLock<VecDeque<Bytes>>,
    /// How many there are, to see without the lock that there are none.
    count: AtomicUsize,
}

impl Inbox {
    /// Adds a frame, if there is room.
    pub fn push(&self, frame: Bytes) -> bool {
        let mut frames = self.frames.lock();
        if frames.len() >= WAITING || frames.try_reserve(1).is_err() {
            return false;
        }
        frames.push_back(frame);
        self.count.store(frames.len(), Ordering::Release);
        true
    }

    /// Takes the oldest.
    pub fn pop(&self) -> Option<Bytes> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut frames = self.frames.lock();
        let frame = frames.pop_front();
        self.count.store(frames.len(), Ordering::Release);
        frame
    }
}
