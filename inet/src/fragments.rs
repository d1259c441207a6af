//! Putting fragments of IP packets together again (RFC 791, 3.2; RFC 8200, 4.5), with bounds on
//! what is held for strangers.

use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;

/// Nanoseconds until what is incomplete is forgotten (Linux's `ipfrag_time`).
const REASSEMBLY_TIMEOUT: u64 = 30_000_000_000;
/// Packets that may be incomplete at a time, and bytes that they may hold together.
const MAX_PACKETS: usize = 64;
const MAX_BYTES: usize = 1 << 20;
/// What a piece counts for beyond its bytes.
const OVERHEAD: usize = 128;
/// The longest packet there can be, without its header.
const MAX_LEN: usize = 65535;

/// Which packet a fragment belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Who sent it.
    pub source: IpAddr,
    /// Who it is for.
    pub destination: IpAddr,
    /// The upper protocol (IPv4) or 0.
    pub protocol: u8,
    /// The sender's number for it.
    pub identification: u32,
}

#[derive(Default)]
struct Partial {
    /// By offset, without overlaps.
    pieces: Vec<(usize, Vec<u8>)>,
    /// Bytes in `pieces`.
    bytes: usize,
    /// Where the last piece ends, once it has come.
    end: Option<usize>,
    since: u64,
}

/// Packets that are not complete yet.
#[derive(Default)]
pub struct Fragments {
    table: HashMap<Key, Partial>,
    held: usize,
}

impl Fragments {
    /// Bytes that are held, with what they count for beyond themselves.
    pub fn held(&self) -> usize {
        self.held
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.table.remove(key)?;
        self.held -= partial.bytes + partial.pieces.len() * OVERHEAD;
        Some(partial)
    }

    /// Makes room: what has waited too long goes, and the oldest while there is too much.
    fn prune(&mut self, now: u64) {
        let late: Vec<Key> = self
            .table
            .iter()
            .filter(|(_, p)| now.saturating_sub(p.since) > REASSEMBLY_TIMEOUT)
            .map(|(key, _)| *key)
            .collect();
        late.iter().for_each(|key| drop(self.remove(key)));
        while self.table.len() >= MAX_PACKETS || self.held >= MAX_BYTES {
            let oldest = self.table.iter().min_by_key(|(_, p)| p.since).map(|(key, _)| *key);
            match oldest {
                Some(key) => drop(self.remove(&key)),
                None => return,
            }
        }
    }

    /// Takes a fragment: its bytes belong at `offset`, and more follow or not. The whole packet's
    /// bytes once the last is there. A packet with pieces that overlap, contradict each other or
    /// reach too far is thrown away (RFC 5722).
    pub fn insert(&mut self, key: Key, offset: usize, more: bool, bytes: &[u8], now: u64) -> Option<Vec<u8>> {
        let end = offset + bytes.len();
        let whole_units = bytes.len().is_multiple_of(8);
        if bytes.is_empty() || end > MAX_LEN || more && !whole_units {
            return None;
        }
        if !self.table.contains_key(&key) {
            self.prune(now);
        }
        let partial = self.table.entry(key).or_insert_with(|| Partial { since: now, ..Partial::default() });
        let at = partial.pieces.partition_point(|(start, _)| *start < offset);
        let before = at.checked_sub(1).and_then(|n| partial.pieces.get(n)).map_or(0, |(start, piece)| start + piece.len());
        let after = partial.pieces.get(at).map_or(MAX_LEN, |(start, _)| *start);
        // A copy of what is there already is no harm.
        if partial.pieces.get(at).is_some_and(|(start, piece)| *start == offset && **piece == *bytes) {
            return None;
        }
        let contradicts = match partial.end {
            Some(known) => end > known || !more && end != known,
            None => !more && partial.pieces.last().is_some_and(|(start, piece)| start + piece.len() > end),
        };
        if before > offset || end > after || contradicts {
            self.remove(&key);
            return None;
        }
        partial.pieces.insert(at, (offset, bytes.to_vec()));
        partial.bytes += bytes.len();
        self.held += bytes.len() + OVERHEAD;
        if !more {
            partial.end = Some(end);
        }
        if partial.end == Some(partial.bytes) {
            let whole = self.remove(&key)?;
            return Some(whole.pieces.into_iter().flat_map(|(_, piece)| piece).collect());
        }
        if self.held > MAX_BYTES {
            self.prune(now);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use core::net::Ipv4Addr;

    fn key(identification: u32) -> Key {
        let address = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        Key { source: address(1), destination: address(2), protocol: 17, identification }
    }

    #[test]
    fn in_any_order_and_twice() {
        let whole: Vec<u8> = (0..100u8).collect();
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut fragments = Fragments::default();
            let mut done = None;
            for n in order {
                let (from, to) = (n * 40, (n * 40 + 40).min(100));
                assert!(done.is_none());
                done = fragments.insert(key(1), from, n != 2, &whole[from..to], 0);
                if done.is_none() {
                    assert_eq!(fragments.insert(key(1), from, n != 2, &whole[from..to], 0), None, "a copy");
                }
            }
            assert_eq!((done, fragments.held()), (Some(whole.clone()), 0));
        }
    }

    #[test]
    fn overlaps_and_contradictions_end_it() {
        for (offset, more) in [(8, true), (0, false)] {
            let mut fragments = Fragments::default();
            fragments.insert(key(1), 0, true, &[1; 16], 0);
            assert_eq!(fragments.insert(key(1), offset, more, &[2; 8], 0), None);
            assert_eq!(fragments.held(), 0);
        }
        let mut fragments = Fragments::default();
        assert_eq!(fragments.insert(key(1), 65528, false, &[1; 16], 0), None, "too long");
        assert_eq!(fragments.insert(key(1), 0, true, &[1; 7], 0), None, "half a unit");
        assert_eq!(fragments.held(), 0);
    }

    #[test]
    fn a_flood_is_bounded_and_time_clears_it() {
        let mut fragments = Fragments::default();
        for n in 0..10_000 {
            fragments.insert(key(n), 8, true, &vec![0; 1400], u64::from(n));
            assert!(fragments.table.len() <= MAX_PACKETS && fragments.held() <= MAX_BYTES + 1600);
        }
        // Many small pieces of one packet.
        for n in 0..8000 {
            fragments.insert(key(0), n * 8, true, &[0; 8], 10_000);
            assert!(fragments.held() <= MAX_BYTES + 1600);
        }
        fragments.insert(key(20_000), 0, true, &[0; 8], 2 * REASSEMBLY_TIMEOUT);
        assert_eq!(fragments.held(), 8 + OVERHEAD);
    }
}
