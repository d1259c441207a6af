//! Descriptors: dup(2), fcntl(2), ioctl(2) as far as every file knows it.

use alloc::sync::Arc;

use fs::locks::LockKind;
use fs::{Cap, FileType, OpenFlags, Seals};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl as i;
use syscall_shim::types::FOwnerEx;
use syscall_shim::{Errno, SysResult};

use super::paths::{any_file, file};
use crate::usermem::UserAddr;
use fd::owner::{Owner, OwnerKind};
use fd::pipe::PipeEnd;
use fd::{OpenFile, capable, dnotify, lease};
use task::{current, group, table};

/// Linux 6.10: whether two descriptors are of one description.
const F_DUPFD_QUERY: u32 = g::F_LINUX_SPECIFIC_BASE + 3;
/// Linux 6.12: whether open(2) created the file.
const F_CREATED_QUERY: u32 = g::F_LINUX_SPECIFIC_BASE + 4;

/// dup(2).
pub fn dup(fd: i32) -> SysResult {
    let files = current().files()?;
    let file = files.get_any(fd)?;
    files.insert(file, false).map(|fd| fd as usize)
}

/// dup2(2).
pub fn dup2(old: i32, new: i32) -> SysResult {
    let files = current().files()?;
    let file = files.get_any(old)?;
    if old != new {
        files.replace(new, file, false)?;
    }
    Ok(new as usize)
}

/// dup3(2).
pub fn dup3(old: i32, new: i32, flags: u32) -> SysResult {
    if flags & !g::O_CLOEXEC != 0 || old == new {
        return Err(Errno::EINVAL);
    }
    let files = current().files()?;
    let file = files.get_any(old)?;
    files.replace(new, file, flags & g::O_CLOEXEC != 0)?;
    Ok(new as usize)
}

/// fcntl(2).
pub fn fcntl(fd: i32, cmd: u32, arg: u64) -> SysResult {
    let files = current().files()?;
    match cmd {
        g::F_DUPFD | g::F_DUPFD_CLOEXEC => {
            let file = files.get_any(fd)?;
            let limit = current().process.rlimit(g::RLIMIT_NOFILE);
            let from = u64::from(arg as u32);
            if from >= limit {
                return Err(Errno::EINVAL);
            }
            let slot = files.reserve_from(from as usize, cmd == g::F_DUPFD_CLOEXEC)?;
            return Ok(slot.install(file) as usize);
        }
        g::F_GETFD => return Ok(usize::from(files.is_cloexec(fd)?)),
        g::F_SETFD => return files.set_cloexec(fd, arg & u64::from(g::FD_CLOEXEC) != 0).map(|()| 0),
        g::F_GETFL => return Ok(any_file(fd)?.flags().bits() as usize),
        F_DUPFD_QUERY => {
            let (file, other) = (files.get_any(fd)?, files.get_any(arg as i32)?);
            return Ok(usize::from(Arc::ptr_eq(&file, &other)));
        }
        F_CREATED_QUERY => return Ok(usize::from(files.get_any(fd)?.created)),
        _ => {}
    }
    let file = file(fd)?;
    match cmd {
        g::F_SETFL => set_flags(&file, fd, OpenFlags::from_bits_retain(arg as u32)),
        g::F_GETLK | g::F_SETLK | g::F_SETLKW | g::F_OFD_GETLK | g::F_OFD_SETLK | g::F_OFD_SETLKW => {
            super::lock::record_lock(&file, cmd, UserAddr(arg))
        }
        g::F_SETOWN => set_signed_owner(&file, arg as i32),
        g::F_GETOWN => Ok(signed_owner(&file) as isize as usize),
        g::F_SETOWN_EX => {
            let ex = UserAddr(arg).cast::<FOwnerEx>().read()?;
            let kind = match ex.kind as u32 {
                g::F_OWNER_TID => OwnerKind::Thread,
                g::F_OWNER_PID => OwnerKind::Process,
                g::F_OWNER_PGRP => OwnerKind::Group,
                _ => return Err(Errno::EINVAL),
            };
            set_owner(&file, kind, ex.pid)
        }
        g::F_GETOWN_EX => {
            let owner = *file.owner.lock();
            let kind = match owner.kind {
                OwnerKind::Thread => g::F_OWNER_TID,
                OwnerKind::Process => g::F_OWNER_PID,
                OwnerKind::Group => g::F_OWNER_PGRP,
            };
            UserAddr(arg).cast::<FOwnerEx>().write(FOwnerEx { kind: kind as i32, pid: owner.pid }).map(|()| 0)
        }
        g::F_SETSIG => {
            let signal = i32::try_from(arg).ok().filter(|s| (0..=64).contains(s)).ok_or(Errno::EINVAL)?;
            file.owner.lock().signal = signal;
            Ok(0)
        }
        g::F_GETSIG => Ok(file.owner.lock().signal as usize),
        g::F_SETPIPE_SZ => {
            let end = file.ops_as::<PipeEnd>().ok_or(Errno::EBADF)?;
            end.pipe().set_capacity(arg as u32 as usize, capable(Cap::SysResource as u32))
        }
        g::F_GETPIPE_SZ => Ok(file.ops_as::<PipeEnd>().ok_or(Errno::EBADF)?.pipe().capacity()),
        g::F_ADD_SEALS => {
            file.flags().writable().then_some(()).ok_or(Errno::EPERM)?;
            let seals = Seals::from_bits(arg as u32).ok_or(Errno::EINVAL)?;
            let shared = file.inode.mapping().is_some_and(|m| m.has_writable_maps());
            file.inode.add_seals(seals, shared).map(|()| 0)
        }
        g::F_GET_SEALS => file.inode.seals().map(|s| s.bits() as usize),
        g::F_NOTIFY => dnotify::set(&file, current().files()?.id, fd, arg as u32).map(|()| 0),
        g::F_SETLEASE => lease::set(&file, fd, lock_kind(arg as u32)?).map(|()| 0),
        g::F_GETLEASE => Ok(match lease::get(&file) {
            Some(LockKind::Read) => g::F_RDLCK,
            Some(LockKind::Write) => g::F_WRLCK,
            None => g::F_UNLCK,
        } as usize),
        g::F_GET_RW_HINT => {
            let hint = file.inode.common().get_ext::<WriteHint>().map_or(0, |hint| hint.0);
            UserAddr(arg).cast::<u64>().write(hint).map(|()| 0)
        }
        g::F_SET_RW_HINT => set_write_hint(&file, UserAddr(arg)),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets the status flags. The descriptor that turns `O_ASYNC` on is the one that signals tell,
/// whichever it is called by later.
fn set_flags(file: &Arc<OpenFile>, fd: i32, flags: OpenFlags) -> SysResult {
    if (flags - file.flags()).contains(OpenFlags::ASYNC) {
        file.owner.lock().fd = fd;
    }
    file.set_flags(flags).map(|()| 0)
}

/// The owner as one number: a negative one is a process group's.
fn signed_owner(file: &OpenFile) -> i32 {
    let owner = *file.owner.lock();
    if owner.kind == OwnerKind::Group { -owner.pid } else { owner.pid }
}

fn set_signed_owner(file: &OpenFile, pid: i32) -> SysResult {
    let kind = if pid < 0 { OwnerKind::Group } else { OwnerKind::Process };
    set_owner(file, kind, pid.checked_abs().ok_or(Errno::EINVAL)?)
}

/// What `F_RDLCK`, `F_WRLCK` and `F_UNLCK` stand for.
pub(super) fn lock_kind(value: u32) -> SysResult<Option<LockKind>> {
    match value {
        g::F_RDLCK => Ok(Some(LockKind::Read)),
        g::F_WRLCK => Ok(Some(LockKind::Write)),
        g::F_UNLCK => Ok(None),
        _ => Err(Errno::EINVAL),
    }
}

/// How long what is written to the file is likely to stay (`RWH_WRITE_LIFE_*`): kept for whoever
/// asks.
struct WriteHint(u64);

/// `F_SET_RW_HINT`: the owner's.
fn set_write_hint(file: &OpenFile, arg: UserAddr) -> SysResult {
    let attrs = file.inode.access_attrs();
    if current().credentials().fsuid != attrs.uid && !capable(Cap::Fowner as u32) {
        return Err(Errno::EPERM);
    }
    let hint = arg.cast::<u64>().read()?;
    if hint > u64::from(g::RWH_WRITE_LIFE_EXTREME) {
        return Err(Errno::EINVAL);
    }
    file.inode.common().set_ext(Arc::new(WriteHint(hint)));
    Ok(0)
}

/// `ESRCH` for who is not there; 0 is nobody.
fn set_owner(file: &OpenFile, kind: OwnerKind, pid: i32) -> SysResult {
    let there = match kind {
        _ if pid == 0 => true,
        OwnerKind::Thread => table::task(pid).is_some(),
        OwnerKind::Process => table::process(pid).is_some(),
        OwnerKind::Group => group::members(pid).next().is_some(),
    };
    if !there {
        return Err(Errno::ESRCH);
    }
    let mut owner = file.owner.lock();
    *owner = Owner { kind, pid, ..*owner };
    Ok(0)
}

/// ioctl(2).
pub fn ioctl(fd: i32, request: u32, arg: UserAddr) -> SysResult {
    let file = file(fd)?;
    match request {
        i::FIOCLEX | i::FIONCLEX => current().files()?.set_cloexec(fd, request == i::FIOCLEX).map(|()| 0),
        i::FIONBIO => {
            file.set_nonblocking(arg.cast::<i32>().read()? != 0);
            Ok(0)
        }
        i::FIOASYNC => {
            let on = arg.cast::<i32>().read()? != 0;
            let mut flags = file.flags();
            if flags.contains(OpenFlags::ASYNC) != on && !file.ops.sends_signals() {
                return Err(Errno::ENOTTY);
            }
            flags.set(OpenFlags::ASYNC, on);
            set_flags(&file, fd, flags)
        }
        i::FIOSETOWN | i::SIOCSPGRP if file.ops.as_socket().is_some() => set_signed_owner(&file, arg.cast::<i32>().read()?),
        i::FIOGETOWN | i::SIOCGPGRP if file.ops.as_socket().is_some() => {
            arg.cast::<i32>().write(signed_owner(&file)).map(|()| 0)
        }
        // Of what lies in a file system that counts in blocks.
        i::FIGETBSZ if !file.path.dentry.is_anonymous() => {
            arg.cast::<i32>().write(file.inode.metadata().blksize as i32).map(|()| 0)
        }
        i::FIGETBSZ => Err(Errno::EINVAL),
        i::FIOQSIZE => match file.inode.file_type() {
            FileType::Regular | FileType::Dir | FileType::Symlink => {
                arg.cast::<i64>().write(file.inode.metadata().size as i64).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY),
        },
        // Nothing here can be held still for a copy of it.
        i::FIFREEZE | i::FITHAW => Err(if capable(fs::Cap::SysAdmin as u32) { Errno::EOPNOTSUPP } else { Errno::EPERM }),
        _ => file.ops.ioctl(&file, request, arg),
    }
}
