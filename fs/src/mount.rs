//! Mounts: file systems joined into one tree.

use crate::dentry::Dentry;
use crate::inode::FileSystem;
use crate::path::Path;
use crate::sync::RwLock;
use alloc::string::String;
use alloc::sync::Arc;
use bitflags::bitflags;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
        /// `MS_NOSYMFOLLOW`.
        const NOSYMFOLLOW = 256;
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
    /// Number of its peer group, 0 for none. This and the two below change under the lock of the
    /// namespace's table.
    group: AtomicU32,
    /// Number of the group that it is a slave of, 0 for none.
    master: AtomicU32,
    unbindable: AtomicBool,
    /// Root of a tree of its own, which belongs to an open file.
    detached: AtomicBool,
    /// Files open for writing.
    writers: AtomicU32,
    /// Since `MNT_EXPIRE` marked it: one more than how often somebody has come into it; 0 for not
    /// marked.
    expiry: AtomicU32,
    /// Where it is mounted; `None` for the root, internal mounts, and once unmounted. A leaf lock.
    pub(crate) place: RwLock<Option<Path>>,
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
            group: AtomicU32::new(0),
            master: AtomicU32::new(0),
            unbindable: AtomicBool::new(false),
            detached: AtomicBool::new(false),
            writers: AtomicU32::new(0),
            expiry: AtomicU32::new(0),
            place: RwLock::new(None),
        })
    }

    /// Another mount of the same file system with the root `root`, of the same groups.
    pub(crate) fn copy(&self, root: Arc<Dentry>) -> Arc<Mount> {
        let copy = Mount::new(self.fs.clone(), Some(root), &self.source, self.flags());
        copy.set_group(self.group());
        copy.set_master(self.master());
        copy
    }

    /// Number of its peer group; 0 for none.
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }

    /// Number of the peer group that it is a slave of; 0 for none.
    pub fn master(&self) -> u32 {
        self.master.load(Ordering::Relaxed)
    }

    /// Whether it may not be bound.
    pub fn unbindable(&self) -> bool {
        self.unbindable.load(Ordering::Relaxed)
    }

    /// Whether it is the root of a tree of its own.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    pub(crate) fn set_detached(&self, on: bool) {
        self.detached.store(on, Ordering::Relaxed);
    }

    pub(crate) fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    pub(crate) fn set_master(&self, master: u32) {
        self.master.store(master, Ordering::Relaxed);
    }

    pub(crate) fn set_unbindable(&self, on: bool) {
        self.unbindable.store(on, Ordering::Relaxed);
    }

    /// Counts a file that is open for writing. Pair with [`Mount::remove_writer`].
    pub fn add_writer(&self) {
        self.writers.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends one.
    pub fn remove_writer(&self) {
        self.writers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether a file is open for writing.
    pub fn has_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) > 0
    }

    /// Somebody comes into the mount.
    pub(crate) fn entered(&self) {
        if self.expiry.load(Ordering::Relaxed) > 0 {
            self.expiry.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `MNT_EXPIRE`: true when nobody but the caller, who came once, has come since the last time.
    pub(crate) fn expire(&self) -> bool {
        self.expiry.swap(1, Ordering::Relaxed) == 2
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
            (MountFlags::NOSYMFOLLOW, ",nosymfollow"),
        ] {
            if flags.contains(flag) {
                out.push_str(text);
            }
        }
        out
    }
}
