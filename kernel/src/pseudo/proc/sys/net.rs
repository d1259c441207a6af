//! /proc/sys/net (Documentation/networking/ip-sysctl.rst).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::AtomicI32;
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::sysctl::Name;
use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode};
use fs::{FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::setting::Settings;
use crate::net::sysctl::{self, Place, V4, V6};
use crate::net::{interface, tcp, udp};
use crate::pseudo::Tree;
use mem::PAGE_SIZE;

const INT: i64 = i32::MAX as i64;
const UNSIGNED: i64 = u32::MAX as i64;
/// Least buffers (`SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`).
const MIN_BUFFERS: [i32; 2] = [2304, 4608];

pub fn fill(s: &Settings) {
    core(s);
    ipv4(s);
    ipv6(s);
    tcp(s);
    without_effect(s);
    for (folder, v6) in [("ipv4", false), ("ipv6", true)] {
        // Nothing remembers where packets went.
        s.trigger(&alloc::format!("net/{folder}/route/flush"), i32::MIN.into()..=INT, |_| Ok(()));
        let source = Interfaces { dev: s.tree.dev, v6 };
        let conf = PseudoNode::dynamic(NodeSpec::new(s.tree.dev, 0o555), source);
        s.tree.put(&alloc::format!("sys/net/{folder}/conf"), conf);
    }
}

fn core(s: &Settings) {
    s.int("net/core/somaxconn", &sysctl::SOMAXCONN, 0..=i32::MAX);
    s.int("net/core/rmem_default", &sysctl::RMEM_DEFAULT, MIN_BUFFERS[0]..=i32::MAX);
    s.int("net/core/rmem_max", &sysctl::RMEM_MAX, MIN_BUFFERS[0]..=i32::MAX);
    s.int("net/core/wmem_default", &sysctl::WMEM_DEFAULT, MIN_BUFFERS[1]..=i32::MAX);
    s.int("net/core/wmem_max", &sysctl::WMEM_MAX, MIN_BUFFERS[1]..=i32::MAX);
    s.fixed("net/core/default_qdisc", "noqueue");
    s.fixed("net/unix/max_dgram_qlen", "512");
}

/// Several numbers, of which none is less than the one before.
fn rising(s: &Settings, path: &str, cells: &'static [AtomicI32], least: i64, most: i64, ordered: bool) {
    let get = || cells.iter().map(|cell| cell.load(Relaxed).into()).collect();
    s.numbers(path, least..=most, get, move |new| {
        if ordered && new.windows(2).any(|pair| pair[1] < pair[0]) {
            return Err(Errno::EINVAL);
        }
        cells.iter().zip(new).for_each(|(cell, new)| cell.store((*new).min(INT) as i32, Relaxed));
        Ok(())
    });
}

fn ipv4(s: &Settings) {
    s.int("net/ipv4/ip_default_ttl", &sysctl::DEFAULT_TTL, 1..=255);
    s.int("net/ipv4/ip_unprivileged_port_start", &sysctl::UNPRIVILEGED_PORT, 0..=65535);
    s.int("net/ipv4/ip_nonlocal_bind", &sysctl::NONLOCAL_BIND, 0..=255);
    s.int("net/ipv4/icmp_echo_ignore_all", &sysctl::ECHO_IGNORE_ALL, 0..=1);
    s.int("net/ipv4/icmp_echo_ignore_broadcasts", &sysctl::ECHO_IGNORE_BROADCASTS, 0..=1);
    s.int("net/ipv4/igmp_max_memberships", &sysctl::MAX_MEMBERSHIPS, i32::MIN..=i32::MAX);
    s.fixed("net/ipv4/ip_local_reserved_ports", "");
    if let Some(n) = V4.iter().position(|(name, _)| *name == "forwarding") {
        // For everybody there is, and everybody to come.
        let set = move |value: i64| {
            let of = interface::all().iter().cloned().map(Place::Of).collect::<Vec<_>>();
            for place in [Place::All, Place::Default].iter().chain(&of) {
                sysctl::set_conf(place, false, n, i32::from(value != 0));
            }
            Ok(())
        };
        s.number("net/ipv4/ip_forward", i32::MIN.into()..=INT, move || Place::All.conf().get(false, n).into(), set);
    }
    rising(s, "net/ipv4/ip_local_port_range", &sysctl::PORT_RANGE, 1, 65535, true);
    rising(s, "net/ipv4/ping_group_range", &sysctl::PING_GROUPS, 0, UNSIGNED, false);
}

fn ipv6(s: &Settings) {
    s.int("net/ipv6/bindv6only", &sysctl::BIND_V6_ONLY, 0..=1);
    s.int("net/ipv6/ip_nonlocal_bind", &sysctl::NONLOCAL_BIND6, 0..=255);
    s.int("net/ipv6/icmp/echo_ignore_all", &sysctl::ECHO_IGNORE_ALL6, 0..=1);
    s.fixed("net/ipv6/icmp/echo_ignore_multicast", "1");
}

fn tcp(s: &Settings) {
    s.int("net/ipv4/tcp_keepalive_time", &sysctl::KEEPALIVE_TIME, 1..=32767);
    s.int("net/ipv4/tcp_keepalive_intvl", &sysctl::KEEPALIVE_INTERVAL, 1..=32767);
    s.int("net/ipv4/tcp_keepalive_probes", &sysctl::KEEPALIVE_PROBES, 1..=127);
    s.int("net/ipv4/tcp_syn_retries", &sysctl::SYN_RETRIES, 1..=127);
    s.int("net/ipv4/tcp_fin_timeout", &sysctl::FIN_TIMEOUT, 0..=i32::MAX);
    s.uint("net/ipv4/tcp_max_tw_buckets", &tcp::MAX_TIME_WAITS, 0..=i32::MAX as u32);
    rising(s, "net/ipv4/tcp_rmem", &sysctl::TCP_RMEM, 1, INT, false);
    rising(s, "net/ipv4/tcp_wmem", &sysctl::TCP_WMEM, 1, INT, false);
    s.fixed("net/ipv4/tcp_available_congestion_control", "reno");
    s.fixed("net/ipv4/tcp_allowed_congestion_control", "reno");
    let set = |name: &[u8]| if name.trim_ascii() == b"reno" { Ok(()) } else { Err(Errno::ENOENT) };
    s.name("net/ipv4/tcp_congestion_control", Name { get: || b"reno".to_vec(), set, limit: 16 });
}

/// What programs that tune machines read and write. What these govern on Linux is not here, or not
/// to be chosen.
fn without_effect(s: &Settings) {
    s.kept("net/ipv4/fib_multipath_hash_policy", 0, 0..=3);
    s.kept("net/ipv4/icmp_errors_use_inbound_ifaddr", 0, 0..=1);
    s.kept("net/ipv4/icmp_ignore_bogus_error_responses", 1, 0..=1);
    s.kept("net/ipv4/icmp_msgs_burst", 50, 0..=INT);
    s.kept("net/ipv4/icmp_msgs_per_sec", 1000, 0..=INT);
    s.kept("net/ipv4/icmp_ratelimit", 1000, 0..=INT);
    s.kept("net/ipv4/icmp_ratemask", 6168, 0..=INT);
    s.kept("net/ipv4/igmp_max_msf", 10, 0..=INT);
    s.kept("net/ipv4/igmp_qrv", 2, 1..=INT);
    s.kept("net/ipv4/ip_dynaddr", 0, 0..=255);
    s.kept("net/ipv4/ip_early_demux", 1, 0..=255);
    s.kept("net/ipv4/ip_forward_use_pmtu", 0, 0..=255);
    s.kept("net/ipv4/ip_no_pmtu_disc", 0, 0..=255);
    s.kept("net/ipv4/ipfrag_high_thresh", 4_194_304, 0..=i64::MAX);
    s.kept("net/ipv4/ipfrag_low_thresh", 3_145_728, 0..=i64::MAX);
    s.kept("net/ipv4/ipfrag_max_dist", 64, 0..=INT);
    s.kept("net/ipv4/ipfrag_time", 30, 0..=INT);
    s.kept("net/ipv4/tcp_abort_on_overflow", 0, 0..=255);
    s.kept("net/ipv4/tcp_adv_win_scale", 1, -31..=31);
    s.kept("net/ipv4/tcp_app_win", 31, 0..=31);
    s.kept("net/ipv4/tcp_autocorking", 1, 0..=1);
    s.kept("net/ipv4/tcp_base_mss", 1024, 0..=INT);
    s.kept("net/ipv4/tcp_challenge_ack_limit", 2_147_483_647, 0..=INT);
    s.kept("net/ipv4/tcp_dsack", 1, 0..=255);
    s.kept("net/ipv4/tcp_early_retrans", 3, 0..=4);
    s.kept("net/ipv4/tcp_ecn", 2, 0..=5);
    s.kept("net/ipv4/tcp_ecn_fallback", 1, 0..=1);
    s.kept("net/ipv4/tcp_fack", 0, 0..=255);
    s.kept("net/ipv4/tcp_fastopen", 1, 0..=INT);
    s.kept("net/ipv4/tcp_frto", 2, 0..=255);
    s.kept("net/ipv4/tcp_invalid_ratelimit", 500, 0..=INT);
    s.kept("net/ipv4/tcp_limit_output_bytes", 4_194_304, 0..=INT);
    s.kept("net/ipv4/tcp_max_orphans", 4096, 0..=INT);
    s.kept("net/ipv4/tcp_max_reordering", 300, 0..=INT);
    s.kept("net/ipv4/tcp_max_syn_backlog", 128, 0..=INT);
    s.kept("net/ipv4/tcp_min_rtt_wlen", 300, 0..=86400);
    s.kept("net/ipv4/tcp_min_snd_mss", 48, 48..=65535);
    s.kept("net/ipv4/tcp_min_tso_segs", 2, 1..=255);
    s.kept("net/ipv4/tcp_moderate_rcvbuf", 1, 0..=1);
    s.kept("net/ipv4/tcp_mtu_probing", 0, 0..=2);
    s.kept("net/ipv4/tcp_no_metrics_save", 0, 0..=255);
    s.kept("net/ipv4/tcp_notsent_lowat", 4_294_967_295, 0..=UNSIGNED);
    s.kept("net/ipv4/tcp_orphan_retries", 0, 0..=255);
    s.kept("net/ipv4/tcp_pacing_ca_ratio", 120, 0..=1000);
    s.kept("net/ipv4/tcp_pacing_ss_ratio", 200, 0..=1000);
    s.kept("net/ipv4/tcp_probe_interval", 600, 0..=UNSIGNED);
    s.kept("net/ipv4/tcp_probe_threshold", 8, 0..=INT);
    s.kept("net/ipv4/tcp_recovery", 1, 0..=255);
    s.kept("net/ipv4/tcp_reordering", 3, 1..=INT);
    s.kept("net/ipv4/tcp_retrans_collapse", 1, 0..=255);
    s.kept("net/ipv4/tcp_retries1", 3, 0..=255);
    s.kept("net/ipv4/tcp_retries2", 15, 0..=255);
    s.kept("net/ipv4/tcp_rfc1337", 0, 0..=255);
    s.kept("net/ipv4/tcp_sack", 1, 0..=1);
    s.kept("net/ipv4/tcp_slow_start_after_idle", 1, 0..=1);
    s.kept("net/ipv4/tcp_stdurg", 0, 0..=255);
    s.kept("net/ipv4/tcp_synack_retries", 5, 0..=255);
    s.kept("net/ipv4/tcp_syncookies", 1, 0..=2);
    s.kept("net/ipv4/tcp_thin_linear_timeouts", 0, 0..=1);
    s.kept("net/ipv4/tcp_timestamps", 1, 0..=2);
    s.kept("net/ipv4/tcp_tso_win_divisor", 3, 0..=255);
    s.kept("net/ipv4/tcp_tw_reuse", 2, 0..=2);
    s.kept("net/ipv4/tcp_window_scaling", 1, 0..=1);
    s.kept("net/ipv4/tcp_workaround_signed_windows", 0, 0..=255);
    s.kept("net/ipv4/udp_rmem_min", 4096, 1..=INT);
    s.kept("net/ipv4/udp_wmem_min", 4096, 1..=INT);
    s.kept("net/ipv4/fib_multipath_use_neigh", 0, 0..=1);
    s.kept("net/ipv4/fwmark_reflect", 0, 0..=255);
    s.kept("net/ipv4/icmp_echo_enable_probe", 0, 0..=1);
    s.kept("net/ipv4/igmp_link_local_mcast_reports", 1, 0..=255);
    s.kept("net/ipv4/ip_autobind_reuse", 0, 0..=1);
    s.kept("net/ipv4/ip_forward_update_priority", 1, 0..=1);
    s.kept("net/ipv4/tcp_backlog_ack_defer", 1, 0..=1);
    s.kept("net/ipv4/tcp_comp_sack_delay_ns", 1_000_000, 0..=i64::MAX);
    s.kept("net/ipv4/tcp_comp_sack_nr", 44, 0..=255);
    s.kept("net/ipv4/tcp_comp_sack_slack_ns", 100_000, 0..=i64::MAX);
    s.kept("net/ipv4/tcp_early_demux", 1, 0..=255);
    s.kept("net/ipv4/tcp_fastopen_blackhole_timeout_sec", 0, 0..=INT);
    s.kept("net/ipv4/tcp_fwmark_accept", 0, 0..=255);
    s.kept("net/ipv4/tcp_migrate_req", 0, 0..=1);
    s.kept("net/ipv4/tcp_mtu_probe_floor", 48, 48..=65535);
    s.kept("net/ipv4/tcp_no_ssthresh_metrics_save", 1, 0..=1);
    s.kept("net/ipv4/tcp_pingpong_thresh", 1, 1..=255);
    s.kept("net/ipv4/tcp_reflect_tos", 0, 0..=1);
    s.kept("net/ipv4/tcp_rto_max_ms", 120_000, 1000..=120_000);
    s.kept("net/ipv4/tcp_rto_min_us", 200_000, 1..=INT);
    s.kept("net/ipv4/tcp_shrink_window", 0, 0..=1);
    s.kept("net/ipv4/tcp_syn_linear_timeouts", 4, 0..=127);
    s.kept("net/ipv4/udp_early_demux", 1, 0..=255);
    s.kept("net/ipv6/flowlabel_reflect", 0, 0..=7);
    s.kept("net/ipv6/fwmark_reflect", 0, 0..=255);
    s.kept("net/ipv6/max_dst_opts_length", 2_147_483_647, i32::MIN.into()..=INT);
    s.kept("net/ipv6/max_dst_opts_number", 8, i32::MIN.into()..=INT);
    s.kept("net/ipv6/max_hbh_length", 2_147_483_647, i32::MIN.into()..=INT);
    s.kept("net/ipv6/max_hbh_opts_number", 8, i32::MIN.into()..=INT);
    s.kept("net/ipv6/auto_flowlabels", 1, 0..=3);
    s.kept("net/ipv6/flowlabel_consistency", 1, 0..=1);
    s.kept("net/ipv6/idgen_delay", 1, 0..=INT);
    s.kept("net/ipv6/idgen_retries", 3, 0..=INT);
    s.kept("net/ipv6/ip6frag_high_thresh", 4_194_304, 0..=i64::MAX);
    s.kept("net/ipv6/ip6frag_low_thresh", 3_145_728, 0..=i64::MAX);
    s.kept("net/ipv6/ip6frag_time", 60, 0..=INT);
    s.kept("net/ipv6/mld_max_msf", 64, 0..=INT);
    s.kept("net/ipv6/mld_qrv", 2, 1..=INT);
    s.kept("net/ipv6/icmp/ratelimit", 1000, 0..=INT);
    s.kept("net/core/bpf_jit_enable", 0, 0..=2);
    s.kept("net/core/busy_poll", 0, 0..=INT);
    s.kept("net/core/busy_read", 0, 0..=INT);
    s.kept("net/core/dev_weight", 64, 1..=INT);
    s.kept("net/core/message_burst", 10, 0..=INT);
    s.kept("net/core/message_cost", 5, 0..=INT);
    s.kept("net/core/netdev_budget", 300, 1..=INT);
    s.kept("net/core/netdev_max_backlog", 1000, 0..=INT);
    s.kept("net/core/optmem_max", 131_072, 0..=INT);
    s.kept("net/core/tstamp_allow_data", 1, 0..=1);
    s.kept("net/core/warnings", 0, 0..=INT);
    s.kept("net/ipv4/route/max_size", 2_147_483_647, 0..=INT);
    s.kept("net/ipv4/route/min_adv_mss", 256, 0..=INT);
    s.kept("net/ipv4/route/min_pmtu", 552, 68..=INT);
    s.kept("net/ipv4/route/mtu_expires", 600, 0..=INT);
    s.kept("net/ipv6/route/gc_thresh", 1024, 0..=INT);
    s.kept("net/ipv6/route/max_size", 2_147_483_647, 0..=INT);
    s.kept("net/ipv6/route/min_adv_mss", 1220, 0..=INT);
    s.fixed("net/ipv4/tcp_mem", "188319\t251094\t376638");
    s.shown("net/ipv4/udp_mem", || {
        let [low, pressure, most] = udp::most_held().map(|bytes| bytes / PAGE_SIZE);
        format!("{low}\t{pressure}\t{most}")
    });
}

/// `conf`: a directory for each interface, for all, and for those to come.
struct Interfaces {
    dev: u64,
    v6: bool,
}

impl DirSource for Interfaces {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let place = match name {
            b"all" => Place::All,
            b"default" => Place::Default,
            _ => Place::Of(interface::by_name(name).ok_or(Errno::ENOENT)?),
        };
        let tree = Tree { dev: self.dev, size: None, root: PseudoNode::dir(NodeSpec::new(self.dev, 0o555)) };
        let settings = Settings { tree };
        let v6 = self.v6;
        for (n, (name, _)) in (if v6 { V6 } else { V4 }).iter().enumerate() {
            let (of, to) = (place.clone(), place.clone());
            let get = move || of.conf().get(v6, n).into();
            settings.number(name, i32::MIN.into()..=INT, get, move |new| {
                sysctl::set_conf(&to, v6, n, new as i32);
                Ok(())
            });
        }
        if let (true, Place::Of(interface)) = (v6, place) {
            settings.shown("mtu", move || -> String { alloc::format!("{}", interface.mtu()) });
        }
        // Rows have their place below `sys`.
        Ok(settings.tree.dir("sys"))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let interfaces = interface::all().iter().map(|i| (i.index + 2, i.name().into_bytes())).collect::<Vec<_>>();
        let shared = [(1, b"all".to_vec()), (2, b"default".to_vec())];
        let names = shared.into_iter().chain(interfaces).filter(|(key, _)| *key >= from);
        let entry = |(key, name): (u32, Vec<u8>)| PseudoEntry { key, name, ino: key.into(), file_type: FileType::Dir };
        Ok(names.map(entry).collect())
    }
}
