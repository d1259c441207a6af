//! Messages and attributes, as they lie in memory (netlink(7)).

use alloc::vec::Vec;
use core::cell::Cell;
use core::net::IpAddr;

use inet::ip::octets;
use syscall_shim::Errno;

/// `sizeof(struct nlmsghdr)`.
pub const HEADER: usize = 16;
/// Types below this one are the protocol's own.
pub const FIRST_KIND: u16 = 16;
/// `NLMSG_ERROR`, `NLMSG_DONE`.
pub const ERROR: u16 = 2;
/// See [`ERROR`].
pub const DONE: u16 = 3;

/// `NLM_F_*`.
#[allow(missing_docs)]
pub mod flag {
    pub const REQUEST: u16 = 1;
    pub const MULTI: u16 = 2;
    pub const ACK: u16 = 4;
    pub const DUMP: u16 = 0x300;
    pub const REPLACE: u16 = 0x100;
    pub const EXCL: u16 = 0x200;
    /// Of a removal: all that fit.
    pub const BULK: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
    pub const APPEND: u16 = 0x800;
    /// Of an answer: what was asked is not quoted.
    pub const CAPPED: u16 = 0x100;
    /// Of an answer: attributes follow what was asked.
    pub const ACK_TLVS: u16 = 0x200;
}

/// The number at an offset; 0 beyond the end.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// See [`word`].
pub fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

/// A request's header.
pub struct Request {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub serial: u32,
    /// Who asks.
    pub port: u32,
    /// What is wrong with it, in words (`NLMSGERR_ATTR_MSG`).
    pub text: Cell<Option<&'static str>>,
}

impl Request {
    /// An error, in words too.
    pub fn refused(&self, errno: Errno, text: &'static str) -> Errno {
        self.text.set(Some(text));
        errno
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// A whole message.
pub fn message(kind: u16, flags: u16, serial: u32, port: u32, body: &[u8]) -> Vec<u8> {
    let mut out = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&serial.to_ne_bytes());
    out.extend_from_slice(&port.to_ne_bytes());
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Appends an attribute.
pub fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends an address.
pub fn address(out: &mut Vec<u8>, kind: u16, value: &IpAddr) {
    let (bytes, len) = octets(value);
    attribute(out, kind, bytes.get(..len).unwrap_or_default());
}

/// The attributes in a piece of a message, each with its type without flags. Ends at the first that
/// is not whole.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let len = usize::from(half(rest, 0));
        let value = rest.get(4..len)?;
        let kind = half(rest, 2) & 0x3fff;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The attribute of a type; the last one counts.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).filter(|(this, _)| *this == kind).last().map(|(_, value)| value)
}

/// A number in an attribute.
pub fn number(bytes: &[u8], kind: u16) -> Option<u32> {
    find(bytes, kind).and_then(|value| value.first_chunk()).map(|value| u32::from_ne_bytes(*value))
}

/// An address of 4 or 16 bytes.
pub fn ip(value: &[u8], v4: bool) -> Option<IpAddr> {
    if v4 {
        value.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes))
    } else {
        value.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes))
    }
}

/// A text up to its zero.
pub fn text(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}
