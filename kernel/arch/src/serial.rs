//! COM1, a 16550 UART: the early log, panics, and the terminal where there is no channel.

use super::port::{inb, outb};

const COM1: u16 = 0x3f8;
const DATA: u16 = COM1;
const INTERRUPT_ENABLE: u16 = COM1 + 1;
const LINE_CONTROL: u16 = COM1 + 3;
const MODEM_CONTROL: u16 = COM1 + 4;
const LINE_STATUS: u16 = COM1 + 5;

const LINE_8N1: u8 = 0x03;
const LINE_DIVISOR_LATCH: u8 = 0x80;
/// Data terminal ready, request to send, and OUT2, which lets the interrupt out.
const MODEM_READY: u8 = 0x0b;
const STATUS_DATA_READY: u8 = 0x01;
const STATUS_TRANSMIT_EMPTY: u8 = 0x20;
/// Reads of the status before a port that is never ready (or not there) is given up on.
const TRANSMIT_ATTEMPTS: u32 = 100_000;

/// The GSI of COM1.
pub const GSI: u32 = 4;

/// Sets 115200 baud, 8N1, interrupts off. The FIFO stays as it is: to switch it drops what has been
/// typed by now.
pub fn init() {
    // SAFETY: COM1 is this module's alone.
    unsafe {
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, LINE_DIVISOR_LATCH);
        outb(DATA, 1);
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, LINE_8N1);
        outb(MODEM_CONTROL, MODEM_READY);
    }
}

/// Writes bytes as they are.
pub fn write(bytes: &[u8]) {
    for &byte in bytes {
        write_byte(byte);
    }
}

fn write_byte(byte: u8) {
    for _ in 0..TRANSMIT_ATTEMPTS {
        // SAFETY: COM1 is this module's alone.
        if unsafe { inb(LINE_STATUS) } & STATUS_TRANSMIT_EMPTY != 0 {
            break;
        }
        core::hint::spin_loop();
    }
    // SAFETY: as above.
    unsafe { outb(DATA, byte) };
}

/// The next byte received, if there is one.
pub fn read_byte() -> Option<u8> {
    // SAFETY: COM1 is this module's alone.
    unsafe {
        let status = inb(LINE_STATUS);
        // All ones: no UART behind the port.
        if status == 0xff || status & STATUS_DATA_READY == 0 {
            return None;
        }
        Some(inb(DATA))
    }
}

/// Lets the UART interrupt when a byte arrives.
pub fn enable_receive_interrupt() {
    const RECEIVED_DATA_AVAILABLE: u8 = 0x01;
    // SAFETY: COM1 is this module's alone.
    unsafe { outb(INTERRUPT_ENABLE, RECEIVED_DATA_AVAILABLE) };
}
