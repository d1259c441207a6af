//! POSIX message queues (mq_overview(7)): a file system of queues, which mq_open(2) finds by name
//! and which is also mounted on /dev/mqueue.

mod directory;
mod notify;
mod queue;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

use caller::{capable, namespace, with_fs};
use fd::OpenFile;
use fs::namespace::{OpenHow, Opened};
use fs::notify::{self as watch, event};
use fs::{FileSystem, LookupFlags, Mount, MountFlags, OpenFlags, Path};
use linux_raw_sys::general::{CAP_SYS_RESOURCE, RLIMIT_MSGQUEUE};
use litemap::LiteMap;
use spin::Once;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

pub use directory::MqueueFs;
pub use notify::{COOKIE, Notification, Thread};
pub use queue::QueueFile;

/// One above the highest priority of a message (`sysconf(_SC_MQ_PRIO_MAX)`).
pub const PRIORITIES: u32 = 32768;
/// What `CAP_SYS_RESOURCE` may have: `HARD_MSGMAX`, `HARD_MSGSIZEMAX`.
const HARD_MESSAGES: u64 = 65536;
const HARD_SIZE: u64 = 16 << 20;
/// What Linux's own records take for each message: `sizeof(struct msg_msg)` and `sizeof(struct
/// posix_msg_tree_node)`.
const RECORD: u64 = 48;

/// `/proc/sys/fs/mqueue/msg_max`
pub static MSG_MAX: AtomicU32 = AtomicU32::new(10);
/// `/proc/sys/fs/mqueue/msgsize_max`
pub static MSGSIZE_MAX: AtomicU32 = AtomicU32::new(8192);
/// `/proc/sys/fs/mqueue/msg_default`
pub static MSG_DEFAULT: AtomicU32 = AtomicU32::new(10);
/// `/proc/sys/fs/mqueue/msgsize_default`
pub static MSGSIZE_DEFAULT: AtomicU32 = AtomicU32::new(8192);
/// `/proc/sys/fs/mqueue/queues_max`
pub static QUEUES_MAX: AtomicU32 = AtomicU32::new(256);

/// How many messages of what size a queue takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `mq_maxmsg`
    pub messages: i64,
    /// `mq_msgsize`
    pub size: i64,
}

impl Limits {
    /// Those of a queue that is made without saying.
    fn default() -> Self {
        Self {
            messages: i64::from(MSG_DEFAULT.load(Relaxed).min(MSG_MAX.load(Relaxed))),
            size: i64::from(MSGSIZE_DEFAULT.load(Relaxed).min(MSGSIZE_MAX.load(Relaxed))),
        }
    }

    /// As counts, if the caller may have them. `EINVAL`.
    fn check(self) -> SysResult<(u64, u64)> {
        let limits = match capable(CAP_SYS_RESOURCE) {
            true => (HARD_MESSAGES, HARD_SIZE),
            false => (u64::from(MSG_MAX.load(Relaxed)), u64::from(MSGSIZE_MAX.load(Relaxed))),
        };
        match (u64::try_from(self.messages), u64::try_from(self.size)) {
            (Ok(messages @ 1..), Ok(size @ 1..)) if messages <= limits.0 && size <= limits.1 => Ok((messages, size)),
            _ => Err(Errno::EINVAL),
        }
    }
}

/// Bytes that the queues of each user take. A leaf lock.
static CHARGED: SpinLock<LiteMap<u32, u64>> = SpinLock::new(LiteMap::new_vec());

/// A queue's share of its user's `RLIMIT_MSGQUEUE`.
struct Charge {
    uid: u32,
    bytes: u64,
}

impl Charge {
    /// `EMFILE` above the limit.
    fn new(uid: u32, messages: u64, size: u64) -> SysResult<Self> {
        let bytes = messages * (RECORD + size) + messages.min(u64::from(PRIORITIES)) * RECORD;
        let limit = caller::rlimit(RLIMIT_MSGQUEUE);
        let mut charged = CHARGED.lock();
        let sum = charged.get(&uid).copied().unwrap_or(0).saturating_add(bytes);
        if sum > limit {
            return Err(Errno::EMFILE);
        }
        charged.insert(uid, sum);
        Ok(Self { uid, bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let mut charged = CHARGED.lock();
        match charged.get_mut(&self.uid) {
            Some(sum) if *sum > self.bytes => *sum -= self.bytes,
            _ => drop(charged.remove(&self.uid)),
        }
    }
}

struct Internal {
    fs: Arc<MqueueFs>,
    mount: Arc<Mount>,
}

/// The file system, in a mount that no directory shows.
static INTERNAL: Once<Internal> = Once::new();

fn internal() -> &'static Internal {
    INTERNAL.call_once(|| {
        let fs = MqueueFs::new();
        let mount = Mount::new(fs.clone(), None, "mqueue", MountFlags::default());
        Internal { fs, mount }
    })
}

/// The one file system of queues, to be mounted.
pub fn file_system() -> Arc<dyn FileSystem> {
    internal().fs.clone()
}

/// The root directory and a name in it. `EACCES` for what is no name, as Linux has it.
fn place(name: &[u8]) -> SysResult<Path> {
    match name {
        [] => Err(Errno::ENOENT),
        b"." | b".." => Err(Errno::EACCES),
        name if name.contains(&b'/') => Err(Errno::EACCES),
        _ => {
            let mount = &internal().mount;
            Ok(Path::new(mount.clone(), mount.root.clone()))
        }
    }
}

/// mq_open(2): the queue called `name` (without a slash), made with `limits` if it is missing and
/// `flags` have `O_CREAT`.
pub fn open_queue(name: &[u8], flags: OpenFlags, mode: u32, limits: Option<Limits>) -> SysResult<Arc<OpenFile>> {
    let root = place(name)?;
    let kept = OpenFlags::ACCMODE | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::NONBLOCK;
    let how = OpenHow { flags: flags & kept, mode, resolve: LookupFlags::empty() };
    let fs = &internal().fs;
    let opened = {
        let _making = fs.with_limits(limits);
        with_fs(|ctx| namespace().open(ctx, Some(&root), name, &how))?
    };
    if flags & OpenFlags::ACCMODE == OpenFlags::ACCMODE && !opened.created {
        return Err(Errno::EINVAL);
    }
    let Opened { path, inode, created, write_access, .. } = opened;
    let ops = inode.special().and_then(|object| object.downcast::<QueueFile>().ok()).ok_or(Errno::EINVAL)?;
    let file = OpenFile::opened(path, inode, ops, flags & kept | OpenFlags::LARGEFILE, write_access, created);
    watch::notify_open_file(&file.path, event::OPEN);
    Ok(file)
}

/// mq_unlink(2).
pub fn unlink(name: &[u8]) -> SysResult<()> {
    let root = place(name)?;
    with_fs(|ctx| namespace().unlink(ctx, Some(&root), name))
}
