//! Mounts: file systems joined into one tree.

use crate::dentry::Dentry;
use crate::inode::FileSystem;
use crate::path::Path;
use alloc::string::String;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::sync::atomic::{AtomicU32, Ordering};

bitflags! {
    /// Flags of one mount: `MS_*` values of mount(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    #[allow(missing_docs)]
    pub struct MountFlags: u32 {
        /// `MS_RDONLY`.
        const RDONLY = 1;
        /// `MS_NOSUID`.
        const NOSUID = 2;
        /// `MS_NODEV`.
        const NODEV = 4;
        /// `MS_NOEXEC`.
        const NOEXEC = 8;
        /// `MS_SYNCHRONOUS`.
        const SYNCHRONOUS = 16;
        /// `MS_NOATIME`.
        const NOATIME = 1024;
        /// `MS_NODIRATIME`.
        const NODIRATIME = 2048;
        /// `MS_RELATIME`.
        const RELATIME = 1 << 21;
        /// `MS_STRICTATIME`.
        const STRICTATIME = 1 << 24;
    }
}

/// One mounted tree.
pub struct Mount {
    /// Mount id of /proc/PID/mountinfo.
    pub id: u32,
    /// The file system.
    pub fs: Arc<dyn FileSystem>,
    /// The directory of the file system that is the root of this mount.
    pub root: Arc<Dentry>,
    /// First field of /proc/mounts.
    pub source: String,
    flags: AtomicU32,
    /// Where it is mounted; `None` for the root, internal mounts, and once unmounted. A leaf lock.
    pub(crate) place: spin::RwLock<Option<Path>>,
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Mount {
    /// A mount not yet joined to a tree. `root` of `None` is the root of the file system.
    pub fn new(fs: Arc<dyn FileSystem>, root: Option<Arc<Dentry>>, source: &str, flags: MountFlags) -> Arc<Mount> {
        let root = root.unwrap_or_else(|| Dentry::new_root(fs.root()));
        Arc::new(Mount {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            fs,
            root,
            source: String::from(source),
            flags: AtomicU32::new(flags.bits()),
            place: spin::RwLock::new(None),
        })
    }

    /// The flags now.
    pub fn flags(&self) -> MountFlags {
        MountFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Replaces the flags (`MS_REMOUNT`).
    pub fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }

    /// True when writing must fail with `EROFS`.
    pub fn read_only(&self) -> bool {
        self.flags().contains(MountFlags::RDONLY) || self.fs.read_only()
    }

    /// Where it is mounted.
    pub fn place(&self) -> Option<Path> {
        self.place.read().clone()
    }

    /// `rw,nosuid,relatime` and so on, as /proc/mounts and mountinfo print per-mount options.
    pub fn option_string(&self) -> String {
        let flags = self.flags();
        let mut out = String::from(if flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" });
        for (flag, text) in [
            (MountFlags::NOSUID, ",nosuid"),
            (MountFlags::NODEV, ",nodev"),
            (MountFlags::NOEXEC, ",noexec"),
            (MountFlags::NOATIME, ",noatime"),
            (MountFlags::NODIRATIME, ",nodiratime"),
            (MountFlags::RELATIME, ",relatime"),
        ] {
            if flags.contains(flag) {
                out.push_str(text);
            }
        }
        out
    }
}
