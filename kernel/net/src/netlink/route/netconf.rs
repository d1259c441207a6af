//! `RTM_GETNETCONF`: settings of /proc/sys/net/ipv4/conf and ipv6/conf.

use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use super::super::message::{attribute, find};
use super::{Answers, GET_NETCONF, family, is_v4};
use crate::interface;
use crate::sysctl::{Conf, all_interfaces, for_new_interfaces, number_of};

/// `RTM_NEWNETCONF`.
const NEW_NETCONF: u16 = GET_NETCONF - 2;
/// `struct netconfmsg`, up to the attributes.
const INFO: usize = 4;
/// `NETCONFA_*`, with the setting of that name; those of IPv4 alone are marked.
const INDEX: u16 = 1;
const SETTINGS: [(u16, &str, bool); 6] = [
    (2, "forwarding", false),
    (3, "rp_filter", true),
    (4, "mc_forwarding", false),
    (8, "bc_forwarding", true),
    (5, "proxy_arp", false),
    (6, "ignore_routes_with_linkdown", false),
];
/// What stands for all interfaces, and for new ones.
const ALL: i32 = -1;
const DEFAULT: i32 = -2;

fn describe(v4: bool, index: i32, conf: &Conf) -> (u16, Vec<u8>) {
    let mut out = alloc::vec![family(v4), 0, 0, 0];
    attribute(&mut out, INDEX, &index.to_ne_bytes());
    for (kind, name, _) in SETTINGS.into_iter().filter(|(.., only_v4)| v4 || !only_v4) {
        let name = if name == "proxy_arp" && !v4 { "proxy_ndp" } else { name };
        attribute(&mut out, kind, &number_of(name, !v4).map_or(0, |n| conf.get(!v4, n)).to_ne_bytes());
    }
    (NEW_NETCONF, out)
}

/// Those of all interfaces, for the families wanted.
pub fn dump(wanted: impl Fn(bool) -> bool) -> Answers {
    let mut answers = Answers::new();
    for v4 in [true, false].into_iter().filter(|v4| wanted(*v4)) {
        answers.extend(interface::all().iter().map(|one| describe(v4, one.index as i32, &one.conf)));
        answers.push(describe(v4, ALL, all_interfaces()));
        answers.push(describe(v4, DEFAULT, for_new_interfaces()));
    }
    answers
}

/// Those of one. `EINVAL`, `ENODEV`, `EOPNOTSUPP`.
pub fn get(body: &[u8]) -> SysResult<Answers> {
    let v4 = is_v4(body)?;
    let index =
        find(body.get(INFO..).unwrap_or_default(), INDEX).and_then(|index| index.first_chunk()).ok_or(Errno::EINVAL)?;
    let answer = match i32::from_ne_bytes(*index) {
        ALL => describe(v4, ALL, all_interfaces()),
        DEFAULT => describe(v4, DEFAULT, for_new_interfaces()),
        index => {
            let one = u32::try_from(index).ok().and_then(interface::by_index);
            let one = one.ok_or(if v4 { Errno::ENODEV } else { Errno::EINVAL })?;
            describe(v4, index, &one.conf)
        }
    };
    Ok(alloc::vec![answer])
}
