//! virtio-net: Ethernet frames in and out (virtio 1.2, 5.1).
//!
//! A received frame is handed on in the buffer that the device filled; a sent one is gathered from
//! where its parts are, and these are kept until the device is done with them. Interrupts say only
//! that there is something to do: while somebody takes frames they are off. Sent buffers are taken
//! back with the next frame that is sent, so that sending needs no interrupt at all. Both sides
//! name the next buffer that they want to hear of (`VIRTIO_F_EVENT_IDX`).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use arrayvec::ArrayVec;
use bitflags::bitflags;
use inet::Bytes;
use spin::Once;
use virtio_drivers::transport::{DeviceType, SomeTransport, Transport};

use super::Device;
use super::queue::{located, new_queue};
use super::virtqueue::{EVENT_IDX, SplitQueue};
use arch::hook::Hook;
use net::device::{self as card, Card, Frame, HEADER_LEN, Received, Traffic};
use sync::{IrqSpinLock, SpinLock};
use usermem::buffer;

const RECEIVE_QUEUE: u16 = 0;
const TRANSMIT_QUEUE: u16 = 1;
/// Descriptors of each queue: what all known devices offer. Received frames of 64 KiB take 32 of
/// them each.
const QUEUE_SIZE: usize = 256;
/// Room for the device's header and a frame of up to 2,036 bytes. Longer ones come in several
/// buffers.
const RECEIVE_BUFFER: usize = 2048;
/// Frames that wait while the device has no free descriptor. More are lost, as on a full wire.
const BACKLOG: usize = 1024;
/// The most parts of a frame, its head included.
const MAX_PARTS: usize = 9;
/// The most descriptors of a frame: of 64 KiB, with none of its parts in one piece of physical
/// memory.
const MAX_DESCRIPTORS: usize = 40;
/// Frames up to this size are copied out of the device's buffer, which it gets back at once:
/// cheaper than a new one, and who keeps a short frame keeps little memory.
const COPY_BELOW: usize = 1024;

const HDR_F_NEEDS_CSUM: u8 = 1;
const HDR_F_DATA_VALID: u8 = 2;
const HDR_GSO_TCPV4: u8 = 1;
const HDR_GSO_TCPV6: u8 = 4;

bitflags! {
    /// The features that we take.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const CSUM = 1 << 0;
        const GUEST_CSUM = 1 << 1;
        const MTU = 1 << 3;
        const MAC = 1 << 5;
        const GUEST_TSO4 = 1 << 7;
        const GUEST_TSO6 = 1 << 8;
        const HOST_TSO4 = 1 << 11;
        const HOST_TSO6 = 1 << 12;
        const MRG_RXBUF = 1 << 15;
        const EVENT_IDX = EVENT_IDX;
        const VERSION_1 = 1 << 32;
    }
}

type Queue = SplitQueue<QUEUE_SIZE>;

struct Receiver {
    queue: Queue,
    /// Buffers that the device has, by descriptor.
    busy: Vec<Option<Vec<u8>>>,
}

struct Transmitter {
    queue: Queue,
    /// Frames that the device has, by descriptor.
    busy: Vec<Option<Frame>>,
    backlog: VecDeque<Frame>,
}

/// A network card.
struct Nic {
    card: card::Features,
    acknowledge: bool,
    /// Its registers. Taken last, also by the interrupt handler.
    transport: IrqSpinLock<SomeTransport<'static>>,
    /// Nothing but `transport` is taken while it is held.
    receiver: SpinLock<Receiver>,
    /// As for `receiver`.
    transmitter: SpinLock<Transmitter>,
    received: Traffic,
    sent: Traffic,
}

static NICS: Once<Vec<Arc<Nic>>> = Once::new();
/// Called from interrupt context when there is something to receive.
static ARRIVAL: Hook = Hook::new();

/// Starts all network cards. `arrival` is called from interrupt context when frames have come.
pub fn init(arrival: fn()) -> Vec<Arc<dyn Card>> {
    ARRIVAL.set(arrival);
    let nics = NICS.call_once(|| {
        let mut nics = Vec::new();
        while let Some(device) = super::take(DeviceType::Network) {
            match Nic::start(device) {
                Ok(nic) => nics.push(nic),
                Err(error) => kerr!("virtio-net does not start: {error}"),
            }
        }
        nics
    });
    nics.iter().map(|nic| nic.clone() as Arc<dyn Card>).collect()
}

fn handle_interrupt() {
    for nic in NICS.get().map(Vec::as_slice).unwrap_or_default() {
        if nic.acknowledge {
            nic.transport.lock().ack_interrupt();
        }
        nic.received.exits.fetch_add(1, Ordering::Relaxed);
    }
    ARRIVAL.call();
}

impl Nic {
    fn start(device: Device) -> Result<Arc<Nic>, virtio_drivers::Error> {
        let (mut transport, interrupt) = device.split();
        // Segments that the device has joined need several buffers each.
        let mut wanted = Features::all();
        if transport.read_device_features() & Features::MRG_RXBUF.bits() == 0 {
            wanted -= Features::GUEST_TSO4 | Features::GUEST_TSO6;
        }
        let features = transport.begin_init(wanted);
        if !features.contains(Features::VERSION_1) {
            // Its headers would be shorter.
            return Err(virtio_drivers::Error::Unsupported);
        }
        let mac = if features.contains(Features::MAC) { transport.read_config_space::<[u8; 6]>(0)? } else { random_mac() };
        let mtu = if features.contains(Features::MTU) { transport.read_config_space::<u16>(10)? } else { 1500 };
        let event_idx = features.contains(Features::EVENT_IDX);
        let receive: Queue = new_queue(&mut transport, RECEIVE_QUEUE, event_idx)?;
        let mut transmit: Queue = new_queue(&mut transport, TRANSMIT_QUEUE, event_idx)?;
        transmit.quiet();
        transport.finish_init();
        let mut receiver = Receiver { queue: receive, busy: (0..QUEUE_SIZE).map(|_| None).collect() };
        receiver.refill();
        receiver.queue.must_notify();
        transport.notify(RECEIVE_QUEUE);
        let nic = Arc::new(Nic {
            card: card::Features {
                mac,
                mtu: mtu.clamp(576, (RECEIVE_BUFFER - HEADER_LEN - 14) as u16),
                checksums: features.contains(Features::CSUM),
                segments: [Features::HOST_TSO4, Features::HOST_TSO6]
                    .map(|tso| features.contains(tso) && features.contains(Features::CSUM)),
            },
            acknowledge: interrupt.needs_acknowledge(),
            transport: IrqSpinLock::new(transport),
            receiver: SpinLock::new(receiver),
            transmitter: SpinLock::new(Transmitter {
                queue: transmit,
                busy: (0..QUEUE_SIZE).map(|_| None).collect(),
                backlog: VecDeque::new(),
            }),
            received: Traffic::default(),
            sent: Traffic::default(),
        });
        if !interrupt.connect(TRANSMIT_QUEUE + 1, handle_interrupt) {
            kerr!("virtio-net has no interrupt: frames will not arrive");
        }
        Ok(nic)
    }
}

impl Card for Nic {
    fn features(&self) -> card::Features {
        self.card
    }

    /// Gives the device new buffers for the frames that are taken.
    fn receive(&self, budget: usize, out: &mut Vec<Received>) -> bool {
        let mut receiver = self.receiver.lock();
        for _ in 0..budget {
            let Some(buffer) = receiver.take_frame() else { break };
            let flags = buffer.first().copied().unwrap_or(0);
            let frame = Bytes::from(buffer).slice(HEADER_LEN, usize::MAX);
            self.received.count(frame.len());
            out.push(Received { frame, checked: flags & (HDR_F_DATA_VALID | HDR_F_NEEDS_CSUM) != 0 });
            receiver.refill();
        }
        let tell = receiver.queue.must_notify();
        let more = receiver.queue.has_used();
        drop(receiver);
        if tell {
            self.received.exits.fetch_add(1, Ordering::Relaxed);
            self.transport.lock().notify(RECEIVE_QUEUE);
        }
        more
    }

    fn set_interrupts(&self, on: bool) -> bool {
        let mut receiver = self.receiver.lock();
        if on {
            return receiver.queue.listen();
        }
        receiver.queue.quiet();
        false
    }

    fn transmit(&self, mut frame: Frame) {
        self.sent.count(frame.head.len() - HEADER_LEN + frame.payload.bytes());
        write_header(&mut frame);
        let mut transmitter = self.transmitter.lock();
        transmitter.collect();
        transmitter.fill();
        let frame = if transmitter.backlog.is_empty() { transmitter.give(frame) } else { Some(frame) };
        let Some(frame) = frame else { return };
        if transmitter.backlog.len() >= BACKLOG {
            self.sent.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        transmitter.backlog.push_back(frame);
    }

    fn kick(&self) {
        let mut transmitter = self.transmitter.lock();
        if !transmitter.backlog.is_empty() {
            transmitter.collect();
            transmitter.fill();
        }
        let tell = transmitter.queue.must_notify();
        drop(transmitter);
        if tell {
            self.sent.exits.fetch_add(1, Ordering::Relaxed);
            self.transport.lock().notify(TRANSMIT_QUEUE);
        }
    }

    fn received(&self) -> &Traffic {
        &self.received
    }

    fn sent(&self) -> &Traffic {
        &self.sent
    }
}

/// A locally administered address, for a device that has none.
fn random_mac() -> [u8; 6] {
    let [_, b, c, d, e, f, ..] = platform::rng::next_u64().to_le_bytes();
    [0x02, b, c, d, e, f]
}

/// Fills in what the device reads before the frame (virtio 1.2, 5.1.6.2).
fn write_header(frame: &mut Frame) {
    let Some(header) = frame.head.first_chunk_mut::<HEADER_LEN>() else { return };
    header.fill(0);
    let Some(offload) = frame.offload else { return };
    header[0] = HDR_F_NEEDS_CSUM;
    if let Some((size, head)) = offload.segments {
        header[1] = if offload.v6 { HDR_GSO_TCPV6 } else { HDR_GSO_TCPV4 };
        header[2..4].copy_from_slice(&head.to_le_bytes());
        header[4..6].copy_from_slice(&size.to_le_bytes());
    }
    header[6..8].copy_from_slice(&offload.start.to_le_bytes());
    header[8..10].copy_from_slice(&offload.offset.to_le_bytes());
}

fn parts(frame: &Frame) -> ArrayVec<&[u8], MAX_PARTS> {
    let payload = frame.payload.iter().map(|piece| &**piece).filter(|piece| !piece.is_empty());
    core::iter::once(frame.head.as_slice()).chain(payload).take(MAX_PARTS).collect()
}

impl Receiver {
    /// Gives the device a buffer.
    fn give(&mut self, buffer: Vec<u8>) -> bool {
        // SAFETY: the buffer stays in `busy`, untouched, until its token comes back; a vector's
        // memory does not move with it.
        let Some(token) = (unsafe { self.queue.add(located::<MAX_DESCRIPTORS>([&*buffer]).into_iter(), true) }) else {
            return false;
        };
        if let Some(slot) = self.busy.get_mut(usize::from(token)) {
            *slot = Some(buffer);
        }
        true
    }

    /// Gives the device buffers for all free descriptors.
    fn refill(&mut self) {
        while self.queue.available() > 0
            && let Ok(buffer) = buffer(RECEIVE_BUFFER)
            && self.give(buffer)
        {}
    }

    /// A frame with the device's header before it. What came in several buffers (virtio 1.2,
    /// 5.1.6.4.1, `num_buffers`) is put together.
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let (mut first, len) = self.take()?;
        let buffers = match first.get(10..12) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => 1,
        };
        if buffers <= 1 {
            if len > COPY_BELOW {
                first.truncate(len);
                return Some(first);
            }
            let copy = first.get(..len).unwrap_or_default().to_vec();
            self.give(first);
            return Some(copy);
        }
        let mut whole = Vec::with_capacity(buffers.min(QUEUE_SIZE) * RECEIVE_BUFFER);
        whole.extend_from_slice(first.get(..len).unwrap_or_default());
        self.give(first);
        for _ in 1..buffers {
            // A device that promises more than it gives has sent a frame that is cut short.
            let Some((next, len)) = self.take() else { break };
            whole.extend_from_slice(next.get(..len).unwrap_or_default());
            self.give(next);
        }
        Some(whole)
    }

    fn take(&mut self) -> Option<(Vec<u8>, usize)> {
        let (token, len) = self.queue.pop()?;
        let buffer = self.busy.get_mut(usize::from(token)).and_then(Option::take)?;
        Some((buffer, len as usize))
    }
}

impl Transmitter {
    /// Takes back what the device is done with.
    fn collect(&mut self) {
        let mut any = false;
        while let Some((token, _)) = self.queue.pop() {
            any = true;
            if let Some(slot) = self.busy.get_mut(usize::from(token)) {
                *slot = None;
            }
        }
        if any {
            self.queue.quiet();
        }
    }

    /// Gives the device a frame, or back to the caller where there are no descriptors for it.
    fn give(&mut self, frame: Frame) -> Option<Frame> {
        // SAFETY: the frame stays in `busy`, untouched, until its token comes back; the memory of
        // its parts does not move with it.
        let token = unsafe { self.queue.add(located::<MAX_DESCRIPTORS>(parts(&frame)).into_iter(), false) };
        let Some(token) = token else { return Some(frame) };
        if let Some(slot) = self.busy.get_mut(usize::from(token)) {
            *slot = Some(frame);
        }
        None
    }

    /// Gives the device what there are descriptors for.
    fn fill(&mut self) {
        while let Some(frame) = self.backlog.pop_front() {
            if let Some(frame) = self.give(frame) {
                return self.backlog.push_front(frame);
            }
        }
    }
}
