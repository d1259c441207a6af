//! The files of /proc/PID that are about the process itself.

use super::Text;
use alloc::vec::Vec;

/// Memory figures of a process, in bytes.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct VmStatus {
    pub peak: u64,
    pub size: u64,
    pub locked: u64,
    pub hwm: u64,
    pub rss_anon: u64,
    pub rss_file: u64,
    pub rss_shmem: u64,
    pub data: u64,
    pub stack: u64,
    pub exe: u64,
    pub lib: u64,
    pub page_tables: u64,
}

impl VmStatus {
    fn rss(&self) -> u64 {
        self.rss_anon + self.rss_file + self.rss_shmem
    }
}

/// Signal sets, bit n-1 = signal n.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct SignalSets {
    pub queued: u64,
    pub queue_limit: u64,
    pub pending: u64,
    pub shared_pending: u64,
    pub blocked: u64,
    pub ignored: u64,
    pub caught: u64,
}

/// What /proc/PID/status shows.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Status {
    pub name: Vec<u8>,
    pub umask: u32,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X`.
    pub state: char,
    pub tgid: i32,
    pub pid: i32,
    pub ppid: i32,
    pub tracer: i32,
    /// Real, effective, saved, file system.
    pub uid: [u32; 4],
    pub gid: [u32; 4],
    pub fd_size: u32,
    pub groups: Vec<u32>,
    pub pgid: i32,
    pub sid: i32,
    /// `None` for a zombie, whose memory is gone.
    pub vm: Option<VmStatus>,
    pub threads: u32,
    pub signals: SignalSets,
    /// Inheritable, permitted, effective, bounding, ambient.
    pub caps: [u64; 5],
    pub no_new_privs: bool,
    /// Mode of seccomp(2), and how many filters there are.
    pub seccomp: (u32, u32),
    /// CPUs allowed, bit n = CPU n, for the first `cpus` CPUs.
    pub cpus_allowed: u64,
    pub voluntary_switches: u64,
    pub nonvoluntary_switches: u64,
}

/// The word behind a state letter (`task_state_array`).
fn state_name(state: char) -> &'static str {
    match state {
        'R' => "running",
        'S' => "sleeping",
        'D' => "disk sleep",
        'T' => "stopped",
        't' => "tracing stop",
        'X' => "dead",
        'Z' => "zombie",
        'P' => "parked",
        _ => "idle",
    }
}

/// /proc/PID/status.
pub fn status(s: &Status) -> Vec<u8> {
    let mut out = Text::default();
    out.bytes(b"Name:\t");
    out.escaped(&s.name, b"\n\\");
    out.put(format_args!("\nUmask:\t{:04o}\nState:\t{} ({})\n", s.umask, s.state, state_name(s.state)));
    out.put(format_args!("Tgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\nTracerPid:\t{}\n", s.tgid, s.pid, s.ppid, s.tracer));
    for (label, ids) in [("Uid", s.uid), ("Gid", s.gid)] {
        out.put(format_args!("{label}:\t{}\t{}\t{}\t{}\n", ids[0], ids[1], ids[2], ids[3]));
    }
    out.put(format_args!("FDSize:\t{}\nGroups:\t", s.fd_size));
    for (i, gid) in s.groups.iter().enumerate() {
        out.put(format_args!("{}{gid}", if i == 0 { "" } else { " " }));
    }
    out.put(format_args!(
        " \nNStgid:\t{}\nNSpid:\t{}\nNSpgid:\t{}\nNSsid:\t{}\nKthread:\t0\n",
        s.tgid, s.pid, s.pgid, s.sid
    ));
    if let Some(vm) = &s.vm {
        vm_status(&mut out, vm);
    }
    let sig = &s.signals;
    out.put(format_args!("Threads:\t{}\nSigQ:\t{}/{}\n", s.threads, sig.queued, sig.queue_limit));
    for (label, set) in [
        ("SigPnd", sig.pending),
        ("ShdPnd", sig.shared_pending),
        ("SigBlk", sig.blocked),
        ("SigIgn", sig.ignored),
        ("SigCgt", sig.caught),
        ("CapInh", s.caps[0]),
        ("CapPrm", s.caps[1]),
        ("CapEff", s.caps[2]),
        ("CapBnd", s.caps[3]),
        ("CapAmb", s.caps[4]),
    ] {
        out.put(format_args!("{label}:\t{set:016x}\n"));
    }
    let (mode, filters) = s.seccomp;
    out.put(format_args!("NoNewPrivs:\t{}\nSeccomp:\t{mode}\nSeccomp_filters:\t{filters}\n", u8::from(s.no_new_privs)));
    out.bytes(b"Speculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\talways enabled\n");
    // In groups of 32 bits.
    match (s.cpus_allowed >> 32, s.cpus_allowed & 0xffff_ffff) {
        (0, low) => out.put(format_args!("Cpus_allowed:\t{low:x}\n")),
        (high, low) => out.put(format_args!("Cpus_allowed:\t{high:x},{low:08x}\n")),
    }
    out.bytes(b"Cpus_allowed_list:\t");
    cpu_list(&mut out, s.cpus_allowed);
    out.bytes(b"\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n");
    out.put(format_args!(
        "voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n",
        s.voluntary_switches, s.nonvoluntary_switches
    ));
    out.0
}

fn vm_status(out: &mut Text, vm: &VmStatus) {
    for (label, bytes) in [
        ("VmPeak:\t", vm.peak),
        ("VmSize:\t", vm.size),
        ("VmLck:\t", vm.locked),
        ("VmPin:\t", 0),
        ("VmHWM:\t", vm.hwm.max(vm.rss())),
        ("VmRSS:\t", vm.rss()),
        ("RssAnon:\t", vm.rss_anon),
        ("RssFile:\t", vm.rss_file),
        ("RssShmem:\t", vm.rss_shmem),
        ("VmData:\t", vm.data),
        ("VmStk:\t", vm.stack),
        ("VmExe:\t", vm.exe),
        ("VmLib:\t", vm.lib),
        ("VmPTE:\t", vm.page_tables),
        ("VmSwap:\t", 0),
        ("HugetlbPages:\t", 0),
    ] {
        out.kb(label, 0, bytes);
    }
    out.bytes(b"CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
}

/// `0-3,5` (`%*pbl`).
fn cpu_list(out: &mut Text, mask: u64) {
    let mut first = true;
    let mut cpu = 0;
    while cpu < 64 {
        if mask >> cpu & 1 == 0 {
            cpu += 1;
            continue;
        }
        let run = u64::from((mask >> cpu).trailing_ones());
        let comma = if first { "" } else { "," };
        match run {
            1 => out.put(format_args!("{comma}{cpu}")),
            _ => out.put(format_args!("{comma}{cpu}-{}", cpu + run - 1)),
        }
        first = false;
        cpu += run;
    }
}

/// Scheduling figures for [`Stat`].
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Schedule {
    pub priority: i64,
    pub nice: i64,
    pub processor: i32,
    pub rt_priority: u32,
    pub policy: u32,
}

/// The 52 fields of /proc/PID/stat, by the names of proc_pid_stat(5); times in clock ticks (100 per
/// second).
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Stat {
    pub pid: i32,
    pub comm: Vec<u8>,
    pub state: char,
    pub ppid: i32,
    pub pgrp: i32,
    pub session: i32,
    pub tty_nr: i32,
    pub tpgid: i32,
    pub flags: u32,
    pub minflt: u64,
    pub cminflt: u64,
    pub majflt: u64,
    pub cmajflt: u64,
    pub utime: u64,
    pub stime: u64,
    pub cutime: i64,
    pub cstime: i64,
    pub schedule: Schedule,
    pub num_threads: u32,
    pub starttime: u64,
    /// Bytes.
    pub vsize: u64,
    /// Pages.
    pub rss: u64,
    pub rsslim: u64,
    pub startcode: u64,
    pub endcode: u64,
    pub startstack: u64,
    pub kstkesp: u64,
    pub kstkeip: u64,
    pub signal: u64,
    pub blocked: u64,
    pub sigignore: u64,
    pub sigcatch: u64,
    pub exit_signal: i32,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub exit_code: i32,
}

/// /proc/PID/stat.
pub fn stat(s: &Stat) -> Vec<u8> {
    let mut out = Text::default();
    out.put(format_args!("{} (", s.pid));
    out.escaped(&s.comm, b"\n\\");
    out.put(format_args!(") {} {} {} {} {} {} {} ", s.state, s.ppid, s.pgrp, s.session, s.tty_nr, s.tpgid, s.flags));
    out.put(format_args!(
        "{} {} {} {} {} {} {} {} ",
        s.minflt, s.cminflt, s.majflt, s.cmajflt, s.utime, s.stime, s.cutime, s.cstime
    ));
    let c = &s.schedule;
    out.put(format_args!(
        "{} {} {} 0 {} {} {} {} ",
        c.priority, c.nice, s.num_threads, s.starttime, s.vsize, s.rss, s.rsslim
    ));
    out.put(format_args!("{} {} {} {} {} ", s.startcode, s.endcode, s.startstack, s.kstkesp, s.kstkeip));
    // Only the classic 31 signals fit here (proc_pid_stat(5)).
    let classic = |set: u64| set & 0x7fff_ffff;
    out.put(format_args!("{} {} {} {} ", classic(s.signal), classic(s.blocked), classic(s.sigignore), classic(s.sigcatch)));
    out.put(format_args!("0 0 0 {} {} {} {} 0 0 0 ", s.exit_signal, c.processor, c.rt_priority, c.policy));
    out.put(format_args!("{} {} {} {} {} ", s.start_data, s.end_data, s.start_brk, s.arg_start, s.arg_end));
    out.put(format_args!("{} {} {}\n", s.env_start, s.env_end, s.exit_code));
    out.0
}

/// /proc/PID/statm, in pages.
pub fn statm(vm: &VmStatus) -> Vec<u8> {
    let mut out = Text::default();
    let pages = |bytes: u64| bytes / crate::PAGE_SIZE as u64;
    let shared = pages(vm.rss_file + vm.rss_shmem);
    let data = pages(vm.data + vm.stack);
    out.put(format_args!("{} {} {shared} {} 0 {data} 0\n", pages(vm.size), pages(vm.rss()), pages(vm.exe)));
    out.0
}

/// A resource limit; `u64::MAX` is unlimited.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `rlim_cur`.
    pub soft: u64,
    /// `rlim_max`.
    pub hard: u64,
}

/// /proc/PID/limits; `limits[n]` is that of `RLIMIT_n` (getrlimit(2)).
pub fn limits(limits: &[Limit; 16]) -> Vec<u8> {
    const NAMES: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let mut out = Text::default();
    out.bytes(b"Limit                     Soft Limit           Hard Limit           Units     \n");
    for ((name, unit), limit) in NAMES.iter().zip(limits) {
        out.put(format_args!("{name:<25} "));
        for value in [limit.soft, limit.hard] {
            match value {
                u64::MAX => out.put(format_args!("{:<20} ", "unlimited")),
                _ => out.put(format_args!("{value:<20} ")),
            }
        }
        if !unit.is_empty() {
            out.put(format_args!("{unit:<10}"));
        }
        out.bytes(b"\n");
    }
    out.0
}

/// /proc/PID/io.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Io {
    pub rchar: u64,
    pub wchar: u64,
    pub syscr: u64,
    pub syscw: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub cancelled_write_bytes: u64,
}

/// /proc/PID/io.
pub fn io(io: &Io) -> Vec<u8> {
    let mut out = Text::default();
    out.put(format_args!("rchar: {}\nwchar: {}\nsyscr: {}\nsyscw: {}\n", io.rchar, io.wchar, io.syscr, io.syscw));
    out.put(format_args!(
        "read_bytes: {}\nwrite_bytes: {}\ncancelled_write_bytes: {}\n",
        io.read_bytes, io.write_bytes, io.cancelled_write_bytes
    ));
    out.0
}

/// The part of /proc/PID/fdinfo/N that every file has; more lines may follow.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct FdInfo {
    pub pos: u64,
    pub flags: u32,
    pub mnt_id: u32,
    pub ino: u64,
}

/// /proc/PID/fdinfo/N.
pub fn fdinfo(info: &FdInfo) -> Vec<u8> {
    let mut out = Text::default();
    out.put(format_args!("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t{}\nino:\t{}\n", info.pos, info.flags, info.mnt_id, info.ino));
    out.0
}

/// /proc/PID/auxv: the pairs of the auxiliary vector, as the program found them on its stack,
/// `AT_NULL` last.
pub fn auxv(pairs: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    let ends = pairs.last().is_some_and(|p| p.0 == 0);
    for (key, value) in pairs.iter().chain((!ends).then_some(&(0, 0))) {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out
}

/// /proc/PID/cmdline and environ: each string with its NUL.
pub fn nul_list<S: AsRef<[u8]>>(strings: &[S]) -> Vec<u8> {
    let mut out = Vec::new();
    for s in strings {
        out.extend_from_slice(s.as_ref());
        out.push(0);
    }
    out
}

/// /proc/PID/cgroup where everything is in the root of the unified hierarchy (cgroups(7)).
pub fn cgroup_root() -> Vec<u8> {
    b"0::/\n".to_vec()
}
