//! What areas are backed by: files (also the internal ones behind shared anonymous memory) and the
//! kernel's own pages.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::Mapping;
use syscall_shim::SysResult;

use super::account;
use super::flags::PAGE_SIZE;
use super::vma::Backing;

/// A file as an area sees it. The open file description implements it, and stays open while the
/// area exists.
pub trait MappedFile: Send + Sync {
    /// The page cache.
    fn mapping(&self) -> &Arc<Mapping>;
    /// `st_dev` and `st_ino`, for `/proc/PID/maps`.
    fn id(&self) -> (u64, u64);
    /// Path as `/proc/PID/maps` shows it, with ` (deleted)` where that is so.
    fn path(&self) -> Vec<u8>;
    /// Whether the pages count as `RssShmem` (tmpfs, memfd, shared anonymous) rather than
    /// `RssFile`.
    fn is_shmem(&self) -> bool;
    /// A shared mapping is about to be written: update mtime and ctime.
    fn written(&self) {}
    /// msync(2) with `MS_SYNC` of the byte range.
    fn sync(&self, _start: u64, _end: u64) -> SysResult<()> {
        Ok(())
    }
    /// What two areas must share to be one: the open file description.
    fn identity(&self) -> usize {
        core::ptr::from_ref(self).cast::<()>().addr()
    }
    /// For a segment of shmat(2): its size in bytes.
    fn attached_size(&self) -> Option<u64> {
        None
    }
    /// Whether a mapping must be of all of it, from its beginning.
    fn is_whole_only(&self) -> bool {
        false
    }
    /// Whether it goes for good with the last area that maps it: then it cannot be mapped anew.
    fn goes_with_last_area(&self) -> bool {
        false
    }
    /// What a child of fork(2) maps in place of this, where it counts apart.
    fn for_child(&self) -> Option<Arc<dyn MappedFile>> {
        None
    }
    /// Frees the byte range (`MADV_REMOVE`), leaving a hole.
    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()>;
}

/// Frames that the kernel lends to programs, such as the vDSO; never written back.
pub struct SpecialPages {
    /// As `/proc/PID/maps` shows it: `[vdso]`, `[vvar]`.
    pub name: &'static str,
    /// Physical addresses, one a page.
    pub frames: Vec<u64>,
    /// Freed with this, rather than the kernel's for good.
    pub owned: bool,
}

impl Drop for SpecialPages {
    fn drop(&mut self) {
        if self.owned {
            self.frames.drain(..).for_each(super::user_page::put);
        }
    }
}

/// One mapping of a file, shared by the areas that it was split into.
pub struct FileMap {
    /// The file.
    pub file: Arc<dyn MappedFile>,
    /// Counted in [`Mapping::add_writable_map`]: shared, and writable or able to become so.
    writable: bool,
}

impl FileMap {
    /// A mapping of `file`; `writable` if stores through it can reach the file.
    pub fn new(file: Arc<dyn MappedFile>, writable: bool) -> Arc<Self> {
        if writable {
            file.mapping().add_writable_map();
        }
        Arc::new(Self { file, writable })
    }
}

impl Drop for FileMap {
    fn drop(&mut self) {
        if self.writable {
            self.file.mapping().remove_writable_map();
        }
    }
}

/// The backing of an area that is not private anonymous memory.
#[derive(Clone)]
pub enum Object {
    /// A file, by its page cache.
    File(Arc<FileMap>),
    /// Pages of the kernel.
    Special(Arc<SpecialPages>),
}

impl Backing for Object {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            // As in Linux, where areas merge only when they share the open file description.
            (Object::File(a), Object::File(b)) => a.writable == b.writable && a.file.identity() == b.file.identity(),
            _ => false,
        }
    }
}

impl Object {
    /// The same for a child of fork(2).
    pub fn for_child(&self) -> Self {
        match self {
            Object::File(map) => match map.file.for_child() {
                Some(file) => Object::File(FileMap::new(file, map.writable)),
                None => self.clone(),
            },
            Object::Special(_) => self.clone(),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Arc<dyn MappedFile>> {
        match self {
            Object::File(map) => Some(&map.file),
            Object::Special(_) => None,
        }
    }
}

/// `st_dev` of the internal mount that holds shared anonymous memory: 00:01, as on Linux.
const SHMEM_DEV: u64 = 1;
static NEXT_SHMEM_INO: AtomicU64 = AtomicU64::new(1024);

/// The internal file behind `MAP_SHARED | MAP_ANONYMOUS`.
pub struct SharedMemory {
    mapping: Arc<Mapping>,
    ino: u64,
    charged: u64,
}

impl SharedMemory {
    /// A file of `len` bytes of zeroes, charged to `Committed_AS` unless `noreserve`.
    pub fn create(len: u64, noreserve: bool) -> SysResult<Arc<Self>> {
        let charged = if noreserve { 0 } else { len / PAGE_SIZE };
        account::charge(charged)?;
        let ino = NEXT_SHMEM_INO.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Self { mapping: Mapping::new(None, len), ino, charged }))
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        account::uncharge(self.charged);
    }
}

impl MappedFile for SharedMemory {
    fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }
    fn id(&self) -> (u64, u64) {
        (SHMEM_DEV, self.ino)
    }
    fn path(&self) -> Vec<u8> {
        b"/dev/zero (deleted)".to_vec()
    }
    fn is_shmem(&self) -> bool {
        true
    }
    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        self.mapping.punch(start, end - start)
    }
}
