//! Feature words of the superblock: what is known, and what an unknown one means for a mount.

use crate::error::{Error, Result};
use crate::layout::Superblock;
use alloc::format;
use alloc::string::String;

pub(crate) const COMPAT_HAS_JOURNAL: u32 = 0x4;
pub(crate) const COMPAT_DIR_INDEX: u32 = 0x20;
pub(crate) const COMPAT_SPARSE_SUPER2: u32 = 0x200;
pub(crate) const COMPAT_ORPHAN_FILE: u32 = 0x1000;

pub(crate) const INCOMPAT_FILETYPE: u32 = 0x2;
pub(crate) const INCOMPAT_RECOVER: u32 = 0x4;
pub(crate) const INCOMPAT_META_BG: u32 = 0x10;
pub(crate) const INCOMPAT_EXTENTS: u32 = 0x40;
pub(crate) const INCOMPAT_64BIT: u32 = 0x80;
pub(crate) const INCOMPAT_FLEX_BG: u32 = 0x200;
pub(crate) const INCOMPAT_CSUM_SEED: u32 = 0x2000;
pub(crate) const INCOMPAT_LARGEDIR: u32 = 0x4000;
pub(crate) const INCOMPAT_INLINE_DATA: u32 = 0x8000;

pub(crate) const RO_SPARSE_SUPER: u32 = 0x1;
pub(crate) const RO_LARGE_FILE: u32 = 0x2;
pub(crate) const RO_HUGE_FILE: u32 = 0x8;
pub(crate) const RO_GDT_CSUM: u32 = 0x10;
pub(crate) const RO_DIR_NLINK: u32 = 0x20;
pub(crate) const RO_EXTRA_ISIZE: u32 = 0x40;
pub(crate) const RO_METADATA_CSUM: u32 = 0x400;
pub(crate) const RO_PROJECT: u32 = 0x2000;
pub(crate) const RO_ORPHAN_PRESENT: u32 = 0x1_0000;

const INCOMPAT_KNOWN: u32 = INCOMPAT_FILETYPE
    | INCOMPAT_RECOVER
    | INCOMPAT_META_BG
    | INCOMPAT_EXTENTS
    | INCOMPAT_64BIT
    | INCOMPAT_FLEX_BG
    | INCOMPAT_CSUM_SEED
    | INCOMPAT_LARGEDIR
    | INCOMPAT_INLINE_DATA;

const RO_KNOWN: u32 = RO_SPARSE_SUPER
    | RO_LARGE_FILE
    | RO_HUGE_FILE
    | RO_GDT_CSUM
    | RO_DIR_NLINK
    | RO_EXTRA_ISIZE
    | RO_METADATA_CSUM
    | RO_PROJECT
    | RO_ORPHAN_PRESENT;

/// Names as e2fsprogs prints them.
const INCOMPAT_NAMES: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x8, "journal_dev"),
    (0x100, "mmp"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

const RO_NAMES: &[(u32, &str)] = &[
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
];

fn names(bits: u32, known: &[(u32, &str)]) -> String {
    let mut text = String::new();
    for bit in (0..32).map(|n| 1u32 << n).filter(|bit| bits & bit != 0) {
        let comma = if text.is_empty() { "" } else { ", " };
        match known.iter().find(|(b, _)| *b == bit) {
            Some((_, name)) => text += &format!("{comma}{name}"),
            None => text += &format!("{comma}{bit:#x}"),
        }
    }
    text
}

/// Refuses a file system that cannot be read. Answers the names of what forbids writing to it, if
/// anything does.
pub(crate) fn check(sb: &Superblock) -> Result<Option<String>> {
    let incompat = sb.feature_incompat.get() & !INCOMPAT_KNOWN;
    if incompat != 0 {
        return Err(Error::Unsupported(format!("unknown features: {}", names(incompat, INCOMPAT_NAMES))));
    }
    let ro = sb.feature_ro_compat.get() & !RO_KNOWN;
    Ok((ro != 0).then(|| names(ro, RO_NAMES)))
}
