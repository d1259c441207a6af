//! A connection: its state, the way to the other side, and those who wait for it.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use caller::Instant;
use fd::owner::{self, SharedOwner};
use fd::poll::{PollQueue, ev};
use inet::Bytes;
use inet::ip::Flow;
use inet::tcp::{Events, Flags, Header, State, Tcb};
use spin::Once;
use sync::SpinLock;

use super::{batch, segment_size, send, send_header, table};
use crate::counts::{self, Count};
use crate::extension::{Asked, Sticky};
use crate::input::Incoming;
use crate::output::TTL;
use crate::ports::Lease;
use crate::route::Hop;
use crate::socket::Common;
use crate::{poll, timers};

/// Connections in `TIME_WAIT`.
static TIME_WAITS: AtomicU32 = AtomicU32::new(0);
/// `net.ipv4.tcp_max_tw_buckets`.
pub static MAX_TIME_WAITS: AtomicU32 = AtomicU32::new(0);

/// Sets the limit as Linux does: one for every 256 KiB of memory.
pub fn init_limits() {
    let memory = (caller::total_pages() * base::addr::PAGE_SIZE) as u64;
    MAX_TIME_WAITS.store((memory >> 18).next_power_of_two().clamp(16, 262_144) as u32, Ordering::Relaxed);
}

/// A connection. The table of connections keeps it until it is closed on both sides, whether or not
/// a socket does.
pub struct Connection {
    me: Weak<Connection>,
    /// Both ends.
    pub flow: Flow,
    /// The state machine. Segments leave while it is held, which keeps them in order.
    pub tcb: SpinLock<Tcb>,
    /// The way to the other side.
    pub hop: Hop,
    /// Woken when there is something to read.
    pub readers: PollQueue,
    /// Woken when there is room to write.
    pub writers: PollQueue,
    /// The local port, until the socket takes it back.
    lease: SpinLock<Option<Lease>>,
    /// Type of service, and time to live.
    pub tos: AtomicU8,
    /// See `tos`.
    pub ttl: AtomicU8,
    /// What its packets have beside: options of IPv4, headers of IPv6.
    pub sticky: Sticky,
    /// The `SYN` that opened it, where the listener saves them (`TCP_SAVE_SYN`), until it is asked
    /// for.
    pub saved_syn: SpinLock<Option<Bytes>>,
    /// On the list of those who send when the batch is done.
    scheduled: AtomicBool,
    /// When the entry in the queue of deadlines calls; `MAX` without one.
    alarm: AtomicU64,
    /// Names the entry; both are changed with the state machine locked.
    alarm_serial: AtomicU64,
    /// Counted among those in `TIME_WAIT`.
    counted: AtomicBool,
    /// The owner of the socket, for /proc/net/tcp: user and inode.
    pub owner: SpinLock<(u32, u64)>,
    /// Who is told of urgent data by `SIGURG` (fcntl(2), `F_SETOWN`).
    pub signal_owner: Once<SharedOwner>,
    /// The socket's options, where a filter is among them, and whether there is one.
    filter: Once<Arc<Common>>,
    filtered: AtomicBool,
}

impl Connection {
    /// A connection that is not in the table yet. The queues are those of the socket that it
    /// belongs to.
    pub fn new(flow: Flow, tcb: Tcb, hop: Hop, lease: Lease, [readers, writers]: [PollQueue; 2]) -> Arc<Connection> {
        Arc::new_cyclic(|me| Connection {
            me: me.clone(),
            flow,
            tcb: SpinLock::new(tcb),
            hop,
            readers,
            writers,
            lease: SpinLock::new(Some(lease)),
            tos: AtomicU8::new(0),
            ttl: AtomicU8::new(TTL),
            sticky: Sticky::default(),
            saved_syn: SpinLock::new(None),
            scheduled: AtomicBool::new(false),
            alarm: AtomicU64::new(Instant::MAX),
            alarm_serial: AtomicU64::new(0),
            counted: AtomicBool::new(false),
            owner: SpinLock::new((0, 0)),
            signal_owner: Once::new(),
            filter: Once::new(),
            filtered: AtomicBool::new(false),
        })
    }

    /// Has the filter of these options look at all segments from now on, if there is one.
    pub fn heed_filter(&self, common: &Arc<Common>) {
        if common.filter.is_present() {
            self.filter.call_once(|| common.clone());
            self.filtered.store(true, Ordering::Release);
        }
    }

    /// Whether the socket's filter lets a segment in.
    pub fn passes(&self, incoming: &Incoming<'_>) -> bool {
        if !self.filtered.load(Ordering::Acquire) {
            return true;
        }
        self.filter.get().is_none_or(|common| common.filter.wanted(|| incoming.for_filter()) > 0)
    }

    /// The port, for the socket to keep when the connection is over.
    pub fn take_lease(&self) -> Option<Lease> {
        self.lease.lock().take()
    }

    /// Takes a segment. What it calls for is sent when the batch of packets is done.
    pub fn receive(&self, header: &Header, payload: Bytes, now: Instant) {
        let mut tcb = self.tcb.lock();
        tcb.set_short(poll::short_of_memory());
        let reset = tcb.receive(header, payload, now);
        if tcb.state() == State::TimeWait && !self.may_wait() {
            // The other side's FIN is acknowledged; should that be lost, a RST answers the next
            // one.
            self.send_due(&mut tcb, now);
            tcb.abort();
        }
        let events = tcb.take_events();
        let state = tcb.state();
        let quiet = tcb.is_quiet();
        if quiet && let Some(deadline) = tcb.deadline() {
            self.arm(deadline);
        }
        drop(tcb);
        if let Some(reset) = reset {
            send_header(&self.flow, &reset, self.asked());
        }
        self.wake(events);
        if state == State::Closed {
            table::remove(self);
        } else if !quiet
            && !self.scheduled.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            poll::send_later(me);
        }
    }

    /// Whether the connection may stay in `TIME_WAIT`, of which there are so many at most (tcp(7),
    /// `tcp_max_tw_buckets`).
    fn may_wait(&self) -> bool {
        if self.counted.load(Ordering::Relaxed) {
            return true;
        }
        let room = TIME_WAITS.fetch_add(1, Ordering::Relaxed) < MAX_TIME_WAITS.load(Ordering::Relaxed);
        if room {
            self.counted.store(true, Ordering::Relaxed);
        } else {
            TIME_WAITS.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// Tells those who wait what has changed, with the events of Linux's `sk_data_ready`,
    /// `sk_write_space` and `sk_state_change`.
    fn wake(&self, events: Events) {
        count_end(events);
        if events.contains(Events::URGENT)
            && let Some(owner) = self.signal_owner.get()
        {
            owner::tell_urgent(owner);
        }
        if events.intersects(Events::CONNECTED | Events::ENDED | Events::CLOSED) {
            self.readers.wake_all();
            self.writers.wake_all();
            return;
        }
        if events.contains(Events::READABLE) {
            self.readers.wake(1, ev::READABLE | ev::RDBAND | ev::PRI);
        }
        if events.contains(Events::WRITABLE) {
            self.writers.wake(1, ev::WRITABLE | ev::WRBAND);
        }
    }

    /// Sends what is due.
    pub fn flush(&self, now: Instant) {
        self.scheduled.store(false, Ordering::Release);
        self.transmit(&mut self.tcb.lock(), now);
    }

    /// Sends what is due, and sees to the next deadline.
    pub fn transmit(&self, tcb: &mut Tcb, now: Instant) {
        self.send_due(tcb, now);
        if let Some(deadline) = tcb.deadline() {
            self.arm(deadline);
        }
    }

    fn asked(&self) -> Option<Asked> {
        self.sticky.of(self.flow.remote.is_ipv6())
    }

    /// Takes over what the socket's packets are to have beside; they carry less then.
    pub fn take_sticky(&self, sticky: &Sticky) {
        self.sticky.copy_from(sticky);
        let extra = self.sticky.len(self.flow.remote.is_ipv6());
        if extra > 0 {
            self.narrow(segment_size(&self.hop, &self.flow, extra));
        }
    }

    fn send_due(&self, tcb: &mut Tcb, now: Instant) {
        let (bytes, pieces) = batch(&self.hop, &self.flow);
        let how = (self.tos.load(Ordering::Relaxed), self.ttl.load(Ordering::Relaxed));
        let asked = self.asked();
        while let Some(segment) = tcb.poll_transmit(now, bytes, pieces) {
            // What cannot leave is lost, and comes back as what is lost on the way does.
            let _ = send(&self.hop, &self.flow, segment, how, asked.clone());
        }
    }

    fn arm(&self, deadline: Instant) {
        // Nearly always there is an entry that comes early enough.
        if self.alarm.load(Ordering::Relaxed) > deadline {
            self.disarm();
            let serial = timers::at(deadline, timers::Due::Connection(self.me.clone()));
            self.alarm_serial.store(serial, Ordering::Relaxed);
            self.alarm.store(deadline, Ordering::Relaxed);
        }
    }

    fn disarm(&self) {
        let at = self.alarm.swap(Instant::MAX, Ordering::Relaxed);
        if at != Instant::MAX {
            timers::cancel(at, self.alarm_serial.load(Ordering::Relaxed));
        }
    }

    /// The deadline has come, or had moved back meanwhile.
    pub fn on_timer(&self, now: Instant) {
        let mut tcb = self.tcb.lock();
        // The entry has been taken out, unless it was replaced meanwhile; then it is too many.
        self.disarm();
        match tcb.deadline() {
            None => return,
            Some(at) if at > now => return self.arm(at),
            Some(_) => tcb.on_timer(now),
        }
        self.transmit(&mut tcb, now);
        let events = tcb.take_events();
        let closed = tcb.state() == State::Closed;
        drop(tcb);
        self.wake(events);
        if closed {
            table::remove(self);
        }
    }

    /// The network says that the other side cannot be reached.
    pub fn unreachable(&self, error: inet::tcp::Error) {
        let mut tcb = self.tcb.lock();
        tcb.unreachable(error);
        let events = tcb.take_events();
        let closed = tcb.state() == State::Closed;
        drop(tcb);
        self.wake(events);
        if closed {
            table::remove(self);
        }
    }

    /// The path bears segments of this size only.
    pub fn narrow(&self, mss: u16) {
        let now = crate::clock::monotonic_ns();
        let mut tcb = self.tcb.lock();
        if tcb.narrow(mss) {
            self.transmit(&mut tcb, now);
        }
    }

    /// Whether a `SYN` may take the flow over, because the connection only waits for stragglers; it
    /// is gone then.
    pub fn make_way(&self, syn: &Header) -> bool {
        let mut tcb = self.tcb.lock();
        if tcb.state() != State::TimeWait || syn.flags.contains(Flags::RST) || syn.seq < tcb.time_wait().1 {
            return false;
        }
        tcb.abort();
        drop(tcb);
        table::remove(self);
        true
    }

    /// How long the connection has waited for stragglers, where that is all it does and the other
    /// side is ourselves; else 0.
    pub fn waits_since(&self, now: Instant) -> u64 {
        let since = self.tcb.lock().time_wait_since();
        since.filter(|_| self.hop.interface.is_loopback()).map_or(0, |since| now.saturating_sub(since))
    }

    /// Ends a connection that waits for stragglers.
    pub fn give_way(&self) {
        let mut tcb = self.tcb.lock();
        if tcb.state() == State::TimeWait {
            tcb.abort();
            drop(tcb);
            table::remove(self);
        }
    }

    /// The socket is closed. `linger`: `Some(0)` throws away what was not sent.
    pub fn release(&self, now: Instant, abort: bool) {
        let mut tcb = self.tcb.lock();
        if tcb.state() == State::Closed {
            drop(tcb);
            return table::remove(self);
        }
        if abort || tcb.release(now) {
            let reset = tcb.abort();
            count_end(tcb.take_events());
            drop(tcb);
            table::remove(self);
            if let Some(reset) = reset {
                send_header(&self.flow, &reset, self.asked());
            }
        } else {
            self.transmit(&mut tcb, now);
            let closed = tcb.state() == State::Closed;
            drop(tcb);
            if closed {
                table::remove(self);
            }
        }
        poll::sent();
    }
}

/// Counts a connection that has come to nothing, or to a sudden end.
fn count_end(events: Events) {
    if events.contains(Events::FAILED) {
        counts::one(Count::TcpAttemptFails);
    }
    if events.contains(Events::BROKEN) {
        counts::one(Count::TcpEstabResets);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.disarm();
        if *self.counted.get_mut() {
            TIME_WAITS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
