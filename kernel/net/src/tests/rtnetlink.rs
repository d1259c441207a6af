//! Requests of netlink, and what they change.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::calls::{AGAIN, Sock};
use crate::interface;
use crate::netlink;

pub const REQUEST: u16 = 1;
pub const ACK: u16 = 4;
pub const DUMP: u16 = 0x300;
pub const REPLACE: u16 = 0x100;
pub const EXCL: u16 = 0x200;
pub const CREATE: u16 = 0x400;
const V4: u8 = 2;
const V6: u8 = 10;

/// What is looked at as a whole, routes and rules among it, is one test's at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    super::start();
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket of netlink.
pub struct Netlink(pub Sock);

/// A message: its type, its flags, its body.
pub type Message = (u16, u16, Vec<u8>);

impl Netlink {
    /// One of this family.
    pub fn new(protocol: u32) -> Netlink {
        super::start();
        Netlink(Sock(netlink::create(n::SOCK_RAW, protocol, fs::OpenFlags::empty()).unwrap()))
    }

    /// `NETLINK_ROUTE`
    pub fn route() -> Netlink {
        Netlink::new(0)
    }

    /// Joins groups by their bits.
    pub fn hear(self, groups: u32) -> Netlink {
        self.0.socket().bind(&address(0, groups)).unwrap();
        self
    }

    /// Sends a message to the kernel.
    pub fn send(&self, kind: u16, flags: u16, body: &[u8]) -> SysResult<usize> {
        self.0.send(&message(kind, flags, body))
    }

    /// The messages that have come.
    pub fn take(&self) -> SysResult<Vec<Message>> {
        let bytes = self.0.recv_now(1 << 16)?;
        let mut rest = bytes.as_slice();
        let mut out = Vec::new();
        while let [l0, l1, l2, l3, k0, k1, f0, f1, ..] = *rest {
            let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
            out.push((u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([f0, f1]), rest[16..len].to_vec()));
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(out)
    }

    /// All that is told of something.
    pub fn dump(&self, kind: u16, body: &[u8]) -> SysResult<Vec<Message>> {
        self.send(kind, REQUEST | DUMP, body)?;
        let mut out = Vec::new();
        loop {
            for (kind, flags, body) in self.take()? {
                match kind {
                    3 => return result(&body).map(|()| out),
                    2 => return result(&body).map(|()| out),
                    _ => {
                        assert_eq!(flags & 2, 2, "a part of several");
                        out.push((kind, flags, body));
                    }
                }
            }
        }
    }

    /// One answer.
    pub fn get(&self, kind: u16, body: &[u8]) -> SysResult<Vec<u8>> {
        self.send(kind, REQUEST, body)?;
        let (kind, _, body) = self.take()?.remove(0);
        if kind == 2 { result(&body).map(|()| Vec::new()) } else { Ok(body) }
    }

    /// Has something changed.
    pub fn change(&self, kind: u16, flags: u16, body: &[u8]) -> SysResult<()> {
        self.send(kind, REQUEST | ACK | flags, body)?;
        let (kind, _, body) = self.take()?.remove(0);
        assert_eq!(kind, 2);
        result(&body)
    }
}

fn result(body: &[u8]) -> SysResult<()> {
    match i32::from_ne_bytes(body[..4].try_into().unwrap()) {
        0 => Ok(()),
        errno => Err(Errno((-errno) as u16)),
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut out = (16 + body.len() as u32).to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(7u32.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(body);
    out
}

/// `struct sockaddr_nl`
pub fn address(port: u32, groups: u32) -> Vec<u8> {
    [&16u16.to_ne_bytes()[..], &[0, 0], &port.to_ne_bytes(), &groups.to_ne_bytes()].concat()
}

/// An attribute.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut out = (4 + value.len() as u16).to_ne_bytes().to_vec();
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn word(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

/// The attribute of a type in a message whose structure has `info` bytes.
pub fn find(body: &[u8], info: usize, kind: u16) -> Option<Vec<u8>> {
    let mut rest = &body[info..];
    while let [l0, l1, k0, k1, ..] = *rest {
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        if u16::from_ne_bytes([k0, k1]) & 0x3fff == kind {
            return Some(rest[4..len].to_vec());
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn number(body: &[u8], info: usize, kind: u16) -> Option<u32> {
    find(body, info, kind).map(|value| u32::from_ne_bytes(value[..4].try_into().unwrap()))
}

fn text(body: &[u8], info: usize, kind: u16) -> Option<String> {
    find(body, info, kind).map(|value| String::from_utf8(value).unwrap().trim_end_matches('\0').into())
}

/// `struct ifinfomsg`
fn link(index: u32, flags: u32, mask: u32) -> Vec<u8> {
    [&[0; 4][..], &index.to_ne_bytes(), &flags.to_ne_bytes(), &mask.to_ne_bytes()].concat()
}

/// The index of the interface called so.
pub fn index_of(name: &str) -> u32 {
    interface::by_name(name.as_bytes()).map_or(0, |found| found.index)
}

fn name(text: &str) -> Vec<u8> {
    attribute(3, format!("{text}\0").as_bytes())
}

/// Makes a pair of interfaces.
pub fn make_pair(nl: &Netlink, one: &str, other: &str) {
    let peer = [link(0, 1, 1), name(other)].concat();
    let info = [attribute(1, b"veth\0"), attribute(2, &attribute(1, &peer))].concat();
    nl.change(16, CREATE | EXCL, &[link(0, 1, 1), name(one), attribute(18, &info)].concat()).unwrap();
}

/// Takes an interface out.
pub fn unmake(nl: &Netlink, name: &str) -> SysResult<()> {
    nl.change(17, 0, &link(index_of(name), 0, 0))
}

fn make_dummy(nl: &Netlink, called: &str) -> SysResult<()> {
    let info = attribute(18, &attribute(1, b"dummy\0"));
    nl.change(16, CREATE | EXCL, &[link(0, 1, 1), name(called), info].concat())
}

#[test]
fn interfaces_are_told_of() {
    let nl = Netlink::route();
    let all = nl.dump(18, &link(0, 0, 0)).unwrap();
    let named = |wanted: &str| all.iter().find(|(_, _, body)| text(body, 16, 3).as_deref() == Some(wanted)).unwrap();
    let (kind, _, lo) = named("lo");
    assert_eq!((*kind, &lo[2..8]), (16, &[4, 3, 1, 0, 0, 0][..]));
    assert_eq!((number(lo, 16, 4), find(lo, 16, 1)), (Some(65536), Some(vec![0; 6])));
    let (_, _, eth0) = named("eth0");
    assert_eq!((number(eth0, 16, 4), find(eth0, 16, 1).unwrap()), (Some(1500), super::lan::OWN_MAC.to_vec()));
    assert_eq!((find(eth0, 16, 2).unwrap(), find(eth0, 16, 16).unwrap()), (vec![0xff; 6], vec![6]));
    assert_eq!((number(eth0, 16, 50), number(eth0, 16, 51)), (Some(68), Some(1500)));
    assert_eq!(find(eth0, 16, 23).unwrap().len(), 25 * 8);
    // One, by index or name.
    assert_eq!(text(&nl.get(18, &link(1, 0, 0)).unwrap(), 16, 3).unwrap(), "lo");
    assert_eq!(nl.get(18, &[link(0, 0, 0), name("eth0")].concat()).unwrap()[4..8], index_of("eth0").to_ne_bytes());
    assert_eq!(nl.get(18, &link(9999, 0, 0)), Err(Errno::ENODEV));
    assert_eq!(nl.get(18, &link(0, 0, 0)), Err(Errno::EINVAL));
    assert_eq!(nl.get(18, &[0; 8]), Err(Errno::EINVAL));
}

#[test]
fn interfaces_come_change_and_go() {
    let _alone = alone();
    let nl = Netlink::route();
    // RTMGRP_LINK
    let heard = Netlink::route().hear(1);
    make_dummy(&nl, "d0").unwrap();
    assert_eq!(make_dummy(&nl, "d0"), Err(Errno::EEXIST));
    let index = index_of("d0");
    let told = heard.take().unwrap();
    assert!(told.iter().all(|(kind, _, body)| *kind == 16 && body[4..8] == index.to_ne_bytes()));
    let changes = [attribute(1, &[2, 9, 9, 9, 9, 9]), word(4, 1400), attribute(20, b"a text\0"), word(27, 5), word(13, 77)];
    nl.change(16, 0, &[link(index, 0, 0), changes.concat()].concat()).unwrap();
    let now = nl.get(18, &link(index, 0, 0)).unwrap();
    assert_eq!((find(&now, 16, 1).unwrap(), number(&now, 16, 4)), (vec![2, 9, 9, 9, 9, 9], Some(1400)));
    assert_eq!(
        (text(&now, 16, 20).unwrap(), number(&now, 16, 27), number(&now, 16, 13)),
        ("a text".into(), Some(5), Some(77))
    );
    assert_eq!(find(&find(&now, 16, 18).unwrap(), 0, 1).unwrap(), b"dummy\0");
    // A name, and others besides.
    nl.change(19, 0, &[link(index, 0, 0), name("d0renamed")].concat()).unwrap();
    let names = attribute(52, &attribute(53, b"d0again\0"));
    nl.change(108, CREATE, &[link(index, 0, 0), names.clone()].concat()).unwrap();
    assert_eq!((index_of("d0renamed"), index_of("d0again"), index_of("d0")), (index, index, 0));
    assert_eq!(nl.change(108, CREATE, &[link(index, 0, 0), names.clone()].concat()), Err(Errno::EEXIST));
    nl.change(109, 0, &[link(index, 0, 0), names].concat()).unwrap();
    assert_eq!(index_of("d0again"), 0);
    // Down and up.
    nl.change(16, 0, &link(index, 0, 1)).unwrap();
    assert!(!interface::by_index(index).unwrap().is_up());
    nl.change(16, 0, &link(index, 1, 1)).unwrap();
    assert!(interface::by_index(index).unwrap().is_up());
    // What is refused.
    assert_eq!(nl.change(16, 0, &[link(index, 0, 0), word(10, 1)].concat()), Err(Errno::EOPNOTSUPP));
    assert_eq!(nl.change(16, 0, &[link(index, 0, 0), attribute(1, &[1, 2])].concat()), Err(Errno::EINVAL));
    assert_eq!(nl.change(16, 0, &link(9999, 0, 0)), Err(Errno::ENODEV));
    assert_eq!(nl.change(17, 0, &link(1, 0, 0)), Err(Errno::EOPNOTSUPP));
    let bridge = attribute(18, &attribute(1, b"bridge\0"));
    assert_eq!(nl.change(16, CREATE, &[link(0, 0, 0), name("br0"), bridge].concat()), Err(Errno::EOPNOTSUPP));
    unmake(&nl, "d0renamed").unwrap();
    assert!(interface::by_index(index).is_none());
    let mut last = Vec::new();
    while let Ok(more) = heard.take() {
        last = more;
    }
    assert_eq!(last.last().map(|(kind, _, _)| *kind), Some(17));
}

#[test]
fn refusals_come_with_words_and_the_request() {
    let nl = Netlink::route();
    // NETLINK_EXT_ACK, NETLINK_CAP_ACK
    nl.0.set(270, 11, 1).unwrap();
    let body = [link(index_of("eth0"), 0, 0), word(4, 20)].concat();
    nl.send(16, REQUEST | ACK, &body).unwrap();
    let (kind, flags, told) = nl.take().unwrap().remove(0);
    assert_eq!((kind, flags & 0x200), (2, 0x200));
    assert_eq!(told[..4], (-22i32).to_ne_bytes());
    assert_eq!(told[20..20 + body.len()], body);
    assert_eq!(text(&told, 20 + body.len(), 1).unwrap(), "mtu less than device minimum");
    nl.0.set(270, 10, 1).unwrap();
    nl.send(16, REQUEST | ACK, &body).unwrap();
    let (_, flags, told) = nl.take().unwrap().remove(0);
    assert_eq!((flags & 0x300, text(&told, 20, 1).unwrap()), (0x300, "mtu less than device minimum".into()));
}

/// `struct ifaddrmsg` and an address.
fn own(family: u8, prefix: u8, index: u32, bytes: &[u8]) -> Vec<u8> {
    [&[family, prefix, 0, 0][..], &index.to_ne_bytes(), &attribute(2, bytes), &attribute(1, bytes)].concat()
}

#[test]
fn addresses_come_and_go() {
    let _alone = alone();
    let nl = Netlink::route();
    make_dummy(&nl, "d1").unwrap();
    let index = index_of("d1");
    let heard = Netlink::route().hear(0x10 | 0x100);
    let v4 = own(V4, 24, index, &[10, 77, 0, 1]);
    let v6: [u8; 16] = "fd77::1".parse::<core::net::Ipv6Addr>().unwrap().octets();
    let v6 = own(V6, 64, index, &v6);
    for body in [&v4, &v6] {
        nl.change(20, CREATE | EXCL, body).unwrap();
        assert_eq!(nl.change(20, CREATE | EXCL, body), Err(Errno::EEXIST));
        let told = heard.take().unwrap();
        assert_eq!((told[0].0, &told[0].2[4..8]), (20, &index.to_ne_bytes()[..]));
    }
    let all = nl.dump(22, &[V4, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let ours: Vec<_> = all.iter().filter(|(_, _, body)| body[4..8] == index.to_ne_bytes()).collect();
    assert_eq!(ours.len(), 1);
    let body = &ours[0].2;
    assert_eq!((body[0], body[1], find(body, 8, 2).unwrap()), (V4, 24, vec![10, 77, 0, 1]));
    assert_eq!(text(body, 8, 3).unwrap(), "d1");
    assert!(all.iter().all(|(_, _, body)| body[0] == V4));
    let sixes = nl.dump(22, &[V6, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    assert!(sixes.iter().any(|(_, _, body)| body[4..8] == index.to_ne_bytes() && body[1] == 64));
    // A socket can be bound there as long as the address is ours.
    let socket = Sock::udp();
    socket.bind("10.77.0.1:0").unwrap();
    assert_eq!(nl.change(20, CREATE, &own(V4, 33, index, &[10, 77, 0, 2])), Err(Errno::EINVAL));
    assert_eq!(nl.change(20, CREATE, &own(V4, 24, 9999, &[10, 77, 0, 2])), Err(Errno::ENODEV));
    assert_eq!(nl.change(21, 0, &own(V4, 24, index, &[10, 77, 0, 99])), Err(Errno::EADDRNOTAVAIL));
    nl.change(21, 0, &v4).unwrap();
    nl.change(21, 0, &v6).unwrap();
    assert_eq!(Sock::udp().bind("10.77.0.1:0"), Err(Errno::EADDRNOTAVAIL));
    unmake(&nl, "d1").unwrap();
}

/// `struct rtmsg`: to a network, in a table, of a scope and kind.
fn route(family: u8, prefix: u8, table: u8, scope: u8, kind: u8) -> Vec<u8> {
    vec![family, prefix, 0, 0, table, 3, scope, kind, 0, 0, 0, 0]
}

#[test]
fn routes_come_and_go() {
    let _alone = alone();
    let nl = Netlink::route();
    make_dummy(&nl, "d2").unwrap();
    let index = index_of("d2");
    nl.change(20, CREATE, &own(V4, 24, index, &[10, 78, 0, 1])).unwrap();
    let heard = Netlink::route().hear(0x40);
    let gateway = [route(V4, 16, 254, 0, 1), attribute(1, &[172, 30, 0, 0]), attribute(5, &[10, 78, 0, 9])].concat();
    nl.change(24, CREATE | EXCL, &gateway).unwrap();
    assert_eq!(nl.change(24, CREATE | EXCL, &gateway), Err(Errno::EEXIST));
    assert_eq!(heard.take().unwrap()[0].0, 24);
    // The way there.
    let ask = |address: [u8; 4]| nl.get(26, &[route(V4, 32, 0, 0, 0), attribute(1, &address)].concat());
    let way = ask([172, 30, 5, 5]).unwrap();
    assert_eq!((find(&way, 12, 5), number(&way, 12, 4)), (Some(vec![10, 78, 0, 9]), Some(index)));
    assert_eq!(find(&way, 12, 7), Some(vec![10, 78, 0, 1]));
    // Metrics and priorities: the lower one wins.
    let mtu = attribute(8, &[word(2, 1300), word(8, 900)].concat());
    let better = [route(V4, 16, 254, 253, 1), attribute(1, &[172, 31, 0, 0]), word(4, index), word(6, 5), mtu].concat();
    nl.change(24, CREATE | EXCL, &better).unwrap();
    let worse =
        [route(V4, 16, 254, 0, 1), attribute(1, &[172, 31, 0, 0]), attribute(5, &[10, 78, 0, 9]), word(6, 9)].concat();
    nl.change(24, CREATE | EXCL, &worse).unwrap();
    let way = ask([172, 31, 1, 1]).unwrap();
    assert_eq!((find(&way, 12, 5), number(&find(&way, 12, 8).unwrap(), 0, 2)), (None, Some(1300)));
    let socket = Sock::udp();
    socket.connect("172.31.1.1:9").unwrap();
    assert_eq!(socket.get(n::SOL_IP, n::IP_MTU), Ok(1300));
    nl.change(25, 0, &better).unwrap();
    assert_eq!(find(&ask([172, 31, 1, 1]).unwrap(), 12, 5), Some(vec![10, 78, 0, 9]));
    // Several ways.
    let hop = |last: u8| {
        let via = attribute(5, &[10, 78, 0, last]);
        [&(8 + via.len() as u16).to_ne_bytes()[..], &[0, last], &index.to_ne_bytes(), &via].concat()
    };
    let several =
        [route(V4, 24, 254, 0, 1), attribute(1, &[172, 29, 1, 0]), attribute(9, &[hop(2), hop(3)].concat())].concat();
    nl.change(24, CREATE, &several).unwrap();
    let mut used = Vec::new();
    for last in 0..32 {
        used.push(find(&ask([172, 29, 1, last]).unwrap(), 12, 5).unwrap()[3]);
    }
    assert!(used.contains(&2) && used.contains(&3) && used.iter().all(|last| [2, 3].contains(last)), "{used:?}");
    // Nowhere.
    for (kind, errno) in [(6, Errno::EINVAL), (7, Errno::EHOSTUNREACH), (8, Errno::EACCES)] {
        let nowhere = [route(V4, 32, 254, 0, kind), attribute(1, &[172, 28, 0, kind])].concat();
        nl.change(24, CREATE, &nowhere).unwrap();
        assert_eq!(ask([172, 28, 0, kind]), Err(errno));
        let there = format!("172.28.0.{kind}:9");
        assert_eq!(Sock::udp().connect(&there), Err(errno));
        nl.change(25, 0, &nowhere).unwrap();
    }
    // Replaced.
    let replaced = [route(V4, 16, 254, 0, 1), attribute(1, &[172, 30, 0, 0]), attribute(5, &[10, 78, 0, 8])].concat();
    nl.change(24, REPLACE, &replaced).unwrap();
    assert_eq!(find(&ask([172, 30, 5, 5]).unwrap(), 12, 5), Some(vec![10, 78, 0, 8]));
    // What is refused.
    let mut far = [route(V4, 16, 254, 0, 1), attribute(1, &[172, 27, 0, 0]), attribute(5, &[203, 0, 113, 9])].concat();
    far.extend(word(4, index));
    assert_eq!(nl.change(24, CREATE, &far), Err(Errno::ENETUNREACH));
    let odd = [route(V4, 16, 254, 0, 1), attribute(1, &[172, 27, 1, 0]), word(4, index)].concat();
    assert_eq!(nl.change(24, CREATE, &odd), Err(Errno::EINVAL));
    assert_eq!(
        nl.change(24, 0, &[route(V4, 8, 254, 0, 1), attribute(1, &[99, 0, 0, 0]), word(4, index)].concat()),
        Err(Errno::ENOENT)
    );
    assert_eq!(nl.change(25, 0, &[route(V4, 8, 254, 0, 1), attribute(1, &[99, 0, 0, 0])].concat()), Err(Errno::ESRCH));
    assert_eq!(nl.change(24, CREATE, &[99; 12]), Err(Errno::EOPNOTSUPP));
    // The dump has them, in the table that is asked for.
    nl.0.set(270, 12, 1).unwrap();
    let all = nl.dump(26, &route(V4, 0, 254, 0, 0)).unwrap();
    let to = |body: &[u8]| find(body, 12, 1).unwrap_or_default();
    assert!(all.iter().all(|(_, _, body)| number(body, 12, 15) == Some(254)));
    let many = all.iter().find(|(_, _, body)| to(body) == [172, 29, 1, 0]).unwrap();
    assert_eq!(find(&many.2, 12, 9).unwrap(), [hop(2), hop(3)].concat());
    assert!(all.iter().any(|(_, _, body)| to(body) == [10, 78, 0, 0] && body[1] == 24 && body[5] == 2));
    // An interface that goes takes its routes along.
    unmake(&nl, "d2").unwrap();
    let left = nl.dump(26, &route(V4, 0, 254, 0, 0)).unwrap();
    assert!(left.iter().all(|(_, _, body)| to(body).first() != Some(&172)));
}

#[test]
fn routes_of_ipv6() {
    let _alone = alone();
    let nl = Netlink::route();
    make_dummy(&nl, "d3").unwrap();
    let index = index_of("d3");
    let bytes = |text: &str| text.parse::<core::net::Ipv6Addr>().unwrap().octets();
    nl.change(20, CREATE, &own(V6, 64, index, &bytes("fd79::1"))).unwrap();
    let there = [route(V6, 48, 254, 0, 1), attribute(1, &bytes("fd80::")), attribute(5, &bytes("fd79::9"))].concat();
    nl.change(24, CREATE | EXCL, &there).unwrap();
    let way = nl.get(26, &[route(V6, 128, 0, 0, 0), attribute(1, &bytes("fd80::77"))].concat()).unwrap();
    assert_eq!((find(&way, 12, 5), number(&way, 12, 4)), (Some(bytes("fd79::9").to_vec()), Some(index)));
    assert_eq!(number(&way, 12, 6), Some(1024));
    let link_local =
        [route(V6, 48, 254, 0, 1), attribute(1, &bytes("fd81::")), attribute(5, &bytes("fe80::9")), word(4, index)];
    nl.change(24, CREATE, &link_local.concat()).unwrap();
    let far =
        [route(V6, 48, 254, 0, 1), attribute(1, &bytes("fd82::")), attribute(5, &bytes("2001:db8:9::9")), word(4, index)];
    assert_eq!(nl.change(24, CREATE, &far.concat()), Err(Errno::EHOSTUNREACH));
    let all = nl.dump(26, &route(V6, 0, 0, 0, 0)).unwrap();
    assert!(all.iter().any(|(_, _, body)| find(body, 12, 1) == Some(bytes("fd81::").to_vec())));
    nl.change(25, 0, &there).unwrap();
    assert_eq!(nl.change(25, 0, &there), Err(Errno::ESRCH));
    unmake(&nl, "d3").unwrap();
}

/// `struct fib_rule_hdr`
fn rule(family: u8, source: u8, table: u8, action: u8) -> Vec<u8> {
    vec![family, 0, source, 0, table, 0, 0, action, 0, 0, 0, 0]
}

#[test]
fn rules_choose_tables() {
    let _alone = alone();
    let nl = Netlink::route();
    make_dummy(&nl, "d4").unwrap();
    let index = index_of("d4");
    nl.change(20, CREATE, &own(V4, 24, index, &[10, 79, 0, 1])).unwrap();
    let usual = nl.dump(34, &rule(V4, 0, 0, 0)).unwrap();
    let preferences: Vec<_> =
        usual.iter().map(|(_, _, body)| (number(body, 12, 6).unwrap_or(0), number(body, 12, 15).unwrap())).collect();
    assert_eq!(preferences, [(0, 255), (32766, 254), (32767, 253)]);
    // What bears a mark goes by table 100.
    let there = [route(V4, 16, 100, 253, 1), attribute(1, &[172, 26, 0, 0]), word(4, index)].concat();
    nl.change(24, CREATE, &there).unwrap();
    let marked = [rule(V4, 0, 100, 1), word(10, 7), word(6, 1000)].concat();
    nl.change(32, CREATE | EXCL, &marked).unwrap();
    assert_eq!(nl.change(32, CREATE | EXCL, &marked), Err(Errno::EEXIST));
    let socket = Sock::udp();
    socket.set(n::SOL_SOCKET, n::SO_MARK, 7).unwrap();
    socket.connect("172.26.0.5:9").unwrap();
    assert_eq!(socket.local().ip(), core::net::IpAddr::from([10, 79, 0, 1]));
    let unmarked = Sock::udp();
    unmarked.connect("172.26.0.5:9").unwrap();
    assert_ne!(unmarked.local().ip(), core::net::IpAddr::from([10, 79, 0, 1]));
    let told = nl.dump(34, &rule(V4, 0, 0, 0)).unwrap();
    assert!(told.iter().any(|(_, _, body)| (number(body, 12, 6), number(body, 12, 10)) == (Some(1000), Some(7))));
    // One that forbids, by the source.
    let source = [rule(V4, 32, 0, 8), attribute(2, &[10, 79, 0, 1]), word(6, 1001)].concat();
    nl.change(32, CREATE, &source).unwrap();
    let bound = Sock::udp();
    bound.bind("10.79.0.1:0").unwrap();
    assert_eq!(bound.connect("203.0.113.5:9"), Err(Errno::EACCES));
    nl.change(33, 0, &source).unwrap();
    assert_eq!(nl.change(33, 0, &source), Err(Errno::ENOENT));
    nl.change(33, 0, &marked).unwrap();
    assert_eq!(nl.dump(34, &rule(V4, 0, 0, 0)).unwrap().len(), 3);
    nl.change(25, 0, &there).unwrap();
    unmake(&nl, "d4").unwrap();
}

/// `struct ndmsg`
fn neighbor(index: u32, state: u16, destination: &[u8]) -> Vec<u8> {
    let family = if destination.len() == 4 { V4 } else { V6 };
    let [s0, s1] = state.to_ne_bytes();
    [&[family, 0, 0, 0][..], &index.to_ne_bytes(), &[s0, s1, 0, 0], &attribute(1, destination)].concat()
}

#[test]
fn neighbours_come_and_go() {
    let _alone = alone();
    let nl = Netlink::route();
    make_dummy(&nl, "d5").unwrap();
    let index = index_of("d5");
    let heard = Netlink::route().hear(4);
    let (permanent, reachable) = (0x80, 2);
    let wanted = [neighbor(index, permanent, &[10, 80, 0, 9]), attribute(2, &[2, 1, 1, 1, 1, 1])].concat();
    nl.change(28, CREATE | EXCL, &wanted).unwrap();
    assert_eq!(nl.change(28, CREATE | EXCL, &wanted), Err(Errno::EEXIST));
    assert_eq!(heard.take().unwrap()[0].0, 28);
    let all = nl.dump(30, &[V4; 12]).unwrap();
    let ours = all.iter().find(|(_, _, body)| body[4..8] == index.to_ne_bytes()).unwrap();
    assert_eq!(
        (ours.2[8], find(&ours.2, 12, 2), find(&ours.2, 12, 1)),
        (0x80, Some(vec![2, 1, 1, 1, 1, 1]), Some(vec![10, 80, 0, 9]))
    );
    let one = nl.get(30, &neighbor(index, 0, &[10, 80, 0, 9])).unwrap();
    assert_eq!(find(&one, 12, 2), Some(vec![2, 1, 1, 1, 1, 1]));
    assert_eq!(nl.get(30, &neighbor(index, 0, &[10, 80, 0, 8])), Err(Errno::ENOENT));
    let six: [u8; 16] = "fd90::9".parse::<core::net::Ipv6Addr>().unwrap().octets();
    nl.change(28, CREATE, &[neighbor(index, reachable, &six), attribute(2, &[2, 2, 2, 2, 2, 2])].concat()).unwrap();
    assert!(nl.dump(30, &[V6; 12]).unwrap().iter().any(|(_, _, body)| find(body, 12, 1) == Some(six.to_vec())));
    nl.change(29, 0, &neighbor(index, 0, &[10, 80, 0, 9])).unwrap();
    assert_eq!(nl.change(29, 0, &neighbor(index, 0, &[10, 80, 0, 9])), Err(Errno::ENOENT));
    assert_eq!(nl.change(28, CREATE, &neighbor(9999, permanent, &[10, 80, 0, 9])), Err(Errno::ENODEV));
    unmake(&nl, "d5").unwrap();
}

#[test]
fn what_else_there_is_to_ask() {
    let nl = Netlink::route();
    // RTM_GETNETCONF, RTM_GETSTATS, queueing disciplines, next hops.
    let netconf = nl.dump(82, &[V4, 0, 0, 0]).unwrap();
    assert!(netconf.iter().any(|(kind, _, body)| *kind == 80 && number(body, 4, 1) == Some(1)));
    let one = nl.get(82, &[&[V4, 0, 0, 0][..], &word(1, 1)].concat()).unwrap();
    assert_eq!((number(&one, 4, 1), number(&one, 4, 2)), (Some(1), Some(0)));
    let stats = nl.get(94, &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    assert_eq!(find(&stats, 12, 1).unwrap().len(), 25 * 8);
    assert!(nl.dump(94, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]).unwrap().len() >= 2);
    for kind in [38, 90, 106] {
        assert_eq!(nl.dump(kind, &[0; 20]), Ok(Vec::new()));
    }
    assert_eq!(nl.get(126, &[0; 20]), Err(Errno::EOPNOTSUPP));
    assert_eq!(nl.dump(126, &[0; 20]), Err(Errno::EOPNOTSUPP));
    assert_eq!(nl.get(200, &[0; 20]), Err(Errno::EOPNOTSUPP));
    thread::spawn(|| {
        let nl = Netlink::route();
        caller::testing::become_user(1000, 1000);
        assert_eq!(make_dummy(&nl, "d6"), Err(Errno::EPERM));
        assert!(nl.dump(18, &link(0, 0, 0)).is_ok());
    })
    .join()
    .unwrap();
}

#[test]
fn sockets_of_netlink() {
    let nl = Netlink::route();
    assert_eq!(nl.0.socket().local_address(), Ok(address(0, 0)));
    nl.0.socket().bind(&address(4711, 1)).unwrap();
    assert_eq!(nl.0.socket().local_address(), Ok(address(4711, 1)));
    let other = Netlink::route();
    assert_eq!(other.0.socket().bind(&address(4711, 0)), Err(Errno::EADDRINUSE));
    assert_eq!(other.0.socket().bind(&[1, 0]), Err(Errno::EINVAL));
    other.0.socket().bind(&address(0, 0)).unwrap();
    // NETLINK_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _LIST_MEMBERSHIPS
    nl.0.set(270, 1, 5).unwrap();
    assert_eq!(nl.0.get(270, 9), Ok(0x11));
    nl.0.set(270, 2, 5).unwrap();
    assert_eq!(nl.0.get(270, 9), Ok(1));
    assert_eq!(nl.0.set(270, 1, 99), Err(Errno::EINVAL));
    for option in [3, 4, 5, 10, 11, 12] {
        if nl.0.set(270, option, 1).is_ok() {
            assert_eq!(nl.0.get(270, option), Ok(1), "{option}");
        }
    }
    assert_eq!(nl.0.recv_now(10), Err(AGAIN));
    assert_eq!(nl.0.events() & 5, 4);
    // Among programs.
    let (one, two) = (Netlink::new(2), Netlink::new(2));
    one.0.socket().bind(&address(5001, 0)).unwrap();
    two.0.socket().bind(&address(5002, 0)).unwrap();
    one.0.send_with(b"to you", Some(&address(5002, 0)), 0).unwrap();
    let (bytes, received) = two.0.receive(100, 0).unwrap();
    assert_eq!((bytes.as_slice(), received.address), (&b"to you"[..], Some(address(5001, 0))));
    assert_eq!(one.0.send_with(b"x", Some(&address(9999, 0)), 0), Err(Errno::ECONNREFUSED));
    two.0.socket().connect(&address(5001, 0), false).unwrap();
    assert_eq!(two.0.socket().peer_address(), Ok(address(5001, 0)));
    two.0.send(b"back").unwrap();
    assert_eq!(one.0.recv(2).unwrap(), b"ba");
    // Kinds that there are not.
    super::start();
    let kind = |kind, protocol| netlink::create(kind, protocol, fs::OpenFlags::empty()).err();
    assert_eq!(kind(n::SOCK_STREAM, 0), Some(Errno::ESOCKTNOSUPPORT));
    assert_eq!(kind(n::SOCK_RAW, 1), Some(Errno::EPROTONOSUPPORT));
    assert!(netlink::list().iter().any(|(family, port, ..)| (*family, *port) == (2, 5001)));
}

#[test]
fn generic_families() {
    let nl = Netlink::new(16);
    let get = |name: &[u8]| nl.get(16, &[&[3, 1, 0, 0][..], &attribute(2, name)].concat());
    let controller = get(b"nlctrl\0").unwrap();
    assert_eq!(find(&controller, 4, 1).unwrap(), 16u16.to_ne_bytes());
    assert_eq!(text(&controller, 4, 2).unwrap(), "nlctrl");
    assert_eq!(get(b"nl80211\0"), Err(Errno::ENOENT));
    assert_eq!(get(&[b'x'; 20]), Err(Errno::EINVAL));
    assert_eq!(nl.dump(16, &[3, 1, 0, 0]).unwrap().len(), 1);
    let policies = nl.dump(16, &[&[10, 1, 0, 0][..], &attribute(1, &16u16.to_ne_bytes())].concat()).unwrap();
    assert!(policies.len() > 3);
    assert_eq!(nl.get(16, &[77, 1, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(nl.get(99, &[3, 1, 0, 0]), Err(Errno::ENOENT));
}

/// `struct inet_diag_req_v2`
fn diag(family: u8, protocol: u8, states: u32) -> Vec<u8> {
    let mut out = vec![family, protocol, 0, 0];
    out.extend(states.to_ne_bytes());
    out.resize(56, 0);
    out[48..56].fill(0xff);
    out
}

#[test]
fn sockets_are_told_of() {
    let listener = Sock::listener("127.0.0.1:5301");
    let (one, two) = Sock::pair(&listener);
    let datagrams = Sock::udp_at("[::1]:5302");
    let nl = Netlink::new(4);
    let tcp = nl.dump(20, &diag(V4, 6, 1 << 10)).unwrap();
    let port = |body: &[u8], at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    assert!(tcp.iter().all(|(kind, _, body)| (*kind, body[1]) == (20, 10)));
    assert!(tcp.iter().any(|(_, _, body)| port(body, 4) == 5301));
    let connected = nl.dump(20, &diag(V4, 6, 1 << 1)).unwrap();
    let ours = connected.iter().find(|(_, _, body)| port(body, 4) == one.local().port()).unwrap();
    assert_eq!((port(&ours.2, 6), &ours.2[8..12], &ours.2[24..28]), (5301, &[127, 0, 0, 1][..], &[127, 0, 0, 1][..]));
    // One by its ends, with and without its cookie.
    let mut exact = diag(V4, 6, u32::MAX);
    exact[8..12].copy_from_slice(&ours.2[4..8]);
    exact[12..16].copy_from_slice(&[127, 0, 0, 1]);
    exact[28..32].copy_from_slice(&[127, 0, 0, 1]);
    assert_eq!(nl.get(20, &exact).unwrap()[4..8], ours.2[4..8]);
    exact[48..56].copy_from_slice(&[1; 8]);
    assert_eq!(nl.get(20, &exact), Err(Errno::ENOENT));
    // A filter: the source port is 5301.
    let op =
        |code: u8, yes: u8, no: u16, port: u16| [&[code, yes][..], &no.to_ne_bytes(), &[0, 0], &port.to_ne_bytes()].concat();
    let at_least = op(2, 8, 20, 5301);
    let at_most = op(3, 8, 12, 5301);
    let filter = attribute(1, &[at_least, at_most].concat());
    let filtered = nl.dump(20, &[diag(V4, 6, u32::MAX), filter].concat()).unwrap();
    assert!(!filtered.is_empty() && filtered.iter().all(|(_, _, body)| port(body, 4) == 5301));
    assert_eq!(nl.dump(20, &[diag(V4, 6, u32::MAX), attribute(1, &[2, 8, 20, 0])].concat()), Err(Errno::EINVAL));
    let udp = nl.dump(20, &diag(V6, 17, u32::MAX)).unwrap();
    assert!(udp.iter().any(|(_, _, body)| (body[0], port(body, 4)) == (V6, 5302)));
    assert_eq!(nl.dump(20, &diag(V4, 132, u32::MAX)), Err(Errno::ENOENT));
    assert_eq!(nl.get(21, &diag(V4, 6, u32::MAX)), Err(Errno::EOPNOTSUPP));
    assert_eq!(nl.get(20, &diag(99, 6, u32::MAX)), Err(Errno::EINVAL));
    drop((one, two, datagrams));
}

#[test]
fn local_sockets_are_told_of() {
    let nl = Netlink::new(4);
    let unix = |states: u32, inode: u32, show: u32| {
        let mut out = vec![1, 0, 0, 0];
        [states, inode, show, u32::MAX, u32::MAX].iter().for_each(|word| out.extend(word.to_ne_bytes()));
        out
    };
    let all = nl.dump(20, &unix(u32::MAX, 0, 0x7f)).unwrap();
    assert_eq!(all.len(), 2);
    let listener = &all[0].2;
    assert_eq!((&listener[..4], &listener[4..8]), (&[1, 1, 10, 0][..], &51u32.to_ne_bytes()[..]));
    assert_eq!(find(listener, 16, 0).unwrap(), b"/run/listener\0");
    assert_eq!((number(listener, 16, 3), number(listener, 16, 7)), (Some(77), Some(1000)));
    assert_eq!(number(&all[1].2, 16, 2), Some(53));
    assert_eq!(nl.dump(20, &unix(1 << 10, 0, 0)).unwrap().len(), 1);
    assert_eq!(nl.get(20, &unix(u32::MAX, 52, 0)).unwrap()[4..8], 52u32.to_ne_bytes());
    assert_eq!(nl.get(20, &unix(u32::MAX, 53, 0)), Err(Errno::ENOENT));
    assert_eq!(nl.get(20, &unix(u32::MAX, 0, 0)), Err(Errno::EINVAL));
}
