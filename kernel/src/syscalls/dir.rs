//! getdents64(2) and its elder.

use syscall_shim::SysResult;
use syscall_shim::types::DirentWriter;

use super::paths::file;
use crate::files::dir::read_entries;
use crate::usermem::{UserAddr, buffer, copy_out};

/// The most that one call fills: beyond it the caller asks again.
const CHUNK: usize = 64 * 1024;

/// getdents64(2).
pub fn getdents64(fd: i32, buf: UserAddr, size: u32) -> SysResult {
    let file = file(fd)?;
    let mut bytes = buffer((size as usize).min(CHUNK))?;
    let mut writer = DirentWriter::new(&mut bytes);
    read_entries(&file, |e| writer.push(e.ino, e.next as i64, e.file_type.d_type(), e.name))?;
    let len = writer.len();
    copy_out(buf, bytes.get(..len).unwrap_or_default())?;
    Ok(len)
}

/// getdents(2): `struct linux_dirent`, with the type in the last byte.
pub fn getdents(fd: i32, buf: UserAddr, size: u32) -> SysResult {
    const HEAD: usize = 18;
    let file = file(fd)?;
    let mut bytes = buffer((size as usize).min(CHUNK))?;
    let mut used = 0;
    read_entries(&file, |e| {
        let len = (HEAD + e.name.len() + 2).next_multiple_of(8);
        let Some(record) = bytes.get_mut(used..).and_then(|rest| rest.get_mut(..len)) else { return false };
        let parts = e.ino.to_le_bytes().into_iter().chain(e.next.to_le_bytes()).chain((len as u16).to_le_bytes());
        for (to, from) in record.iter_mut().zip(parts.chain(e.name.iter().copied())) {
            *to = from;
        }
        if let Some(last) = record.last_mut() {
            *last = e.file_type.d_type();
        }
        used += len;
        true
    })?;
    copy_out(buf, bytes.get(..used).unwrap_or_default())?;
    Ok(used)
}
