//! The socket.

mod receive;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::socket::{Address, Ancillary, Control, Received, Socket, deadline, wait};
use fd::socket_filter::Filter;
use fd::{FileOps, OpenFile};
use inet::Bytes;
use linux_raw_sys::ioctl as i;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;
use vm::MappedFile;

use super::fanout::{Fanout, Rollover};
use super::membership::Memberships;
use super::options::{Options, SOL_PACKET, option};
use super::ring::{self, Ring};
use super::{ALL, Checksums, ETHERNET, Seen, address, kind, vnet};
use crate::device::{Frame, HEADER_LEN};
use crate::interface::{self, Interface};
use crate::socket::{Common, Family};
use crate::sockopt::flag;
use crate::sockopt::general::refused;
use crate::{clock, ioctl, poll};

/// Which ring is which.
const RECEIVED: usize = 0;
const TO_SEND: usize = 1;
/// What a frame counts for beyond its bytes.
const OVERHEAD: usize = 576;
/// The longest frame: the largest packet of any interface, and its header.
const MAX_FRAME: usize = 65536 + ETHERNET + 4;
/// The longest `struct virtio_net_hdr`.
const VNET_HEADER: usize = 12;
/// What recv(2) takes.
const RECEIVE_FLAGS: u32 = n::MSG_PEEK | n::MSG_DONTWAIT | n::MSG_TRUNC | n::MSG_ERRQUEUE | n::MSG_NOSIGNAL;

/// A frame that waits.
struct Waiting {
    bytes: Bytes,
    /// Its length before a filter cut it.
    full: usize,
    /// Where the network header is in it.
    network: usize,
    from: Address,
    /// When it came, since the epoch.
    stamp: u64,
    /// What is known of its checksums.
    checksums: Checksums,
}

/// How much room there is for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// None.
    None,
    /// Less than a quarter is free.
    Little,
    /// More than that.
    Much,
}

impl Waiting {
    fn held(&self) -> usize {
        self.bytes.footprint() + OVERHEAD
    }
}

/// Where the socket listens.
#[derive(Clone, Copy)]
struct Bound {
    /// `ETH_P_*`; 0 for nothing at all.
    protocol: u16,
    /// An interface; 0 for all.
    interface: u32,
}

/// A socket.
pub struct PacketSocket {
    common: Common,
    kind: u32,
    /// A leaf lock.
    bound: SpinLock<Bound>,
    /// What was received. A leaf lock.
    queue: SpinLock<VecDeque<Waiting>>,
    held: AtomicUsize,
    filter: Filter,
    options: Options,
    memberships: Memberships,
    /// Of frames received, and of frames to be sent. A leaf lock.
    rings: SpinLock<[Option<Arc<Ring>>; 2]>,
    /// Who has them mapped keeps one of these.
    mapped: Arc<()>,
    /// An error that the next call tells; 0 for none.
    error: AtomicI32,
    /// When the last frame came that was read.
    stamp: AtomicU64,
    owner: u32,
    /// The group that it shares its frames with. A leaf lock.
    fanout: SpinLock<Option<Arc<Fanout>>>,
    /// What became of its frames there.
    pub(super) rollover: Rollover,
    readers: PollQueue,
}

impl PacketSocket {
    /// Its rings, for mmap(2) of `file`.
    pub fn rings_memory(&self, file: &Arc<OpenFile>) -> SysResult<Arc<dyn MappedFile>> {
        let rings = self.rings.lock();
        let all: Vec<_> = rings.iter().flatten().cloned().collect();
        let token = self.mapped.clone();
        drop(rings);
        ring::Mapped::new(&all, file.clone(), token).map(|mapped| mapped as Arc<dyn MappedFile>)
    }

    /// A socket that listens to all interfaces.
    pub(super) fn new(kind: u32, protocol: u16) -> PacketSocket {
        PacketSocket {
            common: Common::new(Family::V4, false),
            kind,
            bound: SpinLock::new(Bound { protocol, interface: 0 }),
            queue: SpinLock::new(VecDeque::new()),
            held: AtomicUsize::new(0),
            filter: Filter::default(),
            options: Options::default(),
            memberships: Memberships::default(),
            rings: SpinLock::new([None, None]),
            mapped: Arc::new(()),
            error: AtomicI32::new(0),
            stamp: AtomicU64::new(0),
            owner: caller::credentials().euid,
            fanout: SpinLock::new(None),
            rollover: Rollover::default(),
            readers: poll_queue(),
        }
    }

    fn is_raw(&self) -> bool {
        self.kind == n::SOCK_RAW
    }

    fn wants(&self, seen: &Seen<'_>) -> bool {
        let bound = *self.bound.lock();
        let outgoing = seen.kind == kind::OUTGOING;
        let protocol = bound.protocol == ALL || bound.protocol == seen.protocol && bound.protocol != 0 && !outgoing;
        protocol
            && (bound.interface == 0 || bound.interface == seen.interface.index)
            && !(outgoing && self.options.is(option::IGNORE_OUTGOING))
    }

    /// The group that it belongs to.
    pub(super) fn fanout(&self) -> Option<Arc<Fanout>> {
        self.fanout.lock().clone()
    }

    /// It belongs to a group now.
    pub(super) fn set_fanout(&self, group: Arc<Fanout>) {
        *self.fanout.lock() = Some(group);
    }

    /// Protocol and interface that it listens to.
    pub(super) fn place(&self) -> (u16, u32) {
        let Bound { protocol, interface } = *self.bound.lock();
        (protocol, interface)
    }

    fn has_room(&self) -> bool {
        self.held.load(Ordering::Relaxed) < self.common.buffers().0 as usize
    }

    /// `PACKET_RX_RING`, `PACKET_TX_RING`. `EBUSY` while rings are mapped, or where there is one
    /// already.
    fn set_ring(&self, which: usize, value: &[u8]) -> SysResult<()> {
        let busy = |rings: &[Option<Arc<Ring>>; 2], new: bool| {
            let taken = new && rings.get(which).is_some_and(Option::is_some);
            if taken || Arc::strong_count(&self.mapped) > 1 { Err(Errno::EBUSY) } else { Ok(()) }
        };
        let new = value.get(4..8).is_some_and(|blocks| blocks != [0; 4]);
        busy(&self.rings.lock(), new)?;
        let new_ring = |shape| Ring::new(shape, which == RECEIVED, clock::realtime_ns());
        let ring = self.options.shape(value, which == TO_SEND)?.map(new_ring).transpose()?;
        let mut rings = self.rings.lock();
        busy(&rings, ring.is_some())?;
        let old = rings.get_mut(which).and_then(|slot| core::mem::replace(slot, ring));
        drop(rings);
        drop(old);
        if which == RECEIVED {
            let waiting = core::mem::take(&mut *self.queue.lock());
            let held: usize = waiting.iter().map(Waiting::held).sum();
            self.held.fetch_sub(held, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends what a program has put into the ring: the bytes of all frames.
    fn send_ring(&self, ring: &Ring, place: &address::Place) -> SysResult<usize> {
        let interface = interface::by_index(place.interface).ok_or(Errno::ENXIO)?;
        if !interface.is_up() {
            return Err(Errno::ENETDOWN);
        }
        // What is to be cut may be longer, which is looked at when its header is read.
        let most = match self.options.vnet() {
            0 => interface.mtu() as usize + if self.is_raw() { ETHERNET } else { 0 } + 4,
            header => MAX_FRAME + header,
        };
        let mut sum = 0;
        while let Some((frame, packet)) = ring.take(most, self.options.is(option::TX_HAS_OFF), self.is_raw()) {
            let sent = packet.and_then(|packet| {
                let len = packet.len();
                self.send(packet, place).map(|()| len - self.options.vnet())
            });
            let lost = self.options.is(option::LOSS);
            ring.finish(frame, sent.is_ok() || lost);
            match sent {
                Ok(len) => sum += len,
                Err(_) if lost => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(sum)
    }

    /// An interface is down.
    pub(super) fn went_down(&self, interface: &Interface) {
        let mut bound = self.bound.lock();
        if bound.interface != interface.index {
            return;
        }
        if interface.is_gone() {
            bound.interface = u32::MAX;
        }
        drop(bound);
        self.error.store(Errno::ENETDOWN.0.into(), Ordering::Relaxed);
        self.readers.wake_all();
    }

    /// See [`super::list`].
    pub(super) fn line(&self) -> (u32, u16, u32, bool, usize, u32) {
        let Bound { protocol, interface } = *self.bound.lock();
        (self.kind, protocol, interface, protocol != 0, self.held.load(Ordering::Relaxed), self.owner)
    }

    fn take_error(&self) -> SysResult<()> {
        match self.error.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(Errno(error as u16)),
        }
    }

    /// Control messages for a frame.
    fn control(&self, waiting: &Waiting) -> Vec<Control> {
        let mut out = Vec::new();
        let (seconds, nanoseconds) = (waiting.stamp / 1_000_000_000, waiting.stamp % 1_000_000_000);
        let time = |parts: [u64; 2]| parts.iter().flat_map(|part| part.to_ne_bytes()).collect();
        if self.common.has(flag::TIMESTAMP) {
            let data = time([seconds, nanoseconds / 1000]);
            out.push(Control { level: n::SOL_SOCKET, kind: n::SO_TIMESTAMP, data });
        }
        if self.common.has(flag::TIMESTAMPNS) {
            out.push(Control { level: n::SOL_SOCKET, kind: n::SO_TIMESTAMPNS, data: time([seconds, nanoseconds]) });
        }
        if self.options.is(option::AUXDATA) {
            let status = ring::status::USER | waiting.checksums.status();
            let words = [status, waiting.full as u32, waiting.bytes.len() as u32];
            let mut data: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            data.extend([0, waiting.network as u16, 0, 0].iter().flat_map(|half| half.to_ne_bytes()));
            out.push(Control { level: SOL_PACKET, kind: option::AUXDATA, data });
        }
        out
    }

    /// Sends a frame, before which there may be a header ([`vnet`]).
    fn send(&self, mut bytes: Vec<u8>, place: &address::Place) -> SysResult<()> {
        let interface = interface::by_index(place.interface).ok_or(Errno::ENXIO)?;
        if !interface.is_up() {
            return Err(Errno::ENETDOWN);
        }
        let bare = interface.link.is_point_to_point();
        let header = if bare { 0 } else { ETHERNET };
        let before = self.options.vnet();
        let mut cut = false;
        if before > 0 {
            let (vnet, frame) = bytes.split_at_mut_checked(before).ok_or(Errno::EINVAL)?;
            cut = vnet::apply(vnet, frame)?;
        }
        let bytes = bytes.get(before..).unwrap_or_default();
        let room = interface.mtu() as usize + if self.is_raw() { header } else { 0 };
        // A tag of a VLAN does not count.
        let tag = if self.is_raw() && !bare && bytes.get(12..14) == Some(&[0x81, 0x00]) { 4 } else { 0 };
        if bytes.len() > room + tag && !cut {
            return Err(Errno::EMSGSIZE);
        }
        // Within the machine packets of any length go; no card takes what is still to be cut.
        if cut && bytes.len() > room + tag && interface.card().is_some() {
            return Err(Errno::EINVAL);
        }
        if self.is_raw() && bytes.len() < header {
            return Err(Errno::EINVAL);
        }
        let mut head = Vec::new();
        head.try_reserve_exact(HEADER_LEN + ETHERNET + bytes.len()).map_err(|_| Errno::ENOBUFS)?;
        head.resize(HEADER_LEN, 0);
        if !self.is_raw() || bare {
            head.extend_from_slice(&place.hardware.unwrap_or_default());
            head.extend_from_slice(&interface.mac());
            head.extend_from_slice(&place.protocol.to_be_bytes());
        }
        head.extend_from_slice(bytes);
        let frame = Frame { head, payload: Default::default(), offload: None };
        super::leaving_from(&interface, &frame, Some(self));
        interface.carry(frame);
        Ok(())
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        super::forget(self);
        let group = self.fanout.lock().take();
        if let Some(group) = group {
            group.leave(self);
        }
    }
}

impl FileOps for PacketSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.receive_message(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let flags = file.message_flags();
        self.send_message(from, None, Ancillary::default(), flags)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        let error = if self.error.load(Ordering::Relaxed) != 0 { ev::ERR } else { 0 };
        let ring = self.rings.lock()[RECEIVED].clone();
        let readable = !self.queue.lock().is_empty() || ring.is_some_and(|ring| ring.is_readable());
        // As on Linux, frames can be sent whatever the ring for them says.
        ev::WRITABLE | ev::WRBAND | error | if readable { ev::READABLE } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let bytes = match request {
            i::FIONREAD => self.queue.lock().front().map_or(0, |waiting| waiting.bytes.len()),
            i::TIOCOUTQ => 0,
            ioctl::SIOCGSTAMP | ioctl::SIOCGSTAMPNS => {
                return ioctl::stamp(request, self.stamp.load(Ordering::Relaxed), arg);
            }
            _ => return ioctl::interface(request, arg),
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}

impl Socket for PacketSocket {
    fn family(&self) -> u32 {
        n::AF_PACKET
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let place = address::decode(address, false)?;
        if self.fanout.lock().is_some() {
            return Err(Errno::EINVAL);
        }
        let interface = match place.interface {
            0 => None,
            index => Some(interface::by_index(index).ok_or(Errno::ENODEV)?),
        };
        let mut bound = self.bound.lock();
        let protocol = if place.protocol == 0 { bound.protocol } else { place.protocol };
        *bound = Bound { protocol, interface: place.interface };
        drop(bound);
        if protocol != 0 && interface.is_some_and(|interface| !interface.is_up()) {
            self.error.store(Errno::ENETDOWN.0.into(), Ordering::Relaxed);
            self.readers.wake_all();
        }
        Ok(())
    }

    fn connect(&self, _address: &[u8], _nonblock: bool) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local_address(&self) -> SysResult<Address> {
        let Bound { protocol, interface } = *self.bound.lock();
        Ok(address::own(protocol, interface, interface::by_index(interface).as_deref()))
    }

    fn peer_address(&self) -> SysResult<Address> {
        Err(Errno::EOPNOTSUPP)
    }

    fn shutdown(&self, _read: bool, _write: bool) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, _: Ancillary, _flags: u32) -> SysResult<usize> {
        let place = match to {
            Some(to) => address::decode(to, true)?,
            None => {
                let Bound { protocol, interface } = *self.bound.lock();
                address::Place { protocol, interface, hardware: None }
            }
        };
        self.take_error()?;
        let ring = self.rings.lock()[TO_SEND].clone();
        if let Some(ring) = ring {
            let result = self.send_ring(&ring, &place);
            poll::sent();
            return result;
        }
        // Where it goes is looked at before the frame.
        let through = interface::by_index(place.interface).ok_or(Errno::ENXIO)?;
        if !through.is_up() {
            return Err(Errno::ENETDOWN);
        }
        let len = from.remaining();
        if len > MAX_FRAME + VNET_HEADER {
            return Err(Errno::EMSGSIZE);
        }
        let bytes = from.take_all(MAX_FRAME + VNET_HEADER)?;
        let result = self.send(bytes, &place);
        poll::sent();
        result.map(|()| len)
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & !RECEIVE_FLAGS != 0 {
            return Err(Errno::EINVAL);
        }
        if flags & n::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        let peek = flags & n::MSG_PEEK != 0;
        let next = || {
            if let Err(error) = self.take_error() {
                return Some(Err(error));
            }
            let mut queue = self.queue.lock();
            if !peek {
                let waiting = queue.pop_front()?;
                self.held.fetch_sub(waiting.held(), Ordering::Relaxed);
                return Some(Ok(waiting));
            }
            let waiting = queue.front()?;
            Some(Ok(Waiting { bytes: waiting.bytes.clone(), from: waiting.from.clone(), ..*waiting }))
        };
        let until = deadline(&self.common.receive_timeout);
        let waiting = wait(&self.readers, flags & n::MSG_DONTWAIT != 0, until, next)??;
        self.stamp.store(waiting.stamp, Ordering::Relaxed);
        let mut copied = 0;
        let before = self.options.vnet();
        if before > 0 {
            if to.remaining() < before {
                return Err(Errno::EINVAL);
            }
            copied = to.put(self.vnet(&waiting).get(..before).unwrap_or_default())?;
        }
        if to.remaining() > 0 && !waiting.bytes.is_empty() {
            copied += to.put(&waiting.bytes)?;
        }
        let ancillary = Ancillary { control: self.control(&waiting), ..Ancillary::default() };
        let full = before + waiting.bytes.len();
        Ok(Received { copied, full, address: Some(waiting.from), ancillary, ..Received::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match (level, option) {
            (SOL_PACKET, option::ADD_MEMBERSHIP) => self.memberships.add(value),
            (SOL_PACKET, option::DROP_MEMBERSHIP) => self.memberships.remove(value),
            (SOL_PACKET, option::RX_RING) => self.set_ring(RECEIVED, value),
            (SOL_PACKET, option::TX_RING) => self.set_ring(TO_SEND, value),
            (SOL_PACKET, option::FANOUT) => super::fanout::join(&super::handle(self).ok_or(Errno::EINVAL)?, value),
            (SOL_PACKET, option::FANOUT_DATA) => {
                self.fanout().ok_or(Errno::EINVAL)?.set_program(value, self.filter.is_locked())
            }
            (SOL_PACKET, _) => {
                let rings = self.rings.lock().iter().any(Option::is_some);
                self.options.set(option, value, self.is_raw(), rings)
            }
            (n::SOL_SOCKET, _) => match self.filter.set(option, value).or_else(|| refused(option, value)) {
                Some(result) => result,
                None => self.common.set(level, option, value),
            },
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        match (level, option) {
            (SOL_PACKET, option::FANOUT) => Ok(self.fanout().map_or(0, |group| group.describe()).to_ne_bytes().to_vec()),
            (SOL_PACKET, option::ROLLOVER_STATS) => {
                self.fanout().filter(|group| group.rolls_over()).ok_or(Errno::EINVAL)?;
                Ok(self.rollover.counts.iter().flat_map(|count| count.load(Ordering::Relaxed).to_ne_bytes()).collect())
            }
            (SOL_PACKET, _) => self.options.get(option, -1),
            (n::SOL_SOCKET, n::SO_ERROR) => Ok(self.error.swap(0, Ordering::Relaxed).to_ne_bytes().to_vec()),
            (n::SOL_SOCKET, n::SO_PEEK_OFF) => Err(Errno::EOPNOTSUPP),
            (n::SOL_SOCKET, n::SO_PEERNAME) => Err(Errno::ENOTCONN),
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => Ok(0i32.to_ne_bytes().to_vec()),
            (n::SOL_SOCKET, _) => match self.filter.get(option) {
                Some(value) => Ok(value),
                None => self.common.get(level, option, room),
            },
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn get_option_of(&self, level: u32, option: u32, room: usize, buffer: UserAddr) -> SysResult<Vec<u8>> {
        match (level, option) {
            (SOL_PACKET, option::HDRLEN) if room < size_of::<i32>() => Err(Errno::EINVAL),
            (SOL_PACKET, option::HDRLEN) => self.options.get(option, buffer.cast::<i32>().read()?),
            _ => self.get_option(level, option, room),
        }
    }
}
