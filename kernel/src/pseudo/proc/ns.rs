//! /proc/PID/ns: the one namespace of each kind that everything is in (namespaces(7)), and what
//! ioctl_nsfs(2) tells of it.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoFs, PseudoNode};
use fs::{FileSystem, FileType, Inode, InodeRef, Mount, MountFlags, OpenFlags, Path};
use linux_raw_sys::general as g;
use spin::Once;
use syscall_shim::{Errno, SysResult};

use super::target::{Class, Target};
use crate::files::open::SharedOps;
use crate::usermem::UserAddr;
use fd::{FileOps, OpenFile};
use task::current;

/// `NSFS_MAGIC` (linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// Requests of linux/nsfs.h.
const NS_GET_USERNS: u32 = 0xb701;
const NS_GET_PARENT: u32 = 0xb702;
const NS_GET_NSTYPE: u32 = 0xb703;
const NS_GET_OWNER_UID: u32 = 0xb704;

/// A kind of namespace.
struct Kind {
    name: &'static str,
    /// The inode number of the first one (linux/proc_ns.h).
    ino: u64,
    /// `CLONE_NEW*`
    flag: u32,
}

const NET: Kind = Kind { name: "net", ino: 0xF000_0001, flag: g::CLONE_NEWNET };
const UTS: Kind = Kind { name: "uts", ino: 0xEFFF_FFFE, flag: g::CLONE_NEWUTS };
const IPC: Kind = Kind { name: "ipc", ino: 0xEFFF_FFFF, flag: g::CLONE_NEWIPC };
const PID: Kind = Kind { name: "pid", ino: 0xEFFF_FFFC, flag: g::CLONE_NEWPID };
const USER: Kind = Kind { name: "user", ino: 0xEFFF_FFFD, flag: g::CLONE_NEWUSER };
const MNT: Kind = Kind { name: "mnt", ino: 0xF000_0000, flag: g::CLONE_NEWNS };
const CGROUP: Kind = Kind { name: "cgroup", ino: 0xEFFF_FFFB, flag: g::CLONE_NEWCGROUP };
const TIME: Kind = Kind { name: "time", ino: 0xEFFF_FFFA, flag: g::CLONE_NEWTIME };

/// The entries of the directory.
static ENTRIES: &[(&str, &Kind)] = &[
    ("net", &NET),
    ("uts", &UTS),
    ("ipc", &IPC),
    ("pid", &PID),
    ("pid_for_children", &PID),
    ("user", &USER),
    ("mnt", &MNT),
    ("cgroup", &CGROUP),
    ("time", &TIME),
    ("time_for_children", &TIME),
];

/// The internal file system whose files stand for namespaces.
static NSFS: Once<(u64, Arc<Mount>)> = Once::new();

fn place(kind: &'static Kind) -> Path {
    let (dev, mount) = NSFS.call_once(|| {
        let nsfs = PseudoFs::new("nsfs", NSFS_MAGIC, |dev| PseudoNode::dir(NodeSpec::new(dev, 0o555)));
        (nsfs.dev(), Mount::new(nsfs, None, "nsfs", MountFlags::default()))
    });
    let inode = PseudoNode::text(NodeSpec::new(*dev, 0o444 | fs::IMMUTABLE).ino(kind.ino), || Err(Errno::EINVAL));
    inode.common().set_ext(Arc::new(SharedOps(Arc::new(NsFile(kind)))));
    Path::anonymous(mount, inode, &text(kind), false)
}

fn text(kind: &Kind) -> Vec<u8> {
    format!("{}:[{}]", kind.name, kind.ino).into_bytes()
}

/// The namespace that a thread has under the name `name` of its `ns` directory, as a new descriptor
/// (`PIDFD_GET_*_NAMESPACE`).
pub fn open(name: &str) -> SysResult {
    let (_, kind) = ENTRIES.iter().find(|entry| entry.0 == name).ok_or(Errno::ENOTTY)?;
    open_kind(kind)
}

fn open_kind(kind: &'static Kind) -> SysResult {
    let path = place(kind);
    let inode = path.inode()?.clone();
    let file = OpenFile::new(path, inode, Arc::new(NsFile(kind)), OpenFlags::default());
    Ok(current().files()?.insert(file, true)? as usize)
}

/// Whether the file stands for a user namespace.
pub fn is_user(inode: &InodeRef) -> bool {
    inode.metadata().ino == USER.ino && NSFS.get().is_some_and(|(dev, _)| *dev == inode.metadata().dev)
}

/// An open namespace.
struct NsFile(&'static Kind);

impl FileOps for NsFile {
    fn can_read_and_write(&self) -> (bool, bool) {
        (false, false)
    }

    fn pollable(&self) -> bool {
        false
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let (is_user, nests) = (self.0.flag == g::CLONE_NEWUSER, self.0.flag == g::CLONE_NEWPID);
        match request {
            NS_GET_NSTYPE => Ok(self.0.flag as usize),
            // What is above the first ones is out of the caller's sight.
            NS_GET_USERNS if is_user => Err(Errno::EPERM),
            NS_GET_USERNS => open_kind(&USER),
            NS_GET_PARENT if is_user || nests => Err(Errno::EPERM),
            NS_GET_PARENT => Err(Errno::EINVAL),
            NS_GET_OWNER_UID if is_user => arg.cast::<u32>().write(0).map(|()| 0),
            NS_GET_OWNER_UID => Err(Errno::EINVAL),
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// The directory's content.
pub struct Namespaces(pub Target);

/// Whether the caller may look at the namespace `name` of a process. `ENOENT` of a zombie, which
/// has left all but two kinds.
fn check(target: &Target, name: &str) -> SysResult<()> {
    target.check_access()?;
    if matches!(name, "pid" | "user") || target.task().is_ok() { Ok(()) } else { Err(Errno::ENOENT) }
}

impl DirSource for Namespaces {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let mut entries = (1..).zip(ENTRIES);
        let (key, (name, kind)) = entries.find(|(_, entry)| entry.0.as_bytes() == name).ok_or(Errno::ENOENT)?;
        let (first, second) = (self.0.clone(), self.0.clone());
        Ok(PseudoNode::magic(
            self.0.spec(Class::Namespace, key, 0o777),
            move || check(&first, name).map(|()| text(kind)),
            move || check(&second, name).map(|()| place(kind)),
        ))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        self.0.process().map_err(|_| Errno::ENOENT)?;
        let entry = |(key, (name, _)): (u32, &(&str, &Kind))| PseudoEntry {
            key,
            name: name.as_bytes().to_vec(),
            ino: self.0.ino(Class::Namespace, key),
            file_type: FileType::Symlink,
        };
        Ok((1..).zip(ENTRIES).skip_while(|(key, _)| *key < from).map(entry).collect())
    }
}
