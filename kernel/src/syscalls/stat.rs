//! stat(2) and its forms, statx(2), statfs(2), access(2).

use alloc::sync::Arc;

use fs::{AccessMask, FileType, Metadata, Path};
use linux_raw_sys::general as g;
use syscall_shim::types::{Stat, Statfs, Statx, StatxTimestamp, Timespec};
use syscall_shim::{Errno, SysResult};

use super::paths::{any_file, find_at};
use super::statmount::unique_id;
use crate::usermem::{PATH_MAX, UserAddr, UserPtr};
use caller::{fs_credentials, with_fs, with_fs_as};
use fd::fileattr;
use task::current;
use task::namespace;

fn timespec(t: fs::Timespec) -> Timespec {
    Timespec { tv_sec: t.sec, tv_nsec: i64::from(t.nsec) }
}

/// `struct stat` of a file.
fn to_stat(m: &Metadata) -> Stat {
    Stat {
        st_dev: m.dev,
        st_ino: m.ino,
        st_nlink: u64::from(m.nlink),
        st_mode: m.mode,
        st_uid: m.uid,
        st_gid: m.gid,
        st_rdev: m.rdev,
        st_size: m.size as i64,
        st_blksize: i64::from(m.blksize),
        st_blocks: m.blocks as i64,
        st_atim: timespec(m.atime),
        st_mtim: timespec(m.mtime),
        st_ctim: timespec(m.ctime),
        ..Stat::default()
    }
}

const STAT_FLAGS: u32 = g::AT_SYMLINK_NOFOLLOW | g::AT_NO_AUTOMOUNT | g::AT_EMPTY_PATH | g::AT_STATX_SYNC_TYPE;

/// newfstatat(2).
pub fn newfstatat(dirfd: i32, path: UserAddr, out: UserPtr<Stat>, flags: u32) -> SysResult {
    let found = find_at(dirfd, path, flags, STAT_FLAGS)?;
    out.write(to_stat(&found.inode()?.metadata())).map(|()| 0)
}

/// stat(2).
pub fn stat(path: UserAddr, out: UserPtr<Stat>) -> SysResult {
    newfstatat(g::AT_FDCWD, path, out, 0)
}

/// lstat(2).
pub fn lstat(path: UserAddr, out: UserPtr<Stat>) -> SysResult {
    newfstatat(g::AT_FDCWD, path, out, g::AT_SYMLINK_NOFOLLOW)
}

/// fstat(2).
pub fn fstat(fd: i32, out: UserPtr<Stat>) -> SysResult {
    out.write(to_stat(&any_file(fd)?.inode.metadata())).map(|()| 0)
}

fn statx_timestamp(t: fs::Timespec) -> StatxTimestamp {
    StatxTimestamp { tv_sec: t.sec, tv_nsec: t.nsec, pad: 0 }
}

/// statx(2).
pub fn statx(dirfd: i32, path: UserAddr, flags: u32, mask: u32, out: UserPtr<Statx>) -> SysResult {
    const RESERVED: u32 = 0x8000_0000;
    if mask & RESERVED != 0 || flags & g::AT_STATX_SYNC_TYPE == g::AT_STATX_SYNC_TYPE {
        return Err(Errno::EINVAL);
    }
    let found = find_at(dirfd, path, flags, STAT_FLAGS)?;
    let m = found.inode()?.metadata();
    let (mut attributes, known) = fileattr::statx_attributes(found.inode()?);
    if found.is_mount_root() {
        attributes |= u64::from(g::STATX_ATTR_MOUNT_ROOT);
    }
    let changes = g::STATX_MTIME | g::STATX_CTIME;
    let mut given = g::STATX_BASIC_STATS | mask & g::STATX_BTIME;
    // These two cost something on Linux, and are given to who asks for one of them.
    if mask & changes == 0 {
        given &= !changes;
    }
    let mount_id = if mask & g::STATX_MNT_ID_UNIQUE != 0 {
        given |= g::STATX_MNT_ID_UNIQUE;
        unique_id(&found.mount)
    } else {
        given |= g::STATX_MNT_ID;
        u64::from(found.mount.id)
    };
    out.write(Statx {
        stx_mask: given,
        stx_blksize: m.blksize,
        stx_attributes: attributes,
        stx_attributes_mask: known | u64::from(g::STATX_ATTR_MOUNT_ROOT),
        stx_nlink: m.nlink,
        stx_uid: m.uid,
        stx_gid: m.gid,
        stx_mode: m.mode as u16,
        stx_ino: m.ino,
        stx_size: m.size,
        stx_blocks: m.blocks,
        stx_atime: statx_timestamp(m.atime),
        stx_btime: statx_timestamp(m.btime),
        stx_ctime: statx_timestamp(m.ctime),
        stx_mtime: statx_timestamp(m.mtime),
        stx_rdev_major: fs::major(m.rdev),
        stx_rdev_minor: fs::minor(m.rdev),
        stx_dev_major: fs::major(m.dev),
        stx_dev_minor: fs::minor(m.dev),
        stx_mnt_id: mount_id,
        ..Statx::default()
    })
    .map(|()| 0)
}

fn write_statfs(path: &Path, out: UserPtr<Statfs>) -> SysResult {
    let s = namespace().statfs(path)?;
    out.write(Statfs {
        f_type: s.magic as i64,
        f_bsize: s.bsize as i64,
        f_blocks: s.blocks,
        f_bfree: s.bfree,
        f_bavail: s.bavail,
        f_files: s.files,
        f_ffree: s.ffree,
        f_fsid: [s.fsid as i32, (s.fsid >> 32) as i32],
        f_namelen: s.namelen as i64,
        f_frsize: s.frsize as i64,
        f_flags: s.flags as i64,
        ..Statfs::default()
    })
    .map(|()| 0)
}

/// statfs(2).
pub fn statfs(path: UserAddr, out: UserPtr<Statfs>) -> SysResult {
    write_statfs(&find_at(g::AT_FDCWD, path, 0, 0)?, out)
}

/// fstatfs(2).
pub fn fstatfs(fd: i32, out: UserPtr<Statfs>) -> SysResult {
    write_statfs(&any_file(fd)?.path, out)
}

/// faccessat2(2).
pub fn faccessat2(dirfd: i32, path: UserAddr, mode: u32, flags: u32) -> SysResult {
    let mask = AccessMask::from_bits(mode).ok_or(Errno::EINVAL)?;
    if flags & !(g::AT_EACCESS | g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let own = current().credentials();
    let mut creds = fs_credentials(&own);
    if flags & g::AT_EACCESS == 0 && (own.fsuid != own.uid || own.fsgid != own.gid) {
        // As the real ids: root by them has its permitted capabilities, anybody else none.
        creds.fsuid = own.uid;
        creds.fsgid = own.gid;
        creds.caps = if own.uid == 0 { own.cap_permitted } else { 0 };
    }
    let lookup = super::paths::lookup_flags(flags & !g::AT_EACCESS, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)?;
    let name = super::paths::name_or_descriptor(dirfd, path, lookup)?;
    with_fs_as(&creds, |ctx| {
        let found = match &name.base {
            Some(base) if name.text.is_empty() && flags & g::AT_EMPTY_PATH != 0 => base.clone(),
            _ => namespace().resolve(ctx, name.at(), &name.text, lookup)?,
        };
        if mask.is_empty() { Ok(0) } else { namespace().access(ctx, &found, mask).map(|()| 0) }
    })
}

/// faccessat(2), whose system call has no flags.
pub fn faccessat(dirfd: i32, path: UserAddr, mode: u32) -> SysResult {
    faccessat2(dirfd, path, mode, 0)
}

/// access(2).
pub fn access(path: UserAddr, mode: u32) -> SysResult {
    faccessat2(g::AT_FDCWD, path, mode, 0)
}

/// chdir(2).
pub fn chdir(path: UserAddr) -> SysResult {
    let found = find_at(g::AT_FDCWD, path, 0, 0)?;
    enter(found).map(|dir| current().fs().set_cwd(dir)).map(|()| 0)
}

/// fchdir(2).
pub fn fchdir(fd: i32) -> SysResult {
    let found = any_file(fd)?.path.clone();
    enter(found).map(|dir| current().fs().set_cwd(dir)).map(|()| 0)
}

/// chroot(2).
pub fn chroot(path: UserAddr) -> SysResult {
    let found = find_at(g::AT_FDCWD, path, 0, 0)?;
    let dir = enter(found)?;
    if !fd::capable(fs::Cap::SysChroot as u32) {
        return Err(Errno::EPERM);
    }
    current().fs().set_root(dir);
    Ok(0)
}

/// The directory, if the caller may search it.
fn enter(path: Path) -> SysResult<Path> {
    if path.inode()?.file_type() != FileType::Dir {
        return Err(Errno::ENOTDIR);
    }
    with_fs(|ctx| namespace().access(ctx, &path, AccessMask::EXEC))?;
    Ok(path)
}

/// getcwd(2): the length with the NUL.
pub fn getcwd(buf: UserAddr, size: usize) -> SysResult {
    let own: Arc<_> = current().fs();
    let mut text = own.cwd().getcwd(&own.root())?;
    text.push(0);
    if text.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if text.len() > size {
        return Err(Errno::ERANGE);
    }
    crate::usermem::copy_out(buf, &text)?;
    Ok(text.len())
}

/// umask(2).
pub fn umask(mask: u32) -> SysResult {
    Ok(current().fs().set_umask(mask) as usize)
}
