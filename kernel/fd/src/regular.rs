//! Regular files: data by way of the page cache.

use alloc::sync::Arc;

use caller::capable;
use fs::file::{self, WriteRequest};
use fs::mapping::Told;
use fs::{Cap, InodeRef, OpenFlags};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl::{self as i, FIONREAD};
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::io::{Sink, Source};
use crate::{FileOps, OpenFile, events, fileattr};

/// The operations of every file with a page cache.
#[derive(Default)]
pub struct Regular {
    /// Where pages are written back: what this open file was told of errors on that way. A leaf
    /// lock.
    told: Option<SpinLock<Told>>,
}

/// `RLIMIT_FSIZE` of the caller.
pub fn file_size_limit() -> u64 {
    caller::rlimit(g::RLIMIT_FSIZE)
}

/// Passes a result on; `EFBIG` because of `RLIMIT_FSIZE` also sends `SIGXFSZ`.
pub fn checked_size<T>(result: SysResult<T>) -> SysResult<T> {
    if matches!(result, Err(Errno::EFBIG)) && file_size_limit() != u64::MAX {
        events::file_too_large();
    }
    result
}

impl Regular {
    /// The operations of a file that is opened.
    pub fn ops(inode: &InodeRef) -> Arc<dyn FileOps> {
        static OPS: spin::LazyLock<Arc<Regular>> = spin::LazyLock::new(Arc::default);
        match inode.mapping().filter(|mapping| mapping.is_backed()) {
            Some(mapping) => Arc::new(Regular { told: Some(SpinLock::new(mapping.errors.begin())) }),
            // Nothing is ever written: all state is in the inode and the description.
            None => OPS.clone(),
        }
    }
}

impl FileOps for Regular {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let n = file::read(&file.inode, pos, to.remaining(), &mut |page, off, n| to.put_page(page, off, n))?;
        if !file.flags().contains(OpenFlags::NOATIME) {
            file::accessed(&file.path.mount, &file.inode);
        }
        Ok(n)
    }

    fn write_at(&self, file: &OpenFile, pos: u64, from: &mut Source<'_>, append: bool) -> SysResult<(usize, u64)> {
        let request = WriteRequest {
            pos,
            len: from.remaining(),
            append,
            fsize_limit: file_size_limit(),
            keep_setid: capable(Cap::Fsetid as u32),
        };
        checked_size(file::write(&file.inode, &request, &mut |page, off, n| from.take_page(page, off, n)))
    }

    fn seek(&self, file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        match whence {
            g::SEEK_DATA | g::SEEK_HOLE => {
                let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                if whence == g::SEEK_DATA { file.inode.seek_data(from) } else { file.inode.seek_hole(from) }
            }
            _ => seek_to(pos, file.inode.metadata().size, offset, whence),
        }
    }

    fn pollable(&self) -> bool {
        false
    }

    fn ioctl(&self, file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        match request {
            FIONREAD => {
                let left = file.inode.metadata().size as i64 - file.position() as i64;
                arg.cast::<i32>().write(left as i32).map(|()| 0)
            }
            i::FIBMAP if !capable(g::CAP_SYS_RAWIO) => Err(Errno::EPERM),
            // Nothing lies on a device, in blocks that have numbers.
            i::FIBMAP => Err(Errno::EINVAL),
            i::FICLONE | i::FICLONERANGE => Err(Errno::EOPNOTSUPP),
            _ => fileattr::ioctl(file, request, arg),
        }
    }

    fn sync(&self, file: &OpenFile, data_only: bool) -> SysResult<()> {
        let done = file.inode.sync(data_only);
        let (Some(told), Some(mapping)) = (&self.told, file.inode.mapping()) else { return done };
        // What was met just now is among that.
        let mut seen = *told.lock();
        let news = mapping.errors.check(&mut seen);
        *told.lock() = seen;
        news.and(done)
    }
}

/// lseek(2) for the three whences that need no look at the data. `EINVAL` for a negative result or
/// one past the largest.
pub fn seek_to(pos: u64, size: u64, offset: i64, whence: u32) -> SysResult<u64> {
    let base = match whence {
        g::SEEK_SET => 0,
        g::SEEK_CUR => pos as i64,
        g::SEEK_END => size as i64,
        _ => return Err(Errno::EINVAL),
    };
    let new = base.checked_add(offset).ok_or(Errno::EINVAL)?;
    u64::try_from(new).map_err(|_| Errno::EINVAL)
}
