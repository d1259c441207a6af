//! POSIX ACLs: the short form on the disk, and the one that getxattr(2) gives and setxattr(2)
//! takes.

use crate::error::{Result, corrupt};
use crate::layout::{u16_at, u32_at};
use alloc::vec::Vec;
use syscall_shim::Errno;

/// `ACL_USER` and `ACL_GROUP` of acl(5), the tags with an id.
const NAMED: [u16; 2] = [2, 8];

/// From the disk: version 1, and entries without an id where the tag has none.
pub(crate) fn from_disk(value: &[u8]) -> Result<Vec<u8>> {
    if u32_at(value, 0) != Some(1) {
        return corrupt("version of an access control list");
    }
    let mut out = Vec::new();
    out.try_reserve(value.len() * 2).map_err(|_| Errno::ENOMEM)?;
    out.extend_from_slice(&2u32.to_le_bytes());
    let mut at = 4;
    while at < value.len() {
        let (Some(tag), Some(perm)) = (u16_at(value, at), u16_at(value, at + 2)) else {
            return corrupt("access control list");
        };
        let id = if NAMED.contains(&tag) { u32_at(value, at + 4) } else { Some(u32::MAX) };
        let Some(id) = id else { return corrupt("access control list") };
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&perm.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
        at += if NAMED.contains(&tag) { 8 } else { 4 };
    }
    Ok(out)
}

/// To the disk. `EINVAL` for what is no list.
pub(crate) fn to_disk(value: &[u8]) -> Result<Vec<u8>> {
    if u32_at(value, 0) != Some(2) || !(value.len() - 4).is_multiple_of(8) {
        return Err(Errno::EINVAL.into());
    }
    let mut out = Vec::new();
    out.try_reserve(value.len()).map_err(|_| Errno::ENOMEM)?;
    out.extend_from_slice(&1u32.to_le_bytes());
    for entry in value.get(4..).unwrap_or(&[]).chunks_exact(8) {
        let named = u16_at(entry, 0).is_some_and(|tag| NAMED.contains(&tag));
        out.extend_from_slice(entry.get(..if named { 8 } else { 4 }).unwrap_or(&[]));
    }
    Ok(out)
}
