//! What `/proc/config.gz` tells: which of Linux's options this kernel answers as one that was built
//! with them.

use alloc::format;
use alloc::string::String;

use syscall_shim::table::{self, Status};

use task::uts;
use task::vdso::COARSE_RESOLUTION_NS;

/// Those that a system call stands for, which is there or not.
const BY_CALL: &[(&str, &str)] = &[
    ("SYSVIPC", "shmget"),
    ("POSIX_MQUEUE", "mq_open"),
    ("CROSS_MEMORY_ATTACH", "process_vm_readv"),
    ("EPOLL", "epoll_wait"),
    ("FUTEX", "futex"),
    ("SIGNALFD", "signalfd4"),
    ("TIMERFD", "timerfd_create"),
    ("EVENTFD", "eventfd2"),
    ("ADVISE_SYSCALLS", "madvise"),
    ("MEMBARRIER", "membarrier"),
    ("RSEQ", "rseq"),
    ("KCMP", "kcmp"),
    ("CACHESTAT_SYSCALL", "cachestat"),
    ("NUMA", "mbind"),
    ("FHANDLE", "name_to_handle_at"),
    ("FILE_LOCKING", "flock"),
    ("INOTIFY_USER", "inotify_init1"),
    ("FANOTIFY", "fanotify_init"),
    ("MEMFD_CREATE", "memfd_create"),
    ("SECRETMEM", "memfd_secret"),
    ("USERFAULTFD", "userfaultfd"),
    ("AIO", "io_setup"),
    ("IO_URING", "io_uring_setup"),
    ("KEYS", "add_key"),
    ("SECCOMP", "seccomp"),
    ("SECCOMP_FILTER", "seccomp"),
    ("SECURITY_LANDLOCK", "landlock_create_ruleset"),
    ("BPF_SYSCALL", "bpf"),
    ("PERF_EVENTS", "perf_event_open"),
    ("SWAP", "swapon"),
    ("MODULES", "init_module"),
    ("MODIFY_LDT_SYSCALL", "modify_ldt"),
    ("X86_IOPL_IOPERM", "ioperm"),
    ("BSD_PROCESS_ACCT", "acct"),
    ("BSD_PROCESS_ACCT_V3", "acct"),
    ("QUOTACTL", "quotactl"),
    ("POSIX_TIMERS", "timer_create"),
    ("SYSFS_SYSCALL", "sysfs"),
    ("USELIB", "uselib"),
    ("KEXEC", "kexec_load"),
    ("KEXEC_FILE", "kexec_file_load"),
];

/// What else is there.
const OFFERED: &str = "\
    64BIT X86 X86_64 MMU SMP MULTIUSER UID16 PRINTK KALLSYMS IKCONFIG IKCONFIG_PROC HIGH_RES_TIMERS ARCH_HAS_ELF_RANDOMIZE \
    BINFMT_ELF BINFMT_SCRIPT ELF_CORE COREDUMP PROC_FS SYSCTL PROC_SYSCTL PROC_PAGE_MONITOR SYSFS TMPFS TMPFS_POSIX_ACL \
    TMPFS_XATTR FS_POSIX_ACL SHMEM DEVTMPFS DEVTMPFS_MOUNT FSNOTIFY DNOTIFY SYSVIPC_SYSCTL POSIX_MQUEUE_SYSCTL \
    CHECKPOINT_RESTORE FUTEX_PI TRANSPARENT_HUGEPAGE TTY UNIX98_PTYS HW_RANDOM NET UNIX AF_UNIX_OOB INET IPV6 PACKET \
    NETDEVICES NET_CORE DUMMY VETH TUN TCP_CONG_CUBIC VIRTIO VIRTIO_MMIO VIRTIO_PCI VIRTIO_NET VIRTIO_CONSOLE PVH PARAVIRT";

/// What else programs ask after, and is not there.
const MISSING: &str = "\
    IA32_EMULATION X86_X32_ABI COMPAT X86_VSYSCALL_EMULATION SGETMASK_SYSCALL TASKSTATS TASK_IO_ACCOUNTING AUDIT PSI \
    PROFILING KPROBES UPROBES FTRACE FUNCTION_TRACER TRACING BPF_JIT CGROUPS MEMCG CPUSETS CGROUP_PIDS CGROUP_SCHED \
    FAIR_GROUP_SCHED CFS_BANDWIDTH RT_GROUP_SCHED SCHED_AUTOGROUP UCLAMP_TASK SCHED_CORE NAMESPACES UTS_NS TIME_NS IPC_NS \
    USER_NS PID_NS NET_NS ZSWAP KSM HUGETLBFS HUGETLB_PAGE MEMORY_FAILURE HWPOISON_INJECT MEMORY_HOTPLUG \
    PERSISTENT_KEYRINGS ENCRYPTED_KEYS TRUSTED_KEYS SECURITY SECURITY_SELINUX SECURITY_APPARMOR SECURITY_LOCKDOWN_LSM \
    MODULE_SIG EFI HIBERNATION SUSPEND CPU_FREQ X86_INTEL_MEMORY_PROTECTION_KEYS FANOTIFY_ACCESS_PERMISSIONS QUOTA QFMT_V1 \
    QFMT_V2 EXT2_FS EXT3_FS EXT4_FS XFS_FS BTRFS_FS VFAT_FS EXFAT_FS NTFS3_FS BCACHEFS_FS FUSE_FS OVERLAY_FS SQUASHFS \
    EROFS_FS ISO9660_FS NFS_FS AUTOFS_FS CONFIGFS_FS DEBUG_FS BINFMT_MISC BLOCK BLK_DEV BLK_DEV_LOOP BLK_DEV_RAM \
    BLK_DEV_NBD ZRAM MD BLK_DEV_DM LEGACY_PTYS VT INPUT INPUT_UINPUT RTC_CLASS WATCHDOG CRYPTO CRYPTO_USER \
    CRYPTO_USER_API_HASH CRYPTO_USER_API_SKCIPHER NETFILTER NF_TABLES IP_NF_IPTABLES BRIDGE VLAN_8021Q MACVLAN VXLAN \
    BONDING NET_SCHED VSOCKETS VHOST_NET RDS SMC MPTCP TIPC IP_SCTP IP_DCCP ATM CAN X25 LAPB AF_RXRPC XFRM PPP SLIP \
    PREEMPT_RT DEBUG_KERNEL PROVE_LOCKING LOCKDEP KASAN KMEMLEAK DEBUG_PAGEALLOC DEBUG_OBJECTS SLUB_DEBUG_ON \
    FAULT_INJECTION LATENCYTOP GCOV_KERNEL KCOV HARDENED_USERCOPY";

/// The file before it is compressed, in the form of Linux's.
pub fn text() -> String {
    let head = format!("#\n# Linux/x86 {} Kernel Configuration\n#\n", uts::RELEASE);
    let hz = 1_000_000_000 / COARSE_RESOLUTION_NS;
    let values = format!("CONFIG_HZ_{hz}=y\nCONFIG_HZ={hz}\nCONFIG_PGTABLE_LEVELS=4\nCONFIG_PAGE_SHIFT=12\n");
    let mut text = head + &values;
    let mut put = |name: &str, is_there: bool| {
        text += &if is_there { format!("CONFIG_{name}=y\n") } else { format!("# CONFIG_{name} is not set\n") };
    };
    for (name, call) in BY_CALL {
        put(name, table::number(call).is_some_and(|number| table::status(u64::from(number)) != Status::Absent));
    }
    OFFERED.split_whitespace().for_each(|name| put(name, true));
    MISSING.split_whitespace().for_each(|name| put(name, false));
    text
}
