//! Open files among threads of a host, each of which is a process with a file system of its own.

mod descriptions;
mod descriptors;
mod epoll;
mod locks;
mod pipes;
mod signals;
mod splice;
mod transfers;
mod watches;

use alloc::sync::Arc;

use fs::namespace::OpenHow;
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::{FileType, LookupFlags, MountFlags, Namespace, OpenFlags};
use syscall_shim::SysResult;

use crate::dir::Dir;
use crate::pipe::Pipe;
use crate::regular::Regular;
use crate::testing::{errno, events, read, until, user, user_mut, write};
use crate::{FileOps, OpenFile, with_fs};

/// A file system, which is the caller's from now on.
struct Tree(Arc<Namespace>);

impl Tree {
    fn new() -> Self {
        fs::testing::install();
        let tmpfs = Tmpfs::new(TmpfsOptions { mode: 0o777, ..Default::default() }).unwrap();
        let namespace = Namespace::new(tmpfs, "rootfs", MountFlags::default());
        caller::testing::with(|own| {
            own.context.set_root(namespace.root());
            own.context.set_cwd(namespace.root());
        });
        Self(namespace)
    }

    fn open(&self, path: &str, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
        let how = OpenHow { flags, mode: 0o644, resolve: LookupFlags::default() };
        let found = with_fs(|ctx| self.0.open(ctx, None, path.as_bytes(), &how))?;
        let ops: Arc<dyn FileOps> = match found.inode.file_type() {
            FileType::Dir => Dir::ops(),
            FileType::Fifo => Pipe::open_fifo(&found.inode, flags)?,
            _ => Regular::ops(&found.inode),
        };
        Ok(OpenFile::opened(found.path, found.inode, ops, flags, found.write_access, found.created))
    }

    /// A file with this content, open for both.
    fn file(&self, path: &str, content: &[u8]) -> Arc<OpenFile> {
        let file = self.open(path, OpenFlags::CREAT | OpenFlags::RDWR).unwrap();
        write(&file, content).unwrap();
        file.seek(0, 0).unwrap();
        file
    }
}
