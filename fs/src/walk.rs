//! Path resolution (path_resolution(7)).

use crate::creds::Credentials;
use crate::path::Path;
use bitflags::bitflags;

/// Who resolves a path, and from where.
#[derive(Clone)]
pub struct FsContext<'a> {
    /// The root directory of the process (chroot(2)).
    pub root: Path,
    /// The current directory.
    pub cwd: Path,
    /// Who acts.
    pub creds: &'a Credentials,
    /// File mode creation mask.
    pub umask: u32,
}

bitflags! {
    /// How to resolve a path.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct LookupFlags: u32 {
        /// Follow a symbolic link in the last component.
        const FOLLOW = 1;
        /// The last component must be a directory (`ENOTDIR`).
        const DIRECTORY = 2;
        /// An empty path means the starting point itself (`AT_EMPTY_PATH`), else `ENOENT`.
        const EMPTY = 4;
        /// openat2(2): `EXDEV` on crossing a mount.
        const NO_XDEV = 0x100;
        /// openat2(2): `ELOOP` on a magic link.
        const NO_MAGICLINKS = 0x200;
        /// openat2(2): `ELOOP` on any symbolic link.
        const NO_SYMLINKS = 0x400;
        /// openat2(2): `EXDEV` on leaving the starting directory.
        const BENEATH = 0x800;
        /// openat2(2): the starting directory is the root.
        const IN_ROOT = 0x1000;
        /// openat2(2): `EAGAIN` unless the dentry cache has it all.
        const CACHED = 0x2000;
    }
}
