//! Processes: clone3(2), getrusage(2), getrlimit(2), sysinfo(2), uname(2), sched_setattr(2),
//! rseq(2), wait(2).

use super::Timeval;

abi_structs! {
    /// `struct clone_args` (clone3(2)), the newest of its sizes.
    CloneArgs [88] {
        flags: u64, pidfd: u64, child_tid: u64, parent_tid: u64, exit_signal: u64, stack: u64, stack_size: u64, tls: u64, set_tid: u64,
        set_tid_size: u64, cgroup: u64,
    }
    /// `struct acct_v3` (acct(5)).
    AcctV3 [64] {
        ac_flag: u8, ac_version: u8, ac_tty: u16, ac_exitcode: u32, ac_uid: u32, ac_gid: u32, ac_pid: u32, ac_ppid: u32, ac_btime: u32,
        ac_etime: u32, ac_utime: u16, ac_stime: u16, ac_mem: u16, ac_io: u16, ac_rw: u16, ac_minflt: u16, ac_majflt: u16, ac_swaps: u16,
        ac_comm: [u8; 16],
    }
    /// `struct pidfd_info` (`PIDFD_GET_INFO`).
    PidfdInfo [72] {
        mask: u64, cgroupid: u64, pid: u32, tgid: u32, ppid: u32, ruid: u32, rgid: u32, euid: u32, egid: u32, suid: u32, sgid: u32,
        fsuid: u32, fsgid: u32, exit_code: i32, coredump_mask: u32, spare: u32,
    }
    /// `struct seccomp_data` (seccomp(2)).
    SeccompData [64] { nr: i32, arch: u32, instruction_pointer: u64, args: [u64; 6], }
    /// `struct seccomp_notif` (seccomp_unotify(2)).
    SeccompNotif [80] { id: u64, pid: u32, flags: u32, data: SeccompData, }
    /// `struct seccomp_notif_resp` (seccomp_unotify(2)).
    SeccompResponse [24] { id: u64, val: i64, error: i32, flags: u32, }
    /// `struct seccomp_notif_addfd` (seccomp_unotify(2)).
    SeccompAddfd [24] { id: u64, flags: u32, srcfd: u32, newfd: u32, newfd_flags: u32, }
    /// `struct procmap_query` (`PROCMAP_QUERY`).
    ProcmapQuery [104] {
        size: u64, query_flags: u64, query_addr: u64, vma_start: u64, vma_end: u64, vma_flags: u64, vma_page_size: u64,
        vma_offset: u64, inode: u64, dev_major: u32, dev_minor: u32, vma_name_size: u32, build_id_size: u32, vma_name_addr: u64,
        build_id_addr: u64,
    }
    /// `struct rusage` (getrusage(2)).
    Rusage [144] {
        ru_utime: Timeval, ru_stime: Timeval, ru_maxrss: i64, ru_ixrss: i64, ru_idrss: i64, ru_isrss: i64, ru_minflt: i64,
        ru_majflt: i64, ru_nswap: i64, ru_inblock: i64, ru_oublock: i64, ru_msgsnd: i64, ru_msgrcv: i64, ru_nsignals: i64,
        ru_nvcsw: i64, ru_nivcsw: i64,
    }
    /// `struct rlimit64` (getrlimit(2)).
    Rlimit [16] { rlim_cur: u64, rlim_max: u64, }
    /// `struct sysinfo` (sysinfo(2)).
    Sysinfo [112] {
        uptime: i64, loads: [u64; 3], totalram: u64, freeram: u64, sharedram: u64, bufferram: u64, totalswap: u64, freeswap: u64,
        procs: u16, pad: u16, pad2: u32, totalhigh: u64, freehigh: u64, mem_unit: u32, pad3: u32,
    }
    /// `struct new_utsname` (uname(2)).
    Utsname [390] {
        sysname: [u8; 65], nodename: [u8; 65], release: [u8; 65], version: [u8; 65], machine: [u8; 65], domainname: [u8; 65],
    }
    /// `struct sched_param` (sched_setparam(2)).
    SchedParam [4] { sched_priority: i32, }
    /// `struct sched_attr` (sched_setattr(2)).
    SchedAttr [56] {
        size: u32, sched_policy: u32, sched_flags: u64, sched_nice: i32, sched_priority: u32, sched_runtime: u64, sched_deadline: u64,
        sched_period: u64, sched_util_min: u32, sched_util_max: u32,
    }
    /// `struct robust_list_head` (set_robust_list(2)).
    RobustListHead [24] { list: u64, futex_offset: i64, list_op_pending: u64, }
    /// `struct rseq` (rseq(2)), as glibc registers it: 32 bytes.
    Rseq [32] { cpu_id_start: u32, cpu_id: u32, rseq_cs: u64, flags: u32, node_id: u32, mm_cid: u32, pad: u32, }
    /// `struct rseq_cs` (rseq(2)): a restartable section.
    RseqCs [32] { version: u32, flags: u32, start_ip: u64, post_commit_offset: u64, abort_ip: u64, }
    /// `struct __user_cap_header_struct` (capget(2)).
    CapHeader [8] { version: u32, pid: i32, }
    /// `struct __user_cap_data_struct` (capget(2)).
    CapData [12] { effective: u32, permitted: u32, inheritable: u32, }
    /// `struct futex_waitv` (futex_waitv(2)).
    FutexWaitv [24] { val: u64, uaddr: u64, flags: u32, reserved: u32, }
}

/// `RLIM_INFINITY` (getrlimit(2)).
pub const RLIM_INFINITY: u64 = u64::MAX;

impl Utsname {
    /// A field's bytes from a string: cut to 64, NUL-padded.
    pub fn field(text: &str) -> [u8; 65] {
        let mut field = [0; 65];
        for (to, from) in field.iter_mut().take(64).zip(text.bytes()) {
            *to = from;
        }
        field
    }
}

/// The status word of wait(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitStatus {
    /// exit(2) with this status.
    Exited(u8),
    /// Killed by this signal; whether a core was dumped.
    Signaled(u8, bool),
    /// Stopped by this signal.
    Stopped(u8),
    /// Continued by `SIGCONT`.
    Continued,
}

impl WaitStatus {
    /// The word as wait4(2) stores it.
    pub const fn encode(self) -> u32 {
        match self {
            Self::Exited(status) => (status as u32) << 8,
            Self::Signaled(signal, core) => signal as u32 | (core as u32) << 7,
            Self::Stopped(signal) => (signal as u32) << 8 | 0x7f,
            Self::Continued => 0xffff,
        }
    }

    /// The word taken apart.
    pub const fn decode(word: u32) -> Self {
        match word {
            0xffff => Self::Continued,
            w if w & 0x7f == 0 => Self::Exited((w >> 8) as u8),
            w if w & 0xff == 0x7f => Self::Stopped((w >> 8) as u8),
            w => Self::Signaled(w as u8 & 0x7f, w & 0x80 != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_round_trip() {
        for s in [
            WaitStatus::Exited(3),
            WaitStatus::Signaled(11, true),
            WaitStatus::Signaled(9, false),
            WaitStatus::Stopped(19),
            WaitStatus::Continued,
        ] {
            assert_eq!(WaitStatus::decode(s.encode()), s);
        }
        assert_eq!(WaitStatus::Signaled(11, true).encode(), 139);
    }
}
