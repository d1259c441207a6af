//! Internet protocols without a kernel: what a segment does to a connection, and what a connection
//! sends.
//!
//! Nothing here does input or output, reads a clock or takes a lock. The kernel hands in segments
//! and the time, and asks what is to be sent; so everything here is tested, and fuzzed, on the
//! host.
//!
//! Why not smoltcp's sockets: its interface offers every packet, and every wake-up, to each socket
//! of a set in turn, its sockets have buffers of a fixed size from the start, a listening socket is
//! the one connection it becomes, and a socket does not tell a reset from a time-out. A server with
//! a thousand connections needs none of these, and the state machine that has none of them is what
//! this crate is.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bpf;
pub mod bytes;
pub mod checksum;
pub mod dhcp;
pub mod fragments;
pub mod groups;
pub mod hostile;
pub mod ip;
pub mod ipv4_options;
pub mod ipv6_headers;
pub mod siphash;
pub mod tcp;
pub mod udplite;

pub use bytes::Bytes;
