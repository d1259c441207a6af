//! /sys/block, /sys/class/block and /sys/dev/block (Documentation/ABI/stable/sysfs-block): links to
//! the directories of the disks, in which those of their partitions are.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use block::device::Device;
use block::disk::Disk;
use block::driver::{ClearLimits, Properties};
use block::{registry, virtio};
use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode};
use fs::{FileType, InodeRef, major, minor};
use syscall_shim::{Errno, SysResult};

use super::Tree;

/// Where a disk's directory is, below the root of sysfs.
fn place(device: &Device) -> String {
    let disk = &device.disk;
    let place = format!("devices/platform/virtio{}/block/{}", disk.index, disk.name);
    if device.number == 0 { place } else { format!("{place}/{}", device.name()) }
}

/// Puts the directories of all disks into the root of sysfs, and the links to them.
pub fn fill(tree: &Tree) {
    tree.dir("block");
    for device in registry::all().into_iter().filter(|device| device.number == 0) {
        let parts = Partitions { dev: tree.dev, disk: device.disk.clone() };
        let root = PseudoNode::dynamic(NodeSpec::new(tree.dev, 0o755), parts);
        let own = Tree { dev: tree.dev, size: tree.size, root: root.clone() };
        common(&own, &device);
        disk(&own, &device);
        let place = place(&device);
        tree.put(&place, root);
        let target = format!("../{place}").into_bytes();
        tree.put(
            &format!("block/{}", device.name()),
            PseudoNode::link(NodeSpec::new(tree.dev, 0o777), move || Ok(target.clone())),
        );
    }
    for (path, name) in [("class/block", named as fn(&Device) -> String), ("dev/block", numbered)] {
        tree.put(path, PseudoNode::dynamic(NodeSpec::new(tree.dev, 0o755), Links { dev: tree.dev, name }));
    }
}

fn named(device: &Device) -> String {
    device.name()
}

fn numbered(device: &Device) -> String {
    format!("{}:{}", major(device.rdev), minor(device.rdev))
}

/// What disks and partitions have both.
fn common(tree: &Tree, device: &Arc<Device>) {
    let line = |name: &str, read: fn(&Device) -> String| {
        let of = device.clone();
        tree.line(name, move || read(&of));
    };
    line("dev", numbered);
    line("size", |of| of.sectors.to_string());
    line("ro", |of| u8::from(of.disk.read_only()).to_string());
    line("alignment_offset", |_| "0".into());
    line("discard_alignment", |_| "0".into());
    line("stat", |of| of.stats.line());
    line("inflight", |of| {
        let [reads, others] = of.stats.in_flight();
        format!("{reads:>8} {others:>8}")
    });
}

fn uevent(device: &Device) -> String {
    let kind = if device.number == 0 { "disk" } else { "partition" };
    let (major, minor) = (major(device.rdev), minor(device.rdev));
    let mut out = format!("MAJOR={major}\nMINOR={minor}\nDEVNAME={}\nDEVTYPE={kind}", device.name());
    match &device.partition {
        None => out += &format!("\nDISKSEQ={}", device.disk.index + 1),
        Some(partition) => {
            out += &format!("\nDISKSEQ={}\nPARTN={}", device.disk.index + 1, device.number);
            for (name, value) in [("PARTNAME", &partition.label), ("PARTUUID", &partition.uuid)] {
                if !value.is_empty() {
                    out += &format!("\n{name}={value}");
                }
            }
        }
    }
    out
}

/// What a whole disk has.
fn disk(tree: &Tree, device: &Arc<Device>) {
    let of = device.clone();
    tree.line("uevent", move || uevent(&of));
    tree.line("diskseq", {
        let sequence = device.disk.index + 1;
        move || sequence.to_string()
    });
    for (name, value) in [
        ("removable", "0\n"),
        ("hidden", "0\n"),
        ("capability", "0\n"),
        ("range", "16\n"),
        ("ext_range", "256\n"),
        ("events", "\n"),
    ] {
        tree.fixed(name, value);
    }
    let line = |name: &str, read: fn(&Properties) -> u64| {
        let of = device.clone();
        tree.line(&format!("queue/{name}"), move || read(of.disk.properties()).to_string());
    };
    line("logical_block_size", |of| of.logical_block.into());
    line("hw_sector_size", |of| of.logical_block.into());
    line("physical_block_size", |of| of.physical_block.into());
    line("minimum_io_size", |of| of.io_sizes[0].max(of.physical_block).into());
    line("optimal_io_size", |of| of.io_sizes[1].into());
    line("max_segments", |of| of.max_segments as u64);
    line("max_segment_size", |of| of.max_segment_size.into());
    line("max_hw_sectors_kb", |of| virtio::max_bytes(of) >> 10);
    line("max_sectors_kb", |of| virtio::max_bytes(of) >> 10);
    line("discard_max_bytes", |of| clear_bytes(of.discard));
    line("discard_max_hw_bytes", |of| clear_bytes(of.discard));
    line("discard_granularity", |of| of.discard.map_or(0, |limits| limits.granularity.into()));
    line("write_zeroes_max_bytes", |of| clear_bytes(of.write_zeroes));
    let of = device.clone();
    tree.line("queue/write_cache", move || {
        if of.disk.properties().write_cache { "write back" } else { "write through" }.into()
    });
    let of = device.clone();
    tree.line("queue/read_ahead_kb", move || (of.disk.read_ahead() / 2).to_string());
    let fixed = [
        ("rotational", "0\n"),
        ("fua", "0\n"),
        ("discard_zeroes_data", "0\n"),
        ("write_same_max_bytes", "0\n"),
        ("scheduler", "[none]\n"),
        ("nr_requests", "128\n"),
        ("nomerges", "2\n"),
        ("iostats", "1\n"),
        ("add_random", "0\n"),
        ("io_poll", "0\n"),
        ("zoned", "none\n"),
        ("nr_zones", "0\n"),
        ("chunk_sectors", "0\n"),
        ("dax", "0\n"),
        ("dma_alignment", "511\n"),
    ];
    for (name, value) in fixed {
        tree.fixed(&format!("queue/{name}"), value);
    }
}

fn clear_bytes(limits: Option<ClearLimits>) -> u64 {
    limits.map_or(0, |limits| limits.max_sectors << block::SECTOR_SHIFT)
}

/// What a partition has.
fn part(tree: &Tree, device: &Arc<Device>) {
    let of = device.clone();
    tree.line("uevent", move || uevent(&of));
    let (number, start) = (device.number, device.start);
    tree.line("partition", move || number.to_string());
    tree.line("start", move || start.to_string());
}

/// The partitions in a disk's directory.
struct Partitions {
    dev: u64,
    disk: Arc<Disk>,
}

impl DirSource for Partitions {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let found = registry::partitions(&self.disk).into_iter().find(|device| device.name().as_bytes() == name);
        let device = found.ok_or(Errno::ENOENT)?;
        let root = PseudoNode::dir(NodeSpec::new(self.dev, 0o755));
        let tree = Tree { dev: self.dev, size: Some(super::sys::ATTRIBUTE), root: root.clone() };
        common(&tree, &device);
        part(&tree, &device);
        Ok(root)
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        Ok(entries(registry::partitions(&self.disk), from, named, FileType::Dir))
    }
}

/// Links to all devices, by a name for each.
struct Links {
    dev: u64,
    name: fn(&Device) -> String,
}

impl DirSource for Links {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let found =
            registry::all().into_iter().find(|device| (self.name)(device).as_bytes() == name).ok_or(Errno::ENOENT)?;
        let target = format!("../../{}", place(&found)).into_bytes();
        let node: InodeRef = PseudoNode::link(NodeSpec::new(self.dev, 0o777), move || Ok(target.clone()));
        Ok(node)
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        Ok(entries(registry::all(), from, self.name, FileType::Symlink))
    }
}

/// Devices as entries of a directory, ordered by their numbers.
fn entries(devices: Vec<Arc<Device>>, from: u32, name: fn(&Device) -> String, file_type: FileType) -> Vec<PseudoEntry> {
    let entry = |device: &Arc<Device>| {
        let key = device.disk.index * block::partition::MAX + device.number;
        PseudoEntry { key, name: name(device).into_bytes(), ino: u64::from(key) + 1, file_type }
    };
    let mut all: Vec<_> = devices.iter().map(entry).filter(|entry| entry.key >= from).collect();
    all.sort_by_key(|entry| entry.key);
    all
}
