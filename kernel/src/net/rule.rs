//! Rules: which tables of routes are asked for a destination (ip-rule(8)).
//!
//! A rule may choose by destination alone: what else there is to choose by on Linux is refused, for nothing here would look at it.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use inet::ip::Cidr;
use syscall_shim::{Errno, SysResult};

use super::netlink::events;
use super::route::{Route, table};
use crate::sync::{SpinGuard, SpinLock};

/// Rules that programs may add.
const MAX_RULES: usize = 1024;

/// What a rule does (`FR_ACT_*`).
#[allow(missing_docs)]
pub mod action {
    pub const TO_TABLE: u8 = 1;
    pub const NOP: u8 = 3;
    pub const BLACKHOLE: u8 = 6;
    pub const UNREACHABLE: u8 = 7;
    pub const PROHIBIT: u8 = 8;
}

/// A rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The lower the earlier.
    pub priority: u32,
    /// For which destinations; the prefix 0 stands for all of its family.
    pub to: Cidr,
    /// See [`action`].
    pub action: u8,
    /// The table to look_up.
    pub table: u32,
    /// Who has made it (`RTPROT_*`).
    pub origin: u8,
}

/// Rules that programs have made, and those of the start without what they have removed. By priority. A leaf lock.
static RULES: SpinLock<Vec<Rule>> = SpinLock::new(Vec::new());
/// Whether [`RULES`] counts: until then there are those of the start.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// The rules of the start, for a family.
fn inborn(v4: bool) -> impl Iterator<Item = Rule> {
    let any = if v4 { IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED) };
    let rules = [(0, table::LOCAL), (32766, table::MAIN), (32767, table::DEFAULT)];
    let count = if v4 { 3 } else { 2 };
    rules.into_iter().take(count).map(move |(priority, table)| Rule {
        priority,
        to: Cidr { address: any, prefix: 0 },
        action: action::TO_TABLE,
        table,
        origin: super::route::origin::KERNEL,
    })
}

/// Whether rules are others than at the start. Until then what is ours is found in the main table, as on Linux.
pub fn are_changed() -> bool {
    CHANGED.load(Ordering::Acquire)
}

/// All rules, by family and priority.
pub fn all() -> Vec<Rule> {
    if CHANGED.load(Ordering::Acquire) { RULES.lock().clone() } else { inborn(true).chain(inborn(false)).collect() }
}

fn changed() -> SpinGuard<'static, Vec<Rule>> {
    let mut rules = RULES.lock();
    if !CHANGED.swap(true, Ordering::AcqRel) {
        rules.extend(inborn(true).chain(inborn(false)));
    }
    rules
}

/// A priority before all others but the first of the family (`fib_default_rule_pref`).
pub fn free_priority(v4: bool) -> u32 {
    let rules = all();
    let mut of_family = rules.iter().filter(|rule| rule.to.address.is_ipv4() == v4).map(|rule| rule.priority);
    of_family.nth(1).map_or(0, |second| second.saturating_sub(1))
}

/// Adds a rule. `EEXIST` where `exclusive` is set and it is there, `ENOBUFS`.
pub fn add(rule: Rule, exclusive: bool) -> SysResult<()> {
    let mut rules = changed();
    if exclusive && rules.iter().any(|other| Rule { origin: rule.origin, ..*other } == rule) {
        return Err(Errno::EEXIST);
    }
    if rules.len() >= MAX_RULES || rules.try_reserve(1).is_err() {
        return Err(Errno::ENOBUFS);
    }
    let family = |rule: &Rule| rule.to.address.is_ipv6();
    let at = rules.partition_point(|other| (family(other), other.priority) <= (family(&rule), rule.priority));
    rules.insert(at, rule);
    drop(rules);
    events::rule(&rule, true);
    Ok(())
}

/// Takes the first rule away that `fits`. `ENOENT`.
pub fn remove(fits: impl Fn(&Rule) -> bool) -> SysResult<()> {
    let mut rules = changed();
    let at = rules.iter().position(fits).ok_or(Errno::ENOENT)?;
    let rule = rules.remove(at);
    drop(rules);
    events::rule(&rule, false);
    Ok(())
}

/// Asks one table after the other. `ENETUNREACH` and what rules that lead nowhere say.
pub fn walk(destination: &IpAddr, look_up: impl Fn(u32) -> Option<SysResult<Route>>) -> SysResult<Route> {
    if !CHANGED.load(Ordering::Acquire) {
        return look_up(table::MAIN).or_else(|| look_up(table::DEFAULT)).unwrap_or(Err(Errno::ENETUNREACH));
    }
    let rules = RULES.lock().clone();
    for rule in rules.iter().filter(|rule| rule.to.contains(destination)) {
        let answer = match rule.action {
            action::TO_TABLE => look_up(rule.table),
            action::BLACKHOLE => Some(Err(Errno::EINVAL)),
            action::UNREACHABLE => Some(Err(Errno::ENETUNREACH)),
            action::PROHIBIT => Some(Err(Errno::EACCES)),
            _ => None,
        };
        if let Some(answer) = answer {
            return answer;
        }
    }
    Err(Errno::ENETUNREACH)
}
