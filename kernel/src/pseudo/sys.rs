//! sysfs (sysfs(5)): processors, memory nodes, huge pages, and the empty hierarchy of cgroups(7).

use alloc::format;
use alloc::string::String;

use fs::InodeRef;
use fs::pseudo::{NodeSpec, PseudoNode};

use super::Tree;
use crate::mm::frames;
use crate::task::sched::online_cpus;

/// `0-3`, `0`, `0,2`: the bits of `mask` as Linux writes lists of CPUs.
fn list(mask: u64) -> String {
    let mut out = String::new();
    let mut next = 0;
    while let Some(first) = (next..64).find(|bit| mask >> bit & 1 != 0) {
        let last = (first..64).take_while(|bit| mask >> bit & 1 != 0).last().unwrap_or(first);
        if !out.is_empty() {
            out.push(',');
        }
        out += &if first == last { format!("{first}") } else { format!("{first}-{last}") };
        next = last + 1;
    }
    out.push('\n');
    out
}

/// The root directory.
pub(super) fn root(dev: u64) -> InodeRef {
    let tree = Tree { dev, root: PseudoNode::dir(NodeSpec::new(dev, 0o555)) };
    for dir in ["block", "bus", "class/net", "dev/block", "dev/char", "firmware", "fs/cgroup", "module"] {
        tree.dir(dir);
    }
    for name in ["online", "possible", "present"] {
        tree.text(&format!("devices/system/cpu/{name}"), || Ok(list(online_cpus()).into_bytes()));
    }
    tree.fixed("devices/system/cpu/offline", "\n");
    tree.text("devices/system/cpu/kernel_max", || Ok(b"63\n".to_vec()));
    for cpu in (0..64).filter(|cpu| online_cpus() >> cpu & 1 != 0) {
        let topology = format!("devices/system/cpu/cpu{cpu}/topology");
        tree.fixed(&format!("{topology}/physical_package_id"), "0\n");
        tree.text(&format!("{topology}/core_id"), move || Ok(format!("{cpu}\n").into_bytes()));
        tree.text(&format!("{topology}/thread_siblings_list"), move || Ok(format!("{cpu}\n").into_bytes()));
        tree.text(&format!("{topology}/core_siblings_list"), || Ok(list(online_cpus()).into_bytes()));
    }
    tree.fixed("devices/system/node/online", "0\n");
    tree.fixed("devices/system/node/possible", "0\n");
    tree.fixed("devices/system/node/has_memory", "0\n");
    tree.text("devices/system/node/node0/cpulist", || Ok(list(online_cpus()).into_bytes()));
    tree.text("devices/system/node/node0/cpumap", || Ok(format!("{:x}\n", online_cpus()).into_bytes()));
    tree.fixed("devices/system/node/node0/distance", "10\n");
    tree.text("devices/system/node/node0/meminfo", || {
        let stats = frames::stats();
        let (total, free) = (stats.total * 4, stats.free * 4);
        let used = total - free;
        Ok(format!("Node 0 MemTotal:       {total:>8} kB\nNode 0 MemFree:        {free:>8} kB\nNode 0 MemUsed:        {used:>8} kB\n")
            .into_bytes())
    });
    tree.fixed("devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    tree.fixed("devices/system/clocksource/clocksource0/available_clocksource", "tsc\n");
    let thp = "kernel/mm/transparent_hugepage";
    tree.fixed(&format!("{thp}/enabled"), "always [madvise] never\n");
    tree.fixed(&format!("{thp}/defrag"), "always defer defer+madvise [madvise] never\n");
    tree.fixed(&format!("{thp}/shmem_enabled"), "always within_size advise [never] deny force\n");
    tree.fixed(&format!("{thp}/hpage_pmd_size"), "2097152\n");
    tree.fixed(&format!("{thp}/use_zero_page"), "0\n");
    let huge = "kernel/mm/hugepages/hugepages-2048kB";
    for name in ["nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages", "nr_overcommit_hugepages"] {
        tree.fixed(&format!("{huge}/{name}"), "0\n");
    }
    tree.root
}
