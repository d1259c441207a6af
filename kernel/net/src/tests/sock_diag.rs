//! Sockets of netlink, and the families that tell of sockets and of themselves.

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::calls::{AGAIN, Sock};
use super::rtnetlink::{Netlink, address, attribute, find, number, text};
use crate::netlink;

const V4: u8 = 2;
const V6: u8 = 10;

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
