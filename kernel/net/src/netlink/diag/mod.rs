//! `NETLINK_SOCK_DIAG` (sock_diag(7)): what sockets there are, as ss(8) asks.

mod bytecode;
mod inet;
pub mod unix;

use alloc::vec::Vec;

use fd::capable;
use linux_raw_sys::general::CAP_NET_ADMIN;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::message::{DONE, Request, flag};
use super::route::Answers;

/// `SOCK_DIAG_BY_FAMILY` and `SOCK_DESTROY`.
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
/// A cookie that is whoever's (`INET_DIAG_NOCOOKIE`).
const ANY_COOKIE: u64 = u64::MAX;
/// Address families end here (`AF_MAX`).
const FAMILIES: u8 = 46;

/// Answers a question: whether it was a dump, too. `EINVAL`, `ENOENT` where nobody tells of such
/// sockets, and what the families say.
pub fn answer(request: &Request, body: &[u8]) -> SysResult<(Answers, bool)> {
    if request.kind != BY_FAMILY && request.kind != DESTROY {
        return Err(Errno::EINVAL);
    }
    let family = *body.first().ok_or(Errno::EINVAL)?;
    if body.len() < 2 || family >= FAMILIES {
        return Err(Errno::EINVAL);
    }
    let known = [n::AF_UNIX, n::AF_INET, n::AF_INET6].contains(&family.into());
    if !known {
        return Err(Errno::ENOENT);
    }
    if request.kind == DESTROY {
        // Nothing here ends a connection from outside.
        return Err(if capable(CAP_NET_ADMIN) { Errno::EOPNOTSUPP } else { Errno::EPERM });
    }
    let dump = request.has(flag::DUMP);
    let answers = match u32::from(family) {
        n::AF_UNIX => unix::answer(body, dump)?,
        _ => inet::answer(body, u32::from(family) == n::AF_INET6, dump)?,
    };
    Ok((answers, dump))
}

/// The end of a dump that has failed.
fn failed(errno: Errno) -> Answers {
    alloc::vec![(DONE, (-i32::from(errno.0)).to_ne_bytes().to_vec())]
}

/// The bit of a state among those that are asked for.
fn has_state(states: u32, state: u8) -> bool {
    states.checked_shr(state.into()).unwrap_or(0) & 1 != 0
}

/// Words of a message, one behind the other.
fn words(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_ne_bytes()));
}

/// A cookie as two words, the lower one first.
fn halves(cookie: u64) -> [u32; 2] {
    [cookie as u32, (cookie >> 32) as u32]
}
