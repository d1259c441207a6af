//! A listening socket: the requests that are half open, and the connections that wait for accept(2).

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use inet::Bytes;
use inet::ip::Flow;
use inet::tcp::request::{Request, cookie, from_cookie, initial_number};
use inet::tcp::{Flags, Header, Tcb};
use syscall_shim::{Errno, SysResult};

use super::options::TcpOptions;
use super::{Connection, config, segment_size, send_header, table};
use crate::files::poll::{PollQueue, ev, poll_queue};
use crate::mm::heap;
use crate::net::counts::{self, Count};
use crate::net::ports::{self, Lease, Protocol};
use crate::net::socket::Common;
use crate::net::sockopt::flag;
use crate::net::{poll, route, secret, timers};
use crate::sync::SpinLock;
use crate::task::Instant;

/// Half-open connections that are remembered; with more, cookies answer.
const MAX_REQUESTS: usize = 1024;

#[derive(Default)]
struct Waiting {
    requests: HashMap<Flow, Request>,
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
    pub fn receive(&self, flow: &Flow, header: &Header, payload: Bytes, now: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return false;
        }
        if header.flags.contains(Flags::RST) {
            if waiting.requests.get(flow).is_some_and(|request| header.seq == request.irs + 1) {
                waiting.requests.remove(flow);
            }
            return true;
        }
        if header.flags.contains(Flags::SYN) {
            if !header.flags.contains(Flags::ACK) {
                self.receive_syn(&mut waiting, flow, header, now);
                return true;
            }
            return false;
        }
        self.receive_ack(waiting, flow, header, payload, now)
    }

    fn is_full(&self, waiting: &Waiting) -> bool {
        waiting.ready.len() > self.backlog.load(Ordering::Relaxed)
    }

    fn receive_syn(&self, waiting: &mut Waiting, flow: &Flow, syn: &Header, now: Instant) {
        if let Some(request) = waiting.requests.get(flow) {
            if request.is_repeated_by(syn) {
                self.send_syn_ack(flow, request);
            }
            return;
        }
        // The other side tries again while there is no room (tcp(7), tcp_abort_on_overflow).
        if self.is_full(waiting) || heap::is_short() {
            return;
        }
        let limits = self.options.clamp_window(self.common.tcp_limits());
        if waiting.requests.len() >= MAX_REQUESTS {
            self.cookies.store(true, Ordering::Relaxed);
            return self.send_syn_ack(flow, &cookie(secret(), flow, syn, now));
        }
        let request = Request::new(syn, initial_number(secret(), flow, now), limits.receive, now);
        self.send_syn_ack(flow, &request);
        let deadline = request.deadline;
        waiting.requests.insert(*flow, request);
        self.arm(deadline);
    }

    fn send_syn_ack(&self, flow: &Flow, request: &Request) {
        let Ok(hop) = route::lookup(&flow.remote.ip()) else { return };
        let ports = (flow.local.port(), flow.remote.port());
        let mss = self.options.clamp_segment(segment_size(&hop, flow));
        send_header(flow, &request.syn_ack(ports, mss, self.options.clamp_window(self.common.tcp_limits()).receive_max));
    }

    fn receive_ack(
        &self,
        mut waiting: crate::sync::SpinGuard<'_, Waiting>,
        flow: &Flow,
        ack: &Header,
        payload: Bytes,
        now: Instant,
    ) -> bool {
        let request = match waiting.requests.get(flow) {
            Some(request) if request.is_answered_by(ack) => request.clone(),
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
        // TCP_DEFER_ACCEPT: without data the connection stays half open, until so many repetitions have asked for it.
        if request.tries() < self.options.deferred_tries() && payload.is_empty() && !ack.flags.contains(Flags::FIN) {
            return true;
        }
        waiting.requests.remove(flow);
        let Ok(hop) = route::lookup(&flow.remote.ip()) else { return false };
        let mut config = config(&hop, flow, self.options.clamp_window(self.common.tcp_limits()));
        config.mss = self.options.clamp_segment(config.mss);
        let mut tcb = Tcb::accept(&request, ack, config, self.options.settings(&self.common), now);
        tcb.set_urgent_inline(self.common.has(flag::OOB_INLINE));
        let lease = ports::share(Protocol::Tcp, flow.local, self.lease.sharing());
        let connection = Connection::new(*flow, tcb, hop, lease, [poll_queue(), poll_queue()]);
        let v6 = flow.remote.is_ipv6();
        connection.tos.store(self.common.tos(v6), Ordering::Relaxed);
        connection.ttl.store(self.common.ttl(v6), Ordering::Relaxed);
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
        waiting.requests.retain(|flow, request| {
            if request.deadline > now {
                return true;
            }
            let keep = request.try_again(now);
            if keep {
                again.push((*flow, request.clone()));
            }
            keep
        });
        let next = waiting.requests.values().map(|request| request.deadline).min();
        drop(waiting);
        for (flow, request) in again {
            self.send_syn_ack(&flow, &request);
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
            connection.release(crate::arch::clock::monotonic_ns(), true);
        }
        let _ = self.lease.set_listening(false);
        self.readers.wake_all();
        poll::sent();
    }
}
