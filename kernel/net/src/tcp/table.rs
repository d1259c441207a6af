//! The connections by their flow, and the listeners by their port.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::{HashMap, HashTable};
use inet::ip::Flow;
use sync::SpinLock;

use super::{Connection, Listener};
use crate::secret;

/// Parts of the table, each with a lock of its own, so that CPUs seldom meet.
const SHARDS: usize = 64;

static CONNECTIONS: [SpinLock<HashTable<Arc<Connection>>>; SHARDS] = [const { SpinLock::new(HashTable::new()) }; SHARDS];
static LISTENERS: SpinLock<Option<HashMap<u16, Vec<Arc<Listener>>>>> = SpinLock::new(None);

fn shard(hash: u64) -> &'static SpinLock<HashTable<Arc<Connection>>> {
    &CONNECTIONS[(hash >> 32) as usize % SHARDS]
}

/// The connection of a flow.
pub fn find(flow: &Flow) -> Option<Arc<Connection>> {
    let hash = flow.place(secret());
    shard(hash).lock().find(hash, |connection| connection.flow == *flow).cloned()
}

/// Adds a connection; false if its flow has one.
pub fn insert(connection: &Arc<Connection>) -> bool {
    let hash = connection.flow.place(secret());
    let mut table = shard(hash).lock();
    if table.find(hash, |other| other.flow == connection.flow).is_some() {
        return false;
    }
    table.insert_unique(hash, connection.clone(), |connection| connection.flow.place(secret()));
    true
}

/// Takes a connection out.
pub fn remove(connection: &Connection) {
    let hash = connection.flow.place(secret());
    let mut table = shard(hash).lock();
    let removed = table.find_entry(hash, |other| core::ptr::eq(&**other, connection)).ok().map(|entry| entry.remove().0);
    drop(table);
    drop(removed);
}

/// All connections.
pub fn connections() -> Vec<Arc<Connection>> {
    CONNECTIONS.iter().flat_map(|shard| shard.lock().iter().cloned().collect::<Vec<_>>()).collect()
}

/// Adds a listener.
pub fn add_listener(listener: &Arc<Listener>) {
    let mut table = LISTENERS.lock();
    table.get_or_insert_with(HashMap::new).entry(listener.local.port()).or_default().push(listener.clone());
}

/// Takes a listener out.
pub fn remove_listener(listener: &Arc<Listener>) {
    let mut guard = LISTENERS.lock();
    let Some(table) = guard.as_mut() else { return };
    if let Some(same_port) = table.get_mut(&listener.local.port()) {
        same_port.retain(|other| !Arc::ptr_eq(other, listener));
        if same_port.is_empty() {
            table.remove(&listener.local.port());
        }
    }
}

/// All listeners.
pub fn listeners() -> Vec<Arc<Listener>> {
    LISTENERS.lock().iter().flat_map(HashMap::values).flatten().cloned().collect()
}

/// How well a listener fits an address: for this one, for any of the family, for any at all; of
/// equals one that is bound to the interface is better. 0 is not at all.
fn fit(listener: &Listener, address: &IpAddr, interface: u32) -> u32 {
    let own = listener.local.ip();
    if !listener.common.takes_from(interface) {
        return 0;
    }
    let of_address = match (own, address) {
        (own, address) if own == *address => 3,
        (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => 2,
        (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => 2,
        (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !listener.lease.sharing().v6_only => 1,
        _ => return 0,
    };
    of_address * 2 + u32::from(listener.common.is_bound_to_device())
}

/// The listener that a flow's first segment is for. Those who share a port share the flows
/// (`SO_REUSEPORT`).
pub fn listener_for(flow: &Flow, interface: u32) -> Option<Arc<Listener>> {
    let guard = LISTENERS.lock();
    let same_port = guard.as_ref()?.get(&flow.local.port())?;
    let best = same_port.iter().map(|listener| fit(listener, &flow.local.ip(), interface)).max().filter(|fit| *fit > 0)?;
    let equals = || same_port.iter().filter(|listener| fit(listener, &flow.local.ip(), interface) == best);
    let count = equals().count() as u64;
    let chosen = if count > 1 { (flow.place(secret()) >> 16) % count } else { 0 };
    equals().nth(chosen as usize).cloned()
}
