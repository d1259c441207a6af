//! One file of a file system, whatever its type, and the file system it belongs to.

use crate::mapping::Mapping;
use crate::path::Path;
use crate::sync::{Mutex, SleepLock};
use crate::types::*;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use syscall_shim::{Errno, SysResult};

/// A shared inode. Two references are the same file when [`same_inode`] says so.
pub type InodeRef = Arc<dyn Inode>;

impl core::fmt::Debug for dyn Inode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let m = self.metadata();
        write!(f, "inode {} (mode {:o})", m.ino, m.mode)
    }
}

/// True when both references name one inode.
pub fn same_inode(a: &InodeRef, b: &InodeRef) -> bool {
    core::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}

/// What following a symbolic link leads to.
pub enum Link {
    /// A path to go on with.
    Text(Vec<u8>),
    /// A magic link (proc(5), `/proc/PID/fd/N`, `exe`, `cwd`, `root`): straight to a place,
    /// whatever its name is by now.
    Magic(Path),
}

/// Owner and mode for a new inode. The namespace has already applied umask and setgid inheritance.
#[derive(Clone, Copy, Debug)]
pub struct NewNode {
    /// Permission bits; for `mknod` with type bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// How lseek(2) moves in an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeking {
    /// Within its size, and to its end.
    File,
    /// A text whose end is not known before it is read, so that nothing can go there.
    Text,
    /// A memory, of which every address can be gone to, also those that are negative as offsets,
    /// and which has no end.
    Memory,
}

/// An open pseudo file: its own state (a snapshot of generated text, say) lives as long as the open
/// file description.
pub trait FileHandle: Send + Sync {
    /// Reads at `off`; 0 is end of file. May sleep.
    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize>;
    /// Writes at `off`. May sleep.
    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize>;
    /// How lseek(2) moves in it.
    fn seeking(&self) -> Seeking {
        Seeking::File
    }
}

/// A file of any type. Methods that do not fit the type answer what Linux answers, which the
/// defaults give for a node that is not a directory, not a link and has no page cache.
///
/// Callers (this crate's [`crate::Namespace`] and [`crate::file`]) check permissions, read-only
/// mounts, name lengths and `.`/`..`; methods check what only the file system knows. Directory
/// changes are called with the directory's [`InodeCommon::lock`] held, content changes with the
/// file's.
pub trait Inode: Any + Send + Sync {
    /// Per-inode state that every file system has.
    fn common(&self) -> &InodeCommon;

    /// Everything stat(2) reports.
    fn metadata(&self) -> Metadata;

    /// Mode, owner and group alone, on the fast path of every walk.
    fn access_attrs(&self) -> AccessAttrs {
        let m = self.metadata();
        AccessAttrs { mode: m.mode, uid: m.uid, gid: m.gid }
    }

    /// File type.
    fn file_type(&self) -> FileType {
        FileType::from_mode(self.access_attrs().mode).unwrap_or(FileType::Regular)
    }

    /// Whether access control lists are kept as its extended attributes.
    fn supports_acl(&self) -> bool {
        false
    }

    /// Sets those of [`IMMUTABLE`], [`APPEND_ONLY`], [`NODUMP`] and [`NOATIME`] that `flags` has
    /// and clears the others; they are told beside the mode. `ENOTTY` where there are none.
    fn set_fileattr(&self, _flags: u32) -> SysResult<()> {
        Err(Errno::ENOTTY)
    }

    /// Whether there are such flags.
    fn has_fileattr(&self) -> bool {
        false
    }

    /// Applies checked attribute changes.
    fn setattr(&self, _attr: &SetAttr) -> SysResult<()> {
        Err(Errno::EPERM)
    }

    // Directories.

    /// The child called `name`; `ENOENT` without, `ENOTDIR` on other types.
    fn lookup(&self, _name: &[u8]) -> SysResult<InodeRef> {
        Err(Errno::ENOTDIR)
    }

    /// False when children come and go by themselves (`/proc/PID`): their dentries are not kept,
    /// and every walk asks `lookup`.
    fn cache_children(&self) -> bool {
        true
    }

    /// A new regular file; `EEXIST` when the name is there.
    fn create(&self, _name: &[u8], _node: NewNode) -> SysResult<InodeRef> {
        Err(Errno::EACCES)
    }

    /// A new node of the type in `node.mode` (regular, FIFO, socket, device with number `rdev`).
    fn mknod(&self, _name: &[u8], _node: NewNode, _rdev: u64) -> SysResult<InodeRef> {
        Err(Errno::EPERM)
    }

    /// A new directory.
    fn mkdir(&self, _name: &[u8], _node: NewNode) -> SysResult<InodeRef> {
        Err(Errno::EPERM)
    }

    /// A new symbolic link with content `target`.
    fn symlink(&self, _name: &[u8], _target: &[u8], _node: NewNode) -> SysResult<InodeRef> {
        Err(Errno::EPERM)
    }

    /// An unnamed regular file of this directory's file system (`O_TMPFILE`).
    fn tmpfile(&self, _node: NewNode) -> SysResult<InodeRef> {
        Err(Errno::EOPNOTSUPP)
    }

    /// A further name for `inode`, which is of the same file system.
    fn link(&self, _name: &[u8], _inode: &InodeRef) -> SysResult<()> {
        Err(Errno::EPERM)
    }

    /// Removes the name of a non-directory.
    fn unlink(&self, _name: &[u8]) -> SysResult<()> {
        Err(Errno::EPERM)
    }

    /// Removes an empty directory; `ENOTEMPTY`.
    fn rmdir(&self, _name: &[u8]) -> SysResult<()> {
        Err(Errno::EPERM)
    }

    /// Moves `old_name` to `new_name` in `new_dir` (same file system, perhaps the same directory),
    /// replacing what is there. `flags` is empty, `NOREPLACE` or `EXCHANGE`.
    fn rename(&self, _old_name: &[u8], _new_dir: &InodeRef, _new_name: &[u8], _flags: RenameFlags) -> SysResult<()> {
        Err(Errno::EPERM)
    }

    /// Hands entries from `cookie` on to `emit` (`.` and `..` are not among them) until it answers
    /// false, which leaves that entry for the next time. The first cookie is 2; cookies stay valid
    /// whatever is created or removed meanwhile. Returns the cookie to go on from. `emit` runs
    /// under a spin lock: it fills a kernel buffer and does not sleep.
    fn readdir(&self, _cookie: u64, _emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        Err(Errno::ENOTDIR)
    }

    // Symbolic links.

    /// The link's text, as readlink(2) gives it.
    fn readlink(&self) -> SysResult<Vec<u8>> {
        Err(Errno::EINVAL)
    }

    /// Where the link leads.
    fn follow_link(&self) -> SysResult<Link> {
        self.readlink().map(Link::Text)
    }

    // Content.

    /// The page cache, for files that have one. Files without answer through [`Inode::open`] or
    /// `read_at`/`write_at`.
    fn mapping(&self) -> Option<&Arc<Mapping>> {
        None
    }

    /// Called before the file is opened to be written, under no lock; `truncates`: its content
    /// goes.
    fn before_writing(&self, _truncates: bool) -> SysResult<()> {
        Ok(())
    }

    /// Called by open(2) of a file without page cache after all checks. `Some` replaces
    /// `read_at`/`write_at` for this open.
    fn open(&self, _flags: OpenFlags) -> SysResult<Option<Arc<dyn FileHandle>>> {
        Ok(None)
    }

    /// The kernel's own object behind this node (a pseudo terminal, an anonymous inode's file), if
    /// it is such a node.
    fn special(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Reads a file without page cache.
    fn read_at(&self, _off: u64, _buf: &mut [u8]) -> SysResult<usize> {
        Err(Errno::EINVAL)
    }

    /// Writes a file without page cache.
    fn write_at(&self, _off: u64, _buf: &[u8]) -> SysResult<usize> {
        Err(Errno::EINVAL)
    }

    /// Asks leave to write `[off, off+len)` of the page cache (seals, room), called with the lock
    /// held before the bytes move. Answers how many of the bytes may be written.
    fn prepare_write(&self, _off: u64, len: u64) -> SysResult<u64> {
        Ok(len)
    }

    /// Sets the size; `EINVAL` for what has none, `EPERM` when sealed. Updates ctime, and mtime
    /// when the size changes.
    fn truncate(&self, _size: u64) -> SysResult<()> {
        Err(Errno::EINVAL)
    }

    /// fallocate(2) after the generic checks.
    fn fallocate(&self, _mode: FallocateMode, _off: u64, _len: u64) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// `SEEK_DATA`: the next offset >= `off` with data; `ENXIO` at or past the end.
    fn seek_data(&self, off: u64) -> SysResult<u64> {
        if off < self.metadata().size { Ok(off) } else { Err(Errno::ENXIO) }
    }

    /// `SEEK_HOLE`: the next offset >= `off` in a hole (the end counts as one); `ENXIO` at or past
    /// the end.
    fn seek_hole(&self, off: u64) -> SysResult<u64> {
        let size = self.metadata().size;
        if off < size { Ok(size) } else { Err(Errno::ENXIO) }
    }

    /// Makes content (and, unless `data_only`, metadata) durable.
    fn sync(&self, _data_only: bool) -> SysResult<()> {
        Ok(())
    }

    /// The seals, for files that can be sealed; `EINVAL` for others.
    fn seals(&self) -> SysResult<Seals> {
        Err(Errno::EINVAL)
    }

    /// Adds seals; `EPERM` once `SEAL` is set. `writable_maps` tells whether a shared writable
    /// mapping exists (`EBUSY` for `WRITE`).
    fn add_seals(&self, _seals: Seals, _writable_maps: bool) -> SysResult<()> {
        Err(Errno::EINVAL)
    }

    /// What names the file beyond its names (name_to_handle_at(2)): the kind of handle, and the
    /// handle. `EOPNOTSUPP` without.
    fn handle(&self) -> SysResult<(i32, Vec<u8>)> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Whether `RENAME_WHITEOUT` may leave a whiteout in this directory.
    fn has_whiteouts(&self) -> bool {
        false
    }

    // Extended attributes: name with prefix, permission already checked (xattr(7)).

    /// The value; `ENODATA` without.
    fn getxattr(&self, _name: &[u8]) -> SysResult<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Sets the value.
    fn setxattr(&self, _name: &[u8], _value: &[u8], _flags: XattrFlags) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// All names.
    fn listxattr(&self) -> SysResult<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Removes one; `ENODATA` without.
    fn removexattr(&self, _name: &[u8]) -> SysResult<()> {
        Err(Errno::EOPNOTSUPP)
    }
}

/// State that the VFS and the kernel keep with each inode.
#[derive(Default)]
pub struct InodeCommon {
    /// Linux's `i_rwsem`: serialises writers of the content, and changes of a directory. May be
    /// held across sleeping.
    pub lock: SleepLock,
    /// inotify's cheap answer to 'does anybody watch this inode': the kernel keeps the union of the
    /// watch masks here.
    pub notify_mask: AtomicU32,
    /// Open-for-write count when positive, executing count when negative (`ETXTBSY`).
    write_count: AtomicI32,
    /// Open file descriptions that only read (`i_readcount`), for leases.
    readers: AtomicU32,
    /// Linux's `I_LINKABLE`: an `O_TMPFILE` file that linkat(2) may still name.
    linkable: AtomicBool,
    slots: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl InodeCommon {
    /// Fresh state. The locks of each kind of file system are a class of their own: one that lies
    /// over others holds its own while it takes theirs.
    #[track_caller]
    pub const fn new() -> InodeCommon {
        InodeCommon {
            lock: SleepLock::new(),
            notify_mask: AtomicU32::new(0),
            write_count: AtomicI32::new(0),
            readers: AtomicU32::new(0),
            linkable: AtomicBool::new(false),
            slots: Mutex::new(Vec::new()),
        }
    }

    /// The kernel's object of type `T` that hangs on this inode (the pipe of a FIFO, the lock list,
    /// the socket bound here).
    pub fn get_ext<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let slot = self.slots.lock().iter().find(|s| (***s).is::<T>()).cloned()?;
        slot.downcast().ok()
    }

    /// The object of type `T`, made by `make` if there is none yet. `make` runs without the lock; a
    /// racing loser's object is dropped.
    pub fn ext_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(found) = self.get_ext::<T>() {
            return found;
        }
        let new: Arc<T> = Arc::new(make());
        let mut slots = self.slots.lock();
        let raced = slots.iter().find(|s| (***s).is::<T>()).cloned().and_then(|s| s.downcast().ok());
        if let Some(found) = raced {
            return found;
        }
        slots.push(new.clone());
        new
    }

    /// Puts `value` in place, returning what was there.
    pub fn set_ext<T: Any + Send + Sync>(&self, value: Arc<T>) -> Option<Arc<T>> {
        let mut slots = self.slots.lock();
        let old = slots.iter().position(|s| (**s).is::<T>()).map(|i| slots.swap_remove(i));
        slots.push(value);
        old.and_then(|s| s.downcast().ok())
    }

    /// Takes the object of type `T` away.
    pub fn take_ext<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let mut slots = self.slots.lock();
        let i = slots.iter().position(|s| (**s).is::<T>())?;
        slots.swap_remove(i).downcast().ok()
    }

    pub(crate) fn set_linkable(&self) {
        self.linkable.store(true, Ordering::Release);
    }

    pub(crate) fn is_linkable(&self) -> bool {
        self.linkable.load(Ordering::Acquire)
    }

    /// Counts an open for reading only. Pair with [`Self::reader_closed`].
    pub fn reader_opened(&self) {
        self.readers.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends an open for reading only.
    pub fn reader_closed(&self) {
        self.readers.fetch_sub(1, Ordering::AcqRel);
    }

    /// Open file descriptions that only read, and those that write.
    pub fn opens(&self) -> (u32, u32) {
        (self.readers.load(Ordering::Acquire), self.write_count.load(Ordering::Acquire).max(0) as u32)
    }

    /// Counts an open for writing; `ETXTBSY` while the file is being executed. Pair with
    /// [`Self::put_write_access`].
    pub fn get_write_access(&self) -> SysResult<()> {
        self.shift_write_count(1, |n| n >= 0)
    }

    /// Ends an open for writing.
    pub fn put_write_access(&self) {
        self.write_count.fetch_sub(1, Ordering::Release);
    }

    /// Counts an execution; `ETXTBSY` while the file is open for writing. Pair with
    /// [`Self::allow_write_access`].
    pub fn deny_write_access(&self) -> SysResult<()> {
        self.shift_write_count(-1, |n| n <= 0)
    }

    /// Ends an execution.
    pub fn allow_write_access(&self) {
        self.write_count.fetch_add(1, Ordering::Release);
    }

    fn shift_write_count(&self, by: i32, ok: impl Fn(i32) -> bool) -> SysResult<()> {
        self.write_count
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| ok(n).then_some(n + by))
            .map(|_| ())
            .map_err(|_| Errno::ETXTBSY)
    }
}

/// A mounted or mountable file system: Linux's super block.
pub trait FileSystem: Send + Sync {
    /// Type name as in /proc/filesystems and /proc/mounts.
    fn name(&self) -> &'static str;
    /// `st_dev` of its files.
    fn dev(&self) -> u64;
    /// The root directory.
    fn root(&self) -> InodeRef;
    /// Sizes; `flags` is filled in by the caller.
    fn statfs(&self) -> SysResult<StatFs>;
    /// Options of this type for /proc/mounts (`size=64k,mode=700`), without the mount flags.
    fn options(&self) -> String {
        String::new()
    }
    /// True when every write must fail with `EROFS`.
    fn read_only(&self) -> bool {
        false
    }
    /// Whether a name that is not there is the error of whoever would make it (`ENOENT`), before
    /// others are looked for: procfs.
    fn has_fixed_names(&self) -> bool {
        false
    }
    /// Takes new options of this type, and whether it is read-only (`MS_REMOUNT`). One that has no
    /// options takes any.
    fn reconfigure(&self, _options: &str, _read_only: bool) -> SysResult<()> {
        Ok(())
    }
    /// The file that a handle of [`Inode::handle`] names; `ESTALE` where it is gone.
    fn by_handle(&self, _kind: i32, _handle: &[u8]) -> SysResult<InodeRef> {
        Err(Errno::ESTALE)
    }
    /// Serialises renames between directories (Linux's `s_vfs_rename_mutex`).
    fn rename_lock(&self) -> &SleepLock;
    /// Makes everything durable.
    fn sync(&self) -> SysResult<()> {
        Ok(())
    }
    /// Makes everything durable for the last time: the machine ends, and what is on the disk is to
    /// say so.
    fn end(&self) -> SysResult<()> {
        self.sync()
    }
}

static NEXT_DEV: AtomicU64 = AtomicU64::new(1);
static NEXT_INO: AtomicU64 = AtomicU64::new(1);

/// A fresh device number with major 0, for a file system without a device (Linux's
/// `get_anon_bdev`).
pub fn alloc_anon_dev() -> u64 {
    makedev(0, NEXT_DEV.fetch_add(1, Ordering::Relaxed) as u32)
}

/// A fresh inode number for nodes without one of their own (Linux's `get_next_ino`).
pub fn alloc_ino() -> u64 {
    NEXT_INO.fetch_add(1, Ordering::Relaxed)
}
