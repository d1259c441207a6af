//! signalfd(2): pending signals that are read. Whoever reads or polls gets its own signals, not
//! those of the creator.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::OpenFlags;
use sync::wait::wait_until;
use syscall_shim::types::SignalfdSiginfo;
use syscall_shim::{Errno, SigSet, SysResult};
use zerocopy::IntoBytes;

use crate::io::{Sink, put_all};
use crate::poll::{PollTable, ev};
use crate::{FileOps, OpenFile, anon};

/// A signalfd.
pub struct SignalFd {
    mask: AtomicU64,
}

impl SignalFd {
    /// A new one for the signals of `mask`, open.
    pub fn open(mask: SigSet, flags: OpenFlags) -> Arc<OpenFile> {
        let ops = SignalFd { mask: AtomicU64::new(0) };
        ops.set_mask(mask);
        let (path, inode) = anon::anon_inode("[signalfd]");
        OpenFile::new(path, inode, Arc::new(ops), flags | OpenFlags::RDWR)
    }

    /// Replaces the mask. `SIGKILL` and `SIGSTOP` are left out.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.store(mask.without(SigSet::UNBLOCKABLE).0, Ordering::Relaxed);
        caller::signal_queue().wake_all();
    }

    fn mask(&self) -> SigSet {
        SigSet(self.mask.load(Ordering::Relaxed))
    }

    fn read_signals(&self, to: &mut Sink<'_>, nonblock: bool) -> SysResult<usize> {
        const SIZE: usize = size_of::<SignalfdSiginfo>();
        if to.remaining() < SIZE {
            return Err(Errno::EINVAL);
        }
        let mut done = 0;
        while to.remaining() >= SIZE {
            let info = match caller::take_signal(self.mask()) {
                Some(info) => info,
                None if done > 0 => break,
                None if nonblock => return Err(Errno::EAGAIN),
                None => {
                    let arrived = caller::signal_queue();
                    wait_until(&[&arrived], None, || caller::take_signal(self.mask())).map_err(|_| Errno::ERESTARTSYS)?
                }
            };
            put_all(to, info.to_signalfd().as_bytes())?;
            done += SIZE;
        }
        Ok(done)
    }
}

impl FileOps for SignalFd {
    fn seek(&self, _file: &OpenFile, pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(pos)
    }

    fn can_read_and_write(&self) -> (bool, bool) {
        (true, false)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_signals(to, file.nonblocking())
    }

    fn read_now(&self, _file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        self.read_signals(to, true)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&caller::signal_queue());
        if caller::pending_signals().intersection(self.mask()).is_empty() { 0 } else { ev::IN }
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let _ = writeln!(out, "sigmask:\t{:016x}", self.mask().0);
    }
}
