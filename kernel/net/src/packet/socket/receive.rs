//! What becomes of a frame that comes in: it waits in the socket's queue, or is put into its ring.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use caller::Instant;
use fd::poll::ev;

use super::{PacketSocket, RECEIVED, Room, VNET_HEADER, Waiting};
use crate::packet::blocks::Put;
use crate::packet::options::option;
use crate::packet::ring::{Incoming, Ring, Taken};
use crate::packet::{Seen, address, flow, handle, vnet};
use crate::{clock, timers};

impl PacketSocket {
    /// Room for more frames.
    pub fn room(&self) -> Room {
        let ring = self.rings.lock()[RECEIVED].clone();
        let [any, much] = match ring {
            Some(ring) => ring.room(),
            None => {
                let (held, most) = (self.held.load(Ordering::Relaxed), self.common.buffers().0 as usize);
                let free = most.saturating_sub(held);
                [free > 0, free > most / 4]
            }
        };
        match (any, much) {
            (_, true) => Room::Much,
            (true, _) => Room::Little,
            _ => Room::None,
        }
    }

    /// A frame is there: takes it, if the socket wants it.
    pub(in crate::packet) fn offered(&self, seen: &Seen<'_>) {
        if self.wants(seen) {
            self.take(seen);
        }
    }

    /// Takes a frame, if the filter lets it pass.
    pub(in crate::packet) fn take(&self, seen: &Seen<'_>) {
        let start = if self.is_raw() { 0 } else { seen.link };
        let wanted = self.filter.wanted(|| seen.packet(start));
        if wanted == 0 {
            return;
        }
        let bytes = seen.bytes.slice(start, wanted);
        let waiting = Waiting {
            full: seen.bytes.len().saturating_sub(start),
            network: seen.link - start,
            bytes,
            from: address::sender(seen.protocol, seen.interface, seen.kind, &seen.source),
            stamp: clock::realtime_ns(),
            checksums: seen.checksums,
        };
        let ring = self.rings.lock()[RECEIVED].clone();
        if ring.is_some_and(|ring| !self.goes_on(&ring, &waiting, seen)) {
            return;
        }
        if !self.has_room() {
            self.options.drops.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.options.packets.fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(waiting.held(), Ordering::Relaxed);
        self.queue.lock().push_back(waiting);
        self.readers.wake(1, ev::READABLE);
    }

    /// Puts a frame into the ring. Whether the socket is to have it as well.
    fn goes_on(&self, ring: &Ring, waiting: &Waiting, seen: &Seen<'_>) -> bool {
        let vnet = self.vnet(waiting);
        let incoming = Incoming {
            bytes: &waiting.bytes,
            full: waiting.full,
            link: waiting.network,
            raw: self.is_raw(),
            from: &waiting.from,
            stamp: waiting.stamp,
            status: waiting.checksums.status(),
            copies: self.options.is(option::COPY_THRESH) && self.has_room(),
            lossy: self.options.drops.load(Ordering::Relaxed) != 0,
            vnet: vnet.get(..self.options.vnet()).unwrap_or_default(),
            hash: flow::hash(seen),
        };
        let put = ring.put(&incoming, clock::monotonic_ns());
        let goes_on = match put.taken {
            Taken::Lost => {
                self.options.drops.fetch_add(1, Ordering::Relaxed);
                false
            }
            Taken::Cut if incoming.copies => true,
            Taken::Cut | Taken::Whole => {
                self.options.packets.fetch_add(1, Ordering::Relaxed);
                false
            }
        };
        self.after(&put);
        goes_on
    }

    /// What is to be done when a frame was put in, or a block given away.
    fn after(&self, put: &Put) {
        if put.froze {
            self.options.freezes.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(deadline) = put.expires
            && let Some(own) = handle(self)
        {
            timers::at(deadline, timers::Due::Ring(Arc::downgrade(&own)));
        }
        if put.wake || put.taken == Taken::Lost {
            self.readers.wake(1, ev::READABLE);
        }
    }

    /// Frames in the ring may have waited for long enough.
    pub fn on_timer(&self, now: Instant) {
        let ring = self.rings.lock()[RECEIVED].clone();
        if let Some(put) = ring.and_then(|ring| ring.expire(clock::realtime_ns(), now)) {
            self.after(&put);
        }
    }

    /// The header that a program may want before a frame.
    pub(super) fn vnet(&self, waiting: &Waiting) -> [u8; VNET_HEADER] {
        let packet = waiting.bytes.get(waiting.network..).unwrap_or_default();
        vnet::describe(packet, waiting.network, waiting.checksums)
    }
}
