//! The one directory of the file system of queues.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use caller::capable;
use fs::inode::{NewNode, alloc_anon_dev, alloc_ino};
use fs::sync::SleepLock;
use fs::{DirEntry, FileSystem, FileType, Inode, InodeCommon, InodeRef, Metadata, SetAttr, StatFs};
use linux_raw_sys::general::CAP_SYS_RESOURCE;
use litemap::LiteMap;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::queue::Queue;
use super::{Charge, Limits, QUEUES_MAX};

/// `MQUEUE_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0x1980_0202;

/// A file system of queues.
pub struct MqueueFs {
    dev: u64,
    root: Arc<Directory>,
    rename: SleepLock,
}

/// While it lives, queues that the calling thread makes get the limits that it stands for.
pub(super) struct Making<'a>(&'a Directory);

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.making.lock().remove(&caller::tid());
    }
}

impl MqueueFs {
    pub(super) fn new() -> Arc<Self> {
        let dev = alloc_anon_dev();
        let now = fs::platform::now();
        let attrs = Metadata {
            dev,
            ino: alloc_ino(),
            mode: fs::S_IFDIR | 0o1777,
            nlink: 2,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            ..Metadata::default()
        };
        let root = Arc::new(Directory {
            common: InodeCommon::new(),
            attrs: SpinLock::new(attrs),
            entries: SpinLock::new(Entries { queues: LiteMap::new_vec(), next: 2 }),
            making: SpinLock::new(LiteMap::new_vec()),
        });
        Arc::new(Self { dev, root, rename: SleepLock::new() })
    }

    /// Has a queue that this thread makes before the answer is dropped take `limits`.
    pub(super) fn with_limits(&self, limits: Option<Limits>) -> Making<'_> {
        if let Some(limits) = limits {
            self.root.making.lock().insert(caller::tid(), limits);
        }
        Making(&self.root)
    }
}

impl FileSystem for MqueueFs {
    fn name(&self) -> &'static str {
        "mqueue"
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn statfs(&self) -> SysResult<StatFs> {
        Ok(StatFs { magic: MAGIC, bsize: 4096, frsize: 4096, namelen: 255, ..StatFs::default() })
    }
    fn rename_lock(&self) -> &SleepLock {
        &self.rename
    }
}

struct Entries {
    /// By name, with the cookie of readdir(3).
    queues: LiteMap<Vec<u8>, (u64, Arc<Queue>)>,
    next: u64,
}

/// The directory.
struct Directory {
    common: InodeCommon,
    attrs: SpinLock<Metadata>,
    /// A leaf lock.
    entries: SpinLock<Entries>,
    /// What threads that are in mq_open(2) ask for, by thread id. A leaf lock.
    making: SpinLock<LiteMap<i32, Limits>>,
}

impl Inode for Directory {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        self.attrs.lock().clone()
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        attr.apply(&mut self.attrs.lock(), fs::platform::now());
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        match self.entries.lock().queues.get(name) {
            Some((_, queue)) => Ok(queue.clone()),
            None => Err(Errno::ENOENT),
        }
    }

    /// Each mount has dentries of its own, so none is kept.
    fn cache_children(&self) -> bool {
        false
    }

    fn create(&self, name: &[u8], node: NewNode) -> SysResult<InodeRef> {
        let asked = self.making.lock().get(&caller::tid()).copied();
        let privileged = capable(CAP_SYS_RESOURCE);
        let (messages, size) = match asked {
            Some(limits) => limits.check()?,
            None => {
                let limits = Limits::default();
                (limits.messages as u64, limits.size as u64)
            }
        };
        let charge = Charge::new(caller::credentials().uid, messages, size)?;
        let queue = Queue::new(self.metadata().dev, node, (messages as usize, size as usize), charge);
        let mut entries = self.entries.lock();
        if entries.queues.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        if entries.queues.len() >= QUEUES_MAX.load(Relaxed) as usize && !privileged {
            return Err(Errno::ENOSPC);
        }
        let cookie = entries.next;
        entries.next += 1;
        entries.queues.insert(name.to_vec(), (cookie, queue.clone()));
        Ok(queue)
    }

    fn unlink(&self, name: &[u8]) -> SysResult<()> {
        let removed = self.entries.lock().queues.remove(name);
        let (_, queue) = removed.ok_or(Errno::ENOENT)?;
        queue.removed();
        Ok(())
    }

    fn readdir(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        let entries = self.entries.lock();
        let mut listed: Vec<_> = entries.queues.iter().filter(|(_, (at, _))| *at >= cookie).collect();
        listed.sort_unstable_by_key(|(_, (at, _))| *at);
        let mut next = cookie;
        for (name, (at, queue)) in listed {
            let entry = DirEntry { name, ino: queue.number(), file_type: FileType::Regular, next: at + 1 };
            if !emit(entry) {
                return Ok(*at);
            }
            next = at + 1;
        }
        Ok(next)
    }
}
