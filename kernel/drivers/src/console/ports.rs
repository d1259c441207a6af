//! Opening a port of a multiport console.
//!
//! Port 0 is a console, which every driver knows how to use; but QEMU drops what a console sends
//! while its reader is slow. Further ports are plain byte streams, which wait for their reader.
//! They have to be opened by messages on a pair of control queues. Source: virtio 1.2, 5.3.6.2.

use alloc::boxed::Box;

use virtio_drivers::transport::{SomeTransport, Transport};
use virtio_drivers::{Error, Result};

use crate::answer_in_time;
use crate::queue::{located, new_queue};
use crate::virtqueue::SplitQueue;

const CONTROL_RECEIVE_QUEUE: u16 = 2;
const CONTROL_TRANSMIT_QUEUE: u16 = 3;
const CONTROL_BUFFERS: usize = 8;
/// Descriptors of a control queue: a buffer may lie across a page's end.
const CONTROL_QUEUE_SIZE: usize = 2 * CONTROL_BUFFERS;
/// `struct virtio_console_control`.
const MESSAGE_SIZE: usize = 8;
/// A message, and room for the name that may follow it.
const MESSAGE_BUFFER_SIZE: usize = 64;

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;

/// The receive queue of a port; its transmit queue is the next.
pub fn receive_queue(port: u16) -> u16 {
    if port == 0 { 0 } else { 2 + 2 * port }
}

type Message = Box<[u8; MESSAGE_BUFFER_SIZE]>;

/// The control queues. They stay set up as long as the device runs, with buffers that it may fill.
pub struct Control {
    receive: SplitQueue<CONTROL_QUEUE_SIZE>,
    transmit: SplitQueue<CONTROL_QUEUE_SIZE>,
    /// Buffers that the device may fill, by descriptor.
    receiving: [Option<Message>; CONTROL_QUEUE_SIZE],
    /// Buffers that the device may still read, by descriptor.
    sending: [Option<Message>; CONTROL_QUEUE_SIZE],
}

impl Control {
    /// Sets the queues up; the device is not running yet.
    pub fn new(transport: &mut SomeTransport<'static>) -> Result<Self> {
        let mut receive = new_queue(transport, CONTROL_RECEIVE_QUEUE, false)?;
        let mut transmit = new_queue(transport, CONTROL_TRANSMIT_QUEUE, false)?;
        SplitQueue::quiet(&mut receive);
        SplitQueue::quiet(&mut transmit);
        let none = || [const { None }; CONTROL_QUEUE_SIZE];
        Ok(Self { receive, transmit, receiving: none(), sending: none() })
    }

    /// Opens `port`, and waits until the device has named it. The device is running.
    pub fn open(&mut self, transport: &mut SomeTransport<'static>, port: u16) -> Result<()> {
        for _ in 0..CONTROL_BUFFERS {
            let buffer = Box::new([0; MESSAGE_BUFFER_SIZE]);
            add(&mut self.receive, &mut self.receiving, buffer, true)?;
        }
        transport.notify(CONTROL_RECEIVE_QUEUE);
        self.send(transport, 0, DEVICE_READY)?;
        self.wait_for_port(port)?;
        self.send(transport, port, PORT_READY)?;
        self.send(transport, port, PORT_OPEN)
    }

    /// Sends the message that `event` holds for `port`.
    fn send(&mut self, transport: &mut SomeTransport<'static>, port: u16, event: u16) -> Result<()> {
        const YES: u16 = 1;
        let mut message = Box::new([0; MESSAGE_BUFFER_SIZE]);
        message[..4].copy_from_slice(&u32::from(port).to_le_bytes());
        message[4..6].copy_from_slice(&event.to_le_bytes());
        message[6..MESSAGE_SIZE].copy_from_slice(&YES.to_le_bytes());
        add(&mut self.transmit, &mut self.sending, message, false)?;
        transport.notify(CONTROL_TRANSMIT_QUEUE);
        let (token, _) = answer_in_time(&mut self.transmit).ok_or(Error::NotReady)?;
        take(&mut self.sending, token).map(drop)
    }

    fn wait_for_port(&mut self, port: u16) -> Result<()> {
        loop {
            let (token, _) = answer_in_time(&mut self.receive).ok_or(Error::NotReady)?;
            let buffer = take(&mut self.receiving, token)?;
            let [p0, p1, 0, 0, e0, e1, ..] = *buffer else { continue };
            if u16::from_le_bytes([p0, p1]) == port && u16::from_le_bytes([e0, e1]) == PORT_ADD {
                return Ok(());
            }
        }
    }
}

/// Gives the device a message, whole if it is to be filled.
fn add(
    queue: &mut SplitQueue<CONTROL_QUEUE_SIZE>,
    busy: &mut [Option<Message>; CONTROL_QUEUE_SIZE],
    message: Message,
    device_writes: bool,
) -> Result<()> {
    let bytes = if device_writes { &message[..] } else { &message[..MESSAGE_SIZE] };
    // SAFETY: the buffer goes to `busy`, where it stays, untouched, until its token comes back.
    let token = unsafe { queue.add(located::<2>([bytes]).into_iter(), device_writes) }.ok_or(Error::QueueFull)?;
    *busy.get_mut(usize::from(token)).ok_or(Error::WrongToken)? = Some(message);
    Ok(())
}

/// The message that came back under a token.
fn take(busy: &mut [Option<Message>; CONTROL_QUEUE_SIZE], token: u16) -> Result<Message> {
    busy.get_mut(usize::from(token)).and_then(Option::take).ok_or(Error::WrongToken)
}
