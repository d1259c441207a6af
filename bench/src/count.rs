//! Counts of what a guest does, live: instructions and halts by a plugin (`programs/count.c`),
//! accesses to devices and to the interrupt controller by QEMU's own trace. What is counted is what
//! leaves the guest under KVM; of the accesses to the interrupt controller, newer CPUs spare most.

use crate::build;
use crate::error::{On, Result, fail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// End-of-interrupt register of the local APIC (SDM 3A, 10.8.5): each interrupt is acknowledged
/// there once.
const EOI: &str = "addr 0xfee000b0";
const APIC: &str = "addr 0xfee";
/// The trace is written by another process: it is complete after this.
const SETTLE: Duration = Duration::from_millis(200);

/// So many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Executed instructions; each round of a repeated string instruction is one.
    pub instructions: f64,
    /// How often the CPU went idle.
    pub halts: f64,
    /// Reads and writes of device registers.
    pub device: f64,
    /// Reads and writes of the interrupt controller's registers.
    pub apic: f64,
    /// Interrupts that were acknowledged.
    pub interrupts: f64,
}

impl Counts {
    /// What has happened since.
    pub fn since(&self, earlier: &Self) -> Self {
        self.each(earlier, |now, then| now - then)
    }

    /// For one of so many requests.
    pub fn per(&self, requests: f64) -> Self {
        self.each(self, |n, _| n / requests)
    }

    fn each(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            instructions: f(self.instructions, other.instructions),
            halts: f(self.halts, other.halts),
            device: f(self.device, other.device),
            apic: f(self.apic, other.apic),
            interrupts: f(self.interrupts, other.interrupts),
        }
    }

    /// A line of the trace: `memory_region_ops_write cpu 0 mr 0x... addr 0xfee000b0 value 0x0 size
    /// 4 name 'apic-msi'`.
    fn trace(&mut self, line: &str) {
        if !line.starts_with("memory_region_ops_") || line.contains("name 'serial'") {
            return;
        }
        if line.contains(APIC) {
            self.apic += 1.0;
        } else {
            self.device += 1.0;
        }
        if line.contains("_write ") && line.contains(EOI) {
            self.interrupts += 1.0;
        }
    }
}

/// Counts for one machine.
pub struct Counter {
    plugin: PathBuf,
    numbers: PathBuf,
    trace: PathBuf,
}

impl Counter {
    /// With the built plugin.
    pub fn new(plugin: &Path) -> Result<Self> {
        let dir = build::dir()?;
        let counter = Self { plugin: plugin.into(), numbers: dir.join("counts"), trace: dir.join("trace.log") };
        fs::write(&counter.trace, "").on(counter.trace.display())?;
        Ok(counter)
    }

    /// What QEMU needs to be told for all of them.
    pub fn qemu_args(&self) -> Vec<String> {
        let mut args = self.plugin_args();
        args.extend(["-d".into(), "trace:memory_region_ops_read,trace:memory_region_ops_write".into()]);
        args.extend(["-D".into(), self.trace.display().to_string()]);
        args
    }

    /// What it needs to be told for instructions and halts alone.
    pub fn plugin_args(&self) -> Vec<String> {
        vec!["-plugin".into(), format!("{},out={}", self.plugin.display(), self.numbers.display())]
    }

    /// All since the machine's start.
    pub fn read(&self) -> Result<Counts> {
        thread::sleep(SETTLE);
        let numbers = self.numbers()?;
        let &[instructions, halts, ..] = &numbers[..] else { fail!("the counting plugin has not run") };
        let mut counts = Counts { instructions: instructions as f64, halts: halts as f64, ..Counts::default() };
        let trace = BufReader::new(File::open(&self.trace).on(self.trace.display())?);
        trace.lines().map_while(std::io::Result::ok).for_each(|line| counts.trace(&line));
        Ok(counts)
    }

    /// Instructions by the address of their block, since the machine's start.
    pub fn blocks(&self) -> Result<BTreeMap<u64, u64>> {
        let mut blocks = BTreeMap::new();
        for pair in self.numbers()?.get(3..).unwrap_or_default().chunks_exact(2).filter(|pair| pair[1] != 0) {
            *blocks.entry(pair[0]).or_default() += pair[1];
        }
        Ok(blocks)
    }

    fn numbers(&self) -> Result<Vec<u64>> {
        let bytes = fs::read(&self.numbers).on(self.numbers.display())?;
        Ok(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_trace() {
        let mut c = Counts::default();
        c.trace("memory_region_ops_write cpu 0 mr 0x5 addr 0xfee000b0 value 0x0 size 4 name 'apic-msi'");
        c.trace("memory_region_ops_read cpu 0 mr 0x5 addr 0xfee00390 value 0x7 size 4 name 'apic-msi'");
        c.trace("memory_region_ops_write cpu 0 mr 0x5 addr 0xfeb00e50 value 0x1 size 4 name 'virtio-mmio'");
        c.trace("memory_region_ops_write cpu 0 mr 0x5 addr 0x3f8 value 0x1 size 1 name 'serial'");
        assert_eq!((c.apic, c.device, c.interrupts), (2.0, 1.0, 1.0));
        assert_eq!(c.since(&Counts { apic: 1.0, ..Counts::default() }).per(2.0).apic, 0.5);
    }
}
