//! Files whose content is made when it is asked for: procfs, sysfs and the like.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::inode::Seeking;
use fs::{FileHandle, InodeRef, OpenFlags};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl::FIONREAD;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;
use usermem::buffer;

use crate::io::{Sink, Source};
use crate::{FileOps, OpenFile};

/// The most bytes moved at once.
const CHUNK: usize = 64 * 1024;

/// The text of an open file as it was when reading began: made anew whenever that begins at the
/// start again (Linux's seq_file).
#[derive(Default)]
pub struct Text(SpinLock<Option<Arc<[u8]>>>);

impl Text {
    /// Reads at `pos` what `make` makes.
    pub fn read_at(&self, pos: u64, to: &mut Sink<'_>, make: impl FnOnce() -> SysResult<Vec<u8>>) -> SysResult<usize> {
        let kept = if pos == 0 { None } else { self.0.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let fresh: Arc<[u8]> = Arc::from(make()?);
                *self.0.lock() = Some(fresh.clone());
                fresh
            }
        };
        let rest = usize::try_from(pos).ok().and_then(|pos| text.get(pos..)).unwrap_or_default();
        if rest.is_empty() { Ok(0) } else { to.put(rest) }
    }
}

/// lseek(2) of such a text: it has no end that is known before it is read (`seq_lseek`).
pub fn seek_text(pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
    match whence {
        g::SEEK_SET | g::SEEK_CUR => crate::regular::seek_to(pos, 0, offset, whence),
        _ => Err(Errno::EINVAL),
    }
}

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
        match self.handle.as_ref().map_or(Seeking::File, |handle| handle.seeking()) {
            Seeking::Text => seek_text(pos, offset, whence),
            Seeking::Memory => match whence {
                g::SEEK_SET => Ok(offset as u64),
                g::SEEK_CUR => Ok(pos.wrapping_add_signed(offset)),
                _ => Err(Errno::EINVAL),
            },
            Seeking::File => seek_file(pos, file.inode.metadata().size, offset, whence),
        }
    }

    fn pollable(&self) -> bool {
        false
    }
}

/// lseek(2) in a file of `size` bytes, all of them data.
pub fn seek_file(pos: u64, size: u64, offset: i64, whence: u32) -> SysResult<u64> {
    let within = u64::try_from(offset).ok().filter(|offset| *offset < size);
    match whence {
        g::SEEK_DATA => within.ok_or(Errno::ENXIO),
        g::SEEK_HOLE => within.map(|_| size).ok_or(Errno::ENXIO),
        _ => crate::regular::seek_to(pos, size, offset, whence),
    }
}
