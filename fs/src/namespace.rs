//! A mount namespace, with the path-based system calls as methods.
//!
//! In each, `ctx` says who acts and from where, and `at` is the place that a directory descriptor names (`None`: the current
//! directory; it is not looked at for absolute paths). Errors and their order are those of the man page of the call.

use crate::inode::{FileSystem, InodeRef};
use crate::mount::{Mount, MountFlags};
use crate::path::Path;
use crate::types::*;
use crate::walk::{FsContext, LookupFlags};
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall_shim::SysResult;

/// The mounts, as one tree.
pub struct Namespace;

/// How to open: `struct open_how` of openat2(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// Flags.
    pub flags: OpenFlags,
    /// Permission bits of a file that is created, before umask.
    pub mode: u32,
    /// `RESOLVE_*` part of the lookup flags.
    pub resolve: LookupFlags,
}

/// What open(2) found or made.
pub struct Opened {
    /// Its place; goes into the open file description.
    pub path: Path,
    /// The file.
    pub inode: InodeRef,
    /// True when this call created it.
    pub created: bool,
}

/// A time for utimensat(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// `UTIME_NOW`.
    Now,
    /// `UTIME_OMIT`.
    Omit,
    /// A given time.
    At(Timespec),
}

#[allow(unused_variables, clippy::todo)]
impl Namespace {
    /// A namespace whose root is `fs`.
    pub fn new(fs: Arc<dyn FileSystem>, source: &str, flags: MountFlags) -> Arc<Namespace> { todo!() }
    /// The root directory of the tree.
    pub fn root(&self) -> Path { todo!() }
    /// A context at the root with no umask, for the kernel's own actions at boot.
    pub fn kernel_context(&self) -> FsContext<'static> { todo!() }
    /// Mounts `fs` on the directory `target`. `ENOTDIR`.
    pub fn mount(&self, fs: Arc<dyn FileSystem>, source: &str, target: &Path, flags: MountFlags) -> SysResult<Arc<Mount>> { todo!() }
    /// Mounts the tree at `from` on `target` too (`MS_BIND`).
    pub fn bind(&self, from: &Path, target: &Path, flags: MountFlags) -> SysResult<Arc<Mount>> { todo!() }
    /// Unmounts the mount whose root `target` is; `EINVAL` when it is none, `EBUSY` when in use (unless `detach`, `MNT_DETACH`).
    pub fn umount(&self, target: &Path, detach: bool) -> SysResult<()> { todo!() }
    /// All mounts, in the order of mounting.
    pub fn mounts(&self) -> Vec<Arc<Mount>> { todo!() }
    /// sync(2).
    pub fn sync(&self) -> SysResult<()> { todo!() }

    /// The place that `path` names.
    pub fn resolve(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], flags: LookupFlags) -> SysResult<Path> { todo!() }
    /// open(2), openat(2), openat2(2): checks, creates, truncates. Does not count write access nor call `Inode::open`: the
    /// caller does ([`crate::file::WriteAccess`]).
    pub fn open(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], how: &OpenHow) -> SysResult<Opened> { todo!() }
    /// mkdir(2).
    pub fn mkdir(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], mode: u32) -> SysResult<Path> { todo!() }
    /// mknod(2): regular files, FIFOs, sockets (bind(2) of `AF_UNIX` too: then `EEXIST` reads `EADDRINUSE`), devices (`CAP_MKNOD`).
    pub fn mknod(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], mode: u32, rdev: u64) -> SysResult<Path> { todo!() }
    /// symlink(2).
    pub fn symlink(&self, ctx: &FsContext<'_>, target: &[u8], at: Option<&Path>, path: &[u8]) -> SysResult<Path> { todo!() }
    /// linkat(2) with `FOLLOW` for `AT_SYMLINK_FOLLOW` and `EMPTY` for `AT_EMPTY_PATH`.
    pub fn link(&self, ctx: &FsContext<'_>, old_at: Option<&Path>, old: &[u8], new_at: Option<&Path>, new: &[u8], flags: LookupFlags) -> SysResult<()> { todo!() }
    /// unlink(2).
    pub fn unlink(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<()> { todo!() }
    /// rmdir(2).
    pub fn rmdir(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<()> { todo!() }
    /// renameat2(2).
    pub fn rename(&self, ctx: &FsContext<'_>, old_at: Option<&Path>, old: &[u8], new_at: Option<&Path>, new: &[u8], flags: RenameFlags) -> SysResult<()> { todo!() }
    /// readlinkat(2), whole text. An empty path reads the link that `at` names (an `O_PATH` descriptor).
    pub fn readlink(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8]) -> SysResult<Vec<u8>> { todo!() }

    /// access(2) of a place already found, with the credentials of `ctx` (the caller puts the real ids in).
    pub fn access(&self, ctx: &FsContext<'_>, path: &Path, mask: AccessMask) -> SysResult<()> { todo!() }
    /// chmod(2).
    pub fn chmod(&self, ctx: &FsContext<'_>, path: &Path, mode: u32) -> SysResult<()> { todo!() }
    /// chown(2); `None` leaves the id alone.
    pub fn chown(&self, ctx: &FsContext<'_>, path: &Path, uid: Option<u32>, gid: Option<u32>) -> SysResult<()> { todo!() }
    /// utimensat(2).
    pub fn utimens(&self, ctx: &FsContext<'_>, path: &Path, atime: SetTime, mtime: SetTime) -> SysResult<()> { todo!() }
    /// truncate(2): with write permission. ftruncate is [`crate::file::truncate`].
    pub fn truncate(&self, ctx: &FsContext<'_>, path: &Path, size: u64) -> SysResult<()> { todo!() }
    /// statfs(2).
    pub fn statfs(&self, path: &Path) -> SysResult<StatFs> { todo!() }
    /// getxattr(2).
    pub fn getxattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8]) -> SysResult<Vec<u8>> { todo!() }
    /// setxattr(2).
    pub fn setxattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8], value: &[u8], flags: XattrFlags) -> SysResult<()> { todo!() }
    /// listxattr(2): names, each with its NUL.
    pub fn listxattr(&self, ctx: &FsContext<'_>, path: &Path) -> SysResult<Vec<u8>> { todo!() }
    /// removexattr(2).
    pub fn removexattr(&self, ctx: &FsContext<'_>, path: &Path, name: &[u8]) -> SysResult<()> { todo!() }
}
