//! The flags of a file (ioctl_iflags(2), `FS_IOC_FSGETXATTR`): immutable, append only, and what
//! only programs heed.

use fs::{Cap, FileType, InodeRef, Mount, Path};
use linux_raw_sys::general as g;
use syscall_shim::types::FileAttr;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::{OpenFile, capable, with_fs};

const FS_IOC_GETFLAGS: u32 = 0x8008_6601;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC_FSGETXATTR: u32 = 0x801c_581f;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;

/// A flag beside the mode, as `FS_*_FL`, and as `FS_XFLAG_*` (linux/fs.h).
const FLAGS: [(u32, u32, u32); 4] =
    [(fs::IMMUTABLE, 0x10, 0x8), (fs::APPEND_ONLY, 0x20, 0x10), (fs::NODUMP, 0x40, 0x80), (fs::NOATIME, 0x80, 0x40)];
/// What only `CAP_LINUX_IMMUTABLE` may change.
const PRIVILEGED: u32 = fs::IMMUTABLE | fs::APPEND_ONLY;

/// `struct fsxattr` as words: flags, and sizes and a project that no file has.
type FsXattr = [u32; 7];

fn outside(mode: u32, name: fn(&(u32, u32, u32)) -> u32) -> u32 {
    FLAGS.iter().filter(|flag| mode & flag.0 != 0).fold(0, |all, flag| all | name(flag))
}

/// `EOPNOTSUPP` for a flag that there is not.
fn inside(wanted: u32, name: fn(&(u32, u32, u32)) -> u32) -> SysResult<u32> {
    let known = FLAGS.iter().fold(0, |all, flag| all | name(flag));
    if wanted & !known != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(FLAGS.iter().filter(|flag| wanted & name(flag) != 0).fold(0, |all, flag| all | flag.0))
}

fn set(mount: &Mount, inode: &InodeRef, flags: u32) -> SysResult<()> {
    if mount.read_only() {
        return Err(Errno::EROFS);
    }
    let _lock = inode.common().lock.lock();
    let attrs = inode.access_attrs();
    if !with_fs(|ctx| Ok(ctx.creds.owner_or_capable(&attrs)))? {
        return Err(Errno::EPERM);
    }
    if (attrs.mode ^ flags) & PRIVILEGED != 0 && !capable(Cap::LinuxImmutable as u32) {
        return Err(Errno::EPERM);
    }
    inode.set_fileattr(flags)
}

/// ioctl(2) of a file that may have flags. `ENOTTY` for one without, and for other requests.
pub fn ioctl(file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
    if !file.inode.has_fileattr() {
        return Err(Errno::ENOTTY);
    }
    let mode = file.inode.access_attrs().mode;
    match request {
        FS_IOC_GETFLAGS => arg.cast::<u32>().write(outside(mode, |flag| flag.1))?,
        FS_IOC_SETFLAGS => set(&file.path.mount, &file.inode, inside(arg.cast::<u32>().read()?, |flag| flag.1)?)?,
        FS_IOC_FSGETXATTR => arg.cast::<FsXattr>().write([outside(mode, |flag| flag.2), 0, 0, 0, 0, 0, 0])?,
        FS_IOC_FSSETXATTR => {
            let [flags, ..] = arg.cast::<FsXattr>().read()?;
            set(&file.path.mount, &file.inode, inside(flags, |flag| flag.2)?)?;
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// What file_getattr(2) tells. `EOPNOTSUPP` for a file without flags.
pub fn get_attributes(path: &Path) -> SysResult<FileAttr> {
    let inode = path.inode()?;
    if !inode.has_fileattr() {
        return Err(Errno::EOPNOTSUPP);
    }
    let xflags = outside(inode.access_attrs().mode, |flag| flag.2);
    Ok(FileAttr { fa_xflags: xflags.into(), ..FileAttr::default() })
}

/// file_setattr(2). `EINVAL` for flags that no file has, `EOPNOTSUPP` for those that this one has
/// not, and for sizes of extents and a project.
pub fn set_attributes(path: &Path, attr: &FileAttr) -> SysResult<()> {
    /// `FS_XFLAG_*` that there are.
    const KNOWN: u64 = 0x8001_fffb;
    /// `FS_XFLAG_PREALLOC` and `FS_XFLAG_HASATTR`, which are only told.
    const ONLY_TOLD: u64 = 0x8000_0002;
    /// `FS_XFLAG_EXTSIZE` and its like stand for the sizes: without these they are none.
    const EXTSIZE: u64 = 0x800;
    const EXTSZINHERIT: u64 = 0x1000;
    const COWEXTSIZE: u64 = 0x1_0000;
    let xflags = attr.fa_xflags;
    if xflags & !KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let inode = path.inode()?;
    if !inode.has_fileattr() {
        return Err(Errno::EOPNOTSUPP);
    }
    let is_dir = inode.file_type() == FileType::Dir;
    if xflags & EXTSIZE != 0 && is_dir || xflags & EXTSZINHERIT != 0 && !is_dir {
        return Err(Errno::EINVAL);
    }
    if (attr.fa_extsize, attr.fa_projid, attr.fa_cowextsize) != (0, 0, 0) {
        return Err(Errno::EOPNOTSUPP);
    }
    let flags = xflags & !(ONLY_TOLD | EXTSIZE | EXTSZINHERIT | COWEXTSIZE);
    set(&path.mount, inode, inside(flags as u32, |flag| flag.2)?)
}

/// What statx(2) tells of a file's flags: its attributes, and which of them can be there.
pub fn statx_attributes(inode: &InodeRef) -> (u64, u64) {
    if !inode.has_fileattr() {
        return (0, 0);
    }
    let known = u64::from(g::STATX_ATTR_IMMUTABLE | g::STATX_ATTR_APPEND | g::STATX_ATTR_NODUMP);
    (u64::from(outside(inode.access_attrs().mode, |flag| flag.1)) & known, known)
}
