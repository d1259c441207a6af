//! Files whose content is made when it is asked for: procfs, sysfs and the like.

use alloc::sync::Arc;

use fs::{FileHandle, InodeRef, OpenFlags};
use linux_raw_sys::ioctl::FIONREAD;
use syscall_shim::{Errno, SysResult};

use super::io::{Sink, Source};
use super::{FileOps, OpenFile};
use crate::usermem::UserAddr;
use crate::usermem::buffer;

/// The most bytes moved at once.
const CHUNK: usize = 64 * 1024;

/// A pseudo file, open.
pub struct PseudoFile {
    /// What this open has of its own; without it the inode answers.
    handle: Option<Arc<dyn FileHandle>>,
}

impl PseudoFile {
    /// Opens the inode of a regular file without page cache.
    pub fn open(inode: &InodeRef, flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
        Ok(Arc::new(PseudoFile { handle: inode.open(flags)? }))
    }
}

impl FileOps for PseudoFile {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut done = 0;
        let mut bytes = buffer(to.remaining().min(CHUNK))?;
        while to.remaining() > 0 {
            let room = to.remaining().min(CHUNK);
            let part = bytes.get_mut(..room).ok_or(Errno::EINVAL)?;
            let got = match &self.handle {
                Some(handle) => handle.read_at(pos + done as u64, part),
                None => file.inode.read_at(pos + done as u64, part),
            };
            let got = match got {
                Ok(0) => break,
                Ok(n) => n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            };
            match to.put(part.get(..got).unwrap_or_default()) {
                Ok(n) => done += n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            }
            if got < room {
                break;
            }
        }
        Ok(done)
    }

    fn write_at(&self, file: &OpenFile, pos: u64, from: &mut Source<'_>, _append: bool) -> SysResult<(usize, u64)> {
        let mut bytes = buffer(from.remaining().min(CHUNK))?;
        let n = from.take(&mut bytes)?;
        let bytes = bytes.get(..n).unwrap_or_default();
        let n = match &self.handle {
            Some(handle) => handle.write_at(pos, bytes),
            None => file.inode.write_at(pos, bytes),
        }?;
        Ok((n, pos + n as u64))
    }

    fn ioctl(&self, file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if request != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let left = file.inode.metadata().size as i64 - file.position() as i64;
        arg.cast::<i32>().write(left as i32).map(|()| 0)
    }

    fn seek(&self, file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        super::regular::seek_to(pos, file.inode.metadata().size, offset, whence)
    }

    fn pollable(&self) -> bool {
        false
    }
}
