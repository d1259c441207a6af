//! Rules: which tables of routes are asked for a destination (ip-rule(8)).

use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};

use inet::ip::Cidr;
use sync::{SpinGuard, SpinLock};
use syscall_shim::{Errno, SysResult};

use super::interface;
use super::netlink::events;
use super::query::Query;
use super::route::{Route, table};

/// Rules that programs may add.
const MAX_RULES: usize = 1024;

/// What a rule does (`FR_ACT_*`).
#[allow(missing_docs)]
pub mod action {
    pub const TO_TABLE: u8 = 1;
    pub const GOTO: u8 = 2;
    pub const NOP: u8 = 3;
    pub const BLACKHOLE: u8 = 6;
    pub const UNREACHABLE: u8 = 7;
    pub const PROHIBIT: u8 = 8;
}

/// The name of an interface, filled up with zeroes; zeroes alone for any.
pub type Name = [u8; interface::NAME];

/// A rule. All that it says must hold of what is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The lower the earlier.
    pub priority: u32,
    /// For which destinations; the prefix 0 stands for all of its family.
    pub to: Cidr,
    /// From which addresses of ours.
    pub from: Cidr,
    /// Type of service; 0 for any.
    pub tos: u8,
    /// `SO_MARK`, and which bits of it count.
    pub mark: u32,
    /// See `mark`.
    pub mask: u32,
    /// Through which interfaces a packet comes in (our own by the loopback) and goes out.
    pub through: [Name; 2],
    /// The first and the last of the users who may send.
    pub users: Option<(u32, u32)>,
    /// The upper protocol; 0 for any.
    pub protocol: u8,
    /// Its source ports and destination ports, first and last.
    pub ports: [Option<(u16, u16)>; 2],
    /// All of this must *not* hold.
    pub inverted: bool,
    /// See [`action`].
    pub action: u8,
    /// The table to ask.
    pub table: u32,
    /// Where to go on, by priority.
    pub target: u32,
    /// Routes with a prefix up to this one do not count, nor do those through interfaces of that
    /// group.
    pub least_prefix: Option<u32>,
    /// See `least_prefix`.
    pub no_group: Option<u32>,
    /// Who has made it (`RTPROT_*`).
    pub origin: u8,
}

impl Rule {
    /// A rule about everything of a family.
    pub fn new(v4: bool) -> Rule {
        let any =
            if v4 { IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED) };
        let all = Cidr { address: any, prefix: 0 };
        Rule {
            priority: 0,
            to: all,
            from: all,
            tos: 0,
            mark: 0,
            mask: 0,
            through: [[0; interface::NAME]; 2],
            users: None,
            protocol: 0,
            ports: [None; 2],
            inverted: false,
            action: action::TO_TABLE,
            table: 0,
            target: 0,
            least_prefix: None,
            no_group: None,
            origin: 0,
        }
    }

    fn fits(&self, query: &Query) -> bool {
        let within = |range: Option<(u16, u16)>, port: u16| range.is_none_or(|(first, last)| (first..=last).contains(&port));
        let named = |name: &Name, index: u32| {
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            name.is_empty() || interface::by_name(name).is_some_and(|interface| interface.index == index)
        };
        let [source, target] = self.ports;
        let [incoming, outgoing] = &self.through;
        let from = match query.source {
            Some(address) => self.from.contains(&address),
            None => self.from.prefix == 0,
        };
        let all = self.to.contains(&query.destination)
            && from
            && (self.tos == 0 || self.tos == query.tos)
            && (self.mark ^ query.mark) & self.mask == 0
            && self.users.is_none_or(|(first, last)| (first..=last).contains(&query.user))
            && (self.protocol == 0 || self.protocol == query.protocol)
            && within(source, query.ports[0])
            && within(target, query.ports[1])
            && named(incoming, query.incoming)
            && named(outgoing, query.outgoing);
        self.to.address.is_ipv4() == query.destination.is_ipv4() && all != self.inverted
    }

    /// Whether a route that was found is to be passed over.
    fn suppresses(&self, route: &Route) -> bool {
        let group = |interface: &interface::Interface| interface.group.load(Ordering::Relaxed);
        self.least_prefix.is_some_and(|least| u32::from(route.destination.prefix) <= least)
            || self.no_group.is_some_and(|no| route.interface.as_ref().is_some_and(|through| group(through) == no))
    }
}

/// Rules that programs have made, and those of the start without what they have removed. By
/// priority. A leaf lock.
static RULES: SpinLock<Vec<Rule>> = SpinLock::new(Vec::new());
/// Whether [`RULES`] counts: until then there are those of the start.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// The rules of the start, for a family.
fn inborn(v4: bool) -> impl Iterator<Item = Rule> {
    let rules = [(0, table::LOCAL), (32766, table::MAIN), (32767, table::DEFAULT)];
    let count = if v4 { 3 } else { 2 };
    let origin = super::route::origin::KERNEL;
    rules.into_iter().take(count).map(move |(priority, table)| Rule { priority, table, origin, ..Rule::new(v4) })
}

/// Whether rules are others than at the start. Until then what is ours is found in the main table,
/// as on Linux.
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

/// Whether a rule leads to one that is there.
pub fn is_resolved(rule: &Rule, all: &[Rule]) -> bool {
    let v4 = rule.to.address.is_ipv4();
    all.iter().any(|other| other.priority == rule.target && other.to.address.is_ipv4() == v4)
}

/// Asks one table after the other. `ENETUNREACH` and what rules that lead nowhere say.
pub fn walk(query: &Query, look_up: impl Fn(u32) -> Option<SysResult<Route>>) -> SysResult<Route> {
    if !CHANGED.load(Ordering::Acquire) {
        return look_up(table::MAIN).or_else(|| look_up(table::DEFAULT)).unwrap_or(Err(Errno::ENETUNREACH));
    }
    let mut rules = RULES.lock().clone();
    rules.retain(|rule| rule.to.address.is_ipv4() == query.destination.is_ipv4());
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if !rule.fits(query) {
            continue;
        }
        let answer = match rule.action {
            action::TO_TABLE => {
                look_up(rule.table).filter(|found| !found.as_ref().is_ok_and(|route| rule.suppresses(route)))
            }
            // Targets lie ahead.
            action::GOTO => {
                at = rules.iter().position(|other| other.priority == rule.target).map_or(at, |target| target.max(at));
                None
            }
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
