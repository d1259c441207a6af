//! A setting whose file tells those who poll it of a new value (`proc_sys_poll`).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::inode::FileHandle;
use fs::pseudo::sysctl::{Row, WRITE_MAX};
use syscall_shim::SysResult;

use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::pseudo_file::seek_file;
use fd::{FileOps, OpenFile};
use task::uts::Changes;

/// One, open.
pub struct Polled {
    row: Arc<Row>,
    changes: &'static Changes,
    /// The changes that this description has told of.
    told: AtomicU64,
}

impl Polled {
    /// Opens the file of `row`.
    pub fn open(row: Arc<Row>, changes: &'static Changes) -> Arc<dyn FileOps> {
        Arc::new(Polled { row, changes, told: AtomicU64::new(changes.count()) })
    }
}

impl FileOps for Polled {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut text = [0; WRITE_MAX];
        let n = self.row.read_at(pos, &mut text)?;
        if n == 0 { Ok(0) } else { to.put(text.get(..n).unwrap_or_default()) }
    }

    fn write_at(&self, _file: &OpenFile, pos: u64, from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        let mut text = [0; WRITE_MAX];
        let n = from.take(&mut text)?;
        let n = self.row.write_at(pos, text.get(..n).unwrap_or_default())?;
        Ok((n, pos + n as u64))
    }

    fn seek(&self, _file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        seek_file(pos, 0, offset, whence)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(self.changes.queue());
        let now = self.changes.count();
        let changed = self.told.swap(now, Ordering::AcqRel) != now;
        ev::READABLE | if changed { ev::ERR | ev::PRI } else { ev::WRITABLE }
    }
}
