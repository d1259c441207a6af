//! Character devices, by number (Linux Documentation/admin-guide/devices.txt).

use alloc::sync::Arc;

use fs::{InodeRef, OpenFlags, major, minor};
use syscall_shim::{Errno, SysResult};

use super::random::Random;
use core::sync::atomic::Ordering;
use fd::io::{Sink, Source};
use fd::{FileOps, OpenFile};
use task::current;

/// The memory devices of major 1, by minor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Memory {
    Null,
    Zero,
    Full,
}

/// Opens the device that a node names. `ENXIO` when there is none of that number.
pub fn open(inode: &InodeRef, flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
    let rdev = inode.metadata().rdev;
    let memory = match (major(rdev), minor(rdev)) {
        (1, 3) => Memory::Null,
        (1, 5) => Memory::Zero,
        (1, 7) => Memory::Full,
        (1, 8) => return Ok(Arc::new(Random::Random)),
        (1, 9) => return Ok(Arc::new(Random::Urandom)),
        (1, 11) => return super::kmsg::Kmsg::open(flags),
        (4 | 5, _) | (136..=143, _) => return tty::open(inode, flags),
        (10, 200) => return Ok(crate::net::tun::TunFile::open()),
        _ => return Err(Errno::ENXIO),
    };
    Ok(Arc::new(memory))
}

impl FileOps for Memory {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, _pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        match self {
            Memory::Null => Ok(0),
            Memory::Zero | Memory::Full => fill(to, |to| to.put_zeros(4096)),
        }
    }

    fn write_at(&self, _file: &OpenFile, pos: u64, from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        let n = from.remaining();
        match self {
            Memory::Full => return Err(Errno::ENOSPC),
            Memory::Null | Memory::Zero => from.skip(n),
        }
        Ok((n, pos))
    }

    fn seek(&self, _file: &OpenFile, _pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(0)
    }

    fn pollable(&self) -> bool {
        false
    }

    fn splices(&self) -> (bool, bool) {
        (*self != Memory::Null, *self != Memory::Full)
    }

    fn reads_now(&self) -> bool {
        *self != Memory::Full
    }

    fn write_now(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        match self {
            Memory::Null | Memory::Zero => self.write_at(file, 0, from, false).map(|(n, _)| n),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    fn maps_as_zero(&self) -> bool {
        *self == Memory::Zero
    }
}

/// Repeats `step` until the sink is full. A large read ends early when a signal is pending, as on
/// Linux.
pub(super) fn fill(to: &mut Sink<'_>, mut step: impl FnMut(&mut Sink<'_>) -> SysResult<usize>) -> SysResult<usize> {
    let mut done = 0;
    while to.remaining() > 0 {
        match step(to) {
            Ok(n) => done += n,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
        if done % (64 * 1024) == 0 && current().signal_pending.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(done)
}
