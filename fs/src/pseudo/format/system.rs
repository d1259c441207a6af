//! The system-wide files of /proc: memory, time, file systems, devices.

use super::Text;
use alloc::vec::Vec;

/// /proc/meminfo, in bytes, by the names of proc_meminfo(5). What this system has none of (swap,
/// huge pages) is printed as 0.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct MemInfo {
    pub total: u64,
    pub free: u64,
    pub available: u64,
    pub buffers: u64,
    pub cached: u64,
    pub active_anon: u64,
    pub inactive_anon: u64,
    pub active_file: u64,
    pub inactive_file: u64,
    pub mlocked: u64,
    pub dirty: u64,
    pub writeback: u64,
    pub anon_pages: u64,
    pub mapped: u64,
    pub shmem: u64,
    pub slab_reclaimable: u64,
    pub slab_unreclaimable: u64,
    pub kernel_stack: u64,
    pub page_tables: u64,
    pub commit_limit: u64,
    pub committed: u64,
    pub vmalloc_total: u64,
    pub vmalloc_used: u64,
    pub percpu: u64,
    pub anon_huge: u64,
    pub direct_4k: u64,
    pub direct_2m: u64,
    pub direct_1g: u64,
}

/// /proc/meminfo.
pub fn meminfo(m: &MemInfo) -> Vec<u8> {
    let mut out = Text::default();
    let mut row = |label, bytes| out.kb(label, 16, bytes);
    row("MemTotal:", m.total);
    row("MemFree:", m.free);
    row("MemAvailable:", m.available);
    row("Buffers:", m.buffers);
    row("Cached:", m.cached);
    row("SwapCached:", 0);
    row("Active:", m.active_anon + m.active_file);
    row("Inactive:", m.inactive_anon + m.inactive_file);
    row("Active(anon):", m.active_anon);
    row("Inactive(anon):", m.inactive_anon);
    row("Active(file):", m.active_file);
    row("Inactive(file):", m.inactive_file);
    row("Unevictable:", m.mlocked);
    row("Mlocked:", m.mlocked);
    row("SwapTotal:", 0);
    row("SwapFree:", 0);
    row("Dirty:", m.dirty);
    row("Writeback:", m.writeback);
    row("AnonPages:", m.anon_pages);
    row("Mapped:", m.mapped);
    row("Shmem:", m.shmem);
    row("KReclaimable:", m.slab_reclaimable);
    row("Slab:", m.slab_reclaimable + m.slab_unreclaimable);
    row("SReclaimable:", m.slab_reclaimable);
    row("SUnreclaim:", m.slab_unreclaimable);
    row("KernelStack:", m.kernel_stack);
    row("PageTables:", m.page_tables);
    row("SecPageTables:", 0);
    row("NFS_Unstable:", 0);
    row("Bounce:", 0);
    row("WritebackTmp:", 0);
    row("CommitLimit:", m.commit_limit);
    row("Committed_AS:", m.committed);
    row("VmallocTotal:", m.vmalloc_total);
    row("VmallocUsed:", m.vmalloc_used);
    row("VmallocChunk:", 0);
    row("Percpu:", m.percpu);
    row("AnonHugePages:", m.anon_huge);
    row("ShmemHugePages:", 0);
    row("ShmemPmdMapped:", 0);
    row("FileHugePages:", 0);
    row("FilePmdMapped:", 0);
    for label in ["HugePages_Total:", "HugePages_Free:", "HugePages_Rsvd:", "HugePages_Surp:"] {
        out.put(format_args!("{label:<16}{:>8}\n", 0));
    }
    out.kb("Hugepagesize:", 16, 2 << 20);
    out.kb("Hugetlb:", 16, 0);
    out.kb("DirectMap4k:", 16, m.direct_4k);
    out.kb("DirectMap2M:", 16, m.direct_2m);
    out.kb("DirectMap1G:", 16, m.direct_1g);
    out.0
}

/// /proc/uptime: seconds up, and seconds idle summed over CPUs; both in hundredths.
pub fn uptime(up: u64, idle: u64) -> Vec<u8> {
    let mut out = Text::default();
    out.put(format_args!("{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100));
    out.0
}

/// /proc/loadavg: averages in hundredths, runnable and existing tasks, the last pid given.
pub fn loadavg(averages: [u64; 3], runnable: u32, tasks: u32, last_pid: i32) -> Vec<u8> {
    let mut out = Text::default();
    for a in averages {
        out.put(format_args!("{}.{:02} ", a / 100, a % 100));
    }
    out.put(format_args!("{runnable}/{tasks} {last_pid}\n"));
    out.0
}

/// /proc/version, from the fields of uname(2).
pub fn version(sysname: &str, release: &str, builder: &str, version: &str) -> Vec<u8> {
    let mut out = Text::default();
    out.put(format_args!("{sysname} version {release} ({builder}) {version}\n"));
    out.0
}

/// /proc/filesystems: names, and whether each needs a device.
pub fn filesystems(list: &[(&str, bool)]) -> Vec<u8> {
    let mut out = Text::default();
    for (name, device) in list {
        out.put(format_args!("{}\t{name}\n", if *device { "" } else { "nodev" }));
    }
    out.0
}

/// `name value` lines: /proc/vmstat, cgroup files.
pub fn pairs(list: &[(&str, u64)]) -> Vec<u8> {
    let mut out = Text::default();
    for (name, value) in list {
        out.put(format_args!("{name} {value}\n"));
    }
    out.0
}

/// /proc/devices: majors and names of character and block devices.
pub fn devices(characters: &[(u32, &str)], blocks: &[(u32, &str)]) -> Vec<u8> {
    let mut out = Text::default();
    out.bytes(b"Character devices:\n");
    for (major, name) in characters {
        out.put(format_args!("{major:>3} {name}\n"));
    }
    out.bytes(b"\nBlock devices:\n");
    for (major, name) in blocks {
        out.put(format_args!("{major:>3} {name}\n"));
    }
    out.0
}

/// /proc/partitions: major, minor, 1 KiB blocks, name. Empty without any.
pub fn partitions<N: core::fmt::Display>(list: &[(u32, u32, u64, N)]) -> Vec<u8> {
    let mut out = Text::default();
    if !list.is_empty() {
        out.bytes(b"major minor  #blocks  name\n\n");
    }
    for (major, minor, blocks, name) in list {
        out.put(format_args!("{major:>4}  {minor:>7} {blocks:>10} {name}\n"));
    }
    out.0
}

/// /proc/swaps, without any.
pub fn swaps() -> Vec<u8> {
    b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec()
}

/// One line of /proc/locks.
#[derive(Clone, Copy, Debug)]
pub struct LockLine {
    /// `POSIX`, `OFDLCK` or `FLOCK`.
    pub class: &'static str,
    /// Exclusive.
    pub write: bool,
    /// Holder; -1 for a lock of an open file description.
    pub pid: i32,
    /// Device of the file.
    pub dev: u64,
    /// Inode number of the file.
    pub ino: u64,
    /// First byte.
    pub start: u64,
    /// Last byte; `None` for the end of the file.
    pub end: Option<u64>,
}

/// /proc/locks.
pub fn locks(lines: &[LockLine]) -> Vec<u8> {
    let mut out = Text::default();
    for (i, l) in lines.iter().enumerate() {
        let kind = if l.write { "WRITE" } else { "READ" };
        let (major, minor) = (crate::types::major(l.dev), crate::types::minor(l.dev));
        out.put(format_args!(
            "{}: {:<6} ADVISORY  {kind} {} {major:02x}:{minor:02x}:{} {} ",
            i + 1,
            l.class,
            l.pid,
            l.ino,
            l.start
        ));
        match l.end {
            Some(end) => out.put(format_args!("{end}\n")),
            None => out.bytes(b"EOF\n"),
        }
    }
    out.0
}
