//! Extended attributes: behind the fields of a large inode, and in one block beside it, which
//! inodes may share.

use crate::acl;
use crate::cache::{copied, zeroed};
use crate::checksum::crc32c;
use crate::error::{Error, Result, corrupt};
use crate::inode::Inode;
use crate::layout::{OLD_INODE_SIZE, RawInode, put, u16_at, u32_at};
use crate::volume::Volume;
use alloc::vec::Vec;
use fs::XattrFlags;
use syscall_shim::Errno;
use zerocopy::IntoBytes;

const MAGIC: u32 = 0xea02_0000;
const BLOCK_HEAD: usize = 32;
const ENTRY: usize = 16;
const SYSTEM: u8 = 7;
/// Most inodes that share a block.
const MAX_SHARES: u32 = 1024;

/// The prefixes that are numbers on the disk. A whole name comes before a prefix of it.
const PREFIXES: &[(u8, &[u8])] = &[
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
    (SYSTEM, b"system."),
];

/// An attribute: the number of its prefix, the rest of its name, its value.
#[derive(Clone, PartialEq, Eq)]
struct Attr {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Attr {
    fn is_inline_data(&self) -> bool {
        self.index == SYSTEM && self.name == b"data"
    }

    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(4).fold(name, |hash, chunk| {
            let mut word = [0; 4];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }

    fn full_name(&self) -> Option<Vec<u8>> {
        let (_, prefix) = PREFIXES.iter().find(|(index, _)| *index == self.index)?;
        Some([prefix, &self.name[..]].concat())
    }
}

/// The number and the rest of a name. `EOPNOTSUPP` for a prefix that has no number.
fn split(name: &[u8]) -> Result<(u8, &[u8])> {
    for (index, prefix) in PREFIXES {
        if let Some(rest) = name.strip_prefix(*prefix)
            && (prefix.ends_with(b".") != rest.is_empty())
            && !(*index == SYSTEM && rest == b"data")
        {
            return Ok((*index, rest));
        }
    }
    Err(Errno::EOPNOTSUPP.into())
}

/// Reads the entries from `at` on, whose values lie `base` bytes from the area's start.
fn decode(area: &[u8], mut at: usize, base: usize) -> Result<Vec<Attr>> {
    let mut list = Vec::new();
    while u32_at(area, at).is_some_and(|word| word != 0) {
        let (Some(name_len), Some(index)) = (area.get(at), area.get(at + 1)) else { return corrupt("attribute") };
        let (Some(offset), Some(inum), Some(size)) = (u16_at(area, at + 2), u32_at(area, at + 4), u32_at(area, at + 8))
        else {
            return corrupt("attribute");
        };
        let Some(name) = area.get(at + ENTRY..at + ENTRY + usize::from(*name_len)) else {
            return corrupt("name of an attribute");
        };
        if inum != 0 {
            return corrupt("attribute: e_value_inum without ea_inode");
        }
        let start = base + usize::from(offset);
        let value = usize::try_from(size).ok().and_then(|size| area.get(start..start.checked_add(size)?));
        let Some(value) = value.filter(|value| value.is_empty() || start >= at) else {
            return corrupt("value of an attribute");
        };
        list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        list.push(Attr { index: *index, name: copied(name)?, value: copied(value)? });
        at += (ENTRY + usize::from(*name_len)).next_multiple_of(4);
    }
    Ok(list)
}

/// Lays attributes out: entries from `at` on, values from the end. `None` when they do not fit.
fn encode(area: &mut [u8], mut at: usize, base: usize, list: &[Attr]) -> Option<()> {
    let mut end = area.len();
    for attr in list {
        let next = at + (ENTRY + attr.name.len()).next_multiple_of(4);
        let start = end.checked_sub(attr.value.len().next_multiple_of(4))?;
        // Four bytes of zeros end the entries.
        if next + 4 > start {
            return None;
        }
        let offset = if attr.value.is_empty() { 0 } else { (start - base) as u16 };
        let fits = put(area, at, &[u8::try_from(attr.name.len()).ok()?, attr.index])
            && put(area, at + 2, &offset.to_le_bytes())
            && put(area, at + 8, &(attr.value.len() as u32).to_le_bytes())
            && put(area, at + 12, &attr.hash().to_le_bytes())
            && put(area, at + ENTRY, &attr.name)
            && put(area, start, &attr.value);
        if !fits {
            return None;
        }
        at = next;
        end = start;
    }
    Some(())
}

impl Volume {
    /// What lies behind the fields of an inode; empty with small inodes.
    fn inode_area(&self, inode: &Inode) -> Result<Vec<u8>> {
        if self.geo.inode_size <= OLD_INODE_SIZE {
            return Ok(Vec::new());
        }
        let raw = inode.raw.as_bytes();
        let start = OLD_INODE_SIZE + inode.extra();
        let mut area = copied(raw.get(start..).unwrap_or(&[]))?;
        area.extend_from_slice(inode.tail.get(start.saturating_sub(raw.len())..).unwrap_or(&[]));
        Ok(area)
    }

    fn put_inode_area(&self, inode: &mut Inode, area: &[u8]) {
        let start = OLD_INODE_SIZE + inode.extra();
        let in_raw = size_of::<RawInode>().saturating_sub(start).min(area.len());
        let (head, tail) = area.split_at(in_raw);
        if let Some(place) = inode.raw.as_mut_bytes().get_mut(start..start + in_raw) {
            place.copy_from_slice(head);
        }
        let at = (start + in_raw).saturating_sub(size_of::<RawInode>());
        if let Some(place) = inode.tail.get_mut(at..at + tail.len()) {
            place.copy_from_slice(tail);
        }
    }

    fn inode_attrs(&self, inode: &Inode) -> Result<Vec<Attr>> {
        let area = self.inode_area(inode)?;
        match u32_at(&area, 0) {
            Some(MAGIC) => decode(&area, 4, 4),
            _ => Ok(Vec::new()),
        }
    }

    /// False when they do not fit.
    fn set_inode_attrs(&self, inode: &mut Inode, list: &[Attr]) -> Result<bool> {
        let mut area = zeroed(self.inode_area(inode)?.len())?;
        if list.is_empty() {
            self.put_inode_area(inode, &area);
            return Ok(true);
        }
        if !put(&mut area, 0, &MAGIC.to_le_bytes()) || encode(&mut area, 4, 4, list).is_none() {
            return Ok(false);
        }
        self.put_inode_area(inode, &area);
        Ok(true)
    }

    fn xattr_sum(&self, block: u64, data: &[u8]) -> u32 {
        let sum = crc32c(self.geo.csum_seed, &block.to_le_bytes());
        let sum = crc32c(crc32c(sum, data.get(..16).unwrap_or(&[])), &[0; 4]);
        crc32c(sum, data.get(20..).unwrap_or(&[]))
    }

    fn xattr_block(&mut self, block: u64) -> Result<crate::cache::Block> {
        if !self.geo.valid(block, 1) {
            return corrupt("i_file_acl");
        }
        let csum = self.geo.csum;
        let data = self.block(block)?;
        if u32_at(&data, 0) != Some(MAGIC) || u32_at(&data, 8) != Some(1) {
            return corrupt("head of an attribute block");
        }
        if csum && u32_at(&data, 16) != Some(self.xattr_sum(block, &data)) {
            return Err(Error::Checksum("attribute block"));
        }
        Ok(data)
    }

    fn block_attrs(&mut self, inode: &Inode) -> Result<Vec<Attr>> {
        match inode.file_acl() {
            0 => Ok(Vec::new()),
            block => decode(&self.xattr_block(block)?, BLOCK_HEAD, 0),
        }
    }

    fn write_xattr_block(&mut self, block: u64, shares: u32, body: Option<&[u8]>) -> Result<()> {
        let csum = self.geo.csum;
        let mut data = match body {
            Some(body) => copied(body)?,
            None => copied(&self.block(block)?)?,
        };
        let mut fits = put(&mut data, 4, &shares.to_le_bytes());
        if csum {
            let sum = self.xattr_sum(block, &data);
            fits &= put(&mut data, 16, &sum.to_le_bytes());
        }
        if body.is_some() {
            self.fresh(block)?;
        }
        self.edit(block)?.copy_from_slice(&data);
        if fits { Ok(()) } else { corrupt("attribute block") }
    }

    /// Gives up an inode's share of its attribute block. The caller writes the inode.
    pub(crate) fn drop_xattr_block(&mut self, inode: &mut Inode) -> Result<()> {
        let block = inode.file_acl();
        if block == 0 {
            return Ok(());
        }
        let data = self.xattr_block(block)?;
        let shares = u32_at(&data, 4).unwrap_or(0);
        drop(data);
        inode.set_file_acl(0);
        match shares {
            0 | 1 => self.free_metadata_block(inode, block),
            n => {
                self.count_blocks(inode, -1)?;
                self.write_xattr_block(block, n.min(MAX_SHARES) - 1, None)
            }
        }
    }

    fn set_block_attrs(&mut self, inode: &mut Inode, list: &mut [Attr]) -> Result<()> {
        if list.is_empty() {
            return self.drop_xattr_block(inode);
        }
        list.sort_by(|a, b| (a.index, a.name.len(), &a.name).cmp(&(b.index, b.name.len(), &b.name)));
        let mut body = zeroed(self.geo.block_size)?;
        let hash = list.iter().fold(0u32, |hash, attr| hash.rotate_left(16) ^ attr.hash());
        let head = put(&mut body, 0, &MAGIC.to_le_bytes()) && put(&mut body, 8, &1u32.to_le_bytes());
        let head = head && put(&mut body, 12, &hash.to_le_bytes());
        if !head || encode(&mut body, BLOCK_HEAD, 0, list).is_none() {
            return Err(Errno::ENOSPC.into());
        }
        let old = inode.file_acl();
        if old != 0 && u32_at(&self.xattr_block(old)?, 4) == Some(1) {
            self.edit(old)?.copy_from_slice(&body);
            return self.write_xattr_block(old, 1, None);
        }
        self.drop_xattr_block(inode)?;
        let goal = self.inode_goal(inode.ino);
        let block = self.new_metadata_block(inode, goal)?;
        inode.set_file_acl(block);
        self.write_xattr_block(block, 1, Some(&body))
    }

    /// The value of an attribute. `ENODATA`.
    pub(crate) fn get_xattr(&mut self, inode: &Inode, name: &[u8]) -> Result<Vec<u8>> {
        let (index, rest) = split(name)?;
        let mut attrs = self.inode_attrs(inode)?;
        attrs.append(&mut self.block_attrs(inode)?);
        let found = attrs.into_iter().find(|attr| attr.index == index && attr.name == rest);
        let value = found.ok_or(Errno::ENODATA)?.value;
        if matches!(index, 2 | 3) { acl::from_disk(&value) } else { Ok(value) }
    }

    /// All names.
    pub(crate) fn list_xattrs(&mut self, inode: &Inode) -> Result<Vec<Vec<u8>>> {
        let mut attrs = self.inode_attrs(inode)?;
        attrs.append(&mut self.block_attrs(inode)?);
        Ok(attrs.iter().filter(|attr| !attr.is_inline_data()).filter_map(Attr::full_name).collect())
    }

    /// Sets an attribute, or removes it without a value. The caller writes the inode.
    pub(crate) fn set_xattr(
        &mut self,
        inode: &mut Inode,
        name: &[u8],
        value: Option<&[u8]>,
        flags: XattrFlags,
    ) -> Result<()> {
        let (index, rest) = split(name)?;
        if rest.len() > 255 {
            return Err(Errno::ERANGE.into());
        }
        let mut inside = self.inode_attrs(inode)?;
        let mut outside = self.block_attrs(inode)?;
        let is = |attr: &Attr| attr.index == index && attr.name == rest;
        let there = inside.iter().chain(&outside).any(is);
        if there && flags.contains(XattrFlags::CREATE) {
            return Err(Errno::EEXIST.into());
        }
        if !there && (value.is_none() || flags.contains(XattrFlags::REPLACE)) {
            return Err(Errno::ENODATA.into());
        }
        let was_outside = outside.iter().any(is);
        inside.retain(|attr| !is(attr));
        outside.retain(|attr| !is(attr));
        let value = match value {
            Some(value) if matches!(index, 2 | 3) => Some(acl::to_disk(value)?),
            Some(value) => Some(copied(value)?),
            None => None,
        };
        let Some(value) = value else {
            self.set_inode_attrs(inode, &inside)?;
            return if was_outside { self.set_block_attrs(inode, &mut outside) } else { Ok(()) };
        };
        let new = Attr { index, name: copied(rest)?, value };
        inside.push(new);
        if self.set_inode_attrs(inode, &inside)? {
            return if was_outside { self.set_block_attrs(inode, &mut outside) } else { Ok(()) };
        }
        outside.extend(inside.pop());
        if !self.set_inode_attrs(inode, &inside)? {
            return corrupt("attributes in an inode");
        }
        self.set_block_attrs(inode, &mut outside)
    }

    /// What `inline_data` keeps beyond the inode's first 60 bytes.
    pub(crate) fn inline_rest(&mut self, inode: &Inode) -> Result<Vec<u8>> {
        let attrs = self.inode_attrs(inode)?;
        Ok(attrs.into_iter().find(Attr::is_inline_data).map(|attr| attr.value).unwrap_or_default())
    }

    /// Changes that, or takes it away. The caller writes the inode.
    pub(crate) fn set_inline_rest(&mut self, inode: &mut Inode, rest: Option<Vec<u8>>) -> Result<()> {
        let mut attrs = self.inode_attrs(inode)?;
        attrs.retain(|attr| !attr.is_inline_data());
        if let Some(value) = rest {
            attrs.insert(0, Attr { index: SYSTEM, name: Vec::from(b"data"), value });
        }
        match self.set_inode_attrs(inode, &attrs)? {
            true => Ok(()),
            false => Err(Errno::ENOSPC.into()),
        }
    }
}
