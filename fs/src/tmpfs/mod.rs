//! tmpfs(5): files that live in the page cache alone. The root file system, /tmp, /dev, /dev/shm and memfd_create(2).

mod data;
mod dir;
mod node;
#[cfg(test)]
mod tests;

use crate::inode::{FileSystem, Inode, InodeRef, NewNode, alloc_anon_dev};
use crate::mapping::PageSource;
use crate::platform::{PAGE_SIZE, platform};
use crate::sync::SleepLock;
use crate::types::*;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};
use hashbrown::HashMap;
use node::TmpNode;
use syscall_shim::{Errno, SysResult};

/// `TMPFS_MAGIC` of statfs(2).
pub const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Mount options (tmpfs(5)).
#[derive(Clone, Debug)]
pub struct TmpfsOptions {
    /// Type name in /proc/mounts: `tmpfs` or `devtmpfs`.
    pub name: &'static str,
    /// Limit of the content, in bytes (`size=`); 0 for none.
    pub size: Option<u64>,
    /// Limit of the number of inodes (`nr_inodes=`); 0 for none.
    pub nr_inodes: Option<u64>,
    /// What holds for either where it is not given, in pages and in inodes; 0 for no limit.
    pub default_limit: u64,
    /// Permissions of the root directory (`mode=`).
    pub mode: u32,
    /// Owner of the root directory (`uid=`).
    pub uid: u32,
    /// Group of the root directory (`gid=`).
    pub gid: u32,
}

impl Default for TmpfsOptions {
    fn default() -> TmpfsOptions {
        TmpfsOptions { name: "tmpfs", size: None, nr_inodes: None, default_limit: 0, mode: 0o1777, uid: 0, gid: 0 }
    }
}

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
    rename_lock: SleepLock,
    /// Files that somebody has a handle of, by number. A leaf lock.
    handles: spin::Mutex<HashMap<u64, Weak<TmpNode>>>,
    /// Held while entries of more than one directory are locked. Taken before those.
    tree: spin::Mutex<()>,
}

/// What an inode counts for, and beyond the first each name of one (`BOGO_INODE_SIZE`).
const INODE_SPACE: u64 = 1024;
/// No limit.
const UNLIMITED: u64 = u64::MAX;

/// Pages used, of pages allowed.
struct Room {
    used: AtomicU64,
    limit: u64,
}

impl PageSource for Room {
    fn charge(&self, pages: u64) -> SysResult<()> {
        take(&self.used, pages, self.limit)
    }

    fn uncharge(&self, pages: u64) {
        self.used.fetch_sub(pages, Ordering::AcqRel);
    }
}

/// Adds to what is used of `limit`. `ENOSPC`.
fn take(used: &AtomicU64, more: u64, limit: u64) -> SysResult<()> {
    used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| used.checked_add(more).filter(|n| *n <= limit))
        .map(|_| ())
        .map_err(|_| Errno::ENOSPC)
}

impl Super {
    fn new(options: &TmpfsOptions) -> Arc<Super> {
        let given = |limit: u64| if limit == 0 { UNLIMITED } else { limit };
        let pages = options.size.map(|bytes| bytes.div_ceil(PAGE_SIZE as u64));
        let limit = given(pages.unwrap_or(options.default_limit));
        let inodes = given(options.nr_inodes.unwrap_or(options.default_limit));
        Arc::new(Super {
            name: options.name,
            dev: alloc_anon_dev(),
            next_ino: AtomicU64::new(1),
            room: Arc::new(Room { used: AtomicU64::new(0), limit }),
            inode_space: AtomicU64::new(0),
            max_inode_space: AtomicU64::new(inodes.saturating_mul(INODE_SPACE)),
            rename_lock: SleepLock::new(),
            handles: spin::Mutex::new(HashMap::new()),
            tree: spin::Mutex::new(()),
        })
    }

    /// Counts so many bytes of inodes, names or attributes. `ENOSPC`, also where memory has no room for more of them.
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
    options: TmpfsOptions,
}

impl Tmpfs {
    /// An empty file system. `ENOSPC` when `nr_inodes` leaves no room for the root.
    pub fn new(options: TmpfsOptions) -> SysResult<Arc<Tmpfs>> {
        let sup = Super::new(&options);
        let mode = S_IFDIR | (options.mode & 0o7777);
        let root = TmpNode::new_dir(&sup, NewNode { mode, uid: options.uid, gid: options.gid })?;
        Ok(Arc::new(Tmpfs { sup, root, options }))
    }

    /// A file without a name: memfd_create(2), shared anonymous memory, System V segments. It can be sealed with `sealing`
    /// (`MFD_ALLOW_SEALING`). `mode`: permission bits, 0o777 for a memfd (0o666 with `MFD_NOEXEC_SEAL`).
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
        let limit = shown(self.sup.room.limit);
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
        let mut out = String::new();
        let mut add = |text: String| {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(&text);
        };
        if let Some(size) = self.options.size.filter(|size| *size > 0) {
            add(format!("size={}k", size.div_ceil(1024)));
        }
        if let Some(inodes) = self.options.nr_inodes.filter(|inodes| *inodes > 0) {
            add(format!("nr_inodes={inodes}"));
        }
        if self.options.mode != 0o1777 {
            add(format!("mode={:o}", self.options.mode));
        }
        if self.options.uid != 0 {
            add(format!("uid={}", self.options.uid));
        }
        if self.options.gid != 0 {
            add(format!("gid={}", self.options.gid));
        }
        out
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
