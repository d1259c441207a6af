//! Open directories.

use alloc::sync::Arc;

use caller::with_fs;
use fs::DirEntry;
use fs::pseudo::{PROC_MAGIC, SYSFS_MAGIC};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::io::{Sink, Source};
use crate::{FileOps, OpenFile};

/// The operations of every directory; the position is the cookie of the next entry.
pub struct Dir;

impl Dir {
    /// The operations.
    pub fn ops() -> Arc<dyn FileOps> {
        static OPS: spin::LazyLock<Arc<Dir>> = spin::LazyLock::new(|| Arc::new(Dir));
        OPS.clone()
    }
}

impl FileOps for Dir {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, _pos: u64, _to: &mut Sink<'_>) -> SysResult<usize> {
        Err(Errno::EISDIR)
    }

    fn write_at(&self, _file: &OpenFile, _pos: u64, _from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        Err(Errno::EBADF)
    }

    fn seek(&self, file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        // Those of procfs and sysfs have a size, which is 0 (`generic_file_llseek`).
        let sized = || matches!(file.path.mount.fs.statfs(), Ok(fs) if [PROC_MAGIC, SYSFS_MAGIC].contains(&fs.magic));
        match whence {
            g::SEEK_SET | g::SEEK_CUR => crate::regular::seek_to(pos, 0, offset, whence),
            g::SEEK_END if sized() => crate::regular::seek_to(pos, 0, offset, whence),
            g::SEEK_DATA | g::SEEK_HOLE if sized() => Err(Errno::ENXIO),
            _ => Err(Errno::EINVAL),
        }
    }

    fn pollable(&self) -> bool {
        false
    }

    fn ioctl(&self, file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        crate::fileattr::ioctl(file, request, arg)
    }

    fn sync(&self, file: &OpenFile, data_only: bool) -> SysResult<()> {
        file.inode.sync(data_only)
    }
}

/// Hands the entries from the position of `file` on to `emit`, which answers false when it has no
/// room. Then `deliver` gets them to the caller, and answers where to go on: it is told where that
/// is if all arrived. `EINVAL` when there was no room for even one (getdents64(2)).
pub fn read_entries(
    file: &OpenFile,
    mut emit: impl FnMut(DirEntry<'_>) -> bool,
    deliver: impl FnOnce(u64) -> SysResult<u64>,
) -> SysResult<()> {
    if file.ops_as::<Dir>().is_none() {
        return Err(Errno::ENOTDIR);
    }
    let root = with_fs(|ctx| Ok(ctx.root.clone().into_owned()))?;
    let (mut some, mut refused) = (false, false);
    file.with_position(|pos| {
        let end = file.path.readdir(&root, *pos, &mut |entry| {
            let taken = emit(entry);
            some |= taken;
            refused |= !taken;
            taken
        })?;
        *pos = if some { deliver(end)? } else { end };
        Ok::<(), Errno>(())
    })?;
    fs::notify::notify_open_file(&file.path, fs::notify::event::ACCESS);
    fs::file::accessed(&file.path.mount, &file.inode);
    if refused && !some { Err(Errno::EINVAL) } else { Ok(()) }
}
