//! What changes, for those who have joined a group of `NETLINK_ROUTE` (rtnetlink(7)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use inet::ip::Cidr;

use super::message::message;
use super::{anybody, family, route, sockets};
use crate::interface::Interface;
use crate::route::Route;
use crate::rule::Rule;

/// `RTNLGRP_*`; those of IPv4 first.
const LINK: u32 = 1;
const NEIGHBOR: u32 = 3;
const ADDRESS: [u32; 2] = [5, 9];
const ROUTE: [u32; 2] = [7, 11];
const RULE: [u32; 2] = [8, 19];

/// Sends a message to a group. The types of what is gone follow those of what is new.
fn tell(group: u32, kind: u16, new: bool, body: impl FnOnce() -> Vec<u8>) {
    if !anybody() {
        return;
    }
    let listeners: Vec<_> =
        sockets().into_iter().filter(|socket| socket.protocol_is(family::ROUTE) && socket.listens_to(group)).collect();
    if listeners.is_empty() {
        return;
    }
    let message = message(if new { kind } else { kind + 1 }, 0, 0, 0, &body());
    for socket in listeners {
        socket.hear(message.clone(), 0, group);
    }
}

/// An interface is new, or has changed; or it is gone.
pub fn link(interface: &Interface, new: bool) {
    tell(LINK, route::NEW_LINK, new, || route::link::describe(interface));
}

/// An address is new or gone.
pub fn address(interface: &Arc<Interface>, own: &Cidr, new: bool) {
    let group = ADDRESS[usize::from(own.address.is_ipv6())];
    tell(group, route::NEW_ADDRESS, new, || route::address::describe(interface, own));
}

/// A route is new or gone.
pub fn route(which: &Route, new: bool) {
    let group = ROUTE[usize::from(which.destination.address.is_ipv6())];
    tell(group, route::NEW_ROUTE, new, || route::routes::describe(which));
}

/// Somebody's hardware address is known, by a program or by asking, or it is no longer.
pub fn neighbor(interface: &Interface, ip: &IpAddr, mac: &[u8; 6], state: u16, new: bool) {
    tell(NEIGHBOR, route::NEW_NEIGHBOR, new, || route::neighbors::describe(interface, ip, mac, state));
}

/// A rule is new or gone.
pub fn rule(which: &Rule, new: bool) {
    let group = RULE[usize::from(which.to.address.is_ipv6())];
    tell(group, route::NEW_RULE, new, || route::rules::describe(which));
}
