//! A root on a disk: `root=/dev/NAME` or `root=UUID=...` on the kernel's command line or, where
//! that says nothing, in the image's manifest. With `ro` it is only read. It lies over the root in
//! memory, which stays empty.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use block::device::Device;
use block::registry;
use fs::{MountFlags, Namespace};
use platform::rng;
use syscall_shim::Errno;

use arch::boot;
use task::current;

/// Where a superblock is, and what is looked at in it: `s_magic`, `s_uuid` (Linux
/// Documentation/filesystems/ext4/super.rst).
const SUPERBLOCK: u64 = 1024;
const MAGIC_AT: usize = 0x38;
const MAGIC: u16 = 0xef53;
const UUID_AT: usize = 0x68;
const LOOKED_AT: usize = 0x78;

/// Whether a value of the option means something.
pub fn is_name(text: &str) -> bool {
    text.strip_prefix("UUID=").map_or_else(|| text.len() > 5 && text.starts_with("/dev/"), |id| parse_uuid(id).is_some())
}

/// Mounts the disk that is asked for, if one is, and makes it the root of the calling process.
/// Whether there is one; the error is a message for the user.
pub fn mount(ns: &Namespace, from_image: Option<&[u8]>) -> Result<bool, String> {
    let from_image = from_image.map(String::from_utf8_lossy);
    let Some(wanted) = boot::options("root").last().or(from_image.as_deref()) else { return Ok(false) };
    let mut devices = registry::all();
    if find(&devices, wanted).is_none() {
        devices = with_partitions();
    }
    let device = find(&devices, wanted).ok_or_else(|| missing(&devices, wanted))?;
    let read_only = boot::options("ro").next().is_some();
    let files =
        ext4_mount::mount(device.clone(), "ext4", "", read_only, rng::next_u64).map_err(|errno| refused(device, errno))?;
    let flags = if read_only { MountFlags::RELATIME | MountFlags::RDONLY } else { MountFlags::RELATIME };
    let source = format!("/dev/{}", device.name());
    ns.mount(files, &source, &ns.root(), flags).map_err(|errno| format!("{source} cannot be mounted at /: {errno:?}"))?;
    let root = ns.root();
    current().fs().set_cwd(root.clone());
    current().fs().set_root(root);
    kinfo!("the root is {source}");
    Ok(true)
}

/// The disks with their partitions, which are not known before somebody looks.
fn with_partitions() -> Vec<Arc<Device>> {
    for disk in registry::all() {
        // A table that cannot be read is told of when the nodes are made.
        let _ = registry::rescan(&disk);
    }
    registry::all()
}

fn find<'a>(devices: &'a [Arc<Device>], wanted: &str) -> Option<&'a Arc<Device>> {
    match wanted.strip_prefix("UUID=") {
        Some(id) => {
            let id = parse_uuid(id)?;
            devices.iter().find(|device| uuid(device) == Some(id))
        }
        None => devices.iter().find(|device| wanted.strip_prefix("/dev/").is_some_and(|name| name == device.name())),
    }
}

/// The identifier of the ext4 on a device.
fn uuid(device: &Device) -> Option<[u8; 16]> {
    let mut start = [0; LOOKED_AT];
    device.read(SUPERBLOCK, &mut start).ok()?;
    let magic = start.get(MAGIC_AT..MAGIC_AT + 2)?;
    (u16::from_le_bytes(magic.try_into().ok()?) == MAGIC).then(|| start.get(UUID_AT..)?.try_into().ok())?
}

/// 32 hexadecimal digits, with dashes between.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 32).then(|| bytes.try_into().ok())?
}

fn missing(devices: &[Arc<Device>], wanted: &str) -> String {
    let names: Vec<String> = devices.iter().map(|device| device.name()).collect();
    let there = if names.is_empty() { "no disk".to_string() } else { names.join(", ") };
    format!(
        "the root file system is not there: root={wanted}, and the machine has {there}: give it the disk that was made with the image"
    )
}

fn refused(device: &Device, errno: Errno) -> String {
    let why = match errno {
        Errno::EROFS => "it can only be read: append ro to the kernel's command line".to_string(),
        Errno::EINVAL | Errno::EUCLEAN | Errno::EBADMSG => {
            "it holds no ext4 that can be used: make it with mkimage --disk, or check it with e2fsck".to_string()
        }
        errno => format!("{errno:?}"),
    };
    format!("/dev/{} cannot be the root: {why}", device.name())
}
