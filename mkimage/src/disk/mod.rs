//! A disk with an ext4 that holds what was gathered: a program's root, for a kernel that mounts it
//! as `/`.
//!
//! mke2fs makes the empty file system ([`tool`]) and the kernel's own `ext4` fills it ([`fill`]):
//! owners, devices and extended attributes need no super-user, times keep their nanoseconds, and
//! all names of a file stay one file. The same tree makes the same bytes: identifier and hash seed
//! come from the tree, every time that is not a file's own is that of the youngest file, and
//! nothing is random.

mod device;
mod fill;
pub mod qcow2;
pub mod tool;

pub use device::FileDevice;

use crate::error::{At, Error, Result};
use crate::gather::Gathered;
use crate::pack;
use crate::tree::{Kind, Tree};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Bytes of a block: a page, so that one is read for the other.
const BLOCK: u64 = 4096;
/// mke2fs makes an inode for so many bytes.
const BYTES_PER_INODE: u64 = 16384;
/// What a file takes at most beside its content, on average: an inode, its names.
const PER_FILE: u64 = 512;

/// How a file holds a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Byte for byte; what is not written takes no room.
    Raw,
    /// QEMU's own, which grows.
    Qcow2,
}

/// Makes a disk of `mib` MiB with the files, and nobody sees it before it is whole. Answers how
/// `root=` names its file system.
pub fn make(gathered: &Gathered, out: &Path, mib: u64, format: Format) -> Result<String> {
    let wrong = |why: String| Error::Disk { path: out.into(), why };
    let tree = &gathered.tree;
    let bytes = mib.checked_mul(1 << 20).ok_or_else(|| wrong("is too large".into()))?;
    let needs = needs(tree);
    let too_small = || {
        wrong(format!(
            "a disk of {mib} MiB is too small for its files, which take {} MiB: give it more",
            needs.div_ceil(1 << 20)
        ))
    };
    if needs > bytes {
        return Err(too_small());
    }
    if out.exists() {
        return Err(wrong(
            "is there already, with what programs have written to it: remove it, or choose another name".into(),
        ));
    }
    let (id, now) = (identifier(tree), youngest(tree));
    pack::atomically(out, |part| {
        // Nobody opens the disk meanwhile.
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(part).at(part)?;
        file.set_len(bytes).at(part)?;
        let inodes = (tree.iter().count() as u64 * 5 / 4 + 1024).max(bytes / BYTES_PER_INODE);
        let seed = format!("hash_seed={id}");
        let more = ["-b", &BLOCK.to_string(), "-I", "256", "-N", &inodes.to_string(), "-U", &id, &seed];
        tool::make_ext4(part, &more, Some(now)).map_err(wrong)?;
        match fill::fill(tree, file, now) {
            Err(fill::Error::Full) => return Err(too_small()),
            Err(fill::Error::Files(path, e)) => return Err(wrong(format!("{}: {e}", path.display()))),
            Err(fill::Error::Host(error)) => return Err(error),
            Ok(()) => {}
        }
        if format == Format::Qcow2 {
            let packed = part.with_added_extension("qcow2");
            let written = File::open(part).and_then(|raw| qcow2::pack(&raw, &File::create_new(&packed)?)).at(&packed);
            written
                .and_then(|()| std::fs::rename(&packed, part).at(part))
                .inspect_err(|_| drop(std::fs::remove_file(&packed)))?;
        }
        Ok(())
    })?;
    Ok(format!("UUID={id}"))
}

/// Bytes that the files take at least.
fn needs(tree: &Tree) -> u64 {
    let mut seen = std::collections::HashSet::new();
    let first = |id: Option<(u64, u64)>, seen: &mut std::collections::HashSet<_>| id.is_none_or(|id| seen.insert(id));
    tree.iter().map(|(_, node)| if first(node.hard_link, &mut seen) { node.size + PER_FILE } else { PER_FILE }).sum()
}

/// The time of the youngest file.
fn youngest(tree: &Tree) -> u32 {
    tree.iter().map(|(_, node)| node.mtime).max().unwrap_or(0).max(1)
}

/// An identifier that two trees have in common only if they are alike in names, attributes, sizes
/// and times (RFC 9562, version 8).
fn identifier(tree: &Tree) -> String {
    let word = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        for (path, node) in tree.iter() {
            (path, node.mode, node.uid, node.gid, node.size, node.mtime, node.nanoseconds, &node.xattrs).hash(&mut hasher);
            match &node.kind {
                Kind::Bytes(bytes) => bytes.hash(&mut hasher),
                Kind::Symlink(target) => target.hash(&mut hasher),
                Kind::Special { file_type, rdev } => (file_type, rdev).hash(&mut hasher),
                Kind::Dir | Kind::HostFile(_) => {}
            }
        }
        hasher.finish()
    };
    let (a, b) = (word(1), word(2));
    let (version, variant) = (a & 0xfff | 0x8000, b >> 48 & 0x3fff | 0x8000);
    format!("{:08x}-{:04x}-{version:04x}-{variant:04x}-{:012x}", a >> 32, a >> 16 & 0xffff, b & 0xffff_ffff_ffff)
}
