//! Files of huge pages (`memfd_create(MFD_HUGETLB)`) on a machine whose pools of them are empty:
//! there is the file, which is as long as it was made and holds no page. What would take one fails
//! as on a Linux where none is reserved.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fs::{FallocateMode, Inode, InodeCommon, InodeRef, Metadata, OpenFlags, Path, Seals, SetAttr};
use syscall_shim::{Errno, SysResult};

use super::memfd;
use fd::anon::AnonInode;
use fd::io::{Sink, Source};
use fd::regular::seek_to;
use fd::{FileOps, OpenFile};
use task::current;

/// The sizes of pages that there are pools of, by their logarithms.
pub const SIZES: [u32; 2] = [21, 30];
/// The one where none is named.
pub const DEFAULT_SIZE: u32 = 21;

struct HugeInode {
    attributes: Arc<AnonInode>,
    page_size: u64,
    size: AtomicU64,
    seals: AtomicU32,
}

impl HugeInode {
    fn has(&self, seal: Seals) -> bool {
        Seals::from_bits_retain(self.seals.load(Ordering::Acquire)).contains(seal)
    }
}

impl Inode for HugeInode {
    fn common(&self) -> &InodeCommon {
        self.attributes.common()
    }

    fn metadata(&self) -> Metadata {
        let size = self.size.load(Ordering::Acquire);
        Metadata { size, blksize: self.page_size as u32, ..self.attributes.metadata() }
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        self.attributes.setattr(attr)
    }

    fn truncate(&self, size: u64) -> SysResult<()> {
        if !size.is_multiple_of(self.page_size) {
            return Err(Errno::EINVAL);
        }
        let old = self.size.load(Ordering::Acquire);
        if size < old && self.has(Seals::SHRINK) || size > old && self.has(Seals::GROW) {
            return Err(Errno::EPERM);
        }
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    fn fallocate(&self, mode: FallocateMode, _off: u64, _len: u64) -> SysResult<()> {
        let punches = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
        match mode {
            _ if !punches.contains(mode) => Err(Errno::EOPNOTSUPP),
            // There are holes only.
            _ if mode.contains(FallocateMode::PUNCH_HOLE) => Ok(()),
            _ => Err(Errno::ENOSPC),
        }
    }

    fn seals(&self) -> SysResult<Seals> {
        Ok(Seals::from_bits_retain(self.seals.load(Ordering::Acquire)))
    }

    fn add_seals(&self, seals: Seals, _writable_maps: bool) -> SysResult<()> {
        if self.has(Seals::SEAL) {
            return Err(Errno::EPERM);
        }
        self.seals.fetch_or(seals.bits(), Ordering::AcqRel);
        Ok(())
    }
}

/// Such a file, open: it cannot be mapped, since there is no page.
pub struct HugeFile;

impl FileOps for HugeFile {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let left = file.inode.metadata().size.saturating_sub(pos);
        to.put_zeros(usize::try_from(left).unwrap_or(usize::MAX).min(to.remaining()))
    }

    fn write_at(&self, _file: &OpenFile, _pos: u64, _from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        Err(Errno::EINVAL)
    }

    fn seek(&self, file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        seek_to(pos, file.inode.metadata().size, offset, whence)
    }

    fn pollable(&self) -> bool {
        false
    }
}

/// A new file called `name` of pages of 2^`page_shift` bytes, open for reading and writing.
/// `ENODEV` for a size without a pool.
pub fn open(name: &[u8], page_shift: u32, sealing: bool, mode: u32) -> SysResult<Arc<OpenFile>> {
    if !SIZES.contains(&page_shift) {
        return Err(Errno::ENODEV);
    }
    let mount = memfd::internal_mount()?;
    let creds = current().credentials();
    let attributes = AnonInode::new(mount.fs.dev(), fs::S_IFREG | mode, creds.fsuid, creds.fsgid);
    let seals = if sealing { Seals::empty() } else { Seals::SEAL };
    let inode: InodeRef = Arc::new(HugeInode {
        attributes,
        page_size: 1 << page_shift,
        size: AtomicU64::new(0),
        seals: AtomicU32::new(seals.bits()),
    });
    let label = [b"/memfd:", name].concat();
    let path = Path::anonymous(mount, inode.clone(), &label, true);
    Ok(OpenFile::new(path, inode, Arc::new(HugeFile), OpenFlags::RDWR | OpenFlags::LARGEFILE))
}
