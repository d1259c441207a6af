//! open(2).

use super::{Namespace, inode_permission, may_create, new_node, protection, want_write};
use crate::creds::Cap;
use crate::file::WriteAccess;
use crate::inode::InodeRef;
use crate::lease;
use crate::mount::MountFlags;
use crate::notify::{self, event};
use crate::path::Path;
use crate::platform::now;
use crate::types::*;
use crate::walk::{FsContext, Last, LookupFlags, Walker, lookup_child, lookup_locked};
use alloc::format;
use syscall_shim::{Errno, SysResult};

/// How to open: `struct open_how` of openat2(2).
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenHow {
    /// Flags.
    pub flags: OpenFlags,
    /// Permission bits of a file that is created, before umask.
    pub mode: u32,
    /// `RESOLVE_*` part of the lookup flags.
    pub resolve: LookupFlags,
}

/// What open(2) found or made.
#[derive(Debug)]
pub struct Opened {
    /// Its place; goes into the open file description.
    pub path: Path,
    /// The file.
    pub inode: InodeRef,
    /// True when this call created it.
    pub created: bool,
    /// True when `O_TRUNC` truncated it: whoever tells of the open file tells of that behind it.
    pub truncated: bool,
    /// The hold on a regular file opened for writing; goes into the open file description.
    pub write_access: Option<WriteAccess>,
}

/// `ACC_MODE`: what the access mode and `O_TRUNC` ask of the permission bits.
fn access_mask(flags: OpenFlags) -> AccessMask {
    let mask = match (flags & OpenFlags::ACCMODE).bits() {
        0 => AccessMask::READ,
        1 => AccessMask::WRITE,
        _ => AccessMask::READ | AccessMask::WRITE,
    };
    if flags.contains(OpenFlags::TRUNC) { mask | AccessMask::WRITE } else { mask }
}

/// `build_open_flags`: what goes together, and what `O_PATH` leaves.
pub(super) fn checked_flags(mut flags: OpenFlags) -> SysResult<OpenFlags> {
    use OpenFlags as O;
    if flags.contains(O::PATH) {
        return Ok(flags & (O::PATH | O::DIRECTORY | O::NOFOLLOW | O::CLOEXEC));
    }
    if flags.contains(O::TMPFILE_BIT) {
        let whole = flags.contains(O::DIRECTORY) && !flags.contains(O::CREAT);
        if !whole || !flags.writable() {
            return Err(Errno::EINVAL);
        }
    } else if flags.contains(O::CREAT | O::DIRECTORY) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(O::CREAT | O::EXCL) {
        flags |= O::NOFOLLOW;
    }
    Ok(flags)
}

impl Namespace {
    /// open(2), openat(2), openat2(2): finds or creates, checks permissions, truncates.
    /// [`crate::Inode::open`] and the `OPEN` event are the caller's, once it has a descriptor.
    pub fn open(&self, ctx: &FsContext<'_>, at: Option<&Path>, path: &[u8], how: &OpenHow) -> SysResult<Opened> {
        let flags = checked_flags(how.flags)?;
        let mut lookup = how.resolve;
        lookup.set(LookupFlags::FOLLOW, !flags.contains(OpenFlags::NOFOLLOW));
        lookup.set(LookupFlags::DIRECTORY, flags.contains(OpenFlags::DIRECTORY));
        if flags.contains(OpenFlags::TMPFILE_BIT) {
            let dir = self.resolve(ctx, at, path, lookup | LookupFlags::DIRECTORY)?;
            return self.open_tmpfile(ctx, &dir, flags, how.mode);
        }
        if flags.contains(OpenFlags::CREAT) {
            let (found, created, dir) = self.find_or_create(ctx, at, path, lookup, flags, how.mode)?;
            return self.finish_open(ctx, found, flags, created, dir);
        }
        let found = self.resolve(ctx, at, path, lookup)?;
        self.finish_open(ctx, found, flags, false, None)
    }

    /// The walk with `O_CREAT`: follows links in the last component, also those that dangle, and
    /// creates what is missing. Answers the file, whether it is new, and the attributes of the
    /// directory of one that is not.
    fn find_or_create(
        &self,
        ctx: &FsContext<'_>,
        at: Option<&Path>,
        path: &[u8],
        lookup: LookupFlags,
        flags: OpenFlags,
        mode: u32,
    ) -> SysResult<(Path, bool, Option<AccessAttrs>)> {
        let mut walker = Walker::new(self, ctx, at, path, lookup)?;
        loop {
            let (last, trailing) = walker.walk_to_last()?;
            let name = match last {
                Last::Name(_) if trailing => return Err(Errno::EISDIR),
                Last::Name(name) => name,
                Last::DotDot => return Ok((walker.place().parent(&ctx.root), false, None)),
                Last::Dot | Last::Root => return Ok((walker.place(), false, None)),
            };
            let dir = walker.place();
            let mut dentry = lookup_child(&dir.dentry, &name, lookup.contains(LookupFlags::CACHED))?;
            if dentry.inode().is_none() {
                let dir_inode = dir.inode()?;
                let guard = dir_inode.common().lock.lock();
                // Somebody else may have created it before the lock was ours.
                dentry = lookup_locked(&dir.dentry, &name)?;
                if dentry.inode().is_none() {
                    if dir.mount.fs.has_fixed_names() {
                        return Err(Errno::ENOENT);
                    }
                    want_write(&dir.mount)?;
                    may_create(ctx.creds, &dir)?;
                    let (node, lists) = new_node(ctx, dir_inode, S_IFREG | (mode & 0o7777))?;
                    let inode = dir_inode.create(&name, node)?;
                    lists.apply(&inode)?;
                    let dentry = dir.dentry.attach(&name, inode.clone());
                    drop(guard);
                    notify::notify(&inode, Some(dir_inode), &name, event::CREATE, 0);
                    return Ok((Path { mount: dir.mount.clone(), dentry }, true, None));
                }
            }
            let found = walker.cross(Path { mount: dir.mount.clone(), dentry })?;
            if !found.dentry.is_symlink() || flags.contains(OpenFlags::NOFOLLOW) {
                return Ok((found, false, Some(dir.inode()?.access_attrs())));
            }
            protection::may_follow(ctx.creds, &dir.inode()?.access_attrs(), &found.inode()?.access_attrs())?;
            walker.follow(&found, false)?;
        }
    }

    /// `do_open` and `may_open`: the checks of the file itself, then `O_TRUNC`.
    pub(super) fn finish_open(
        &self,
        ctx: &FsContext<'_>,
        path: Path,
        flags: OpenFlags,
        created: bool,
        dir: Option<AccessAttrs>,
    ) -> SysResult<Opened> {
        let inode = path.inode()?.clone();
        let file_type = inode.file_type();
        if flags.contains(OpenFlags::CREAT) && !created {
            if flags.contains(OpenFlags::EXCL) {
                return Err(Errno::EEXIST);
            }
            if file_type == FileType::Dir {
                return Err(Errno::EISDIR);
            }
            if let Some(dir) = dir {
                protection::may_open_existing(ctx.creds, &dir, &inode.access_attrs())?;
            }
        }
        if flags.contains(OpenFlags::DIRECTORY) && file_type != FileType::Dir {
            return Err(Errno::ENOTDIR);
        }
        if flags.contains(OpenFlags::PATH) {
            return Ok(Opened { path, inode, created, truncated: false, write_access: None });
        }
        if !created {
            may_open(ctx, &path, &inode, file_type, flags)?;
        }
        let mut opened = Opened { path, inode, created, truncated: false, write_access: None };
        let truncate = flags.contains(OpenFlags::TRUNC) && file_type == FileType::Regular && !created;
        let writes = flags.writable() && matches!(file_type, FileType::Regular | FileType::Dir);
        if truncate || writes {
            want_write(&opened.path.mount)?;
        }
        if file_type == FileType::Socket {
            return Err(Errno::ENXIO);
        }
        if file_type == FileType::Regular && (truncate || writes) {
            opened.inode.before_writing(truncate)?;
        }
        if flags.writable() && file_type == FileType::Regular {
            opened.write_access = Some(WriteAccess::get(&opened.inode)?);
        }
        if file_type == FileType::Regular {
            let writes = flags.bits() & OpenFlags::ACCMODE.bits() != 0;
            lease::break_leases(&opened.inode, writes || truncate, flags.contains(OpenFlags::NONBLOCK))?;
        }
        if truncate {
            let _access = if opened.write_access.is_none() { Some(WriteAccess::get(&opened.inode)?) } else { None };
            // A file without a size to set (a control file of procfs) is opened all the same, as
            // Linux's `simple_setattr` does.
            if opened.inode.mapping().is_some() {
                crate::file::truncate(&opened.inode, 0, u64::MAX, ctx.creds.capable(Cap::Fsetid))?;
                // Unlike truncate(2), O_TRUNC counts as a modification even of an empty file.
                opened.inode.setattr(&SetAttr { mtime: Some(now()), ..SetAttr::default() })?;
                opened.truncated = true;
            }
        }
        Ok(opened)
    }

    /// `O_TMPFILE`: a file without a name in the file system of `dir`; linkat(2) can name it later.
    fn open_tmpfile(&self, ctx: &FsContext<'_>, dir: &Path, flags: OpenFlags, mode: u32) -> SysResult<Opened> {
        want_write(&dir.mount)?;
        let dir_inode = dir.inode()?;
        inode_permission(ctx.creds, &dir.mount, dir_inode, AccessMask::WRITE | AccessMask::EXEC)?;
        let (node, lists) = new_node(ctx, dir_inode, S_IFREG | (mode & 0o7777))?;
        let inode = dir_inode.tmpfile(node)?;
        lists.apply(&inode)?;
        if !flags.contains(OpenFlags::EXCL) {
            inode.common().set_linkable();
        }
        let name = format!("#{}", inode.metadata().ino);
        let dentry = crate::Dentry::unlinked(inode.clone(), &dir.dentry, name.as_bytes());
        let write_access = Some(WriteAccess::get(&inode)?);
        Ok(Opened { path: Path { mount: dir.mount.clone(), dentry }, inode, created: true, truncated: false, write_access })
    }
}

/// `may_open`.
fn may_open(ctx: &FsContext<'_>, path: &Path, inode: &InodeRef, file_type: FileType, flags: OpenFlags) -> SysResult<()> {
    let mask = access_mask(flags);
    match file_type {
        FileType::Symlink => return Err(Errno::ELOOP),
        FileType::Dir if mask.contains(AccessMask::WRITE) => return Err(Errno::EISDIR),
        FileType::Block | FileType::Char if path.mount.flags().contains(MountFlags::NODEV) => return Err(Errno::EACCES),
        _ => {}
    }
    inode_permission(ctx.creds, &path.mount, inode, mask)?;
    if mask.contains(AccessMask::WRITE) && inode.access_attrs().mode & APPEND_ONLY != 0 {
        let appends = flags.contains(OpenFlags::APPEND) && !flags.contains(OpenFlags::TRUNC);
        if !appends {
            return Err(Errno::EPERM);
        }
    }
    if flags.contains(OpenFlags::NOATIME) && !ctx.creds.owner_or_capable(&inode.access_attrs()) {
        return Err(Errno::EPERM);
    }
    Ok(())
}
