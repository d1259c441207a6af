//! getdents64(2) and its elder.

use alloc::vec::Vec;

use fs::DirEntry;
use syscall_shim::types::DirentWriter;
use syscall_shim::{Errno, SysResult};

use super::paths::file;
use crate::usermem::{UserAddr, copy_out_partial};
use fd::dir::read_entries;
use fd::io;

/// The most that one call fills: beyond it the caller asks again.
const CHUNK: usize = 64 * 1024;

/// Records on their way to the caller.
struct Records {
    bytes: Vec<u8>,
    used: usize,
    /// Where each record ends, and the cookie behind it.
    ends: Vec<(usize, u64)>,
}

impl Records {
    fn new(size: u32) -> SysResult<Records> {
        Ok(Records { bytes: io::chunk_buffer((size as usize).min(CHUNK))?, used: 0, ends: Vec::new() })
    }

    /// The rest of the buffer.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.used..).unwrap_or_default()
    }

    fn added(&mut self, len: usize, next: u64) {
        self.used += len;
        self.ends.push((self.used, next));
    }

    /// Copies the records out, and answers how many bytes of whole ones arrived and where to go on.
    /// `EFAULT` where not one did.
    fn deliver(&self, to: UserAddr, end: u64) -> SysResult<(usize, u64)> {
        if !to.range_ok(self.used) {
            return Err(Errno::EFAULT);
        }
        let arrived = copy_out_partial(to, self.bytes.get(..self.used).unwrap_or_default());
        if arrived == self.used {
            return Ok((self.used, end));
        }
        let whole = self.ends.iter().rev().find(|(end, _)| *end <= arrived);
        whole.copied().ok_or(Errno::EFAULT)
    }
}

/// Reads entries of `fd`, which `push` writes as records: it answers the length of one, or nothing
/// where there is no room.
fn list(fd: i32, buf: UserAddr, size: u32, push: fn(&mut [u8], &DirEntry<'_>) -> Option<usize>) -> SysResult {
    let file = file(fd)?;
    let mut records = Records::new(size)?;
    let mut given = 0;
    let cell = core::cell::RefCell::new(&mut records);
    read_entries(
        &file,
        |entry| {
            let mut records = cell.borrow_mut();
            let pushed = push(records.room(), &entry);
            if let Some(len) = pushed {
                records.added(len, entry.next);
            }
            pushed.is_some()
        },
        |end| {
            let (bytes, next) = cell.borrow().deliver(buf, end)?;
            given = bytes;
            Ok(next)
        },
    )?;
    Ok(given)
}

/// getdents64(2).
pub fn getdents64(fd: i32, buf: UserAddr, size: u32) -> SysResult {
    list(fd, buf, size, |room, e| {
        let mut writer = DirentWriter::new(room);
        writer.push(e.ino, e.next as i64, e.file_type.d_type(), e.name).then(|| writer.len())
    })
}

/// getdents(2): `struct linux_dirent`, with the type in the last byte.
pub fn getdents(fd: i32, buf: UserAddr, size: u32) -> SysResult {
    const HEAD: usize = 18;
    list(fd, buf, size, |room, e| {
        let len = (HEAD + e.name.len() + 2).next_multiple_of(8);
        let record = room.get_mut(..len)?;
        record.fill(0);
        let parts = e.ino.to_le_bytes().into_iter().chain(e.next.to_le_bytes()).chain((len as u16).to_le_bytes());
        for (to, from) in record.iter_mut().zip(parts.chain(e.name.iter().copied())) {
            *to = from;
        }
        *record.last_mut()? = e.file_type.d_type();
        Some(len)
    })
}
