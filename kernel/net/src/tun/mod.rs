//! `/dev/net/tun`: interfaces whose other end is a program (Documentation/networking/tuntap.rst).
//!
//! A tap carries frames of Ethernet, a tun packets alone. Inside the machine a packet of a tun has
//! an Ethernet header too, which is put on and taken off here.

mod file;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32, Ordering};

use fd::poll::{PollQueue, ev, poll_queue};
use sync::SpinLock;

use super::packet::ETHERNET;

pub use file::{TunFile, random_mac};

/// Frames that wait to be read (`TUN_READQ_SIZE`).
const WAITING: usize = 500;

/// `IFF_*` of if_tun.h.
#[allow(missing_docs)]
mod flag {
    pub const TUN: u32 = 1;
    pub const TAP: u32 = 2;
    pub const PERSIST: u32 = 0x0800;
    pub const NO_PI: u32 = 0x1000;
    pub const ONE_QUEUE: u32 = 0x2000;
    pub const VNET_HDR: u32 = 0x4000;
    pub const EXCL: u32 = 0x8000;
    /// Of `TUNGETIFF`: no filter is attached.
    pub const NOFILTER: u32 = 0x1000;
}

/// The end of an interface that a program has.
pub struct Tun {
    /// See [`flag`].
    flags: AtomicU32,
    /// Frames to read, from the Ethernet header on. A leaf lock.
    queue: SpinLock<VecDeque<Vec<u8>>>,
    readers: PollQueue,
    /// Whether a program has it open.
    attached: AtomicBool,
    /// What `TUNSETCARRIER` says.
    carrier: AtomicBool,
    /// Who may attach to it besides the super-user; -1 for nobody.
    owner: AtomicI32,
    group: AtomicI32,
    /// `ARPHRD_*`.
    hardware: AtomicU16,
    /// Bytes of the header that `IFF_VNET_HDR` puts before each.
    header: AtomicU32,
    send_buffer: AtomicI32,
}

impl Tun {
    fn new(flags: u32) -> Tun {
        /// `ARPHRD_NONE`, `ARPHRD_ETHER`.
        const HARDWARE: [u16; 2] = [0xfffe, 1];
        Tun {
            flags: AtomicU32::new(flags),
            queue: SpinLock::new(VecDeque::new()),
            readers: poll_queue(),
            attached: AtomicBool::new(true),
            carrier: AtomicBool::new(true),
            owner: AtomicI32::new(-1),
            group: AtomicI32::new(-1),
            hardware: AtomicU16::new(HARDWARE[usize::from(flags & flag::TAP != 0)]),
            header: AtomicU32::new(10),
            send_buffer: AtomicI32::new(i32::MAX),
        }
    }

    fn is(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// Whether packets have no Ethernet header.
    pub fn is_tun(&self) -> bool {
        self.is(flag::TUN)
    }

    /// Whether a program has it open, and has not said otherwise.
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Relaxed) && self.carrier.load(Ordering::Relaxed)
    }

    /// `ARPHRD_*`.
    pub fn hardware(&self) -> u16 {
        self.hardware.load(Ordering::Relaxed)
    }

    /// Who may attach to it.
    pub fn owners(&self) -> (i32, i32) {
        (self.owner.load(Ordering::Relaxed), self.group.load(Ordering::Relaxed))
    }

    /// A frame for the program. Whether there was room.
    pub fn push(&self, frame: Vec<u8>) -> bool {
        if !self.attached.load(Ordering::Relaxed) || frame.len() < ETHERNET {
            return false;
        }
        let mut queue = self.queue.lock();
        if queue.len() >= WAITING || queue.try_reserve(1).is_err() {
            return false;
        }
        queue.push_back(frame);
        drop(queue);
        self.readers.wake(1, ev::READABLE);
        true
    }

    fn pop(&self) -> Option<Vec<u8>> {
        self.queue.lock().pop_front()
    }
}
