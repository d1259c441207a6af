//! name_to_handle_at(2), open_by_handle_at(2): files by what they are, not by their names.

use alloc::vec::Vec;

use fs::{Cap, OpenFlags, Path};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::{any_file, find_at, of_descriptor};
use crate::files::open as open_files;
use crate::usermem::{UserAddr, UserPtr, copy_in, copy_out};
use fd::{capable, open_file, with_fs};
use task::current;
use task::namespace;

/// Longest handle (`MAX_HANDLE_SZ`).
const MAX_HANDLE: u32 = 128;
/// `struct file_handle` without the handle: its length and its kind.
const HEAD: u64 = 8;
/// `AT_HANDLE_FID`: the handle need not be one that can be opened.
const AT_HANDLE_FID: u32 = 0x200;
/// `AT_HANDLE_MNT_ID_UNIQUE`: the mount's id is 64 bits long and not used again.
const AT_HANDLE_MNT_ID_UNIQUE: u32 = 1;

/// `AT_HANDLE_CONNECTABLE`: the handle names the directory, too. No file system here makes such
/// ones.
const AT_HANDLE_CONNECTABLE: u32 = 2;

/// What names a file where nobody could open it by that: its number and a generation
/// (`FILEID_INO64_GEN`).
fn number_of(path: &Path) -> SysResult<(i32, Vec<u8>)> {
    const KIND: i32 = 0x81;
    const GENERATION: u32 = 0;
    let number = path.inode()?.metadata().ino;
    Ok((KIND, number.to_le_bytes().into_iter().chain(GENERATION.to_le_bytes()).collect()))
}

/// name_to_handle_at(2).
pub fn name_to_handle_at(dirfd: i32, path: UserAddr, handle: UserAddr, mount_id: UserAddr, flags: u32) -> SysResult {
    let own = AT_HANDLE_FID | AT_HANDLE_MNT_ID_UNIQUE | AT_HANDLE_CONNECTABLE;
    let has = |flag| flags & flag != 0;
    if has(AT_HANDLE_FID) && has(AT_HANDLE_CONNECTABLE) {
        return Err(Errno::EINVAL);
    }
    let found = find_at(dirfd, path, flags & !own, g::AT_SYMLINK_FOLLOW | g::AT_EMPTY_PATH)?;
    if has(AT_HANDLE_CONNECTABLE) {
        return Err(Errno::EOPNOTSUPP);
    }
    let (kind, bytes) = match namespace().handle(&found) {
        Err(Errno::EOPNOTSUPP) if has(AT_HANDLE_FID) => number_of(&found)?,
        handle => handle?,
    };
    let head: UserPtr<[u32; 2]> = handle.cast();
    let [room, _] = head.read()?;
    if room > MAX_HANDLE {
        return Err(Errno::EINVAL);
    }
    let fits = bytes.len() <= room as usize;
    let id = found.mount.id;
    if flags & AT_HANDLE_MNT_ID_UNIQUE != 0 {
        mount_id.cast::<u64>().write(u64::from(id) + (1 << 31))?;
    } else {
        mount_id.cast::<u32>().write(id)?;
    }
    head.write([bytes.len() as u32, kind as u32])?;
    if !fits {
        return Err(Errno::EOVERFLOW);
    }
    copy_out(handle.add(HEAD), &bytes).map(|()| 0)
}

/// open_by_handle_at(2).
pub fn open_by_handle_at(mount_fd: i32, handle: UserAddr, flags: u32) -> SysResult {
    let [len, kind] = handle.cast::<[u32; 2]>().read()?;
    if len == 0 || len > MAX_HANDLE || (kind as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let anchor = if mount_fd == g::AT_FDCWD { of_descriptor(mount_fd)? } else { any_file(mount_fd)?.path.clone() };
    if !capable(Cap::DacReadSearch as u32) {
        return Err(Errno::EPERM);
    }
    let mut bytes = [0; MAX_HANDLE as usize];
    let bytes = bytes.get_mut(..len as usize).ok_or(Errno::EINVAL)?;
    copy_in(bytes, handle.add(HEAD))?;
    let flags = OpenFlags::from_bits_retain(flags);
    let files = current().files()?;
    let slot = files.reserve(flags.contains(OpenFlags::CLOEXEC))?;
    open_file::check_count()?;
    let place = namespace().by_handle(&anchor, kind as i32, bytes)?;
    let opened = with_fs(|ctx| namespace().open_place(ctx, place, flags))?;
    Ok(slot.install(open_files::open(opened, flags)?) as usize)
}
