//! The network among threads of a host, each of which is a process.
//!
//! There is one stack, which all tests share; each has addresses, ports and interfaces of its own.
//! What has come is dealt with by a thread that stands for an idle CPU. On the first card is a
//! [`lan`] with a router; a [`tap`] shows a test each frame; behind the [`cable`]s is a second
//! stack, in a process of its own.

mod cable;
mod calls;
mod datagrams;
mod frames;
mod headers;
mod lan;
mod machine;
mod options;
mod packets;
mod peer;
mod rtnetlink;
mod smoke;
mod sock_diag;
mod streams;
mod tap;
mod told;
mod wire;

use machine::start;
