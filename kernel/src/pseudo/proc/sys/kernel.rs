//! /proc/sys/kernel.

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::Ordering::Relaxed;

use fs::pseudo::sysctl::Name;
use spin::Once;
use syscall_shim::Errno;

use super::setting::Settings;
use crate::arch::boot;
use fd::{capable, inotify};
use ipc::limits;
use observe::log::{printk, set_printk};
use platform::rng;
use task::sched::realtime;
use task::{core_dump, seccomp, table, uts, watchdog};

const INT_MAX: i64 = i32::MAX as i64;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_CHECKPOINT_RESTORE: u32 = 40;
const MS: u64 = 1_000_000;

pub fn fill(s: &Settings) {
    names(s);
    tasks(s);
    ipc(s);
    random(s);
    trouble(s);
}

fn names(s: &Settings) {
    s.fixed("kernel/arch", "x86_64");
    s.fixed("kernel/ostype", "Linux");
    s.fixed("kernel/osrelease", uts::RELEASE);
    s.fixed("kernel/version", uts::VERSION);
    let set = |name: &[u8]| {
        uts::set_hostname(name);
        Ok(())
    };
    s.polled_name("kernel/hostname", Name { get: uts::hostname, set, limit: uts::NAME_MAX }, &uts::HOST_CHANGES);
    let set = |name: &[u8]| {
        uts::set_domainname(name);
        Ok(())
    };
    s.polled_name("kernel/domainname", Name { get: uts::domainname, set, limit: uts::NAME_MAX }, &uts::DOMAIN_CHANGES);
}

fn tasks(s: &Settings) {
    s.fixed("kernel/cap_last_cap", "40");
    s.fixed("kernel/ngroups_max", "65536");
    s.int("kernel/pid_max", &table::PID_MAX, table::RESERVED_PIDS + 1..=table::PID_LIMIT);
    // Everybody may open it; whoever restores processes may set it.
    let last = || table::counts().1.into();
    s.number_of_mode("kernel/ns_last_pid", 0o666, 0..=table::PID_LIMIT.into(), last, |id| {
        if !capable(CAP_SYS_ADMIN) && !capable(CAP_CHECKPOINT_RESTORE) {
            return Err(Errno::EPERM);
        }
        table::set_last_id(id as i32)
    });
    s.number(
        "kernel/threads-max",
        1..=table::THREADS_LIMIT as i64,
        || table::threads_max() as i64,
        |most| {
            table::set_threads_max(most as u64);
            Ok(())
        },
    );
    s.shown("kernel/randomize_va_space", || String::from(if boot::option("aslr") == Some("off") { "0" } else { "2" }));
    // Nothing or less goes back to the default.
    s.number(
        "kernel/sched_rr_timeslice_ms",
        i32::MIN.into()..=INT_MAX,
        || (realtime::rr_slice() / MS) as i64,
        |ms| {
            realtime::set_rr_slice(u64::try_from(ms).ok().filter(|ms| *ms > 0).map(|ms| ms * MS));
            Ok(())
        },
    );
    s.number("kernel/sched_rt_period_us", 1..=INT_MAX, realtime::period_us, realtime::set_period_us);
    s.number("kernel/sched_rt_runtime_us", -1..=INT_MAX, realtime::runtime_us, realtime::set_runtime_us);
    s.kept("kernel/sched_autogroup_enabled", 0, 0..=1);
    s.kept("kernel/sched_deadline_period_max_us", 4_194_304, 0..=u32::MAX.into());
    s.kept("kernel/sched_deadline_period_min_us", 100, 0..=u32::MAX.into());
    s.kept("kernel/timer_migration", 1, 0..=1);
    s.fixed("kernel/numa_balancing", "0");
    s.kept("kernel/overflowgid", 65534, 0..=65535);
    s.kept("kernel/overflowuid", 65534, 0..=65535);
    s.fixed("kernel/pty/max", "4096");
    s.fixed("kernel/pty/reserve", "1024");
    s.shown("kernel/pty/nr", || tty::pty::terminals().len().to_string());
    s.fixed("kernel/io_uring_disabled", "2");
    s.fixed("kernel/unprivileged_bpf_disabled", "2");
    s.fixed("kernel/perf_event_paranoid", "3");
    s.fixed("kernel/yama/ptrace_scope", "0");
    keys(s);
    namespaces(s);
    s.shown("kernel/seccomp/actions_avail", || seccomp::ACTIONS.map(|(_, name)| name).join(" "));
}

/// Limits of keys, of which there are none.
fn keys(s: &Settings) {
    s.kept("kernel/keys/gc_delay", 300, 0..=INT_MAX);
    s.kept("kernel/keys/maxkeys", 200, 1..=INT_MAX);
    s.kept("kernel/keys/maxbytes", 20000, 1..=INT_MAX);
    s.kept("kernel/keys/root_maxkeys", 1_000_000, 1..=INT_MAX);
    s.kept("kernel/keys/root_maxbytes", 25_000_000, 1..=INT_MAX);
    s.kept("kernel/keys/persistent_keyring_expiry", 259_200, 0..=INT_MAX);
}

/// Limits of what a user namespace holds. There is the first one alone, and no further one of any
/// other kind.
fn namespaces(s: &Settings) {
    for kind in ["user", "pid", "uts", "ipc", "net", "mnt", "cgroup", "time"] {
        s.kept(&format!("user/max_{kind}_namespaces"), (table::threads_max() / 2) as i64, 0..=INT_MAX);
    }
    s.int("user/max_inotify_instances", &inotify::users::MAX_INSTANCES, 0..=i32::MAX);
    s.int("user/max_inotify_watches", &inotify::users::MAX_WATCHES, 0..=i32::MAX);
}

fn ipc(s: &Settings) {
    const MAX_OBJECTS: u32 = 32768;
    s.fixed("kernel/auto_msgmni", "0");
    s.uint("kernel/msgmax", &limits::MSGMAX, 0..=i32::MAX as u32);
    s.uint("kernel/msgmnb", &limits::MSGMNB, 0..=i32::MAX as u32);
    s.uint("kernel/msgmni", &limits::MSGMNI, 0..=MAX_OBJECTS);
    s.uint("kernel/shm_rmid_forced", &limits::SHM_RMID_FORCED, 0..=1);
    s.ulong("kernel/shmall", &limits::SHMALL, 0..=u64::MAX);
    s.ulong("kernel/shmmax", &limits::SHMMAX, 0..=u64::MAX);
    s.uint("kernel/shmmni", &limits::SHMMNI, 0..=MAX_OBJECTS);
    s.int("kernel/msg_next_id", &limits::MSG_NEXT_ID, 0..=i32::MAX);
    s.int("kernel/sem_next_id", &limits::SEM_NEXT_ID, 0..=i32::MAX);
    s.int("kernel/shm_next_id", &limits::SHM_NEXT_ID, 0..=i32::MAX);
    s.numbers(
        "kernel/sem",
        0..=i32::MAX.into(),
        || limits::SEM.iter().map(|limit| limit.load(Relaxed).into()).collect(),
        |new| {
            // Ids have room for so many sets.
            if new.get(3).is_some_and(|sets| *sets > MAX_OBJECTS.into()) {
                return Err(Errno::ERANGE);
            }
            limits::SEM.iter().zip(new).for_each(|(limit, new)| limit.store(*new as i32, Relaxed));
            Ok(())
        },
    );
}

fn random(s: &Settings) {
    s.fixed("kernel/random/entropy_avail", "256");
    s.fixed("kernel/random/poolsize", "256");
    s.kept("kernel/random/urandom_min_reseed_secs", 60, i32::MIN.into()..=INT_MAX);
    s.kept("kernel/random/write_wakeup_threshold", 256, i32::MIN.into()..=INT_MAX);
    s.shown("kernel/random/uuid", uuid);
    s.shown("kernel/random/boot_id", || {
        static BOOT_ID: Once<String> = Once::new();
        BOOT_ID.call_once(uuid).clone()
    });
}

/// What happens when something goes wrong, and what is told of it.
fn trouble(s: &Settings) {
    let pattern = Name { get: core_dump::pattern, set: core_dump::set_pattern, limit: core_dump::PATTERN_MAX };
    s.name("kernel/core_pattern", pattern);
    s.int("kernel/core_uses_pid", &core_dump::USES_PID, i32::MIN..=i32::MAX);
    s.fixed("kernel/core_pipe_limit", "0");
    s.kept("kernel/dmesg_restrict", 1, 0..=1);
    s.kept("kernel/kptr_restrict", 1, 0..=2);
    s.kept("kernel/panic", 0, i32::MIN.into()..=INT_MAX);
    s.fixed("kernel/panic_on_oops", "1");
    s.kept("kernel/panic_on_warn", 0, 0..=1);
    s.kept("kernel/print-fatal-signals", 0, i32::MIN.into()..=INT_MAX);
    s.fixed("kernel/sysctl_writes_strict", "1");
    s.kept("kernel/sysrq", 0, i32::MIN.into()..=INT_MAX);
    s.fixed("kernel/tainted", "0");
    s.numbers(
        "kernel/printk",
        i32::MIN.into()..=INT_MAX,
        || printk().map(|level| i64::from(level as i32)).to_vec(),
        |levels| {
            set_printk(core::array::from_fn(|n| levels.get(n).map_or(0, |level| *level as i32 as u32)));
            Ok(())
        },
    );
    s.kept("kernel/printk_delay", 0, 0..=10000);
    s.kept("kernel/printk_ratelimit", 5, 0..=INT_MAX);
    s.kept("kernel/printk_ratelimit_burst", 10, i32::MIN.into()..=INT_MAX);
    s.number(
        "kernel/watchdog_thresh",
        0..=watchdog::MAX_THRESHOLD.into(),
        || watchdog::threshold().into(),
        |seconds| {
            watchdog::set_threshold(seconds as u32);
            Ok(())
        },
    );
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
