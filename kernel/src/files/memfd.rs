//! memfd_create(2): a file that lives in memory and has no name.

use alloc::sync::Arc;

use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::{Mount, MountFlags, OpenFlags, Path};
use syscall_shim::{Errno, SysResult};

use fd::OpenFile;
use fd::regular::Regular;
use task::current;

struct Internal {
    fs: Arc<Tmpfs>,
    mount: Arc<Mount>,
}

/// The tmpfs that no directory shows (`shm_mnt`).
static INTERNAL: spin::Once<Internal> = spin::Once::new();

fn internal() -> SysResult<&'static Internal> {
    INTERNAL.try_call_once(|| {
        // Its size is each program's own affair.
        let fs = crate::vfs::new_tmpfs(TmpfsOptions { size: Some(0), nr_inodes: Some(0), ..TmpfsOptions::default() })?;
        let mount = Mount::new(fs.clone(), None, "tmpfs", MountFlags::default());
        Ok::<_, Errno>(Internal { fs, mount })
    })
}

/// The place of files that no directory shows.
pub(super) fn internal_mount() -> SysResult<&'static Arc<Mount>> {
    internal().map(|internal| &internal.mount)
}

/// A new file called `name`, open for reading and writing.
pub fn open(name: &[u8], sealing: bool, mode: u32) -> SysResult<Arc<OpenFile>> {
    let internal = internal()?;
    let creds = current().credentials();
    let inode = internal.fs.unnamed_file(mode, creds.fsuid, creds.fsgid, sealing)?;
    let label = [b"/memfd:", name].concat();
    let path = Path::anonymous(&internal.mount, inode.clone(), &label, true);
    let ops = Regular::ops(&inode);
    Ok(OpenFile::new(path, inode, ops, OpenFlags::RDWR | OpenFlags::LARGEFILE))
}
