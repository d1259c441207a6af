//! How open files become areas.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::{Mapping, Path};
use syscall_shim::{Errno, SysResult};

use super::mmap::MapFile;
use super::object::MappedFile;

/// A file without an open file description: what exec maps a program from.
pub struct PathFile {
    path: Path,
    root: Path,
    mapping: Arc<Mapping>,
}

impl PathFile {
    /// The file at `path`, its name to be shown from `root` down. `ENODEV` without a page cache.
    pub fn new(path: Path, root: Path) -> SysResult<Arc<Self>> {
        let mapping = path.inode()?.mapping().ok_or(Errno::ENODEV)?.clone();
        Ok(Arc::new(Self { path, root, mapping }))
    }
}

impl MappedFile for PathFile {
    fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }
    fn id(&self) -> (u64, u64) {
        self.path.inode().map_or((0, 0), |inode| {
            let metadata = inode.metadata();
            (metadata.dev, metadata.ino)
        })
    }
    fn path(&self) -> Vec<u8> {
        self.path.display(&self.root)
    }
    fn is_shmem(&self) -> bool {
        self.path.mount.fs.name() == "tmpfs"
    }
    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        self.mapping.punch(start, end - start)
    }
}

/// The file behind descriptor `fd`, for a mapping from byte `offset` on. `EBADF`.
pub fn map_file(fd: i32, offset: u64) -> SysResult<MapFile> {
    let file = crate::task::current().files()?.get(fd)?;
    Ok(crate::files::mapped::map_file(&file, offset))
}
