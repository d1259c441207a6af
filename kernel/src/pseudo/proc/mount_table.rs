//! `mounts`, `mountinfo` and `mountstats`, open: poll(2) tells when the mounts have changed (proc_pid_mounts(5)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use syscall_shim::SysResult;

use super::target::Target;
use crate::files::io::Sink;
use crate::files::poll::{PollTable, ev};
use crate::files::pseudo_file::{Text, seek_text};
use crate::files::{FileOps, OpenFile};
use crate::vfs;

type Read = fn(&Target) -> SysResult<Vec<u8>>;

/// One of them, open.
pub struct MountTable {
    target: Target,
    read: Read,
    text: Text,
    /// The changes that this description has told of.
    told: AtomicU64,
}

impl MountTable {
    /// Opens the one whose text `read` makes.
    pub fn open(target: &Target, read: Read) -> Arc<dyn FileOps> {
        let told = AtomicU64::new(vfs::mount_changes());
        Arc::new(MountTable { target: target.clone(), read, text: Text::default(), told })
    }
}

impl FileOps for MountTable {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        self.text.read_at(pos, to, || (self.read)(&self.target))
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
