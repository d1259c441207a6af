//! `/proc/sys`: the settings that programs read, and those that this kernel heeds when they are written.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::Tree;
use crate::arch::rng;
use crate::files::pipe;
use crate::mm::account::{OVERCOMMIT_MEMORY, OVERCOMMIT_RATIO};
use crate::task::{table, uts};

/// Settings that are what they are.
const FIXED: &[(&str, &str)] = &[
    ("kernel/ostype", "Linux\n"),
    ("kernel/ngroups_max", "65536\n"),
    ("kernel/cap_last_cap", "40\n"),
    ("kernel/core_pattern", "core\n"),
    ("kernel/core_uses_pid", "0\n"),
    ("kernel/dmesg_restrict", "1\n"),
    ("kernel/io_uring_disabled", "2\n"),
    ("kernel/msgmax", "8192\n"),
    ("kernel/msgmnb", "16384\n"),
    ("kernel/msgmni", "32000\n"),
    ("kernel/overflowgid", "65534\n"),
    ("kernel/overflowuid", "65534\n"),
    ("kernel/panic", "0\n"),
    ("kernel/perf_event_paranoid", "3\n"),
    ("kernel/printk", "4\t4\t1\t7\n"),
    ("kernel/random/entropy_avail", "256\n"),
    ("kernel/random/poolsize", "256\n"),
    ("kernel/sched_rt_period_us", "1000000\n"),
    ("kernel/sched_rt_runtime_us", "950000\n"),
    ("kernel/sem", "32000\t1024000000\t500\t32000\n"),
    ("kernel/shmall", "18446744073692774399\n"),
    ("kernel/shmmax", "18446744073692774399\n"),
    ("kernel/shmmni", "4096\n"),
    ("kernel/tainted", "0\n"),
    ("kernel/threads-max", "16384\n"),
    ("kernel/yama/ptrace_scope", "0\n"),
    ("vm/max_map_count", "65530\n"),
    ("vm/mmap_min_addr", "65536\n"),
    ("vm/nr_hugepages", "0\n"),
    ("vm/overcommit_kbytes", "0\n"),
    ("vm/swappiness", "60\n"),
    ("vm/dirty_background_ratio", "10\n"),
    ("vm/dirty_ratio", "20\n"),
    ("vm/min_free_kbytes", "0\n"),
    ("vm/panic_on_oom", "0\n"),
    ("fs/aio-max-nr", "65536\n"),
    ("fs/aio-nr", "0\n"),
    ("fs/epoll/max_user_watches", "1048576\n"),
    ("fs/file-max", "9223372036854775807\n"),
    ("fs/inotify/max_queued_events", "16384\n"),
    ("fs/inotify/max_user_instances", "128\n"),
    ("fs/inotify/max_user_watches", "65536\n"),
    ("fs/mqueue/msg_max", "10\n"),
    ("fs/mqueue/msgsize_max", "8192\n"),
    ("fs/nr_open", "1048576\n"),
    ("fs/overflowgid", "65534\n"),
    ("fs/overflowuid", "65534\n"),
    ("fs/protected_hardlinks", "0\n"),
    ("fs/protected_symlinks", "0\n"),
    ("fs/suid_dumpable", "0\n"),
    ("net/core/somaxconn", "4096\n"),
    ("net/core/rmem_max", "212992\n"),
    ("net/core/wmem_max", "212992\n"),
    ("net/core/rmem_default", "212992\n"),
    ("net/core/wmem_default", "212992\n"),
    ("net/unix/max_dgram_qlen", "512\n"),
];

/// A random UUID (RFC 4122, version 4).
fn uuid() -> String {
    let mut b = [0u8; 16];
    rng::fill(&mut b);
    let n = u128::from_be_bytes(b);
    // Version 4, variant 1.
    let n = n & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}\n",
        n >> 96,
        n >> 80 & 0xffff,
        n >> 64 & 0xffff,
        n >> 48 & 0xffff,
        n & 0xffff_ffff_ffff
    )
}

fn line(text: Vec<u8>) -> SysResult<Vec<u8>> {
    let mut text = text;
    text.push(b'\n');
    Ok(text)
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == b'\n').next().unwrap_or_default()
}

fn number(bytes: &[u8], max: u32) -> SysResult<u32> {
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    text.trim().parse().ok().filter(|n| *n <= max).ok_or(Errno::EINVAL)
}

/// Adds them.
pub fn add(tree: &Tree) {
    for (path, text) in FIXED {
        tree.fixed(&format!("sys/{path}"), text);
    }
    tree.text("sys/kernel/osrelease", || line(uts::RELEASE.as_bytes().to_vec()));
    tree.text("sys/kernel/version", || line(uts::VERSION.as_bytes().to_vec()));
    tree.text("sys/kernel/pid_max", || line(format!("{}", table::PID_MAX).into_bytes()));
    tree.text("sys/kernel/random/uuid", || Ok(uuid().into_bytes()));
    static BOOT_ID: spin::LazyLock<String> = spin::LazyLock::new(uuid);
    tree.text("sys/kernel/random/boot_id", || Ok(BOOT_ID.as_bytes().to_vec()));
    tree.text("sys/kernel/randomize_va_space", || {
        let on = crate::arch::boot::option("aslr") != Some("off");
        Ok(if on { b"2\n" } else { b"0\n" }.to_vec())
    });
    tree.text("sys/fs/pipe-max-size", || line(format!("{}", pipe::MAX_SIZE).into_bytes()));
    tree.text("sys/fs/file-nr", || {
        let open: usize =
            table::processes().iter().filter_map(|p| p.threads().first()?.files().ok()).map(|f| f.open_fds().len()).sum();
        Ok(format!("{open}\t0\t9223372036854775807\n").into_bytes())
    });
    tree.control(
        "sys/kernel/hostname",
        || line(uts::hostname()),
        |bytes| {
            uts::set_hostname(first_line(bytes));
            Ok(())
        },
    );
    tree.control(
        "sys/kernel/domainname",
        || line(uts::domainname()),
        |bytes| {
            uts::set_domainname(first_line(bytes));
            Ok(())
        },
    );
    tree.control(
        "sys/vm/overcommit_memory",
        || line(format!("{}", OVERCOMMIT_MEMORY.load(Ordering::Relaxed)).into_bytes()),
        |bytes| {
            OVERCOMMIT_MEMORY.store(number(bytes, 2)?, Ordering::Relaxed);
            Ok(())
        },
    );
    tree.control(
        "sys/vm/overcommit_ratio",
        || line(format!("{}", OVERCOMMIT_RATIO.load(Ordering::Relaxed)).into_bytes()),
        |bytes| {
            OVERCOMMIT_RATIO.store(number(bytes, u32::MAX)?, Ordering::Relaxed);
            Ok(())
        },
    );
}
