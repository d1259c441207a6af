//! Nodes made of closures.

use crate::inode::{FileHandle, Inode, InodeCommon, InodeRef, Link, NewNode, Seeking, alloc_ino};
use crate::path::Path;
use crate::platform::now;
use crate::sync::{Mutex, RwLock};
use crate::types::*;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use litemap::LiteMap;
use syscall_shim::{Errno, SysResult};

/// Generates a file's text.
type Read = Box<dyn Fn() -> SysResult<Vec<u8>> + Send + Sync>;
/// Says whether the caller may open a file, beyond its permission bits.
type Check = Box<dyn Fn() -> SysResult<()> + Send + Sync>;
/// Takes what one write(2) wrote.
type Write = Box<dyn Fn(&[u8]) -> SysResult<()> + Send + Sync>;
/// Says where a magic link leads.
type Target = Box<dyn Fn() -> SysResult<Path> + Send + Sync>;
/// Opens a file with a handle of its own.
type Open = Box<dyn Fn(OpenFlags) -> SysResult<Arc<dyn FileHandle>> + Send + Sync>;

/// Cookies of dynamic entries start here; static ones are below.
const DYNAMIC: u64 = 1 << 32;

/// Identity and permissions of a new node.
#[derive(Clone, Copy, Debug)]
pub struct NodeSpec {
    /// Device number of the file system.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Permission bits (the type bits are the constructor's), and [`IMMUTABLE`] for what nobody
    /// opens for writing.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether chmod(2) and its like change it.
    pub changeable: bool,
    /// Of a file the size that stat(2) tells and by which lseek(2) finds the end. Without one it is
    /// 0, and a text has no end.
    pub size: Option<u64>,
}

impl NodeSpec {
    /// A node of root's with a fresh inode number.
    pub fn new(dev: u64, mode: u32) -> NodeSpec {
        NodeSpec { dev, ino: alloc_ino(), mode, uid: 0, gid: 0, changeable: false, size: None }
    }

    /// With a given inode number, for nodes that are made anew at each lookup.
    pub fn ino(self, ino: u64) -> NodeSpec {
        NodeSpec { ino, ..self }
    }

    /// Of which permissions, owner and times can be changed.
    pub fn changeable(self) -> NodeSpec {
        NodeSpec { changeable: true, ..self }
    }

    /// With an end, see [`NodeSpec::size`].
    pub fn size(self, size: Option<u64>) -> NodeSpec {
        NodeSpec { size, ..self }
    }

    /// With another owner.
    pub fn owner(self, uid: u32, gid: u32) -> NodeSpec {
        NodeSpec { uid, gid, ..self }
    }
}

/// One entry of a dynamic directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PseudoEntry {
    /// Orders the entries and makes the cookie: a pid, a descriptor number. Below 2^31.
    pub key: u32,
    /// Name.
    pub name: Vec<u8>,
    /// Inode number, the same as the looked-up node's.
    pub ino: u64,
    /// Type.
    pub file_type: FileType,
}

/// The entries of a dynamic directory (`/proc/PID`, `/proc/PID/fd`).
pub trait DirSource: Any + Send + Sync {
    /// The entry called `name`; `ENOENT`.
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef>;
    /// The entries with a key of at least `from`, in the order of keys. `ENOENT` once the process
    /// is gone.
    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>>;
    /// How many directories are in it, as far as stat(2) tells by the count of links.
    fn directories(&self) -> u32 {
        0
    }
    /// Why no file can be made there: procfs looks a name up before it sees that nothing can be
    /// created.
    fn refuses_creation(&self) -> Errno {
        Errno::ENOENT
    }
    /// Whether the caller may list and search it whoever owns it, as one's own descriptors
    /// (`proc_fd_permission`).
    fn is_own(&self) -> bool {
        false
    }
}

enum Kind {
    Dir {
        fixed: RwLock<Fixed>,
        dynamic: Option<Box<dyn DirSource>>,
    },
    Text {
        read: Option<Read>,
        write: Option<Write>,
    },
    /// As `Text`, for reading by those whom the check lets open it.
    Guarded {
        check: Check,
        read: Read,
    },
    Opener(Open),
    Link(Read),
    Magic {
        text: Read,
        target: Target,
    },
    Special(u64, Option<Arc<dyn Any + Send + Sync>>),
}

/// Entries that stay: by name, and by cookie in the order of insertion.
#[derive(Default)]
struct Fixed {
    by_name: LiteMap<Vec<u8>, u64>,
    by_cookie: LiteMap<u64, (Vec<u8>, InodeRef)>,
    next: u64,
}

/// What of a node may change.
#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Of the last access, modification and change.
    times: [Timespec; 3],
}

/// A generated file, directory or link.
pub struct PseudoNode {
    common: InodeCommon,
    dev: u64,
    ino: u64,
    changeable: bool,
    size: Option<u64>,
    /// A leaf lock.
    attrs: RwLock<Attributes>,
    file_type: FileType,
    born: Timespec,
    kind: Kind,
    me: Weak<PseudoNode>,
}

impl PseudoNode {
    fn new(spec: NodeSpec, file_type: FileType, kind: Kind) -> Arc<PseudoNode> {
        let born = now();
        let NodeSpec { dev, ino, mode, uid, gid, changeable, size } = spec;
        let attrs = RwLock::new(Attributes { mode: mode & (0o7777 | IMMUTABLE), uid, gid, times: [born; 3] });
        let common = InodeCommon::new();
        let make = |me: &Weak<PseudoNode>| {
            let me = me.clone();
            PseudoNode { common, dev, ino, changeable, size, attrs, file_type, born, kind, me }
        };
        Arc::new_cyclic(make)
    }

    /// A directory with the entries that [`Self::insert`] puts there.
    pub fn dir(spec: NodeSpec) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Dir, Kind::Dir { fixed: Default::default(), dynamic: None })
    }

    /// A directory with inserted entries first, then those of `source`.
    pub fn dynamic(spec: NodeSpec, source: impl DirSource + 'static) -> Arc<PseudoNode> {
        let dynamic: Option<Box<dyn DirSource>> = Some(Box::new(source));
        PseudoNode::new(spec, FileType::Dir, Kind::Dir { fixed: Default::default(), dynamic })
    }

    /// The source of a directory's entries, if it is a `T`.
    pub fn source<T: DirSource>(&self) -> Option<&T> {
        let Kind::Dir { dynamic: Some(source), .. } = &self.kind else { return None };
        let source: &dyn Any = &**source;
        source.downcast_ref()
    }

    /// A read-only file. `read` runs at the first read of each open file and whenever that reads
    /// from offset 0 again; other reads see the same text (Linux's seq_file).
    pub fn text(spec: NodeSpec, read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Regular, Kind::Text { read: Some(Box::new(read)), write: None })
    }

    /// A read-only file that opens only if `check` says so, as /proc/PID/maps does.
    pub fn guarded(
        spec: NodeSpec,
        check: impl Fn() -> SysResult<()> + Send + Sync + 'static,
        read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static,
    ) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Regular, Kind::Guarded { check: Box::new(check), read: Box::new(read) })
    }

    /// A read-only file whose text never changes.
    pub fn fixed(spec: NodeSpec, text: &'static str) -> Arc<PseudoNode> {
        PseudoNode::text(spec, move || Ok(text.as_bytes().to_vec()))
    }

    /// A file that is read and written. `write` gets the bytes of each write(2) whole, whatever the
    /// offset.
    pub fn control(
        spec: NodeSpec,
        read: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static,
        write: impl Fn(&[u8]) -> SysResult<()> + Send + Sync + 'static,
    ) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Regular, Kind::Text { read: Some(Box::new(read)), write: Some(Box::new(write)) })
    }

    /// A file that is written only; reading is `EINVAL`.
    pub fn write_only(spec: NodeSpec, write: impl Fn(&[u8]) -> SysResult<()> + Send + Sync + 'static) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Regular, Kind::Text { read: None, write: Some(Box::new(write)) })
    }

    /// A file whose opens have handles of their own (`/proc/PID/mem`, `pagemap`).
    pub fn opener(
        spec: NodeSpec,
        open: impl Fn(OpenFlags) -> SysResult<Arc<dyn FileHandle>> + Send + Sync + 'static,
    ) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Regular, Kind::Opener(Box::new(open)))
    }

    /// A symbolic link with generated text.
    pub fn link(spec: NodeSpec, text: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Symlink, Kind::Link(Box::new(text)))
    }

    /// A magic link: `text` is what readlink(2) shows, `target` where a walk goes on.
    pub fn magic(
        spec: NodeSpec,
        text: impl Fn() -> SysResult<Vec<u8>> + Send + Sync + 'static,
        target: impl Fn() -> SysResult<Path> + Send + Sync + 'static,
    ) -> Arc<PseudoNode> {
        PseudoNode::new(spec, FileType::Symlink, Kind::Magic { text: Box::new(text), target: Box::new(target) })
    }

    /// A FIFO, socket or device, with the kernel's object behind it (see [`Inode::special`]).
    pub fn special(
        spec: NodeSpec,
        file_type: FileType,
        rdev: u64,
        object: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Arc<PseudoNode> {
        PseudoNode::new(spec, file_type, Kind::Special(rdev, object))
    }

    /// Puts an entry into a directory, replacing one of the same name, and answers the directory,
    /// for chaining. No effect on other nodes. Insert before the directory is first walked, or tell
    /// the dentry ([`crate::Dentry::invalidate`]).
    pub fn insert(&self, name: &str, node: InodeRef) -> Arc<PseudoNode> {
        if let Kind::Dir { fixed, .. } = &self.kind {
            let mut fixed = fixed.write();
            let cookie = fixed.next + 2;
            if let Some(old) = fixed.by_name.insert(name.as_bytes().to_vec(), cookie) {
                fixed.by_cookie.remove(&old);
            }
            fixed.by_cookie.insert(cookie, (name.as_bytes().to_vec(), node));
            fixed.next += 1;
        }
        let spec = NodeSpec { ino: self.ino, ..NodeSpec::new(self.dev, 0o555) };
        self.me.upgrade().unwrap_or_else(|| PseudoNode::dir(spec))
    }

    /// Takes an entry out of a directory.
    pub fn remove(&self, name: &str) -> Option<InodeRef> {
        let Kind::Dir { fixed, .. } = &self.kind else { return None };
        let mut fixed = fixed.write();
        let cookie = fixed.by_name.remove(name.as_bytes())?;
        fixed.by_cookie.remove(&cookie).map(|(_, node)| node)
    }

    /// Why nothing can be made in a dynamic directory.
    fn refusal(&self) -> Option<Errno> {
        match &self.kind {
            Kind::Dir { dynamic: Some(source), .. } => Some(source.refuses_creation()),
            _ => None,
        }
    }

    /// Makes the text of a file that is read. `EINVAL` where there is none to read.
    fn generate(&self) -> SysResult<Vec<u8>> {
        match &self.kind {
            Kind::Text { read: Some(read), .. } | Kind::Guarded { read, .. } => read(),
            _ => Err(Errno::EINVAL),
        }
    }

    fn snapshot(&self) -> SysResult<Arc<dyn FileHandle>> {
        let node = self.me.upgrade().ok_or(Errno::ENOENT)?;
        Ok(Arc::new(Snapshot { node, text: Mutex::new(None) }))
    }

    fn read_dynamic(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        let Kind::Dir { dynamic: Some(source), .. } = &self.kind else { return Ok(cookie) };
        let from = u32::try_from(cookie.saturating_sub(DYNAMIC)).unwrap_or(u32::MAX);
        let mut next = cookie.max(DYNAMIC);
        for entry in source.list(from)? {
            let at = DYNAMIC + u64::from(entry.key);
            let out = DirEntry { name: &entry.name, ino: entry.ino, file_type: entry.file_type, next: at + 1 };
            if !emit(out) {
                return Ok(at);
            }
            next = at + 1;
        }
        Ok(next)
    }
}

impl Inode for PseudoNode {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        let nlink = match &self.kind {
            Kind::Dir { fixed, dynamic } => {
                let others = dynamic.as_ref().map_or(0, |source| source.directories());
                let fixed = fixed.read();
                2 + others + fixed.by_cookie.values().filter(|(_, n)| n.file_type() == FileType::Dir).count() as u32
            }
            _ => 1,
        };
        let rdev = if let Kind::Special(rdev, _) = self.kind { rdev } else { 0 };
        let Attributes { mode, uid, gid, times: [atime, mtime, ctime] } = *self.attrs.read();
        Metadata {
            dev: self.dev,
            ino: self.ino,
            mode: self.file_type.mode() | mode & MODE_BITS,
            nlink,
            uid,
            gid,
            rdev,
            size: self.size.unwrap_or(0),
            blksize: 1024,
            atime,
            mtime,
            ctime,
            btime: self.born,
            ..Metadata::default()
        }
    }

    fn access_attrs(&self) -> AccessAttrs {
        let Attributes { mode, uid, gid, .. } = *self.attrs.read();
        let own = matches!(&self.kind, Kind::Dir { dynamic: Some(source), .. } if source.is_own());
        AccessAttrs { mode: self.file_type.mode() | if own { mode | 0o555 } else { mode }, uid, gid }
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        // The times of every node can be changed (`proc_setattr`, `proc_sys_setattr`).
        if !self.changeable && (attr.mode.is_some() || attr.uid.is_some() || attr.gid.is_some()) {
            return Err(Errno::EPERM);
        }
        let mut attrs = self.attrs.write();
        let [atime, mtime, ctime] = attrs.times;
        *attrs = Attributes {
            mode: attr.mode.map_or(attrs.mode, |mode| mode & 0o7777),
            uid: attr.uid.unwrap_or(attrs.uid),
            gid: attr.gid.unwrap_or(attrs.gid),
            times: [
                attr.atime.unwrap_or(atime),
                attr.mtime.unwrap_or(mtime),
                attr.ctime.unwrap_or(if attr.keep_ctime { ctime } else { now() }),
            ],
        };
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let Kind::Dir { fixed, dynamic } = &self.kind else { return Err(Errno::ENOTDIR) };
        let found = {
            let fixed = fixed.read();
            fixed.by_name.get(name).and_then(|c| fixed.by_cookie.get(c)).map(|(_, node)| node.clone())
        };
        match (found, dynamic) {
            (Some(node), _) => Ok(node),
            (None, Some(source)) => source.lookup(name),
            (None, None) => Err(Errno::ENOENT),
        }
    }

    fn create(&self, _name: &[u8], _node: NewNode) -> SysResult<InodeRef> {
        Err(self.refusal().unwrap_or(Errno::EACCES))
    }

    fn mkdir(&self, _name: &[u8], _node: NewNode) -> SysResult<InodeRef> {
        Err(self.refusal().filter(|errno| *errno != Errno::EACCES).unwrap_or(Errno::EPERM))
    }

    fn cache_children(&self) -> bool {
        !matches!(self.kind, Kind::Dir { dynamic: Some(_), .. })
    }

    fn readdir(&self, cookie: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> SysResult<u64> {
        let Kind::Dir { fixed, .. } = &self.kind else { return Err(Errno::ENOTDIR) };
        let mut next = cookie;
        if cookie < DYNAMIC {
            let fixed = fixed.read();
            for (at, (name, node)) in fixed.by_cookie.iter().filter(|(at, _)| **at >= cookie) {
                let out = DirEntry { name, ino: node.metadata().ino, file_type: node.file_type(), next: at + 1 };
                if !emit(out) {
                    return Ok(*at);
                }
                next = at + 1;
            }
        }
        self.read_dynamic(next, emit)
    }

    fn readlink(&self) -> SysResult<Vec<u8>> {
        match &self.kind {
            Kind::Link(text) | Kind::Magic { text, .. } => text(),
            _ => Err(Errno::EINVAL),
        }
    }

    fn follow_link(&self) -> SysResult<Link> {
        match &self.kind {
            Kind::Magic { target, .. } => target().map(Link::Magic),
            _ => self.readlink().map(Link::Text),
        }
    }

    fn open(&self, flags: OpenFlags) -> SysResult<Option<Arc<dyn FileHandle>>> {
        match &self.kind {
            Kind::Text { .. } => self.snapshot().map(Some),
            Kind::Guarded { check, .. } => {
                check()?;
                self.snapshot().map(Some)
            }
            Kind::Opener(open) => open(flags).map(Some),
            _ => Ok(None),
        }
    }

    fn special(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match &self.kind {
            Kind::Special(_, object) => object.clone(),
            _ => None,
        }
    }

    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        Ok(copy_at(&self.generate()?, off, buf))
    }

    fn write_at(&self, _off: u64, buf: &[u8]) -> SysResult<usize> {
        match &self.kind {
            Kind::Text { write: Some(write), .. } => write(buf).map(|()| buf.len()),
            _ => Err(Errno::EIO),
        }
    }

    fn truncate(&self, _size: u64) -> SysResult<()> {
        let takes = matches!(self.kind, Kind::Text { write: Some(_), .. } | Kind::Opener(_));
        if takes { Ok(()) } else { Err(Errno::EINVAL) }
    }
}

/// An open text file: the text as it was when reading began.
struct Snapshot {
    node: Arc<PseudoNode>,
    /// A leaf lock; the text is generated without it.
    text: Mutex<Option<Arc<[u8]>>>,
}

impl FileHandle for Snapshot {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        let kept = if off == 0 { None } else { self.text.lock().clone() };
        let text = match kept {
            Some(text) => text,
            None => {
                let fresh: Arc<[u8]> = Arc::from(self.node.generate()?);
                *self.text.lock() = Some(fresh.clone());
                fresh
            }
        };
        Ok(copy_at(&text, off, buf))
    }

    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize> {
        self.node.write_at(off, buf)
    }

    fn seeking(&self) -> Seeking {
        if self.node.size.is_some() { Seeking::File } else { Seeking::Text }
    }
}

/// Copies `text[off..]` into `buf`; 0 at the end.
fn copy_at(text: &[u8], off: u64, buf: &mut [u8]) -> usize {
    let rest = usize::try_from(off).ok().and_then(|off| text.get(off..)).unwrap_or_default();
    let n = rest.len().min(buf.len());
    if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
        to.copy_from_slice(from);
    }
    n
}
