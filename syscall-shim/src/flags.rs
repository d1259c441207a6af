//! Flag words of system calls, by the names of their man pages. Each type is a `bitflags` set over
//! the register's width; `from_bits` refuses unknown bits (where Linux answers `EINVAL`),
//! `from_bits_truncate` ignores them (where Linux does, as in open(2)).

use linux_raw_sys::general as raw;

macro_rules! flag_words {
    ($($(#[$doc:meta])* $name:ident: $ty:ty { $($flag:ident $(= $value:expr)?,)* })*) => { $(
        bitflags::bitflags! {
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
            pub struct $name: $ty { $(#[allow(missing_docs)] const $flag = flag_value!($flag $($value)?) as $ty;)* }
        }
    )* };
}
macro_rules! flag_value {
    ($flag:ident) => {
        raw::$flag
    };
    ($flag:ident $value:expr) => {
        $value
    };
}

flag_words! {
    /// open(2). The access mode is a two-bit number, not flags: see [`OpenFlags::access`]. Flags of
    /// several bits come before the single bits they contain, so that they print as one name.
    OpenFlags: u32 {
        O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_SYNC, O_DSYNC, O_ASYNC = raw::FASYNC, O_DIRECT,
        O_LARGEFILE, O_NOFOLLOW, O_NOATIME, O_CLOEXEC, O_PATH, O_TMPFILE, O_DIRECTORY,
    }
    /// `flags` of openat2(2): how a path may be walked.
    ResolveFlags: u64 {
        RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_CACHED,
    }
    /// The `flags` of the `*at` calls.
    AtFlags: u32 {
        AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC,
        AT_RECURSIVE,
    }
    /// renameat2(2).
    RenameFlags: u32 { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT, }
    /// fallocate(2).
    FallocMode: u32 {
        FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE,
        FALLOC_FL_UNSHARE_RANGE,
    }
    /// preadv2(2).
    RwfFlags: u32 { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND = 0x20u32, RWF_NOSIGNAL = 0x100u32, }
    /// splice(2).
    SpliceFlags: u32 { SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT, }
    /// statx(2).
    StatxMask: u32 {
        STATX_ALL, STATX_BASIC_STATS, STATX_TYPE, STATX_MODE, STATX_NLINK, STATX_UID, STATX_GID, STATX_ATIME, STATX_MTIME, STATX_CTIME,
        STATX_INO, STATX_SIZE, STATX_BLOCKS, STATX_BTIME, STATX_MNT_ID, STATX_DIOALIGN, STATX_MNT_ID_UNIQUE,
    }
    /// setxattr(2).
    XattrFlags: u32 { XATTR_CREATE, XATTR_REPLACE, }
    /// close_range(2).
    CloseRangeFlags: u32 { CLOSE_RANGE_UNSHARE = 2u32, CLOSE_RANGE_CLOEXEC = 4u32, }
    /// memfd_create(2).
    MemfdFlags: u32 { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC, }
    /// `F_ADD_SEALS` of fcntl(2).
    Seals: u32 { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC, }
    /// flock(2).
    FlockOp: u32 { LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN, }
    /// access(2); no bit set is `F_OK`.
    AccessMode: u32 { R_OK = 4u32, W_OK = 2u32, X_OK = 1u32, }

    /// mmap(2), mprotect(2).
    Prot: u32 { PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM, PROT_GROWSDOWN, PROT_GROWSUP, }
    /// mmap(2). The sharing type is a number in the low four bits, and its names come first.
    MapFlags: u32 {
        MAP_SHARED_VALIDATE, MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN, MAP_DENYWRITE, MAP_EXECUTABLE,
        MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_NONBLOCK, MAP_STACK, MAP_HUGETLB, MAP_SYNC, MAP_FIXED_NOREPLACE,
        MAP_HUGE_1GB = 30u32 << 26, MAP_HUGE_2MB = 21u32 << 26,
    }
    /// mremap(2).
    MremapFlags: u32 { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP, }
    /// msync(2).
    MsyncFlags: u32 { MS_ASYNC, MS_INVALIDATE, MS_SYNC, }
    /// mlockall(2).
    MlockallFlags: u32 { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, }

    /// clone(2), clone3(2), unshare(2). The low byte of clone's own word is the signal sent at
    /// exit.
    CloneFlags: u64 {
        CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK, CLONE_PARENT, CLONE_THREAD, CLONE_NEWNS,
        CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_UNTRACED, CLONE_CHILD_SETTID,
        CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_IO, CLONE_CLEAR_SIGHAND,
        CLONE_INTO_CGROUP,
    }
    /// wait4(2), waitid(2).
    WaitOptions: u32 {
        WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, WNOTHREAD = raw::__WNOTHREAD, WALL = raw::__WALL, WCLONE = raw::__WCLONE,
    }
    /// `sa_flags` of sigaction(2).
    SaFlags: u64 {
        SA_RESTORER, SA_ONSTACK, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_SIGINFO, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_UNSUPPORTED,
        SA_EXPOSE_TAGBITS,
    }
    /// `ss_flags` of sigaltstack(2).
    SsFlags: u32 { SS_ONSTACK, SS_DISABLE, SS_AUTODISARM, }

    /// `events` of poll(2).
    PollEvents: u16 {
        POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND, POLLWRNORM, POLLWRBAND, POLLMSG, POLLRDHUP,
    }
    /// `events` of epoll_ctl(2).
    EpollFlags: u32 {
        EPOLLIN, EPOLLPRI, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLNVAL, EPOLLRDNORM, EPOLLRDBAND, EPOLLWRNORM, EPOLLWRBAND, EPOLLMSG,
        EPOLLRDHUP, EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET,
    }
    /// epoll_create1(2).
    EpollCreateFlags: u32 { EPOLL_CLOEXEC, }
    /// eventfd(2).
    EventfdFlags: u32 { EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK, }
    /// signalfd(2).
    SignalfdFlags: u32 { SFD_CLOEXEC = raw::O_CLOEXEC, SFD_NONBLOCK = raw::O_NONBLOCK, }
    /// timerfd_create(2).
    TimerfdFlags: u32 { TFD_CLOEXEC, TFD_NONBLOCK, }
    /// clock_nanosleep(2), timer_settime(2); the second bit is timerfd_settime(2)'s
    /// `TFD_TIMER_CANCEL_ON_SET`.
    TimerFlags: u32 { TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET, }
    /// inotify_init1(2) and inotify_add_watch(2): `mask`.
    InotifyMask: u32 {
        IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE,
        IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_CREATE,
        IN_MASK_ADD, IN_ISDIR, IN_ONESHOT,
    }
    /// getrandom(2).
    GetrandomFlags: u32 { GRND_NONBLOCK, GRND_RANDOM, GRND_INSECURE, }

    /// `flags` of send(2) and recv(2) (`include/linux/socket.h`).
    MsgFlags: u32 {
        MSG_OOB = 1u32, MSG_PEEK = 2u32, MSG_DONTROUTE = 4u32, MSG_CTRUNC = 8u32, MSG_PROBE = 0x10u32, MSG_TRUNC = 0x20u32,
        MSG_DONTWAIT = 0x40u32, MSG_EOR = 0x80u32, MSG_WAITALL = 0x100u32, MSG_FIN = 0x200u32, MSG_SYN = 0x400u32, MSG_CONFIRM = 0x800u32,
        MSG_RST = 0x1000u32, MSG_ERRQUEUE = 0x2000u32, MSG_NOSIGNAL = 0x4000u32, MSG_MORE = 0x8000u32, MSG_WAITFORONE = 0x10000u32,
        MSG_ZEROCOPY = 0x400_0000u32, MSG_FASTOPEN = 0x2000_0000u32, MSG_CMSG_CLOEXEC = 0x4000_0000u32,
    }
    /// The flags in `type` of socket(2), and those of accept4(2).
    SockFlags: u32 { SOCK_CLOEXEC = raw::O_CLOEXEC, SOCK_NONBLOCK = raw::O_NONBLOCK, }
}

impl OpenFlags {
    /// The access mode: `O_RDONLY`, `O_WRONLY` or `O_RDWR` (3 is neither readable nor writable).
    pub fn access(self) -> u32 {
        self.bits() & raw::O_ACCMODE
    }

    /// Whether the open file may be read.
    pub fn readable(self) -> bool {
        matches!(self.access(), raw::O_RDONLY | raw::O_RDWR) && !self.contains(Self::O_PATH)
    }

    /// Whether the open file may be written.
    pub fn writable(self) -> bool {
        matches!(self.access(), raw::O_WRONLY | raw::O_RDWR) && !self.contains(Self::O_PATH)
    }
}

impl MapFlags {
    /// The sharing type, one of `MAP_SHARED`, `MAP_PRIVATE`, `MAP_SHARED_VALIDATE`,
    /// `MAP_DROPPABLE`.
    pub fn sharing(self) -> u32 {
        self.bits() & raw::MAP_TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_several_bits_come_first() {
        let mut names = OpenFlags::O_TMPFILE.iter_names().map(|(n, _)| n);
        assert_eq!((names.next(), names.next()), (Some("O_TMPFILE"), None));
        assert!(OpenFlags::O_SYNC.contains(OpenFlags::O_DSYNC));
    }

    #[test]
    fn access_modes() {
        assert!(OpenFlags::empty().readable() && !OpenFlags::empty().writable());
        assert!(OpenFlags::O_RDWR.readable() && OpenFlags::O_RDWR.writable());
        assert!(!(OpenFlags::O_WRONLY | OpenFlags::O_RDWR).readable());
        assert!(!OpenFlags::O_PATH.readable());
    }
}
