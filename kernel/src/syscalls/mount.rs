//! mount(2), umount2(2).

use alloc::string::String;
use alloc::sync::Arc;

use fs::tmpfs::TmpfsOptions;
use fs::{Cap, FileSystem, LookupFlags, MountFlags};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::{find, name};
use crate::files::tty::DevptsOptions;
use crate::files::{capable, tty};
use crate::usermem::{UserAddr, read_cstr_bounded};
use crate::vfs::{self, namespace};

/// Flags of mount(2) that change an existing mount instead of making one.
const CHANGES: u32 = g::MS_SHARED | g::MS_PRIVATE | g::MS_SLAVE | g::MS_UNBINDABLE;
const MNT_FORCE: u32 = 1;
const MNT_DETACH: u32 = 2;
const MNT_EXPIRE: u32 = 4;
const UMOUNT_NOFOLLOW: u32 = 8;

fn text(address: UserAddr) -> SysResult<String> {
    if address.is_null() {
        return Ok(String::new());
    }
    let bytes = read_cstr_bounded(address, 4096)?.ok_or(Errno::EINVAL)?;
    String::from_utf8(bytes).map_err(|_| Errno::EINVAL)
}

/// A size with the suffix of tmpfs(5); `%` is a share of memory.
fn size(value: &str) -> Option<u64> {
    if let Some(percent) = value.strip_suffix('%') {
        let total = crate::mm::frames::stats().total as u64 * 4096;
        return percent.parse::<u64>().ok().map(|p| total / 100 * p);
    }
    let (digits, shift) = match value.as_bytes().last()? {
        b'k' | b'K' => (value.get(..value.len() - 1)?, 10),
        b'm' | b'M' => (value.get(..value.len() - 1)?, 20),
        b'g' | b'G' => (value.get(..value.len() - 1)?, 30),
        _ => (value, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn tmpfs_options(data: &str) -> SysResult<TmpfsOptions> {
    let mut options = TmpfsOptions::default();
    for option in data.split(',').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let id = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
        match key {
            "size" => options.size = Some(size(value).ok_or(Errno::EINVAL)?),
            "nr_blocks" => options.size = Some(size(value).ok_or(Errno::EINVAL)?.saturating_mul(4096)),
            "nr_inodes" => options.nr_inodes = Some(size(value).ok_or(Errno::EINVAL)?),
            "mode" => options.mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & 0o7777,
            "uid" => options.uid = id()?,
            "gid" => options.gid = id()?,
            "huge" | "mpol" | "inode32" | "inode64" => {}
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(options)
}

fn file_system(kind: &str, data: &str) -> SysResult<Arc<dyn FileSystem>> {
    Ok(match kind {
        "tmpfs" | "ramfs" => vfs::new_tmpfs(tmpfs_options(data)?)?,
        "proc" => crate::pseudo::procfs(),
        "sysfs" => crate::pseudo::sysfs(),
        "devpts" => tty::devpts(DevptsOptions::parse(data)?),
        "mqueue" => crate::ipc::mqueue::file_system(),
        _ => return Err(Errno::ENODEV),
    })
}

/// mount(2).
pub fn mount(source: UserAddr, target: UserAddr, kind: UserAddr, flags: u64, data: UserAddr) -> SysResult {
    let flags = flags as u32;
    if !capable(Cap::SysAdmin as u32) {
        return Err(Errno::EPERM);
    }
    // All texts are read before the first is looked up.
    let kind = text(kind)?;
    let label = if flags & g::MS_BIND != 0 { String::new() } else { text(source)? };
    let data = text(data)?;
    let place = find(&name(target)?, LookupFlags::FOLLOW)?;
    let mut per_mount = MountFlags::from_bits_truncate(flags);
    if !per_mount.intersects(MountFlags::NOATIME | MountFlags::STRICTATIME) {
        per_mount |= MountFlags::RELATIME;
    }
    let ns = namespace();
    if flags & g::MS_REMOUNT != 0 {
        if !place.is_mount_root() {
            return Err(Errno::EINVAL);
        }
        place.mount.set_flags(per_mount);
    } else if flags & g::MS_BIND != 0 {
        let from = find(&name(source)?, LookupFlags::FOLLOW)?;
        ns.bind(&from, &place)?;
    } else if flags & CHANGES != 0 {
        // There is one namespace, so nothing propagates anywhere whatever the type.
        if !place.is_mount_root() {
            return Err(Errno::EINVAL);
        }
    } else if flags & g::MS_MOVE != 0 {
        return Err(Errno::EINVAL);
    } else {
        let fs = file_system(&kind, &data)?;
        let mut source = label;
        if source.is_empty() {
            source.push_str("none");
        }
        ns.mount(fs, &source, &place, per_mount)?;
    }
    vfs::mounts_changed();
    Ok(0)
}

/// umount2(2).
pub fn umount2(target: UserAddr, flags: u32) -> SysResult {
    if flags & !(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MNT_EXPIRE != 0 && flags & (MNT_FORCE | MNT_DETACH) != 0 {
        return Err(Errno::EINVAL);
    }
    if !capable(Cap::SysAdmin as u32) {
        return Err(Errno::EPERM);
    }
    let follow = if flags & UMOUNT_NOFOLLOW == 0 { LookupFlags::FOLLOW } else { LookupFlags::empty() };
    let place = find(&name(target)?, follow)?;
    if flags & MNT_EXPIRE != 0 {
        return Err(Errno::EAGAIN);
    }
    namespace().umount(&place, flags & MNT_DETACH != 0)?;
    vfs::mounts_changed();
    Ok(0)
}
