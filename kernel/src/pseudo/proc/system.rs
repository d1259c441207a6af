//! The files of /proc about the system as a whole.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fs::pseudo::format::{self as text, CpuInfo, CpuTimes, MemInfo, SystemStat};
use raw_cpuid::CpuId;
use syscall_shim::SysResult;

use super::Tree;
use crate::arch::{boot, clock};
use crate::mm::{account, frames};
use crate::sync::SpinLock;
use crate::task::thread::state;
use crate::task::{sched, table, uts};

/// Nanoseconds in a clock tick.
const TICK: u64 = 10_000_000;

/// Adds them.
pub fn add(tree: &Tree) {
    tree.text("meminfo", meminfo);
    tree.text("cpuinfo", || Ok(cpuinfo()));
    tree.text("stat", || Ok(stat()));
    tree.text("uptime", || Ok(text::uptime(clock::monotonic_ns() / TICK, idle_ns() / TICK)));
    tree.text("loadavg", || Ok(loadavg()));
    tree.text("version", || Ok(text::version("Linux", uts::RELEASE, "skiff@skiff", uts::VERSION)));
    tree.text("filesystems", || {
        let list = ["sysfs", "tmpfs", "proc", "devtmpfs", "pipefs", "sockfs", "anon_inodefs", "devpts"];
        Ok(text::filesystems(&list.map(|name| (name, false))))
    });
    tree.text("cmdline", || Ok(format!("{}\n", boot::info().command_line()).into_bytes()));
    tree.text("devices", || Ok(text::devices(&[(1, "mem"), (5, "/dev/tty"), (5, "/dev/console"), (136, "pts")], &[])));
    tree.text("partitions", || Ok(text::partitions(&[])));
    tree.text("swaps", || Ok(text::swaps()));
    tree.fixed("diskstats", "");
    tree.fixed("modules", "");
    tree.fixed("cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
    tree.text("vmstat", || {
        let stats = frames::stats();
        Ok(text::pairs(&[("nr_free_pages", stats.free as u64), ("nr_shmem", crate::vfs::shmem_pages())]))
    });
}

/// Bytes: (total, free).
fn memory() -> (u64, u64) {
    let stats = frames::stats();
    (stats.total as u64 * 4096, stats.free as u64 * 4096)
}

fn meminfo() -> SysResult<Vec<u8>> {
    let (total, free) = memory();
    let shmem = crate::vfs::shmem_pages() * 4096;
    let (mut anon, mut tables, mut mapped, mut locked) = (0, 0, 0, 0);
    for process in table::processes().iter().filter(|p| !p.zombie.load(Ordering::Acquire)) {
        let m = process.mm().memory_use();
        anon += m.rss_anon;
        mapped += m.rss_file + m.rss_shmem;
        tables += m.vm_pte;
        locked += m.vm_lck;
    }
    Ok(text::meminfo(&MemInfo {
        total,
        free,
        // Nothing that is held could be had without loss: files live in memory.
        available: free,
        cached: shmem,
        active_anon: anon + shmem,
        mlocked: locked,
        anon_pages: anon,
        mapped,
        shmem,
        kernel_stack: table::counts().0 as u64 * crate::task::thread::KERNEL_STACK_SIZE as u64,
        page_tables: tables,
        commit_limit: account::commit_limit() * 4096,
        committed: account::committed() * 4096,
        direct_2m: total,
        ..MemInfo::default()
    }))
}

/// Names of the CPUID feature bits, in the order of Linux's words.
fn feature_names() -> String {
    let id = CpuId::new();
    let mut out: Vec<&str> = Vec::new();
    let mut put = |has: bool, name| {
        if has {
            out.push(name);
        }
    };
    if let Some(f) = id.get_feature_info() {
        put(f.has_fpu(), "fpu");
        put(f.has_vme(), "vme");
        put(f.has_tsc(), "tsc");
        put(f.has_msr(), "msr");
        put(f.has_pae(), "pae");
        put(f.has_cmpxchg8b(), "cx8");
        put(f.has_apic(), "apic");
        put(f.has_pge(), "pge");
        put(f.has_cmov(), "cmov");
        put(f.has_clflush(), "clflush");
        put(f.has_mmx(), "mmx");
        put(f.has_fxsave_fxstor(), "fxsr");
        put(f.has_sse(), "sse");
        put(f.has_sse2(), "sse2");
        put(f.has_htt(), "ht");
        put(f.has_sse3(), "pni");
        put(f.has_pclmulqdq(), "pclmulqdq");
        put(f.has_ssse3(), "ssse3");
        put(f.has_fma(), "fma");
        put(f.has_cmpxchg16b(), "cx16");
        put(f.has_sse41(), "sse4_1");
        put(f.has_sse42(), "sse4_2");
        put(f.has_movbe(), "movbe");
        put(f.has_popcnt(), "popcnt");
        put(f.has_aesni(), "aes");
        put(f.has_xsave(), "xsave");
        put(f.has_avx(), "avx");
        put(f.has_f16c(), "f16c");
        put(f.has_rdrand(), "rdrand");
        put(f.has_hypervisor(), "hypervisor");
    }
    if let Some(f) = id.get_extended_processor_and_feature_identifiers() {
        put(f.has_syscall_sysret(), "syscall");
        put(f.has_execute_disable(), "nx");
        put(f.has_1gib_pages(), "pdpe1gb");
        put(f.has_rdtscp(), "rdtscp");
        put(f.has_64bit_mode(), "lm");
        put(f.has_lahf_sahf(), "lahf_lm");
        put(f.has_lzcnt(), "abm");
        put(f.has_sse4a(), "sse4a");
    }
    if let Some(f) = id.get_extended_feature_info() {
        put(f.has_fsgsbase(), "fsgsbase");
        put(f.has_bmi1(), "bmi1");
        put(f.has_avx2(), "avx2");
        put(f.has_smep(), "smep");
        put(f.has_bmi2(), "bmi2");
        put(f.has_rep_movsb_stosb(), "erms");
        put(f.has_rdseed(), "rdseed");
        put(f.has_adx(), "adx");
        put(f.has_smap(), "smap");
        put(f.has_clflushopt(), "clflushopt");
        put(f.has_clwb(), "clwb");
        put(f.has_sha(), "sha_ni");
        put(f.has_avx512f(), "avx512f");
    }
    out.join(" ")
}

fn cpuinfo() -> Vec<u8> {
    let id = CpuId::new();
    let feature = id.get_feature_info();
    let brand = id.get_processor_brand_string();
    let sizes = id.get_processor_capacity_feature_info();
    let cpus = sched::online_cpus().count_ones();
    let hz = clock::scale().frequency();
    let one = CpuInfo {
        vendor_id: id.get_vendor_info().map_or_else(String::new, |v| String::from(v.as_str())),
        family: feature.as_ref().map_or(0, |f| u32::from(f.family_id())),
        model: feature.as_ref().map_or(0, |f| u32::from(f.model_id())),
        model_name: brand.map_or_else(|| String::from("unknown"), |b| String::from(b.as_str().trim())),
        stepping: feature.as_ref().map_or(0, |f| u32::from(f.stepping_id())),
        khz: hz / 1000,
        siblings: cpus,
        cpu_cores: cpus,
        cpuid_level: id.get_vendor_info().map_or(0, |_| raw_cpuid::cpuid!(0).eax),
        flags: feature_names(),
        clflush_size: feature.as_ref().map_or(64, |f| u32::from(f.cflush_cache_line_size()) * 8),
        physical_bits: sizes.as_ref().map_or(36, |s| u32::from(s.physical_address_bits())),
        virtual_bits: sizes.as_ref().map_or(48, |s| u32::from(s.linear_address_bits())),
        ..CpuInfo::default()
    };
    let all: Vec<CpuInfo> = (0..cpus).map(|n| CpuInfo { core_id: n, apicid: n, ..one.clone() }).collect();
    text::cpuinfo(&all)
}

/// Nanoseconds that programs have used: application, kernel. Processes that were waited for are in their parents' sums.
fn used_ns() -> (u64, u64) {
    table::processes().iter().fold((0, 0), |(user, system), p| {
        let (u, s) = p.cpu_time();
        let child = |i: usize| p.children_ns[i].load(Ordering::Relaxed);
        (user + u + child(0), system + s + child(1))
    })
}

fn idle_ns() -> u64 {
    let (user, system) = used_ns();
    let all = clock::monotonic_ns() * u64::from(sched::online_cpus().count_ones());
    all.saturating_sub(user + system)
}

fn runnable() -> u32 {
    table::tasks().iter().filter(|t| t.run_state() == state::RUNNING).count() as u32
}

fn stat() -> Vec<u8> {
    let (user, system) = used_ns();
    let cpus = u64::from(sched::online_cpus().count_ones());
    let share = |ns: u64| ns / TICK / cpus;
    let one = CpuTimes { user: share(user), system: share(system), idle: share(idle_ns()), ..CpuTimes::default() };
    let cpu = crate::arch::percpu::this_cpu();
    text::system_stat(&SystemStat {
        cpus: (0..cpus).map(|_| one).collect(),
        interrupts: cpu.interrupts.load(Ordering::Relaxed),
        ctxt: cpu.switches.load(Ordering::Relaxed),
        btime: clock::realtime_base_ns() / 1_000_000_000,
        processes: table::counts().1 as u64,
        procs_running: u64::from(runnable()),
        procs_blocked: 0,
    })
}

/// Load averages in units of 1/100000, and when they were last brought forward.
static LOAD: SpinLock<([u64; 3], u64)> = SpinLock::new(([0; 3], 0));
/// Fractions of 2^32 by which 5 seconds shrink the three averages: e^(-5/60), e^(-5/300), e^(-5/900).
const DECAY: [u64; 3] = [3_951_492_340, 4_223_975_280, 4_271_172_000];
const PERIOD: u64 = 5_000_000_000;

/// Nobody samples in the background: the load since the last reading is taken to be what it is now.
fn loadavg() -> Vec<u8> {
    let running = runnable();
    let now = clock::monotonic_ns();
    let averages = {
        let mut load = LOAD.lock();
        let (mut averages, mut at) = *load;
        // After half an hour older samples no longer show.
        let steps = (now.saturating_sub(at) / PERIOD).min(360);
        at = if steps == 360 { now } else { at + steps * PERIOD };
        for _ in 0..steps {
            for (average, decay) in averages.iter_mut().zip(DECAY) {
                *average = (*average * decay + u64::from(running) * 100_000 * ((1 << 32) - decay)) >> 32;
            }
        }
        *load = (averages, at);
        averages
    };
    let (tasks, last) = table::counts();
    text::loadavg(averages.map(|a| a / 1000), running, tasks as u32, last)
}
