//! `mounts`, `mountinfo` and `mountstats`, open: poll(2) tells when the mounts have changed
//! (proc_pid_mounts(5)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::Path;
use syscall_shim::{Errno, SysResult};

use super::target::Target;
use crate::vfs;
use fd::io::Sink;
use fd::poll::{PollTable, ev};
use fd::pseudo_file::{Text, seek_text};
use fd::{FileOps, OpenFile};

type Read = fn(&Path) -> SysResult<Vec<u8>>;

/// One of them, open: it stays with the root that the process had.
pub struct MountTable {
    root: Path,
    read: Read,
    text: Text,
    /// The changes that this description has told of.
    told: AtomicU64,
}

impl MountTable {
    /// Opens the one whose text `read` makes. `EINVAL` of a zombie.
    pub fn open(target: &Target, read: Read) -> SysResult<Arc<dyn FileOps>> {
        let root = target.task().map_err(|_| Errno::EINVAL)?.fs().root();
        let told = AtomicU64::new(vfs::mount_changes());
        Ok(Arc::new(MountTable { root, read, text: Text::default(), told }))
    }
}

impl FileOps for MountTable {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        self.text.read_at(pos, to, || (self.read)(&self.root))
    }

    fn seek(&self, _file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        seek_text(pos, offset, whence)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(vfs::mount_queue());
        let now = vfs::mount_changes();
        let changed = self.told.swap(now, Ordering::AcqRel) != now;
        ev::READABLE | if changed { ev::ERR | ev::PRI } else { 0 }
    }
}
