//! mount(2), umount2(2).

use alloc::string::String;
use alloc::vec::Vec;

use fs::namespace::Propagation;
use fs::{Cap, LookupFlags, MountFlags, Path};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::{Name, find, name};
use crate::usermem::{UserAddr, read_cstr_bounded};
use crate::vfs;
use fd::capable;
use task::namespace;

/// Flags of mount(2) that change an existing mount instead of making one.
const CHANGES: u32 = g::MS_SHARED | g::MS_PRIVATE | g::MS_SLAVE | g::MS_UNBINDABLE;
const MNT_FORCE: u32 = 1;
const MNT_DETACH: u32 = 2;
const MNT_EXPIRE: u32 = 4;
const UMOUNT_NOFOLLOW: u32 = 8;

fn text(address: UserAddr) -> SysResult<Option<Vec<u8>>> {
    if address.is_null() {
        return Ok(None);
    }
    read_cstr_bounded(address, 4096)?.ok_or(Errno::EINVAL).map(Some)
}

fn utf8(bytes: Vec<u8>) -> SysResult<String> {
    String::from_utf8(bytes).map_err(|_| Errno::EINVAL)
}

/// The flags of a mount that `MS_*` flags ask for. Without a word about access times a new mount
/// has `relatime`, and one that is `there` keeps what it has.
fn mount_flags(flags: u32, there: Option<MountFlags>) -> MountFlags {
    const TIMES: MountFlags =
        MountFlags::NOATIME.union(MountFlags::NODIRATIME).union(MountFlags::RELATIME).union(MountFlags::STRICTATIME);
    let asked = MountFlags::from_bits_truncate(flags);
    let mut out = asked;
    if asked.contains(MountFlags::STRICTATIME) {
        out.remove(MountFlags::NOATIME | MountFlags::RELATIME);
    } else if !asked.contains(MountFlags::NOATIME) {
        out |= MountFlags::RELATIME;
    }
    match there {
        Some(there) if !asked.intersects(TIMES) => (out - TIMES) | (there & TIMES),
        _ => out,
    }
}

/// What the flags say about propagation: one kind, `MS_REC` and `MS_SILENT` aside.
pub(super) fn propagation(flags: u32) -> SysResult<Propagation> {
    match flags & !(g::MS_REC | g::MS_SILENT) {
        g::MS_SHARED => Ok(Propagation::Shared),
        g::MS_PRIVATE => Ok(Propagation::Private),
        g::MS_SLAVE => Ok(Propagation::Slave),
        g::MS_UNBINDABLE => Ok(Propagation::Unbindable),
        _ => Err(Errno::EINVAL),
    }
}

/// The place that the source of a bind or a move names. `EINVAL` without a name.
fn source_place(source: Option<&[u8]>) -> SysResult<Path> {
    let text = source.filter(|text| !text.is_empty()).ok_or(Errno::EINVAL)?;
    find(&Name { base: None, text: text.to_vec() }, LookupFlags::FOLLOW)
}

/// mount(2).
pub fn mount(source: UserAddr, target: UserAddr, kind: UserAddr, flags: u64, data: UserAddr) -> SysResult {
    let mut flags = flags as u32;
    if flags & g::MS_MGC_MSK == g::MS_MGC_VAL {
        flags &= !g::MS_MGC_MSK;
    }
    // All texts are read before the first is looked up.
    let kind = text(kind)?;
    let source = text(source)?;
    let data = text(data)?.unwrap_or_default();
    let place = find(&name(target)?, LookupFlags::FOLLOW)?;
    if !capable(Cap::SysAdmin as u32) {
        return Err(Errno::EPERM);
    }
    let ns = namespace();
    let recurse = flags & g::MS_REC != 0;
    if flags & g::MS_REMOUNT != 0 {
        let new = mount_flags(flags, Some(place.mount.flags()));
        if flags & g::MS_BIND != 0 { ns.remount(&place, new) } else { ns.reconfigure(&place, new, &utf8(data)?) }?;
    } else if flags & g::MS_BIND != 0 {
        ns.bind(&source_place(source.as_deref())?, &place, recurse)?;
    } else if flags & CHANGES != 0 {
        ns.set_propagation(&place, propagation(flags)?, recurse)?;
        return Ok(0);
    } else if flags & g::MS_MOVE != 0 {
        ns.move_mount(&source_place(source.as_deref())?, &place)?;
    } else {
        let kind = utf8(kind.ok_or(Errno::EINVAL)?)?;
        let data = utf8(data)?;
        let fs = vfs::file_system(&kind, source.as_deref(), &data, flags & g::MS_RDONLY != 0)?;
        let source = utf8(source.unwrap_or_else(|| b"none".to_vec()))?;
        ns.mount(fs, &source, &place, mount_flags(flags, None))?;
    }
    vfs::mounts_changed();
    Ok(0)
}

/// umount2(2).
pub fn umount2(target: UserAddr, flags: u32) -> SysResult {
    if flags & !(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = if flags & UMOUNT_NOFOLLOW == 0 { LookupFlags::FOLLOW } else { LookupFlags::empty() };
    let found = find(&name(target)?, follow)?;
    if !capable(Cap::SysAdmin as u32) {
        return Err(Errno::EPERM);
    }
    let expire = flags & MNT_EXPIRE != 0;
    if expire && flags & (MNT_FORCE | MNT_DETACH) != 0 {
        return Err(Errno::EINVAL);
    }
    // The topmost of a stack, also where the walk began in it.
    let place = namespace().cross(found);
    // What is unmounted is on its disk; an error is its file system's to tell.
    let _ = place.mount.fs.sync();
    namespace().umount(&place, flags & MNT_DETACH != 0, expire)?;
    vfs::mounts_changed();
    Ok(0)
}
