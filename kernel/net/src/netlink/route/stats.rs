//! `RTM_GETSTATS`: what interfaces have received and sent.

use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use super::super::message::{attribute, word};
use super::{Answers, GET_STATS, link};
use crate::interface::{self, Interface};

/// `RTM_NEWSTATS`.
const NEW_STATS: u16 = GET_STATS - 2;
/// `sizeof(struct if_stats_msg)`.
const INFO: usize = 12;
/// `IFLA_STATS_LINK_64`; of the other kinds nothing is counted here.
const LINK_64: u16 = 1;

fn describe(interface: &Interface, mask: u32) -> (u16, Vec<u8>) {
    let mut out = alloc::vec![0; 4];
    out.extend_from_slice(&interface.index.to_ne_bytes());
    out.extend_from_slice(&mask.to_ne_bytes());
    if mask & 1 << (LINK_64 - 1) != 0 {
        attribute(&mut out, LINK_64, &link::counts(interface));
    }
    (NEW_STATS, out)
}

fn mask(body: &[u8]) -> SysResult<u32> {
    if body.len() < INFO {
        return Err(Errno::EINVAL);
    }
    match word(body, 8) {
        0 => Err(Errno::EINVAL),
        mask => Ok(mask),
    }
}

/// Those of all interfaces. `EINVAL`.
pub fn dump(body: &[u8]) -> SysResult<Answers> {
    let mask = mask(body)?;
    Ok(interface::all().iter().map(|interface| describe(interface, mask)).collect())
}

/// Those of one. `EINVAL`, `ENODEV`.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    let index = word(body, 4);
    if body.len() < INFO || index == 0 {
        return Err(Errno::EINVAL);
    }
    let found = interface::by_index(index).ok_or(Errno::ENODEV)?;
    Ok(alloc::vec![describe(&found, mask(body)?)])
}
