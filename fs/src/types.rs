//! Plain types of the file API, numbered as x86-64 Linux numbers them.

use bitflags::bitflags;

/// Seconds and nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Timespec {
    /// Seconds; negative before 1970.
    pub sec: i64,
    /// 0..1_000_000_000.
    pub nsec: u32,
}

/// Mask of the file type in a mode (inode(7)).
pub const S_IFMT: u32 = 0o170000;
/// Socket.
pub const S_IFSOCK: u32 = 0o140000;
/// Symbolic link.
pub const S_IFLNK: u32 = 0o120000;
/// Regular file.
pub const S_IFREG: u32 = 0o100000;
/// Block device.
pub const S_IFBLK: u32 = 0o060000;
/// Directory.
pub const S_IFDIR: u32 = 0o040000;
/// Character device.
pub const S_IFCHR: u32 = 0o020000;
/// FIFO.
pub const S_IFIFO: u32 = 0o010000;
/// Set-user-ID bit.
pub const S_ISUID: u32 = 0o4000;
/// Set-group-ID bit.
pub const S_ISGID: u32 = 0o2000;
/// Sticky bit.
pub const S_ISVTX: u32 = 0o1000;

/// Beside the mode in [`AccessAttrs`], so that permission checks see it with one look: there is an
/// access control list.
pub const HAS_ACL: u32 = 1 << 16;
/// Beside the mode: there is a list that new files of the directory get.
pub const HAS_DEFAULT_ACL: u32 = 1 << 17;
/// Beside the mode: there is a `security.capability`, which a change of the content takes away.
pub const HAS_CAPABILITY: u32 = 1 << 18;
/// Beside the mode: `FS_IMMUTABLE_FL`.
pub const IMMUTABLE: u32 = 1 << 19;
/// Beside the mode: `FS_APPEND_FL`.
pub const APPEND_ONLY: u32 = 1 << 20;
/// Beside the mode: `FS_NODUMP_FL`.
pub const NODUMP: u32 = 1 << 21;
/// Beside the mode: `FS_NOATIME_FL`.
pub const NOATIME: u32 = 1 << 22;
/// The bits of a mode that stat(2) shows.
pub const MODE_BITS: u32 = 0xffff;

/// Longest file name in bytes.
pub const NAME_MAX: usize = 255;
/// Longest path in bytes, with its terminating NUL.
pub const PATH_MAX: usize = 4096;
/// Symbolic links followed in one walk.
pub const MAX_SYMLINKS: u32 = 40;
/// Largest file offset (`MAX_LFS_FILESIZE`).
pub const MAX_FILE_SIZE: u64 = i64::MAX as u64;

/// File type, from the `S_IFMT` bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum FileType {
    Fifo,
    Char,
    Dir,
    Block,
    Regular,
    Symlink,
    Socket,
}

impl FileType {
    /// The type in `mode`; `None` when the bits name none.
    pub fn from_mode(mode: u32) -> Option<FileType> {
        Some(match mode & S_IFMT {
            S_IFIFO => FileType::Fifo,
            S_IFCHR => FileType::Char,
            S_IFDIR => FileType::Dir,
            S_IFBLK => FileType::Block,
            S_IFREG => FileType::Regular,
            S_IFLNK => FileType::Symlink,
            S_IFSOCK => FileType::Socket,
            _ => return None,
        })
    }

    /// The `S_IFMT` bits.
    pub fn mode(self) -> u32 {
        match self {
            FileType::Fifo => S_IFIFO,
            FileType::Char => S_IFCHR,
            FileType::Dir => S_IFDIR,
            FileType::Block => S_IFBLK,
            FileType::Regular => S_IFREG,
            FileType::Symlink => S_IFLNK,
            FileType::Socket => S_IFSOCK,
        }
    }

    /// `d_type` of getdents64(2).
    pub fn d_type(self) -> u8 {
        (self.mode() >> 12) as u8
    }
}

/// `makedev(3)` in the kernel's 32-bit `dev_t` encoding as `stat` reports it.
pub const fn makedev(major: u32, minor: u32) -> u64 {
    (minor & 0xff) as u64 | ((major & 0xfff) as u64) << 8 | ((minor & !0xff) as u64) << 12 | ((major & !0xfff) as u64) << 32
}

/// Major number of a `dev_t`.
pub const fn major(dev: u64) -> u32 {
    ((dev >> 8) & 0xfff) as u32 | ((dev >> 32) & !0xfff) as u32
}

/// Minor number of a `dev_t`.
pub const fn minor(dev: u64) -> u32 {
    (dev & 0xff) as u32 | ((dev >> 12) & !0xff) as u32
}

/// What stat(2) and statx(2) report.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Device that holds the file.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Hard links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Preferred I/O size.
    pub blksize: u32,
    /// 512-byte units allocated.
    pub blocks: u64,
    /// Last access.
    pub atime: Timespec,
    /// Last modification of the content.
    pub mtime: Timespec,
    /// Last change of the inode.
    pub ctime: Timespec,
    /// Creation.
    pub btime: Timespec,
}

impl Metadata {
    /// The file type (`Regular` for a mode without type bits).
    pub fn file_type(&self) -> FileType {
        FileType::from_mode(self.mode).unwrap_or(FileType::Regular)
    }
}

/// The part of the metadata that permission checks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessAttrs {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A change of attributes. `None` leaves one alone. File systems set ctime to now unless `ctime` is
/// given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// New permission bits (type bits are ignored).
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New access time.
    pub atime: Option<Timespec>,
    /// New modification time.
    pub mtime: Option<Timespec>,
    /// New change time (only archives being unpacked and timestamps of reads set it).
    pub ctime: Option<Timespec>,
    /// Leave ctime alone even when `ctime` is `None`: an access-time update by a read.
    pub keep_ctime: bool,
    /// The content or the owner changes: `security.capability` goes.
    pub kill_capability: bool,
}

impl SetAttr {
    /// Makes the change to attributes at the time `now`, that of ctime included.
    pub fn apply(&self, m: &mut Metadata, now: Timespec) {
        if let Some(mode) = self.mode {
            m.mode = (m.mode & S_IFMT) | (mode & 0o7777);
        }
        m.uid = self.uid.unwrap_or(m.uid);
        m.gid = self.gid.unwrap_or(m.gid);
        m.atime = self.atime.unwrap_or(m.atime);
        m.mtime = self.mtime.unwrap_or(m.mtime);
        if !self.keep_ctime {
            m.ctime = self.ctime.unwrap_or(now);
        }
    }
}

/// One directory entry, as `readdir` hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Name without slash or NUL.
    pub name: &'a [u8],
    /// Inode number.
    pub ino: u64,
    /// File type.
    pub file_type: FileType,
    /// `d_off`: the cookie that resumes reading after this entry.
    pub next: u64,
}

/// What statfs(2) reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatFs {
    /// `f_type`, the magic number.
    pub magic: u64,
    /// Optimal transfer size.
    pub bsize: u64,
    /// Total blocks.
    pub blocks: u64,
    /// Free blocks.
    pub bfree: u64,
    /// Free blocks for ordinary users.
    pub bavail: u64,
    /// Total inodes.
    pub files: u64,
    /// Free inodes.
    pub ffree: u64,
    /// File system id.
    pub fsid: u64,
    /// Longest name.
    pub namelen: u64,
    /// Fragment size.
    pub frsize: u64,
    /// `f_flags`: `ST_*`; the namespace fills in the mount's flags.
    pub flags: u64,
}

bitflags! {
    /// What an access check asks for: the bits of `access(2)`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AccessMask: u32 {
        /// Execute a file, search a directory (`X_OK`).
        const EXEC = 1;
        /// Write (`W_OK`).
        const WRITE = 2;
        /// Read (`R_OK`).
        const READ = 4;
    }
}

bitflags! {
    /// Flags of open(2), x86-64 values. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[allow(missing_docs)]
    pub struct OpenFlags: u32 {
        /// `O_WRONLY`.
        const WRONLY = 0o1;
        /// `O_RDWR`.
        const RDWR = 0o2;
        /// `O_ACCMODE`.
        const ACCMODE = 0o3;
        /// `O_CREAT`.
        const CREAT = 0o100;
        /// `O_EXCL`.
        const EXCL = 0o200;
        /// `O_NOCTTY`.
        const NOCTTY = 0o400;
        /// `O_TRUNC`.
        const TRUNC = 0o1000;
        /// `O_APPEND`.
        const APPEND = 0o2000;
        /// `O_NONBLOCK`.
        const NONBLOCK = 0o4000;
        /// `O_DSYNC`.
        const DSYNC = 0o10000;
        /// `O_ASYNC`.
        const ASYNC = 0o20000;
        /// `O_DIRECT`.
        const DIRECT = 0o40000;
        /// `O_LARGEFILE`.
        const LARGEFILE = 0o100000;
        /// `O_DIRECTORY`.
        const DIRECTORY = 0o200000;
        /// `O_NOFOLLOW`.
        const NOFOLLOW = 0o400000;
        /// `O_NOATIME`.
        const NOATIME = 0o1000000;
        /// `O_CLOEXEC`.
        const CLOEXEC = 0o2000000;
        /// `O_SYNC`.
        const SYNC = 0o4010000;
        /// `O_PATH`.
        const PATH = 0o10000000;
        /// `O_TMPFILE` without its `O_DIRECTORY` part (`__O_TMPFILE`).
        const TMPFILE_BIT = 0o20000000;
        /// `O_TMPFILE`.
        const TMPFILE = 0o20200000;
        const _ = !0;
    }
}

impl OpenFlags {
    /// Opened for reading (`O_RDONLY`, `O_RDWR`; not `O_PATH`).
    pub fn readable(self) -> bool {
        !self.contains(OpenFlags::PATH) && self.bits() & 3 != 1 && self.bits() & 3 != 3
    }

    /// Opened for writing (`O_WRONLY`, `O_RDWR`; not `O_PATH`).
    pub fn writable(self) -> bool {
        !self.contains(OpenFlags::PATH) && matches!(self.bits() & 3, 1 | 2)
    }
}

bitflags! {
    /// Flags of renameat2(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct RenameFlags: u32 {
        /// Fail with `EEXIST` rather than replace.
        const NOREPLACE = 1;
        /// Swap both names.
        const EXCHANGE = 2;
        /// Leave a whiteout, a character device 0:0: refused with `EINVAL` by file systems without
        /// it.
        const WHITEOUT = 4;
        const _ = !0;
    }
}

bitflags! {
    /// Modes of fallocate(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[allow(missing_docs)]
    pub struct FallocateMode: u32 {
        /// `FALLOC_FL_KEEP_SIZE`.
        const KEEP_SIZE = 1;
        /// `FALLOC_FL_PUNCH_HOLE`.
        const PUNCH_HOLE = 2;
        /// `FALLOC_FL_NO_HIDE_STALE`.
        const NO_HIDE_STALE = 4;
        /// `FALLOC_FL_COLLAPSE_RANGE`.
        const COLLAPSE_RANGE = 8;
        /// `FALLOC_FL_ZERO_RANGE`.
        const ZERO_RANGE = 16;
        /// `FALLOC_FL_INSERT_RANGE`.
        const INSERT_RANGE = 32;
        /// `FALLOC_FL_UNSHARE_RANGE`.
        const UNSHARE_RANGE = 64;
        const _ = !0;
    }
}

bitflags! {
    /// File seals (fcntl(2), `F_ADD_SEALS`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[allow(missing_docs)]
    pub struct Seals: u32 {
        /// `F_SEAL_SEAL`.
        const SEAL = 1;
        /// `F_SEAL_SHRINK`.
        const SHRINK = 2;
        /// `F_SEAL_GROW`.
        const GROW = 4;
        /// `F_SEAL_WRITE`.
        const WRITE = 8;
        /// `F_SEAL_FUTURE_WRITE`.
        const FUTURE_WRITE = 16;
        /// `F_SEAL_EXEC`.
        const EXEC = 32;
    }
}

bitflags! {
    /// Flags of setxattr(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct XattrFlags: u32 {
        /// Fail with `EEXIST` if it exists.
        const CREATE = 1;
        /// Fail with `ENODATA` if it does not.
        const REPLACE = 2;
        const _ = !0;
    }
}
