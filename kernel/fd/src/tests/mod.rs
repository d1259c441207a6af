//! Open files among threads of a host, each of which is a process with a file system of its own.

mod descriptions;
mod descriptors;
mod epoll;
mod locks;
mod pipes;
mod splice;
mod transfers;
mod watches;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::thread;
use std::time::Duration;

use fs::namespace::OpenHow;
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::{FileType, LookupFlags, MountFlags, Namespace, OpenFlags};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::dir::Dir;
use crate::io::{Sink, Source};
use crate::pipe::Pipe;
use crate::poll::PollTable;
use crate::regular::Regular;
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
            _ => Regular::ops(),
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

fn write(file: &OpenFile, bytes: &[u8]) -> SysResult<usize> {
    file.write(&mut Source::Kernel(bytes))
}

fn read(file: &OpenFile, room: usize) -> SysResult<Vec<u8>> {
    let mut buffer = vec![0; room];
    let n = file.read(&mut Sink::Kernel(&mut buffer))?;
    buffer.truncate(n);
    Ok(buffer)
}

fn events(file: &OpenFile) -> u32 {
    file.poll(&mut PollTable::none())
}

/// Memory of the program: on a host that of the test.
fn user(bytes: &[u8]) -> UserAddr {
    UserAddr(bytes.as_ptr().addr() as u64)
}

fn user_mut(bytes: &mut [u8]) -> UserAddr {
    UserAddr(bytes.as_mut_ptr().addr() as u64)
}

/// Waits until another thread has come to sleep, or to have done something.
fn until(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen");
}

fn errno<T>(result: SysResult<T>) -> Option<Errno> {
    result.err()
}
