//! Sockets (socket(2)): which kind, addresses, options. Sending and receiving is
//! [`super::message`]'s.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::OpenFlags;
use inet::bpf::Instruction;
use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};
use unix::{Kind, UnixSocket};

use super::paths;
use crate::net::socket::Family;
use crate::usermem::{self, UserAddr, UserPtr};
use fd::OpenFile;
use fd::socket::Socket;
use task::current;

const SOCK_TYPE_MASK: u32 = 0xf;
/// `sizeof(struct sockaddr_storage)`.
pub const SOCKADDR_MAX: usize = 128;
/// Address families and types of sockets end here (`AF_MAX`, `SOCK_MAX`).
const FAMILIES: u32 = 46;
const TYPES: u32 = 11;
/// The longest option that is read.
const OPTION_MAX: usize = 4096;

fn type_and_flags(kind: u32) -> SysResult<(u32, OpenFlags)> {
    let flags = OpenFlags::from_bits_retain(kind & !SOCK_TYPE_MASK);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK).contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok((kind & SOCK_TYPE_MASK, flags))
}

/// The kind of `AF_UNIX` socket that type and protocol ask for.
fn unix_kind(kind: u32, protocol: u32) -> SysResult<Kind> {
    if protocol != 0 && protocol != net::AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    Kind::from_type(kind)
}

/// A new socket, open.
fn create(family: u32, kind: u32, protocol: u32, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    if family >= FAMILIES {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kind >= TYPES {
        return Err(Errno::EINVAL);
    }
    match family {
        net::AF_UNIX => Ok(UnixSocket::open_one(unix_kind(kind, protocol)?, flags)),
        net::AF_INET => crate::net::socket::create(Family::V4, kind, protocol, flags),
        net::AF_INET6 => crate::net::socket::create(Family::V6, kind, protocol, flags),
        net::AF_PACKET => crate::net::packet::create(kind, protocol, flags),
        crate::net::netlink::FAMILY => crate::net::netlink::create(kind, protocol, flags),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// socket(2).
pub fn socket(family: u32, kind: u32, protocol: u32) -> SysResult {
    let (kind, flags) = type_and_flags(kind)?;
    let file = create(family, kind, protocol, flags)?;
    current().files()?.insert(file, flags.contains(OpenFlags::CLOEXEC)).map(|fd| fd as usize)
}

/// socketpair(2).
pub fn socketpair(family: u32, kind: u32, protocol: u32, out: UserPtr<[i32; 2]>) -> SysResult {
    let (kind, flags) = type_and_flags(kind)?;
    // The answer's place is looked at before anything is made, and does not keep what was there.
    out.write([-1; 2])?;
    if family != net::AF_UNIX || kind >= TYPES {
        // What is wrong with the sockets is told first.
        create(family, kind, protocol, flags)?;
        return Err(Errno::EOPNOTSUPP);
    }
    let kind = unix_kind(kind, protocol)?;
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
pub(super) fn open_socket(fd: i32) -> SysResult<Arc<OpenFile>> {
    let file = paths::file(fd)?;
    if file.ops.as_socket().is_some() { Ok(file) } else { Err(Errno::ENOTSOCK) }
}

/// The socket of an open file.
pub(super) fn socket_of(file: &OpenFile) -> SysResult<&dyn Socket> {
    file.ops.as_socket().ok_or(Errno::ENOTSOCK)
}

/// Reads an address argument.
pub(super) fn read_address(address: UserAddr, len: u32) -> SysResult<Vec<u8>> {
    if len as usize > SOCKADDR_MAX {
        return Err(Errno::EINVAL);
    }
    usermem::read_bytes(address, len as usize)
}

/// Gives the caller an address: as much as there is room for, and its full length.
pub(super) fn write_address(bytes: &[u8], address: UserAddr, len: UserPtr<i32>) -> SysResult<()> {
    let room = len.read()?;
    if room < 0 {
        return Err(Errno::EINVAL);
    }
    usermem::copy_out(address, bytes.get(..bytes.len().min(room as usize)).unwrap_or_default())?;
    len.write(bytes.len() as i32)
}

/// bind(2).
pub fn bind(fd: i32, address: UserAddr, len: u32) -> SysResult {
    let file = open_socket(fd)?;
    let address = read_address(address, len)?;
    socket_of(&file)?.bind(&address).map(|()| 0)
}

/// listen(2).
pub fn listen(fd: i32, backlog: i32) -> SysResult {
    socket_of(&*open_socket(fd)?)?.listen(backlog).map(|()| 0)
}

/// accept(2).
pub fn accept(fd: i32, address: UserAddr, len: UserPtr<i32>) -> SysResult {
    accept4(fd, address, len, 0)
}

/// accept4(2).
pub fn accept4(fd: i32, address: UserAddr, len: UserPtr<i32>, flags: u32) -> SysResult {
    let (0, flags) = type_and_flags(flags)? else { return Err(Errno::EINVAL) };
    let file = open_socket(fd)?;
    let (accepted, peer) = socket_of(&file)?.accept(file.nonblocking(), flags)?;
    if !address.is_null() {
        write_address(&peer, address, len)?;
    }
    current().files()?.insert(accepted, flags.contains(OpenFlags::CLOEXEC)).map(|fd| fd as usize)
}

/// connect(2).
pub fn connect(fd: i32, address: UserAddr, len: u32) -> SysResult {
    let file = open_socket(fd)?;
    let address = read_address(address, len)?;
    socket_of(&file)?.connect(&address, file.nonblocking()).map(|()| 0)
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

/// getsockname(2).
pub fn getsockname(fd: i32, address: UserAddr, len: UserPtr<i32>) -> SysResult {
    let file = open_socket(fd)?;
    write_address(&socket_of(&file)?.local_address()?, address, len).map(|()| 0)
}

/// getpeername(2).
pub fn getpeername(fd: i32, address: UserAddr, len: UserPtr<i32>) -> SysResult {
    let file = open_socket(fd)?;
    write_address(&socket_of(&file)?.peer_address()?, address, len).map(|()| 0)
}

/// setsockopt(2).
pub fn setsockopt(fd: i32, level: u32, option: u32, value: UserAddr, len: i32) -> SysResult {
    let file = open_socket(fd)?;
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let bytes = usermem::read_bytes(value, len.min(OPTION_MAX))?;
    socket_of(&file)?.set_option(level, option, &bytes).map(|()| 0)
}

/// getsockopt(2).
pub fn getsockopt(fd: i32, level: u32, option: u32, value: UserAddr, len: UserPtr<i32>) -> SysResult {
    let file = open_socket(fd)?;
    let socket = socket_of(&file)?;
    let room = usize::try_from(len.read()?).map_err(|_| Errno::EINVAL)?;
    let number = match (level, option) {
        (net::SOL_SOCKET, net::SO_TYPE) => Some(socket.kind()),
        (net::SOL_SOCKET, net::SO_DOMAIN) => Some(socket.family()),
        (net::SOL_SOCKET, net::SO_PROTOCOL) => Some(socket.protocol()),
        _ => None,
    };
    let bytes = match number {
        Some(number) => number.to_ne_bytes().to_vec(),
        None => socket.get_option_of(level, option, room, value)?,
    };
    // The length that is needed is told along with the error.
    if (level, option) == (net::SOL_SOCKET, net::SO_PEERGROUPS) && bytes.len() > room {
        len.write(bytes.len() as i32)?;
        return Err(Errno::ERANGE);
    }
    // The length of a filter is told in instructions.
    if (level, option) == (net::SOL_SOCKET, net::SO_GET_FILTER) {
        let count = bytes.len() / Instruction::SIZE;
        if room != 0 && count > 0 {
            let whole = bytes.get(..count * Instruction::SIZE).filter(|_| count <= room).ok_or(Errno::EINVAL)?;
            usermem::copy_out(value, whole)?;
        }
        return len.write(count as i32).map(|()| 0);
    }
    let shown = bytes.get(..bytes.len().min(room)).unwrap_or_default();
    usermem::copy_out(value, shown)?;
    len.write(shown.len() as i32).map(|()| 0)
}
