//! The one table of system calls: number, name, kinds of its arguments, and how far Skiff has it.
//!
//! A row is `number, name, [kinds], status;`, one per line so that two people who finish two calls
//! do not meet in a merge. Numbers and names are those of `arch/x86/entry/syscalls/syscall_64.tbl`.
//! The status is
//!
//! - `absent`: there is no handler; the call answers `ENOSYS` and is counted;
//! - `partial("what is missing")`: a handler exists and says here what it does not do;
//! - `done`: the call behaves as its man page says.
//!
//! [`for_each_syscall!`](crate::for_each_syscall) hands all rows to a callback macro. The kernel's
//! callback makes the dispatcher: rows that are `absent` need no handler to exist, and the number
//! of arguments passed is the number of kinds in the row.
//!
//! ```
//! use syscall_shim::{Errno, SysResult};
//! mod handlers {
//!     // stands for the kernel's `crate::syscalls`
//! }
//! macro_rules! call {
//!     (absent, $name:ident, $args:ident, [$($kind:ident)*]) => { Err(Errno::ENOSYS) };
//!     ($status:ident, $name:ident, $args:ident, []) => { handlers::$name() };
//!     ($status:ident, $name:ident, $args:ident, [$a:ident]) => { handlers::$name($args[0].into()) };
//!     // ... one arm per number of arguments, up to six
//! }
//! macro_rules! dispatcher {
//!     ($($nr:literal, $name:ident, [$($kind:ident $(($len:literal))?)*], $status:ident $(($why:literal))?;)*) => {
//!         fn dispatch(nr: u64, args: [u64; 6]) -> SysResult {
//!             match nr {
//!                 $($nr => call!(absent, $name, args, [$($kind)*]),)* // the kernel passes `$status` here
//!                 _ => Err(Errno::ENOSYS),
//!             }
//!         }
//!     };
//! }
//! syscall_shim::for_each_syscall! { dispatcher }
//! assert_eq!(dispatch(9999, [0; 6]), Err(Errno::ENOSYS));
//! ```
//!
//! The kinds are those of [`Arg`]; `BufIn(2)` says that argument 2 (counted from 0) holds the
//! length.

/// Hands every row of the table to the macro named: see the [module](crate::table).
#[macro_export]
macro_rules! for_each_syscall {
    ($callback:ident) => {
        $callback! {
            0, read, [Fd BufOut Size], done;
            1, write, [Fd BufIn(2) Size], done;
            2, open, [Path OpenFlags Mode], done;
            3, close, [Fd], done;
            4, stat, [Path StatOut], done;
            5, fstat, [Fd StatOut], done;
            6, lstat, [Path StatOut], done;
            7, poll, [PollFds(1) UInt Msec], done;
            8, lseek, [Fd Off Whence], done;
            9, mmap, [Ptr Size Prot MapFlags Fd OffHex], done;
            10, mprotect, [Ptr Size Prot], done;
            11, munmap, [Ptr Size], done;
            12, brk, [Ptr], done;
            13, rt_sigaction, [Signal SigAction SigActionOut Size], done;
            14, rt_sigprocmask, [SigHow SigSet SigSetOut Size], done;
            15, rt_sigreturn, [], done;
            16, ioctl, [Fd IoctlReq IoctlArg(1)], done;
            17, pread64, [Fd BufOut Size Off], done;
            18, pwrite64, [Fd BufIn(2) Size Off], done;
            19, readv, [Fd IovecOut(2) UInt], done;
            20, writev, [Fd Iovec(2) UInt], done;
            21, access, [Path AccessMode], done;
            22, pipe, [FdPairOut], done;
            23, select, [Int Ptr Ptr Ptr Timeval], done;
            24, sched_yield, [], done;
            25, mremap, [Ptr Size Size MremapFlags Ptr], done;
            26, msync, [Ptr Size MsyncFlags], done;
            27, mincore, [Ptr Size Ptr], done;
            28, madvise, [Ptr Size Madvice], done;
            29, shmget, [Hex Size Hex], done;
            30, shmat, [Int Ptr Hex], done;
            31, shmctl, [Int Int Ptr], done;
            32, dup, [Fd], done;
            33, dup2, [Fd Fd], done;
            34, pause, [], done;
            35, nanosleep, [Timespec TimespecOut], done;
            36, getitimer, [ItimerWhich ItimervalOut], done;
            37, alarm, [UInt], done;
            38, setitimer, [ItimerWhich Itimerval ItimervalOut], done;
            39, getpid, [], done;
            40, sendfile, [Fd Fd Ptr Size], done;
            41, socket, [SockDomain SockType SockProtocol], partial("AF_UNIX, AF_INET, AF_INET6, AF_PACKET (fragments are not put together for fan-out) and AF_NETLINK (no addresses with a peer, no proxies among neighbours)");
            42, connect, [Fd Sockaddr(2) UInt], done;
            43, accept, [Fd SockaddrOut SockLen], done;
            44, sendto, [Fd BufIn(2) Size MsgFlags Sockaddr(5) UInt], done;
            45, recvfrom, [Fd BufOut Size MsgFlags SockaddrOut SockLen], done;
            46, sendmsg, [Fd Msghdr MsgFlags], done;
            47, recvmsg, [Fd MsghdrOut MsgFlags], done;
            48, shutdown, [Fd ShutHow], done;
            49, bind, [Fd Sockaddr(2) UInt], done;
            50, listen, [Fd Int], done;
            51, getsockname, [Fd SockaddrOut SockLen], done;
            52, getpeername, [Fd SockaddrOut SockLen], done;
            53, socketpair, [SockDomain SockType SockProtocol FdPairOut], done;
            54, setsockopt, [Fd SockLevel SockOpt SockOptVal(4) UInt], partial("no TCP_MD5SIG, TCP_REPAIR and TCP_AO_* (ENOPROTOOPT); fast open's options are kept, without its cookies");
            55, getsockopt, [Fd SockLevel SockOpt SockOptValOut SockLen], done;
            56, clone, [CloneFlags Ptr Ptr Ptr Ptr], done;
            57, fork, [], done;
            58, vfork, [], done;
            59, execve, [Path Argv Envp], done;
            60, exit, [Int], done;
            61, wait4, [Int WstatusOut WaitOptions RusageOut], done;
            62, kill, [Int Signal], done;
            63, uname, [UtsnameOut], done;
            64, semget, [Hex Int Hex], done;
            65, semop, [Int Ptr Size], done;
            66, semctl, [Int Int Int Ptr], done;
            67, shmdt, [Ptr], done;
            68, msgget, [Hex Hex], done;
            69, msgsnd, [Int Ptr Size Hex], done;
            70, msgrcv, [Int Ptr Size Int Hex], done;
            71, msgctl, [Int Int Ptr], done;
            72, fcntl, [Fd FcntlCmd FcntlArg(1)], done;
            73, flock, [Fd FlockOp], done;
            74, fsync, [Fd], done;
            75, fdatasync, [Fd], done;
            76, truncate, [Path Off], done;
            77, ftruncate, [Fd Off], done;
            78, getdents, [Fd Ptr UInt], done;
            79, getcwd, [StrOut Size], done;
            80, chdir, [Path], done;
            81, fchdir, [Fd], done;
            82, rename, [Path Path], done;
            83, mkdir, [Path Mode], done;
            84, rmdir, [Path], done;
            85, creat, [Path Mode], done;
            86, link, [Path Path], done;
            87, unlink, [Path], done;
            88, symlink, [Path Path], done;
            89, readlink, [Path BufOut Size], done;
            90, chmod, [Path Mode], done;
            91, fchmod, [Fd Mode], done;
            92, chown, [Path Id Id], done;
            93, fchown, [Fd Id Id], done;
            94, lchown, [Path Id Id], done;
            95, umask, [Mode], done;
            96, gettimeofday, [TimevalOut Ptr], done;
            97, getrlimit, [Resource RlimitOut], done;
            98, getrusage, [Int RusageOut], partial("no block I/O counts");
            99, sysinfo, [SysinfoOut], done;
            100, times, [Ptr], done;
            101, ptrace, [Int Int Ptr Ptr], absent;
            102, getuid, [], done;
            103, syslog, [Int Ptr Int], done;
            104, getgid, [], done;
            105, setuid, [Id], done;
            106, setgid, [Id], done;
            107, geteuid, [], done;
            108, getegid, [], done;
            109, setpgid, [Int Int], done;
            110, getppid, [], done;
            111, getpgrp, [], done;
            112, setsid, [], done;
            113, setreuid, [Id Id], done;
            114, setregid, [Id Id], done;
            115, getgroups, [Int Ptr], done;
            116, setgroups, [Int Ptr], done;
            117, setresuid, [Id Id Id], done;
            118, getresuid, [Ptr Ptr Ptr], done;
            119, setresgid, [Id Id Id], done;
            120, getresgid, [Ptr Ptr Ptr], done;
            121, getpgid, [Int], done;
            122, setfsuid, [Id], done;
            123, setfsgid, [Id], done;
            124, getsid, [Int], done;
            125, capget, [Ptr Ptr], done;
            126, capset, [Ptr Ptr], done;
            127, rt_sigpending, [SigSetOut Size], done;
            128, rt_sigtimedwait, [SigSet SiginfoOut Timespec Size], done;
            129, rt_sigqueueinfo, [Int Signal Siginfo], done;
            130, rt_sigsuspend, [SigSet Size], done;
            131, sigaltstack, [StackT StackTOut], done;
            132, utime, [Path Ptr], done;
            133, mknod, [Path Mode Dev], done;
            134, uselib, [Path], absent;
            135, personality, [Hex], partial("ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, STICKY_TIMEOUTS, UNAME26 and PER_LINUX32 have an effect");
            136, ustat, [Dev Ptr], done;
            137, statfs, [Path StatfsOut], done;
            138, fstatfs, [Fd StatfsOut], done;
            139, sysfs, [Int Ptr Ptr], done;
            140, getpriority, [Int Int], done;
            141, setpriority, [Int Int Int], done;
            142, sched_setparam, [Int Ptr], done;
            143, sched_getparam, [Int Ptr], done;
            144, sched_setscheduler, [Int SchedPolicy Ptr], done;
            145, sched_getscheduler, [Int], done;
            146, sched_get_priority_max, [SchedPolicy], done;
            147, sched_get_priority_min, [SchedPolicy], done;
            148, sched_rr_get_interval, [Int TimespecOut], done;
            149, mlock, [Ptr Size], done;
            150, munlock, [Ptr Size], done;
            151, mlockall, [Hex], done;
            152, munlockall, [], done;
            153, vhangup, [], done;
            154, modify_ldt, [Int Ptr Size], absent;
            155, pivot_root, [Path Path], done;
            156, _sysctl, [Ptr], absent;
            157, prctl, [PrctlOp Hex Hex Hex Hex], partial("no memory is merged, and there is no speculation to control; PR_SET_TSC cannot make the instruction trap");
            158, arch_prctl, [ArchPrctlOp Ptr], partial("GS belongs to the kernel: ARCH_SET_GS is refused");
            159, adjtimex, [Ptr], done;
            160, setrlimit, [Resource Rlimit], done;
            161, chroot, [Path], done;
            162, sync, [], done;
            163, acct, [Path], partial("not suspended where the file system is nearly full");
            164, settimeofday, [Timeval Ptr], done;
            165, mount, [Path Path Str Hex Ptr], partial("tmpfs, ramfs, ext2, ext3, ext4, proc, sysfs, devpts, mqueue and overlay");
            166, umount2, [Path Hex], done;
            167, swapon, [Path Hex], absent;
            168, swapoff, [Path], absent;
            169, reboot, [Hex Hex Hex Ptr], partial("a restart ends the machine");
            170, sethostname, [BufIn(1) Size], done;
            171, setdomainname, [BufIn(1) Size], done;
            172, iopl, [Int], absent;
            173, ioperm, [Hex Hex Int], absent;
            174, create_module, [Str Size], absent;
            175, init_module, [Ptr Size Str], absent;
            176, delete_module, [Str Hex], absent;
            177, get_kernel_syms, [Ptr], absent;
            178, query_module, [Str Int Ptr Size Ptr], absent;
            179, quotactl, [Hex Str Int Ptr], absent;
            180, nfsservctl, [Int Ptr Ptr], absent;
            181, getpmsg, [Ptr Ptr Ptr Ptr Ptr], absent;
            182, putpmsg, [Ptr Ptr Ptr Ptr Ptr], absent;
            183, afs_syscall, [], absent;
            184, tuxcall, [], absent;
            185, security, [], absent;
            186, gettid, [], done;
            187, readahead, [Fd Off Size], done;
            188, setxattr, [Path Str BufIn(3) Size XattrFlags], done;
            189, lsetxattr, [Path Str BufIn(3) Size XattrFlags], done;
            190, fsetxattr, [Fd Str BufIn(3) Size XattrFlags], done;
            191, getxattr, [Path Str BufOut Size], done;
            192, lgetxattr, [Path Str BufOut Size], done;
            193, fgetxattr, [Fd Str BufOut Size], done;
            194, listxattr, [Path BufOut Size], done;
            195, llistxattr, [Path BufOut Size], done;
            196, flistxattr, [Fd BufOut Size], done;
            197, removexattr, [Path Str], done;
            198, lremovexattr, [Path Str], done;
            199, fremovexattr, [Fd Str], done;
            200, tkill, [Int Signal], done;
            201, time, [Ptr], done;
            202, futex, [Ptr FutexOp Int FutexTimeout(1) Ptr Hex], partial("priority-inheritance locks do not raise their owner's priority");
            203, sched_setaffinity, [Int Size CpuSet(1)], done;
            204, sched_getaffinity, [Int Size CpuSetOut], done;
            205, set_thread_area, [Ptr], absent;
            206, io_setup, [UInt Ptr], absent;
            207, io_destroy, [Hex], absent;
            208, io_getevents, [Hex Int Int Ptr Timespec], absent;
            209, io_submit, [Hex Int Ptr], absent;
            210, io_cancel, [Hex Ptr Ptr], absent;
            211, get_thread_area, [Ptr], absent;
            212, lookup_dcookie, [Hex BufOut Size], absent;
            213, epoll_create, [Int], done;
            214, epoll_ctl_old, [], absent;
            215, epoll_wait_old, [], absent;
            216, remap_file_pages, [Ptr Size Prot Size MapFlags], done;
            217, getdents64, [Fd DirentsOut Size], done;
            218, set_tid_address, [Ptr], done;
            219, restart_syscall, [], done;
            220, semtimedop, [Int Ptr Size Timespec], done;
            221, fadvise64, [Fd Off Off Fadvice], done;
            222, timer_create, [ClockId Sigevent TimerIdOut], done;
            223, timer_settime, [Int TimerFlags Itimerspec ItimerspecOut], done;
            224, timer_gettime, [Int ItimerspecOut], done;
            225, timer_getoverrun, [Int], done;
            226, timer_delete, [Int], done;
            227, clock_settime, [ClockId Timespec], done;
            228, clock_gettime, [ClockId TimespecOut], done;
            229, clock_getres, [ClockId TimespecOut], done;
            230, clock_nanosleep, [ClockId TimerFlags Timespec TimespecOut], done;
            231, exit_group, [Int], done;
            232, epoll_wait, [Fd EpollEventsOut Int Msec], done;
            233, epoll_ctl, [Fd EpollCtl Fd EpollEvent], done;
            234, tgkill, [Int Int Signal], done;
            235, utimes, [Path Ptr], done;
            236, vserver, [], absent;
            237, mbind, [Ptr Size Int Ptr UInt Hex], done;
            238, set_mempolicy, [Int Ptr UInt], done;
            239, get_mempolicy, [Ptr Ptr UInt Ptr Hex], done;
            240, mq_open, [Str OpenFlags Mode Ptr], done;
            241, mq_unlink, [Str], done;
            242, mq_timedsend, [Fd BufIn(2) Size UInt Timespec], done;
            243, mq_timedreceive, [Fd BufOut Size Ptr Timespec], done;
            244, mq_notify, [Fd Sigevent], done;
            245, mq_getsetattr, [Fd Ptr Ptr], done;
            246, kexec_load, [Ptr Size Ptr Hex], absent;
            247, waitid, [WaitIdType Int SiginfoOut WaitOptions RusageOut], done;
            248, add_key, [Str Str Ptr Size Int], absent;
            249, request_key, [Str Str Str Int], absent;
            250, keyctl, [Int Hex Hex Hex Hex], absent;
            251, ioprio_set, [Int Int Hex], partial("kept, inherited and shared; no disk looks at it");
            252, ioprio_get, [Int Int], done;
            253, inotify_init, [], done;
            254, inotify_add_watch, [Fd Path InotifyMask], done;
            255, inotify_rm_watch, [Fd Int], done;
            256, migrate_pages, [Int UInt Ptr Ptr], done;
            257, openat, [DirFd Path OpenFlags Mode], done;
            258, mkdirat, [DirFd Path Mode], done;
            259, mknodat, [DirFd Path Mode Dev], done;
            260, fchownat, [DirFd Path Id Id AtFlags], done;
            261, futimesat, [DirFd Path Ptr], done;
            262, newfstatat, [DirFd Path StatOut AtFlags], done;
            263, unlinkat, [DirFd Path AtFlags], done;
            264, renameat, [DirFd Path DirFd Path], done;
            265, linkat, [DirFd Path DirFd Path AtFlags], done;
            266, symlinkat, [Path DirFd Path], done;
            267, readlinkat, [DirFd Path BufOut Size], done;
            268, fchmodat, [DirFd Path Mode], done;
            269, faccessat, [DirFd Path AccessMode], done;
            270, pselect6, [Int Ptr Ptr Ptr Timespec Ptr], done;
            271, ppoll, [PollFds(1) UInt Timespec SigSet Size], done;
            272, unshare, [CloneFlags], partial("there are no namespaces: EPERM");
            273, set_robust_list, [Ptr Size], done;
            274, get_robust_list, [Int Ptr Ptr], done;
            275, splice, [Fd Ptr Fd Ptr Size SpliceFlags], done;
            276, tee, [Fd Fd Size SpliceFlags], done;
            277, sync_file_range, [Fd Off Off Hex], done;
            278, vmsplice, [Fd Iovec(2) Size SpliceFlags], done;
            279, move_pages, [Int Size Ptr Ptr Ptr Hex], done;
            280, utimensat, [DirFd Path TimespecPair AtFlags], done;
            281, epoll_pwait, [Fd EpollEventsOut Int Msec SigSet Size], done;
            282, signalfd, [Fd SigSet Size], done;
            283, timerfd_create, [ClockId TimerfdFlags], done;
            284, eventfd, [UInt], done;
            285, fallocate, [Fd FallocMode Off Off], done;
            286, timerfd_settime, [Fd TimerFlags Itimerspec ItimerspecOut], done;
            287, timerfd_gettime, [Fd ItimerspecOut], done;
            288, accept4, [Fd SockaddrOut SockLen SockFlags], done;
            289, signalfd4, [Fd SigSet Size SignalfdFlags], done;
            290, eventfd2, [UInt EventfdFlags], done;
            291, epoll_create1, [EpollCreateFlags], done;
            292, dup3, [Fd Fd OpenFlags], done;
            293, pipe2, [FdPairOut OpenFlags], done;
            294, inotify_init1, [OpenFlags], done;
            295, preadv, [Fd IovecOut(2) UInt Off Hex], done;
            296, pwritev, [Fd Iovec(2) UInt Off Hex], done;
            297, rt_tgsigqueueinfo, [Int Int Signal Siginfo], done;
            298, perf_event_open, [Ptr Int Int Fd Hex], absent;
            299, recvmmsg, [Fd Ptr UInt MsgFlags Timespec], done;
            300, fanotify_init, [Hex Hex], absent;
            301, fanotify_mark, [Fd Hex Hex DirFd Path], absent;
            302, prlimit64, [Int Resource Rlimit RlimitOut], done;
            303, name_to_handle_at, [DirFd Path Ptr Ptr AtFlags], done;
            304, open_by_handle_at, [Fd Ptr OpenFlags], done;
            305, clock_adjtime, [ClockId Ptr], done;
            306, syncfs, [Fd], done;
            307, sendmmsg, [Fd Ptr UInt MsgFlags], done;
            308, setns, [Fd CloneFlags], partial("there are no namespaces to enter: EINVAL");
            309, getcpu, [Ptr Ptr Ptr], done;
            310, process_vm_readv, [Int Ptr UInt Ptr UInt Hex], done;
            311, process_vm_writev, [Int Ptr UInt Ptr UInt Hex], done;
            312, kcmp, [Int Int Int Hex Hex], done;
            313, finit_module, [Fd Str Hex], absent;
            314, sched_setattr, [Int Ptr Hex], partial("SCHED_DEADLINE: a budget used up postpones the deadline instead of making the task wait; utilisation clamps are ignored");
            315, sched_getattr, [Int Ptr UInt Hex], done;
            316, renameat2, [DirFd Path DirFd Path RenameFlags], done;
            317, seccomp, [UInt Hex Ptr], partial("no tracer; nothing is logged");
            318, getrandom, [RandomOut Size GetrandomFlags], done;
            319, memfd_create, [Str MemfdFlags], done;
            320, kexec_file_load, [Fd Fd Size Str Hex], absent;
            321, bpf, [Int Ptr UInt], absent;
            322, execveat, [DirFd Path Argv Envp AtFlags], done;
            323, userfaultfd, [OpenFlags], absent;
            324, membarrier, [MembarrierCmd Hex Int], done;
            325, mlock2, [Ptr Size Hex], done;
            326, copy_file_range, [Fd Ptr Fd Ptr Size Hex], done;
            327, preadv2, [Fd IovecOut(2) UInt Off Hex RwfFlags], done;
            328, pwritev2, [Fd Iovec(2) UInt Off Hex RwfFlags], done;
            329, pkey_mprotect, [Ptr Size Prot Int], done;
            330, pkey_alloc, [Hex Hex], done;
            331, pkey_free, [Int], done;
            332, statx, [DirFd Path AtFlags StatxMask StatxOut], done;
            333, io_pgetevents, [Hex Int Int Ptr Timespec Ptr], absent;
            334, rseq, [Ptr Hex Hex Hex], done;
            335, uretprobe, [], absent;
            424, pidfd_send_signal, [Fd Signal Siginfo Hex], done;
            425, io_uring_setup, [UInt Ptr], absent;
            426, io_uring_enter, [Fd UInt UInt Hex Ptr Size], absent;
            427, io_uring_register, [Fd UInt Ptr UInt], absent;
            428, open_tree, [DirFd Path Hex], done;
            429, move_mount, [DirFd Path DirFd Path Hex], done;
            430, fsopen, [Str Hex], done;
            431, fsconfig, [Fd UInt Str Ptr Int], done;
            432, fsmount, [Fd Hex Hex], done;
            433, fspick, [DirFd Path Hex], done;
            434, pidfd_open, [Int OpenFlags], done;
            435, clone3, [CloneArgs Size], done;
            436, close_range, [UInt UInt CloseRangeFlags], done;
            437, openat2, [DirFd Path OpenHow Size], done;
            438, pidfd_getfd, [Fd Fd Hex], done;
            439, faccessat2, [DirFd Path AccessMode AtFlags], done;
            440, process_madvise, [Fd Iovec(2) Size Madvice Hex], done;
            441, epoll_pwait2, [Fd EpollEventsOut Int Timespec SigSet Size], done;
            442, mount_setattr, [DirFd Path AtFlags Ptr Size], partial("no id mappings, as there are no user namespaces");
            443, quotactl_fd, [Fd Hex Int Ptr], absent;
            444, landlock_create_ruleset, [Ptr Size Hex], absent;
            445, landlock_add_rule, [Fd Int Ptr Hex], absent;
            446, landlock_restrict_self, [Fd Hex], absent;
            447, memfd_secret, [Hex], absent;
            448, process_mrelease, [Fd Hex], partial("memory goes as the threads end, not before");
            449, futex_waitv, [Ptr UInt Hex Timespec ClockId], done;
            450, set_mempolicy_home_node, [Ptr Size UInt Hex], done;
            451, cachestat, [Fd Ptr Ptr Hex], done;
            452, fchmodat2, [DirFd Path Mode AtFlags], done;
            453, map_shadow_stack, [Ptr Size Hex], absent;
            454, futex_wake, [Ptr Hex Int Hex], done;
            455, futex_wait, [Ptr Hex Hex Hex Timespec ClockId], done;
            456, futex_requeue, [Ptr Hex Int Int], done;
            457, statmount, [Ptr Ptr Size Hex], done;
            458, listmount, [Ptr Ptr Size Hex], done;
            459, lsm_get_self_attr, [UInt Ptr Ptr Hex], absent;
            460, lsm_set_self_attr, [UInt Ptr UInt Hex], absent;
            461, lsm_list_modules, [Ptr Ptr Hex], absent;
            462, mseal, [Ptr Size Hex], done;
            463, setxattrat, [DirFd Path AtFlags Str Ptr Size], done;
            464, getxattrat, [DirFd Path AtFlags Str Ptr Size], done;
            465, listxattrat, [DirFd Path AtFlags Ptr Size], done;
            466, removexattrat, [DirFd Path AtFlags Str], done;
            467, open_tree_attr, [DirFd Path Hex Ptr Size], done;
            468, file_getattr, [DirFd Path Ptr Size AtFlags], done;
            469, file_setattr, [DirFd Path Ptr Size AtFlags], done;
        }
    };
}

macro_rules! arg_kinds {
    ($($(#[$doc:meta])* $kind:ident $(($len:ident))?,)*) => {
        /// What an argument is, for the trace. A kind that ends in `Out` is filled in by the kernel
        /// and can be shown only after the call has returned.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Arg { $($(#[$doc])* $kind $(($len))?,)* }
    };
}

arg_kinds! {
    /// A signed decimal number.
    Int,
    /// An unsigned decimal number.
    UInt,
    /// A number best read in hexadecimal.
    Hex,
    /// A length in bytes.
    Size,
    /// A file offset.
    Off,
    /// A file offset shown in hexadecimal (mmap(2)).
    OffHex,
    /// A user or group, -1 for "leave it".
    Id,
    /// A device number.
    Dev,
    /// A time-out in milliseconds, -1 for none.
    Msec,
    /// An address that is not followed.
    Ptr,
    /// A file descriptor.
    Fd,
    /// A directory's descriptor, or `AT_FDCWD`.
    DirFd,
    /// Two descriptors, filled in by pipe(2), socketpair(2).
    FdPairOut,
    /// A NUL-terminated path.
    Path,
    /// A NUL-terminated string that is not a path.
    Str,
    /// A string that the call fills in.
    StrOut,
    /// Bytes for the kernel; the argument with this index has their number.
    BufIn(u8),
    /// Bytes from the kernel; the result has their number.
    BufOut,
    /// Random bytes from the kernel, shown in hexadecimal; the result has their number.
    RandomOut,
    /// iovec array for the kernel; the argument with this index has the count.
    Iovec(u8),
    /// iovec array to fill; the argument with this index has the count.
    IovecOut(u8),
    /// NULL-terminated array of strings.
    Argv,
    /// The environment, shown by its count.
    Envp,
    /// `struct stat`.
    StatOut,
    /// `struct statx`.
    StatxOut,
    /// `struct statfs`.
    StatfsOut,
    /// `struct linux_dirent64` records, shown by their count.
    DirentsOut,
    /// `struct timespec`.
    Timespec,
    /// `struct timespec`.
    TimespecOut,
    /// `struct timespec[2]` of utimensat(2).
    TimespecPair,
    /// `struct timeval`.
    Timeval,
    /// `struct timeval`.
    TimevalOut,
    /// `struct itimerval`.
    Itimerval,
    /// `struct itimerval`.
    ItimervalOut,
    /// `struct itimerspec`.
    Itimerspec,
    /// `struct itimerspec`.
    ItimerspecOut,
    /// `timer_t *`.
    TimerIdOut,
    /// A signal's number.
    Signal,
    /// `SIG_BLOCK` and its kin.
    SigHow,
    /// `sigset_t`.
    SigSet,
    /// `sigset_t`.
    SigSetOut,
    /// The kernel's `struct sigaction`.
    SigAction,
    /// The kernel's `struct sigaction`.
    SigActionOut,
    /// `siginfo_t`.
    Siginfo,
    /// `siginfo_t`.
    SiginfoOut,
    /// `struct sigevent`.
    Sigevent,
    /// `stack_t`.
    StackT,
    /// `stack_t`.
    StackTOut,
    /// The wait status of wait4(2).
    WstatusOut,
    /// `struct rusage`.
    RusageOut,
    /// `struct rlimit`.
    Rlimit,
    /// `struct rlimit`.
    RlimitOut,
    /// `struct utsname`.
    UtsnameOut,
    /// `struct sysinfo`.
    SysinfoOut,
    /// `struct pollfd[]`; the argument with this index has the count.
    PollFds(u8),
    /// `struct epoll_event`.
    EpollEvent,
    /// `struct epoll_event[]`; the result has the count.
    EpollEventsOut,
    /// Socket address; the argument with this index has its length.
    Sockaddr(u8),
    /// Socket address to fill, with its length behind the next argument.
    SockaddrOut,
    /// Length of a socket address or option, read and written.
    SockLen,
    /// Value of a socket option to fill, with its length behind the next argument.
    SockOptValOut,
    /// `struct msghdr`.
    Msghdr,
    /// `struct msghdr`.
    MsghdrOut,
    /// Value of a socket option; the argument with this index has its length.
    SockOptVal(u8),
    /// A CPU mask; the argument with this index has its length.
    CpuSet(u8),
    /// A CPU mask; the result has its length.
    CpuSetOut,
    /// `struct clone_args`.
    CloneArgs,
    /// `struct open_how`.
    OpenHow,
    /// Third argument of fcntl(2); the argument with this index has the command.
    FcntlArg(u8),
    /// Third argument of ioctl(2); the argument with this index has the request.
    IoctlArg(u8),
    /// Time-out or second count of futex(2); the argument with this index has the operation.
    FutexTimeout(u8),
    /// Commands and enumerations, each printed by its own names.
    Whence,
    /// fcntl(2) command.
    FcntlCmd,
    /// ioctl(2) request.
    IoctlReq,
    /// `EPOLL_CTL_*`.
    EpollCtl,
    /// `CLOCK_*`.
    ClockId,
    /// `ITIMER_*`.
    ItimerWhich,
    /// `RLIMIT_*`.
    Resource,
    /// `MADV_*`.
    Madvice,
    /// `POSIX_FADV_*`.
    Fadvice,
    /// `AF_*`.
    SockDomain,
    /// `SOCK_*` with its flags.
    SockType,
    /// `IPPROTO_*`; argument 0 has the domain.
    SockProtocol,
    /// `SHUT_*`.
    ShutHow,
    /// `SOL_*`.
    SockLevel,
    /// `SO_*`, `TCP_*`...; the argument before it has the level.
    SockOpt,
    /// `P_PID` and its kin.
    WaitIdType,
    /// `SCHED_*`.
    SchedPolicy,
    /// `PR_*`.
    PrctlOp,
    /// `ARCH_*`.
    ArchPrctlOp,
    /// `MEMBARRIER_CMD_*`.
    MembarrierCmd,
    /// `FUTEX_*` with its flags.
    FutexOp,
    /// `LOCK_*`.
    FlockOp,
    /// Flag words, each printed by its own names. File mode in octal.
    Mode,
    /// `R_OK` and its kin.
    AccessMode,
    /// `O_*`.
    OpenFlags,
    /// `AT_*`.
    AtFlags,
    /// `PROT_*`.
    Prot,
    /// `MAP_*`.
    MapFlags,
    /// `MREMAP_*`.
    MremapFlags,
    /// `MS_*` of msync(2).
    MsyncFlags,
    /// `CLONE_*`.
    CloneFlags,
    /// `W*` options of wait4(2).
    WaitOptions,
    /// `MSG_*`.
    MsgFlags,
    /// `SOCK_CLOEXEC`, `SOCK_NONBLOCK` alone.
    SockFlags,
    /// `XATTR_*`.
    XattrFlags,
    /// `TIMER_ABSTIME`.
    TimerFlags,
    /// `TFD_*`.
    TimerfdFlags,
    /// `SFD_*`.
    SignalfdFlags,
    /// `EFD_*`.
    EventfdFlags,
    /// `EPOLL_CLOEXEC`.
    EpollCreateFlags,
    /// `IN_*`.
    InotifyMask,
    /// `SPLICE_F_*`.
    SpliceFlags,
    /// `FALLOC_FL_*`.
    FallocMode,
    /// `RENAME_*`.
    RenameFlags,
    /// `GRND_*`.
    GetrandomFlags,
    /// `MFD_*`.
    MemfdFlags,
    /// `RWF_*`.
    RwfFlags,
    /// `STATX_*`.
    StatxMask,
    /// `CLOSE_RANGE_*`.
    CloseRangeFlags,
}

/// How far Skiff has a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Behaves as the man page says.
    Done,
    /// Has a handler; the text says what is missing.
    Partial(&'static str),
    /// Answers `ENOSYS`.
    Absent,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The number in `rax`.
    pub nr: u32,
    /// The name, as in section 2 of the manual.
    pub name: &'static str,
    /// The kinds of its arguments.
    pub args: &'static [Arg],
    /// How far Skiff has it.
    pub status: Status,
}

macro_rules! status {
    (done) => {
        Status::Done
    };
    (absent) => {
        Status::Absent
    };
    (partial $why:literal) => {
        Status::Partial($why)
    };
}

macro_rules! rows {
    ($($nr:literal, $name:ident, [$($kind:ident $(($len:literal))?)*], $status:ident $(($why:literal))?;)*) => {
        /// All rows, in the order of their numbers.
        pub static ROWS: &[Row] = &[$(Row {
            nr: $nr,
            name: stringify!($name),
            args: &[$(Arg::$kind $(($len))?),*],
            status: status!($status $($why)?),
        }),*];
    };
}

for_each_syscall! { rows }

/// The first number above the table: sizes arrays indexed by number (counters).
pub const NR_SYSCALLS: usize = LAST as usize + 1;
const LAST: u32 = ROWS[ROWS.len() - 1].nr;

/// The row of a number. Numbers 336 to 423 do not exist on x86-64.
pub fn row(nr: u64) -> Option<&'static Row> {
    let nr = u32::try_from(nr).ok()?;
    ROWS.binary_search_by_key(&nr, |r| r.nr).ok().and_then(|i| ROWS.get(i))
}

/// The name of a number.
pub fn name(nr: u64) -> Option<&'static str> {
    row(nr).map(|r| r.name)
}

/// The kinds of a call's arguments; none for a number that does not exist.
pub fn args(nr: u64) -> &'static [Arg] {
    row(nr).map_or(&[], |r| r.args)
}

/// How far Skiff has a call.
pub fn status(nr: u64) -> Status {
    row(nr).map_or(Status::Absent, |r| r.status)
}

/// The number of a name.
pub fn number(name: &str) -> Option<u32> {
    ROWS.iter().find(|r| r.name == name).map(|r| r.nr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general as raw;

    #[test]
    fn numbers_are_sorted_and_unique() {
        assert!(ROWS.windows(2).all(|w| w[0].nr < w[1].nr));
    }

    #[test]
    fn numbers_are_linux_s() {
        for (nr, name) in [
            (raw::__NR_read, "read"),
            (raw::__NR_rt_sigreturn, "rt_sigreturn"),
            (raw::__NR_execve, "execve"),
            (raw::__NR_getcwd, "getcwd"),
            (raw::__NR_gettid, "gettid"),
            (raw::__NR_tgkill, "tgkill"),
            (raw::__NR_openat, "openat"),
            (raw::__NR_eventfd2, "eventfd2"),
            (raw::__NR_rseq, "rseq"),
            (raw::__NR_pidfd_send_signal, "pidfd_send_signal"),
            (raw::__NR_clone3, "clone3"),
            (raw::__NR_mseal, "mseal"),
            (raw::__NR_file_setattr, "file_setattr"),
        ] {
            assert_eq!(number(name), Some(nr));
        }
        assert_eq!(NR_SYSCALLS, raw::__NR_file_setattr as usize + 1);
    }

    #[test]
    fn lengths_name_an_argument_of_the_same_call() {
        for r in ROWS {
            for a in r.args {
                if let Arg::BufIn(i)
                | Arg::Iovec(i)
                | Arg::IovecOut(i)
                | Arg::PollFds(i)
                | Arg::Sockaddr(i)
                | Arg::SockOptVal(i)
                | Arg::IoctlArg(i)
                | Arg::CpuSet(i)
                | Arg::FcntlArg(i)
                | Arg::FutexTimeout(i) = a
                {
                    assert!(usize::from(*i) < r.args.len(), "{}", r.name);
                }
            }
            assert!(r.args.len() <= 6);
        }
    }

    #[test]
    fn lookup() {
        assert_eq!(name(0), Some("read"));
        assert_eq!(name(400), None);
        assert_eq!(args(3), &[Arg::Fd]);
        assert_eq!(status(u64::MAX), Status::Absent);
    }
}
