//! /proc/sys: settings (sysctl(8), Documentation/admin-guide/sysctl). Those that the kernel heeds can be written; the others tell
//! what it does, or the value that Linux has for what is not there.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::PseudoNode;
use spin::Once;
use syscall_shim::Errno;

use super::usage::parse;
use crate::arch::{boot, rng};
use crate::files::{open_file, pipe};
use crate::ipc::mqueue;
use crate::log::CONSOLE_LEVEL;
use crate::mm::account::{OVERCOMMIT_MEMORY, OVERCOMMIT_RATIO};
use crate::mm::flags::{MAX_MAP_COUNT, MMAP_MIN_ADDR};
use crate::net::tcp;
use crate::pseudo::Tree;
use crate::syscalls::printk;
use crate::task::{core_dump, table, uts, watchdog};

/// Settings that are what they are.
const FIXED: &[(&str, &str)] = &[
    ("fs/aio-max-nr", "65536\n"),
    ("fs/aio-nr", "0\n"),
    ("fs/epoll/max_user_watches", "1048576\n"),
    ("fs/inotify/max_queued_events", "16384\n"),
    ("fs/inotify/max_user_instances", "128\n"),
    ("fs/inotify/max_user_watches", "65536\n"),
    ("fs/nr_open", "1048576\n"),
    ("fs/overflowgid", "65534\n"),
    ("fs/overflowuid", "65534\n"),
    ("fs/pipe-user-pages-hard", "0\n"),
    ("fs/pipe-user-pages-soft", "0\n"),
    ("fs/protected_fifos", "0\n"),
    ("fs/protected_hardlinks", "0\n"),
    ("fs/protected_regular", "0\n"),
    ("fs/protected_symlinks", "0\n"),
    ("fs/suid_dumpable", "0\n"),
    ("kernel/cap_last_cap", "40\n"),
    ("kernel/dmesg_restrict", "1\n"),
    ("kernel/io_uring_disabled", "2\n"),
    ("kernel/kptr_restrict", "1\n"),
    ("kernel/msgmax", "8192\n"),
    ("kernel/msgmnb", "16384\n"),
    ("kernel/msgmni", "32000\n"),
    ("kernel/ngroups_max", "65536\n"),
    ("kernel/numa_balancing", "0\n"),
    ("kernel/ostype", "Linux\n"),
    ("kernel/overflowgid", "65534\n"),
    ("kernel/overflowuid", "65534\n"),
    ("kernel/panic", "0\n"),
    ("kernel/panic_on_oops", "1\n"),
    ("kernel/perf_event_paranoid", "3\n"),
    ("kernel/random/entropy_avail", "256\n"),
    ("kernel/random/poolsize", "256\n"),
    ("kernel/sched_rr_timeslice_ms", "100\n"),
    ("kernel/sched_rt_period_us", "1000000\n"),
    ("kernel/sched_rt_runtime_us", "-1\n"),
    ("kernel/sem", "32000\t1024000000\t500\t32000\n"),
    ("kernel/shm_rmid_forced", "0\n"),
    ("kernel/shmall", "18446744073692774399\n"),
    ("kernel/shmmax", "18446744073692774399\n"),
    ("kernel/shmmni", "4096\n"),
    ("kernel/sysrq", "0\n"),
    ("kernel/tainted", "0\n"),
    ("kernel/yama/ptrace_scope", "0\n"),
    ("net/core/netdev_max_backlog", "1000\n"),
    ("net/core/optmem_max", "131072\n"),
    ("net/core/rmem_default", "212992\n"),
    ("net/core/rmem_max", "212992\n"),
    ("net/core/somaxconn", "4096\n"),
    ("net/core/wmem_default", "212992\n"),
    ("net/core/wmem_max", "212992\n"),
    ("net/unix/max_dgram_qlen", "512\n"),
    ("vm/admin_reserve_kbytes", "0\n"),
    ("vm/dirty_background_bytes", "0\n"),
    ("vm/dirty_background_ratio", "10\n"),
    ("vm/dirty_bytes", "0\n"),
    ("vm/dirty_expire_centisecs", "3000\n"),
    ("vm/dirty_ratio", "20\n"),
    ("vm/dirty_writeback_centisecs", "500\n"),
    ("vm/hugetlb_shm_group", "0\n"),
    ("vm/legacy_va_layout", "0\n"),
    ("vm/memfd_noexec", "0\n"),
    ("vm/mmap_rnd_bits", "28\n"),
    ("vm/nr_hugepages", "0\n"),
    ("vm/nr_overcommit_hugepages", "0\n"),
    ("vm/oom_kill_allocating_task", "1\n"),
    ("vm/overcommit_kbytes", "0\n"),
    ("vm/page-cluster", "3\n"),
    ("vm/panic_on_oom", "0\n"),
    ("vm/swappiness", "60\n"),
    ("vm/user_reserve_kbytes", "0\n"),
    ("vm/vfs_cache_pressure", "100\n"),
    ("vm/zone_reclaim_mode", "0\n"),
];

/// Puts the tree into the root of procfs.
pub fn fill(root: &Arc<PseudoNode>, dev: u64) {
    let tree = Tree { dev, root: root.clone() };
    for (path, text) in FIXED {
        tree.fixed(&format!("sys/{path}"), text);
    }
    tree.line("sys/kernel/osrelease", || uts::RELEASE.to_string());
    tree.line("sys/kernel/version", || uts::VERSION.to_string());
    tree.line("sys/kernel/pid_max", || table::PID_MAX.to_string());
    tree.line("sys/kernel/threads-max", || table::threads_max().to_string());
    tree.line("sys/kernel/ns_last_pid", || table::counts().1.to_string());
    tree.line("sys/kernel/randomize_va_space", || String::from(if boot::option("aslr") == Some("off") { "0" } else { "2" }));
    tree.line("sys/kernel/random/uuid", uuid);
    tree.line("sys/kernel/random/boot_id", || {
        static BOOT_ID: Once<String> = Once::new();
        BOOT_ID.call_once(uuid).clone()
    });
    tree.control(
        "sys/kernel/core_pattern",
        || Ok([&core_dump::pattern()[..], b"\n"].concat()),
        |bytes| core_dump::set_pattern(bytes.split(|byte| *byte == b'\n' || *byte == 0).next().unwrap_or_default()),
    );
    tree.control(
        "sys/kernel/printk",
        || {
            let [console, message, least, default] = printk();
            Ok(format!("{console}\t{message}\t{least}\t{default}\n").into_bytes())
        },
        |bytes| {
            CONSOLE_LEVEL.store(parse(bytes.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default())?, Relaxed);
            Ok(())
        },
    );
    tree.control(
        "sys/kernel/watchdog_thresh",
        || Ok(format!("{}\n", watchdog::threshold()).into_bytes()),
        |bytes| {
            let seconds = parse(bytes)?;
            if seconds > watchdog::MAX_THRESHOLD {
                return Err(Errno::EINVAL);
            }
            watchdog::set_threshold(seconds);
            Ok(())
        },
    );
    setting(&tree, "sys/kernel/core_uses_pid", &core_dump::USES_PID, 0..=1);
    name(&tree, "sys/kernel/hostname", uts::hostname, uts::set_hostname);
    name(&tree, "sys/kernel/domainname", uts::domainname, uts::set_domainname);
    tree.line("sys/vm/max_map_count", || MAX_MAP_COUNT.to_string());
    tree.line("sys/vm/mmap_min_addr", || MMAP_MIN_ADDR.to_string());
    setting(&tree, "sys/net/ipv4/tcp_max_tw_buckets", &tcp::MAX_TIME_WAITS, 0..=i32::MAX as u32);
    setting(&tree, "sys/vm/overcommit_memory", &OVERCOMMIT_MEMORY, 0..=2);
    setting(&tree, "sys/vm/overcommit_ratio", &OVERCOMMIT_RATIO, 0..=i32::MAX as u32);
    setting(&tree, "sys/fs/mqueue/msg_default", &mqueue::MSG_DEFAULT, 1..=65536);
    setting(&tree, "sys/fs/mqueue/msg_max", &mqueue::MSG_MAX, 1..=65536);
    setting(&tree, "sys/fs/mqueue/msgsize_default", &mqueue::MSGSIZE_DEFAULT, 128..=16 << 20);
    setting(&tree, "sys/fs/mqueue/msgsize_max", &mqueue::MSGSIZE_MAX, 128..=16 << 20);
    setting(&tree, "sys/fs/mqueue/queues_max", &mqueue::QUEUES_MAX, 0..=i32::MAX as u32);
    tree.put("sys/vm/drop_caches", drop_caches(dev));
    tree.line("sys/fs/pipe-max-size", || pipe::MAX_SIZE.to_string());
    tree.line("sys/fs/file-max", || open_file::limit().to_string());
    tree.line("sys/fs/file-nr", || format!("{}\t0\t{}", open_file::count(), open_file::limit()));
}

/// A number that the super-user sets. `EINVAL` outside `range`.
fn setting(tree: &Tree, path: &str, value: &'static AtomicU32, range: RangeInclusive<u32>) {
    let read = || Ok(format!("{}\n", value.load(Relaxed)).into_bytes());
    tree.control(path, read, move |bytes| {
        let new = parse(bytes)?;
        if !range.contains(&new) {
            return Err(Errno::EINVAL);
        }
        value.store(new, Relaxed);
        Ok(())
    });
}

/// A name that the super-user sets, up to the end of the line.
fn name(tree: &Tree, path: &str, get: fn() -> Vec<u8>, set: fn(&[u8])) {
    let read = move || {
        let mut text = get();
        text.push(b'\n');
        Ok(text)
    };
    tree.control(path, read, move |bytes| {
        set(bytes.split(|byte| *byte == b'\n' || *byte == 0).next().unwrap_or_default());
        Ok(())
    });
}

/// `drop_caches`: files live in memory alone, so no page of theirs can be dropped; directory entries are forgotten as they
/// age. Writing is for scripts that measure with cold caches.
fn drop_caches(dev: u64) -> Arc<PseudoNode> {
    let write = |bytes: &[u8]| match parse::<u32>(bytes)? {
        1..=4 => Ok(()),
        _ => Err(Errno::EINVAL),
    };
    PseudoNode::write_only(fs::pseudo::NodeSpec::new(dev, 0o200), write)
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> String {
    let mut bytes = [0; 16];
    rng::fill(&mut bytes);
    let random = u128::from_be_bytes(bytes);
    let id = random & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let field = |shift: u32, bits: u32| id >> shift & ((1 << bits) - 1);
    format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", field(96, 32), field(80, 16), field(64, 16), field(48, 16), field(0, 48))
}
