//! The filters of a dump: a program of comparisons (`INET_DIAG_BC_*` of linux/inet_diag.h).
//!
//! Each instruction is `struct inet_diag_bc_op`: a code, how far to go on if it holds, and how far
//! if not. A program takes a socket if it comes to its end exactly.

use core::net::{IpAddr, SocketAddr};

use inet::ip::octets;
use syscall_shim::{Errno, SysResult};

use super::super::message::{half, word};

/// `sizeof(struct inet_diag_bc_op)`.
const STEP: usize = 4;
/// `sizeof(struct inet_diag_hostcond)`, with an address behind it.
const HOST: usize = 8;

/// Codes.
mod code {
    pub const NOP: u8 = 0;
    pub const JUMP: u8 = 1;
    pub const SOURCE_GE: u8 = 2;
    pub const SOURCE_LE: u8 = 3;
    pub const TARGET_GE: u8 = 4;
    pub const TARGET_LE: u8 = 5;
    pub const SOURCE_IS: u8 = 7;
    pub const TARGET_IS: u8 = 8;
    pub const DEVICE_IS: u8 = 9;
    pub const SOURCE_EQ: u8 = 11;
    pub const TARGET_EQ: u8 = 12;
}

/// Code, and both ways on.
fn step(program: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let op: [u8; STEP] = *program.get(at..)?.first_chunk()?;
    Some((op[0], op[1].into(), half(&op, 2).into()))
}

/// Bytes that an instruction takes with what belongs to it. `None` for one that is not known here.
fn size(program: &[u8], at: usize, code: u8) -> Option<usize> {
    let more = match code {
        code::NOP | code::JUMP => 0,
        code::SOURCE_GE..=code::TARGET_LE | code::SOURCE_EQ | code::TARGET_EQ | code::DEVICE_IS => STEP,
        code::SOURCE_IS | code::TARGET_IS => {
            let family = *program.get(at + STEP)?;
            HOST + match family {
                0 => 0,
                2 => 4,
                10 => 16,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(STEP + more)
}

/// Whether a program can be run: it only goes forward, on whole instructions, and ends. `EINVAL`.
pub fn check(program: &[u8]) -> SysResult<()> {
    let (mut at, len) = (0, program.len());
    while at < len {
        let (code, yes, no) = step(program, at).ok_or(Errno::EINVAL)?;
        let least = size(program, at, code).ok_or(Errno::EINVAL)?;
        let aligned = yes % 4 == 0 && no % 4 == 0;
        let beyond = at + no > len + STEP;
        if !aligned || yes < least || at + yes > len || code != code::NOP && (no < STEP || beyond) {
            return Err(Errno::EINVAL);
        }
        at += yes;
    }
    Ok(())
}

/// Whether the first `bits` of an address are those of another.
fn agrees(address: &IpAddr, wanted: &[u8], bits: usize) -> bool {
    let (bytes, len) = octets(address);
    let (whole, rest) = (bits / 8, bits % 8);
    let (Some(a), Some(b)) = (bytes.get(..len), wanted.get(..len)) else { return false };
    let tail = |bytes: &[u8]| bytes.get(whole).map_or(0, |byte| u16::from(*byte) << rest >> 8);
    a.get(..whole) == b.get(..whole) && tail(a) == tail(b)
}

fn is_host(condition: &[u8], end: &SocketAddr) -> bool {
    let [family, bits, ..] = *condition else { return false };
    let port = word(condition, 4) as i32;
    if port != -1 && port != i32::from(end.port()) {
        return false;
    }
    let wanted = condition.get(HOST..).unwrap_or_default();
    match (family, end.ip()) {
        _ if bits == 0 => true,
        (2, IpAddr::V4(_)) | (10, IpAddr::V6(_)) | (0, _) => agrees(&end.ip(), wanted, bits.into()),
        (2, IpAddr::V6(v6)) => v6.to_ipv4_mapped().is_some_and(|v4| agrees(&v4.into(), wanted, bits.into())),
        _ => false,
    }
}

/// Whether a program that was checked takes a socket with these ends, bound to this interface.
pub fn takes(program: &[u8], local: &SocketAddr, remote: &SocketAddr, device: u32) -> bool {
    let mut at = 0;
    while at < program.len() {
        let Some((code, yes, no)) = step(program, at) else { return false };
        let beside = program.get(at + STEP..).unwrap_or_default();
        let port = half(beside, 2);
        let holds = match code {
            code::JUMP => false,
            code::SOURCE_GE => local.port() >= port,
            code::SOURCE_LE => local.port() <= port,
            code::SOURCE_EQ => local.port() == port,
            code::TARGET_GE => remote.port() >= port,
            code::TARGET_LE => remote.port() <= port,
            code::TARGET_EQ => remote.port() == port,
            code::SOURCE_IS => is_host(beside, local),
            code::TARGET_IS => is_host(beside, remote),
            code::DEVICE_IS => word(beside, 0) == device,
            _ => true,
        };
        at += if holds { yes } else { no.max(STEP) };
    }
    at == program.len()
}
