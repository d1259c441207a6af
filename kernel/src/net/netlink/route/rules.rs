//! Rules.

use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::super::message::{self, Request, attribute, find, flag, number};
use super::{Answers, NEW_RULE, family, is_v4};
use crate::net::rule::{self, Rule, action};

/// `sizeof(struct fib_rule_hdr)`.
const INFO: usize = 12;
/// `FRA_*`.
const DST: u16 = 1;
const PRIORITY: u16 = 6;
const SUPPRESS_PREFIX: u16 = 14;
const TABLE: u16 = 15;
const PROTOCOL: u16 = 21;
/// What may be there besides: what says nothing new.
const IDLE: [u16; 2] = [SUPPRESS_PREFIX, 18];

/// `RTM_NEWRULE` about a rule.
pub fn describe(rule: &Rule) -> Vec<u8> {
    let short = u8::try_from(rule.table).unwrap_or(252);
    let mut out = alloc::vec![family(rule.to.address.is_ipv4()), rule.to.prefix, 0, 0, short, 0, 0, rule.action];
    out.extend_from_slice(&[0; 4]);
    attribute(&mut out, TABLE, &rule.table.to_ne_bytes());
    attribute(&mut out, SUPPRESS_PREFIX, &u32::MAX.to_ne_bytes());
    attribute(&mut out, PROTOCOL, &[rule.origin]);
    if rule.priority != 0 {
        attribute(&mut out, PRIORITY, &rule.priority.to_ne_bytes());
    }
    if rule.to.prefix > 0 {
        message::address(&mut out, DST, &rule.to.address);
    }
    out
}

/// All rules of the families wanted.
pub fn dump(wanted: impl Fn(bool) -> bool) -> Answers {
    let all = rule::all();
    all.iter().filter(|rule| wanted(rule.to.address.is_ipv4())).map(|rule| (NEW_RULE, describe(rule))).collect()
}

/// A rule, and its priority if the request has one.
fn read(body: &[u8]) -> SysResult<(Rule, Option<u32>)> {
    let v4 = is_v4(body).map_err(|_| Errno::EAFNOSUPPORT)?;
    let Some([_, prefix, source_prefix, tos, table, _, _, action]) = body.first_chunk::<8>().copied() else {
        return Err(Errno::EINVAL);
    };
    let attributes = body.get(INFO..).ok_or(Errno::EINVAL)?;
    let known = |kind: u16| matches!(kind, DST | PRIORITY | TABLE | PROTOCOL) || IDLE.contains(&kind);
    if source_prefix != 0 || tos != 0 || message::attributes(attributes).any(|(kind, _)| !known(kind)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let any = if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let to = find(attributes, DST).and_then(|value| message::ip(value, v4));
    if prefix > if v4 { 32 } else { 128 } || prefix > 0 && to.is_none() {
        return Err(Errno::EINVAL);
    }
    let to = Cidr { address: to.unwrap_or(any), prefix };
    let priority = number(attributes, PRIORITY);
    let origin = find(attributes, PROTOCOL).and_then(|value| value.first()).copied().unwrap_or(0);
    let table = number(attributes, TABLE).unwrap_or(table.into());
    let to = Cidr { address: to.network(), prefix };
    Ok((Rule { priority: priority.unwrap_or(0), to, action, table, origin }, priority))
}

/// `RTM_NEWRULE`. `EINVAL`, `EOPNOTSUPP`, `EEXIST`.
pub fn new(request: &Request, body: &[u8]) -> SysResult<()> {
    let (mut rule, priority) = read(body)?;
    match rule.action {
        action::TO_TABLE if rule.table != 0 => {}
        action::NOP | action::BLACKHOLE | action::UNREACHABLE | action::PROHIBIT => {}
        _ => return Err(Errno::EINVAL),
    }
    if priority.is_none() {
        rule.priority = rule::free_priority(rule.to.address.is_ipv4());
    }
    rule::add(rule, request.has(flag::EXCL))
}

/// `RTM_DELRULE`. `ENOENT`.
pub fn remove(body: &[u8]) -> SysResult<()> {
    let (wish, priority) = read(body)?;
    rule::remove(|rule| {
        rule.to.address.is_ipv4() == wish.to.address.is_ipv4()
            && (wish.action == 0 || rule.action == wish.action)
            && (wish.table == 0 || rule.table == wish.table)
            && priority.is_none_or(|priority| rule.priority == priority)
            && (wish.to.prefix == 0 || rule.to == wish.to)
    })
}
