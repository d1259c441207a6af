//! What a connection is told and tells: its states, errors and events, and what the interface and
//! the application set.

use bitflags::bitflags;

use super::congestion::Algorithm;
use super::tcb::DELAYED_ACK;
use super::{Instant, SECOND, TIME_WAIT, rtt};

/// States of RFC 9293, 3.3.2, except `LISTEN`. What a listener receives is in `SYN-RECEIVED` as a
/// [`Request`], so that only a simultaneous open brings a connection there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// Why a connection failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The other side refused it.
    Refused,
    /// The other side reset it.
    Reset,
    /// It was reset after the other side had sent all it had.
    BrokenPipe,
    /// The other side did not answer.
    TimedOut,
    /// The network or the host cannot be reached (set from ICMP).
    Unreachable,
}

bitflags! {
    /// What has changed, for those who wait.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Events: u16 {
        /// There is more to read.
        const READABLE = 1;
        /// There is room to write again.
        const WRITABLE = 2;
        /// The connection is established.
        const CONNECTED = 4;
        /// The other side has sent all it had.
        const ENDED = 8;
        /// The connection is no more, or has failed.
        const CLOSED = 16;
        /// The other side has urgent data, which may not have arrived yet.
        const URGENT = 32;
        /// It was never established (`tcpAttemptFails`, RFC 4022).
        const FAILED = 64;
        /// It was established, and has ended at once (`tcpEstabResets`).
        const BROKEN = 128;
    }
}

/// What the interface and the socket give to a connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The largest payload that fits a packet of the interface.
    pub mss: u16,
    /// What a segment may carry where the other side names no limit.
    pub default_mss: u16,
    /// Bytes that may wait to be read, at first, and to be acknowledged.
    pub limits: Limits,
}

/// Sizes of the buffers, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of what has arrived and was not read.
    pub receive: usize,
    /// What `receive` may grow to.
    pub receive_max: usize,
    /// Of what was written and not acknowledged.
    pub send: usize,
}

/// What the application may set at any time.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `TCP_NODELAY`.
    pub no_delay: bool,
    /// `TCP_CORK`, or the last write said that more comes.
    pub cork: bool,
    /// `SO_KEEPALIVE`.
    pub keep_alive: bool,
    /// `TCP_KEEPIDLE` in nanoseconds.
    pub keep_idle: u64,
    /// `TCP_KEEPINTVL` in nanoseconds.
    pub keep_interval: u64,
    /// `TCP_KEEPCNT`.
    pub keep_count: u32,
    /// `TCP_USER_TIMEOUT` in nanoseconds; 0 leaves it to the number of tries.
    pub user_timeout: u64,
    /// `TCP_SYNCNT`.
    pub syn_retries: u32,
    /// How long an orphan waits for the other side's `FIN`.
    pub linger2: u64,
    /// `TCP_NOTSENT_LOWAT`: with this much waiting to be sent, no more is asked for.
    pub not_sent_low_water: u32,
    /// `TCP_CONGESTION`.
    pub congestion: Algorithm,
    /// Bounds of the retransmission time-out, in nanoseconds.
    pub retransmit_min: u64,
    /// See `retransmit_min`.
    pub retransmit_max: u64,
    /// The longest that an acknowledgement waits for company, in nanoseconds.
    pub delayed_ack_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            no_delay: false,
            cork: false,
            keep_alive: false,
            keep_idle: 7200 * SECOND,
            keep_interval: 75 * SECOND,
            keep_count: 9,
            user_timeout: 0,
            syn_retries: 6,
            linger2: TIME_WAIT,
            not_sent_low_water: u32::MAX,
            congestion: Algorithm::default(),
            retransmit_min: rtt::MIN,
            retransmit_max: rtt::MAX,
            delayed_ack_max: DELAYED_ACK,
        }
    }
}

/// Timers, as moments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers {
    /// Retransmission, or the probe of a closed window.
    pub resend: Option<Instant>,
    pub delayed_ack: Option<Instant>,
    pub cork: Option<Instant>,
    pub keep_alive: Option<Instant>,
    /// End of `TIME_WAIT`, or of an orphan's `FIN_WAIT2`.
    pub end: Option<Instant>,
}
