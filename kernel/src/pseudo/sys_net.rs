//! /sys/class/net (Documentation/ABI/testing/sysfs-class-net): a directory for each interface.
//! Linux has links there to places of devices, which there are none of here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode};
use fs::{FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::Tree;
use crate::net::interface::{self, Interface, Link};
use crate::net::ioctl;

/// Names of `operstate`, by number.
const STATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
const STATISTICS: [&str; 23] = [
    "collisions",
    "multicast",
    "rx_bytes",
    "rx_compressed",
    "rx_crc_errors",
    "rx_dropped",
    "rx_errors",
    "rx_fifo_errors",
    "rx_frame_errors",
    "rx_length_errors",
    "rx_missed_errors",
    "rx_nohandler",
    "rx_over_errors",
    "rx_packets",
    "tx_aborted_errors",
    "tx_bytes",
    "tx_carrier_errors",
    "tx_compressed",
    "tx_dropped",
    "tx_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_packets",
];

/// The directory.
pub struct Interfaces {
    /// The file system's number.
    pub dev: u64,
}

impl DirSource for Interfaces {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let interface = interface::by_name(name).ok_or(Errno::ENOENT)?;
        let tree =
            Tree { dev: self.dev, size: Some(super::sys::ATTRIBUTE), root: PseudoNode::dir(NodeSpec::new(self.dev, 0o755)) };
        fill(&tree, &interface);
        Ok(tree.root)
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let all = interface::all();
        let wanted = all.iter().filter(|interface| interface.index >= from);
        let entry = |interface: &Arc<Interface>| PseudoEntry {
            key: interface.index,
            name: interface.name().into_bytes(),
            ino: interface.index.into(),
            file_type: FileType::Dir,
        };
        Ok(wanted.map(entry).collect())
    }
}

fn hex([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn fill(tree: &Tree, interface: &Arc<Interface>) {
    let line = |name: &str, read: fn(&Interface) -> String| {
        let of = interface.clone();
        tree.line(name, move || read(&of));
    };
    let bare = interface.link.is_point_to_point();
    line("address", if bare { |_| String::new() } else { |of| hex(of.mac()) });
    line("addr_len", if bare { |_| "0".into() } else { |_| "6".into() });
    line("addr_assign_type", |of| if of.is_loopback() || of.card().is_some() { "0" } else { "1" }.into());
    line(
        "broadcast",
        match interface.link {
            Link::Loopback(_) => |_| hex([0; 6]),
            _ if bare => |_| String::new(),
            _ => |_| hex([0xff; 6]),
        },
    );
    line("dev_id", |_| "0x0".into());
    line("dev_port", |_| "0".into());
    line("dormant", |_| "0".into());
    line("flags", |of| format!("{:#x}", of.flags() & 0xffff & !0x40));
    line("ifindex", |of| of.index.to_string());
    line("iflink", |of| of.index.to_string());
    line("ifalias", |_| String::new());
    line("link_mode", |_| "0".into());
    line("mtu", |of| of.mtu().to_string());
    line("name_assign_type", |of| of.name_assign.load(Relaxed).to_string());
    line("netdev_group", |of| of.group.load(Relaxed).to_string());
    line("operstate", |of| STATES.get(usize::from(of.operating())).copied().unwrap_or("unknown").into());
    line("proto_down", |_| "0".into());
    line("tx_queue_len", |of| of.transmit_queue.load(Relaxed).to_string());
    line("type", |of| ioctl::hardware(of).to_string());
    line("uevent", |of| format!("INTERFACE={}\nIFINDEX={}", of.name(), of.index));
    for (name, fast) in [("carrier", true), ("speed", false), ("duplex", false)] {
        let of = interface.clone();
        // What is down has no carrier to tell of, and nothing here has a speed.
        tree.text(name, move || match fast {
            true if of.is_up() => Ok(format!("{}\n", u8::from(of.has_carrier())).into_bytes()),
            false if of.card().is_some() => Ok(if name == "speed" { "-1\n" } else { "unknown\n" }.as_bytes().to_vec()),
            _ => Err(Errno::EINVAL),
        });
    }
    for name in STATISTICS {
        let of = interface.clone();
        tree.line(&format!("statistics/{name}"), move || {
            let (received, sent) = of.traffic();
            let slot = match name {
                "rx_bytes" => &received.bytes,
                "rx_packets" => &received.packets,
                "rx_dropped" => &received.dropped,
                "tx_bytes" => &sent.bytes,
                "tx_packets" => &sent.packets,
                "tx_dropped" => &sent.dropped,
                _ => return "0".into(),
            };
            slot.load(Relaxed).to_string()
        });
    }
}
