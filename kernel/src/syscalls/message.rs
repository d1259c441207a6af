//! Sending and receiving on sockets: send(2), recv(2) and their kin, with control messages
//! (cmsg(3)).

use alloc::vec::Vec;

use linux_raw_sys::net;
use syscall_shim::{Errno, SysResult};

use super::socket::{open_socket, read_address, socket_of, write_address};
use crate::files::pidfd;
use crate::usermem::{self, UserAddr, UserPtr};
use fd::io::{Segments, Sink, Source};
use fd::socket::{Ancillary, Control, PeerCredentials, Received};
use fd::{OpenFile, capable, events};
use task::{current, table};

/// Segments of one message (`UIO_MAXIOV`), and bytes of control messages that are read.
const SEGMENTS_MAX: u64 = 1024;
const CONTROL_MAX: u64 = 20480;
/// Files that one message carries (`SCM_MAX_FD`).
const FILES_MAX: usize = 253;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
const SCM_PIDFD: u32 = 4;
/// `struct cmsghdr`: a length, a level, a type.
const CMSG_HEADER: usize = 16;
/// Messages of one sendmmsg(2).
const MESSAGES_MAX: u32 = 1024;

/// `struct msghdr` as words: name, its length, vector, its count, control, its length, flags.
type MsgHdr = [u64; 7];
/// `struct mmsghdr`.
type MmsgHdr = [u64; 8];

fn send(file: &OpenFile, from: &mut Source<'_>, to: Option<&[u8]>, with: Ancillary, flags: u32) -> SysResult<usize> {
    let socket = socket_of(file)?;
    let result = socket.send_message(from, to, with, flags | file.message_flags());
    if result == Err(Errno::EPIPE)
        && flags & net::MSG_NOSIGNAL == 0
        && !matches!(socket.kind(), net::SOCK_DGRAM | net::SOCK_RAW)
    {
        events::broken_pipe();
    }
    result
}

/// sendto(2).
pub fn sendto(fd: i32, buffer: UserAddr, len: usize, flags: u32, address: UserAddr, address_len: u32) -> SysResult {
    let file = open_socket(fd)?;
    let to = if address.is_null() { None } else { Some(read_address(address, address_len)?) };
    send(&file, &mut Source::user(buffer, len)?, to.as_deref(), Ancillary::default(), flags)
}

/// recvfrom(2).
pub fn recvfrom(
    fd: i32,
    buffer: UserAddr,
    len: usize,
    flags: u32,
    address: UserAddr,
    address_len: UserPtr<i32>,
) -> SysResult {
    let file = open_socket(fd)?;
    let received = socket_of(&file)?.receive_message(&mut Sink::user(buffer, len)?, flags | file.message_flags())?;
    if !address.is_null() {
        match &received.address {
            Some(from) => write_address(from, address, address_len)?,
            None => write_address(&[], address, address_len)?,
        }
    }
    Ok(if flags & net::MSG_TRUNC != 0 { received.full } else { received.copied })
}

/// Rounds up to the alignment of control messages.
fn aligned(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

/// Reads control messages.
fn read_control(at: UserAddr, len: u64) -> SysResult<Ancillary> {
    let mut ancillary = Ancillary::default();
    if len == 0 {
        return Ok(ancillary);
    }
    if len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let bytes = usermem::read_bytes(at, len as usize)?;
    let mut rest = bytes.as_slice();
    while let Some((header, _)) = rest.split_first_chunk::<CMSG_HEADER>() {
        let (len, kinds) = header.split_at(8);
        let len = u64::from_ne_bytes(len.try_into().unwrap_or_default()) as usize;
        let word = |at: usize| kinds.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let data = rest.get(CMSG_HEADER..len).ok_or(Errno::EINVAL)?;
        take_control(&mut ancillary, word(0), word(4), data)?;
        rest = rest.get(aligned(len)..).unwrap_or_default();
    }
    Ok(ancillary)
}

fn take_control(ancillary: &mut Ancillary, level: u32, kind: u32, data: &[u8]) -> SysResult<()> {
    match (level, kind) {
        (net::SOL_SOCKET, SCM_RIGHTS) => {
            let table = current().files()?;
            if ancillary.files.len() + data.len() / 4 > FILES_MAX {
                return Err(Errno::EINVAL);
            }
            for fd in data.chunks_exact(4) {
                let fd = i32::from_ne_bytes(fd.try_into().unwrap_or([0xff; 4]));
                ancillary.files.push(table.get_any(fd)?);
            }
        }
        (net::SOL_SOCKET, SCM_CREDENTIALS) => ancillary.credentials = Some(check_credentials(data)?),
        (net::SOL_SOCKET, _) => return Err(Errno::EINVAL),
        _ => ancillary.control.push(Control { level, kind, data: data.to_vec() }),
    }
    Ok(())
}

/// A `struct ucred` that the caller may send: its own ids, unless it has the privilege (unix(7)).
/// `EPERM`, `ESRCH`.
fn check_credentials(data: &[u8]) -> SysResult<PeerCredentials> {
    use linux_raw_sys::general as g;
    let word = |at: usize| data.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes).ok_or(Errno::EINVAL);
    let (pid, uid, gid) = (word(0)? as i32, word(4)?, word(8)?);
    if data.len() != 12 {
        return Err(Errno::EINVAL);
    }
    let own = current().credentials();
    let pid_ok = pid == current().process.pid || capable(g::CAP_SYS_ADMIN);
    let uid_ok = [own.uid, own.euid, own.suid].contains(&uid) || capable(g::CAP_SETUID);
    let gid_ok = [own.gid, own.egid, own.sgid].contains(&gid) || capable(g::CAP_SETGID);
    if [uid, gid].contains(&u32::MAX) {
        return Err(Errno::EINVAL);
    }
    if !(pid_ok && uid_ok && gid_ok) {
        return Err(Errno::EPERM);
    }
    // Whoever is named must be there, be it a thread.
    table::task(pid).map(|_| PeerCredentials { pid, uid, gid }).ok_or(Errno::ESRCH)
}

fn send_header(file: &OpenFile, header: &MsgHdr, flags: u32) -> SysResult<usize> {
    let [name, name_len, vector, count, control, control_len, _] = *header;
    if count > SEGMENTS_MAX {
        return Err(Errno::EMSGSIZE);
    }
    let to = if name == 0 || name_len as u32 == 0 {
        None
    } else if (name_len as i32) < 0 {
        return Err(Errno::EINVAL);
    } else {
        Some(read_address(UserAddr(name), (name_len as u32).min(super::socket::SOCKADDR_MAX as u32))?)
    };
    let mut from = Source::User(Segments::from_iovec(UserAddr(vector), count as usize)?);
    let ancillary = read_control(UserAddr(control), control_len)?;
    send(file, &mut from, to.as_deref(), ancillary, flags)
}

/// sendmsg(2).
pub fn sendmsg(fd: i32, message: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let file = open_socket(fd)?;
    send_header(&file, &message.read()?, flags)
}

/// sendmmsg(2).
pub fn sendmmsg(fd: i32, messages: UserPtr<MmsgHdr>, count: u32, flags: u32) -> SysResult {
    let file = open_socket(fd)?;
    let mut done = 0;
    while done < count.min(MESSAGES_MAX) as usize {
        let at = messages.add(done);
        let sent = at.read().and_then(|message| {
            let header: &MsgHdr = message.first_chunk().ok_or(Errno::EINVAL)?;
            let sent = send_header(&file, header, flags)?;
            at.addr().add(size_of::<MsgHdr>() as u64).cast::<u32>().write(sent as u32)
        });
        match sent {
            Ok(()) => done += 1,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Control messages on their way to the caller.
struct ControlOut {
    at: UserAddr,
    room: usize,
    used: usize,
    cut: bool,
}

impl ControlOut {
    /// Puts a message, cut to the room there is.
    fn put(&mut self, level: u32, kind: u32, data: &[u8]) -> SysResult<()> {
        let left = self.room.saturating_sub(self.used);
        if left < CMSG_HEADER {
            self.cut = true;
            return Ok(());
        }
        let shown = data.len().min(left - CMSG_HEADER);
        self.cut |= shown < data.len();
        let mut bytes = ((CMSG_HEADER + shown) as u64).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&level.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(data.get(..shown).unwrap_or_default());
        usermem::copy_out(self.at.add(self.used as u64), &bytes)?;
        self.used = (self.used + aligned(bytes.len())).min(self.room);
        Ok(())
    }

    /// Installs received files and tells their numbers; those that there is no room for are closed.
    fn put_files(&mut self, files: Vec<alloc::sync::Arc<OpenFile>>, cloexec: bool) -> SysResult<()> {
        let room = self.room.saturating_sub(self.used + CMSG_HEADER) / 4;
        self.cut |= files.len() > room;
        let mut numbers = Vec::new();
        for file in files.into_iter().take(room) {
            match current().files()?.insert(file, cloexec) {
                Ok(fd) => numbers.extend_from_slice(&fd.to_ne_bytes()),
                Err(_) => {
                    self.cut = true;
                    break;
                }
            }
        }
        if numbers.is_empty() { Ok(()) } else { self.put(net::SOL_SOCKET, SCM_RIGHTS, &numbers) }
    }

    /// Gives a descriptor of a process, or the error that says why there is none.
    fn put_pidfd(&mut self, pid: i32) -> SysResult<()> {
        if self.room.saturating_sub(self.used) < CMSG_HEADER + size_of::<i32>() {
            self.cut = true;
            return Ok(());
        }
        let fd = pidfd::open_for(pid).and_then(|file| current().files()?.insert(file, true));
        let answer = fd.unwrap_or_else(|errno| -i32::from(errno.0));
        self.put(net::SOL_SOCKET, SCM_PIDFD, &answer.to_ne_bytes())
    }
}

fn receive_header(file: &OpenFile, header: &mut MsgHdr, flags: u32) -> SysResult<usize> {
    let [name, name_len, vector, count, control, control_len, _] = *header;
    if count > SEGMENTS_MAX {
        return Err(Errno::EMSGSIZE);
    }
    if (name_len as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let mut sink = Sink::User(Segments::from_iovec(UserAddr(vector), count as usize)?);
    let Received { copied, full, address, ancillary, flags: more } =
        socket_of(file)?.receive_message(&mut sink, (flags & !net::MSG_CMSG_CLOEXEC) | file.message_flags())?;
    if name != 0 {
        let address = address.unwrap_or_default();
        let shown = address.len().min(name_len as u32 as usize);
        usermem::copy_out(UserAddr(name), address.get(..shown).unwrap_or_default())?;
        // `msg_namelen` is an int: its upper half is padding that the caller keeps.
        header[1] = header[1] & !u64::from(u32::MAX) | address.len() as u64;
    }
    let room = if control == 0 { 0 } else { control_len.min(u64::from(u32::MAX)) as usize };
    let mut out = ControlOut { at: UserAddr(control), room, used: 0, cut: false };
    // In Linux's order, though cmsg(3) promises none: timestamps first, and a pidfd last.
    for message in ancillary.control {
        out.put(message.level, message.kind, &message.data)?;
    }
    if let Some(credentials) = ancillary.credentials {
        out.put(net::SOL_SOCKET, SCM_CREDENTIALS, &credentials.bytes())?;
    }
    if !ancillary.files.is_empty() {
        out.put_files(ancillary.files, flags & net::MSG_CMSG_CLOEXEC != 0)?;
    }
    if let Some(pid) = ancillary.pidfd {
        out.put_pidfd(pid)?;
    }
    let mut result = more | flags & net::MSG_CMSG_CLOEXEC;
    if full > copied {
        result |= net::MSG_TRUNC;
    }
    if out.cut {
        result |= net::MSG_CTRUNC;
    }
    header[5] = out.used as u64;
    header[6] = header[6] & !u64::from(u32::MAX) | u64::from(result);
    Ok(if flags & net::MSG_TRUNC != 0 { full } else { copied })
}

/// recvmsg(2).
pub fn recvmsg(fd: i32, message: UserPtr<MsgHdr>, flags: u32) -> SysResult {
    let file = open_socket(fd)?;
    let mut header = message.read()?;
    let received = receive_header(&file, &mut header, flags)?;
    message.write(header)?;
    Ok(received)
}

/// recvmmsg(2). As on Linux, the time-out is only looked at between two messages.
pub fn recvmmsg(
    fd: i32,
    messages: UserPtr<MmsgHdr>,
    count: u32,
    flags: u32,
    timeout: UserPtr<syscall_shim::types::Timespec>,
) -> SysResult {
    const WAITFORONE: u32 = 0x10000;
    let file = open_socket(fd)?;
    let timeout = super::time_left::Timeout::from_timespec(timeout)?;
    let mut flags_now = flags & !WAITFORONE;
    let mut done = 0;
    while done < count.min(MESSAGES_MAX) as usize {
        let at = messages.add(done);
        let received = at.read().and_then(|message| {
            let mut header: MsgHdr = *message.first_chunk().ok_or(Errno::EINVAL)?;
            let received = receive_header(&file, &mut header, flags_now)?;
            at.addr().cast::<MsgHdr>().write(header)?;
            at.addr().add(size_of::<MsgHdr>() as u64).cast::<u32>().write(received as u32)
        });
        match received {
            Ok(()) => done += 1,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
        if flags & WAITFORONE != 0 {
            flags_now |= net::MSG_DONTWAIT;
        }
        if timeout.deadline.is_some_and(|at| crate::arch::clock::monotonic_ns() >= at) {
            break;
        }
    }
    timeout.write_back();
    Ok(done)
}
