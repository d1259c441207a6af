//! The machine itself: what it has after its start.

use super::calls::{Sock, eventually};
use super::lan;
use crate::ResolvConf;

#[test]
fn the_card_has_a_lease_and_an_announced_address() {
    super::start();
    let eth0 = crate::interface::by_name(b"eth0").unwrap();
    assert_eq!((eth0.mac(), eth0.mtu(), eth0.index), (lan::OWN_MAC, 1500, 2));
    assert_eq!(eth0.first_v4(), Some(lan::LEASED));
    let announced = "2001:db8::ff:fe00:1".parse().unwrap();
    eventually("the router's announcement", || eth0.owns(&announced));
    assert!(eth0.owns(&"fe80::ff:fe00:1".parse().unwrap()));
    let pnp = crate::pnp();
    assert_eq!(pnp, "#PROTO: DHCP\ndomain example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nbootserver 192.0.2.1\n");
    let Some(ResolvConf::Text(text)) = crate::resolv_conf() else { panic!() };
    assert_eq!(text, "nameserver 192.0.2.53\n");
}

#[test]
fn datagrams_come_back_over_the_loopback() {
    let one = Sock::udp_at("127.0.0.1:5001");
    let two = Sock::udp_at("127.0.0.1:5002");
    assert_eq!(one.send_to(b"hello", "127.0.0.1:5002"), Ok(5));
    let (bytes, from) = two.recv_from(100).unwrap();
    assert_eq!((bytes.as_slice(), from), (&b"hello"[..], one.local()));
}

#[test]
fn a_connection_over_the_loopback() {
    let listener = Sock::listener("127.0.0.1:5003");
    let (one, two) = Sock::pair(&listener);
    assert_eq!(one.send(b"there"), Ok(5));
    assert_eq!(two.recv_all(5).unwrap(), b"there");
    drop(one);
    assert_eq!(two.recv(1).unwrap(), b"");
}
