//! A LAN with one host besides us, 192.0.2.1: a router that is a server of DHCP too.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use inet::Bytes;

use super::machine::arrived;
use super::wire::{self, ARP, ICMPV6, IPV4, IPV6, UDP};
use crate::device::{Card, Features, Frame, Received, Traffic};

/// Our hardware address there.
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The router's.
pub const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
/// The router.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The address that is leased.
pub const LEASED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 15);
/// The router's address on the link.
pub const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
/// What it announces.
pub const PREFIX6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

/// The card.
pub struct Lan {
    arrived: Mutex<VecDeque<Vec<u8>>>,
    traffic: [Traffic; 2],
}

impl Lan {
    /// Plugged in.
    pub fn new() -> Arc<Lan> {
        Arc::new(Lan { arrived: Mutex::default(), traffic: Default::default() })
    }

    fn answer(&self, frame: Vec<u8>) {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push_back(frame);
        arrived();
    }

    fn take(&self, frame: &[u8]) {
        let Some((kind, packet)) = wire::ethernet_of(frame) else { return };
        match kind {
            ARP if packet[7] == 1 && packet[24..28] == ROUTER.octets() => {
                self.answer(wire::ethernet(OWN_MAC, ROUTER_MAC, ARP, &wire::arp_reply(packet, ROUTER_MAC)));
            }
            IPV4 => {
                let ip = wire::ipv4_of(packet);
                if ip.protocol == UDP && ip.payload[2..4] == 67u16.to_be_bytes() {
                    self.dhcp(&ip.payload[8..]);
                }
            }
            IPV6 => {
                let ip = wire::ipv6_of(packet);
                if ip.protocol == ICMPV6 && ip.payload[0] == 133 {
                    self.announce();
                }
            }
            _ => {}
        }
    }

    fn dhcp(&self, question: &[u8]) {
        let mut reply = question[..240].to_vec();
        reply[0] = 2;
        reply[16..20].copy_from_slice(&LEASED.octets());
        let kind = question[240..].windows(3).find(|o| o[0] == 53 && o[1] == 1).map_or(0, |o| o[2]);
        reply.extend([53, 1, if kind == 1 { 2 } else { 5 }]);
        reply.extend([54, 4, 192, 0, 2, 1, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 3, 4, 192, 0, 2, 1]);
        reply.extend([6, 8, 192, 0, 2, 1, 192, 0, 2, 2, 15, 7]);
        reply.extend(b"example\xff");
        let datagram = wire::udp4(ROUTER, Ipv4Addr::BROADCAST, 67, 68, &reply);
        let packet = wire::ipv4(ROUTER, Ipv4Addr::BROADCAST, UDP, &datagram);
        self.answer(wire::ethernet([0xff; 6], ROUTER_MAC, IPV4, &packet));
    }

    fn announce(&self) {
        let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
        message.extend([3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0]);
        message.extend(PREFIX6.octets());
        message.extend([1, 1]);
        message.extend(ROUTER_MAC);
        let all: Ipv6Addr = "ff02::1".parse().unwrap();
        let message = wire::icmp6(ROUTER6, all, message);
        let packet = wire::ipv6(ROUTER6, all, ICMPV6, 255, &message);
        self.answer(wire::ethernet([0x33, 0x33, 0, 0, 0, 1], ROUTER_MAC, IPV6, &packet));
    }
}

impl Card for Lan {
    fn features(&self) -> Features {
        Features { mac: OWN_MAC, mtu: 1500, checksums: false, segments: [false; 2] }
    }

    fn receive(&self, budget: usize, out: &mut Vec<Received>) -> bool {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let count = budget.min(arrived.len());
        for frame in arrived.drain(..count) {
            self.traffic[0].count(frame.len());
            out.push(Received { frame: Bytes::from(frame), checked: false });
        }
        !arrived.is_empty()
    }

    fn set_interrupts(&self, on: bool) -> bool {
        on && !self.arrived.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn transmit(&self, frame: Frame) {
        let bytes = wire::gathered(&frame);
        self.traffic[1].count(bytes.len());
        assert!(frame.offload.is_none(), "nothing of the kind was offered");
        self.take(&bytes);
    }

    fn kick(&self) {}

    fn received(&self) -> &Traffic {
        &self.traffic[0]
    }

    fn sent(&self) -> &Traffic {
        &self.traffic[1]
    }
}
