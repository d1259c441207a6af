//! An interface whose other end the test has, of a tap.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use std::time::{Duration, Instant};

use fd::OpenFile;
use fd::io::{Sink, Source};
use fs::OpenFlags;
use inet::ip::Cidr;
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use alloc::sync::Arc;

use super::calls::Sock;
use super::wire::{self, ARP, IPV4, Ip};
use crate::interface::{self, Interface};
use crate::tun::TunFile;

/// The neighbour behind each tap.
pub const THEIR_MAC: [u8; 6] = [2, 0, 0, 0, 9, 9];

/// The test's end.
pub struct Tap {
    /// The device's file.
    pub file: Arc<OpenFile>,
    /// Its name.
    pub name: String,
    /// The network's end.
    pub interface: Arc<Interface>,
}

/// An open `/dev/net/tun`.
pub fn device() -> Sock {
    super::start();
    Sock(fd::socket::open(TunFile::open(), OpenFlags::NONBLOCK))
}

/// `struct ifreq` with a name and what follows.
pub fn ifreq(name: &str, rest: &[u8]) -> [u8; 40] {
    let mut out = [0; 40];
    out[..name.len()].copy_from_slice(name.as_bytes());
    out[16..16 + rest.len()].copy_from_slice(rest);
    out
}

impl Tap {
    /// An interface that is up, with these addresses. `flags` are of `IFF_TAP` and its like.
    pub fn with_flags(name: &str, flags: u16, own: &[&str]) -> Tap {
        let device = device();
        let mut request = ifreq(name, &flags.to_ne_bytes());
        device.ioctl(i::TUNSETIFF, &mut request).unwrap();
        let interface = interface::by_name(name.as_bytes()).unwrap();
        let tap = Tap { file: device.0, name: name.into(), interface };
        let control = Sock::udp();
        let up = tap.interface.flags() as u16 | 1;
        let mut request = ifreq(name, &up.to_ne_bytes());
        control.ioctl(i::SIOCSIFFLAGS, &mut request).unwrap();
        for own in own {
            crate::address::add(&tap.interface, Cidr::parse(own).unwrap()).unwrap();
        }
        tap
    }

    /// A tap without a header before its frames.
    pub fn new(name: &str, own: &[&str]) -> Tap {
        Tap::with_flags(name, 0x1002, own)
    }

    /// A frame comes.
    pub fn put(&self, frame: &[u8]) -> SysResult<usize> {
        self.file.ops.write(&self.file, &mut Source::Kernel(frame))
    }

    /// A frame for us of this type.
    pub fn put_packet(&self, kind: u16, packet: &[u8]) {
        let frame = wire::ethernet(self.interface.mac(), THEIR_MAC, kind, packet);
        assert_eq!(self.put(&frame), Ok(frame.len()));
    }

    /// A packet of IPv4 for us.
    pub fn put_ip(&self, packet: &[u8]) {
        self.put_packet(IPV4, packet);
    }

    /// A frame that was sent, if there is one.
    pub fn take_now(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        match self.file.ops.read(&self.file, &mut Sink::Kernel(&mut buffer)) {
            Ok(n) => {
                buffer.truncate(n);
                Some(buffer)
            }
            Err(Errno::EAGAIN) => None,
            Err(errno) => panic!("{errno:?}"),
        }
    }

    /// The next frame that `wanted` makes something of. The neighbour answers questions after
    /// 4th-octet-9 addresses meanwhile.
    pub fn find<T>(&self, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            let Some(frame) = self.take_now() else {
                std::thread::sleep(Duration::from_micros(300));
                continue;
            };
            if let Some(found) = wanted(&frame) {
                return Some(found);
            }
            if let Some((ARP, packet)) = wire::ethernet_of(&frame)
                && packet[7] == 1
                && packet[27] == 9
            {
                let reply = wire::arp_reply(packet, THEIR_MAC);
                self.put_packet(ARP, &reply);
            }
        }
        None
    }

    /// The next packet of IPv4 with this protocol that was sent.
    pub fn find_ip(&self, protocol: u8) -> Ip<Ipv4Addr> {
        let found = self.find(|frame| {
            let (kind, packet) = wire::ethernet_of(frame)?;
            (kind == IPV4 && packet[9] == protocol).then(|| wire::ipv4_of(packet))
        });
        found.unwrap_or_else(|| panic!("{} sends nothing of protocol {protocol}", self.name))
    }

    /// The next packet of IPv6 with this protocol, and for ICMPv6 of this type, that was sent.
    pub fn find_ip6(&self, protocol: u8, first: Option<u8>) -> Ip<core::net::Ipv6Addr> {
        let found = self.find(|frame| {
            let (kind, packet) = wire::ethernet_of(frame)?;
            let fits = kind == wire::IPV6 && packet[6] == protocol && first.is_none_or(|first| packet[40] == first);
            fits.then(|| wire::ipv6_of(packet))
        });
        found.unwrap_or_else(|| panic!("{} sends nothing of protocol {protocol} and type {first:?}", self.name))
    }
}
