//! Mounts by descriptor: fsopen(2), fsconfig(2), fsmount(2), fspick(2), open_tree(2),
//! move_mount(2), mount_setattr(2), pivot_root(2).

use alloc::string::String;

use fs::{Cap, LookupFlags, Path};
use linux_raw_sys::general as g;
use syscall_shim::types::MountAttr;
use syscall_shim::{Errno, PAGE_SIZE, SysResult};

use super::mount::propagation;
use super::paths::{self, find, find_at, name};
use crate::files::fs_context::{FsContextFile, Value, attributes};
use crate::files::open;
use crate::usermem::{UserAddr, read_bytes, read_cstr_bounded, read_extensible, read_path};
use crate::vfs;
use fd::{OpenFile, capable};
use task::namespace;
use task::{current, table};

/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`, `FSPICK_CLOEXEC`
const CLOEXEC: u32 = 1;
const AT_RECURSIVE: u32 = 0x8000;
/// Longest name and text of a parameter, with the NUL.
const PARAMETER_SIZE: usize = 256;

fn may_mount() -> SysResult<()> {
    if capable(Cap::SysAdmin as u32) { Ok(()) } else { Err(Errno::EPERM) }
}

fn install(file: alloc::sync::Arc<OpenFile>, cloexec: bool) -> SysResult {
    current().files()?.insert(file, cloexec).map(|fd| fd as usize)
}

fn text(from: UserAddr, size: usize) -> SysResult<String> {
    let bytes = read_cstr_bounded(from, size)?.ok_or(Errno::EINVAL)?;
    String::from_utf8(bytes).map_err(|_| Errno::EINVAL)
}

/// fsopen(2).
pub fn fsopen(kind: UserAddr, flags: u32) -> SysResult {
    may_mount()?;
    if flags & !CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    install(FsContextFile::open(text(kind, 4096)?)?, flags & CLOEXEC != 0)
}

/// fsconfig(2).
pub fn fsconfig(fd: i32, command: u32, key: UserAddr, value: UserAddr, aux: i32) -> SysResult {
    const SET_FLAG: u32 = 0;
    const SET_STRING: u32 = 1;
    const SET_BINARY: u32 = 2;
    const SET_PATH: u32 = 3;
    const SET_PATH_EMPTY: u32 = 4;
    const SET_FD: u32 = 5;
    const CREATE: u32 = 6;
    const RECONFIGURE: u32 = 7;
    const CREATE_EXCL: u32 = 8;
    const MAX_BINARY: i32 = 1 << 20;
    if fd < 0 {
        return Err(Errno::EINVAL);
    }
    let (has_key, has_value) = (!key.is_null(), !value.is_null());
    let valid = match command {
        SET_FLAG => has_key && !has_value && aux == 0,
        SET_STRING => has_key && has_value && aux == 0,
        SET_BINARY => has_key && has_value && (1..=MAX_BINARY).contains(&aux),
        SET_PATH | SET_PATH_EMPTY => has_key && has_value && (aux == g::AT_FDCWD || aux >= 0),
        SET_FD => has_key && !has_value && aux >= 0,
        CREATE | RECONFIGURE | CREATE_EXCL => !has_key && !has_value && aux == 0,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    if !valid {
        return Err(Errno::EINVAL);
    }
    let file = paths::file(fd)?;
    let context = FsContextFile::of(&file)?;
    let key = if has_key { text(key, PARAMETER_SIZE)? } else { String::new() };
    match command {
        SET_FLAG => context.set(&key, Value::Flag),
        SET_STRING => context.set(&key, Value::Text(&text(value, PARAMETER_SIZE)?)),
        SET_BINARY => {
            read_bytes(value, aux as usize)?;
            context.set(&key, Value::Other)
        }
        SET_PATH | SET_PATH_EMPTY => {
            read_path(value)?;
            context.set(&key, Value::Other)
        }
        SET_FD => {
            paths::any_file(aux)?;
            context.set(&key, Value::Other)
        }
        RECONFIGURE => may_mount().and_then(|()| context.reconfigure()),
        _ => may_mount().and_then(|()| context.create()),
    }
    .map(|()| 0)
}

/// fsmount(2).
pub fn fsmount(fd: i32, flags: u32, attr_flags: u32) -> SysResult {
    const TIMES: u64 = 0x70;
    may_mount()?;
    if flags & !CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let change = attributes(attr_flags.into(), TIMES)?;
    let file = paths::file(fd)?;
    let mounted = FsContextFile::of(&file)?.mount(change.set)?;
    install(open::tree(mounted)?, flags & CLOEXEC != 0)
}

/// fspick(2).
pub fn fspick(dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    const SYMLINK_NOFOLLOW: u32 = 2;
    const NO_AUTOMOUNT: u32 = 4;
    const EMPTY_PATH: u32 = 8;
    may_mount()?;
    if flags & !(CLOEXEC | SYMLINK_NOFOLLOW | NO_AUTOMOUNT | EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let place = place_of(dirfd, path, flags & SYMLINK_NOFOLLOW == 0, flags & EMPTY_PATH != 0)?;
    install(FsContextFile::pick(&place)?, flags & CLOEXEC != 0)
}

/// The place that a descriptor and a path name.
fn place_of(dirfd: i32, path: UserAddr, follow: bool, empty: bool) -> SysResult<Path> {
    let mut flags = if follow { 0 } else { g::AT_SYMLINK_NOFOLLOW };
    if empty {
        flags |= g::AT_EMPTY_PATH;
    }
    find_at(dirfd, path, flags, g::AT_SYMLINK_NOFOLLOW | g::AT_EMPTY_PATH)
}

const TREE_FLAGS: u32 = g::AT_EMPTY_PATH | g::AT_SYMLINK_NOFOLLOW | g::AT_NO_AUTOMOUNT | AT_RECURSIVE;

/// open_tree(2).
pub fn open_tree(dirfd: i32, path: UserAddr, flags: u32) -> SysResult {
    open_tree_attr(dirfd, path, flags, UserAddr(0), 0)
}

/// open_tree_attr(2): the same, and what mount_setattr(2) would do before anybody sees it.
pub fn open_tree_attr(dirfd: i32, path: UserAddr, flags: u32, attr: UserAddr, size: usize) -> SysResult {
    const CLONE: u32 = 1;
    let recurse = flags & AT_RECURSIVE != 0;
    let clone = flags & CLONE != 0;
    if attr.is_null() && size != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & !(TREE_FLAGS | CLONE | g::O_CLOEXEC) != 0 || recurse && !clone {
        return Err(Errno::EINVAL);
    }
    if clone {
        may_mount()?;
    }
    let follow = flags & g::AT_SYMLINK_NOFOLLOW == 0;
    let place = place_of(dirfd, path, follow, flags & g::AT_EMPTY_PATH != 0)?;
    let file = match clone {
        true => open::tree(namespace().copy_detached(&place, recurse)?)?,
        false => open::place_only(place)?,
    };
    if !attr.is_null() {
        change_mount(&file.path, recurse, attr, size)?;
    }
    install(file, flags & g::O_CLOEXEC != 0)
}

/// move_mount(2).
pub fn move_mount(from_fd: i32, from: UserAddr, to_fd: i32, to: UserAddr, flags: u32) -> SysResult {
    const FROM_SYMLINKS: u32 = 1;
    const FROM_AUTOMOUNTS: u32 = 2;
    const FROM_EMPTY: u32 = 4;
    const TO_SYMLINKS: u32 = 0x10;
    const TO_AUTOMOUNTS: u32 = 0x20;
    const TO_EMPTY: u32 = 0x40;
    const SET_GROUP: u32 = 0x100;
    const BENEATH: u32 = 0x200;
    const KNOWN: u32 =
        FROM_SYMLINKS | FROM_AUTOMOUNTS | FROM_EMPTY | TO_SYMLINKS | TO_AUTOMOUNTS | TO_EMPTY | SET_GROUP | BENEATH;
    may_mount()?;
    if flags & !KNOWN != 0 || flags & (BENEATH | SET_GROUP) == BENEATH | SET_GROUP {
        return Err(Errno::EINVAL);
    }
    let to = place_of(to_fd, to, flags & TO_SYMLINKS != 0, flags & TO_EMPTY != 0)?;
    let from = place_of(from_fd, from, flags & FROM_SYMLINKS != 0, flags & FROM_EMPTY != 0)?;
    let ns = namespace();
    if flags & SET_GROUP != 0 {
        ns.join_group(&from, &to)?;
    } else if flags & BENEATH != 0 {
        ns.move_beneath(&from, &to)?;
    } else {
        ns.move_mount(&from, &to)?;
    }
    vfs::mounts_changed();
    Ok(0)
}

/// Reads what is to change. `EINVAL`, `E2BIG`.
fn read_attributes(attr: UserAddr, size: usize) -> SysResult<MountAttr> {
    if size > PAGE_SIZE {
        return Err(Errno::E2BIG);
    }
    if size < size_of::<MountAttr>() {
        return Err(Errno::EINVAL);
    }
    may_mount()?;
    read_extensible(attr, size)
}

fn changes_nothing(new: &MountAttr) -> bool {
    new.attr_set == 0 && new.attr_clr == 0 && new.propagation == 0
}

/// mount_setattr(2) on a mount that is known.
fn change_mount(place: &Path, recurse: bool, attr: UserAddr, size: usize) -> SysResult<()> {
    let new = read_attributes(attr, size)?;
    if changes_nothing(&new) { Ok(()) } else { apply(place, recurse, &new) }
}

/// What the attributes ask for. `EINVAL`; `EPERM` for an id mapping, as there is no user namespace
/// but the first.
fn parse(new: &MountAttr) -> SysResult<fs::namespace::MountChange> {
    const IDMAP: u64 = 0x10_0000;
    let kinds = u32::try_from(new.propagation).map_err(|_| Errno::EINVAL)?;
    let to = match kinds {
        0 => None,
        kinds if kinds & (g::MS_REC | g::MS_SILENT) != 0 => return Err(Errno::EINVAL),
        kinds => Some(propagation(kinds)?),
    };
    let mut change = attributes(new.attr_set & !IDMAP, new.attr_clr & !IDMAP)?;
    change.propagation = to;
    if new.attr_clr & IDMAP != 0 {
        return Err(Errno::EINVAL);
    }
    if new.attr_set & IDMAP != 0 {
        let fd = i32::try_from(new.userns_fd).map_err(|_| Errno::EINVAL)?;
        let file = paths::file(fd)?;
        return Err(if crate::pseudo::is_user_namespace(&file.inode) { Errno::EPERM } else { Errno::EINVAL });
    }
    Ok(change)
}

fn apply(place: &Path, recurse: bool, new: &MountAttr) -> SysResult<()> {
    let change = parse(new)?;
    namespace().change_mount(place, &change, recurse)?;
    vfs::mounts_changed();
    Ok(())
}

/// mount_setattr(2).
pub fn mount_setattr(dirfd: i32, path: UserAddr, flags: u32, attr: UserAddr, size: usize) -> SysResult {
    if flags & !TREE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let new = read_attributes(attr, size)?;
    if changes_nothing(&new) {
        return Ok(0);
    }
    parse(&new)?;
    let follow = flags & g::AT_SYMLINK_NOFOLLOW == 0;
    let place = place_of(dirfd, path, follow, flags & g::AT_EMPTY_PATH != 0)?;
    apply(&place, flags & AT_RECURSIVE != 0, &new).map(|()| 0)
}

/// pivot_root(2): whoever has the old root as root or working directory gets the new one.
pub fn pivot_root(new_root: UserAddr, put_old: UserAddr) -> SysResult {
    may_mount()?;
    let directory = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let new = find(&name(new_root)?, directory)?;
    let old = find(&name(put_old)?, directory)?;
    let root = current().fs().root();
    namespace().pivot_root(&root, &new, &old)?;
    for process in table::processes() {
        for task in process.threads() {
            let own = task.fs();
            if own.root() == root {
                own.set_root(new.clone());
            }
            if own.cwd() == root {
                own.set_cwd(new.clone());
            }
        }
    }
    vfs::mounts_changed();
    Ok(0)
}
