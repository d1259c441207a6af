//! virtio-console: a byte stream each way, over one of its ports.
//!
//! Sending copies into free buffers and notifies the device once, however many it filled; when none
//! is free, the caller waits for the room hook. Received bytes are offered to a consumer; what it
//! does not take stays in its buffer, the device runs out of buffers, and the host's writes wait.
//! Source: virtio 1.2, 5.3.

mod ports;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use bitflags::bitflags;
use virtio_drivers::transport::{SomeTransport, Transport};

use ports::Control;

use super::Device;
use super::queue::{located, new_queue};
use super::virtqueue::{EVENT_IDX, SplitQueue};
use sync::IrqSpinLock;

const RECEIVE_BUFFERS: usize = 4;
const TRANSMIT_BUFFERS: usize = 8;
const BUFFER_SIZE: usize = 4096;
/// The most descriptors of a buffer: it may lie across a page's end.
const MAX_PIECES: usize = 2;
const RECEIVE_QUEUE_SIZE: usize = RECEIVE_BUFFERS * MAX_PIECES;
const TRANSMIT_QUEUE_SIZE: usize = TRANSMIT_BUFFERS * MAX_PIECES;

type Buffer = Box<[u8; BUFFER_SIZE]>;

bitflags! {
    /// The features that we take; no other has a use here.
    #[derive(Clone, Copy, Debug)]
    struct Features: u64 {
        const MULTIPORT = 1 << 1;
        const EVENT_IDX = EVENT_IDX;
        const VERSION_1 = 1 << 32;
    }
}

struct Transmitter {
    transport: SomeTransport<'static>,
    receive_queue: u16,
    transmit_queue: u16,
    acknowledge: bool,
    /// Kept because the device may still write to their buffers.
    _control: Option<Control>,
    queue: SplitQueue<TRANSMIT_QUEUE_SIZE>,
    free: Vec<Buffer>,
    /// Buffers that the device has, by descriptor.
    busy: [Option<Buffer>; TRANSMIT_QUEUE_SIZE],
    /// Somebody waits for a free buffer.
    wanted: bool,
}

struct Receiver {
    queue: SplitQueue<RECEIVE_QUEUE_SIZE>,
    /// Buffers that the device has, by descriptor.
    busy: [Option<Buffer>; RECEIVE_QUEUE_SIZE],
    /// The buffer being consumed: its length, and how much is consumed.
    current: Option<(Buffer, usize, usize)>,
}

/// What others do with the stream, from interrupt context.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Takes received bytes and says how many it took; after less than all, [`resume`] starts it
    /// again.
    pub consume: fn(&[u8]) -> usize,
    /// There is room again after [`transmit`] found none.
    pub room: fn(),
}

/// Guards the sending half; nothing else is locked while it is held.
static TRANSMITTER: IrqSpinLock<Option<Transmitter>> = IrqSpinLock::new(None);
/// Guards the receiving half; held while the consumer runs, so the locks of the consumer and
/// [`TRANSMITTER`] come after it.
static RECEIVER: IrqSpinLock<Option<Receiver>> = IrqSpinLock::new(None);
static HOOKS: IrqSpinLock<Option<Hooks>> = IrqSpinLock::new(None);
static PRESENT: AtomicBool = AtomicBool::new(false);

/// Starts the device, and opens one of its ports.
pub(super) fn init(device: Device, port: u16) -> Result<(), virtio_drivers::Error> {
    let (mut transport, interrupt) = device.split();
    let wanted = if port == 0 { Features::all() - Features::MULTIPORT } else { Features::all() };
    let features = transport.begin_init(wanted);
    if port != 0 && !features.contains(Features::MULTIPORT) {
        return Err(virtio_drivers::Error::Unsupported);
    }
    let receive_queue = ports::receive_queue(port);
    let transmit_queue = receive_queue + 1;
    let mut control = if port == 0 { None } else { Some(Control::new(&mut transport)?) };
    let event_idx = features.contains(Features::EVENT_IDX);
    let receive = new_queue(&mut transport, receive_queue, event_idx)?;
    let mut transmit: SplitQueue<TRANSMIT_QUEUE_SIZE> = new_queue(&mut transport, transmit_queue, event_idx)?;
    // Sent buffers are collected with the next send; only a sender out of buffers wants to be told.
    transmit.quiet();
    transport.finish_init();
    if let Some(control) = &mut control {
        control.open(&mut transport, port)?;
    }

    let mut receiver = Receiver { queue: receive, busy: [const { None }; RECEIVE_QUEUE_SIZE], current: None };
    for _ in 0..RECEIVE_BUFFERS {
        receiver.give(new_buffer());
    }
    receiver.queue.must_notify();
    transport.notify(receive_queue);
    *RECEIVER.lock() = Some(receiver);
    *TRANSMITTER.lock() = Some(Transmitter {
        transport,
        receive_queue,
        transmit_queue,
        acknowledge: interrupt.needs_acknowledge(),
        _control: control,
        queue: transmit,
        free: (0..TRANSMIT_BUFFERS).map(|_| new_buffer()).collect(),
        busy: [const { None }; TRANSMIT_QUEUE_SIZE],
        wanted: false,
    });
    PRESENT.store(true, Ordering::Release);
    if !interrupt.connect(transmit_queue + 1, handle_interrupt) {
        kerr!("virtio-console has no interrupt: input will not arrive");
    }
    Ok(())
}

fn new_buffer() -> Buffer {
    Box::new([0; BUFFER_SIZE])
}

/// Whether there is a console.
pub fn present() -> bool {
    PRESENT.load(Ordering::Acquire)
}

/// Sets what becomes of received bytes, and of senders that wait.
pub fn set_hooks(hooks: Hooks) {
    *HOOKS.lock() = Some(hooks);
    resume();
}

impl Transmitter {
    /// Takes back the buffers that the device is done with.
    fn collect(&mut self) {
        let mut any = false;
        while let Some((token, _)) = self.queue.pop() {
            any = true;
            self.free.extend(self.busy.get_mut(usize::from(token)).and_then(Option::take));
        }
        if any && !self.wanted {
            self.queue.quiet();
        }
    }

    /// Gives the device a filled buffer.
    fn give(&mut self, buffer: Buffer, len: usize) {
        let pieces = located::<MAX_PIECES>([buffer.get(..len).unwrap_or(&buffer[..])]);
        // SAFETY: the buffer stays in `busy`, untouched, until its token comes back.
        let token = unsafe { self.queue.add(pieces.into_iter(), false) };
        match token.and_then(|token| self.busy.get_mut(usize::from(token))) {
            Some(slot) => *slot = Some(buffer),
            // Cannot be: there are descriptors for all buffers.
            None => self.free.push(buffer),
        }
    }
}

/// Has `fill` fill free buffers, each as far as it says, until it says 0 or no buffer is free; then
/// notifies the device once. False when there was no console or no buffer left: the room hook will
/// be called.
pub fn transmit(fill: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
    TRANSMITTER.lock().as_mut().is_some_and(|transmitter| transmit_locked(transmitter, fill))
}

/// [`transmit`] for a panic: `None` when the lock is taken, perhaps by whoever panicked.
pub fn try_transmit(fill: &mut dyn FnMut(&mut [u8]) -> usize) -> Option<bool> {
    Some(transmit_locked(TRANSMITTER.try_lock()?.as_mut()?, fill))
}

fn transmit_locked(transmitter: &mut Transmitter, fill: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
    let mut filled = false;
    transmitter.collect();
    let done = loop {
        let Some(mut buffer) = transmitter.free.pop() else {
            transmitter.wanted = true;
            if !transmitter.queue.listen() {
                break false;
            }
            transmitter.collect();
            continue;
        };
        let len = fill(&mut buffer[..]).min(BUFFER_SIZE);
        if len == 0 {
            transmitter.free.push(buffer);
            break true;
        }
        transmitter.give(buffer, len);
        filled = true;
    };
    if filled && transmitter.queue.must_notify() {
        transmitter.transport.notify(transmitter.transmit_queue);
    }
    done
}

/// Whether the device has taken all that was sent. True without a console; `None` when the lock is
/// taken.
pub fn try_drained() -> Option<bool> {
    let mut guard = TRANSMITTER.try_lock()?;
    let Some(transmitter) = guard.as_mut() else { return Some(true) };
    transmitter.collect();
    Some(transmitter.free.len() == TRANSMIT_BUFFERS)
}

impl Receiver {
    fn give(&mut self, buffer: Buffer) {
        // SAFETY: the buffer stays in `busy`, untouched, until its token comes back.
        let token = unsafe { self.queue.add(located::<MAX_PIECES>([&buffer[..]]).into_iter(), true) };
        if let Some(slot) = token.and_then(|token| self.busy.get_mut(usize::from(token))) {
            *slot = Some(buffer);
        }
    }

    /// The next received buffer, and how many bytes are in it. Where there is none, the device
    /// interrupts for the next.
    fn take(&mut self) -> Option<(Buffer, usize)> {
        loop {
            if let Some((token, len)) = self.queue.pop() {
                let buffer = self.busy.get_mut(usize::from(token)).and_then(Option::take)?;
                return Some((buffer, (len as usize).min(BUFFER_SIZE)));
            }
            if !self.queue.listen() {
                return None;
            }
        }
    }

    /// Offers what has come in to `consume`. Says whether the device has to be told of new buffers.
    fn run(&mut self, consume: fn(&[u8]) -> usize) -> bool {
        while let Some((buffer, len, mut done)) =
            self.current.take().or_else(|| self.take().map(|(buffer, len)| (buffer, len, 0)))
        {
            let rest = buffer.get(done..len).unwrap_or(&[]);
            done += consume(rest).min(rest.len());
            if done < len {
                self.current = Some((buffer, len, done));
                break;
            }
            self.give(buffer);
        }
        self.queue.must_notify()
    }
}

/// Offers received bytes again, after the consumer had not taken all. The caller holds no lock that
/// the consumer takes.
pub fn resume() {
    let Some(hooks) = *HOOKS.lock() else { return };
    let mut guard = RECEIVER.lock();
    let Some(receiver) = guard.as_mut() else { return };
    if receiver.run(hooks.consume)
        && let Some(transmitter) = TRANSMITTER.lock().as_mut()
    {
        transmitter.transport.notify(transmitter.receive_queue);
    }
}

fn handle_interrupt() {
    let room = TRANSMITTER.lock().as_mut().is_some_and(|transmitter| {
        if transmitter.acknowledge {
            transmitter.transport.ack_interrupt();
        }
        transmitter.collect();
        let room = transmitter.wanted && !transmitter.free.is_empty();
        if room {
            transmitter.wanted = false;
            transmitter.queue.quiet();
        }
        room
    });
    let hooks = *HOOKS.lock();
    if let Some(hooks) = hooks.filter(|_| room) {
        (hooks.room)();
    }
    resume();
}
