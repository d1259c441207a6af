//! A listening socket: the requests that are half open, and the connections that wait for
//! accept(2).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use caller::Instant;
use fd::poll::{PollQueue, ev, poll_queue};
use hashbrown::HashMap;
use inet::Bytes;
use inet::ip::Flow;
use inet::ipv4_options::Ipv4Options;
use inet::tcp::request::{Request, cookie, from_cookie, initial_number};
use inet::tcp::{Flags, Header, Tcb};
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::options::TcpOptions;
use super::{Connection, config, segment_size, send_header, table};
use crate::counts::{self, Count};
use crate::extension::{Asked, Sticky};
use crate::input::Incoming;
use crate::interface::Link;
use crate::output::TCP;
use crate::ports::{self, Lease, Protocol};
use crate::socket::Common;
use crate::sockopt::flag;
use crate::{poll, route, secret, timers};

/// Half-open connections that are remembered; with more, cookies answer.
const MAX_REQUESTS: usize = 1024;

/// What is kept of a `SYN` beside the request, where there is anything.
#[derive(Default)]
struct Opening {
    /// The answer to the options of IPv4 that it had.
    options: Option<Arc<Ipv4Options>>,
    /// Its headers (`TCP_SAVE_SYN`).
    syn: Option<Bytes>,
}

/// A connection that is half open.
struct HalfOpen {
    request: Request,
    opening: Option<Box<Opening>>,
}

impl HalfOpen {
    fn options(&self) -> Option<Arc<Ipv4Options>> {
        self.opening.as_ref().and_then(|opening| opening.options.clone())
    }
}

#[derive(Default)]
struct Waiting {
    requests: HashMap<Flow, HalfOpen>,
    /// Established, in the order of accept(2).
    ready: VecDeque<Arc<Connection>>,
    closed: bool,
}

/// A listener.
pub struct Listener {
    me: Weak<Listener>,
    /// Where it listens.
    pub local: SocketAddr,
    /// Its port.
    pub lease: Lease,
    /// listen(2)'s argument: this many may wait, and one more.
    pub backlog: AtomicUsize,
    /// Taken before a connection's lock.
    waiting: SpinLock<Waiting>,
    /// Woken when a connection is ready.
    pub readers: PollQueue,
    /// What connections inherit.
    pub common: Arc<Common>,
    /// See `common`.
    pub options: Arc<TcpOptions>,
    alarm: AtomicU64,
    /// Cookies were sent, so they may come back.
    cookies: AtomicBool,
}

impl Listener {
    /// A listener, in its table.
    pub fn start(
        local: SocketAddr,
        lease: Lease,
        backlog: usize,
        readers: PollQueue,
        common: Arc<Common>,
        options: Arc<TcpOptions>,
    ) -> Arc<Listener> {
        let listener = Arc::new_cyclic(|me| Listener {
            me: me.clone(),
            local,
            lease,
            backlog: AtomicUsize::new(backlog),
            waiting: SpinLock::new(Waiting::default()),
            readers,
            common,
            options,
            alarm: AtomicU64::new(Instant::MAX),
            cookies: AtomicBool::new(false),
        });
        table::add_listener(&listener);
        listener
    }

    /// Takes a segment that belongs to no connection. False calls for a `RST`.
    pub fn receive(&self, flow: &Flow, incoming: &Incoming<'_>, header: &Header, payload: Bytes, now: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return false;
        }
        if header.flags.contains(Flags::RST) {
            if waiting.requests.get(flow).is_some_and(|half| header.seq == half.request.irs + 1) {
                waiting.requests.remove(flow);
            }
            return true;
        }
        if header.flags.contains(Flags::SYN) {
            if !header.flags.contains(Flags::ACK) {
                self.receive_syn(&mut waiting, flow, incoming, header, now);
                return true;
            }
            return false;
        }
        self.receive_ack(waiting, flow, header, payload, now)
    }

    fn is_full(&self, waiting: &Waiting) -> bool {
        waiting.ready.len() > self.backlog.load(Ordering::Relaxed)
    }

    fn receive_syn(&self, waiting: &mut Waiting, flow: &Flow, incoming: &Incoming<'_>, syn: &Header, now: Instant) {
        if let Some(half) = waiting.requests.get(flow) {
            if half.request.is_repeated_by(syn) {
                self.send_syn_ack(flow, &half.request, half.options());
            }
            return;
        }
        // What cannot be answered the way it came is not.
        let Ok(options) = incoming.carried.answer(incoming.source) else { return };
        let options = match options {
            Some(Asked::V4(options)) => Some(options),
            _ => None,
        };
        // The other side tries again while there is no room (tcp(7), tcp_abort_on_overflow).
        if self.is_full(waiting) || caller::check_memory().is_err() {
            return;
        }
        let limits = self.options.clamp_window(self.common.tcp_limits());
        if waiting.requests.len() >= MAX_REQUESTS {
            self.cookies.store(true, Ordering::Relaxed);
            return self.send_syn_ack(flow, &cookie(secret(), flow, syn, now), options);
        }
        let request = Request::new(syn, initial_number(secret(), flow, now), limits.receive, now);
        self.send_syn_ack(flow, &request, options.clone());
        let deadline = request.deadline;
        let syn = self.options.saves_syn().and_then(|with_link| saved_syn(incoming, with_link));
        let opening = (options.is_some() || syn.is_some()).then(|| Box::new(Opening { options, syn }));
        waiting.requests.insert(*flow, HalfOpen { request, opening });
        self.arm(deadline);
    }

    fn send_syn_ack(&self, flow: &Flow, request: &Request, options: Option<Arc<Ipv4Options>>) {
        let Ok(hop) = route::lookup(&flow.remote.ip()) else { return };
        let ports = (flow.local.port(), flow.remote.port());
        let asked = if flow.remote.is_ipv6() { self.common.sticky.of(true) } else { options.map(Asked::V4) };
        let extra = asked.as_ref().map_or(0, Asked::len);
        let mss = self.options.clamp_segment(segment_size(&hop, flow, extra));
        let receive_max = self.options.clamp_window(self.common.tcp_limits()).receive_max;
        send_header(flow, &request.syn_ack(ports, mss, receive_max), asked);
    }

    fn receive_ack(
        &self,
        mut waiting: sync::SpinGuard<'_, Waiting>,
        flow: &Flow,
        ack: &Header,
        payload: Bytes,
        now: Instant,
    ) -> bool {
        let request = match waiting.requests.get(flow) {
            Some(half) if half.request.is_answered_by(ack) => half.request.clone(),
            Some(_) => return false,
            None if self.cookies.load(Ordering::Relaxed) => match from_cookie(secret(), flow, ack, now) {
                Some(request) => request,
                None => return false,
            },
            None => return false,
        };
        if self.is_full(&waiting) {
            return true;
        }
        // TCP_DEFER_ACCEPT: without data the connection stays half open, until so many repetitions
        // have asked for it.
        if request.tries() < self.options.deferred_tries() && payload.is_empty() && !ack.flags.contains(Flags::FIN) {
            return true;
        }
        let opening =
            waiting.requests.remove(flow).and_then(|half| half.opening).map_or_else(Opening::default, |opening| *opening);
        let Ok(hop) = route::lookup(&flow.remote.ip()) else { return false };
        let sticky = Sticky::default();
        sticky.copy_from(&self.common.sticky);
        sticky.set_v4(opening.options);
        let extra = sticky.len(flow.remote.is_ipv6());
        let mut config = config(&hop, flow, self.options.clamp_window(self.common.tcp_limits()), extra);
        config.mss = self.options.clamp_segment(config.mss);
        let mut tcb = Tcb::accept(&request, ack, config, self.options.settings(&self.common), now);
        tcb.set_urgent_inline(self.common.has(flag::OOB_INLINE));
        let lease = ports::share(Protocol::Tcp, flow.local, self.lease.sharing());
        let connection = Connection::new(*flow, tcb, hop, lease, [poll_queue(), poll_queue()]);
        let v6 = flow.remote.is_ipv6();
        connection.tos.store(self.common.tos(v6), Ordering::Relaxed);
        connection.ttl.store(self.common.ttl(v6), Ordering::Relaxed);
        connection.sticky.copy_from(&sticky);
        *connection.saved_syn.lock() = opening.syn;
        if !table::insert(&connection) {
            return false;
        }
        connection.receive(ack, payload, now);
        counts::one(Count::TcpPassiveOpens);
        waiting.ready.push_back(connection);
        drop(waiting);
        self.readers.wake(1, ev::READABLE);
        true
    }

    fn arm(&self, deadline: Instant) {
        if self.alarm.fetch_min(deadline, Ordering::AcqRel) > deadline {
            timers::at(deadline, timers::Due::Listener(self.me.clone()));
        }
    }

    /// Some requests have waited long enough.
    pub fn on_timer(&self, now: Instant) {
        self.alarm.store(Instant::MAX, Ordering::Release);
        let mut again = Vec::new();
        let mut waiting = self.waiting.lock();
        waiting.requests.retain(|flow, half| {
            if half.request.deadline > now {
                return true;
            }
            let keep = half.request.try_again(now);
            if keep {
                again.push((*flow, half.request.clone(), half.options()));
            }
            keep
        });
        let next = waiting.requests.values().map(|half| half.request.deadline).min();
        drop(waiting);
        for (flow, request, options) in again {
            self.send_syn_ack(&flow, &request, options);
        }
        if let Some(next) = next {
            self.arm(next);
        }
    }

    /// The connection that waits longest. `EINVAL` once nobody listens any more.
    pub fn take_ready(&self) -> SysResult<Option<Arc<Connection>>> {
        let mut waiting = self.waiting.lock();
        if waiting.closed { Err(Errno::EINVAL) } else { Ok(waiting.ready.pop_front()) }
    }

    /// Whether accept(2) would not wait.
    pub fn has_ready(&self) -> bool {
        !self.waiting.lock().ready.is_empty()
    }

    /// Connections that wait for accept(2).
    pub fn ready_len(&self) -> usize {
        self.waiting.lock().ready.len()
    }

    /// Nobody listens any more: who waits is turned away.
    pub fn stop(self: &Arc<Self>) {
        table::remove_listener(self);
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.requests.clear();
        let ready = core::mem::take(&mut waiting.ready);
        drop(waiting);
        for connection in ready {
            connection.release(crate::clock::monotonic_ns(), true);
        }
        let _ = self.lease.set_listening(false);
        self.readers.wake_all();
        poll::sent();
    }
}

/// The headers of a `SYN`, from the IP header on, or from that of the link on. `None` without
/// memory.
fn saved_syn(incoming: &Incoming<'_>, with_link: bool) -> Option<Bytes> {
    /// Where a TCP header says how long it is, in words.
    const OFFSET: usize = 12;
    let tcp = usize::from(incoming.head.get(OFFSET)? >> 4) * 4;
    let between = incoming.carried.quoted(TCP);
    let between = if incoming.source.is_ipv6() { between.bytes } else { Vec::new() };
    let link = link_header(incoming);
    let parts = [if with_link { &link[..] } else { &[] }, incoming.network, &between, incoming.head.get(..tcp)?];
    let mut out = Vec::new();
    out.try_reserve_exact(parts.iter().map(|part| part.len()).sum()).ok()?;
    parts.iter().for_each(|part| out.extend_from_slice(part));
    Some(out.into())
}

/// The header of the link that a packet came with, as far as we know the sender.
fn link_header(incoming: &Incoming<'_>) -> [u8; 14] {
    let sender = match &incoming.interface.link {
        Link::Ethernet(_, neighbors) => neighbors.list().into_iter().find(|(ip, ..)| *ip == incoming.source),
        Link::Loopback(_) => None,
    };
    let protocol: u16 = if incoming.source.is_ipv4() { 0x800 } else { 0x86dd };
    let mut out = [0; 14];
    out[..6].copy_from_slice(&incoming.interface.mac());
    out[6..12].copy_from_slice(&sender.map_or([0; 6], |(_, mac, _)| mac));
    out[12..].copy_from_slice(&protocol.to_be_bytes());
    out
}
