//! The state of a connection, and what the application does to it.

use super::congestion::Congestion;
use super::counts::Counts;
use super::receive_queue::ReceiveQueue;
use super::request::Request;
use super::rtt::Rtt;
use super::send_queue::SendQueue;
use super::settings::{Config, Error, Events, Limits, Settings, State, Timers};
use super::urgent::Urgent;
use super::{Flags, Header, Instant, MS, Seq, TIME_WAIT};
use crate::Bytes;

/// A connection.
#[derive(Debug)]
pub struct Tcb {
    pub(super) state: State,
    pub(super) ports: (u16, u16),
    pub(super) config: Config,
    /// What the application has set; [`Tcb::settings_changed`] is to be called after a change.
    pub settings: Settings,

    /// The largest payload that the other side takes.
    pub(super) mss: u32,
    pub(super) una: Seq,
    pub(super) nxt: Seq,
    /// Behind the highest number ever sent.
    pub(super) max: Seq,
    pub(super) window: u32,
    /// The largest window ever offered.
    pub(super) window_max: u32,
    pub(super) wl1: Seq,
    pub(super) wl2: Seq,
    pub(super) send_shift: u8,
    pub(super) send: SendQueue,
    /// The application has nothing more to send.
    pub(super) fin_queued: bool,
    /// The other side has our `FIN`: it is behind `una`, and neither due nor on its way.
    pub(super) fin_acked: bool,
    pub(super) congestion: Congestion,
    pub(super) duplicates: u32,
    /// The first unacknowledged segment is to be sent again.
    pub(super) resend_first: bool,
    /// A probe of a closed window, or of the other side's life, is to be sent.
    pub(super) probe: bool,
    /// Probes of a closed window so far.
    pub(super) probe_backoff: u32,
    /// Tries since the other side last answered.
    pub(super) tries: u32,
    /// Since when it has not answered.
    pub(super) silent_since: Option<Instant>,
    /// Keep-alive probes without an answer.
    pub(super) probes: u32,
    pub(super) rtt: Rtt,
    pub(super) heard_at: Instant,
    /// A write found no room: say when there is some.
    pub(super) wants_room: bool,
    /// Behind our last urgent byte, while the other side does not have it.
    pub(super) urgent_end: Option<Seq>,

    pub(super) rcv_nxt: Seq,
    /// Right edge of the window that was last offered.
    pub(super) advertised: Seq,
    pub(super) receive_shift: u8,
    pub(super) queue: ReceiveQueue,
    pub(super) receive_limit: usize,
    /// Bytes read, and when counting began, to see whether the window is what holds the sender up.
    pub(super) measured: (usize, Instant),
    pub(super) sack: bool,
    /// The other side scales windows.
    pub(super) scaled: bool,
    pub(super) fin_received: bool,
    pub(super) urgent: Urgent,
    /// An `ACK` is due now.
    pub(super) ack_now: bool,
    /// Bytes that arrived since the last `ACK`.
    pub(super) unacknowledged: u32,
    /// Ends of what the other side had to send that arrived since the last `ACK` (Linux's
    /// `ICSK_ACK_PUSHED` and `ICSK_ACK_PUSHED2`).
    pub(super) pushed: u8,
    /// When bytes last came.
    pub(super) data_at: Instant,
    /// Answers go both ways, so that `ACK`s may wait for one (Linux's `pingpong`).
    pub(super) answering: bool,
    /// `ACK`s that go at once while that is not so, for the other side to get going.
    pub(super) quick_acks: u8,
    pub(super) last_challenge: Instant,

    pub(super) timers: Timers,
    /// Nobody holds the socket any more.
    pub(super) orphan: bool,
    /// The application does not read any more.
    pub(super) read_closed: bool,
    pub(super) error: Option<Error>,
    pub(super) events: Events,
    /// Bytes that the other side has acknowledged, in all.
    pub(super) acknowledged: u64,
    /// Segments sent again, in all.
    pub(super) retransmits: u32,
    pub(super) counts: Counts,
    /// Memory is short: little is promised to the other side, and little taken from the
    /// application.
    pub(super) short: bool,
}

/// The smallest segments: whatever the other side or a router says, options and some payload fit.
const MIN_MSS: u16 = 64;
/// What a connection may hold in each direction while memory is short.
const MAX_BUFFER_MEMORY_LOW: usize = 16 << 10;

/// `ACK`s at the start of a connection that do not wait (Linux's `TCP_MAX_QUICKACKS`).
pub(super) const QUICK_ACKS: u8 = 16;

/// How long `ACK`s wait for company (Linux's `TCP_DELACK_MIN`).
pub(super) const DELAYED_ACK: u64 = 40 * MS;

/// The shift that makes a window of `max` bytes fit 16 bits.
pub(super) fn window_shift(max: usize) -> u8 {
    let mut shift = 0;
    while shift < super::MAX_WINDOW_SCALE && max >> shift > 0xffff {
        shift += 1;
    }
    shift
}

impl Tcb {
    fn new(state: State, ports: (u16, u16), iss: Seq, config: Config, settings: Settings, now: Instant) -> Tcb {
        let mss = u32::from(config.mss.min(config.default_mss));
        Tcb {
            state,
            ports,
            config,
            settings,
            mss,
            una: iss,
            nxt: iss,
            max: iss,
            window: 0,
            window_max: 0,
            wl1: Seq(0),
            wl2: iss,
            send_shift: 0,
            send: SendQueue::default(),
            fin_queued: false,
            fin_acked: false,
            congestion: Congestion::new(mss),
            duplicates: 0,
            resend_first: false,
            probe: false,
            probe_backoff: 0,
            tries: 0,
            silent_since: None,
            probes: 0,
            rtt: Rtt::default(),
            heard_at: now,
            wants_room: false,
            urgent_end: None,
            rcv_nxt: Seq(0),
            advertised: Seq(0),
            receive_shift: window_shift(config.limits.receive_max),
            queue: ReceiveQueue::default(),
            receive_limit: config.limits.receive,
            measured: (0, now),
            sack: false,
            scaled: false,
            fin_received: false,
            urgent: Urgent::default(),
            ack_now: false,
            pushed: 0,
            unacknowledged: 0,
            data_at: 0,
            answering: false,
            quick_acks: QUICK_ACKS,
            last_challenge: 0,
            timers: Timers::default(),
            orphan: false,
            read_closed: false,
            error: None,
            events: Events::empty(),
            acknowledged: 0,
            retransmits: 0,
            counts: Counts::default(),
            short: false,
        }
    }

    /// An active open: the next segment to send is the `SYN`. `ports` are ours and the other
    /// side's.
    pub fn connect(ports: (u16, u16), iss: Seq, config: Config, settings: Settings, now: Instant) -> Tcb {
        Tcb::new(State::SynSent, ports, iss, config, settings, now)
    }

    /// A passive open whose `SYN,ACK` was answered by `ack`, which [`Tcb::receive`] is to see next.
    pub fn accept(request: &Request, ack: &Header, config: Config, settings: Settings, now: Instant) -> Tcb {
        let ports = (ack.destination, ack.source);
        let mut tcb = Tcb::new(State::Established, ports, request.iss, config, settings, now);
        tcb.una = request.iss + 1;
        (tcb.nxt, tcb.max, tcb.wl2) = (tcb.una, tcb.una, tcb.una);
        tcb.wl1 = request.irs;
        tcb.rcv_nxt = request.irs + 1;
        tcb.advertised = tcb.rcv_nxt + u32::from(request.window);
        tcb.agree(request.mss, request.window_shift, request.sack);
        tcb.set_window(u32::from(ack.window) << tcb.send_shift);
        // The `SYN`, and our answer to it, though that is not among what this connection sent.
        (tcb.counts.received, tcb.counts.first) = (1, 1);
        if let Some(took) = request.round_trip(now) {
            tcb.rtt.sample(took);
        }
        tcb.arm_keep_alive(now);
        tcb
    }

    /// What both sides said in their `SYN`s.
    pub(super) fn agree(&mut self, mss: Option<u16>, window_shift: Option<u8>, sack: bool) {
        self.mss = u32::from(mss.unwrap_or(self.config.default_mss).min(self.config.mss).max(MIN_MSS));
        self.congestion = Congestion::new(self.mss);
        self.congestion.choose(self.settings.congestion);
        self.sack = sack;
        self.scaled = window_shift.is_some();
        match window_shift {
            Some(shift) => self.send_shift = shift,
            // Both or none (RFC 7323, 2.2).
            None => self.receive_shift = 0,
        }
    }

    pub(super) fn set_window(&mut self, window: u32) {
        self.window = window;
        if window > 0 {
            self.probe_backoff = 0;
        }
        self.window_max = self.window_max.max(window);
    }

    /// Bytes on their way, `FIN` included.
    pub(super) fn flight(&self) -> u32 {
        self.nxt - self.una
    }

    /// Whether our `FIN` is on its way.
    pub(super) fn fin_sent(&self) -> bool {
        self.fin_queued && !self.fin_acked && self.max - self.una > self.send.len() as u32
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether there is no connection yet, but may be one.
    pub fn is_connecting(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }

    /// Takes what has changed since the last call.
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Takes the error, as `SO_ERROR` does.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// The error, if there is one that nobody has taken.
    pub fn error(&self) -> Option<Error> {
        self.error
    }

    /// `TCP_QUICKACK`: whether `ACK`s go at once.
    pub fn quick_ack(&self) -> bool {
        !self.answering
    }

    /// Sets `TCP_QUICKACK`; an `ACK` that waits goes now.
    pub fn set_quick_ack(&mut self, on: bool) {
        self.answering = !on;
        self.ack_now |= on && self.unacknowledged > 0;
    }

    /// Bytes to read.
    pub fn readable(&self) -> usize {
        self.queue.len() - usize::from(self.urgent_hole() == Some(0))
    }

    /// Whether nothing more will come: the other side ended, or the connection.
    pub fn read_ended(&self) -> bool {
        self.fin_received || self.read_closed || self.state == State::Closed
    }

    /// Whether nothing more may be written.
    pub fn write_ended(&self) -> bool {
        self.fin_queued || self.state == State::Closed
    }

    /// Bytes that the connection holds, in both directions.
    pub fn held(&self) -> usize {
        self.queue.held() + self.send.len()
    }

    /// Bytes that may be written now.
    pub fn room(&self) -> usize {
        let limit = self.config.limits.send;
        let limit = if self.short { limit.min(MAX_BUFFER_MEMORY_LOW) } else { limit };
        limit.saturating_sub(self.send.len())
    }

    /// Bytes written and not acknowledged.
    pub fn unsent(&self) -> usize {
        self.send.len()
    }

    /// Asks for [`Events::WRITABLE`].
    pub fn want_room(&mut self) {
        self.wants_room = true;
    }

    /// Whether a write would be taken, by Linux's measure (`sk_stream_is_writeable`): a third of
    /// the buffer is free.
    pub fn is_writable(&self) -> bool {
        let not_sent = self.send.len().saturating_sub(self.flight() as usize);
        self.room() >= self.send.len() / 2 && self.room() > 0 && not_sent < self.settings.not_sent_low_water as usize
    }

    /// Takes bytes to send; the caller has looked for [`Tcb::room`], which may be overdrawn by one
    /// write.
    pub fn write(&mut self, bytes: Bytes) {
        self.send.push(bytes);
    }

    /// The part to read `skip` bytes on.
    pub fn peek(&self, skip: usize) -> Option<Bytes> {
        if self.urgent.is_none() { self.queue.peek(skip) } else { self.peek_to_mark(skip) }
    }

    /// The application has read `n` bytes. An `ACK` may be due that opens the window.
    pub fn consume(&mut self, n: usize, now: Instant) {
        let n = if self.urgent.is_none() { n } else { self.pass_mark(n) };
        self.queue.consume(n);
        self.grow_window(n, now);
        let open = self.receive_window();
        let offered = self.advertised.max(self.rcv_nxt) - self.rcv_nxt;
        let step = (2 * self.mss as usize).min(self.receive_limit / 2) as u32;
        if open.saturating_sub(offered) >= step && open >= offered.saturating_mul(2) && !self.fin_received {
            self.ack_now = true;
        }
        self.ack_what_was_read();
    }

    /// What was read to its end is acknowledged at once, unless an answer is likely to follow: the
    /// other side may wait for that before it sends the next small piece (RFC 9293, 3.7.4).
    fn ack_what_was_read(&mut self) {
        let ended = self.pushed > u8::from(self.answering) && self.queue.len() == 0;
        let much = self.unacknowledged > self.mss;
        self.ack_now |= self.unacknowledged > 0 && (ended || much);
    }

    /// An application that reads a whole window within two round trips is held up by the window: it
    /// grows.
    fn grow_window(&mut self, n: usize, now: Instant) {
        let (count, since) = &mut self.measured;
        *count += n;
        if *count < self.receive_limit / 2 {
            return;
        }
        let quick = now.saturating_sub(*since) <= 2 * self.rtt.smoothed.max(MS);
        (*count, *since) = (0, now);
        if quick {
            self.receive_limit = (self.receive_limit * 2).min(self.config.limits.receive_max);
        }
    }

    /// `SO_RCVBUF` and `SO_SNDBUF` were set.
    pub fn set_limits(&mut self, limits: Limits) {
        self.config.limits = limits;
        self.receive_limit = limits.receive;
    }

    /// Says whether memory is short.
    pub fn set_short(&mut self, short: bool) {
        self.short = short;
    }

    /// The window that may be offered: what there is room for.
    pub(super) fn receive_window(&self) -> u32 {
        let limit = if self.short { self.receive_limit.min(MAX_BUFFER_MEMORY_LOW) } else { self.receive_limit };
        let free = limit.saturating_sub(self.queue.len()) as u32;
        let most = 0xffff << self.receive_shift;
        // A window too small for a segment is none (RFC 9293, 3.8.6.2.2).
        if free < self.mss.min(self.receive_limit as u32 / 2) { 0 } else { free.min(most) }
    }

    /// The application has nothing more to send: `FIN` follows what it has written.
    pub fn close_write(&mut self) {
        let next = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::SynSent => return self.finish(None),
            // The FIN follows once the handshake is done.
            State::SynReceived => State::SynReceived,
            _ => return,
        };
        self.state = next;
        self.fin_queued = true;
    }

    /// The application does not read any more.
    pub fn close_read(&mut self) {
        self.read_closed = true;
        self.events |= Events::ENDED;
    }

    /// The socket is closed: what was written is still sent, and an orphan does not wait for ever.
    /// Answers whether the connection must be reset because bytes are left unread (RFC 2525, 2.17);
    /// then [`Tcb::abort`] follows.
    pub fn release(&mut self, now: Instant) -> bool {
        self.orphan = true;
        if self.queue.len() > 0 {
            return true;
        }
        self.read_closed = true;
        self.close_write();
        if self.state == State::FinWait2 {
            self.timers.end = Some(now + self.settings.linger2);
        }
        false
    }

    /// Ends the connection at once. The `RST` to send, where the other side knows of the
    /// connection.
    pub fn abort(&mut self) -> Option<Header> {
        let known = !matches!(self.state, State::SynSent | State::TimeWait | State::Closed);
        let header = Header {
            source: self.ports.0,
            destination: self.ports.1,
            seq: self.max,
            ack: self.rcv_nxt,
            flags: Flags::RST | Flags::ACK,
            ..Header::default()
        };
        self.finish(None);
        known.then_some(header)
    }

    /// The network says that the other side cannot be reached. Only what is not established yet
    /// gives up (RFC 1122, 4.2.3.9).
    pub fn unreachable(&mut self, error: Error) {
        if self.is_connecting() {
            self.finish(Some(error));
        }
    }

    /// The path bears segments of this size only: what is on its way is cut anew (RFC 1191, 6.5).
    /// Whether that changes anything.
    pub fn narrow(&mut self, mss: u16) -> bool {
        let mss = u32::from(mss.max(MIN_MSS));
        if mss >= self.mss || self.is_connecting() || self.state == State::Closed {
            return false;
        }
        self.mss = mss;
        self.congestion.narrow(mss);
        self.nxt = self.una;
        self.rtt.forget();
        true
    }

    /// The connection is no more.
    pub(super) fn finish(&mut self, error: Option<Error>) {
        match self.state {
            State::SynSent | State::SynReceived => self.events |= Events::FAILED,
            State::Established | State::CloseWait => self.events |= Events::BROKEN,
            _ => {}
        }
        self.state = State::Closed;
        self.error = self.error.or(error);
        self.send.clear();
        if self.orphan {
            self.queue.clear();
        }
        self.timers = Timers::default();
        (self.ack_now, self.probe, self.resend_first) = (false, false, false);
        self.events |= Events::CLOSED | Events::READABLE | Events::WRITABLE;
    }

    /// What a `TIME_WAIT` has to remember: next number to send, next to receive.
    pub fn time_wait(&self) -> (Seq, Seq) {
        (self.max, self.rcv_nxt)
    }

    /// Since when the connection is in `TIME_WAIT`, if it is.
    pub fn time_wait_since(&self) -> Option<Instant> {
        self.timers.end.filter(|_| self.state == State::TimeWait).map(|end| end.saturating_sub(TIME_WAIT))
    }

    /// Whether the socket was closed.
    pub fn is_orphan(&self) -> bool {
        self.orphan
    }

    /// Ready for what `TCP_INFO` tells: round trip and its variation in nanoseconds, congestion
    /// window in segments, slow start threshold, segment size, retransmissions, unacknowledged
    /// segments.
    pub fn info(&self) -> [u64; 7] {
        let mss = u64::from(self.mss.max(1));
        [
            self.rtt.smoothed,
            self.rtt.variation,
            u64::from(self.congestion.window) / mss,
            u64::from(self.congestion.threshold) / mss,
            mss,
            u64::from(self.retransmits),
            u64::from(self.flight()).div_ceil(mss),
        ]
    }

    /// For `TCP_INFO` too: bytes acknowledged and received in all, bytes written and not sent, and
    /// both windows.
    pub fn totals(&self) -> [u64; 5] {
        let not_sent = self.send.len().saturating_sub(self.flight() as usize);
        let offered = self.advertised.max(self.rcv_nxt) - self.rcv_nxt;
        let received = self.queue.received() + u64::from(self.fin_received);
        [self.acknowledged, received, not_sent as u64, self.window.into(), offered.into()]
    }

    /// For `TCP_INFO` too.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// For `TCP_INFO` too: segments that the other side has, `SYN` and `FIN` among them.
    pub fn delivered(&self) -> u32 {
        self.counts.first.saturating_sub((self.max - self.una).div_ceil(self.mss.max(1)))
    }

    /// When the other side was last heard.
    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// The most that may be written and not acknowledged.
    pub fn send_limit(&self) -> usize {
        self.config.limits.send
    }

    /// The largest payload of a segment.
    pub fn segment_size(&self) -> u32 {
        self.mss
    }

    /// Shifts of the windows, sent and received.
    pub fn window_shifts(&self) -> (u8, u8) {
        (self.send_shift, self.receive_shift)
    }
}
