//! /proc/PID/ns: the one namespace of each kind that everything is in (namespaces(7)).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoFs, PseudoNode};
use fs::{FileSystem, FileType, InodeRef, Mount, MountFlags, Path};
use spin::Once;
use syscall_shim::{Errno, SysResult};

use super::target::{Class, Target};

/// `NSFS_MAGIC` (linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Names, kinds, and the inode numbers of the first namespaces (linux/proc_ns.h).
const KINDS: &[(&str, &str, u64)] = &[
    ("net", "net", 0xF000_0000 + 1),
    ("uts", "uts", 0xEFFF_FFFE),
    ("ipc", "ipc", 0xEFFF_FFFF),
    ("pid", "pid", 0xEFFF_FFFC),
    ("pid_for_children", "pid", 0xEFFF_FFFC),
    ("user", "user", 0xEFFF_FFFD),
    ("mnt", "mnt", 0xF000_0000),
    ("cgroup", "cgroup", 0xEFFF_FFFB),
    ("time", "time", 0xEFFF_FFFA),
    ("time_for_children", "time", 0xEFFF_FFFA),
];

/// The internal file system whose files stand for namespaces.
static NSFS: Once<(u64, Arc<Mount>)> = Once::new();

fn place(kind: &str, ino: u64) -> Path {
    let (dev, mount) = NSFS.call_once(|| {
        let nsfs = PseudoFs::new("nsfs", NSFS_MAGIC, |dev| PseudoNode::dir(NodeSpec::new(dev, 0o555)));
        (nsfs.dev(), Mount::new(nsfs, None, "nsfs", MountFlags::default()))
    });
    let inode = PseudoNode::write_only(NodeSpec::new(*dev, 0o444).ino(ino), |_| Err(Errno::EINVAL));
    Path::anonymous(mount, inode, &text(kind, ino), false)
}

fn text(kind: &str, ino: u64) -> Vec<u8> {
    format!("{kind}:[{ino}]").into_bytes()
}

/// The directory's content.
pub struct Namespaces(pub Target);

impl DirSource for Namespaces {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let mut kinds = (1..).zip(KINDS);
        let (key, (_, kind, ino)) = kinds.find(|(_, entry)| entry.0.as_bytes() == name).ok_or(Errno::ENOENT)?;
        let (first, second) = (self.0.clone(), self.0.clone());
        Ok(PseudoNode::magic(
            self.0.spec(Class::Namespace, key, 0o777),
            move || first.check_access().map(|()| text(kind, *ino)),
            move || second.check_access().map(|()| place(kind, *ino)),
        ))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let entry = |(key, (name, ..)): (u32, &(&str, &str, u64))| PseudoEntry {
            key,
            name: name.as_bytes().to_vec(),
            ino: self.0.ino(Class::Namespace, key),
            file_type: FileType::Symlink,
        };
        Ok((1..).zip(KINDS).skip_while(|(key, _)| *key < from).map(entry).collect())
    }
}
