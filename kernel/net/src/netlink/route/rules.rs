//! Rules.

use alloc::vec::Vec;

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, number, word};
use super::{Answers, NEW_RULE, family, is_v4};
use crate::interface::{self, NAME};
use crate::route;
use crate::rule::{self, Name, Rule, action};

/// `sizeof(struct fib_rule_hdr)`.
const INFO: usize = 12;
/// `FRA_*`.
const DST: u16 = 1;
const SRC: u16 = 2;
const IIFNAME: u16 = 3;
const GOTO: u16 = 4;
const PRIORITY: u16 = 6;
const FWMARK: u16 = 10;
const SUPPRESS_GROUP: u16 = 13;
const SUPPRESS_PREFIX: u16 = 14;
const TABLE: u16 = 15;
const FWMASK: u16 = 16;
const OIFNAME: u16 = 17;
const PAD: u16 = 18;
const UID_RANGE: u16 = 20;
const PROTOCOL: u16 = 21;
const IP_PROTO: u16 = 22;
const SPORT_RANGE: u16 = 23;
const DPORT_RANGE: u16 = 24;
/// `FIB_RULE_*`: flags.
const INVERT: u32 = 2;
const UNRESOLVED: u32 = 4;
const IIF_DETACHED: u32 = 8;
const OIF_DETACHED: u32 = 0x10;
/// A number that stands for none.
const NONE: u32 = u32::MAX;

/// `RTM_NEWRULE` about a rule.
pub fn describe(rule: &Rule) -> Vec<u8> {
    let v4 = rule.to.address.is_ipv4();
    let short = u8::try_from(rule.table).unwrap_or(252);
    let mut out = alloc::vec![family(v4), rule.to.prefix, rule.from.prefix, rule.tos, short, 0, 0, rule.action];
    let mut flags = if rule.inverted { INVERT } else { 0 };
    if rule.action == action::GOTO && !rule::is_resolved(rule, &rule::all()) {
        flags |= UNRESOLVED;
    }
    for (name, detached) in rule.through.iter().zip([IIF_DETACHED, OIF_DETACHED]) {
        if name[0] != 0 && interface::by_name(message::text(name)).is_none() {
            flags |= detached;
        }
    }
    out.extend_from_slice(&flags.to_ne_bytes());
    let mut put = |kind: u16, value: u32| attribute(&mut out, kind, &value.to_ne_bytes());
    put(TABLE, rule.table);
    put(SUPPRESS_PREFIX, rule.least_prefix.unwrap_or(NONE));
    attribute(&mut out, PROTOCOL, &[rule.origin]);
    for (name, kind) in rule.through.iter().zip([IIFNAME, OIFNAME]) {
        if name[0] != 0 {
            let mut text = message::text(name).to_vec();
            text.push(0);
            attribute(&mut out, kind, &text);
        }
    }
    let numbers = [(PRIORITY, rule.priority), (FWMARK, rule.mark), (FWMASK, rule.mask), (GOTO, rule.target)];
    for (kind, value) in numbers.into_iter().filter(|(_, value)| *value != 0) {
        attribute(&mut out, kind, &value.to_ne_bytes());
    }
    if let Some((first, last)) = rule.users {
        attribute(&mut out, UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
    }
    if let Some(group) = rule.no_group {
        attribute(&mut out, SUPPRESS_GROUP, &group.to_ne_bytes());
    }
    if rule.protocol != 0 {
        attribute(&mut out, IP_PROTO, &[rule.protocol]);
    }
    for (range, kind) in rule.ports.iter().zip([SPORT_RANGE, DPORT_RANGE]) {
        if let Some((first, last)) = range {
            attribute(&mut out, kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
        }
    }
    for (network, kind) in [(rule.to, DST), (rule.from, SRC)] {
        if network.prefix > 0 {
            message::address(&mut out, kind, &network.address);
        }
    }
    out
}

/// All rules of the families wanted.
pub fn dump(wanted: impl Fn(bool) -> bool) -> Answers {
    let all = rule::all();
    all.iter().filter(|rule| wanted(rule.to.address.is_ipv4())).map(|rule| (NEW_RULE, describe(rule))).collect()
}

/// A network that a rule is about. `EINVAL`.
fn network(attributes: &[u8], kind: u16, prefix: u8, v4: bool, any: Cidr) -> SysResult<Cidr> {
    if prefix == 0 {
        return Ok(any);
    }
    let address = find(attributes, kind).and_then(|value| message::ip(value, v4)).ok_or(Errno::EINVAL)?;
    let prefix = if prefix > if v4 { 32 } else { 128 } { return Err(Errno::EINVAL) } else { prefix };
    Ok(Cidr { address: Cidr { address, prefix }.network(), prefix })
}

fn name(attributes: &[u8], kind: u16) -> SysResult<Name> {
    let mut out = [0; NAME];
    let text = find(attributes, kind).map(message::text).unwrap_or_default();
    out.get_mut(..text.len()).filter(|room| room.len() < NAME).ok_or(Errno::EINVAL)?.copy_from_slice(text);
    Ok(out)
}

fn ports(attributes: &[u8], kind: u16) -> SysResult<Option<(u16, u16)>> {
    let Some(value) = find(attributes, kind) else { return Ok(None) };
    let [a, b, c, d] = *value else { return Err(Errno::EINVAL) };
    let (first, last) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
    if first == 0 || last == u16::MAX || first > last { Err(Errno::EINVAL) } else { Ok(Some((first, last))) }
}

/// A rule, and its priority if the request has one.
fn read(body: &[u8]) -> SysResult<(Rule, Option<u32>)> {
    let v4 = is_v4(body).map_err(|_| Errno::EAFNOSUPPORT)?;
    let Some([_, prefix, source_prefix, tos, table, _, _, action]) = body.first_chunk::<8>().copied() else {
        return Err(Errno::EINVAL);
    };
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    let known = |kind: u16| matches!(kind, DST..=GOTO | PRIORITY | FWMARK | SUPPRESS_GROUP..=PAD | UID_RANGE..=DPORT_RANGE);
    if message::attributes(attributes).any(|(kind, _)| !known(kind)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let new = Rule::new(v4);
    let users = match find(attributes, UID_RANGE) {
        None => None,
        Some(value) => {
            let (first, last) = (word(value, 0), word(value, 4));
            if value.len() != 8 || first > last || first == NONE {
                return Err(Errno::EINVAL);
            }
            Some((first, last))
        }
    };
    let byte = |kind| find(attributes, kind).and_then(|value| value.first()).copied().unwrap_or(0);
    let mark = number(attributes, FWMARK).unwrap_or(0);
    let priority = number(attributes, PRIORITY);
    let rule = Rule {
        priority: priority.unwrap_or(0),
        to: network(attributes, DST, prefix, v4, new.to)?,
        from: network(attributes, SRC, source_prefix, v4, new.from)?,
        tos,
        mark,
        mask: number(attributes, FWMASK).unwrap_or(if mark == 0 { 0 } else { NONE }),
        through: [name(attributes, IIFNAME)?, name(attributes, OIFNAME)?],
        users,
        protocol: byte(IP_PROTO),
        ports: [ports(attributes, SPORT_RANGE)?, ports(attributes, DPORT_RANGE)?],
        inverted: word(body, 8) & INVERT != 0,
        action,
        table: number(attributes, TABLE).unwrap_or(table.into()),
        target: number(attributes, GOTO).unwrap_or(0),
        least_prefix: number(attributes, SUPPRESS_PREFIX).filter(|least| *least != NONE),
        no_group: number(attributes, SUPPRESS_GROUP).filter(|group| *group != NONE),
        origin: byte(PROTOCOL),
    };
    Ok((rule, priority))
}

/// `RTM_NEWRULE`. `EINVAL`, `EOPNOTSUPP`, `EEXIST`.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let (mut rule, priority) = read(body)?;
    let v4 = rule.to.address.is_ipv4();
    if priority.is_none() {
        rule.priority = rule::free_priority(v4);
    }
    match rule.action {
        action::TO_TABLE if rule.table == 0 && v4 => rule.table = route::free_table().ok_or(Errno::ENOBUFS)?,
        action::TO_TABLE if rule.table != 0 => {}
        action::GOTO if rule.target > rule.priority => {}
        action::NOP | action::BLACKHOLE | action::UNREACHABLE | action::PROHIBIT => {}
        _ => return Err(Errno::EINVAL),
    }
    rule::add(rule, request.has(flag::EXCL))
}

/// `RTM_DELRULE`. `ENOENT`.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let (wish, priority) = read(body)?;
    let named = |wish: &Name, name: &Name| wish[0] == 0 || wish == name;
    rule::remove(|rule| {
        rule.to.address.is_ipv4() == wish.to.address.is_ipv4()
            && (wish.action == 0 || rule.action == wish.action)
            && (wish.table == 0 || rule.table == wish.table)
            && priority.is_none_or(|priority| rule.priority == priority)
            && (wish.to.prefix == 0 || rule.to == wish.to)
            && (wish.from.prefix == 0 || rule.from == wish.from)
            && (wish.tos == 0 || rule.tos == wish.tos)
            && (wish.mark == 0 || rule.mark == wish.mark)
            && (wish.mask == 0 || rule.mask == wish.mask)
            && wish.through.iter().zip(&rule.through).all(|(wish, name)| named(wish, name))
            && (wish.users.is_none() || rule.users == wish.users)
            && (wish.protocol == 0 || rule.protocol == wish.protocol)
            && wish.ports.iter().zip(&rule.ports).all(|(wish, range)| wish.is_none() || wish == range)
            && (wish.least_prefix.is_none() || rule.least_prefix == wish.least_prefix)
            && (wish.no_group.is_none() || rule.no_group == wish.no_group)
            && (wish.origin == 0 || rule.origin == wish.origin)
    })
}
