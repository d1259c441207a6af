//! What a driver of a network card is to the network, and the frames that go between them.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use inet::Bytes;

/// Room for a device's own header before a frame that is sent: `struct virtio_net_hdr` with
/// `num_buffers` (virtio 1.2, 5.1.6).
pub const HEADER_LEN: usize = 12;

/// What the device is to do with a frame.
#[derive(Clone, Copy, Debug)]
pub struct Offload {
    /// Where the checksum's range begins, from the start of the frame.
    pub start: u16,
    /// Where in that range the checksum stands, holding the sum of the pseudo header.
    pub offset: u16,
    /// To be cut into segments with payloads of this size, after a head of that length.
    pub segments: Option<(u16, u16)>,
    /// Over IPv6.
    pub v6: bool,
}

/// A frame to send.
pub struct Frame {
    /// [`HEADER_LEN`] bytes for the device, then the frame's first bytes.
    pub head: Vec<u8>,
    /// The rest.
    pub payload: inet::tcp::Pieces,
    /// Work for the device.
    pub offload: Option<Offload>,
}

/// A frame that was received.
pub struct Received {
    /// Its bytes, from the Ethernet header on.
    pub frame: Bytes,
    /// The device vouches for its checksums, or it comes from this machine and has none.
    pub checked: bool,
}

/// Packets, bytes, and what went wrong, in one direction.
#[derive(Default)]
pub struct Traffic {
    /// Frames.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Frames that were lost here.
    pub dropped: AtomicU64,
    /// Notifications sent, or interrupts taken: each costs VM exits.
    pub exits: AtomicU64,
}

impl Traffic {
    /// Counts a frame.
    pub fn count(&self, bytes: usize) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a card is and does, as far as it is the same for as long as it runs.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The largest packet of the upper protocol.
    pub mtu: u16,
    /// It completes checksums.
    pub checksums: bool,
    /// It cuts TCP segments, over IPv4 and IPv6.
    pub segments: [bool; 2],
}

/// A network card of Ethernet. Its driver calls [`arrived`](super::poll::arrived) when there are
/// frames.
pub trait Card: Send + Sync {
    /// What it is and does.
    fn features(&self) -> Features;

    /// Takes up to `budget` received frames. Whether there may be more.
    fn receive(&self, budget: usize, out: &mut Vec<Received>) -> bool;

    /// Turns interrupts for received frames on or off. Whether frames are there already, for which
    /// none may come any more.
    fn set_interrupts(&self, on: bool) -> bool;

    /// Sends a frame. The device learns of it with [`Card::kick`].
    fn transmit(&self, frame: Frame);

    /// Tells the device of what was sent since the last call. To be called when a batch is
    /// complete.
    fn kick(&self);

    /// Frames in.
    fn received(&self) -> &Traffic;

    /// Frames out.
    fn sent(&self) -> &Traffic;
}
