//! Further tables of /proc/net: counts, and the sockets of netlink and of packets.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::IpAddr;

use super::counts::{Count, get};
use super::output::{UDP, UDPLITE};
use super::{interface, machine, multicast, netlink, packet, raw, route, sysctl, tcp, udp};

/// A heading with names, and below it numbers: those that are counted here, zeroes for the rest.
fn pair(out: &mut String, title: &str, names: &str, known: &[(&str, i64)]) {
    let value = |name: &str| known.iter().find(|(this, _)| *this == name).map_or(0, |(_, value)| *value);
    let _ = writeln!(out, "{title}: {names}");
    let _ = write!(out, "{title}:");
    for name in names.split(' ') {
        let _ = write!(out, " {}", value(name));
    }
    out.push('\n');
}

const IP: &str = "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers \
    OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates OutTransmits";
const ICMP: &str = "InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos InEchoReps \
    InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost OutDestUnreachs \
    OutTimeExcds OutParmProbs OutSrcQuenchs OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks \
    OutAddrMaskReps";
const TCP: &str = "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs \
    RetransSegs InErrs OutRsts InCsumErrors";
const UDPS: &str = "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors";

fn of(what: Count) -> i64 {
    get(what) as i64
}

/// How many connections are established, or closed by the other side alone.
fn established() -> i64 {
    let open =
        |connection: &alloc::sync::Arc<tcp::Connection>| matches!(tcp::state_number(connection.tcb.lock().state()), 1 | 8);
    tcp::connections().iter().filter(|connection| open(connection)).count() as i64
}

/// `snmp`.
pub fn snmp() -> String {
    let mut out = String::new();
    let ip = [
        ("Forwarding", 2),
        ("DefaultTTL", sysctl::get(&sysctl::DEFAULT_TTL).into()),
        ("InReceives", of(Count::IpIn)),
        ("InDelivers", of(Count::IpDelivered)),
        ("OutRequests", of(Count::IpOut)),
        ("OutTransmits", of(Count::IpOut)),
    ];
    pair(&mut out, "Ip", IP, &ip);
    let icmp = [
        ("InMsgs", of(Count::IcmpIn)),
        ("InDestUnreachs", of(Count::UnreachableIn)),
        ("InEchos", of(Count::EchoIn)),
        ("OutMsgs", of(Count::IcmpOut)),
        ("OutDestUnreachs", of(Count::UnreachableOut)),
        ("OutEchoReps", of(Count::EchoReplyOut)),
    ];
    pair(&mut out, "Icmp", ICMP, &icmp);
    let tcp = [
        ("RtoAlgorithm", 1),
        ("RtoMin", 200),
        ("RtoMax", 120_000),
        ("MaxConn", -1),
        ("ActiveOpens", of(Count::TcpActiveOpens)),
        ("PassiveOpens", of(Count::TcpPassiveOpens)),
        ("AttemptFails", of(Count::TcpAttemptFails)),
        ("EstabResets", of(Count::TcpEstabResets)),
        ("CurrEstab", established()),
        ("InSegs", of(Count::TcpIn)),
        ("OutSegs", of(Count::TcpOut)),
        ("OutRsts", of(Count::TcpResetsOut)),
    ];
    pair(&mut out, "Tcp", TCP, &tcp);
    let udp = [
        ("InDatagrams", of(Count::UdpIn)),
        ("NoPorts", of(Count::UdpNoPort)),
        ("InErrors", of(Count::UdpFull)),
        ("OutDatagrams", of(Count::UdpOut)),
        ("RcvbufErrors", of(Count::UdpFull)),
    ];
    pair(&mut out, "Udp", UDPS, &udp);
    pair(&mut out, "UdpLite", UDPS, &[]);
    out
}

/// `snmp6`: what is counted here.
pub fn snmp6() -> String {
    let rows = [
        ("Ip6InReceives", Count::Ip6In),
        ("Ip6InDelivers", Count::Ip6Delivered),
        ("Ip6OutRequests", Count::Ip6Out),
        ("Icmp6InMsgs", Count::Icmp6In),
        ("Icmp6OutMsgs", Count::Icmp6Out),
        ("Icmp6InDestUnreachs", Count::Unreachable6In),
        ("Icmp6InEchos", Count::Echo6In),
        ("Icmp6OutDestUnreachs", Count::Unreachable6Out),
        ("Icmp6OutEchoReplies", Count::EchoReply6Out),
        ("Udp6InDatagrams", Count::Udp6In),
        ("Udp6NoPorts", Count::Udp6NoPort),
        ("Udp6InErrors", Count::Udp6Full),
        ("Udp6OutDatagrams", Count::Udp6Out),
        ("Udp6RcvbufErrors", Count::Udp6Full),
    ];
    let mut out = String::new();
    for (name, count) in rows {
        let _ = writeln!(out, "{name:<32}\t{}", get(count));
    }
    out
}

const TCP_EXT: &str = "SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts PruneCalled RcvPruned OfoPruned OutOfWindowIcmps \
    LockDroppedIcmps ArpFilter TW TWRecycled TWKilled PAWSActive PAWSEstab BeyondWindow TSEcrRejected PAWSOldAck \
    PAWSTimewait DelayedACKs DelayedACKLocked DelayedACKLost ListenOverflows ListenDrops TCPHPHits TCPPureAcks TCPHPAcks \
    TCPRenoRecovery TCPSackRecovery TCPSACKReneging TCPSACKReorder TCPRenoReorder TCPTSReorder TCPFullUndo TCPPartialUndo \
    TCPDSACKUndo TCPLossUndo TCPLostRetransmit TCPRenoFailures TCPSackFailures TCPLossFailures TCPFastRetrans \
    TCPSlowStartRetrans TCPTimeouts TCPLossProbes TCPLossProbeRecovery TCPRenoRecoveryFail TCPSackRecoveryFail \
    TCPRcvCollapsed TCPBacklogCoalesce TCPDSACKOldSent TCPDSACKOfoSent TCPDSACKRecv TCPDSACKOfoRecv TCPAbortOnData \
    TCPAbortOnClose TCPAbortOnMemory TCPAbortOnTimeout TCPAbortOnLinger TCPAbortFailed TCPMemoryPressures \
    TCPMemoryPressuresChrono TCPSACKDiscard TCPDSACKIgnoredOld TCPDSACKIgnoredNoUndo TCPSpuriousRTOs TCPMD5NotFound \
    TCPMD5Unexpected TCPMD5Failure TCPSackShifted TCPSackMerged TCPSackShiftFallback TCPBacklogDrop PFMemallocDrop \
    TCPMinTTLDrop TCPDeferAcceptDrop IPReversePathFilter TCPTimeWaitOverflow TCPReqQFullDoCookies TCPReqQFullDrop \
    TCPRetransFail TCPRcvCoalesce TCPOFOQueue TCPOFODrop TCPOFOMerge TCPChallengeACK TCPSYNChallenge TCPFastOpenActive \
    TCPFastOpenActiveFail TCPFastOpenPassive TCPFastOpenPassiveFail TCPFastOpenListenOverflow TCPFastOpenCookieReqd \
    TCPFastOpenBlackhole TCPSpuriousRtxHostQueues BusyPollRxPackets TCPAutoCorking TCPFromZeroWindowAdv TCPToZeroWindowAdv \
    TCPWantZeroWindowAdv TCPSynRetrans TCPOrigDataSent TCPHystartTrainDetect TCPHystartTrainCwnd TCPHystartDelayDetect \
    TCPHystartDelayCwnd TCPACKSkippedSynRecv TCPACKSkippedPAWS TCPACKSkippedSeq TCPACKSkippedFinWait2 \
    TCPACKSkippedTimeWait TCPACKSkippedChallenge TCPWinProbe TCPKeepAlive TCPMTUPFail TCPMTUPSuccess TCPDelivered \
    TCPDeliveredCE TCPAckCompressed TCPZeroWindowDrop TCPRcvQDrop TCPWqueueTooBig TCPFastOpenPassiveAltKey \
    TcpTimeoutRehash TcpDuplicateDataRehash TCPDSACKRecvSegs TCPDSACKIgnoredDubious TCPMigrateReqSuccess \
    TCPMigrateReqFailure TCPPLBRehash TCPAORequired TCPAOBad TCPAOKeyNotFound TCPAOGood TCPAODroppedIcmps";

/// `netstat`: little of it is counted here.
pub fn netstat() -> String {
    let mut out = String::new();
    pair(&mut out, "TcpExt", TCP_EXT, &[("TCPOrigDataSent", of(Count::TcpDataOut))]);
    let (mut received, mut sent) = (0, 0);
    for interface in interface::all().iter() {
        let (from, to) = interface.traffic();
        received += from.bytes.load(core::sync::atomic::Ordering::Relaxed) as i64;
        sent += to.bytes.load(core::sync::atomic::Ordering::Relaxed) as i64;
    }
    let ip = "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets";
    pair(&mut out, "IpExt", ip, &[("InOctets", received), ("OutOctets", sent)]);
    out
}

/// Connections and listeners, and sockets of UDP and UDP-Lite, of a family.
pub(super) fn in_use(v6: bool) -> [usize; 3] {
    let listeners = tcp::listeners().iter().filter(|listener| listener.local.is_ipv6() == v6).count();
    let connections = tcp::connections().iter().filter(|connection| connection.flow.local.is_ipv6() == v6).count();
    let datagrams = |protocol| udp::sockets(protocol).iter().filter(|socket| socket.ends().0.is_ipv6() == v6).count();
    [listeners + connections, datagrams(UDP), datagrams(UDPLITE)]
}

/// `sockstat` and `sockstat6`.
pub fn sockstat(v6: bool) -> String {
    let [tcp, udp, lite] = in_use(v6);
    let raw = raw::list(v6, false).len();
    if v6 {
        return alloc::format!(
            "TCP6: inuse {tcp}\nUDP6: inuse {udp}\nUDPLITE6: inuse {lite}\nRAW6: inuse {raw}\nFRAG6: inuse 0 memory 0\n"
        );
    }
    let all = in_use(true).iter().sum::<usize>() + tcp + udp + lite;
    let others = raw::list(true, false).len() + raw::list(false, true).len() + raw::list(true, true).len() + raw;
    let used = all + others + netlink::list().len() + packet::list().len();
    alloc::format!(
        "sockets: used {used}\nTCP: inuse {tcp} orphan 0 tw 0 alloc {tcp} mem 0\nUDP: inuse {udp} mem 0\nUDPLITE: inuse {lite}\n\
         RAW: inuse {raw}\nFRAG: inuse 0 memory 0\n"
    )
}

/// `softnet_stat`: a line for each CPU. How many packets have come is counted for all of them
/// together; nothing else happens here.
pub fn softnet_stat() -> String {
    let received = |interface: &alloc::sync::Arc<interface::Interface>| {
        interface.traffic().0.packets.load(core::sync::atomic::Ordering::Relaxed)
    };
    let all = interface::all().iter().map(received).sum::<u64>() as u32;
    let mut out = String::new();
    for cpu in 0..machine::cpus() {
        let _ = write!(out, "{:08x}", if cpu == 0 { all } else { 0 });
        for column in 1..15 {
            let _ = write!(out, " {:08x}", if column == 12 { cpu } else { 0 });
        }
        out.push('\n');
    }
    out
}

/// `fib_trie`: the routes of IPv4, our own addresses among them, below one node. Both of the tables
/// are in it, as on Linux where no rule looks at one of them alone.
pub fn fib_trie() -> String {
    let mut routes = route::all();
    routes.extend(route::local());
    routes.retain(|route| {
        route.destination.address.is_ipv4() && matches!(route.table, route::table::MAIN | route::table::LOCAL)
    });
    routes.sort_by_key(|route| (route.destination.address, core::cmp::Reverse(route.destination.prefix)));
    let mut tree = String::from("  +-- 0.0.0.0/0 0 0 0\n");
    let mut above = None;
    for route in &routes {
        let address = route.destination.address;
        if above != Some(address) {
            let _ = writeln!(tree, "     |-- {address}");
            above = Some(address);
        }
        let scope = match route.scope {
            route::scope::UNIVERSE => "universe",
            route::scope::LINK => "link",
            route::scope::HOST => "host",
            _ => "nowhere",
        };
        let kind = match route.kind {
            route::kind::LOCAL => "LOCAL",
            route::kind::BROADCAST => "BROADCAST",
            route::kind::MULTICAST => "MULTICAST",
            route::kind::BLACKHOLE => "BLACKHOLE",
            route::kind::UNREACHABLE => "UNREACHABLE",
            route::kind::PROHIBIT => "PROHIBIT",
            route::kind::THROW => "THROW",
            _ => "UNICAST",
        };
        let _ = writeln!(tree, "        /{} {scope} {kind}", route.destination.prefix);
    }
    alloc::format!("Main:\n{tree}Local:\n{tree}")
}

/// `packet`.
pub fn packets() -> String {
    let mut out = String::new();
    for (kind, protocol, interface, runs, held, owner) in packet::list() {
        let _ = writeln!(
            out,
            "{:016x} {:<6} {kind:<4} {protocol:04x}   {interface:<5} {} {held:<6} {owner:<6} {:<6}",
            0,
            3,
            u8::from(runs),
            0
        );
    }
    out
}

/// `netlink`.
pub fn netlinks() -> String {
    let mut out = String::new();
    for (family, port, groups, held, drops) in netlink::list() {
        let _ = writeln!(
            out,
            "{:016x} {family:<3} {port:<10} {groups:08x} {held:<8} {:<8} {:<5} {:<8} {drops:<8} {:<8}",
            0, 0, 0, 2, 0
        );
    }
    out
}

/// `igmp`: the groups of IPv4.
pub fn igmp() -> String {
    let mut out = String::new();
    for interface in interface::all().iter().filter(|interface| interface.is_up()) {
        let all = (IpAddr::from([224, 0, 0, 1]), 1);
        let mut groups = multicast::joined(interface);
        groups.retain(|(group, _)| group.is_ipv4());
        groups.push(all);
        let _ = writeln!(out, "{}\t{:<10}: {:5}      V3", interface.index, interface.name(), groups.len());
        for (group, users) in groups {
            if let IpAddr::V4(v4) = group {
                let _ = writeln!(out, "\t\t\t\t{:08X} {users:5} 0:00000000\t\t0", u32::from_ne_bytes(v4.octets()));
            }
        }
    }
    out
}

/// `igmp6`: the groups of IPv6.
pub fn igmp6() -> String {
    let mut out = String::new();
    for interface in interface::all().iter().filter(|interface| interface.is_up()) {
        let mut groups = multicast::joined(interface);
        groups.push((IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]), 1));
        for (group, users) in groups {
            let IpAddr::V6(v6) = group else { continue };
            let _ = write!(out, "{:<4} {:<15} ", interface.index, interface.name());
            for byte in v6.octets() {
                let _ = write!(out, "{byte:02x}");
            }
            let _ = writeln!(out, " {users:5} 0000000C 0");
        }
    }
    out
}
