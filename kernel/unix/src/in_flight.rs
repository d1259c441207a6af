//! Files on their way in messages (`SCM_RIGHTS`): counted, limited, and collected where nobody can
//! receive them any more.
//!
//! A socket that travels keeps what waits in its own queue, and that may be the socket itself: then
//! no descriptor leads to it, and no count of references comes to nought. What is in flight is
//! therefore kept here and not in the queues, together with the socket at whose end it will arrive,
//! and [`Flight::take_unreachable`] goes through this graph. Nobody can take a reference out of it
//! meanwhile, so a socket of which all references are in flight stays so.
//!
//! A file that goes may be a socket with further files in its queue, and so on: [`release`] drops
//! them one after the other and not each in the drop of the one before, for a program decides how
//! long such a chain is and the kernel's stack has an end.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ::net::clock;
use caller::capable;
use fd::OpenFile;
use linux_raw_sys::general as g;
use sync::{SleepMutex, SpinLock};
use syscall_shim::{Errno, SysResult};

use super::UnixSocket;

/// With more sockets in flight than these, a collection waits until so many times as long has
/// passed as the last one took: however many there are, and however many are closed, only a small
/// part of the time goes into it.
const MAX_SOCKETS_UNPACED: usize = 128;
const GC_PAUSE_FACTOR: u64 = 20;

/// The files of one message.
struct Cargo {
    files: Vec<Arc<OpenFile>>,
    /// See [`UnixSocket::holder`], of the socket that will receive it.
    to: Arc<AtomicU64>,
    /// Real user id of the sender.
    uid: u32,
}

struct Flight {
    cargos: BTreeMap<u64, Cargo>,
    next: u64,
    /// How many files each user has in flight.
    users: BTreeMap<u32, usize>,
    /// Sockets among the files.
    sockets: usize,
    /// How long the last collection took, and when it ended, in nanoseconds.
    took: u64,
    ended: u64,
}

/// What is in flight. Taken with a receive queue locked; no lock but those of the heap is taken
/// under it.
static FLIGHT: SleepMutex<Flight> =
    SleepMutex::new(Flight { cargos: BTreeMap::new(), next: 0, users: BTreeMap::new(), sockets: 0, took: 0, ended: 0 });

/// Sockets in flight, to be seen without the lock.
static SOCKETS: AtomicUsize = AtomicUsize::new(0);
/// A socket in flight may have lost a reference that was not, and nothing was collected since.
static SUSPICION: AtomicBool = AtomicBool::new(false);

/// What threads that are in [`release`] have still to drop. A leaf lock.
static RELEASING: SpinLock<BTreeMap<i32, Vec<Arc<OpenFile>>>> = SpinLock::new(BTreeMap::new());

/// A message's hold on its files. Dropped, they are closed.
pub struct Ticket(u64);

fn socket_of(file: &OpenFile) -> Option<&UnixSocket> {
    file.ops_as::<UnixSocket>()
}

impl Ticket {
    /// Sends files off to the socket with this holder. `ETOOMANYREFS` for who has as many in flight
    /// as it may have open.
    pub fn new(files: Vec<Arc<OpenFile>>, to: Arc<AtomicU64>) -> SysResult<Ticket> {
        let uid = caller::credentials().uid;
        let limit = caller::rlimit(g::RLIMIT_NOFILE);
        let mut flight = FLIGHT.lock();
        let sent = flight.users.get(&uid).copied().unwrap_or(0);
        if sent as u64 > limit && !capable(g::CAP_SYS_RESOURCE) && !capable(g::CAP_SYS_ADMIN) {
            return Err(Errno::ETOOMANYREFS);
        }
        flight.users.insert(uid, sent + files.len());
        for socket in files.iter().filter_map(|file| socket_of(file)) {
            socket.in_flight.fetch_add(1, Ordering::Relaxed);
            flight.sockets += 1;
        }
        SOCKETS.store(flight.sockets, Ordering::Relaxed);
        let id = flight.next;
        flight.next += 1;
        flight.cargos.insert(id, Cargo { files, to, uid });
        Ok(Ticket(id))
    }

    /// The files arrive.
    pub fn take(self) -> Vec<Arc<OpenFile>> {
        FLIGHT.lock().remove(self.0)
    }

    /// The files, which stay in flight.
    pub fn peek(&self) -> Vec<Arc<OpenFile>> {
        FLIGHT.lock().cargos.get(&self.0).map(|cargo| cargo.files.clone()).unwrap_or_default()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let files = FLIGHT.lock().remove(self.0);
        release(files);
    }
}

/// What is known of a socket in flight during a collection.
struct Node {
    /// References to its open file that are not in flight.
    outside: usize,
    /// Cargos that wait at it.
    waiting: Vec<u64>,
    reached: bool,
}

impl Flight {
    fn remove(&mut self, id: u64) -> Vec<Arc<OpenFile>> {
        let Some(Cargo { files, uid, .. }) = self.cargos.remove(&id) else { return Vec::new() };
        let left = self.users.get(&uid).map_or(0, |count| count.saturating_sub(files.len()));
        if left == 0 {
            self.users.remove(&uid);
        } else {
            self.users.insert(uid, left);
        }
        for socket in files.iter().filter_map(|file| socket_of(file)) {
            self.sockets = self.sockets.saturating_sub(1);
            if socket.in_flight.fetch_sub(1, Ordering::Relaxed) > 1 {
                SUSPICION.store(true, Ordering::Relaxed);
            }
        }
        SOCKETS.store(self.sockets, Ordering::Relaxed);
        files
    }

    /// Takes out what no descriptor leads to, over however many queues.
    fn take_unreachable(&mut self) -> Vec<Vec<Arc<OpenFile>>> {
        let mut nodes: BTreeMap<u64, Node> = BTreeMap::new();
        for file in self.cargos.values().flat_map(|cargo| &cargo.files).filter(|file| socket_of(file).is_some()) {
            let fresh = || Node { outside: Arc::strong_count(file), waiting: Vec::new(), reached: false };
            let node = nodes.entry(file.id).or_insert_with(fresh);
            node.outside = node.outside.saturating_sub(1);
        }
        let mut reached = Vec::new();
        for (id, cargo) in &self.cargos {
            match nodes.get_mut(&cargo.to.load(Ordering::Acquire)) {
                Some(node) => node.waiting.push(*id),
                // Who will receive it is not in flight.
                None => reached.push(*id),
            }
        }
        for node in nodes.values_mut().filter(|node| node.outside > 0) {
            node.reached = true;
            reached.append(&mut node.waiting);
        }
        while let Some(id) = reached.pop() {
            let files = self.cargos.get(&id).map(|cargo| cargo.files.as_slice()).unwrap_or_default();
            for file in files {
                if let Some(node) = nodes.get_mut(&file.id).filter(|node| !node.reached) {
                    node.reached = true;
                    reached.append(&mut node.waiting);
                }
            }
        }
        let lost = nodes.into_values().filter(|node| !node.reached).flat_map(|node| node.waiting);
        lost.map(|id| self.remove(id)).collect()
    }
}

/// A descriptor of a socket is being closed, which its open file may survive in a queue that nobody
/// can reach.
pub fn suspect(socket: &UnixSocket) {
    if socket.in_flight.load(Ordering::Relaxed) > 0 {
        SUSPICION.store(true, Ordering::Relaxed);
    }
}

/// A socket has gone. Where a call held on to it, or to one in its queue, past the close of the
/// descriptor, this is what is left to see.
pub fn gone() {
    if SOCKETS.load(Ordering::Relaxed) > 0 {
        SUSPICION.store(true, Ordering::Relaxed);
    }
}

/// After the close of any descriptor: collects what it may have cut off.
pub fn closed() {
    if SUSPICION.load(Ordering::Relaxed) {
        collect();
    }
}

#[cold]
fn collect() {
    let lost = {
        let mut flight = FLIGHT.lock();
        let begun = clock::monotonic_ns();
        if flight.sockets > MAX_SOCKETS_UNPACED && begun - flight.ended < flight.took * GC_PAUSE_FACTOR {
            return;
        }
        SUSPICION.store(false, Ordering::Relaxed);
        let lost = flight.take_unreachable();
        flight.ended = clock::monotonic_ns();
        flight.took = flight.ended - begun;
        lost
    };
    lost.into_iter().for_each(release);
}

/// Drops files, and what they keep, in a loop.
fn release(mut files: Vec<Arc<OpenFile>>) {
    if files.is_empty() {
        return;
    }
    let me = caller::tid();
    {
        let mut releasing = RELEASING.lock();
        if let Some(later) = releasing.get_mut(&me) {
            later.append(&mut files);
            return;
        }
        releasing.insert(me, Vec::new());
    }
    while !files.is_empty() {
        drop(files);
        let mut releasing = RELEASING.lock();
        files = releasing.get_mut(&me).map(core::mem::take).unwrap_or_default();
        if files.is_empty() {
            releasing.remove(&me);
        }
    }
}
