//! The socket.

mod requests;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::socket::{Address, Ancillary, Control, PeerCredentials, Received, Socket, deadline, int, wait};
use fd::socket_filter::Filter;
use fd::{FileOps, OpenFile, capable};
use linux_raw_sys::ioctl as i;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::message::{HEADER, half, word};
use super::{FAMILY, Kind, TABLE, sockets};
use crate::socket::{Common, Family};
use crate::sockopt::general::refused;
use crate::{ioctl, machine};

/// `SOL_NETLINK`.
const SOL_NETLINK: u32 = 270;
/// `sizeof(struct sockaddr_nl)`.
const ADDRESS: usize = 12;
/// What a message counts for beyond its bytes.
const OVERHEAD: usize = 576;
const CAP_NET_ADMIN: u32 = linux_raw_sys::general::CAP_NET_ADMIN;

/// `NETLINK_*` of level `SOL_NETLINK`.
mod option {
    pub const ADD_MEMBERSHIP: u32 = 1;
    pub const DROP_MEMBERSHIP: u32 = 2;
    pub const PKTINFO: u32 = 3;
    pub const BROADCAST_ERROR: u32 = 4;
    pub const NO_ENOBUFS: u32 = 5;
    pub const LISTEN_ALL_NSID: u32 = 8;
    pub const LIST_MEMBERSHIPS: u32 = 9;
    pub const CAP_ACK: u32 = 10;
    pub const EXT_ACK: u32 = 11;
    pub const GET_STRICT_CHK: u32 = 12;
}

/// A message that waits.
#[derive(Clone)]
struct Waiting {
    bytes: Vec<u8>,
    /// The port of who sent it, 0 for the kernel, and the group that it was sent to.
    from: u32,
    group: u32,
    sender: PeerCredentials,
}

impl Waiting {
    fn held(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// Of whom the kernel's messages are.
const KERNEL: PeerCredentials = PeerCredentials { pid: 0, uid: 0, gid: 0 };

/// A socket.
pub struct NetlinkSocket {
    common: Common,
    protocol: u32,
    family: Kind,
    kind: u32,
    /// The port number: 0 while it has none.
    port: AtomicU32,
    /// Whom connect(2) has named: port and groups.
    peer: SpinLock<(u32, u32)>,
    /// Groups, a bit for each, from 1.
    groups: AtomicU64,
    /// Messages that wait to be read. A leaf lock.
    replies: SpinLock<VecDeque<Waiting>>,
    held: AtomicUsize,
    /// What is left of a dump for which there was no room yet. A leaf lock.
    rest: SpinLock<VecDeque<Vec<u8>>>,
    /// Messages that were lost, and whether the next call is to tell.
    drops: AtomicU32,
    error: AtomicI32,
    /// Options that are on, bit by bit.
    options: AtomicU32,
    pass_credentials: AtomicBool,
    /// `SO_PASSSEC`: nobody here has a label to pass.
    pass_security: AtomicBool,
    filter: Filter,
    readers: PollQueue,
}

fn encode(port: u32, groups: u32) -> Address {
    let mut out = (FAMILY as u16).to_ne_bytes().to_vec();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&port.to_ne_bytes());
    out.extend_from_slice(&groups.to_ne_bytes());
    out
}

/// Port and groups. `EINVAL`.
fn decode(bytes: &[u8]) -> SysResult<(u32, u32)> {
    if bytes.len() < ADDRESS || u32::from(half(bytes, 0)) != FAMILY {
        return Err(Errno::EINVAL);
    }
    Ok((word(bytes, 4), word(bytes, 8)))
}

impl NetlinkSocket {
    /// A socket without a port.
    pub(super) fn new(kind: u32, protocol: u32, family: Kind) -> NetlinkSocket {
        NetlinkSocket {
            common: Common::new(Family::V4, false),
            protocol,
            family,
            kind,
            port: AtomicU32::new(0),
            peer: SpinLock::new((0, 0)),
            groups: AtomicU64::new(0),
            replies: SpinLock::new(VecDeque::new()),
            held: AtomicUsize::new(0),
            rest: SpinLock::new(VecDeque::new()),
            drops: AtomicU32::new(0),
            error: AtomicI32::new(0),
            options: AtomicU32::new(0),
            pass_credentials: AtomicBool::new(false),
            pass_security: AtomicBool::new(false),
            filter: Filter::default(),
            readers: poll_queue(),
        }
    }

    /// Whether it is of this family.
    pub(super) fn protocol_is(&self, protocol: u32) -> bool {
        self.protocol == protocol
    }

    /// Whether it has joined a group. As on Linux, who has no port yet is taken for the kernel,
    /// which hears nothing of its own.
    pub(super) fn listens_to(&self, group: u32) -> bool {
        if self.port.load(Ordering::Acquire) == 0 {
            return false;
        }
        group.checked_sub(1).is_some_and(|bit| self.groups.load(Ordering::Relaxed) >> bit & 1 != 0)
    }

    /// See [`super::list`].
    pub(super) fn line(&self) -> (u32, u32, u32, usize, u32) {
        let groups = self.groups.load(Ordering::Relaxed) as u32;
        let (held, drops) = (self.held.load(Ordering::Relaxed), self.drops.load(Ordering::Relaxed));
        (self.protocol, self.port.load(Ordering::Relaxed), groups, held, drops)
    }

    fn is(&self, option: u32) -> bool {
        self.options.load(Ordering::Relaxed) >> option & 1 != 0
    }

    /// Takes a port number that nobody of the family has. `EADDRINUSE`.
    fn take_port(&self, port: u32) -> SysResult<()> {
        let table = TABLE.lock();
        let mut others = table.iter().filter_map(alloc::sync::Weak::upgrade);
        // The last reference to one must not go while the table is locked; nor may ours.
        let mut kept = Vec::new();
        let taken = others.any(|other| {
            let same = other.protocol == self.protocol && other.port.load(Ordering::Acquire) == port;
            kept.push(other);
            same
        });
        if !taken {
            self.port.store(port, Ordering::Release);
        }
        drop(table);
        if taken { Err(Errno::EADDRINUSE) } else { Ok(()) }
    }

    /// The port number, chosen now if there is none: the process id, unless another socket has
    /// that.
    fn own_port(&self) -> u32 {
        let mut chosen = caller::pid() as u32;
        loop {
            match self.port.load(Ordering::Acquire) {
                0 => {}
                port => return port,
            }
            let _ = self.take_port(chosen);
            chosen = (machine::random() as u32 | 0x8000_0000).min(-4097i32 as u32);
        }
    }

    /// A message has come. One for which there is no room is lost, and the next call says so.
    pub(super) fn hear(&self, bytes: Vec<u8>, from: u32, group: u32) {
        self.put(Waiting { bytes, from, group, sender: KERNEL });
    }

    fn put(&self, waiting: Waiting) {
        let packet = || inet::bpf::Packet {
            view: inet::bpf::View { head: &waiting.bytes, ..inet::bpf::View::default() },
            ..inet::bpf::Packet::default()
        };
        if self.filter.wanted(packet) == 0 {
            return;
        }
        if self.held.load(Ordering::Relaxed) >= self.common.buffers().0 as usize {
            self.drops.fetch_add(1, Ordering::Relaxed);
            if !self.is(option::NO_ENOBUFS) {
                self.error.store(Errno::ENOBUFS.0.into(), Ordering::Relaxed);
            }
        } else {
            self.held.fetch_add(waiting.held(), Ordering::Relaxed);
            self.replies.lock().push_back(waiting);
        }
        self.readers.wake(1, ev::READABLE);
    }

    /// Appends a message of the kernel's that answers no request (mq_notify(2)).
    pub fn deliver(&self, message: Vec<u8>) {
        self.hear(message, 0, 0);
    }

    /// Sends to other sockets of the family. `EPERM`, `ECONNREFUSED`.
    fn send_to_others(&self, bytes: &[u8], port: u32, group: u32) -> SysResult<()> {
        let waiting = |group| {
            let sender = PeerCredentials::of_sender();
            Waiting { bytes: bytes.to_vec(), from: self.own_port(), group, sender }
        };
        if group != 0 {
            let listens = |other: &NetlinkSocket| other.protocol == self.protocol && other.listens_to(group);
            for other in sockets().iter().filter(|other| listens(other) && !core::ptr::eq(&***other, self)) {
                other.put(waiting(group));
            }
        }
        if port != 0 {
            let has = |other: &NetlinkSocket| other.protocol == self.protocol && other.port.load(Ordering::Acquire) == port;
            let all = sockets();
            all.iter().find(|other| has(other)).ok_or(Errno::ECONNREFUSED)?.put(waiting(0));
        }
        Ok(())
    }

    fn join(&self, groups: u64, on: bool) -> SysResult<()> {
        if !self.family.open_groups && !capable(CAP_NET_ADMIN) {
            return Err(Errno::EPERM);
        }
        if on {
            self.groups.fetch_or(groups, Ordering::Relaxed);
        } else {
            self.groups.fetch_and(!groups, Ordering::Relaxed);
        }
        Ok(())
    }

    fn may_send(&self, to: (u32, u32)) -> SysResult<()> {
        if to != (0, 0) && !self.family.open_send && !capable(CAP_NET_ADMIN) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    fn take_error(&self) -> SysResult<()> {
        match self.error.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            error => Err(Errno(error as u16)),
        }
    }
}

impl Drop for NetlinkSocket {
    fn drop(&mut self) {
        let own: *const NetlinkSocket = self;
        TABLE.lock().retain(|other| !core::ptr::eq(other.as_ptr(), own));
    }
}

impl FileOps for NetlinkSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.receive_message(to, file.message_flags()).map(|received| received.copied)
    }

    fn write(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        self.send_message(from, None, Ancillary::default(), 0)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        let error = if self.error.load(Ordering::Relaxed) != 0 { ev::ERR } else { 0 };
        ev::WRITABLE | ev::WRBAND | error | if self.replies.lock().is_empty() { 0 } else { ev::READABLE }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        // The protocol itself has none, not even FIONREAD.
        match request {
            i::FIONREAD | i::TIOCOUTQ => Err(Errno::ENOTTY),
            _ => ioctl::interface(request, arg),
        }
    }
}

impl Socket for NetlinkSocket {
    fn family(&self) -> u32 {
        FAMILY
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn protocol(&self) -> u32 {
        self.protocol
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        let (port, groups) = decode(address)?;
        if groups != 0 && !self.family.open_groups && !capable(CAP_NET_ADMIN) {
            return Err(Errno::EPERM);
        }
        match (self.port.load(Ordering::Acquire), port) {
            (0, 0) => drop(self.own_port()),
            (0, port) => self.take_port(port)?,
            (own, port) if own != port => return Err(Errno::EINVAL),
            _ => {}
        }
        let known = u64::MAX >> (64 - self.family.groups);
        let upper = self.groups.load(Ordering::Relaxed) & !u64::from(u32::MAX);
        self.groups.store(upper | u64::from(groups) & known, Ordering::Relaxed);
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        if address.len() >= 2 && half(address, 0) == 0 {
            *self.peer.lock() = (0, 0);
            return Ok(());
        }
        let to = decode(address)?;
        self.may_send(to)?;
        self.own_port();
        *self.peer.lock() = to;
        Ok(())
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(encode(self.port.load(Ordering::Acquire), self.groups.load(Ordering::Relaxed) as u32))
    }

    fn peer_address(&self) -> SysResult<Address> {
        let (port, groups) = *self.peer.lock();
        Ok(encode(port, groups))
    }

    fn shutdown(&self, _read: bool, _write: bool) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send_message(&self, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if from.remaining() == 0 {
            return Err(Errno::ENODATA);
        }
        // Files go by AF_UNIX alone.
        if !with.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        let (port, groups) = match to.filter(|to| !to.is_empty()) {
            Some(to) => decode(to)?,
            None => *self.peer.lock(),
        };
        self.may_send((port, groups))?;
        self.own_port();
        let bytes = from.take_all((self.common.buffers().1 as usize).saturating_sub(32))?;
        let group = if groups == 0 { 0 } else { groups.trailing_zeros() + 1 };
        self.send_to_others(&bytes, port, group)?;
        if port == 0 && group == 0 && !self.family.listens {
            return Err(Errno::ECONNREFUSED);
        }
        let mut rest = if port == 0 && self.family.listens { bytes.as_slice() } else { &[] };
        while rest.len() >= HEADER {
            let len = word(rest, 0) as usize;
            let Some(message) = rest.get(..len).filter(|message| message.len() >= HEADER) else { break };
            self.handle(message);
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        crate::poll::sent();
        Ok(bytes.len())
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let peek = flags & n::MSG_PEEK != 0;
        let next = || {
            if let Err(error) = self.take_error() {
                return Some(Err(error));
            }
            let mut replies = self.replies.lock();
            if peek {
                return replies.front().cloned().map(Ok);
            }
            let waiting = replies.pop_front()?;
            self.held.fetch_sub(waiting.held(), Ordering::Relaxed);
            Some(Ok(waiting))
        };
        // There is room now for more of a dump.
        let next = || next().inspect(|_| self.go_on(!peek));
        let until = deadline(&self.common.receive_timeout);
        let Waiting { bytes, from, group, sender } = wait(&self.readers, flags & n::MSG_DONTWAIT != 0, until, next)??;
        let copied = if to.remaining() == 0 { 0 } else { to.put(&bytes)? };
        let mask = group.checked_sub(1).map_or(0, |bit| 1u32.checked_shl(bit).unwrap_or(0));
        let mut ancillary = Ancillary::default();
        if self.pass_credentials.load(Ordering::Relaxed) {
            ancillary.credentials = Some(sender);
        }
        if self.is(option::PKTINFO) {
            ancillary.control.push(Control {
                level: SOL_NETLINK,
                kind: option::PKTINFO,
                data: group.to_ne_bytes().to_vec(),
            });
        }
        let address = Some(encode(from, mask));
        Ok(Received { copied, full: bytes.len(), address, ancillary, ..Received::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match (level, option) {
            (n::SOL_SOCKET, n::SO_PASSCRED) => self.pass_credentials.store(int(value)? != 0, Ordering::Relaxed),
            (n::SOL_SOCKET, n::SO_PASSSEC) => self.pass_security.store(int(value)? != 0, Ordering::Relaxed),
            (n::SOL_SOCKET, _) => {
                let others = || self.common.set(level, option, value);
                return self.filter.set(option, value).or_else(|| refused(option, value)).unwrap_or_else(others);
            }
            (SOL_NETLINK, option::ADD_MEMBERSHIP | option::DROP_MEMBERSHIP) => {
                let group = int(value).unwrap_or(0) as u32;
                if group == 0 || group > self.family.groups {
                    return Err(Errno::EINVAL);
                }
                self.join(1 << (group - 1), option == option::ADD_MEMBERSHIP)?;
            }
            (SOL_NETLINK, option::LISTEN_ALL_NSID) => {
                /// `CAP_NET_BROADCAST`.
                const CAP_NET_BROADCAST: u32 = 11;
                // There is one namespace to listen to.
                if !capable(CAP_NET_BROADCAST) {
                    return Err(Errno::EPERM);
                }
            }
            (
                SOL_NETLINK,
                option::PKTINFO
                | option::BROADCAST_ERROR
                | option::NO_ENOBUFS
                | option::CAP_ACK
                | option::EXT_ACK
                | option::GET_STRICT_CHK,
            ) => {
                if int(value).unwrap_or(0) != 0 {
                    self.options.fetch_or(1 << option, Ordering::Relaxed);
                } else {
                    self.options.fetch_and(!(1 << option), Ordering::Relaxed);
                }
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, room: usize) -> SysResult<Vec<u8>> {
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => self.error.swap(0, Ordering::Relaxed),
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => 0,
            (n::SOL_SOCKET, n::SO_PASSCRED) => self.pass_credentials.load(Ordering::Relaxed).into(),
            (n::SOL_SOCKET, n::SO_PASSSEC) => self.pass_security.load(Ordering::Relaxed).into(),
            (n::SOL_SOCKET, n::SO_PEEK_OFF) => return Err(Errno::EOPNOTSUPP),
            (n::SOL_SOCKET, n::SO_PEERNAME) => {
                let name = self.peer_address()?;
                return if name.len() < room { Err(Errno::EINVAL) } else { Ok(name) };
            }
            (n::SOL_SOCKET, _) => {
                return self.filter.get(option).map_or_else(|| self.common.get(level, option, room), Ok);
            }
            (SOL_NETLINK, option::LIST_MEMBERSHIPS) => {
                let words = self.family.groups.div_ceil(32) as usize * 4;
                return Ok(self.groups.load(Ordering::Relaxed).to_ne_bytes().get(..words).unwrap_or_default().to_vec());
            }
            (
                SOL_NETLINK,
                option::PKTINFO
                | option::BROADCAST_ERROR
                | option::NO_ENOBUFS
                | option::CAP_ACK
                | option::EXT_ACK
                | option::GET_STRICT_CHK,
            ) if room < 4 => return Err(Errno::EINVAL),
            (
                SOL_NETLINK,
                option::PKTINFO
                | option::BROADCAST_ERROR
                | option::NO_ENOBUFS
                | option::CAP_ACK
                | option::EXT_ACK
                | option::GET_STRICT_CHK,
            ) => self.is(option).into(),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
