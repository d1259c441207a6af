//! Sockets (socket(2), unix(7)): `AF_UNIX` pairs. Other families, and sockets with names, are for the network to come.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use fs::{LookupFlags, OpenFlags};
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::paths;
use crate::files::io::{Segments, Sink, Source};
use crate::files::unix::{Kind, UnixSocket};
use crate::files::{OpenFile, events};
use crate::task::current;
use crate::usermem::{self, UserAddr, UserPtr};

const SOCK_TYPE_MASK: u32 = 0xf;
const MSG_ERRORS: u32 = net::MSG_OOB;

fn type_and_flags(kind: u32) -> SysResult<(u32, OpenFlags)> {
    let flags = OpenFlags::from_bits_retain(kind & !SOCK_TYPE_MASK);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok((kind & SOCK_TYPE_MASK, flags))
}

/// The kind of socket that a family, type and protocol ask for. Families without a driver give `EAFNOSUPPORT`.
fn unix_kind(family: u32, kind: u32, protocol: u32) -> SysResult<Kind> {
    if family > AF_MAX || family != net::AF_UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if protocol != 0 && protocol != net::AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Kind::from_type(kind)
}

/// One more than the highest family of Linux 6.1.
const AF_MAX: u32 = 46;

/// socket(2).
pub fn socket(family: u32, kind: u32, protocol: u32) -> SysResult {
    let (kind, flags) = type_and_flags(kind)?;
    let kind = unix_kind(family, kind, protocol)?;
    let file = UnixSocket::open_one(kind, flags);
    current().files()?.insert(file, flags.contains(OpenFlags::CLOEXEC)).map(|fd| fd as usize)
}

/// socketpair(2).
pub fn socketpair(family: u32, kind: u32, protocol: u32, out: UserPtr<[i32; 2]>) -> SysResult {
    let (kind, flags) = type_and_flags(kind)?;
    let kind = unix_kind(family, kind, protocol)?;
    let files = current().files()?;
    let fds = files.insert_pair(UnixSocket::open_pair(kind, flags), flags.contains(OpenFlags::CLOEXEC))?;
    if let Err(errno) = out.write(fds) {
        for fd in fds {
            let _ = files.close(fd);
        }
        return Err(errno);
    }
    Ok(0)
}

/// The open file of a socket. `EBADF`, `ENOTSOCK`.
fn open_socket(fd: i32) -> SysResult<Arc<OpenFile>> {
    let file = paths::file(fd)?;
    if file.ops_as::<UnixSocket>().is_some() { Ok(file) } else { Err(Errno::ENOTSOCK) }
}

fn socket_of(file: &OpenFile) -> SysResult<&UnixSocket> {
    file.ops_as::<UnixSocket>().ok_or(Errno::ENOTSOCK)
}

/// `sizeof(struct sockaddr_un)`.
const SOCKADDR_UN_SIZE: usize = 110;

/// connect(2). Nothing listens yet, so the answer tells what stands in the way.
pub fn connect(fd: i32, address: UserAddr, len: u32) -> SysResult {
    let file = open_socket(fd)?;
    if len as usize > SOCKADDR_UN_SIZE || (len as usize) < 2 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; SOCKADDR_UN_SIZE];
    let bytes = bytes.get_mut(..len as usize).ok_or(Errno::EINVAL)?;
    usermem::copy_in(bytes, address)?;
    if u32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) != net::AF_UNIX {
        return Err(Errno::EINVAL);
    }
    if socket_of(&file)?.is_connected() {
        return Err(Errno::EISCONN);
    }
    let path = bytes.get(2..).unwrap_or_default();
    if path.is_empty() {
        return Err(Errno::EINVAL);
    }
    if path.first() == Some(&0) {
        return Err(Errno::ECONNREFUSED);
    }
    let text = path.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    let found = paths::find(&paths::Name { base: None, text }, LookupFlags::FOLLOW)?;
    found.inode()?;
    Err(Errno::ECONNREFUSED)
}

/// shutdown(2).
pub fn shutdown(fd: i32, how: u32) -> SysResult {
    let file = open_socket(fd)?;
    let (read, write) = match how {
        net::SHUT_RD => (true, false),
        net::SHUT_WR => (false, true),
        net::SHUT_RDWR => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    socket_of(&file)?.shutdown(read, write).map(|()| 0)
}

fn send(file: &OpenFile, from: &mut Source<'_>, flags: u32) -> SysResult {
    if flags & MSG_ERRORS != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let socket = socket_of(file)?;
    let result = socket.send(from, file.nonblocking() || flags & net::MSG_DONTWAIT != 0);
    if result == Err(Errno::EPIPE) && flags & net::MSG_NOSIGNAL == 0 && socket.kind != Kind::Datagram {
        events::broken_pipe();
    }
    result
}

fn receive(file: &OpenFile, to: &mut Sink<'_>, flags: u32) -> SysResult<crate::files::unix::Received> {
    if flags & MSG_ERRORS != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let socket = socket_of(file)?;
    let nonblock = file.nonblocking() || flags & net::MSG_DONTWAIT != 0;
    let peek = flags & net::MSG_PEEK != 0;
    let mut received = socket.receive(to, nonblock, peek)?;
    let all = flags & net::MSG_WAITALL != 0 && !peek && socket.kind == Kind::Stream;
    while all && to.remaining() > 0 {
        match socket.receive(to, nonblock, false) {
            Ok(more) if more.copied > 0 => received.copied += more.copied,
            _ => break,
        }
    }
    Ok(received)
}

/// sendto(2). A connected socket takes no address.
pub fn sendto(fd: i32, buffer: UserAddr, len: usize, flags: u32, address: UserAddr, _address_len: u32) -> SysResult {
    let file = open_socket(fd)?;
    if !address.is_null() {
        return Err(destination_error(socket_of(&file)?));
    }
    send(&file, &mut Source::user(buffer, len)?, flags)
}

fn destination_error(socket: &UnixSocket) -> Errno {
    match (socket.kind, socket.is_connected()) {
        (Kind::Datagram, _) => Errno::ECONNREFUSED,
        (_, true) => Errno::EISCONN,
        (_, false) => Errno::EOPNOTSUPP,
    }
}

/// recvfrom(2). The peers of a pair have no names.
pub fn recvfrom(
    fd: i32,
    buffer: UserAddr,
    len: usize,
    flags: u32,
    address: UserAddr,
    address_len: UserPtr<i32>,
) -> SysResult {
    let file = open_socket(fd)?;
    let received = receive(&file, &mut Sink::user(buffer, len)?, flags)?;
    if !address.is_null() {
        address_len.write(0)?;
    }
    Ok(if flags & net::MSG_TRUNC != 0 { received.full } else { received.copied })
}

/// `struct msghdr` as words: name, length, vector, its count, control, its length, flags.
type MsgHdr = [u64; 7];

/// sendmsg(2). Control messages come with named sockets.
pub fn sendmsg(fd: i32, message: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let file = open_socket(fd)?;
    let [name, _, vector, count, _, control_len, _] = message.read()?;
    if control_len != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if name != 0 {
        return Err(destination_error(socket_of(&file)?));
    }
    if count > 1024 {
        return Err(Errno::EMSGSIZE);
    }
    send(&file, &mut Source::User(Segments::from_iovec(UserAddr(vector), count as usize)?), flags)
}

/// recvmsg(2).
pub fn recvmsg(fd: i32, message: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let file = open_socket(fd)?;
    let mut header = message.read()?;
    let (vector, count) = (header[2], header[3]);
    if count > 1024 {
        return Err(Errno::EMSGSIZE);
    }
    let mut sink = Sink::User(Segments::from_iovec(UserAddr(vector), count as usize)?);
    let received = receive(&file, &mut sink, flags)?;
    let result_flags = if received.full > received.copied { net::MSG_TRUNC } else { 0 };
    // `msg_namelen` is an int: its upper half is padding that the caller keeps.
    header[1] &= !u64::from(u32::MAX);
    header[5] = 0;
    header[6] = header[6] & !u64::from(u32::MAX) | u64::from(result_flags);
    message.write(header)?;
    Ok(if flags & net::MSG_TRUNC != 0 { received.full } else { received.copied })
}

/// An address without a name: the family alone.
fn write_unnamed(address: UserAddr, len: UserPtr<i32>) -> SysResult {
    let room = len.read()?;
    if room < 0 {
        return Err(Errno::EINVAL);
    }
    let family = (net::AF_UNIX as u16).to_ne_bytes();
    usermem::copy_out(address, &family[..family.len().min(room as usize)])?;
    len.write(family.len() as i32)?;
    Ok(0)
}

/// getsockname(2).
pub fn getsockname(fd: i32, address: UserAddr, len: UserPtr<i32>) -> SysResult {
    open_socket(fd)?;
    write_unnamed(address, len)
}

/// getpeername(2).
pub fn getpeername(fd: i32, address: UserAddr, len: UserPtr<i32>) -> SysResult {
    let file = open_socket(fd)?;
    if !socket_of(&file)?.is_connected() {
        return Err(Errno::ENOTCONN);
    }
    write_unnamed(address, len)
}

/// `struct timeval` to nanoseconds.
fn timeval_ns([seconds, microseconds]: [i64; 2]) -> SysResult<u64> {
    if !(0..1_000_000).contains(&microseconds) {
        return Err(Errno::EDOM);
    }
    Ok((seconds.max(0) as u64).saturating_mul(1_000_000_000).saturating_add(microseconds as u64 * 1000))
}

/// setsockopt(2), level `SOL_SOCKET`.
pub fn setsockopt(fd: i32, level: u32, option: u32, value: UserAddr, len: i32) -> SysResult {
    /// Least buffer that Linux grants (`SOCK_MIN_SNDBUF`), and the most without privilege (`wmem_max`), both doubled.
    const BUFFER: core::ops::RangeInclusive<u32> = 4608..=425_984;
    let file = open_socket(fd)?;
    let socket = socket_of(&file)?;
    if level != net::SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    if matches!(option, net::SO_RCVTIMEO | net::SO_SNDTIMEO) {
        if (len as usize) < 16 {
            return Err(Errno::EINVAL);
        }
        let ns = timeval_ns(value.cast::<[i64; 2]>().read()?)?;
        let slot = if option == net::SO_RCVTIMEO { &socket.receive_timeout } else { &socket.send_timeout };
        slot.store(ns, Ordering::Relaxed);
        return Ok(0);
    }
    if (len as usize) < size_of::<i32>() {
        return Err(Errno::EINVAL);
    }
    let number = value.cast::<i32>().read()?;
    match option {
        net::SO_SNDBUF | net::SO_RCVBUF => {
            let granted = (number.max(0) as u32).saturating_mul(2).clamp(*BUFFER.start(), *BUFFER.end());
            let slot = if option == net::SO_SNDBUF { &socket.send_buffer } else { &socket.receive_buffer };
            slot.store(granted, Ordering::Relaxed);
        }
        net::SO_PASSCRED => socket.pass_credentials.store(number != 0, Ordering::Relaxed),
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(0)
}

/// getsockopt(2), level `SOL_SOCKET`.
pub fn getsockopt(fd: i32, level: u32, option: u32, value: UserAddr, len: UserPtr<i32>) -> SysResult {
    let file = open_socket(fd)?;
    let socket = socket_of(&file)?;
    if level != net::SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let room = len.read()?;
    if room < 0 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0u8; 16];
    let size = match option {
        net::SO_PEERCRED => {
            let (pid, uid, gid) = socket.peer().map_or((0, u32::MAX, u32::MAX), |peer| (peer.pid, peer.uid, peer.gid));
            bytes[..4].copy_from_slice(&pid.to_ne_bytes());
            bytes[4..8].copy_from_slice(&uid.to_ne_bytes());
            bytes[8..12].copy_from_slice(&gid.to_ne_bytes());
            12
        }
        net::SO_RCVTIMEO | net::SO_SNDTIMEO => {
            let slot = if option == net::SO_RCVTIMEO { &socket.receive_timeout } else { &socket.send_timeout };
            let ns = slot.load(Ordering::Relaxed);
            bytes[..8].copy_from_slice(&(ns / 1_000_000_000).to_ne_bytes());
            bytes[8..].copy_from_slice(&(ns % 1_000_000_000 / 1000).to_ne_bytes());
            16
        }
        _ => {
            let number = match option {
                net::SO_TYPE => socket.kind.number(),
                net::SO_DOMAIN => net::AF_UNIX,
                net::SO_PROTOCOL | net::SO_ERROR | net::SO_ACCEPTCONN => 0,
                net::SO_SNDBUF => socket.send_buffer.load(Ordering::Relaxed),
                net::SO_RCVBUF => socket.receive_buffer.load(Ordering::Relaxed),
                net::SO_PASSCRED => u32::from(socket.pass_credentials.load(Ordering::Relaxed)),
                _ => return Err(Errno::ENOPROTOOPT),
            };
            bytes[..4].copy_from_slice(&number.to_ne_bytes());
            4
        }
    };
    let shown = size.min(room as usize);
    usermem::copy_out(value, bytes.get(..shown).unwrap_or_default())?;
    len.write(shown as i32)?;
    Ok(0)
}
