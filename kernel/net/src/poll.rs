//! Taking turns at the network's work.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use sync::SpinLock;

use super::interface::{self, Interface, Link, Port};
use super::tcp::Connection;
use super::{input, machine, packet, timers};
use crate::clock;
use crate::device::Received;

/// Packets taken from one interface before the others have their turn.
const BUDGET: usize = 64;
/// Rounds before whoever polls may go on with its own business.
const ROUNDS: usize = 16;

/// There is something to do.
static PENDING: AtomicBool = AtomicBool::new(false);
/// The CPU that does it: one at a time, which sees to it that packets stay in order.
static WORKER: AtomicU32 = AtomicU32::new(NOBODY);
const NOBODY: u32 = u32::MAX;
/// Less memory is free than a sixteenth of all: connections hold little, and new ones have to wait.
static MEMORY_LOW: AtomicBool = AtomicBool::new(false);
/// Connections that have something to send when the batch is done. A leaf lock.
static DIRTY: SpinLock<Vec<Arc<Connection>>> = SpinLock::new(Vec::new());
/// Memory for the batches, which the [`WORKER`] takes out while at work: frames, and the other half
/// of [`DIRTY`].
static FRAMES: SpinLock<Vec<Received>> = SpinLock::new(Vec::new());
static FLUSHING: SpinLock<Vec<Arc<Connection>>> = SpinLock::new(Vec::new());

/// Whether [`poll`] has something to do.
#[inline]
pub fn pending() -> bool {
    PENDING.load(Ordering::Relaxed)
}

/// Asks for [`poll`], from any context.
pub fn request() {
    PENDING.store(true, Ordering::Release);
}

/// Frames have arrived: interrupts for more stay off until they are taken. Runs in interrupt
/// context.
pub fn arrived() {
    request();
}

/// Has a connection send what is due when the present batch of packets is done.
pub fn send_later(connection: Arc<Connection>) {
    DIRTY.lock().push(connection);
}

/// Does what is to be done, unless another CPU is at it, which then does this too. The caller holds
/// no spin lock and may be an idle task: nothing here sleeps.
pub fn poll() {
    let mut rounds = 0;
    while PENDING.load(Ordering::Acquire) && rounds < ROUNDS {
        if WORKER.compare_exchange(NOBODY, machine::cpu(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        PENDING.store(false, Ordering::SeqCst);
        if round() {
            request();
        }
        WORKER.store(NOBODY, Ordering::SeqCst);
        rounds += 1;
    }
}

/// Whether memory is short, as of the last packets.
pub fn short_of_memory() -> bool {
    MEMORY_LOW.load(Ordering::Relaxed)
}

/// One turn for everybody. Whether there is more.
fn round() -> bool {
    let mut more = false;
    MEMORY_LOW.store(caller::free_pages() < caller::total_pages() / 16, Ordering::Relaxed);
    for interface in interface::all().iter() {
        more |= take(interface);
    }
    timers::run(clock::monotonic_ns());
    flush();
    interface::all().iter().for_each(|interface| interface.kick());
    more
}

/// Lets the connections send that have something to.
fn flush() {
    let spare = core::mem::take(&mut *FLUSHING.lock());
    let mut dirty = core::mem::replace(&mut *DIRTY.lock(), spare);
    if !dirty.is_empty() {
        let now = clock::monotonic_ns();
        dirty.drain(..).for_each(|connection| connection.flush(now));
    }
    *FLUSHING.lock() = dirty;
}

fn take(interface: &Arc<Interface>) -> bool {
    let mut more = false;
    for left in (0..BUDGET).rev() {
        let Some(frame) = interface.inbox.pop() else { break };
        input::ethernet(interface, Received { frame, checked: false });
        more = left == 0;
    }
    more | take_from_link(interface)
}

fn take_from_link(interface: &Arc<Interface>) -> bool {
    match &interface.link {
        Link::Loopback(queue) => {
            for _ in 0..BUDGET {
                let Some(packet) = queue.lock().pop_front() else { return false };
                if packet::wanted() {
                    packet::looped(interface, &packet);
                }
                let other = interface::by_index(packet.copy_of).filter(|_| packet.copy_of != 0);
                input::looped(other.as_ref().unwrap_or(interface), packet.head, packet.tail, packet.segment);
            }
            !queue.lock().is_empty()
        }
        Link::Ethernet(Port::Card(card), _) => {
            card.set_interrupts(false);
            let mut frames = core::mem::take(&mut *FRAMES.lock());
            let more = card.receive(BUDGET, &mut frames);
            frames.drain(..).for_each(|frame| input::ethernet(interface, frame));
            *FRAMES.lock() = frames;
            more || card.set_interrupts(true)
        }
        Link::Ethernet(..) => false,
    }
}

/// Tells the devices of what a system call has sent, and lets the loopback's packets arrive:
/// whoever looks after the call finds them, as on Linux, also if another CPU is at work and
/// delivers them.
pub fn sent() {
    interface::all().iter().for_each(|interface| interface.kick());
    // Another CPU's present round may have begun too early for them; the next is then this CPU's,
    // or has them all.
    for _ in 0..2 {
        poll();
        wait_for_round();
    }
}

/// Lets another CPU's present round end. It is a batch of packets long, and sleeps for nobody.
/// Without effect within a round.
fn wait_for_round() {
    while ![NOBODY, machine::cpu()].contains(&WORKER.load(Ordering::Acquire)) {
        spin_loop();
    }
}
