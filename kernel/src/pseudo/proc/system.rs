//! The files of /proc that are about the whole system.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed};

use fs::Inode;
use fs::pseudo::format::{self as text, CpuInfo, CpuTimes, LockLine, MemInfo, SystemStat};
use fs::pseudo::{NodeSpec, PseudoNode};
use raw_cpuid::CpuId;
use syscall_shim::{Errno, SysResult};

use super::status::TICK;
use super::{busy_time, config, kernel, sysvipc};
use crate::arch::percpu::{self, PerCpu};
use crate::arch::{boot, clock, cpu_flags};
use crate::files::kmsg;
use crate::files::open::SharedOps;
use crate::pseudo::Tree;
use crate::vfs;
use fd::locks;
use mem::{account, direct, frames, huge};
use task::thread::{KERNEL_STACK_SIZE, state};
use task::{dump, sched, table, uts};

const PAGE: u64 = base::addr::PAGE_SIZE as u64;

/// `tty/drivers`: names, those of their nodes, numbers and kinds.
const TERMINALS: &str = "/dev/tty             /dev/tty        5       0 system:/dev/tty\n\
    /dev/console         /dev/console    5       1 system:console\n\
    /dev/ptmx            /dev/ptmx       5       2 system\n\
    pty_slave            /dev/pts      136 0-1048575 pty:slave\n\
    pty_master           /dev/ptm      128 0-1048575 pty:master\n";

/// The numbers of block devices, as `devices` has them.
const DISKS: [(u32, &str); 2] = [(block::device::MAJOR, "virtblk"), (block::device::EXTENDED_MAJOR, "blkext")];

/// `diskstats`
fn disk_stats() -> String {
    let line = |device: &Arc<block::device::Device>| {
        device.stats.diskstats(fs::major(device.rdev), fs::minor(device.rdev), &device.name())
    };
    block::registry::all().iter().map(line).collect()
}

/// `partitions`
fn partitions() -> Vec<u8> {
    let row = |device: &Arc<block::device::Device>| {
        (fs::major(device.rdev), fs::minor(device.rdev), device.sectors / 2, device.name())
    };
    text::partitions(&block::registry::all().iter().map(row).collect::<Vec<_>>())
}

/// Puts the files into the root of procfs.
pub fn fill(root: &Arc<PseudoNode>, dev: u64) {
    let tree = Tree { dev, size: None, root: root.clone() };
    tree.text("buddyinfo", || Ok(kernel::buddy_info().into_bytes()));
    tree.fixed("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
    tree.line("cmdline", || String::from(boot::info().command_line()));
    tree.text("config.gz", || Ok(text::gzip(config::text().as_bytes())));
    tree.text("cpuinfo", || Ok(cpuinfo()));
    tree.text("devices", || {
        Ok(text::devices(&[(1, "mem"), (5, "/dev/tty"), (5, "/dev/console"), (5, "/dev/ptmx")], &DISKS))
    });
    tree.text("diskstats", || Ok(disk_stats().into_bytes()));
    tree.fixed("execdomains", "0-0\tLinux           \t[kernel]\n");
    tree.text("filesystems", || Ok(text::filesystems(&vfs::TYPES.map(|name| (name, vfs::is_on_device(name))))));
    tree.dir("driver");
    tree.fixed("dma", "");
    tree.dir("fs");
    tree.text("iomem", || Ok(kernel::io_memory().into_bytes()));
    tree.text("kallsyms", || Ok(kernel::symbols()?.into_bytes()));
    let page_types = || Ok(kernel::page_types().into_bytes());
    tree.put("pagetypeinfo", PseudoNode::text(NodeSpec::new(dev, 0o400), page_types));
    tree.fixed("tty/drivers", TERMINALS);
    tree.fixed("tty/ldiscs", "n_tty       0\n");
    tree.text("interrupts", || Ok(interrupts().into_bytes()));
    tree.put("kmsg", kmsg_file(dev));
    tree.text("loadavg", loadavg);
    tree.text("locks", || Ok(text::locks(&held_locks())));
    tree.text("meminfo", || Ok(text::meminfo(&memory_info())));
    tree.fixed("misc", "");
    tree.fixed("modules", "");
    tree.text("partitions", || Ok(partitions()));
    tree.text("softirqs", || Ok(soft_interrupts().into_bytes()));
    tree.text("skiff/stats", || Ok(crate::trace::stats().into_bytes()));
    tree.text("stat", || Ok(stat()));
    tree.put("sysrq-trigger", PseudoNode::write_only(NodeSpec::new(dev, 0o200), sysrq));
    tree.text("swaps", || Ok(text::swaps()));
    tree.text("sysvipc/msg", || Ok(sysvipc::messages().into_bytes()));
    tree.text("sysvipc/sem", || Ok(sysvipc::semaphores().into_bytes()));
    tree.text("sysvipc/shm", || Ok(sysvipc::shared_memory().into_bytes()));
    tree.text("uptime", || Ok(text::uptime(clock::monotonic_ns() / TICK, idle_time() / TICK)));
    tree.text("version", || Ok(text::version("Linux", uts::RELEASE, "skiff", uts::VERSION)));
    tree.text("vmstat", || Ok(vmstat()));
    tree.text("zoneinfo", || Ok(zones().into_bytes()));
}

/// What the kernel has logged, for one reader.
fn kmsg_file(dev: u64) -> Arc<PseudoNode> {
    let spec = NodeSpec::new(dev, 0o400);
    let node = PseudoNode::guarded(spec, kmsg::check_reader, || Ok(Vec::new()));
    node.common().set_ext(Arc::new(SharedOps(Arc::new(kmsg::ProcKmsg))));
    node
}

/// Documentation/admin-guide/sysrq: `t` shows what every task does, on the serial port. No other
/// key is there.
fn sysrq(keys: &[u8]) -> SysResult<()> {
    match keys.first() {
        Some(b't') => {
            dump::all_tasks();
            Ok(())
        }
        _ => Err(Errno::EINVAL),
    }
}

/// The figures of `meminfo`. What files in memory hold is nowhere else, so only the caches of those
/// on disks count as available.
pub fn memory_info() -> MemInfo {
    let stats = frames::stats();
    let (mut anon, mut mapped, mut tables, mut locked) = (0, 0, 0, 0);
    for process in table::processes().filter(|process| !process.zombie.load(Acquire)) {
        let memory = process.mm().memory_use();
        anon += memory.rss_anon;
        mapped += memory.rss_file + memory.rss_shmem;
        tables += memory.vm_pte;
        locked += memory.vm_lck;
    }
    let shmem = vfs::shmem_pages() * PAGE;
    let total = stats.total as u64 * PAGE;
    MemInfo {
        total,
        free: stats.free as u64 * PAGE,
        available: (stats.free as u64 + fs::mapping::cached_pages()) * PAGE,
        buffers: block::cached_pages() * PAGE,
        cached: shmem + fs::mapping::cached_pages().saturating_sub(block::cached_pages()) * PAGE,
        active_anon: anon,
        inactive_anon: shmem,
        mlocked: locked,
        anon_pages: anon,
        mapped,
        shmem,
        kernel_stack: table::counts().0 as u64 * KERNEL_STACK_SIZE as u64,
        page_tables: tables,
        commit_limit: account::commit_limit() * PAGE,
        committed: account::committed() * PAGE,
        vmalloc_total: direct::KERNEL_BASE - direct::DYNAMIC_AREA,
        anon_huge: huge::bytes(),
        direct_2m: total.next_multiple_of(2 << 20),
        ..MemInfo::default()
    }
}

fn vmstat() -> Vec<u8> {
    let memory = memory_info();
    let faults = table::processes().fold([0, 0], |sum, process| {
        let [minor, major] = process.faults();
        [sum[0] + minor + major, sum[1] + major]
    });
    text::pairs(&[
        ("nr_free_pages", memory.free / PAGE),
        ("nr_inactive_anon", memory.inactive_anon / PAGE),
        ("nr_active_anon", memory.active_anon / PAGE),
        ("nr_inactive_file", 0),
        ("nr_active_file", 0),
        ("nr_mlock", memory.mlocked / PAGE),
        ("nr_anon_pages", memory.anon_pages / PAGE),
        ("nr_mapped", memory.mapped / PAGE),
        ("nr_file_pages", memory.cached / PAGE),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_shmem", memory.shmem / PAGE),
        ("nr_kernel_stack", memory.kernel_stack / 1024),
        ("nr_page_table_pages", memory.page_tables / PAGE),
        ("pgpgin", 0),
        ("pgpgout", 0),
        ("pswpin", 0),
        ("pswpout", 0),
        ("pgfault", faults[0]),
        ("pgmajfault", faults[1]),
    ])
}

/// A line of names of processors, each over its column.
fn processors(margin: usize) -> String {
    (0..cpus()).fold(" ".repeat(margin), |line, cpu| line + &format!("CPU{cpu:<8}")) + "\n"
}

/// Interrupts are counted by processor, not by where they come from.
fn interrupts() -> String {
    let counts = percpu::each(sched::online_cpus()).map(|cpu| cpu.interrupts.load(Relaxed));
    processors(11) + &counts.fold(String::from("INT: "), |line, count| line + &format!("{count:10} ")) + "  All interrupts\n"
}

/// There are no soft interrupts: what Linux does in them is done in threads, or at once.
fn soft_interrupts() -> String {
    const NAMES: [&str; 10] = ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];
    let none = " ".to_owned() + &format!("{:10}", 0);
    NAMES.iter().fold(processors(20), |text, name| text + &format!("{name:>12}:") + &none.repeat(cpus() as usize) + "\n")
}

/// All memory is one zone.
fn zones() -> String {
    let stats = frames::stats();
    let all = stats.total;
    let rows = [("min", 0), ("low", 0), ("high", 0), ("spanned", all), ("present", all), ("managed", all)];
    let head = format!("Node 0, zone   Normal\n  pages free     {}\n", stats.free);
    rows.iter().fold(head, |text, (name, pages)| text + &format!("        {name:<8} {pages}\n"))
}

fn cpus() -> u32 {
    sched::online_cpus().count_ones()
}

fn cpuinfo() -> Vec<u8> {
    let id = CpuId::new();
    let feature = id.get_feature_info();
    let sizes = id.get_processor_capacity_feature_info();
    let vendor = id.get_vendor_info();
    let one = CpuInfo {
        vendor_id: vendor.as_ref().map_or_else(String::new, |vendor| String::from(vendor.as_str())),
        family: feature.as_ref().map_or(0, |info| u32::from(info.family_id())),
        model: feature.as_ref().map_or(0, |info| u32::from(info.model_id())),
        model_name: id
            .get_processor_brand_string()
            .map_or_else(|| String::from("unknown"), |brand| String::from(brand.as_str().trim())),
        stepping: feature.as_ref().map_or(0, |info| u32::from(info.stepping_id())),
        khz: clock::scale().frequency() / 1000,
        cache_kb: id.get_l2_l3_cache_and_tlb_info().map_or(0, |cache| u32::from(cache.l2cache_size())),
        siblings: cpus(),
        cpu_cores: cpus(),
        cpuid_level: cpu_flags::highest_leaf(),
        flags: cpu_flags::names(),
        clflush_size: feature.as_ref().map_or(64, |info| u32::from(info.cflush_cache_line_size()) * 8),
        physical_bits: sizes.as_ref().map_or(36, |sizes| u32::from(sizes.physical_address_bits())),
        virtual_bits: sizes.as_ref().map_or(48, |sizes| u32::from(sizes.linear_address_bits())),
        ..CpuInfo::default()
    };
    let all: Vec<CpuInfo> = (0..cpus()).map(|cpu| CpuInfo { core_id: cpu, apicid: cpu, ..one.clone() }).collect();
    text::cpuinfo(&all)
}

/// Nanoseconds that the CPUs had nothing to do, summed.
fn idle_time() -> u64 {
    (0..cpus()).map(sched::idle_time).sum()
}

fn runnable() -> u32 {
    table::tasks().filter(|task| task.run_state() == state::RUNNING).count() as u32
}

fn stat() -> Vec<u8> {
    let (user, system) = busy_time();
    let uptime = clock::monotonic_ns();
    // What is kept by CPU is the time without work; the rest is divided as it is over all of them.
    let times = |cpu: u32| {
        let idle = sched::idle_time(cpu);
        let busy = uptime.saturating_sub(idle);
        let system = (u128::from(busy) * u128::from(system) / u128::from((user + system).max(1))) as u64;
        CpuTimes { user: (busy - system) / TICK, system: system / TICK, idle: idle / TICK, ..CpuTimes::default() }
    };
    let sum =
        |count: fn(&PerCpu) -> &AtomicU64| percpu::each(sched::online_cpus()).map(|cpu| count(cpu).load(Relaxed)).sum();
    text::system_stat(&SystemStat {
        cpus: (0..cpus()).map(times).collect(),
        interrupts: sum(|cpu| &cpu.interrupts),
        ctxt: sum(|cpu| &cpu.switches),
        btime: clock::realtime_base_ns() / 1_000_000_000,
        processes: table::counts().1 as u64,
        procs_running: u64::from(runnable()),
        procs_blocked: 0,
    })
}

fn loadavg() -> SysResult<Vec<u8>> {
    let (tasks, last) = table::counts();
    Ok(text::loadavg(sched::load_averages(), runnable(), tasks as u32, last))
}

/// The locks of all files that some process has open.
fn held_locks() -> Vec<LockLine> {
    let mut lines: Vec<LockLine> = Vec::new();
    let mut seen: Vec<(u64, u64)> = Vec::new();
    for process in table::processes() {
        let Some(files) = process.first_thread().and_then(|task| task.files().ok()) else { continue };
        for file in files.open_fds().into_iter().filter_map(|fd| files.get(fd).ok()) {
            let metadata = file.inode.metadata();
            let key = (metadata.dev, metadata.ino);
            let held = locks::list(&file.inode);
            if !held.is_empty() && !seen.contains(&key) {
                seen.push(key);
                lines.extend(held);
            }
        }
    }
    lines
}
