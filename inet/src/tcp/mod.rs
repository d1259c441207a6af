//! TCP (RFC 9293), one connection at a time.
//!
//! [`Tcb`] is a connection from its `SYN` to `CLOSED`. [`Tcb::receive`] takes a segment,
//! [`Tcb::poll_transmit`] gives the next segment to send, [`Tcb::deadline`] tells when
//! [`Tcb::on_timer`] is to be called. What has not answered our `SYN,ACK` yet is no connection but
//! a [`request::Request`], which is small, or a cookie, which is nothing at all (RFC 4987).
//!
//! Loss recovery is NewReno (RFC 6582) with the initial window of RFC 6928; the other side is told
//! what arrived out of order (RFC 2018). Times are nanoseconds of a clock that never steps.

mod congestion;
mod counts;
mod cubic;
mod header;
mod input;
mod output;
mod pieces;
mod receive_queue;
pub mod request;
mod rtt;
mod send_queue;
mod seq;
mod settings;
mod tcb;
mod timers;
mod urgent;

#[cfg(test)]
mod tests;

pub use congestion::Algorithm;
pub use counts::Counts;
pub use header::{Flags, Header, Options};
pub use input::reset_for;
pub use output::Transmit;
pub use pieces::{MAX_PIECES, Pieces};
pub use seq::Seq;
pub use settings::{Config, Error, Events, Limits, Settings, State};
pub use tcb::Tcb;

/// Nanoseconds on a clock that never steps.
pub type Instant = u64;

/// One millisecond.
pub const MS: u64 = 1_000_000;
/// One second.
pub const SECOND: u64 = 1_000_000_000;
/// How long `TIME_WAIT` and an orphan's `FIN_WAIT2` last (Linux's `TCP_TIMEWAIT_LEN`).
pub const TIME_WAIT: u64 = 60 * SECOND;
/// The largest shift of a window (RFC 7323, 2.3).
pub const MAX_WINDOW_SCALE: u8 = 14;
/// Segments without the option may carry this much (RFC 9293, 3.7.1), over IPv4 and IPv6.
pub const DEFAULT_MSS: [u16; 2] = [536, 1220];
