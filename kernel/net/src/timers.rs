//! What the network has to do at which time.
//!
//! One queue of deadlines, of which the earliest is set with the kernel's timers. A connection has
//! at most one entry, and keeps it when its deadline moves back, as it does with every
//! acknowledgement: the entry then comes too early, finds nothing due, and is set anew. So a busy
//! connection touches the queue a few times a second. One that is gone takes its entry along.

use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use core::sync::atomic::{AtomicU64, Ordering};

use caller::Instant;
use sync::SpinLock;

use super::packet::PacketSocket;
use super::tcp::{Connection, Listener};
use super::{dhcp, interface, machine, multicast, poll, slaac};

/// Who is called.
pub enum Due {
    /// A connection.
    Connection(Weak<Connection>),
    /// A listener, for its half-open connections.
    Listener(Weak<Listener>),
    /// The neighbours of the interface with this index.
    Neighbors(u32),
    /// The lease of an address.
    Dhcp,
    /// The search for routers behind the interface with this index.
    Routers(u32),
    /// The groups of the interface with this index.
    Groups(u32),
    /// The ring of a packet socket, for frames that have waited for long enough.
    Ring(Weak<PacketSocket>),
}

/// By time and order of arrival. A leaf lock.
static QUEUE: SpinLock<BTreeMap<(Instant, u64), Due>> = SpinLock::new(BTreeMap::new());
static SERIAL: AtomicU64 = AtomicU64::new(0);
/// When the kernel's timer will call; `MAX` when it will not.
static ARMED: AtomicU64 = AtomicU64::new(Instant::MAX);

/// Has `due` called at `deadline`. The number is for [`cancel`].
pub fn at(deadline: Instant, due: Due) -> u64 {
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    QUEUE.lock().insert((deadline, serial), due);
    arm(deadline);
    serial
}

/// Takes an entry out, if it is still there.
pub fn cancel(deadline: Instant, serial: u64) {
    let due = QUEUE.lock().remove(&(deadline, serial));
    drop(due);
}

fn arm(deadline: Instant) {
    if ARMED.fetch_min(deadline, Ordering::AcqRel) > deadline {
        machine::call_at(deadline, poll::request);
    }
}

/// Calls whoever is due.
pub fn run(now: Instant) {
    if ARMED.load(Ordering::Acquire) > now {
        return;
    }
    ARMED.store(Instant::MAX, Ordering::Release);
    loop {
        let due = {
            let mut queue = QUEUE.lock();
            match queue.first_key_value() {
                Some(((deadline, _), _)) if *deadline <= now => queue.pop_first(),
                Some(((deadline, _), _)) => {
                    let deadline = *deadline;
                    drop(queue);
                    return arm(deadline);
                }
                None => return,
            }
        };
        match due {
            Some((_, Due::Connection(connection))) => {
                if let Some(connection) = connection.upgrade() {
                    connection.on_timer(now);
                }
            }
            Some((_, Due::Listener(listener))) => {
                if let Some(listener) = listener.upgrade() {
                    listener.on_timer(now);
                }
            }
            Some((_, Due::Neighbors(index))) => {
                if let Some(interface) = interface::by_index(index)
                    && let interface::Link::Ethernet(_, neighbors) = &interface.link
                {
                    neighbors.on_timer(&interface, now);
                }
            }
            Some((_, Due::Dhcp)) => dhcp::on_timer(now),
            Some((_, Due::Routers(index))) => {
                if let Some(interface) = interface::by_index(index) {
                    slaac::on_timer(&interface, now);
                }
            }
            Some((_, Due::Groups(index))) => {
                if let Some(interface) = interface::by_index(index) {
                    multicast::on_timer(&interface, now);
                }
            }
            Some((_, Due::Ring(socket))) => {
                if let Some(socket) = socket.upgrade() {
                    socket.on_timer(now);
                }
            }
            None => return,
        }
    }
}
