//! Settings of each interface: `conf/all`, `conf/default` and `conf/NAME`.

use alloc::sync::Arc;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;

use spin::Once;

use crate::address;
use crate::interface::{self, Interface};

/// Names of IPv4's, and what Linux has for them. Those with an effect here come first.
pub const V4: &[(&str, i32)] = &[
    ("accept_local", 0),
    ("route_localnet", 0),
    ("accept_source_route", 1),
    ("accept_redirects", 1),
    ("arp_accept", 0),
    ("arp_announce", 0),
    ("arp_evict_nocarrier", 1),
    ("arp_filter", 0),
    ("arp_ignore", 0),
    ("arp_notify", 0),
    ("bc_forwarding", 0),
    ("bootp_relay", 0),
    ("disable_policy", 0),
    ("disable_xfrm", 0),
    ("drop_gratuitous_arp", 0),
    ("drop_unicast_in_l2_multicast", 0),
    ("force_igmp_version", 0),
    ("forwarding", 0),
    ("igmpv2_unsolicited_report_interval", 10000),
    ("igmpv3_unsolicited_report_interval", 1000),
    ("ignore_routes_with_linkdown", 0),
    ("log_martians", 0),
    ("mc_forwarding", 0),
    ("medium_id", 0),
    ("promote_secondaries", 0),
    ("proxy_arp", 0),
    ("proxy_arp_pvlan", 0),
    ("rp_filter", 0),
    ("secure_redirects", 1),
    ("send_redirects", 1),
    ("shared_media", 1),
    ("src_valid_mark", 0),
    ("tag", 0),
];
const ACCEPT_LOCAL: usize = 0;
const ROUTE_LOCALNET: usize = 1;
const ACCEPT_SOURCE_ROUTE: usize = 2;

/// Names of IPv6's.
pub const V6: &[(&str, i32)] = &[
    ("disable_ipv6", 0),
    ("hop_limit", 64),
    ("accept_dad", 1),
    ("accept_ra", 1),
    ("accept_ra_defrtr", 1),
    ("accept_ra_from_local", 0),
    ("accept_ra_min_hop_limit", 1),
    ("accept_ra_mtu", 1),
    ("accept_ra_pinfo", 1),
    ("accept_ra_rt_info_max_plen", 0),
    ("accept_ra_rt_info_min_plen", 0),
    ("accept_ra_rtr_pref", 1),
    ("accept_redirects", 1),
    ("accept_source_route", 0),
    ("addr_gen_mode", 0),
    ("autoconf", 1),
    ("dad_transmits", 1),
    ("disable_policy", 0),
    ("drop_unicast_in_l2_multicast", 0),
    ("drop_unsolicited_na", 0),
    ("enhanced_dad", 1),
    ("force_mld_version", 0),
    ("force_tllao", 0),
    ("forwarding", 0),
    ("ignore_routes_with_linkdown", 0),
    ("keep_addr_on_down", 0),
    ("max_addresses", 16),
    ("max_desync_factor", 600),
    ("mc_forwarding", 0),
    ("mldv1_unsolicited_report_interval", 10000),
    ("mldv2_unsolicited_report_interval", 1000),
    ("ndisc_notify", 0),
    ("ndisc_tclass", 0),
    ("optimistic_dad", 0),
    ("proxy_ndp", 0),
    ("regen_max_retry", 3),
    ("router_probe_interval", 60),
    ("router_solicitation_delay", 1),
    ("router_solicitation_interval", 4),
    ("router_solicitation_max_interval", 3600),
    ("router_solicitations", -1),
    ("seg6_enabled", 0),
    ("suppress_frag_ndisc", 1),
    ("temp_prefered_lft", 86400),
    ("temp_valid_lft", 604_800),
    ("use_oif_addrs_only", 0),
    ("use_optimistic", 0),
    ("use_tempaddr", 0),
];
const ADDR_GEN_MODE: &str = "addr_gen_mode";
const DISABLE_IPV6: usize = 0;
const HOP_LIMIT: usize = 1;

/// The place of a setting in its table.
pub fn number_of(name: &str, v6: bool) -> Option<usize> {
    (if v6 { V6 } else { V4 }).iter().position(|(other, _)| *other == name)
}

/// The settings of one interface, of all, or of those to come.
pub struct Conf {
    v4: [AtomicI32; V4.len()],
    v6: [AtomicI32; V6.len()],
}

fn usual() -> Conf {
    let of = |table: &[(&str, i32)], n: usize| AtomicI32::new(table.get(n).map_or(0, |(_, value)| *value));
    Conf { v4: core::array::from_fn(|n| of(V4, n)), v6: core::array::from_fn(|n| of(V6, n)) }
}

static SHARED: Once<[Conf; 2]> = Once::new();

fn shared() -> &'static [Conf; 2] {
    SHARED.call_once(|| {
        let all = usual();
        // Source routes are heard where both the interface and all say so; at first all do not.
        if let Some(slot) = all.slot(false, ACCEPT_SOURCE_ROUTE) {
            slot.store(0, Relaxed);
        }
        [all, usual()]
    })
}

/// `conf/all`.
pub fn all_interfaces() -> &'static Conf {
    &shared()[0]
}

/// `conf/default`.
pub fn for_new_interfaces() -> &'static Conf {
    &shared()[1]
}

impl Default for Conf {
    fn default() -> Conf {
        let from = for_new_interfaces();
        let copy = |slot: Option<&AtomicI32>| AtomicI32::new(slot.map_or(0, |slot| slot.load(Relaxed)));
        Conf { v4: core::array::from_fn(|n| copy(from.v4.get(n))), v6: core::array::from_fn(|n| copy(from.v6.get(n))) }
    }
}

impl Conf {
    fn slot(&self, v6: bool, n: usize) -> Option<&AtomicI32> {
        if v6 { self.v6.get(n) } else { self.v4.get(n) }
    }

    /// The `n`th setting of [`V4`] or [`V6`].
    pub fn get(&self, v6: bool, n: usize) -> i32 {
        self.slot(v6, n).map_or(0, |slot| slot.load(Relaxed))
    }

    fn either(&self, n: usize) -> bool {
        self.get(false, n) != 0 || all_interfaces().get(false, n) != 0
    }

    /// Whether packets from our own addresses may come in by a wire.
    pub fn accepts_local(&self) -> bool {
        self.either(ACCEPT_LOCAL)
    }

    /// Whether packets to 127.0.0.0/8 may.
    pub fn routes_localnet(&self) -> bool {
        self.either(ROUTE_LOCALNET)
    }

    /// Whether packets that say by which way they go are heard.
    pub fn accepts_source_routes(&self) -> bool {
        self.get(false, ACCEPT_SOURCE_ROUTE) != 0 && all_interfaces().get(false, ACCEPT_SOURCE_ROUTE) != 0
    }

    /// How far packets go that say nothing else.
    pub fn hop_limit(&self) -> u8 {
        u8::try_from(self.get(true, HOP_LIMIT)).unwrap_or(64)
    }

    /// How addresses of IPv6 on the link are made: 0 from the hardware address, 1 not at all
    /// (`IN6_ADDR_GEN_MODE_*`).
    pub fn address_generation(&self) -> i32 {
        number_of(ADDR_GEN_MODE, true).map_or(0, |n| self.get(true, n))
    }

    /// Whether another address takes the place of the first one of its network that goes.
    pub fn promotes_secondaries(&self) -> bool {
        number_of("promote_secondaries", false).is_some_and(|n| self.either(n))
    }

    /// See [`Conf::address_generation`].
    pub fn set_address_generation(&self, mode: i32) {
        if let Some(slot) = number_of(ADDR_GEN_MODE, true).and_then(|n| self.slot(true, n)) {
            slot.store(mode, Relaxed);
        }
    }

    /// Whether there is no IPv6.
    pub fn ipv6_is_off(&self) -> bool {
        self.get(true, DISABLE_IPV6) != 0
    }
}

/// Whose settings.
#[derive(Clone)]
pub enum Place {
    /// `all`.
    All,
    /// `default`.
    Default,
    /// An interface's.
    Of(Arc<Interface>),
}

impl Place {
    /// The settings.
    pub fn conf(&self) -> &Conf {
        match self {
            Place::All => all_interfaces(),
            Place::Default => for_new_interfaces(),
            Place::Of(interface) => &interface.conf,
        }
    }
}

/// Sets one, and does what comes of it. What `all` says of IPv6 goes for everybody.
pub fn set(place: &Place, v6: bool, n: usize, value: i32) {
    let before = place.conf().slot(v6, n).map(|slot| slot.swap(value, Relaxed));
    if !v6 || n != DISABLE_IPV6 || before.is_none_or(|before| (before != 0) == (value != 0)) {
        return;
    }
    match place {
        Place::All => {
            for_new_interfaces().v6[DISABLE_IPV6].store(value, Relaxed);
            for interface in interface::all().iter() {
                set(&Place::Of(interface.clone()), v6, n, value);
            }
        }
        Place::Of(interface) => address::set_ipv6(interface, value == 0),
        Place::Default => {}
    }
}
