//! The texts of proc(5), column for column as Linux prints them.

mod gzip;
mod machine;
mod maps;
mod mounts;
mod process;
mod system;

pub use gzip::gzip;
pub use machine::{CpuInfo, CpuTimes, IrqLine, SystemStat, cpuinfo, interrupts, system_stat};
pub use maps::{MapEntry, SmapsEntry, maps, smaps, smaps_rollup};
pub use mounts::{mountinfo, mounts};
pub use process::{
    FdInfo, Io, Limit, Schedule, SignalSets, Stat, Status, VmStatus, auxv, cgroup_root, fdinfo, io, limits, nul_list, stat,
    statm, status,
};
pub use system::{
    LockLine, MemInfo, devices, filesystems, loadavg, locks, meminfo, pairs, partitions, swaps, uptime, version,
};

use alloc::vec::Vec;
use core::fmt::{self, Write};

/// A text under construction.
#[derive(Default)]
struct Text(Vec<u8>);

impl Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}

impl Text {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Formats into the text. Writing to memory does not fail.
    fn put(&mut self, args: fmt::Arguments<'_>) {
        let _ = self.write_fmt(args);
    }

    /// `bytes` with those of `special` as octal escapes (`seq_escape`).
    fn escaped(&mut self, bytes: &[u8], special: &[u8]) {
        for b in bytes {
            if special.contains(b) {
                self.put(format_args!("\\{b:03o}"));
            } else {
                self.0.push(*b);
            }
        }
    }

    /// A label padded to `label_width` and a number of kB right-aligned in eight columns.
    fn kb(&mut self, label: &str, label_width: usize, bytes: u64) {
        self.put(format_args!("{label:<label_width$}{:>8} kB\n", bytes / 1024));
    }
}
