//! Arguments that name files: a path, or a path relative to a descriptor.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::{LookupFlags, Path};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use crate::usermem::{UserAddr, read_path};
use fd::{OpenFile, with_fs};
use task::namespace;
use task::{Task, current};

/// A path from the application, with the directory that it starts from if that is not the working
/// directory.
pub struct Name {
    /// The starting directory (`openat` and its like).
    pub base: Option<Path>,
    /// The text, perhaps empty.
    pub text: Vec<u8>,
}

impl Name {
    /// The base as the namespace takes it.
    pub fn at(&self) -> Option<&Path> {
        self.base.as_ref()
    }
}

/// The open file behind a descriptor. `EBADF`, also for `O_PATH`.
pub fn file(fd: i32) -> SysResult<Arc<OpenFile>> {
    let file = Task::own_file(fd)?;
    if file.is_path() { Err(Errno::EBADF) } else { Ok(file) }
}

/// The open file behind a descriptor, `O_PATH` or not.
pub fn any_file(fd: i32) -> SysResult<Arc<OpenFile>> {
    Task::own_file(fd)
}

/// A path relative to the working directory.
pub fn name(path: UserAddr) -> SysResult<Name> {
    Ok(Name { base: None, text: read_path(path)? })
}

/// A path relative to `dirfd`, which is not looked at when the path is absolute.
pub fn name_at(dirfd: i32, path: UserAddr) -> SysResult<Name> {
    name_of(dirfd, read_path(path)?)
}

/// The same where `lookup` may allow for no path at all, which means the descriptor itself.
pub fn name_or_descriptor(dirfd: i32, path: UserAddr, lookup: LookupFlags) -> SysResult<Name> {
    let text = read_path(path)?;
    if text.is_empty() && lookup.contains(LookupFlags::EMPTY) && dirfd != g::AT_FDCWD {
        any_file(dirfd)?;
    }
    name_of(dirfd, text)
}

fn name_of(dirfd: i32, text: Vec<u8>) -> SysResult<Name> {
    if dirfd == g::AT_FDCWD || text.first() == Some(&b'/') {
        return Ok(Name { base: None, text });
    }
    let base = match any_file(dirfd) {
        Ok(file) => Some(file.path.clone()),
        // The path is read before the descriptor is looked up.
        Err(_) if text.is_empty() => return Err(Errno::ENOENT),
        Err(e) => return Err(e),
    };
    Ok(Name { base, text })
}

/// Finds the file that a name stands for.
pub fn find(name: &Name, flags: LookupFlags) -> SysResult<Path> {
    with_fs(|ctx| namespace().resolve(ctx, name.at(), &name.text, flags))
}

/// Lookup flags for `AT_*` flags, of which only those in `allowed` may be set (`EINVAL`).
pub fn lookup_flags(flags: u32, allowed: u32) -> SysResult<LookupFlags> {
    if flags & !allowed != 0 {
        return Err(Errno::EINVAL);
    }
    let mut lookup = LookupFlags::empty();
    let follow = if allowed & g::AT_SYMLINK_FOLLOW != 0 {
        flags & g::AT_SYMLINK_FOLLOW != 0
    } else {
        flags & g::AT_SYMLINK_NOFOLLOW == 0
    };
    lookup.set(LookupFlags::FOLLOW, follow);
    lookup.set(LookupFlags::EMPTY, flags & g::AT_EMPTY_PATH != 0);
    Ok(lookup)
}

/// The file that a descriptor itself stands for, or the working directory.
pub fn of_descriptor(dirfd: i32) -> SysResult<Path> {
    if dirfd == g::AT_FDCWD { Ok(current().fs().cwd()) } else { Ok(any_file(dirfd)?.path.clone()) }
}

/// Finds the file of a call with `dirfd`, path and `AT_*` flags. With `AT_EMPTY_PATH` the path may
/// be empty (or, as later kernels allow, NULL) and means the descriptor itself, whatever its type.
pub fn find_at(dirfd: i32, path: UserAddr, flags: u32, allowed: u32) -> SysResult<Path> {
    let lookup = lookup_flags(flags, allowed)?;
    if lookup.contains(LookupFlags::EMPTY) && path.is_null() {
        return of_descriptor(dirfd);
    }
    let text = read_path(path)?;
    if text.is_empty() && lookup.contains(LookupFlags::EMPTY) {
        return of_descriptor(dirfd);
    }
    find(&name_of(dirfd, text)?, lookup)
}
