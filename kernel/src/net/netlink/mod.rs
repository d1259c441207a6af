//! Netlink sockets of `NETLINK_ROUTE` (netlink(7), rtnetlink(7)): interfaces, addresses and routes can be read, as getifaddrs(3) and
//! ip(8) do; nothing can be changed this way.

mod dump;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fs::OpenFlags;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::files::socket::{Address, Ancillary, Received, Socket, deadline, int, open, timeval, timeval_bytes, wait};
use crate::files::{FileOps, OpenFile};
use crate::sync::SpinLock;
use crate::task::current;

/// `AF_NETLINK`, `NETLINK_ROUTE`, `SOL_NETLINK`.
pub const FAMILY: u32 = 16;
const ROUTE: u32 = 0;
const SOL_NETLINK: u32 = 270;
/// `sizeof(struct sockaddr_nl)`.
const ADDRESS: usize = 12;
/// `sizeof(struct nlmsghdr)`.
const HEADER: usize = 16;
/// The longest request.
const REQUEST_MAX: usize = 65536;
/// Replies are packed into messages of this size.
const REPLY: usize = 16384;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_MULTI: u16 = 2;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;

/// A request's header.
#[derive(Clone, Copy)]
struct Request {
    kind: u16,
    flags: u16,
    serial: u32,
    port: u32,
}

/// A socket.
pub struct NetlinkSocket {
    /// The port number: 0 while it has none.
    port: AtomicU32,
    groups: AtomicU32,
    /// Replies that wait to be read. A leaf lock.
    replies: SpinLock<VecDeque<Vec<u8>>>,
    readers: PollQueue,
    receive_timeout: AtomicU64,
    kind: u32,
}

/// socket(2) for `AF_NETLINK`.
pub fn create(kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    if kind != n::SOCK_RAW && kind != n::SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if protocol != ROUTE {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let socket = NetlinkSocket {
        port: AtomicU32::new(0),
        groups: AtomicU32::new(0),
        replies: SpinLock::new(VecDeque::new()),
        readers: poll_queue(),
        receive_timeout: AtomicU64::new(0),
        kind,
    };
    Ok(open(Arc::new(socket), flags))
}

fn address(port: u32, groups: u32) -> Address {
    let mut out = (FAMILY as u16).to_ne_bytes().to_vec();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&port.to_ne_bytes());
    out.extend_from_slice(&groups.to_ne_bytes());
    out
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

impl NetlinkSocket {
    /// The port number, chosen now if there is none: the process id, unless another socket of the process has that.
    fn own_port(&self) -> u32 {
        static SECOND: AtomicU32 = AtomicU32::new(0);
        let pid = current().process.pid as u32;
        let others = SECOND.fetch_add(1, Ordering::Relaxed);
        let chosen = if others == 0 { pid } else { 0xffff_f000u32.wrapping_sub(others) };
        match self.port.compare_exchange(0, chosen, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => chosen,
            Err(port) => port,
        }
    }

    /// Appends a message to the replies: to the last one, where it is of the same dump and has room.
    fn reply(&self, request: &Request, kind: u16, multi: bool, body: &[u8]) {
        let mut message = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(if multi { NLM_F_MULTI } else { 0 }).to_ne_bytes());
        message.extend_from_slice(&request.serial.to_ne_bytes());
        message.extend_from_slice(&request.port.to_ne_bytes());
        message.extend_from_slice(body);
        message.resize(message.len().next_multiple_of(4), 0);
        let mut replies = self.replies.lock();
        match replies.back_mut() {
            // The end of a dump comes apart, as on Linux.
            Some(last) if multi && kind != NLMSG_DONE && last.len() + message.len() <= REPLY => {
                last.extend_from_slice(&message)
            }
            _ => replies.push_back(message),
        }
    }

    /// Appends a message of the kernel's that answers no request (mq_notify(2)).
    pub fn deliver(&self, message: Vec<u8>) {
        self.replies.lock().push_back(message);
        self.readers.wake(1, ev::READABLE);
    }

    fn error(&self, request: &Request, original: &[u8], errno: Option<Errno>) {
        let mut body = (-errno.map_or(0, |errno| i32::from(errno.0))).to_ne_bytes().to_vec();
        let quoted = if errno.is_some() { original } else { original.get(..HEADER).unwrap_or(original) };
        body.extend_from_slice(quoted);
        self.reply(request, NLMSG_ERROR, false, &body);
    }

    fn handle(&self, message: &[u8]) {
        let request =
            Request { kind: half(message, 4), flags: half(message, 6), serial: word(message, 8), port: self.own_port() };
        if request.flags & NLM_F_REQUEST == 0 || request.kind < 16 {
            return;
        }
        let body = message.get(HEADER..).unwrap_or_default();
        let all = request.flags & NLM_F_DUMP != 0;
        match dump::answer(request.kind, all, body) {
            Ok(answers) => {
                for (kind, body) in answers {
                    self.reply(&request, kind, all, &body);
                }
                if all {
                    self.reply(&request, NLMSG_DONE, true, &0i32.to_ne_bytes());
                } else if request.flags & NLM_F_ACK != 0 {
                    self.error(&request, message, None);
                }
            }
            Err(errno) => self.error(&request, message, Some(errno)),
        }
        self.readers.wake(1, ev::READABLE);
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
        ev::WRITABLE | if self.replies.lock().is_empty() { 0 } else { ev::READABLE }
    }
}

impl Socket for NetlinkSocket {
    fn family(&self) -> u32 {
        FAMILY
    }

    fn kind(&self) -> u32 {
        self.kind
    }

    fn bind(&self, address: &[u8]) -> SysResult<()> {
        if address.len() < ADDRESS || u32::from(half(address, 0)) != FAMILY {
            return Err(Errno::EINVAL);
        }
        match word(address, 4) {
            0 => {
                self.own_port();
            }
            port => self.port.store(port, Ordering::Release),
        }
        self.groups.store(word(address, 8), Ordering::Relaxed);
        Ok(())
    }

    fn connect(&self, address: &[u8], _nonblock: bool) -> SysResult<()> {
        // The kernel is the only one to talk to.
        if address.len() < ADDRESS { Err(Errno::EINVAL) } else { Ok(()) }
    }

    fn local_address(&self) -> SysResult<Address> {
        Ok(address(self.port.load(Ordering::Acquire), self.groups.load(Ordering::Relaxed)))
    }

    fn peer_address(&self) -> SysResult<Address> {
        Ok(address(0, 0))
    }

    fn shutdown(&self, _read: bool, _write: bool) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send_message(&self, from: &mut Source<'_>, _to: Option<&[u8]>, _: Ancillary, flags: u32) -> SysResult<usize> {
        if flags & n::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let bytes = from.take_all(REQUEST_MAX)?;
        let mut rest = bytes.as_slice();
        while rest.len() >= HEADER {
            let len = word(rest, 0) as usize;
            let Some(message) = rest.get(..len).filter(|message| message.len() >= HEADER) else { break };
            self.handle(message);
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(bytes.len())
    }

    fn receive_message(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        let peek = flags & n::MSG_PEEK != 0;
        let next = || {
            let mut replies = self.replies.lock();
            if peek { replies.front().cloned() } else { replies.pop_front() }
        };
        let message = wait(&self.readers, flags & n::MSG_DONTWAIT != 0, deadline(&self.receive_timeout), next)?;
        let copied = if to.remaining() == 0 { 0 } else { to.put(&message)? };
        Ok(Received { copied, full: message.len(), address: Some(address(0, 0)), ..Received::default() })
    }

    fn set_option(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match (level, option) {
            (n::SOL_SOCKET, n::SO_RCVTIMEO) => self.receive_timeout.store(timeval(value)?, Ordering::Relaxed),
            // Buffers are as large as they need to be, and nothing is sent to groups.
            (n::SOL_SOCKET, n::SO_RCVBUF | n::SO_SNDBUF | n::SO_RCVBUFFORCE | n::SO_SNDBUFFORCE) => {
                int(value)?;
            }
            // Extended acknowledgements and strict checks: what is asked for is read the same way.
            (SOL_NETLINK, 1..=12) => {
                int(value)?;
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn get_option(&self, level: u32, option: u32, _room: usize) -> SysResult<Vec<u8>> {
        match (level, option) {
            (n::SOL_SOCKET, n::SO_RCVTIMEO) => Ok(timeval_bytes(self.receive_timeout.load(Ordering::Relaxed))),
            (n::SOL_SOCKET, n::SO_ERROR) => Ok(0i32.to_ne_bytes().to_vec()),
            (n::SOL_SOCKET, n::SO_RCVBUF | n::SO_SNDBUF) => Ok(212_992i32.to_ne_bytes().to_vec()),
            _ => Err(Errno::ENOPROTOOPT),
        }
    }
}
