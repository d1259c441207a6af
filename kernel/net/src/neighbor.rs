//! Who is reached at which hardware address (RFC 826, RFC 4861), and the packets that wait to learn
//! it.

use alloc::vec::Vec;
use core::net::IpAddr;

use caller::Instant;
use hashbrown::HashMap;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::interface::Interface;
use super::netlink::events;
use super::{arp, icmp, timers};
use crate::clock;
use crate::device::Frame;

const SECOND: u64 = 1_000_000_000;
/// How long an address is good without being confirmed.
const GOOD_FOR: u64 = 60 * SECOND;
/// Time between two questions, and how many there are.
const ASK_EVERY: u64 = SECOND;
const QUESTIONS: u32 = 3;
/// Packets that wait for one answer; the oldest go.
const WAITING: usize = 64;
/// Neighbours remembered.
const MAX_NEIGHBORS: usize = 1024;

/// A hardware address.
pub type Mac = [u8; 6];

/// What is known of a neighbour (`NUD_*`).
#[allow(missing_docs)]
pub mod state {
    pub const REACHABLE: u16 = 2;
    pub const STALE: u16 = 4;
    pub const FAILED: u16 = 0x20;
    pub const NOARP: u16 = 0x40;
    pub const PERMANENT: u16 = 0x80;
    /// Nobody is asked for these, and no answer changes them.
    pub const FIXED: u16 = NOARP | PERMANENT;
}

enum Neighbor {
    /// `told`: what a program says of it, one of [`state::FIXED`] or `STALE`; else 0.
    Known {
        mac: Mac,
        since: Instant,
        asked: Instant,
        told: u16,
    },
    Sought {
        waiting: Vec<Frame>,
        questions: u32,
        asked: Instant,
    },
}

/// How a program changes what is known of a neighbour.
#[derive(Clone, Copy)]
pub struct Change {
    /// It may be a new one.
    pub create: bool,
    /// It must be a new one.
    pub exclusive: bool,
    /// Its address may change.
    pub replace: bool,
}

/// The neighbours of an interface.
#[derive(Default)]
pub struct Neighbors(SpinLock<HashMap<IpAddr, Neighbor>>);

/// Offset of the destination's hardware address in a frame's head.
const DESTINATION: usize = crate::device::HEADER_LEN;

fn address_frame(frame: &mut Frame, mac: &Mac) {
    if let Some(room) = frame.head.get_mut(DESTINATION..DESTINATION + 6) {
        room.copy_from_slice(mac);
    }
}

/// The hardware address that needs no asking: everybody's, or a group's (RFC 1112, 6.4; RFC 2464,
/// 7).
fn fixed(interface: &Interface, to: &IpAddr) -> Option<Mac> {
    match to {
        IpAddr::V4(v4) if interface.is_broadcast(v4) => Some([0xff; 6]),
        IpAddr::V4(v4) if v4.is_multicast() => {
            let [_, b, c, d] = v4.octets();
            Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(v6) if v6.is_multicast() => {
            let [.., a, b, c, d] = v6.octets();
            Some([0x33, 0x33, a, b, c, d])
        }
        _ => None,
    }
}

impl Neighbors {
    /// Sends a frame to `to`, as soon as it is known where that is.
    pub fn send(&self, interface: &Interface, to: &IpAddr, mut frame: Frame) {
        if interface.asks_nobody() {
            return interface.transmit(frame);
        }
        let now = clock::monotonic_ns();
        let mut table = self.0.lock();
        let known = table.get_mut(to);
        // Nobody is known at an address that needs no asking.
        if known.is_none()
            && let Some(mac) = fixed(interface, to)
        {
            address_frame(&mut frame, &mac);
            return interface.transmit(frame);
        }
        let ask = match known {
            Some(Neighbor::Known { mac, since, asked, told }) => {
                address_frame(&mut frame, mac);
                let old = now.saturating_sub(*since) > GOOD_FOR && now.saturating_sub(*asked) > ASK_EVERY;
                let stale = *told & state::FIXED == 0 && (old || *told == state::STALE);
                if stale {
                    *asked = now;
                    *told = 0;
                }
                interface.transmit(frame);
                stale
            }
            Some(Neighbor::Sought { waiting, .. }) => {
                if waiting.len() >= WAITING {
                    waiting.remove(0);
                }
                waiting.push(frame);
                false
            }
            None => {
                if table.len() >= MAX_NEIGHBORS {
                    table.retain(|_, n| matches!(n, Neighbor::Known { since, told, .. } if *told & state::FIXED != 0 || now.saturating_sub(*since) < GOOD_FOR));
                }
                if table.len() >= MAX_NEIGHBORS {
                    return;
                }
                table.insert(*to, Neighbor::Sought { waiting: alloc::vec![frame], questions: 1, asked: now });
                timers::at(now + ASK_EVERY, timers::Due::Neighbors(interface.index));
                true
            }
        };
        drop(table);
        if ask {
            arp::request(interface, to);
        }
    }

    /// `ip` is at `mac`. Only those who were sought, or `known` already, are noted unless `insert`.
    pub fn learn(&self, interface: &Interface, ip: IpAddr, mac: Mac, insert: bool) {
        let now = clock::monotonic_ns();
        let mut table = self.0.lock();
        if !table.contains_key(&ip) && (!insert || table.len() >= MAX_NEIGHBORS) {
            return;
        }
        if matches!(table.get(&ip), Some(Neighbor::Known { told, .. }) if *told & state::FIXED != 0) {
            return;
        }
        let before = table.insert(ip, Neighbor::Known { mac, since: now, asked: now, told: 0 });
        drop(table);
        Self::send_waiting(interface, before, mac);
    }

    /// What has waited for an address goes out.
    fn send_waiting(interface: &Interface, before: Option<Neighbor>, mac: Mac) {
        if let Some(Neighbor::Sought { waiting, .. }) = before {
            for mut frame in waiting {
                address_frame(&mut frame, &mac);
                interface.transmit(frame);
            }
        }
    }

    /// A program says where somebody is, and how sure that is (see [`state`]). Where nobody is
    /// known `create` makes one; `replace` lets the address change. `ENOENT`, `EEXIST`, `ENOBUFS`.
    pub fn set(&self, interface: &Interface, ip: IpAddr, mac: Mac, how: u16, request: Change) -> SysResult<()> {
        let now = clock::monotonic_ns();
        let mut table = self.0.lock();
        let known = table.contains_key(&ip);
        if known && request.exclusive {
            return Err(Errno::EEXIST);
        }
        if !known && !request.create {
            return Err(Errno::ENOENT);
        }
        if !known && (table.len() >= MAX_NEIGHBORS || table.try_reserve(1).is_err()) {
            return Err(Errno::ENOBUFS);
        }
        let old = match table.get(&ip) {
            Some(Neighbor::Known { mac, .. }) if !request.replace => Some(*mac),
            _ => None,
        };
        let mac = old.unwrap_or(mac);
        let before =
            table.insert(ip, Neighbor::Known { mac, since: now, asked: now, told: how & (state::FIXED | state::STALE) });
        drop(table);
        Self::send_waiting(interface, before, mac);
        events::neighbor(interface, &ip, &mac, how, true);
        Ok(())
    }

    /// Forgets somebody, and what has waited. `ENOENT`.
    pub fn forget(&self, interface: &Interface, ip: &IpAddr) -> SysResult<()> {
        let old = self.0.lock().remove(ip).ok_or(Errno::ENOENT)?;
        if let Neighbor::Known { mac, .. } = old {
            events::neighbor(interface, ip, &mac, state::FAILED, true);
            events::neighbor(interface, ip, &mac, state::FAILED, false);
        }
        Ok(())
    }

    /// Forgets everybody: the interface is down.
    pub fn forget_all(&self, interface: &Interface) {
        let all = core::mem::take(&mut *self.0.lock());
        for (ip, old) in &all {
            if let Neighbor::Known { mac, told, .. } = old {
                let state = if *told == 0 { state::REACHABLE } else { *told };
                events::neighbor(interface, ip, mac, state, false);
            }
        }
    }

    /// Asks again for those who have not answered, and gives up on some.
    pub fn on_timer(&self, interface: &Interface, now: Instant) {
        let mut again = Vec::new();
        let mut lost = Vec::new();
        let mut left = false;
        self.0.lock().retain(|ip, neighbor| {
            let Neighbor::Sought { waiting, questions, asked } = neighbor else { return true };
            if now.saturating_sub(*asked) >= ASK_EVERY {
                *questions += 1;
                *asked = now;
                if *questions > QUESTIONS {
                    lost.append(waiting);
                    return false;
                }
                again.push(*ip);
            }
            left = true;
            true
        });
        for frame in lost {
            let mut packet = frame.head.get(DESTINATION + arp::ETHERNET..).unwrap_or_default().to_vec();
            frame.payload.iter().for_each(|piece| packet.extend_from_slice(piece));
            icmp::nobody_there(&packet);
        }
        for ip in again {
            arp::request(interface, &ip);
        }
        if left {
            timers::at(now + ASK_EVERY, timers::Due::Neighbors(interface.index));
        }
    }

    /// Who is known and how well (see [`state`]), for /proc/net/arp and netlink.
    pub fn list(&self) -> Vec<(IpAddr, Mac, u16)> {
        let now = clock::monotonic_ns();
        let known = |(ip, neighbor): (&IpAddr, &Neighbor)| match neighbor {
            Neighbor::Known { mac, told, .. } if *told != 0 => Some((*ip, *mac, *told)),
            Neighbor::Known { mac, since, .. } => {
                let good = now.saturating_sub(*since) <= GOOD_FOR;
                Some((*ip, *mac, if good { state::REACHABLE } else { state::STALE }))
            }
            Neighbor::Sought { .. } => None,
        };
        self.0.lock().iter().filter_map(known).collect()
    }
}
