//! The machine that the tests run on: its time goes faster than that of the host.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use caller::Instant;

use super::cable::Cable;
use super::lan::Lan;
use crate::machine::Machine;
use crate::netlink::LocalSocket;
use crate::netlink::local_sockets::{ESTABLISHED, LISTENING};
use crate::{Options, clock};

/// So many seconds pass in one of the host's.
const PACE: u64 = 10;

struct Host;

/// When the idle CPU is to be called, and what tells it that there is something to do.
static ALARMS: Mutex<BTreeSet<Instant>> = Mutex::new(BTreeSet::new());
static BELL: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn ring() {
    *BELL.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    BELL.1.notify_one();
}

/// Frames have come by a card.
pub fn arrived() {
    crate::arrived();
    ring();
}

impl Machine for Host {
    fn random(&self) -> u64 {
        static STATE: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
        // splitmix64
        let mut z = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) ^ u64::from(std::process::id()) << 32;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn call_at(&self, deadline: Instant, f: fn()) {
        // All ask for the same.
        assert!(core::ptr::fn_addr_eq(f, crate::poll::request as fn()));
        ALARMS.lock().unwrap_or_else(PoisonError::into_inner).insert(deadline);
        ring();
    }

    fn cpu(&self) -> u32 {
        static THREADS: AtomicU32 = AtomicU32::new(0);
        std::thread_local! {
            static CPU: u32 = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        CPU.with(|cpu| *cpu)
    }

    fn cpus(&self) -> u32 {
        2
    }

    fn local_sockets(&self) -> Vec<LocalSocket> {
        let socket = |kind, state, inode, name: &[u8]| LocalSocket {
            kind,
            state,
            inode,
            cookie: inode + 1000,
            name: Some(name.to_vec()),
            peer: (state == ESTABLISHED).then_some(inode + 1),
            waiting: if state == LISTENING { vec![77] } else { Vec::new() },
            queues: (3, 4),
            memory: [9; 9],
            shut: 2,
            user: 1000,
        };
        vec![socket(1, LISTENING, 51, b"/run/listener\0"), socket(2, ESTABLISHED, 52, b"\0abstract")]
    }
}

/// An idle CPU.
fn idle() -> ! {
    loop {
        crate::poll();
        let now = clock::monotonic_ns();
        let mut alarms = ALARMS.lock().unwrap_or_else(PoisonError::into_inner);
        while alarms.first().is_some_and(|first| *first <= now) {
            alarms.pop_first();
            crate::poll::request();
        }
        drop(alarms);
        if crate::pending() {
            continue;
        }
        let mut rung = BELL.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !*rung {
            // Not everybody rings.
            (rung, _) = BELL.1.wait_timeout(rung, Duration::from_micros(500)).unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}

/// Starts the network, with a lease from the LAN's server.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| start_with(true, Options { dns: vec!["192.0.2.53", "nonsense"], ..Options::default() }));
}

/// Starts it as the command line says.
pub fn start_with(lan: bool, options: Options) {
    fs::testing::install();
    sync::clock::hasten(PACE);
    let machine: &'static Host = Box::leak(Box::new(Host));
    let mut cards: Vec<Arc<dyn crate::device::Card>> = Vec::new();
    if lan {
        cards.push(Lan::new());
    }
    cards.extend(Cable::all().into_iter().map(|cable| cable as Arc<dyn crate::device::Card>));
    thread::Builder::new().name("idle".into()).spawn(idle).unwrap();
    crate::init(machine, cards, options);
}
