//! /proc/cpuinfo, /proc/stat and /proc/interrupts.

use super::Text;
use alloc::string::String;
use alloc::vec::Vec;

/// One processor, by the names of /proc/cpuinfo on x86.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct CpuInfo {
    pub vendor_id: String,
    pub family: u32,
    pub model: u32,
    pub model_name: String,
    pub stepping: u32,
    pub microcode: u32,
    pub khz: u64,
    pub cache_kb: u32,
    /// Logical CPUs of the package.
    pub siblings: u32,
    pub core_id: u32,
    pub cpu_cores: u32,
    pub apicid: u32,
    pub cpuid_level: u32,
    /// Names of the features, separated by blanks.
    pub flags: String,
    pub clflush_size: u32,
    pub physical_bits: u32,
    pub virtual_bits: u32,
}

/// /proc/cpuinfo, one block per processor in the order given.
pub fn cpuinfo(cpus: &[CpuInfo]) -> Vec<u8> {
    let mut out = Text::default();
    for (number, c) in cpus.iter().enumerate() {
        out.put(format_args!("processor\t: {number}\nvendor_id\t: {}\ncpu family\t: {}\n", c.vendor_id, c.family));
        out.put(format_args!("model\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n", c.model, c.model_name, c.stepping));
        if c.microcode != 0 {
            out.put(format_args!("microcode\t: {:#x}\n", c.microcode));
        }
        out.put(format_args!("cpu MHz\t\t: {}.{:03}\n", c.khz / 1000, c.khz % 1000));
        if c.cache_kb != 0 {
            out.put(format_args!("cache size\t: {} KB\n", c.cache_kb));
        }
        out.put(format_args!("physical id\t: 0\nsiblings\t: {}\ncore id\t\t: {}\n", c.siblings, c.core_id));
        out.put(format_args!("cpu cores\t: {}\napicid\t\t: {}\ninitial apicid\t: {}\n", c.cpu_cores, c.apicid, c.apicid));
        out.put(format_args!("fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\n", c.cpuid_level));
        // A delay loop of two instructions: twice the clock (`loops_per_jiffy` from the TSC).
        let bogo = c.khz / 5;
        out.put(format_args!("flags\t\t: {}\nbugs\t\t:\nbogomips\t: {}.{:02}\n", c.flags, bogo / 100, bogo % 100));
        out.put(format_args!("clflush size\t: {}\ncache_alignment\t: {}\n", c.clflush_size, c.clflush_size));
        out.put(format_args!("address sizes\t: {} bits physical, {} bits virtual\n", c.physical_bits, c.virtual_bits));
        out.bytes(b"power management:\n\n");
    }
    out.0
}

/// Time of one CPU in clock ticks (100 per second).
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct CpuTimes {
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub iowait: u64,
    pub irq: u64,
    pub softirq: u64,
    pub steal: u64,
}

/// /proc/stat.
#[derive(Clone, Debug, Default)]
pub struct SystemStat {
    /// One per CPU.
    pub cpus: Vec<CpuTimes>,
    /// Interrupts served in all.
    pub interrupts: u64,
    /// Context switches.
    pub ctxt: u64,
    /// Boot time, seconds since the epoch.
    pub btime: u64,
    /// Tasks created.
    pub processes: u64,
    /// Runnable now.
    pub procs_running: u64,
    /// Waiting for a disk.
    pub procs_blocked: u64,
}

fn cpu_line(out: &mut Text, c: &CpuTimes) {
    let CpuTimes { user, nice, system, idle, iowait, irq, softirq, steal } = c;
    out.put(format_args!(" {user} {nice} {system} {idle} {iowait} {irq} {softirq} {steal} 0 0\n"));
}

/// /proc/stat.
pub fn system_stat(s: &SystemStat) -> Vec<u8> {
    let mut out = Text::default();
    let sum = |f: fn(&CpuTimes) -> u64| s.cpus.iter().map(f).sum();
    let all = CpuTimes {
        user: sum(|c| c.user),
        nice: sum(|c| c.nice),
        system: sum(|c| c.system),
        idle: sum(|c| c.idle),
        iowait: sum(|c| c.iowait),
        irq: sum(|c| c.irq),
        softirq: sum(|c| c.softirq),
        steal: sum(|c| c.steal),
    };
    out.bytes(b"cpu ");
    cpu_line(&mut out, &all);
    for (number, cpu) in s.cpus.iter().enumerate() {
        out.put(format_args!("cpu{number}"));
        cpu_line(&mut out, cpu);
    }
    out.put(format_args!("intr {}\nctxt {}\nbtime {}\nprocesses {}\n", s.interrupts, s.ctxt, s.btime, s.processes));
    out.put(format_args!("procs_running {}\nprocs_blocked {}\n", s.procs_running, s.procs_blocked));
    out.bytes(b"softirq 0 0 0 0 0 0 0 0 0 0 0\n");
    out.0
}

/// One line of /proc/interrupts.
#[derive(Clone, Debug, Default)]
pub struct IrqLine {
    /// `24`, `NMI`, `LOC`.
    pub name: String,
    /// Count per CPU.
    pub counts: Vec<u64>,
    /// Controller, trigger and device, or what an architecture interrupt is for.
    pub description: String,
}

/// /proc/interrupts.
pub fn interrupts(cpus: usize, lines: &[IrqLine]) -> Vec<u8> {
    let mut out = Text::default();
    out.bytes(b"           ");
    for cpu in 0..cpus {
        let name = alloc::format!("CPU{cpu}");
        out.put(format_args!("{name:<11}"));
    }
    out.bytes(b"\n");
    for line in lines {
        out.put(format_args!("{:>3}:", line.name));
        for count in &line.counts {
            out.put(format_args!(" {count:>10}"));
        }
        out.put(format_args!("  {}\n", line.description));
    }
    out.0
}
