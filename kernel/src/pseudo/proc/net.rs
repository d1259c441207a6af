//! /proc/PID/net: tables of the network.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use fs::pseudo::{NodeSpec, PseudoNode};

use crate::net::output::{UDP, UDPLITE};
use crate::net::{protocols, report, tables};

const UDP_HEADING: &str =
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const RAW_HEADING: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const UDP6_HEADING: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue \
    tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";

/// Names, the widths that headings are padded to, and headings (proc_pid_net(5)). What has no
/// heading on Linux is empty.
const TABLES: &[(&str, usize, &str)] = &[
    (
        "dev",
        0,
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed \
         multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    ),
    ("if_inet6", 0, ""),
    ("ipv6_route", 0, ""),
    ("arp", 0, "IP address       HW type     Flags       HW address            Mask     Device\n"),
    ("route", 127, "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"),
    ("netlink", 0, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"),
    ("pnp", 0, ""),
    ("snmp", 0, ""),
    ("snmp6", 0, ""),
    ("netstat", 0, ""),
    ("sockstat", 0, ""),
    ("sockstat6", 0, ""),
    ("igmp", 0, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"),
    ("igmp6", 0, ""),
    ("ptype", 0, "Type Device      Function\n"),
    ("dev_mcast", 0, ""),
    ("packet", 0, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    ("tcp", 149, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"),
    (
        "tcp6",
        0,
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when \
         retrnsmt   uid  timeout inode\n",
    ),
    ("udp", 127, UDP_HEADING),
    ("udp6", 0, UDP6_HEADING),
    ("udplite", 127, UDP_HEADING),
    ("udplite6", 0, UDP6_HEADING),
    ("raw", 0, RAW_HEADING),
    ("raw6", 0, UDP6_HEADING),
    ("icmp", 127, RAW_HEADING),
    ("icmp6", 0, UDP6_HEADING),
    ("fib_trie", 0, ""),
    ("anycast6", 0, ""),
    ("ip6_flowlabel", 0, "Label S Owner  Users  Linger Expires  Dst                              Opt\n"),
    (
        "rt_cache",
        127,
        "Iface\tDestination\tGateway \tFlags\t\tRefCnt\tUse\tMetric\tSource\t\tMTU\tWindow\tIRTT\tTOS\tHHRef\tHHUptod\tSpecDst\n",
    ),
    (
        "protocols",
        0,
        "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n",
    ),
    ("psched", 0, ""),
    ("softnet_stat", 0, ""),
    ("unix", 0, "Num       RefCount Protocol Flags    Type St Inode Path\n"),
];

/// The directory.
pub fn directory(dev: u64, spec: NodeSpec) -> Arc<PseudoNode> {
    let dir = PseudoNode::dir(spec);
    for (key, (name, width, text)) in (1..).zip(TABLES) {
        let spec = NodeSpec::new(dev, 0o444).ino(spec.ino + (key << 20));
        let padded = move || {
            let heading = text.strip_suffix('\n').map(|line| format!("{line:<width$}\n")).unwrap_or_default();
            Ok((heading + &lines(name)).into_bytes())
        };
        dir.insert(name, PseudoNode::text(spec, padded));
    }
    dir
}

/// What stands under the heading of a table.
fn lines(name: &str) -> String {
    match name {
        "tcp" => report::tcp(false),
        "tcp6" => report::tcp(true),
        "udp" => report::udp(UDP, false),
        "udp6" => report::udp(UDP, true),
        "udplite" => report::udp(UDPLITE, false),
        "udplite6" => report::udp(UDPLITE, true),
        "raw" => report::raw(false, false),
        "raw6" => report::raw(true, false),
        "icmp" => report::raw(false, true),
        "icmp6" => report::raw(true, true),
        "fib_trie" => tables::fib_trie(),
        "dev" => report::dev(),
        "route" => report::route(),
        "ipv6_route" => report::ipv6_route(),
        "if_inet6" => report::if_inet6(),
        "arp" => report::arp(),
        "unix" => unix::report::lines(),
        "snmp" => tables::snmp(),
        "snmp6" => tables::snmp6(),
        "netstat" => tables::netstat(),
        "sockstat" => tables::sockstat(false),
        "sockstat6" => tables::sockstat(true),
        "packet" => tables::packets(),
        "netlink" => tables::netlinks(),
        "igmp" => tables::igmp(),
        "igmp6" => tables::igmp6(),
        "protocols" => protocols::lines(),
        // Ticks of packet schedulers: nanoseconds by 64, and a clock of nanoseconds.
        "psched" => "000003e8 00000040 000f4240 3b9aca00\n".into(),
        "softnet_stat" => tables::softnet_stat(),
        "ptype" => "0800          ip_rcv\n0806          arp_rcv\n86dd          ipv6_rcv\n".into(),
        "pnp" => crate::net::pnp(),
        _ => String::new(),
    }
}
