//! Inodes of files that no directory holds: pipes, sockets, and the `anon_inode:` kinds (eventfd,
//! epoll and so on).

use alloc::string::String;
use alloc::sync::Arc;

use fs::PAGE_SIZE;
use fs::inode::{alloc_anon_dev, alloc_ino};
use fs::sync::SleepLock;
use fs::{FileSystem, Inode, InodeCommon, InodeRef, Metadata, Mount, MountFlags, Path, SetAttr, StatFs};
use syscall_shim::SysResult;

use sync::SpinLock;

/// `PIPEFS_MAGIC` (linux/magic.h).
const PIPEFS_MAGIC: u64 = 0x5049_5045;
/// `SOCKFS_MAGIC`.
const SOCKFS_MAGIC: u64 = 0x534F_434B;
/// `ANON_INODE_FS_MAGIC`.
const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;

/// An internal file system without a tree.
struct AnonFs {
    name: &'static str,
    magic: u64,
    dev: u64,
    root: InodeRef,
    rename: SleepLock,
}

impl FileSystem for AnonFs {
    fn name(&self) -> &'static str {
        self.name
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn root(&self) -> InodeRef {
        self.root.clone()
    }
    fn statfs(&self) -> SysResult<StatFs> {
        Ok(StatFs {
            magic: self.magic,
            bsize: PAGE_SIZE as u64,
            frsize: PAGE_SIZE as u64,
            namelen: 255,
            ..StatFs::default()
        })
    }
    fn rename_lock(&self) -> &SleepLock {
        &self.rename
    }
}

/// One of these inodes.
pub struct AnonInode {
    common: InodeCommon,
    attrs: SpinLock<Metadata>,
}

impl AnonInode {
    /// A file of type and mode `mode` that belongs to `uid` and `gid`.
    pub fn new(dev: u64, mode: u32, uid: u32, gid: u32) -> Arc<AnonInode> {
        let now = fs::platform::now();
        let attrs = Metadata {
            dev,
            ino: alloc_ino(),
            mode,
            nlink: 1,
            uid,
            gid,
            blksize: PAGE_SIZE as u32,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            ..Metadata::default()
        };
        Arc::new(AnonInode { common: InodeCommon::new(), attrs: SpinLock::new(attrs) })
    }
}

impl Inode for AnonInode {
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
}

/// Which internal file system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AnonKind {
    /// pipe(2): `pipe:[ino]`.
    Pipe,
    /// socket(2): `socket:[ino]`.
    Socket,
}

struct Mounts {
    pipe: Arc<Mount>,
    socket: Arc<Mount>,
    other: Arc<Mount>,
    /// All `anon_inode:` files share one inode, as on Linux.
    shared: InodeRef,
}

fn internal(name: &'static str, magic: u64) -> (Arc<Mount>, InodeRef) {
    let dev = alloc_anon_dev();
    let root: InodeRef = AnonInode::new(dev, fs::S_IFDIR | 0o755, 0, 0);
    let fs = Arc::new(AnonFs { name, magic, dev, root, rename: SleepLock::new() });
    let shared: InodeRef = AnonInode::new(dev, 0o600, 0, 0);
    (Mount::new(fs, None, name, MountFlags::default()), shared)
}

static MOUNTS: spin::LazyLock<Mounts> = spin::LazyLock::new(|| Mounts {
    pipe: internal("pipefs", PIPEFS_MAGIC).0,
    socket: internal("sockfs", SOCKFS_MAGIC).0,
    other: internal("anon_inodefs", ANON_INODE_FS_MAGIC).0,
    shared: internal("anon_inodefs", ANON_INODE_FS_MAGIC).1,
});

/// A new pipe or socket inode that belongs to the caller's ids, and its place.
pub fn new_node(kind: AnonKind, uid: u32, gid: u32) -> (Path, InodeRef) {
    let (mount, label, mode) = match kind {
        AnonKind::Socket => (&MOUNTS.socket, "socket", fs::S_IFSOCK | 0o777),
        AnonKind::Pipe => (&MOUNTS.pipe, "pipe", fs::S_IFIFO | 0o600),
    };
    let inode: InodeRef = AnonInode::new(mount.fs.dev(), mode, uid, gid);
    let name = alloc::format!("{label}:[{}]", inode.metadata().ino);
    (Path::anonymous(mount, inode.clone(), name.as_bytes(), false), inode)
}

/// The place of an `anon_inode:` file; `name` with the brackets where Linux has them (`[eventfd]`,
/// `inotify`).
pub fn anon_inode(name: &str) -> (Path, InodeRef) {
    let text = String::from("anon_inode:") + name;
    let inode = MOUNTS.shared.clone();
    (Path::anonymous(&MOUNTS.other, inode.clone(), text.as_bytes(), false), inode)
}
