//! Sockets of TCP, UDP and UDP-Lite (linux/inet_diag.h).
//!
//! What every socket is asked for is told; the attributes that go beyond it (`INET_DIAG_*`) are
//! optional in the protocol, and left out.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use inet::ip::octets;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::super::message::{find, ip, word};
use super::super::route::Answers;
use super::{ANY_COOKIE, BY_FAMILY, bytecode, failed, halves, has_state, words};
use crate::output::UDPLITE;
use crate::report::{self, Line};

/// `sizeof(struct inet_diag_req_v2)`, and where `struct inet_diag_sockid` begins in it.
const REQUEST: usize = 56;
const ID: usize = 8;
/// `INET_DIAG_REQ_BYTECODE`.
const BYTECODE: u16 = 1;
const TCP: u8 = n::IPPROTO_TCP as u8;
const UDP: u8 = n::IPPROTO_UDP as u8;
const UDP_LITE: u8 = UDPLITE;

/// An address as sixteen bytes, IPv4's in the first four.
fn wide(address: &SocketAddr) -> [u8; 16] {
    let mut out = [0; 16];
    let (bytes, len) = octets(&address.ip());
    out.iter_mut().zip(bytes.get(..len).unwrap_or_default()).for_each(|(to, from)| *to = *from);
    out
}

/// `struct inet_diag_msg`.
fn describe(line: &Line, v6: bool) -> Vec<u8> {
    let family = if v6 { n::AF_INET6 } else { n::AF_INET };
    let mut out = alloc::vec![family as u8, line.state, 0, 0];
    out.extend_from_slice(&line.local.port().to_be_bytes());
    out.extend_from_slice(&line.remote.port().to_be_bytes());
    out.extend_from_slice(&wide(&line.local));
    out.extend_from_slice(&wide(&line.remote));
    let [low, high] = halves(line.cookie.unwrap_or(ANY_COOKIE));
    words(&mut out, &[line.device, low, high]);
    words(&mut out, &[0, line.queues.1 as u32, line.queues.0 as u32, line.owner.0, line.owner.1 as u32]);
    out
}

fn lines(protocol: u8, v6: bool) -> Option<Vec<Line>> {
    match protocol {
        TCP => Some(report::tcp_lines(v6).collect()),
        UDP | UDP_LITE => Some(report::udp_lines(protocol, v6).collect()),
        _ => None,
    }
}

/// The ends that a request names.
fn ends(body: &[u8], v6: bool) -> Option<[SocketAddr; 2]> {
    let port = |at: usize| body.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_be_bytes);
    let address = |at: usize| body.get(at..at + 16).and_then(|bytes| ip(bytes, !v6));
    let end = |number: usize| {
        let ip: IpAddr = address(ID + 4 + number * 16)?;
        Some(SocketAddr::new(ip, port(ID + number * 2)?))
    };
    Some([end(0)?, end(1)?])
}

/// All sockets of a protocol in the states asked for and which the request's filter takes, or the
/// one with the ends that it names. `EINVAL`, `ENOENT`.
pub fn answer(body: &[u8], v6: bool, dump: bool) -> SysResult<Answers> {
    let attributes = body.get(REQUEST..).ok_or(Errno::EINVAL)?;
    let (protocol, states) = (body.get(1).copied().unwrap_or(0), word(body, 4));
    let Some(lines) = lines(protocol, v6) else {
        return if dump { Ok(failed(Errno::ENOENT)) } else { Err(Errno::ENOENT) };
    };
    if dump {
        let filter = find(attributes, BYTECODE).unwrap_or_default();
        bytecode::check(filter)?;
        let wanted =
            |line: &&Line| has_state(states, line.state) && bytecode::takes(filter, &line.local, &line.remote, line.device);
        return Ok(lines.iter().filter(wanted).map(|line| (BY_FAMILY, describe(line, v6))).collect());
    }
    let [local, remote] = ends(body, v6).ok_or(Errno::EINVAL)?;
    let cookie = u64::from(word(body, REQUEST - 8)) | u64::from(word(body, REQUEST - 4)) << 32;
    let same = |line: &&Line| line.local == local && line.remote == remote;
    let hears = |line: &&Line| {
        let everybody = line.remote.port() == 0 && line.remote.ip().is_unspecified();
        let ours = line.local.ip() == local.ip() || line.local.ip().is_unspecified();
        everybody && ours && line.local.port() == local.port()
    };
    let found = lines.iter().find(same).or_else(|| lines.iter().find(hears)).ok_or(Errno::ENOENT)?;
    if cookie != ANY_COOKIE && found.cookie != Some(cookie) {
        return Err(Errno::ENOENT);
    }
    Ok(alloc::vec![(BY_FAMILY, describe(found, v6))])
}
