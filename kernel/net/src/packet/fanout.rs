//! Sockets that share what comes (packet(7), `PACKET_FANOUT`): each frame goes to one of a group.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fd::socket_filter;
use inet::bpf::Program;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::socket::{PacketSocket, Room};
use super::{Seen, flow, kind};
use crate::machine;

/// `PACKET_FANOUT_*`: how a group chooses.
mod by {
    pub const HASH: u8 = 0;
    pub const LB: u8 = 1;
    pub const CPU: u8 = 2;
    pub const ROLLOVER: u8 = 3;
    pub const RND: u8 = 4;
    pub const QM: u8 = 5;
    pub const CBPF: u8 = 6;
    pub const EBPF: u8 = 7;
}

/// `PACKET_FANOUT_FLAG_*`, which stand in a byte of their own.
mod flag {
    pub const ROLLOVER: u8 = 0x10;
    pub const UNIQUE: u8 = 0x20;
    pub const IGNORE_OUTGOING: u8 = 0x40;
}

/// Members of a group, unless somebody says otherwise, and at most.
const USUAL_MEMBERS: u32 = 256;
const MAX_MEMBERS: u32 = 1 << 16;
/// Flows that a member remembers to see whether one is huge.
const FLOWS: usize = 16;

/// All groups. Taken before a group's members.
static GROUPS: SpinLock<Vec<Arc<Fanout>>> = SpinLock::new(Vec::new());

/// A group.
pub struct Fanout {
    id: u16,
    /// See [`by`] and [`flag`].
    kind: u8,
    flags: u8,
    /// Where its members listen.
    protocol: u16,
    interface: u32,
    max_members: u32,
    /// A leaf lock.
    members: SpinLock<Vec<Weak<PacketSocket>>>,
    /// How many frames were given out in turn.
    turns: AtomicU32,
    /// That of [`by::CBPF`]. A leaf lock.
    program: SpinLock<Option<Arc<Program>>>,
}

/// What a member of a group that rolls over has done (`struct tpacket_rollover_stats`).
#[derive(Default)]
pub struct Rollover {
    /// Frames that went to others, those among them of a huge flow, and frames that nobody had room
    /// for.
    pub counts: [AtomicU64; 3],
    /// The member that took the last one.
    member: AtomicUsize,
    /// The flows of some frames. A leaf lock.
    flows: SpinLock<[u32; FLOWS]>,
}

impl Rollover {
    fn is_huge(&self, hash: u32) -> bool {
        let mut flows = self.flows.lock();
        let seen = flows.iter().filter(|flow| **flow == hash).count();
        if let Some(place) = flows.get_mut(machine::random() as usize % FLOWS) {
            *place = hash;
        }
        seen > FLOWS / 2
    }
}

/// The members of a group have its number, and a new one has none that is taken. `ENOMEM`.
fn free_id(groups: &[Arc<Fanout>]) -> SysResult<u16> {
    (0..=u16::MAX).find(|id| groups.iter().all(|group| group.id != *id)).ok_or(Errno::ENOMEM)
}

/// `PACKET_FANOUT`. `EINVAL`, `EALREADY`, `ENOSPC`, `ENOMEM`.
pub fn join(socket: &Arc<PacketSocket>, value: &[u8]) -> SysResult<()> {
    let (head, max_members) = match value.len() {
        4 => (value.first_chunk::<4>(), 0),
        8 => (value.first_chunk::<4>(), value.last_chunk::<4>().map_or(0, |most| u32::from_ne_bytes(*most))),
        _ => return Err(Errno::EINVAL),
    };
    let [i0, i1, kind, mut flags] = *head.ok_or(Errno::EINVAL)?;
    let mut id = u16::from_ne_bytes([i0, i1]);
    if kind > by::EBPF || kind == by::ROLLOVER && flags & flag::ROLLOVER != 0 {
        return Err(Errno::EINVAL);
    }
    let mut groups = GROUPS.lock();
    if socket.fanout().is_some() {
        return Err(Errno::EALREADY);
    }
    if flags & flag::UNIQUE != 0 {
        if id != 0 {
            return Err(Errno::EINVAL);
        }
        id = free_id(&groups)?;
        flags &= !flag::UNIQUE;
    }
    let (protocol, interface) = socket.place();
    let found = groups.iter().find(|group| group.id == id).cloned();
    let is_new = found.is_none();
    let group = match found {
        Some(group) if group.flags != flags => return Err(Errno::EINVAL),
        Some(group) if max_members != 0 && max_members != group.max_members => return Err(Errno::EINVAL),
        Some(group) => group,
        None if max_members > MAX_MEMBERS => return Err(Errno::EINVAL),
        None => Arc::new(Fanout {
            id,
            kind,
            flags,
            protocol,
            interface,
            max_members: if max_members == 0 { USUAL_MEMBERS } else { max_members },
            members: SpinLock::new(Vec::new()),
            turns: AtomicU32::new(0),
            program: SpinLock::new(None),
        }),
    };
    if protocol == 0 || group.kind != kind || group.protocol != protocol || group.interface != interface {
        return Err(Errno::EINVAL);
    }
    groups.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let mut members = group.members.lock();
    if members.len() >= group.max_members as usize {
        return Err(Errno::ENOSPC);
    }
    members.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    members.push(Arc::downgrade(socket));
    drop(members);
    if is_new {
        groups.push(group.clone());
    }
    socket.set_fanout(group);
    Ok(())
}

impl Fanout {
    /// As getsockopt(2) tells it.
    pub fn describe(&self) -> i32 {
        i32::from_ne_bytes([self.id.to_ne_bytes()[0], self.id.to_ne_bytes()[1], self.kind, self.flags])
    }

    /// Whether its members count what goes to others.
    pub fn rolls_over(&self) -> bool {
        self.kind == by::ROLLOVER || self.flags & flag::ROLLOVER != 0
    }

    /// `PACKET_FANOUT_DATA`. `EINVAL`, `EPERM`.
    pub fn set_program(&self, value: &[u8], locked: bool) -> SysResult<()> {
        match self.kind {
            by::CBPF | by::EBPF if locked => Err(Errno::EPERM),
            by::CBPF => {
                *self.program.lock() = Some(socket_filter::read(value)?);
                Ok(())
            }
            by::EBPF => socket_filter::Filter::attach_by_descriptor(value),
            _ => Err(Errno::EINVAL),
        }
    }

    /// A member is gone. The last one takes its place.
    pub fn leave(&self, socket: &PacketSocket) {
        let mut groups = GROUPS.lock();
        let mut members = self.members.lock();
        if let Some(at) = members.iter().position(|member| core::ptr::eq(member.as_ptr(), socket)) {
            members.swap_remove(at);
        }
        if members.is_empty() {
            drop(members);
            groups.retain(|group| !core::ptr::eq(&**group, self));
        }
    }

    /// A frame is there: one of the members gets it, if it is for them.
    pub fn offered(&self, seen: &Seen<'_>) {
        let outgoing = seen.kind == kind::OUTGOING;
        let listens = self.protocol == super::ALL || self.protocol == seen.protocol && !outgoing;
        let here = self.interface == 0 || self.interface == seen.interface.index;
        if !listens || !here || outgoing && self.flags & flag::IGNORE_OUTGOING != 0 {
            return;
        }
        let mut members: Vec<Arc<PacketSocket>> = self.members.lock().iter().filter_map(Weak::upgrade).collect();
        if members.is_empty() {
            return;
        }
        let count = members.len();
        let hash = flow::hash(seen);
        let first = match self.kind {
            by::LB => self.turns.fetch_add(1, Ordering::Relaxed).wrapping_add(1) as usize % count,
            by::CPU => machine::cpu() as usize % count,
            by::RND => machine::random() as usize % count,
            // No device here has more than one queue, and without a program the first is chosen.
            by::ROLLOVER | by::QM | by::EBPF => 0,
            by::CBPF => {
                let program = self.program.lock().clone();
                let start = if outgoing { 0 } else { seen.link };
                program.map_or(0, |program| program.run(&seen.packet(start)) as usize % count)
            }
            by::HASH.. => ((u64::from(hash) * count as u64) >> 32) as usize,
        };
        let chosen = if self.rolls_over() { roll(&members, first, self.kind != by::ROLLOVER, hash) } else { first };
        if chosen < count {
            members.swap_remove(chosen).take(seen);
        }
    }
}

/// The first member with room, beginning with that of the last time; `first` itself where nobody
/// has (`fanout_demux_rollover`).
fn roll(members: &[Arc<PacketSocket>], first: usize, may_stay: bool, hash: u32) -> usize {
    let Some(usual) = members.get(first) else { return first };
    let mut room = Room::None;
    if may_stay {
        room = usual.room();
        if room == Room::Much || room == Room::Little && !usual.rollover.is_huge(hash) {
            return first;
        }
    }
    let start = usual.rollover.member.load(Ordering::Relaxed).min(members.len() - 1);
    let others = (start..members.len()).chain(0..start).filter(|at| !may_stay || *at != first);
    let [all, huge, failed] = &usual.rollover.counts;
    for at in others {
        if members.get(at).is_some_and(|member| member.room() == Room::Much) {
            usual.rollover.member.store(at, Ordering::Relaxed);
            all.fetch_add(1, Ordering::Relaxed);
            if room == Room::Little {
                huge.fetch_add(1, Ordering::Relaxed);
            }
            return at;
        }
    }
    failed.fetch_add(1, Ordering::Relaxed);
    first
}
