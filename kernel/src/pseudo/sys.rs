//! /sys: processors, the memory node, huge pages, the clock source
//! (Documentation/ABI/testing/sysfs-*).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use fs::FileSystem;
use fs::pseudo::{NodeSpec, PseudoFs, PseudoNode, SYSFS_MAGIC};
use raw_cpuid::{CacheType, CpuId};
use syscall_shim::Errno;

use super::Tree;
use super::proc::memory_info;
use crate::arch::cpuid;
use crate::files::hugetlb;
use task::sched::{MAX_CPUS, online_cpus};
use vm::flags::HUGE_SIZE;
use vm::huge_policy;

/// The size that every attribute is said to have: a page.
pub const ATTRIBUTE: u64 = 4096;

/// A sysfs.
pub fn file_system() -> Arc<dyn FileSystem> {
    PseudoFs::new("sysfs", SYSFS_MAGIC, |dev| {
        let tree = Tree { dev, size: Some(ATTRIBUTE), root: PseudoNode::dir(NodeSpec::new(dev, 0o555)) };
        for dir in ["bus", "dev/char", "firmware", "fs/cgroup", "module", "power"] {
            tree.dir(dir);
        }
        let interfaces = super::sys_net::Interfaces { dev };
        tree.put("class/net", PseudoNode::dynamic(NodeSpec::new(dev, 0o755), interfaces));
        super::sys_block::fill(&tree);
        processors(&tree);
        node(&tree);
        memory(&tree);
        tree.root
    })
}

/// `0-3`, `0`, `0,2`: a set of CPUs as Linux lists it.
fn list(mask: u64) -> String {
    let mut out = String::new();
    let mut next = 0;
    while let Some(first) = (next..64).find(|bit| mask >> bit & 1 != 0) {
        let last = first + (mask >> first).trailing_ones() - 1;
        let comma = if out.is_empty() { "" } else { "," };
        out += &if first == last { format!("{comma}{first}") } else { format!("{comma}{first}-{last}") };
        next = last + 1;
    }
    out
}

/// A set of CPUs in hexadecimal, in groups of 32 bits.
fn mask(mask: u64) -> String {
    if mask >> 32 == 0 { format!("{mask:x}") } else { format!("{:x},{:08x}", mask >> 32, mask & 0xffff_ffff) }
}

fn processors(tree: &Tree) {
    let base = "devices/system/cpu";
    for name in ["online", "possible", "present"] {
        tree.line(&format!("{base}/{name}"), || list(online_cpus()));
    }
    tree.fixed(&format!("{base}/offline"), "\n");
    tree.fixed(&format!("{base}/isolated"), "\n");
    tree.line(&format!("{base}/kernel_max"), || (MAX_CPUS - 1).to_string());
    for cpu in (0..64u32).filter(|cpu| online_cpus() >> cpu & 1 != 0) {
        let own = 1u64 << cpu;
        let topology = format!("{base}/cpu{cpu}/topology");
        // Every virtual processor is a core of its own in one package, as cpuinfo has it.
        tree.fixed(&format!("{topology}/physical_package_id"), "0\n");
        tree.fixed(&format!("{topology}/die_id"), "0\n");
        tree.line(&format!("{topology}/core_id"), move || cpu.to_string());
        for name in ["thread_siblings", "core_cpus"] {
            tree.line(&format!("{topology}/{name}"), move || mask(own));
            tree.line(&format!("{topology}/{name}_list"), move || list(own));
        }
        for name in ["core_siblings", "package_cpus", "die_cpus"] {
            tree.line(&format!("{topology}/{name}"), || mask(online_cpus()));
            tree.line(&format!("{topology}/{name}_list"), || list(online_cpus()));
        }
        caches(tree, &format!("{base}/cpu{cpu}/cache"), own);
    }
    let clock = "devices/system/clocksource/clocksource0";
    let source = if cpuid::is_kvm() && cpuid::kvm_features() & cpuid::KVM_FEATURE_CLOCKSOURCE2 != 0 {
        "kvm-clock\n"
    } else {
        "tsc\n"
    };
    tree.fixed(&format!("{clock}/current_clocksource"), source);
    tree.fixed(&format!("{clock}/available_clocksource"), source);
}

/// The caches of a processor, as CPUID's deterministic cache leaf describes them.
fn caches(tree: &Tree, base: &str, own: u64) {
    let id = CpuId::new();
    for (index, cache) in id.get_cache_parameters().into_iter().flatten().enumerate() {
        let dir = format!("{base}/index{index}");
        let kind = match cache.cache_type() {
            CacheType::Data => "Data\n",
            CacheType::Instruction => "Instruction\n",
            CacheType::Unified => "Unified\n",
            CacheType::Null | CacheType::Reserved => continue,
        };
        let (line, ways, parts, sets) =
            (cache.coherency_line_size(), cache.associativity(), cache.physical_line_partitions(), cache.sets());
        let size = line * ways * parts * sets / 1024;
        let shared = if cache.max_cores_for_cache() > 1 { online_cpus() } else { own };
        tree.fixed(&format!("{dir}/type"), kind);
        let level = cache.level();
        tree.line(&format!("{dir}/level"), move || level.to_string());
        tree.line(&format!("{dir}/size"), move || format!("{size}K"));
        tree.line(&format!("{dir}/coherency_line_size"), move || line.to_string());
        tree.line(&format!("{dir}/ways_of_associativity"), move || ways.to_string());
        tree.line(&format!("{dir}/physical_line_partition"), move || parts.to_string());
        tree.line(&format!("{dir}/number_of_sets"), move || sets.to_string());
        tree.line(&format!("{dir}/shared_cpu_map"), move || mask(shared));
        tree.line(&format!("{dir}/shared_cpu_list"), move || list(shared));
    }
}

/// The one node of memory.
fn node(tree: &Tree) {
    let base = "devices/system/node";
    for name in ["online", "possible", "has_cpu", "has_memory", "has_normal_memory"] {
        tree.fixed(&format!("{base}/{name}"), "0\n");
    }
    tree.line(&format!("{base}/node0/cpulist"), || list(online_cpus()));
    tree.line(&format!("{base}/node0/cpumap"), || mask(online_cpus()));
    tree.fixed(&format!("{base}/node0/distance"), "10\n");
    tree.text(&format!("{base}/node0/meminfo"), || {
        let memory = memory_info();
        let rows = [
            ("MemTotal", memory.total),
            ("MemFree", memory.free),
            ("MemUsed", memory.total.saturating_sub(memory.free)),
            ("Active", memory.active_anon + memory.active_file),
            ("Inactive", memory.inactive_anon + memory.inactive_file),
            ("Active(anon)", memory.active_anon),
            ("Inactive(anon)", memory.inactive_anon),
            ("Active(file)", memory.active_file),
            ("Inactive(file)", memory.inactive_file),
            ("Unevictable", memory.mlocked),
            ("Mlocked", memory.mlocked),
            ("FilePages", memory.cached),
            ("Mapped", memory.mapped),
            ("AnonPages", memory.anon_pages),
            ("Shmem", memory.shmem),
            ("KernelStack", memory.kernel_stack),
            ("PageTables", memory.page_tables),
        ];
        let mut out = String::new();
        for (name, bytes) in rows {
            out += &format!("Node 0 {:<15} {:>8} kB\n", format!("{name}:"), bytes / 1024);
        }
        for name in ["HugePages_Total", "HugePages_Free", "HugePages_Surp"] {
            out += &format!("Node 0 {:<15} {:>8}\n", format!("{name}:"), 0);
        }
        Ok(out.into_bytes())
    });
}

/// The policies for transparent large pages, the chosen one in brackets.
fn policies() -> String {
    let chosen = usize::from(huge_policy::POLICY.load(Relaxed));
    let names = huge_policy::POLICIES.iter().enumerate();
    let words: Vec<String> =
        names.map(|(i, name)| if i == chosen { format!("[{name}]") } else { name.to_string() }).collect();
    words.join(" ") + "\n"
}

/// What is done with large pages: transparent ones, no pool of others.
fn memory(tree: &Tree) {
    let thp = "kernel/mm/transparent_hugepage";
    tree.control(
        &format!("{thp}/enabled"),
        || Ok(policies().into_bytes()),
        |bytes| {
            let word = bytes.trim_ascii();
            let chosen = huge_policy::POLICIES.iter().position(|name| name.as_bytes() == word).ok_or(Errno::EINVAL)?;
            huge_policy::POLICY.store(chosen as u8, Relaxed);
            Ok(())
        },
    );
    tree.fixed(&format!("{thp}/defrag"), "always defer defer+madvise madvise [never]\n");
    tree.fixed(&format!("{thp}/shmem_enabled"), "always within_size advise [never] deny force\n");
    tree.fixed(&format!("{thp}/use_zero_page"), "0\n");
    tree.line(&format!("{thp}/hpage_pmd_size"), || HUGE_SIZE.to_string());
    // Pages are taken for merging, and nobody goes round to merge them, as where that was never
    // switched on.
    let values = [
        ("run", "0\n"),
        ("pages_to_scan", "100\n"),
        ("sleep_millisecs", "20\n"),
        ("pages_shared", "0\n"),
        ("pages_sharing", "0\n"),
        ("pages_unshared", "0\n"),
        ("pages_volatile", "0\n"),
        ("full_scans", "0\n"),
    ];
    for (name, value) in values {
        tree.fixed(&format!("kernel/mm/ksm/{name}"), value);
    }
    for shift in hugetlb::SIZES {
        let pool = format!("kernel/mm/hugepages/hugepages-{}kB", 1 << shift >> 10);
        for name in ["nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages", "nr_overcommit_hugepages"] {
            tree.fixed(&format!("{pool}/{name}"), "0\n");
        }
    }
}
