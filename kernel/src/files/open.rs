//! From a file that open(2) found to an open file description.

use alloc::boxed::Box;
use alloc::sync::Arc;

use ::ipc::mqueue::QueueFile;
use block::file::BlockFile;
use fs::namespace::Opened;
use fs::notify::{self, event};
use fs::{FileType, Mount, OpenFlags, Path};
use syscall_shim::{Errno, SysResult};

use super::devices;
use fd::dir::Dir;
use fd::io::{Sink, Source};
use fd::pipe::Pipe;
use fd::poll::{PollTable, ev};
use fd::pseudo_file::PseudoFile;
use fd::regular::Regular;
use fd::{FileOps, OpenFile};
use task::namespace;

/// `O_PATH`: a place only.
struct PathOnly {
    /// A tree of mounts that hangs nowhere else, and goes with the file.
    tree: Option<Arc<Mount>>,
}

impl Drop for PathOnly {
    fn drop(&mut self) {
        if let Some(tree) = self.tree.take() {
            namespace().dissolve(&tree);
        }
    }
}

/// A descriptor for a place, as by `O_PATH`.
pub fn place_only(path: Path) -> SysResult<Arc<OpenFile>> {
    let inode = path.inode()?.clone();
    Ok(OpenFile::new(path, inode, Arc::new(PathOnly { tree: None }), OpenFlags::PATH))
}

/// A descriptor for the root of a tree of mounts that hangs nowhere: unless it is moved somewhere,
/// it goes with the descriptor.
pub fn tree(path: Path) -> SysResult<Arc<OpenFile>> {
    let ops = Arc::new(PathOnly { tree: Some(path.mount.clone()) });
    let inode = path.inode()?.clone();
    Ok(OpenFile::new(path, inode, ops, OpenFlags::PATH))
}

impl FileOps for PathOnly {
    fn read(&self, _file: &OpenFile, _to: &mut Sink<'_>) -> SysResult<usize> {
        Err(Errno::EBADF)
    }
    fn write(&self, _file: &OpenFile, _from: &mut Source<'_>) -> SysResult<usize> {
        Err(Errno::EBADF)
    }
    fn poll(&self, _file: &OpenFile, _table: &mut PollTable) -> u32 {
        ev::NVAL
    }
}

/// Hangs on an inode of which every open, also through /proc/PID/fd, is served by one object.
pub struct SharedOps(pub Arc<dyn FileOps>);

/// Makes the behaviour of an open.
type Opener = Box<dyn Fn() -> SysResult<Arc<dyn FileOps>> + Send + Sync>;

/// Hangs on the inode of a generated file that is more than a text: each open is served by an
/// object that this makes.
pub struct OpenedBy(pub Opener);

/// Opens what the namespace found. May sleep (FIFOs), and answers what the kind of file answers:
/// `ENXIO` for a device that does not exist or a socket.
pub fn open(opened: Opened, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    let Opened { path, inode, created, truncated, write_access } = opened;
    if flags.contains(OpenFlags::PATH) {
        let kept = flags & (OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW);
        return Ok(OpenFile::new(path, inode, Arc::new(PathOnly { tree: None }), kept));
    }
    if flags.contains(OpenFlags::DIRECT) && inode.mapping().is_none() && inode.file_type() != FileType::Block {
        return Err(Errno::EINVAL);
    }
    let ops: Arc<dyn FileOps> = match inode.file_type() {
        FileType::Regular if inode.mapping().is_some() => Regular::ops(&inode),
        // `anon_inode:` files cannot be opened a second time through /proc.
        FileType::Regular if path.dentry.is_anonymous() => {
            inode.common().get_ext::<SharedOps>().ok_or(Errno::ENXIO)?.0.clone()
        }
        FileType::Regular => match inode.special().and_then(|object| object.downcast::<QueueFile>().ok()) {
            Some(queue) => queue,
            None => {
                let ops = PseudoFile::open(&inode, flags)?;
                match inode.common().get_ext::<OpenedBy>() {
                    Some(opener) => (opener.0)()?,
                    None => inode.common().get_ext::<SharedOps>().map_or(ops, |shared| shared.0.clone()),
                }
            }
        },
        FileType::Dir => Dir::ops(),
        FileType::Fifo => match inode.common().get_ext::<SharedOps>() {
            Some(shared) => shared.0.clone(),
            None if path.dentry.is_anonymous() => Pipe::open_again(&inode, flags),
            None => Pipe::open_fifo(&inode, flags)?,
        },
        FileType::Char => devices::open(&inode, flags)?,
        FileType::Block => BlockFile::open(inode.metadata().rdev, flags)?,
        FileType::Socket => return Err(Errno::ENXIO),
        FileType::Symlink => return Err(Errno::ELOOP),
    };
    let file = OpenFile::opened(
        path,
        inode,
        ops,
        flags | OpenFlags::LARGEFILE,
        write_access,
        created && !flags.contains(OpenFlags::TMPFILE_BIT),
    );
    notify::notify_open_file(&file.path, event::OPEN);
    if truncated {
        notify::notify_path(&file.path, event::MODIFY);
    }
    Ok(file)
}
