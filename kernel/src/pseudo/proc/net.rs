//! /proc/PID/net: tables of the network. There is none yet, so those of the protocols have their heading only.

use alloc::format;
use alloc::sync::Arc;

use fs::pseudo::{NodeSpec, PseudoNode};

/// Names, the widths that headings are padded to, and headings (proc_pid_net(5)). What has no heading on Linux is empty.
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
    ("packet", 0, "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    ("tcp", 149, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"),
    (
        "tcp6",
        0,
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when \
         retrnsmt   uid  timeout inode\n",
    ),
    (
        "udp",
        127,
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    (
        "udp6",
        0,
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when \
         retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    ("unix", 0, "Num       RefCount Protocol Flags    Type St Inode Path\n"),
];

/// The directory.
pub fn directory(dev: u64, spec: NodeSpec) -> Arc<PseudoNode> {
    let dir = PseudoNode::dir(spec);
    for (key, (name, width, text)) in (1..).zip(TABLES) {
        let spec = NodeSpec::new(dev, 0o444).ino(spec.ino + (key << 20));
        let padded = move || match text.strip_suffix('\n') {
            Some(line) => Ok(format!("{line:<width$}\n").into_bytes()),
            None => Ok(alloc::vec::Vec::new()),
        };
        dir.insert(name, PseudoNode::text(spec, padded));
    }
    dir
}
