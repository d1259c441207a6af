//! Opening a port of a multiport console.
//!
//! Port 0 is a console, which every driver knows how to use; but QEMU drops what a console sends while its reader is slow.
//! Further ports are plain byte streams, which wait for their reader. They have to be opened by messages on a pair of control
//! queues. Source: virtio 1.2, 5.3.6.2.

use alloc::boxed::Box;
use alloc::vec::Vec;

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{SomeTransport, Transport};
use virtio_drivers::{Error, Result};

use super::SkiffHal;
use crate::arch::clock;

const CONTROL_RECEIVE_QUEUE: u16 = 2;
const CONTROL_TRANSMIT_QUEUE: u16 = 3;
const CONTROL_BUFFERS: usize = 8;
/// A message, and room for the name that may follow it.
const MESSAGE_BUFFER_SIZE: usize = 64;
/// How long the device may take to answer, in TSC ticks.
const PATIENCE: u64 = 2_000_000_000;

const DEVICE_READY: u16 = 0;
const PORT_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;

/// The receive queue of a port; its transmit queue is the next.
pub fn receive_queue(port: u16) -> u16 {
    if port == 0 { 0 } else { 2 + 2 * port }
}

/// The control queues. They stay set up as long as the device runs, with buffers that it may fill.
pub struct Control {
    receive: VirtQueue<SkiffHal, CONTROL_BUFFERS>,
    transmit: VirtQueue<SkiffHal, CONTROL_BUFFERS>,
    /// By descriptor.
    // Boxed so that a buffer stays where the device knows it when the vector grows.
    #[allow(clippy::vec_box)]
    buffers: Vec<Box<[u8; MESSAGE_BUFFER_SIZE]>>,
}

impl Control {
    /// Sets the queues up; the device is not running yet.
    pub fn new(transport: &mut SomeTransport<'static>) -> Result<Self> {
        let receive = VirtQueue::new(transport, CONTROL_RECEIVE_QUEUE, false, false)?;
        let transmit = VirtQueue::new(transport, CONTROL_TRANSMIT_QUEUE, false, false)?;
        Ok(Self { receive, transmit, buffers: Vec::new() })
    }

    /// Opens `port`, and waits until the device has named it. The device is running.
    pub fn open(&mut self, transport: &mut SomeTransport<'static>, port: u16) -> Result<()> {
        for _ in 0..CONTROL_BUFFERS {
            let mut buffer = Box::new([0; MESSAGE_BUFFER_SIZE]);
            // SAFETY: the buffer stays in `buffers`, where only a used one is read.
            unsafe { self.receive.add(&[], &mut [&mut buffer[..]]) }?;
            self.buffers.push(buffer);
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
        let mut message = [0; 8];
        message[..4].copy_from_slice(&u32::from(port).to_le_bytes());
        message[4..6].copy_from_slice(&event.to_le_bytes());
        message[6..].copy_from_slice(&YES.to_le_bytes());
        self.transmit.add_notify_wait_pop(&[&message], &mut [], transport).map(drop)
    }

    fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let start = clock::tsc();
        while clock::tsc().saturating_sub(start) < PATIENCE {
            let Some(token) = self.receive.peek_used() else {
                core::hint::spin_loop();
                continue;
            };
            let buffer = self.buffers.get_mut(usize::from(token)).ok_or(Error::WrongToken)?;
            // SAFETY: the buffer that was added under this token: fresh queues hand out descriptors in order.
            unsafe { self.receive.pop_used(token, &[], &mut [&mut buffer[..]]) }?;
            let [p0, p1, 0, 0, e0, e1, ..] = **buffer else { continue };
            if u16::from_le_bytes([p0, p1]) == port && u16::from_le_bytes([e0, e1]) == PORT_ADD {
                return Ok(());
            }
        }
        Err(Error::NotReady)
    }
}
