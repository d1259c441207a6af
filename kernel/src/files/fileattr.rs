//! The flags of a file (ioctl_iflags(2), `FS_IOC_FSGETXATTR`): immutable, append only, and what only programs heed.

use fs::{Cap, InodeRef};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::{OpenFile, capable, with_fs};
use crate::usermem::UserAddr;

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

fn set(file: &OpenFile, flags: u32) -> SysResult<()> {
    let inode: &InodeRef = &file.inode;
    if file.path.mount.read_only() {
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
        FS_IOC_SETFLAGS => set(file, inside(arg.cast::<u32>().read()?, |flag| flag.1)?)?,
        FS_IOC_FSGETXATTR => arg.cast::<FsXattr>().write([outside(mode, |flag| flag.2), 0, 0, 0, 0, 0, 0])?,
        FS_IOC_FSSETXATTR => {
            let [flags, ..] = arg.cast::<FsXattr>().read()?;
            set(file, inside(flags, |flag| flag.2)?)?;
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// What statx(2) tells of a file's flags: its attributes, and which of them can be there.
pub fn statx_attributes(inode: &InodeRef) -> (u64, u64) {
    if !inode.has_fileattr() {
        return (0, 0);
    }
    let known = u64::from(g::STATX_ATTR_IMMUTABLE | g::STATX_ATTR_APPEND | g::STATX_ATTR_NODUMP);
    (u64::from(outside(inode.access_attrs().mode, |flag| flag.1)) & known, known)
}
