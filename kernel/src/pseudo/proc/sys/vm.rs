//! /proc/sys/vm.

use core::sync::atomic::Ordering::Relaxed;

use super::setting::Settings;
use mem::account::{self, OVERCOMMIT_MEMORY, OVERCOMMIT_RATIO};
use vm::flags::{MAX_MAP_COUNT, MMAP_MIN_ADDR};

const INT_MAX: i64 = i32::MAX as i64;

pub fn fill(s: &Settings) {
    s.int("vm/max_map_count", &MAX_MAP_COUNT, 0..=i32::MAX);
    s.shown("vm/mmap_min_addr", || alloc::format!("{MMAP_MIN_ADDR}"));
    s.uint("vm/overcommit_memory", &OVERCOMMIT_MEMORY, 0..=2);
    // The limit is a share of memory or a number of bytes; who sets one takes the other back.
    s.number(
        "vm/overcommit_ratio",
        i32::MIN.into()..=INT_MAX,
        || OVERCOMMIT_RATIO.load(Relaxed).into(),
        |ratio| {
            account::set_overcommit_ratio(ratio as i32);
            Ok(())
        },
    );
    s.number("vm/overcommit_kbytes", 0..=i64::MAX / 1024, account::overcommit_kbytes, |kbytes| {
        account::set_overcommit_kbytes(kbytes as u64);
        Ok(())
    });
    forgetting(s);
    no_swap(s);
    s.kept("vm/admin_reserve_kbytes", 0, 0..=i64::MAX);
    s.kept("vm/user_reserve_kbytes", 0, 0..=i64::MAX);
    s.kept("vm/min_free_kbytes", 0, 0..=INT_MAX);
    s.kept("vm/panic_on_oom", 0, 0..=2);
    s.kept("vm/oom_dump_tasks", 1, i32::MIN.into()..=INT_MAX);
    s.fixed("vm/oom_kill_allocating_task", "0");
    s.fixed("vm/legacy_va_layout", "0");
    s.fixed("vm/memfd_noexec", "0");
    s.fixed("vm/mmap_rnd_bits", "28");
    // There is no pool of large pages: as many as are asked for cannot be had.
    s.number("vm/nr_hugepages", 0..=i64::MAX, || 0, |_| Ok(()));
    s.number("vm/nr_hugepages_mempolicy", 0..=i64::MAX, || 0, |_| Ok(()));
    s.kept("vm/nr_overcommit_hugepages", 0, 0..=i64::MAX);
    s.kept("vm/hugetlb_shm_group", 0, 0..=u32::MAX.into());
    s.kept("vm/stat_interval", 1, i32::MIN.into()..=INT_MAX);
    s.fixed("vm/unprivileged_userfaultfd", "0");
    s.fixed("vm/zone_reclaim_mode", "0");
}

/// Of files in memory no page can be dropped, of those on disks those that are clean; directory
/// entries are forgotten as they age, and frames need not lie together. Writing is for scripts that
/// measure with cold caches.
fn forgetting(s: &Settings) {
    s.trigger("vm/drop_caches", 1..=4, |what| {
        if what & 1 != 0 {
            fs::mapping::evict_clean(u64::MAX);
        }
        Ok(())
    });
    s.trigger("vm/compact_memory", 1..=1, |_| Ok(()));
    s.kept("vm/compaction_proactiveness", 20, 0..=100);
    s.kept("vm/extfrag_threshold", 500, 0..=1000);
    s.kept("vm/vfs_cache_pressure", 100, 0..=INT_MAX);
}

/// Nothing is swapped, and no file is written back to a disk.
fn no_swap(s: &Settings) {
    s.kept("vm/swappiness", 60, 0..=200);
    s.kept("vm/page-cluster", 3, 0..=31);
    s.kept("vm/dirty_background_bytes", 0, 1..=i64::MAX);
    s.kept("vm/dirty_background_ratio", 10, 0..=100);
    s.kept("vm/dirty_bytes", 0, 8192..=i64::MAX);
    s.kept("vm/dirty_expire_centisecs", 3000, 0..=INT_MAX);
    s.kept("vm/dirty_ratio", 20, 0..=100);
    s.kept("vm/dirty_writeback_centisecs", 500, i32::MIN.into()..=INT_MAX);
    s.kept("vm/dirtytime_expire_seconds", 43200, 0..=INT_MAX);
    s.kept("vm/laptop_mode", 0, i32::MIN.into()..=INT_MAX);
}
