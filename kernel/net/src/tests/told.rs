//! What files of /proc and questions of ioctl(2) tell, and what they change.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::thread;

use linux_raw_sys::ioctl as i;
use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::calls::{Sock, at, decode, eventually};
use super::rtnetlink::{Netlink, alone, attribute, index_of, make_pair, unmake};
use super::tap::{Tap, ifreq};
use crate::sysctl::{self, Place};
use crate::{protocols, report, tables};

fn address(text: &str) -> [u8; 16] {
    at(&format!("{text}:0")).try_into().unwrap()
}

#[test]
fn interfaces_by_ioctl() {
    let _alone = alone();
    let nl = Netlink::route();
    make_pair(&nl, "io0", "io1");
    let socket = Sock::udp();
    let ask = |request: u32, rest: &[u8]| {
        let mut out = ifreq("io0", rest);
        socket.ioctl(request, &mut out).map(|_| out[16..].to_vec())
    };
    let word = |bytes: Vec<u8>| i32::from_ne_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(word(ask(i::SIOCGIFINDEX, &[]).unwrap()), index_of("io0") as i32);
    assert_eq!(word(ask(i::SIOCGIFMTU, &[]).unwrap()), 1500);
    assert_eq!(word(ask(i::SIOCGIFFLAGS, &[]).unwrap()) & 0x1043, 0x1043);
    assert_eq!(word(ask(i::SIOCGIFTXQLEN, &[]).unwrap()), 1000);
    assert_eq!(word(ask(i::SIOCGIFMETRIC, &[]).unwrap()), 0);
    assert_eq!(ask(i::SIOCGIFADDR, &[]), Err(Errno::EADDRNOTAVAIL));
    ask(i::SIOCSIFADDR, &address("10.201.0.1")).unwrap();
    ask(i::SIOCSIFNETMASK, &address("255.255.255.0")).unwrap();
    assert_eq!(decode(&ask(i::SIOCGIFADDR, &[]).unwrap()[..16]).ip(), core::net::IpAddr::from([10, 201, 0, 1]));
    assert_eq!(decode(&ask(i::SIOCGIFNETMASK, &[]).unwrap()[..16]).ip(), core::net::IpAddr::from([255, 255, 255, 0]));
    assert_eq!(decode(&ask(i::SIOCGIFBRDADDR, &[]).unwrap()[..16]).ip(), core::net::IpAddr::from([10, 201, 0, 255]));
    assert_eq!(ask(i::SIOCSIFNETMASK, &address("255.0.255.0")), Err(Errno::EINVAL));
    ask(i::SIOCSIFBRDADDR, &address("10.201.0.255")).unwrap();
    ask(i::SIOCSIFMTU, &1400i32.to_ne_bytes()).unwrap();
    assert_eq!(ask(i::SIOCSIFMTU, &20i32.to_ne_bytes()), Err(Errno::EINVAL));
    assert_eq!(word(ask(i::SIOCGIFMTU, &[]).unwrap()), 1400);
    ask(i::SIOCSIFTXQLEN, &77i32.to_ne_bytes()).unwrap();
    assert_eq!(word(ask(i::SIOCGIFTXQLEN, &[]).unwrap()), 77);
    ask(i::SIOCSIFHWADDR, &[1, 0, 2, 4, 4, 4, 4, 4]).unwrap();
    assert_eq!(ask(i::SIOCGIFHWADDR, &[]).unwrap()[..8], [1, 0, 2, 4, 4, 4, 4, 4]);
    assert_eq!(ask(i::SIOCSIFHWADDR, &[1, 0, 1, 4, 4, 4, 4, 4]), Err(Errno::EADDRNOTAVAIL));
    assert_eq!(ask(i::SIOCSIFHWADDR, &[9, 9, 2, 4, 4, 4, 4, 4]), Err(Errno::EINVAL));
    assert_eq!(ask(i::SIOCSIFMETRIC, &[]), Err(Errno::EOPNOTSUPP));
    assert_eq!(ask(0x89f1, &[]), Err(Errno::EOPNOTSUPP));
    assert_eq!(ask(0x89ef, &[]), Err(Errno::ENOTTY));
    // By its number, and all that have addresses.
    let mut name = ifreq("", &index_of("io0").to_ne_bytes());
    socket.ioctl(i::SIOCGIFNAME, &mut name).unwrap();
    assert_eq!(&name[..4], b"io0\0");
    let mut list = vec![0u8; 40 * 64];
    let mut ifconf = [(list.len() as u64).to_ne_bytes(), (list.as_mut_ptr().addr() as u64).to_ne_bytes()].concat();
    socket.ioctl(i::SIOCGIFCONF, &mut ifconf).unwrap();
    let len = i32::from_ne_bytes(ifconf[..4].try_into().unwrap()) as usize;
    let found: Vec<&[u8]> = list[..len].chunks(40).collect();
    assert!(found.iter().any(|one| one.starts_with(b"lo\0") && one[20..24] == [127, 0, 0, 1]));
    assert!(found.iter().any(|one| one.starts_with(b"io0\0") && one[20..24] == [10, 201, 0, 1]));
    // What drives it (ETHTOOL_GDRVINFO), and whether the other end is there (ETHTOOL_GLINK).
    let mut info = [0u8; 196];
    info[0] = 3;
    let asked = |buffer: &mut [u8]| ask(0x8946, &(buffer.as_mut_ptr().addr() as u64).to_ne_bytes());
    asked(&mut info).unwrap();
    assert_eq!(&info[4..9], b"veth\0");
    let mut link = [0x0a, 0, 0, 0, 9, 9, 9, 9];
    asked(&mut link).unwrap();
    assert_eq!(link[4..], 1u32.to_ne_bytes());
    assert_eq!(asked(&mut [0x99, 0, 0, 0, 0, 0, 0, 0]).map(|_| ()), Err(Errno::EOPNOTSUPP));
    // Another name.
    let mut rename = ifreq("io0", b"io0new\0");
    socket.ioctl(i::SIOCSIFNAME, &mut rename).unwrap();
    assert_eq!(ask(i::SIOCGIFMTU, &[]), Err(Errno::ENODEV));
    thread::spawn(|| {
        let socket = Sock::udp();
        caller::testing::become_user(1000, 1000);
        let denied = socket.ioctl(i::SIOCSIFMTU, &mut ifreq("io0new", &1300i32.to_ne_bytes()));
        assert_eq!(denied, Err(Errno::EPERM));
    })
    .join()
    .unwrap();
    unmake(&nl, "io0new").unwrap();
}

/// `struct rtentry`
fn rtentry(to: &str, gateway: &str, mask: &str, flags: u16) -> Vec<u8> {
    let mut out = vec![0; 120];
    out[8..24].copy_from_slice(&address(to));
    out[24..40].copy_from_slice(&address(gateway));
    out[40..56].copy_from_slice(&address(mask));
    out[56..58].copy_from_slice(&flags.to_ne_bytes());
    out
}

#[test]
fn routes_and_neighbours_by_ioctl() {
    let _alone = alone();
    let tap = Tap::new("rt0", &["10.202.0.1/24"]);
    let socket = Sock::udp();
    let mut entry = rtentry("172.25.0.0", "10.202.0.9", "255.255.0.0", 3);
    socket.ioctl(i::SIOCADDRT, &mut entry).unwrap();
    assert_eq!(socket.ioctl(i::SIOCADDRT, &mut entry), Err(Errno::EEXIST));
    socket.connect("172.25.1.1:9").unwrap();
    assert_eq!(socket.local().ip(), core::net::IpAddr::from([10, 202, 0, 1]));
    let line = report::route();
    assert!(line.contains("rt0\t000019AC\t0900CA0A\t0003\t0\t0\t0\t0000FFFF"), "{line}");
    socket.ioctl(i::SIOCDELRT, &mut entry).unwrap();
    assert_eq!(socket.ioctl(i::SIOCDELRT, &mut entry), Err(Errno::ESRCH));
    assert_eq!(socket.ioctl(i::SIOCADDRT, &mut rtentry("172.25.0.1", "10.202.0.9", "255.255.0.0", 3)), Err(Errno::EINVAL));
    assert_eq!(
        socket.ioctl(i::SIOCADDRT, &mut rtentry("172.25.0.0", "203.0.113.1", "255.255.0.0", 3)),
        Err(Errno::ENETUNREACH)
    );
    // struct arpreq: address, hardware address, flags, mask, device.
    let mut arp = vec![0; 68];
    arp[..16].copy_from_slice(&address("10.202.0.9"));
    arp[52..55].copy_from_slice(b"rt0");
    assert_eq!(socket.ioctl(i::SIOCGARP, &mut arp), Err(Errno::ENXIO));
    let known = [
        &[2, 0, 0, 0][..],
        &index_of("rt0").to_ne_bytes(),
        &[0x80, 0, 0, 0],
        &attribute(1, &[10, 202, 0, 9]),
        &attribute(2, &[2, 5, 5, 5, 5, 5]),
    ];
    Netlink::route().change(28, 0x400, &known.concat()).unwrap();
    socket.ioctl(i::SIOCGARP, &mut arp).unwrap();
    assert_eq!((&arp[18..24], arp[32] & 2), (&[2, 5, 5, 5, 5, 5][..], 2));
    assert!(report::arp().contains("10.202.0.9       0x1         0x6         02:05:05:05:05:05     *        rt0"));
    drop(tap);
}

#[test]
fn tables_of_sockets() {
    let listener = Sock::listener("127.0.0.1:5501");
    let (one, two) = Sock::pair(&listener);
    one.send(b"waits").unwrap();
    eventually("it is there", || two.events() & 1 != 0);
    let tcp = report::tcp(false);
    let port = one.local().port();
    assert!(tcp.contains("0100007F:157D 00000000:0000 0A 00000000:00000000"), "{tcp}");
    assert!(tcp.contains(&format!("0100007F:157D 0100007F:{port:04X} 01 00000000:00000005")), "{tcp}");
    let six = Sock::listener("[::1]:5502");
    assert!(report::tcp(true).contains("00000000000000000000000001000000:157E 00000000000000000000000000000000:0000 0A"));
    let datagrams = Sock::udp_at("127.0.0.1:5503");
    assert!(report::udp(17, false).contains("0100007F:157F 00000000:0000 07"));
    let raw = Sock::new(crate::socket::Family::V4, n::SOCK_RAW, 200).unwrap();
    assert!(report::raw(false, false).contains("00000000:00C8 00000000:0000 07"));
    let ping = Sock::new(crate::socket::Family::V4, n::SOCK_DGRAM, 1).unwrap();
    ping.bind("127.0.0.1:88").unwrap();
    assert!(report::raw(false, true).contains("0100007F:0058"));
    let sockstat = tables::sockstat(false);
    assert!(sockstat.starts_with("sockets: used ") && sockstat.contains("TCP: inuse "), "{sockstat}");
    assert!(tables::sockstat(true).starts_with("TCP6: inuse "));
    let lines = protocols::lines();
    assert_eq!(lines.lines().count(), 14);
    // Two of AF_UNIX are told of by the machine, one a stream.
    assert!(lines.lines().any(|line| line.starts_with("UNIX-STREAM") && line.split_whitespace().nth(2) == Some("1")));
    let nl = Netlink::route();
    assert!(tables::netlinks().lines().count() >= 1);
    drop((six, datagrams, raw, nl));
}

/// A number of a table like `snmp`: the heading's line, then the one with numbers.
fn counted(table: &str, title: &str, name: &str) -> u64 {
    let mut lines = table.lines().filter(|line| line.starts_with(title));
    let at = lines.next().unwrap().split(' ').position(|word| word == name).unwrap();
    lines.next().unwrap().split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
fn packets_are_counted() {
    let (one, two) = (Sock::udp_at("127.0.0.1:5504"), Sock::udp_at("127.0.0.1:5505"));
    let names = [
        ("Udp:", "InDatagrams"),
        ("Udp:", "OutDatagrams"),
        ("Ip:", "InReceives"),
        ("Ip:", "OutRequests"),
        ("Udp:", "NoPorts"),
    ];
    let before: Vec<u64> = names.iter().map(|(title, name)| counted(&tables::snmp(), title, name)).collect();
    for _ in 0..5 {
        one.send_to(b"x", "127.0.0.1:5505").unwrap();
        one.send_to(b"x", "127.0.0.1:5506").unwrap();
        two.recv(1).unwrap();
    }
    let after: Vec<u64> = names.iter().map(|(title, name)| counted(&tables::snmp(), title, name)).collect();
    for ((before, after), (_, name)) in before.iter().zip(&after).zip(names) {
        assert!(after >= &(before + 5), "{name}: {before} {after}");
    }
    let of6 = |name: &str| -> u64 {
        let table = tables::snmp6();
        table.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
    };
    let before = of6("Udp6InDatagrams");
    let six = Sock::udp_at("[::1]:5507");
    six.send_to(b"x", "[::1]:5507").unwrap();
    six.recv(1).unwrap();
    assert!(of6("Udp6InDatagrams") > before);
    let listener = Sock::listener("127.0.0.1:5508");
    let before = counted(&tables::snmp(), "Tcp:", "PassiveOpens");
    let ends = Sock::pair(&listener);
    assert!(counted(&tables::snmp(), "Tcp:", "PassiveOpens") > before);
    assert!(counted(&tables::snmp(), "Tcp:", "CurrEstab") >= 2);
    assert!(counted(&tables::netstat(), "IpExt:", "InOctets") == 0 || tables::netstat().contains("TcpExt:"));
    assert_eq!(tables::softnet_stat().lines().count(), 2);
    drop(ends);
}

#[test]
fn tables_of_interfaces_and_routes() {
    let _alone = alone();
    let tap = Tap::new("tb0", &["10.203.0.1/24", "fd33::1/64"]);
    let dev = report::dev();
    assert!(dev.lines().any(|line| line.trim_start().starts_with("lo:")) && dev.contains("tb0:"));
    let six = report::if_inet6();
    assert!(six.contains("00000000000000000000000000000001 01 80 10 80       lo"), "{six}");
    assert!(six.lines().any(|line| line.starts_with("fd330000000000000000000000000001") && line.ends_with("tb0")));
    assert!(report::ipv6_route().contains("fd330000000000000000000000000000 40"));
    assert!(report::route().contains("tb0\t0000CB0A\t00000000\t0001\t0\t0\t0\t00FFFFFF"));
    let trie = tables::fib_trie();
    assert!(trie.contains("10.203.0.0") && trie.contains("/32 host LOCAL"), "{trie}");
    assert!(tables::igmp6().contains("tb0") && tables::igmp().contains("tb0"));
    drop(tap);
}

#[test]
fn settings() {
    let _alone = alone();
    let number = |name: &str, v6: bool| sysctl::number_of(name, v6).unwrap();
    assert_eq!(sysctl::number_of("no_such", false), None);
    let tap = Tap::new("sc0", &["10.204.0.1/24", "fd34::1/64"]);
    let own = Place::Of(tap.interface.clone());
    assert_eq!(tap.interface.conf.get(false, number("rp_filter", false)), 0);
    sysctl::set_conf(&own, false, number("rp_filter", false), 2);
    assert_eq!(tap.interface.conf.get(false, number("rp_filter", false)), 2);
    // Without IPv6 there are no addresses of it.
    let ours = "fd34::1".parse().unwrap();
    assert!(tap.interface.owns(&ours));
    sysctl::set_conf(&own, true, number("disable_ipv6", true), 1);
    assert!(!tap.interface.owns(&ours) && tap.interface.conf.ipv6_is_off());
    sysctl::set_conf(&own, true, number("disable_ipv6", true), 0);
    assert!(!tap.interface.conf.ipv6_is_off());
    // New interfaces have what is said for such.
    sysctl::set_conf(&Place::Default, true, number("hop_limit", true), 33);
    assert_eq!(sysctl::hop_limit(), 33);
    let new = Tap::new("sc1", &[]);
    assert_eq!(new.interface.conf.get(true, number("hop_limit", true)), 33);
    sysctl::set_conf(&Place::Default, true, number("hop_limit", true), 64);
    let (low, high) = sysctl::ports();
    assert_eq!((low, high), (32768, 60999));
    assert!(sysctl::may_ping() && sysctl::answers_pings(false, false) && !sysctl::answers_pings(true, true));
    let used: Vec<String> = vec![tap.name.clone(), new.name.clone()];
    drop((tap, new, own));
    assert!(used.iter().all(|name| crate::interface::by_name(name.as_bytes()).is_none()));
}

#[test]
fn pings_may_be_left_alone() {
    let _alone = alone();
    let tap = Tap::new("sc2", &["10.205.0.1/24"]);
    let ping = || {
        let message = super::wire::icmp(vec![8, 0, 0, 0, 0, 9, 0, 9]);
        let (theirs, ours) = ([10, 205, 0, 9].into(), [10, 205, 0, 1].into());
        tap.put_ip(&super::wire::ipv4(theirs, ours, super::wire::ICMP, &message));
        eventually("it is looked at", || !crate::pending());
    };
    sysctl::ECHO_IGNORE_ALL.store(1, core::sync::atomic::Ordering::Relaxed);
    ping();
    thread::sleep(core::time::Duration::from_millis(3));
    let is_icmp = |frame: &Vec<u8>| frame[12..14] == [8, 0] && frame[23] == super::wire::ICMP;
    let answered = core::iter::from_fn(|| tap.take_now()).any(|frame| is_icmp(&frame));
    sysctl::ECHO_IGNORE_ALL.store(0, core::sync::atomic::Ordering::Relaxed);
    assert!(!answered);
    ping();
    tap.find_ip(super::wire::ICMP);
}
