//! What is mounted: statmount(2), listmount(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::{Mount, MountFlags, Path};
use linux_raw_sys::general as g;
use syscall_shim::types::{MntIdReq, StatMount};
use syscall_shim::{Errno, PAGE_SIZE, SysResult};

use crate::usermem::{UserAddr, UserPtr, read_extensible};
use fd::capable;
use task::current;
use task::namespace;

/// Numbers of mounts that are never used again begin behind this (`MNT_UNIQUE_ID_OFFSET`), so that
/// nobody takes one for a number of the old kind.
pub(super) const UNIQUE_ID_OFFSET: u64 = 1 << 31;
/// The number of the one mount namespace (`MNT_NS_INIT_ID`).
const NAMESPACE_ID: u64 = 8;

const SB_BASIC: u64 = 0x1;
const MNT_BASIC: u64 = 0x2;
const PROPAGATE_FROM: u64 = 0x4;
const MNT_ROOT: u64 = 0x8;
const MNT_POINT: u64 = 0x10;
const FS_TYPE: u64 = 0x20;
const MNT_NS_ID: u64 = 0x40;
const MNT_OPTS: u64 = 0x80;
const FS_SUBTYPE: u64 = 0x100;
const SB_SOURCE: u64 = 0x200;
const OPT_ARRAY: u64 = 0x400;
const OPT_SEC_ARRAY: u64 = 0x800;
const SUPPORTED_MASK: u64 = 0x1000;
const ID_MAPS: u64 = 0x6000;
const SUPPORTED: u64 = 0x7fff;
/// Those that are told as texts.
const TEXTS: u64 = MNT_ROOT | MNT_POINT | FS_TYPE | MNT_OPTS | FS_SUBTYPE | SB_SOURCE | OPT_ARRAY | OPT_SEC_ARRAY | ID_MAPS;

/// The number of a mount that is never used again.
pub(super) fn unique_id(mount: &Mount) -> u64 {
    UNIQUE_ID_OFFSET + u64::from(mount.id)
}

fn request(from: UserPtr<u32>) -> SysResult<MntIdReq> {
    const FIRST_SIZE: u32 = 24;
    let size = from.read()?;
    if size > PAGE_SIZE as u32 {
        return Err(Errno::E2BIG);
    }
    if size < FIRST_SIZE {
        return Err(Errno::EINVAL);
    }
    let request: MntIdReq = read_extensible(from.addr(), size as usize)?;
    if request.spare != 0 || request.mnt_id <= UNIQUE_ID_OFFSET {
        return Err(Errno::EINVAL);
    }
    Ok(request)
}

fn check_namespace(request: &MntIdReq) -> SysResult<()> {
    if matches!(request.mnt_ns_id, 0 | NAMESPACE_ID) { Ok(()) } else { Err(Errno::ENOENT) }
}

fn mount_with(id: u64) -> SysResult<Arc<Mount>> {
    let id = id.checked_sub(UNIQUE_ID_OFFSET).and_then(|id| u32::try_from(id).ok());
    id.and_then(|id| namespace().mount_with_id(id)).ok_or(Errno::ENOENT)
}

fn top(mount: &Arc<Mount>) -> Path {
    Path::new(mount.clone(), mount.root.clone())
}

/// `EPERM` for a place that does not lie below the caller's root, except for who may mount.
fn check_sight(place: &Path, root: &Path) -> SysResult<()> {
    if place.display_below(root).is_some() || capable(fs::Cap::SysAdmin as u32) { Ok(()) } else { Err(Errno::EPERM) }
}

/// `MOUNT_ATTR_*`
fn attributes(flags: MountFlags) -> u64 {
    let plain = [
        (MountFlags::RDONLY, 0x1),
        (MountFlags::NOSUID, 0x2),
        (MountFlags::NODEV, 0x4),
        (MountFlags::NOEXEC, 0x8),
        (MountFlags::NOATIME, 0x10),
        (MountFlags::NODIRATIME, 0x80),
        (MountFlags::NOSYMFOLLOW, 0x20_0000),
    ];
    let strict = !flags.intersects(MountFlags::NOATIME | MountFlags::RELATIME);
    let bits = plain.iter().filter(|(flag, _)| flags.contains(*flag)).fold(0, |all, (_, bit)| all | bit);
    bits | if strict { 0x20 } else { 0 }
}

/// `MS_SHARED` and so on.
fn propagation(mount: &Mount) -> u64 {
    let mut bits = 0;
    bits |= if mount.group() != 0 { g::MS_SHARED } else { 0 };
    bits |= if mount.master() != 0 { g::MS_SLAVE } else { 0 };
    bits |= if mount.unbindable() { g::MS_UNBINDABLE } else { 0 };
    u64::from(if bits == 0 { g::MS_PRIVATE } else { bits })
}

/// The texts behind the structure. The first byte is a NUL, so that offset 0 is the empty text.
struct Texts(Vec<u8>);

impl Texts {
    /// Adds one, and answers where it is. The `bit` of one that is empty is not set.
    fn add(&mut self, mask: &mut u64, bit: u64, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.0.len();
        self.0.extend_from_slice(text);
        self.0.push(0);
        *mask |= bit;
        at as u32
    }
}

/// What is asked for, and the texts.
fn describe(mount: &Arc<Mount>, root: &Path, wanted: u64) -> SysResult<(StatMount, Vec<u8>)> {
    let asks = |bit| wanted & bit != 0;
    let mut out = StatMount {
        mask: wanted & (SB_BASIC | MNT_BASIC | PROPAGATE_FROM | MNT_NS_ID | SUPPORTED_MASK),
        ..StatMount::default()
    };
    if asks(SB_BASIC) {
        out.sb_dev_major = fs::major(mount.fs.dev());
        out.sb_dev_minor = fs::minor(mount.fs.dev());
        out.sb_magic = mount.fs.statfs()?.magic;
        out.sb_flags = if mount.fs.read_only() { g::MS_RDONLY } else { 0 };
    }
    if asks(MNT_BASIC) {
        let parent = mount.place().map_or_else(|| mount.clone(), |place| place.mount);
        out.mnt_id = unique_id(mount);
        out.mnt_parent_id = unique_id(&parent);
        out.mnt_id_old = mount.id;
        out.mnt_parent_id_old = parent.id;
        out.mnt_attr = attributes(mount.flags());
        out.mnt_propagation = propagation(mount);
        out.mnt_peer_group = mount.group().into();
        out.mnt_master = mount.master().into();
    }
    if asks(PROPAGATE_FROM) {
        out.propagate_from = mount.master().into();
    }
    if asks(MNT_NS_ID) {
        out.mnt_ns_id = NAMESPACE_ID;
    }
    if asks(SUPPORTED_MASK) {
        out.supported_mask = SUPPORTED;
    }
    let mut texts = Texts(Vec::from([0]));
    if asks(FS_TYPE) {
        out.fs_type = texts.add(&mut out.mask, FS_TYPE, mount.fs.name().as_bytes());
    }
    if asks(MNT_ROOT) {
        out.mnt_root = texts.add(&mut out.mask, MNT_ROOT, &mount.root.name_in_fs());
    }
    if asks(MNT_POINT) {
        out.mnt_point = texts.add(&mut out.mask, MNT_POINT, &top(mount).display_below(root).unwrap_or_default());
    }
    let options = mount.fs.options();
    if asks(MNT_OPTS) {
        out.mnt_opts = texts.add(&mut out.mask, MNT_OPTS, options.as_bytes());
    }
    if asks(OPT_ARRAY) && !options.is_empty() {
        out.opt_num = options.split(',').count() as u32;
        out.opt_array = texts.add(&mut out.mask, OPT_ARRAY, options.replace(',', "\0").as_bytes());
    }
    if asks(SB_SOURCE) {
        out.sb_source = texts.add(&mut out.mask, SB_SOURCE, mount.source.as_bytes());
    }
    Ok((out, texts.0))
}

/// statmount(2).
pub fn statmount(from: UserPtr<u32>, buffer: UserAddr, size: usize, flags: u32) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let request = request(from)?;
    check_namespace(&request)?;
    if !buffer.range_ok(size) {
        return Err(Errno::EFAULT);
    }
    let mount = mount_with(request.mnt_id)?;
    let root = current().fs().root();
    check_sight(&top(&mount), &root)?;
    let (mut out, texts) = describe(&mount, &root, request.param)?;
    let head = size_of::<StatMount>();
    let behind = if out.mask & TEXTS == 0 { 0 } else { texts.len() };
    if request.param & TEXTS != 0 && size.saturating_sub(head) < behind.max(1) {
        return Err(Errno::EOVERFLOW);
    }
    out.size = (head.min(size) + behind) as u32;
    let bytes = zerocopy::IntoBytes::as_bytes(&out);
    let out = buffer.cast::<u8>();
    out.write_slice(bytes.get(..head.min(size)).unwrap_or_default())?;
    if behind > 0 {
        buffer.add(head as u64).cast::<u8>().write_slice(&texts)?;
    }
    Ok(0)
}

/// listmount(2): what is mounted below a mount, or in the whole tree, from the one behind `param`
/// on.
pub fn listmount(from: UserPtr<u32>, ids: UserPtr<u64>, count: usize, flags: u32) -> SysResult {
    const REVERSE: u32 = 1;
    const WHOLE_TREE: u64 = u64::MAX;
    const MAX_COUNT: usize = 1_000_000;
    if flags & !REVERSE != 0 {
        return Err(Errno::EINVAL);
    }
    if count > MAX_COUNT {
        return Err(Errno::EOVERFLOW);
    }
    if !ids.addr().range_ok(count * size_of::<u64>()) {
        return Err(Errno::EFAULT);
    }
    let request = request(from)?;
    let last = request.param;
    if last != 0 && last <= UNIQUE_ID_OFFSET {
        return Err(Errno::EINVAL);
    }
    check_namespace(&request)?;
    let root = current().fs().root();
    let start = match request.mnt_id {
        WHOLE_TREE => root.clone(),
        id => top(&mount_with(id)?),
    };
    check_sight(&start, &root)?;
    let numbers = namespace().mounts_below(&start).into_iter().map(|mount| unique_id(&mount));
    let others = numbers.filter(|id| *id != request.mnt_id);
    let chosen: Vec<u64> = if flags & REVERSE != 0 {
        let mut all: Vec<u64> = others.filter(|id| last == 0 || *id < last).collect();
        all.reverse();
        all
    } else {
        others.filter(|id| *id > last).collect()
    };
    let chosen = chosen.get(..count.min(chosen.len())).unwrap_or_default();
    ids.write_slice(chosen)?;
    Ok(chosen.len())
}
