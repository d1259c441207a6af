//! Open files as memory mappings see them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::file;
use fs::{FallocateMode, Mapping, MountFlags, Seals, SetAttr};
use syscall_shim::{Errno, SysResult};

use super::hugetlb::HugeFile;
use crate::net::packet::PacketSocket;
use fd::OpenFile;
use vm::{MapFile, MapTarget, MappedFile};

const PAGE: u64 = base::addr::PAGE_SIZE as u64;

/// The file of a mapping; keeps the description open.
struct Mapped {
    file: Arc<OpenFile>,
    mapping: Arc<Mapping>,
}

impl MappedFile for Mapped {
    fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    fn id(&self) -> (u64, u64) {
        let m = self.file.inode.metadata();
        (m.dev, m.ino)
    }

    fn path(&self) -> Vec<u8> {
        fd::with_fs(|ctx| Ok(self.file.path.display(&ctx.root))).unwrap_or_default()
    }

    fn is_shmem(&self) -> bool {
        fs::tmpfs::is_shmem(&*self.file.inode)
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.file).addr()
    }

    fn written(&self) {
        let now = fs::platform::now();
        // A time that cannot be stored is no reason to fail a store.
        let _ = self.file.inode.setattr(&SetAttr { mtime: Some(now), ctime: Some(now), ..SetAttr::default() });
    }

    fn sync(&self, start: u64, end: u64) -> SysResult<()> {
        self.mapping.write_back(start / PAGE, end.div_ceil(PAGE))?;
        self.file.ops.sync(&self.file, true)
    }

    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        let mode = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
        file::fallocate(&self.file.inode, mode, start as i64, end.saturating_sub(start) as i64, u64::MAX, false)
    }
}

/// What mmap(2) and exec need to know of an open file.
pub fn map_file(file: &Arc<OpenFile>, offset: u64) -> MapFile {
    let target = match file.ops.mapping(file) {
        Some(mapping) => {
            file::accessed(&file.path.mount, &file.inode);
            MapTarget::File(Arc::new(Mapped { file: file.clone(), mapping: mapping.clone() }))
        }
        None if file.ops.maps_as_zero() => MapTarget::Zero,
        None if file.ops_as::<HugeFile>().is_some() => MapTarget::Refused(Errno::ENOMEM),
        None => match file.ops_as::<PacketSocket>().map(|socket| socket.rings_memory(file)) {
            Some(Ok(memory)) => MapTarget::File(memory),
            Some(Err(errno)) => MapTarget::Refused(errno),
            None => MapTarget::Refused(Errno::ENODEV),
        },
    };
    let flags = file.flags();
    let sealed = file.inode.seals().unwrap_or_default().intersects(Seals::WRITE | Seals::FUTURE_WRITE);
    MapFile {
        target,
        offset,
        may_read: flags.readable(),
        may_write: flags.writable(),
        may_exec: !file.path.mount.flags().contains(MountFlags::NOEXEC),
        write_sealed: sealed,
    }
}
