//! The guest's root file system as it is gathered: a tree of nodes, over the host directories that
//! it is taken from.

use crate::error::{At, Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// As Linux's MAXSYMLINKS.
const MAX_LINKS: usize = 40;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file with the content of a host file.
    HostFile(PathBuf),
    /// A regular file made here.
    Bytes(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(PathBuf),
    /// A device node, FIFO or socket: its file type bits and device number.
    Special {
        /// `S_IFMT` bits.
        file_type: u32,
        /// Major and minor number.
        rdev: (u32, u32),
    },
}

/// One entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u32,
    /// Nanoseconds of that time.
    pub nanoseconds: u32,
    /// Content length of a regular file.
    pub size: u64,
    /// Device and inode on the host of a file with several links.
    pub hard_link: Option<(u64, u64)>,
    /// Extended attributes; those that only the host's kernel makes sense of are left out. Archives
    /// have no place for them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Node {
    /// A directory made here.
    pub fn dir(mode: u32) -> Self {
        Self::made(Kind::Dir, mode, 0)
    }

    /// A file made here.
    pub fn bytes(content: impl Into<Vec<u8>>, mode: u32) -> Self {
        let content = content.into();
        let size = content.len() as u64;
        Self::made(Kind::Bytes(content), mode, size)
    }

    fn made(kind: Kind, mode: u32, size: u64) -> Self {
        Self { kind, mode, uid: 0, gid: 0, mtime: 0, nanoseconds: 0, size, hard_link: None, xattrs: Vec::new() }
    }

    /// The node that stands for a host file.
    fn from_host(host: &Path, meta: &Metadata, own: (u32, u32)) -> Result<Self> {
        let ft = meta.file_type();
        let kind = if ft.is_dir() {
            Kind::Dir
        } else if ft.is_file() {
            Kind::HostFile(host.into())
        } else if ft.is_symlink() {
            Kind::Symlink(fs::read_link(host).at(host)?)
        } else {
            let device = ft.is_block_device() || ft.is_char_device();
            let rdev = if device { (major(meta.rdev()), minor(meta.rdev())) } else { (0, 0) };
            Kind::Special { file_type: meta.mode() & 0o170000, rdev }
        };
        // The files of whoever builds the image belong to root in it, so that it does not depend on
        // who that is.
        let mine = |id: u32, my: u32| if id == my { 0 } else { id };
        Ok(Self {
            xattrs: xattrs(host),
            size: if ft.is_file() { meta.len() } else { 0 },
            hard_link: (!ft.is_dir() && meta.nlink() > 1).then(|| (meta.dev(), meta.ino())),
            kind,
            mode: meta.mode() & 0o7777,
            uid: mine(meta.uid(), own.0),
            gid: mine(meta.gid(), own.1),
            mtime: u32::try_from(meta.mtime()).unwrap_or(0),
            nanoseconds: u32::try_from(meta.mtime_nsec()).unwrap_or(0),
        })
    }
}

/// The extended attributes of a file itself, by name. Those that cannot be read, as others' file
/// systems may have, are none.
fn xattrs(host: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let travels = |name: &&[u8]| {
        let space = [&b"user."[..], b"trusted.", b"system.posix_acl_"].iter().any(|space| name.starts_with(space));
        space || *name == b"security.capability"
    };
    // listxattr(2): no list is longer, no value either.
    let mut names = vec![0; 65536];
    let len = match rustix::fs::llistxattr(host, &mut names[..0]) {
        Ok(0) | Err(_) => return Vec::new(),
        Ok(_) => rustix::fs::llistxattr(host, &mut names[..]).unwrap_or(0),
    };
    let value = |name: &[u8]| {
        let mut value = vec![0; 65536];
        let len = rustix::fs::lgetxattr(host, name, &mut value[..]).ok()?;
        value.truncate(len);
        Some((name.to_vec(), value))
    };
    let listed = names.get(..len).unwrap_or_default().split(|byte| *byte == 0).filter(travels);
    let mut all: Vec<_> = listed.filter_map(value).collect();
    all.sort();
    all
}

// gnu_dev_major/minor: glibc's 64-bit dev_t.
fn major(dev: u64) -> u32 {
    ((dev >> 8) & 0xfff | (dev >> 32) & 0xffff_f000) as u32
}

fn minor(dev: u64) -> u32 {
    (dev & 0xff | (dev >> 12) & 0xffff_ff00) as u32
}

/// The tree, and the host directories ("layers") that missing paths are looked up in, first one
/// first.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    layers: Vec<PathBuf>,
    own: (u32, u32),
}

/// A path with every symbolic link followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path in the guest, free of links.
    pub guest: PathBuf,
    /// What is there.
    pub node: Node,
}

impl Found {
    /// The host file with the content.
    pub fn host(&self) -> Option<&Path> {
        match &self.node.kind {
            Kind::HostFile(path) => Some(path),
            _ => None,
        }
    }
}

impl Tree {
    /// An empty tree over these layers.
    pub fn new(layers: Vec<PathBuf>) -> Self {
        let own = fs::metadata("/proc/self").map_or((0, 0), |m| (m.uid(), m.gid()));
        Self { nodes: BTreeMap::new(), layers, own }
    }

    /// The nodes, parents before children, by absolute guest path. The root itself is not among
    /// them.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(p, n)| (p.as_path(), n))
    }

    /// The layers.
    pub fn layers(&self) -> &[PathBuf] {
        &self.layers
    }

    /// The node at a path whose directories are no links.
    fn node(&self, path: &Path) -> Result<Option<Node>> {
        if let Some(node) = self.nodes.get(path) {
            return Ok(Some(node.clone()));
        }
        let relative = path.strip_prefix("/").unwrap_or(path);
        for layer in &self.layers {
            let host = layer.join(relative);
            if let Ok(meta) = fs::symlink_metadata(&host) {
                let mut node = Node::from_host(&host, &meta, self.own)?;
                // A directory of the host's root is taken in part: the time of its last change says
                // nothing here, and would make the image depend on what else the machine does.
                if layer == Path::new("/") && node.kind == Kind::Dir {
                    (node.mtime, node.nanoseconds) = (0, 0);
                }
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Walks a guest path; `visit` is told every node on the way that is not in the tree yet.
    fn walk(&self, path: &Path, mut visit: impl FnMut(&Path, &Node)) -> Result<Option<Found>> {
        let mut pending: VecDeque<OsString> = names(path);
        let mut at = PathBuf::from("/");
        let mut last = Node::dir(0o755);
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            if last.kind != Kind::Dir {
                return Ok(None);
            }
            let next = at.join(&name);
            let Some(node) = self.node(&next)? else {
                return Ok(None);
            };
            visit(&next, &node);
            if let Kind::Symlink(target) = &node.kind {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::LinkLoop(path.into()));
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for name in names(target).into_iter().rev() {
                    pending.push_front(name);
                }
            } else {
                at = next;
                last = node;
            }
        }
        Ok(Some(Found { guest: at, node: last }))
    }

    /// Finds what a guest path leads to, without taking it along.
    pub fn find(&self, path: &Path) -> Result<Option<Found>> {
        self.walk(path, |_, _| {})
    }

    /// Takes a guest path along: its directories, every symbolic link on the way, and what it leads
    /// to.
    pub fn take(&mut self, path: &Path) -> Result<Option<Found>> {
        let mut met = Vec::new();
        let found = self.walk(path, |p, n| met.push((p.to_path_buf(), n.clone())))?;
        if found.is_some() {
            for (path, node) in met {
                self.nodes.entry(path).or_insert(node);
            }
        }
        Ok(found)
    }

    /// Takes a path as it is: its directories, and itself even where it is a link that leads
    /// nowhere.
    pub fn take_link(&mut self, path: &Path) -> Result<Option<PathBuf>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        let Some(dir) = self.take(parent)? else {
            return Ok(None);
        };
        let at = dir.guest.join(name);
        let Some(node) = self.node(&at)? else {
            return Ok(None);
        };
        self.nodes.entry(at.clone()).or_insert(node);
        Ok(Some(at))
    }

    /// Puts a node at a guest path, in the place of what was there; directories that do not exist
    /// are made.
    pub fn place(&mut self, path: &Path, node: Node) -> Result<PathBuf> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(path.into());
        };
        let dir = match self.take(parent)? {
            Some(found) => found.guest,
            None => self.place(parent, Node::dir(0o755))?,
        };
        let at = dir.join(name);
        if node.kind == Kind::Dir && self.nodes.get(&at).is_some_and(|n| n.kind == Kind::Dir) {
            return Ok(at);
        }
        self.nodes.insert(at.clone(), node);
        Ok(at)
    }

    /// Puts a host file or directory, with all that is in it, at a guest path.
    pub fn place_host(&mut self, host: &Path, guest: &Path) -> Result<()> {
        let meta = fs::symlink_metadata(host).at(host)?;
        if !meta.is_dir() {
            let node = Node::from_host(host, &meta, self.own)?;
            return self.place(guest, node).map(drop);
        }
        if guest.file_name().is_some() {
            let node = Node::from_host(host, &meta, self.own)?;
            self.place(guest, node)?;
        }
        let mut entries: Vec<_> = fs::read_dir(host).at(host)?.collect::<std::io::Result<_>>().at(host)?;
        entries.sort_by_key(|e| e.file_name());
        for entry in entries {
            self.place_host(&entry.path(), &guest.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// A file's content, for small files such as `/etc/ld.so.cache`.
    pub fn content(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match self.find(path)?.map(|found| found.node.kind) {
            Some(Kind::HostFile(host)) => fs::read(&host).at(&host).map(Some),
            Some(Kind::Bytes(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

/// The name of a node in an archive: the guest path without its leading slash.
pub(crate) fn archive_name(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.strip_prefix(b"/").unwrap_or(bytes)
}

/// A path from bytes.
pub(crate) fn path_from(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// `dir/name` as text that a loader would build.
pub(crate) fn join(dir: &str, name: impl AsRef<OsStr>) -> PathBuf {
    Path::new(if dir.is_empty() { "." } else { dir }).join(name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn usr_merged() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib/x")).unwrap();
        fs::write(root.path().join("usr/lib/x/libc-2.so"), "elf").unwrap();
        symlink("libc-2.so", root.path().join("usr/lib/x/libc.so")).unwrap();
        symlink("usr/lib", root.path().join("lib")).unwrap();
        symlink("/lib/x/libc.so", root.path().join("absolute")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        root
    }

    #[test]
    fn takes_every_link_on_the_way() {
        let root = usr_merged();
        let mut tree = Tree::new(vec![root.path().into()]);
        let found = tree.take(Path::new("/absolute")).unwrap().unwrap();
        assert_eq!(found.guest, Path::new("/usr/lib/x/libc-2.so"));
        let paths: Vec<_> = tree.iter().map(|(p, _)| p.to_str().unwrap().to_owned()).collect();
        assert_eq!(
            paths,
            ["/absolute", "/lib", "/usr", "/usr/lib", "/usr/lib/x", "/usr/lib/x/libc-2.so", "/usr/lib/x/libc.so"]
        );
    }

    #[test]
    fn what_is_not_there_takes_nothing() {
        let root = usr_merged();
        let mut tree = Tree::new(vec![root.path().into()]);
        assert!(tree.take(Path::new("/lib/x/nothing")).unwrap().is_none());
        assert!(tree.take(Path::new("/absolute/below-a-file")).unwrap().is_none());
        assert_eq!(tree.iter().count(), 0);
        assert!(matches!(tree.take(Path::new("/loop")), Err(Error::LinkLoop(_))));
    }

    #[test]
    fn placing_goes_through_links() {
        let root = usr_merged();
        let mut tree = Tree::new(vec![root.path().into()]);
        let at = tree.place(Path::new("/lib/new/file"), Node::bytes("x", 0o600)).unwrap();
        assert_eq!(at, Path::new("/usr/lib/new/file"));
        assert_eq!(tree.find(Path::new("/lib/new/../new/file")).unwrap().unwrap().node.size, 1);
    }

    #[test]
    fn links_stay_inside_the_layer() {
        let root = usr_merged();
        symlink("/etc/passwd", root.path().join("escape")).unwrap();
        let tree = Tree::new(vec![root.path().into()]);
        assert!(tree.find(Path::new("/escape")).unwrap().is_none());
        assert!(tree.find(Path::new("/../../../etc/passwd")).unwrap().is_none());
    }
}
