//! Writes a tree into an empty ext4.

use super::FileDevice;
use crate::error::{self, At};
use crate::tree::{Kind, Node, Tree};
use ext4::{Environment, Ext4, MountOptions, ROOT_INO};
use fs::inode::NewNode;
use fs::{S_IFDIR, S_IFREG, SetAttr, Timespec, XattrFlags, makedev};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use syscall_shim::Errno;

/// Content is written in pieces of this size, which stay holes where they are zero.
const CHUNK: usize = 256 << 10;

/// Why a disk cannot be filled.
pub enum Error {
    /// It has no room left.
    Full,
    /// The file system refuses a file.
    Files(PathBuf, ext4::Error),
    /// A file of the host cannot be read.
    Host(error::Error),
}

impl From<error::Error> for Error {
    fn from(error: error::Error) -> Self {
        Error::Host(error)
    }
}

/// A machine in which it is always the same time, and nothing is random.
struct Still(u32);

impl Environment for Still {
    fn now(&self) -> Timespec {
        Timespec { sec: self.0.into(), nsec: 0 }
    }

    fn random(&self) -> u32 {
        0
    }

    fn message(&self, text: String) {
        eprintln!("mkimage: {text}");
    }
}

/// Writes all files of the tree into the empty file system in `disk`, at the time `now`.
pub fn fill(tree: &Tree, disk: File, now: u32) -> Result<(), Error> {
    let at = Path::new("/");
    let device = Arc::new(FileDevice::new(disk, false).at(at)?);
    let files = Ext4::mount(device, Arc::new(Still(now)), MountOptions::default()).map_err(of(at))?;
    let mut job = Job { files, dirs: HashMap::from([(at.into(), ROOT_INO)]), links: HashMap::new() };
    for (path, node) in tree.iter() {
        job.place(path, node)?;
    }
    // Last, because a new name in a directory changes its time.
    for (path, node) in tree.iter().filter(|(_, node)| node.kind == Kind::Dir) {
        if let Some(ino) = job.dirs.get(path) {
            job.finish(*ino, path, node)?;
        }
    }
    job.files.unmount().map_err(of(at))
}

/// An error about a file.
fn of(path: &Path) -> impl Fn(ext4::Error) -> Error {
    move |error| match error.errno() {
        Errno::ENOSPC => Error::Full,
        _ => Error::Files(path.into(), error),
    }
}

struct Job {
    files: Ext4,
    dirs: HashMap<PathBuf, u32>,
    /// The files that have several names.
    links: HashMap<(u64, u64), u32>,
}

impl Job {
    fn place(&mut self, path: &Path, node: &Node) -> Result<(), Error> {
        let wrong = of(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let dir = match self.dirs.get(parent) {
            Some(dir) => *dir,
            None => return Err(wrong(Errno::ENOENT.into())),
        };
        let name = name.as_bytes();
        let new = |kind: u32| NewNode { mode: kind | node.mode, uid: node.uid, gid: node.gid };
        if let Some(first) = node.hard_link.and_then(|id| self.links.get(&id)) {
            return self.files.link(dir, name, *first).map_err(wrong);
        }
        let ino = match &node.kind {
            Kind::Dir => {
                let made = self.files.create(dir, name, new(S_IFDIR));
                // mke2fs has made lost+found.
                let found = made.or_else(|e| if e.errno() == Errno::EEXIST { self.files.lookup(dir, name) } else { Err(e) });
                self.dirs.insert(path.into(), found.map_err(wrong)?);
                return Ok(());
            }
            Kind::HostFile(host) => {
                let ino = self.files.create(dir, name, new(S_IFREG)).map_err(&wrong)?;
                let mut content = File::open(host).at(host)?;
                self.write(ino, host, path, &mut content)?;
                ino
            }
            Kind::Bytes(bytes) => {
                let ino = self.files.create(dir, name, new(S_IFREG)).map_err(&wrong)?;
                self.write(ino, path, path, &mut &bytes[..])?;
                ino
            }
            Kind::Symlink(target) => self.files.symlink(dir, name, target.as_os_str().as_bytes(), new(0)).map_err(&wrong)?,
            Kind::Special { file_type, rdev } => {
                let number = makedev(rdev.0, rdev.1);
                let device = matches!(*file_type, fs::S_IFCHR | fs::S_IFBLK);
                let made = match device {
                    true => self.files.mknod(dir, name, new(*file_type), number),
                    false => self.files.create(dir, name, new(*file_type)),
                };
                made.map_err(&wrong)?
            }
        };
        if let Some(id) = node.hard_link {
            self.links.insert(id, ino);
        }
        self.finish(ino, path, node)
    }

    fn write(&self, ino: u32, from: &Path, path: &Path, content: &mut dyn Read) -> Result<(), Error> {
        let wrong = of(path);
        let mut at = 0;
        let mut piece = Vec::with_capacity(CHUNK);
        loop {
            piece.clear();
            let n = Read::take(&mut *content, CHUNK as u64).read_to_end(&mut piece).at(from)?;
            if piece.iter().any(|byte| *byte != 0) {
                self.files.write(ino, at, &piece).map_err(&wrong)?;
            }
            at += n as u64;
            if n < CHUNK {
                return self.files.truncate(ino, at).map_err(&wrong);
            }
        }
    }

    /// Extended attributes, owner, mode and times: last, because each write changes some of them.
    fn finish(&self, ino: u32, path: &Path, node: &Node) -> Result<(), Error> {
        let wrong = of(path);
        for (name, value) in &node.xattrs {
            self.files.setxattr(ino, name, value, XattrFlags::empty()).map_err(&wrong)?;
        }
        let time = Timespec { sec: node.mtime.into(), nsec: node.nanoseconds as _ };
        let mode = (!matches!(node.kind, Kind::Symlink(_))).then_some(node.mode);
        let (uid, gid) = (Some(node.uid), Some(node.gid));
        let attr = SetAttr { mode, uid, gid, atime: Some(time), mtime: Some(time), ctime: Some(time), ..SetAttr::default() };
        self.files.setattr(ino, &attr).map_err(wrong)
    }
}
