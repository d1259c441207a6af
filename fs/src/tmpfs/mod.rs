//! tmpfs(5): files that live in the page cache alone. The root file system, /tmp, /dev, /dev/shm
//! and memfd_create(2).

mod data;
mod dir;
mod node;
mod options;
#[cfg(test)]
mod tests;

use crate::inode::{FileSystem, Inode, InodeRef, NewNode, alloc_anon_dev};
use crate::mapping::PageSource;
use crate::platform::{PAGE_SIZE, platform};
use crate::sync::{Mutex, SleepLock};
use crate::types::*;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use hashbrown::HashMap;
use node::TmpNode;
pub use options::TmpfsOptions;
use syscall_shim::{Errno, SysResult};

/// `TMPFS_MAGIC` of statfs(2).
pub const TMPFS_MAGIC: u64 = 0x0102_1994;

/// What all nodes of one tmpfs share.
struct Super {
    name: &'static str,
    dev: u64,
    next_ino: AtomicU64,
    room: Arc<Room>,
    /// Bytes that inodes take, as they are counted: [`INODE_SPACE`] each, and their attributes.
    inode_space: AtomicU64,
    /// Limit of these.
    max_inode_space: AtomicU64,
    /// `MS_RDONLY` of the file system, whatever its mounts say.
    read_only: AtomicBool,
    rename_lock: SleepLock,
    /// Files that somebody has a handle of, by number. A leaf lock.
    handles: Mutex<HashMap<u64, Weak<TmpNode>>>,
    /// Held while entries of more than one directory are locked. Taken before those.
    tree: Mutex<()>,
}

/// What an inode counts for, and beyond the first each name of one (`BOGO_INODE_SIZE`).
const INODE_SPACE: u64 = 1024;
/// No limit.
const UNLIMITED: u64 = u64::MAX;

/// Pages used, of pages allowed.
struct Room {
    used: AtomicU64,
    limit: AtomicU64,
}

impl PageSource for Room {
    fn charge(&self, pages: u64) -> SysResult<()> {
        take(&self.used, pages, self.limit.load(Ordering::Relaxed))
    }

    fn uncharge(&self, pages: u64) {
        self.used.fetch_sub(pages, Ordering::AcqRel);
    }
}

/// The limit that an option gives.
fn given(limit: u64) -> u64 {
    if limit == 0 { UNLIMITED } else { limit }
}

/// Adds to what is used of `limit`. `ENOSPC`.
fn take(used: &AtomicU64, more: u64, limit: u64) -> SysResult<()> {
    used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| used.checked_add(more).filter(|n| *n <= limit))
        .map(|_| ())
        .map_err(|_| Errno::ENOSPC)
}

impl Super {
    fn new(options: &TmpfsOptions) -> Arc<Super> {
        let limit = given(options.pages().unwrap_or(options.default_limit));
        let inodes = given(options.nr_inodes.unwrap_or(options.default_limit));
        Arc::new(Super {
            name: options.name,
            dev: alloc_anon_dev(),
            next_ino: AtomicU64::new(1),
            room: Arc::new(Room { used: AtomicU64::new(0), limit: AtomicU64::new(limit) }),
            inode_space: AtomicU64::new(0),
            max_inode_space: AtomicU64::new(inodes.saturating_mul(INODE_SPACE)),
            read_only: AtomicBool::new(false),
            rename_lock: SleepLock::new(),
            handles: Mutex::new(HashMap::new()),
            tree: Mutex::new(()),
        })
    }

    /// Counts so many bytes of inodes, names or attributes. `ENOSPC`, also where memory has no room
    /// for more of them.
    fn take_space(&self, bytes: u64) -> SysResult<()> {
        if !platform().may_keep() {
            return Err(Errno::ENOSPC);
        }
        take(&self.inode_space, bytes, self.max_inode_space.load(Ordering::Relaxed))
    }

    fn give_space(&self, bytes: u64) {
        self.inode_space.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Counts a new inode and numbers it.
    fn new_ino(&self) -> SysResult<u64> {
        self.take_space(INODE_SPACE)?;
        Ok(self.next_ino.fetch_add(1, Ordering::Relaxed))
    }
}

/// One tmpfs.
pub struct Tmpfs {
    sup: Arc<Super>,
    root: Arc<TmpNode>,
    /// As mounted, or mounted anew since. A leaf lock.
    options: Mutex<TmpfsOptions>,
}

impl Tmpfs {
    /// An empty file system. `ENOSPC` when `nr_inodes` leaves no room for the root.
    pub fn new(options: TmpfsOptions) -> SysResult<Arc<Tmpfs>> {
        let sup = Super::new(&options);
        let mode = S_IFDIR | (options.mode & 0o7777);
        let root = TmpNode::new_dir(&sup, NewNode { mode, uid: options.uid, gid: options.gid })?;
        Ok(Arc::new(Tmpfs { sup, root, options: Mutex::new(options) }))
    }

    /// A file without a name: memfd_create(2), shared anonymous memory, System V segments. It can
    /// be sealed with `sealing` (`MFD_ALLOW_SEALING`). `mode`: permission bits, 0o777 for a memfd
    /// (0o666 with `MFD_NOEXEC_SEAL`).
    pub fn unnamed_file(&self, mode: u32, uid: u32, gid: u32, sealing: bool) -> SysResult<InodeRef> {
        let seals = if sealing { Seals::empty() } else { Seals::SEAL };
        let node = TmpNode::new_file(&self.sup, NewNode { mode: S_IFREG | (mode & 0o7777), uid, gid }, 0, seals)?;
        Ok(node)
    }

    /// Allows `more` inodes than there are now.
    pub fn allow_inodes(&self, more: u64) {
        let space = self.sup.inode_space.load(Ordering::Acquire).saturating_add(more.saturating_mul(INODE_SPACE));
        self.sup.max_inode_space.store(space, Ordering::Relaxed);
    }

    /// Pages of content now (for `Shmem` in /proc/meminfo).
    pub fn used_pages(&self) -> u64 {
        self.sup.room.used.load(Ordering::Acquire)
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        self.sup.name
    }

    fn dev(&self) -> u64 {
        self.sup.dev
    }

    fn root(&self) -> InodeRef {
        self.root.clone()
    }

    fn statfs(&self) -> SysResult<StatFs> {
        let shown = |limit: u64| if limit == UNLIMITED { 0 } else { limit };
        let limit = shown(self.sup.room.limit.load(Ordering::Relaxed));
        let space = shown(self.sup.max_inode_space.load(Ordering::Relaxed));
        let free = limit.saturating_sub(self.used_pages());
        let free_space = space.saturating_sub(self.sup.inode_space.load(Ordering::Acquire));
        Ok(StatFs {
            magic: TMPFS_MAGIC,
            bsize: PAGE_SIZE as u64,
            blocks: limit,
            bfree: free,
            bavail: free,
            files: space / INODE_SPACE,
            ffree: free_space / INODE_SPACE,
            fsid: self.sup.dev,
            namelen: NAME_MAX as u64,
            frsize: PAGE_SIZE as u64,
            flags: 0,
        })
    }

    fn options(&self) -> String {
        self.options.lock().show()
    }

    fn read_only(&self) -> bool {
        self.sup.read_only.load(Ordering::Relaxed)
    }

    /// `shmem_reconfigure`: limits may change where there were some, but not fall below what is
    /// used. The root keeps its owner and permissions.
    fn reconfigure(&self, data: &str, read_only: bool) -> SysResult<()> {
        let mut options = self.options.lock();
        let new = TmpfsOptions::parse(data, options.default_limit)?;
        let fits = |new: Option<u64>, now: u64, used: u64| match new {
            Some(limit) => limit == 0 || now != UNLIMITED && limit >= used,
            None => true,
        };
        let space = self.sup.max_inode_space.load(Ordering::Relaxed);
        let inodes = self.sup.inode_space.load(Ordering::Acquire).div_ceil(INODE_SPACE);
        if !fits(new.pages(), self.sup.room.limit.load(Ordering::Relaxed), self.used_pages())
            || !fits(new.nr_inodes, space, inodes)
        {
            return Err(Errno::EINVAL);
        }
        if let Some(pages) = new.pages() {
            self.sup.room.limit.store(given(pages), Ordering::Relaxed);
            options.size = new.size;
        }
        if let Some(inodes) = new.nr_inodes {
            self.sup.max_inode_space.store(given(inodes).saturating_mul(INODE_SPACE), Ordering::Relaxed);
            options.nr_inodes = new.nr_inodes;
        }
        self.sup.read_only.store(read_only, Ordering::Relaxed);
        Ok(())
    }

    fn by_handle(&self, _kind: i32, handle: &[u8]) -> SysResult<InodeRef> {
        let (_, number) = handle.split_first_chunk::<4>().ok_or(Errno::ESTALE)?;
        let (number, _) = number.split_first_chunk::<8>().ok_or(Errno::ESTALE)?;
        let node = self.sup.handles.lock().get(&u64::from_le_bytes(*number)).and_then(Weak::upgrade);
        Ok(node.ok_or(Errno::ESTALE)?)
    }

    fn rename_lock(&self) -> &SleepLock {
        &self.sup.rename_lock
    }
}

/// The tmpfs node behind an inode of any file system.
fn as_tmp(inode: &InodeRef) -> Option<&TmpNode> {
    let inode: &dyn Any = &**inode;
    inode.downcast_ref()
}

/// True when the inode is a tmpfs regular file, which is backed by memory alone.
pub fn is_shmem(inode: &dyn Inode) -> bool {
    (inode as &dyn Any).is::<TmpNode>() && inode.mapping().is_some()
}
