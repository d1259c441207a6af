//! `NETLINK_ROUTE` (rtnetlink(7)): a file for each kind of thing.

pub mod address;
pub mod link;
pub mod neighbors;
mod netconf;
pub mod routes;
pub mod rules;
mod stats;

use alloc::vec::Vec;

use fd::capable;
use linux_raw_sys::general::CAP_NET_ADMIN;
use syscall_shim::{Errno, SysResult};

use super::message::{Request, flag};

/// Types of messages (`RTM_*`): what is gone follows what is new, and what is asked follows both.
pub const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
/// See [`NEW_LINK`].
pub const NEW_ADDRESS: u16 = 20;
const DEL_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
/// See [`NEW_LINK`].
pub const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
/// See [`NEW_LINK`].
pub const NEW_NEIGHBOR: u16 = 28;
const DEL_NEIGHBOR: u16 = 29;
const GET_NEIGHBOR: u16 = 30;
/// See [`NEW_LINK`].
pub const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const GET_RULE: u16 = 34;
const GET_NETCONF: u16 = 82;
const GET_STATS: u16 = 94;
const NEW_LINK_NAMES: u16 = 108;
const DEL_LINK_NAMES: u16 = 109;
/// Other namespaces and next hops that are apart from routes, of which there are none.
const GET_NAMESPACE: u16 = 90;
const GET_NEXT_HOP: u16 = 106;
/// Queueing disciplines, of which there are none.
const GET_QDISC: u16 = 38;
/// `RTM_MAX`.
const LAST: u16 = 127;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Types and bodies of messages.
pub type Answers = Vec<(u16, Vec<u8>)>;

/// `AF_INET` or `AF_INET6`.
fn family(v4: bool) -> u8 {
    if v4 { AF_INET } else { AF_INET6 }
}

/// Whether a request is about IPv4. `EOPNOTSUPP` where it is about neither family.
fn is_v4(body: &[u8]) -> SysResult<bool> {
    match body.first() {
        Some(&AF_INET) => Ok(true),
        Some(&AF_INET6) => Ok(false),
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Does what a request asks: the answers, and whether they are a dump's. `strict`: what a dump's
/// request says chooses among the answers (`NETLINK_GET_STRICT_CHK`). `EOPNOTSUPP`, `EPERM` and
/// what the kinds say.
pub fn answer(request: &Request, body: &[u8], strict: bool) -> SysResult<(Answers, bool)> {
    if request.kind > LAST {
        return Err(Errno::EOPNOTSUPP);
    }
    let Some(asked) = body.first().copied() else { return Ok((Answers::new(), false)) };
    let asks = request.kind & 3 == 2;
    if !asks && !capable(CAP_NET_ADMIN) {
        return Err(Errno::EPERM);
    }
    if request.kind & 3 == 1 && request.has(flag::BULK) {
        return Err(Errno::EOPNOTSUPP);
    }
    let wanted = |v4: bool| asked != AF_INET && asked != AF_INET6 || asked == family(v4);
    if asks && request.has(flag::DUMP) {
        let answers = match request.kind {
            GET_LINK => link::dump(),
            GET_ADDRESS => address::dump(wanted, if strict { super::message::word(body, 4) } else { 0 }),
            GET_ROUTE => routes::dump(wanted, body, strict),
            GET_NEIGHBOR => neighbors::dump(wanted),
            GET_RULE => rules::dump(wanted),
            GET_NETCONF => netconf::dump(wanted),
            GET_STATS => stats::dump(body)?,
            GET_QDISC | GET_NAMESPACE | GET_NEXT_HOP => Answers::new(),
            _ => return Err(Errno::EOPNOTSUPP),
        };
        return Ok((answers, true));
    }
    let none = |()| Answers::new();
    let answers = match request.kind {
        GET_LINK => link::get(body)?,
        NEW_LINK => link::new(request, body).map(none)?,
        SET_LINK => link::set(request, body).map(none)?,
        NEW_LINK_NAMES => link::change_names(body, true).map(none)?,
        DEL_LINK_NAMES => link::change_names(body, false).map(none)?,
        GET_NETCONF => netconf::get(body)?,
        GET_STATS => stats::get(body)?,
        DEL_LINK => link::remove(body).map(none)?,
        NEW_ADDRESS => address::new(request, body).map(none)?,
        DEL_ADDRESS => address::remove(request, body).map(none)?,
        GET_ROUTE => routes::get(body)?,
        NEW_ROUTE => routes::new(request, body).map(none)?,
        DEL_ROUTE => routes::remove(request, body).map(none)?,
        GET_NEIGHBOR => neighbors::get(body)?,
        NEW_NEIGHBOR => neighbors::new(request, body).map(none)?,
        DEL_NEIGHBOR => neighbors::remove(body).map(none)?,
        NEW_RULE => rules::new(request, body).map(none)?,
        DEL_RULE => rules::remove(body).map(none)?,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    Ok((answers, false))
}
