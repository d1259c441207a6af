//! One block of a directory: entries in a row, which fill it.

use crate::checksum::crc32c;
use crate::error::{Result, corrupt};
use crate::layout::{put, u16_at, u32_at};
use fs::FileType;

/// Bytes of the false entry at the end of a block, which holds its checksum.
pub(crate) const TAIL: usize = 12;
const TAIL_TYPE: u8 = 0xde;

/// An entry in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Where it begins.
    pub at: usize,
    /// Up to the next one.
    pub len: usize,
    /// 0 where there is none.
    pub ino: u32,
    pub kind: u8,
    pub name: &'a [u8],
}

/// Bytes that an entry with a name of `len` bytes needs.
pub(crate) fn needed(len: usize) -> usize {
    (8 + len).next_multiple_of(4)
}

/// The kind of file as an entry has it.
pub(crate) fn kind_of(file_type: FileType) -> u8 {
    match file_type {
        FileType::Regular => 1,
        FileType::Dir => 2,
        FileType::Char => 3,
        FileType::Block => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::Symlink => 7,
    }
}

/// The other way round; `None` where the entry does not say.
pub(crate) fn file_type_of(kind: u8) -> Option<FileType> {
    Some(match kind {
        1 => FileType::Regular,
        2 => FileType::Dir,
        3 => FileType::Char,
        4 => FileType::Block,
        5 => FileType::Fifo,
        6 => FileType::Socket,
        7 => FileType::Symlink,
        _ => return None,
    })
}

/// A length as it stands in an entry: blocks of 64 KiB need one bit more than there are.
pub(crate) fn decode_len(raw: u16) -> usize {
    match raw {
        0 | 0xffff => 65536,
        raw => usize::from(raw & 0xfffc) | usize::from(raw & 3) << 16,
    }
}

fn encode_len(len: usize) -> u16 {
    if len >= 65536 { 0xffff } else { len as u16 }
}

/// The entry at `at` of a row that ends at `end`.
pub(crate) fn entry(data: &[u8], at: usize, end: usize) -> Result<Entry<'_>> {
    let head = (u32_at(data, at), u16_at(data, at + 4), data.get(at + 6), data.get(at + 7));
    let (Some(ino), Some(raw), Some(name_len), Some(kind)) = head else { return corrupt("directory entry") };
    let (len, name_len) = (decode_len(raw), usize::from(*name_len));
    if len < 12 || !len.is_multiple_of(4) || at + len > end || needed(name_len) > len {
        return corrupt("length of a directory entry");
    }
    let Some(name) = data.get(at + 8..at + 8 + name_len) else { return corrupt("directory entry") };
    if ino != 0 && (name_len == 0 || name.iter().any(|byte| matches!(byte, 0 | b'/'))) {
        return corrupt("name in a directory");
    }
    Ok(Entry { at, len, ino, kind: *kind, name })
}

/// Calls `visit` with each entry in use until it answers false.
pub(crate) fn each<'a>(data: &'a [u8], end: usize, mut visit: impl FnMut(Entry<'a>) -> bool) -> Result<()> {
    let mut at = 0;
    while at < end {
        let entry = entry(data, at, end)?;
        at += entry.len;
        if entry.ino != 0 && !visit(entry) {
            break;
        }
    }
    Ok(())
}

/// The entry called `name`.
pub(crate) fn find<'a>(data: &'a [u8], end: usize, name: &[u8]) -> Result<Option<Entry<'a>>> {
    let mut found = None;
    each(data, end, |entry| {
        if entry.name == name {
            found = Some(entry);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// Writes an entry; the caller has seen that it fits.
#[must_use]
pub(crate) fn write(data: &mut [u8], at: usize, len: usize, ino: u32, kind: u8, name: &[u8]) -> bool {
    put(data, at, &ino.to_le_bytes())
        && put(data, at + 4, &encode_len(len).to_le_bytes())
        && put(data, at + 6, &[name.len() as u8, kind])
        && put(data, at + 8, name)
}

/// Adds an entry where there is room for it; false where there is none.
pub(crate) fn insert(data: &mut [u8], end: usize, ino: u32, kind: u8, name: &[u8]) -> Result<bool> {
    let need = needed(name.len());
    let mut at = 0;
    while at < end {
        let old = entry(data, at, end)?;
        let (len, used) = (old.len, if old.ino == 0 { 0 } else { needed(old.name.len()) });
        if len - used >= need {
            let shortened = used == 0 || put(data, at + 4, &encode_len(used).to_le_bytes());
            return match shortened && write(data, at + used, len - used, ino, kind, name) {
                true => Ok(true),
                false => corrupt("directory entry"),
            };
        }
        at += len;
    }
    Ok(false)
}

/// Removes the entry at `at`: the one before it takes its room.
pub(crate) fn remove(data: &mut [u8], end: usize, at: usize) -> Result<()> {
    let mut before = None;
    let mut here = 0;
    while here < at {
        let old = entry(data, here, end)?;
        before = Some((here, old.len));
        here += old.len;
    }
    let gone = entry(data, at, end)?.len;
    let done = match before {
        Some((start, len)) => put(data, start + 4, &encode_len(len + gone).to_le_bytes()),
        None => put(data, at, &[0; 4]),
    };
    if done { Ok(()) } else { corrupt("directory entry") }
}

/// Makes one empty entry of `[0, end)`, and puts the false one for the checksum behind it if there
/// is room.
pub(crate) fn clear(data: &mut [u8], end: usize) -> bool {
    data.fill(0);
    let mut fits = put(data, 4, &encode_len(end).to_le_bytes());
    if data.len() == end + TAIL {
        fits &= put(data, end + 4, &(TAIL as u16).to_le_bytes()) && put(data, end + 7, &[TAIL_TYPE]);
    }
    fits
}

/// Where the head of the index is in a block, if the block is one of an index rather than of names.
pub(crate) fn index_head(data: &[u8]) -> Option<usize> {
    let (ino, len) = (u32_at(data, 0)?, decode_len(u16_at(data, 4)?));
    if ino == 0 && len == data.len() {
        return Some(8);
    }
    let second = decode_len(u16_at(data, 16)?);
    (len == 12 && second == data.len() - 12 && data.get(29) == Some(&8)).then_some(32)
}

fn index_sum(data: &[u8], head: usize, seed: u32) -> Option<(usize, u32)> {
    let (limit, count) = (usize::from(u16_at(data, head)?), usize::from(u16_at(data, head + 2)?));
    let tail = head + 8 * limit;
    if count > limit || tail + 8 > data.len() {
        return None;
    }
    let sum = crc32c(seed, data.get(..head + 8 * count)?);
    Some((tail + 4, crc32c(crc32c(sum, data.get(tail..tail + 4)?), &[0; 4])))
}

fn has_tail(data: &[u8]) -> bool {
    let at = data.len() - TAIL;
    u32_at(data, at) == Some(0)
        && u16_at(data, at + 4) == Some(TAIL as u16)
        && data.get(at + 6..at + 8) == Some(&[0, TAIL_TYPE])
}

/// Whether the checksum of a block of either kind is right. An empty block of a directory has the
/// same head as one of an index, but for the false entry at its end.
pub(crate) fn checksum_right(data: &[u8], seed: u32) -> bool {
    let at = data.len() - TAIL;
    if has_tail(data) && index_head(data) != Some(32) {
        return data.get(..at).map(|body| crc32c(seed, body)) == u32_at(data, at + 8);
    }
    let sum = index_head(data).and_then(|head| index_sum(data, head, seed));
    sum.is_some_and(|(place, sum)| u32_at(data, place) == Some(sum))
}

/// Writes the checksum of a block of names.
#[must_use]
pub(crate) fn seal(data: &mut [u8], seed: u32) -> bool {
    let at = data.len() - TAIL;
    let sum = crc32c(seed, data.get(..at).unwrap_or(&[]));
    put(data, at + 8, &sum.to_le_bytes())
}

/// Writes the checksum of a block of an index.
#[must_use]
pub(crate) fn seal_index(data: &mut [u8], head: usize, seed: u32) -> bool {
    match index_sum(data, head, seed) {
        Some((place, sum)) => put(data, place, &sum.to_le_bytes()),
        None => false,
    }
}
