//! open(2), openat(2), openat2(2), creat(2), close(2), close_range(2).

use fs::namespace::OpenHow;
use fs::{LookupFlags, OpenFlags};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, PAGE_SIZE, ResolveFlags, SysResult, types};

use super::paths::{Name, name_at};
use crate::files::{missing_paths, open as open_files};
use crate::usermem::UserAddr;
use fd::{open_file, with_fs};
use task::namespace;
use task::{current, exec};

/// Flags that openat2(2) knows (`VALID_OPEN_FLAGS`).
const VALID_OPEN_FLAGS: u32 = 0o37777703 | g::O_CREAT;

fn open_name(name: &Name, how: &OpenHow) -> SysResult {
    let files = current().files()?;
    let slot = files.reserve(how.flags.contains(OpenFlags::CLOEXEC))?;
    open_file::check_count()?;
    let opened = with_fs(|ctx| namespace().open(ctx, name.at(), &name.text, how))
        .inspect_err(|errno| missing_paths::failed(&name.text, *errno))?;
    let file = open_files::open(opened, how.flags)?;
    Ok(slot.install(file) as usize)
}

/// openat(2).
pub fn openat(dirfd: i32, path: UserAddr, flags: u32, mode: u32) -> SysResult {
    let name = name_at(dirfd, path)?;
    let how = OpenHow { flags: OpenFlags::from_bits_retain(flags), mode: mode & 0o7777, ..OpenHow::default() };
    open_name(&name, &how)
}

/// open(2).
pub fn open(path: UserAddr, flags: u32, mode: u32) -> SysResult {
    openat(g::AT_FDCWD, path, flags, mode)
}

/// creat(2).
pub fn creat(path: UserAddr, mode: u32) -> SysResult {
    open(path, g::O_CREAT | g::O_WRONLY | g::O_TRUNC, mode)
}

/// openat2(2).
pub fn openat2(dirfd: i32, path: UserAddr, how: UserAddr, size: usize) -> SysResult {
    const KNOWN: usize = size_of::<types::OpenHow>();
    if size < KNOWN {
        return Err(Errno::EINVAL);
    }
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    let how_arg: types::OpenHow = crate::usermem::read_extensible(how, size)?;
    let flags = u32::try_from(how_arg.flags).ok().filter(|f| f & !VALID_OPEN_FLAGS == 0).ok_or(Errno::EINVAL)?;
    let flags = OpenFlags::from_bits_retain(flags);
    let creates = flags.intersects(OpenFlags::CREAT | OpenFlags::TMPFILE_BIT);
    if (!creates && how_arg.mode != 0) || how_arg.mode & !0o7777 != 0 {
        return Err(Errno::EINVAL);
    }
    let path_only = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    if flags.contains(OpenFlags::PATH) && !path_only.contains(flags) {
        return Err(Errno::EINVAL);
    }
    let resolve = ResolveFlags::from_bits(how_arg.resolve).ok_or(Errno::EINVAL)?;
    if resolve.contains(ResolveFlags::RESOLVE_BENEATH | ResolveFlags::RESOLVE_IN_ROOT) {
        return Err(Errno::EINVAL);
    }
    if resolve.contains(ResolveFlags::RESOLVE_CACHED)
        && flags.intersects(OpenFlags::TRUNC | OpenFlags::CREAT | OpenFlags::TMPFILE_BIT)
    {
        return Err(Errno::EAGAIN);
    }
    let mut lookup = LookupFlags::empty();
    for (theirs, ours) in [
        (ResolveFlags::RESOLVE_NO_XDEV, LookupFlags::NO_XDEV),
        (ResolveFlags::RESOLVE_NO_MAGICLINKS, LookupFlags::NO_MAGICLINKS),
        (ResolveFlags::RESOLVE_NO_SYMLINKS, LookupFlags::NO_SYMLINKS),
        (ResolveFlags::RESOLVE_BENEATH, LookupFlags::BENEATH),
        (ResolveFlags::RESOLVE_IN_ROOT, LookupFlags::IN_ROOT),
        (ResolveFlags::RESOLVE_CACHED, LookupFlags::CACHED),
    ] {
        lookup.set(ours, resolve.contains(theirs));
    }
    let mut name = name_at(dirfd, path)?;
    if lookup.intersects(LookupFlags::IN_ROOT | LookupFlags::BENEATH) && dirfd != g::AT_FDCWD {
        // An absolute path too starts at the directory, or is refused there.
        name.base = Some(super::paths::any_file(dirfd)?.path.clone());
    }
    open_name(&name, &OpenHow { flags, mode: how_arg.mode as u32, resolve: lookup })
}

/// close(2).
pub fn close(fd: i32) -> SysResult {
    current().files()?.close(fd).map(|()| 0)
}

/// close_range(2).
pub fn close_range(first: u32, last: u32, flags: u32) -> SysResult {
    const UNSHARE: u32 = 2;
    const CLOEXEC: u32 = 4;
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let task = current();
    if flags & UNSHARE != 0 {
        exec::unshare_files(task)?;
    }
    task.files()?.close_range(first as usize, last as usize, flags & CLOEXEC != 0);
    Ok(0)
}
