//! Volumes: disks that are mounted before the program starts (`volume=DEVICE:DIRECTORY[:ro]` on the
//! command line). They are written out and marked clean at the end of the machine, as all file
//! systems are.

use alloc::format;
use alloc::string::String;

use fs::{LookupFlags, MountFlags, Namespace};
use syscall_shim::{Errno, SysResult};

use crate::arch::boot;

/// What is mounted where.
pub struct Volume<'a> {
    device: &'a str,
    directory: &'a str,
    read_only: bool,
}

/// Reads a value of the option.
pub fn parse(text: &str) -> Option<Volume<'_>> {
    let (text, read_only) = text.strip_suffix(":ro").map_or((text, false), |text| (text, true));
    let (device, directory) = text.split_once(':')?;
    let whole = device.starts_with('/') && directory.starts_with('/');
    whole.then_some(Volume { device, directory, read_only })
}

/// Mounts them all, in the order in which they are given. The error is a message for the user.
pub fn mount_all(ns: &Namespace) -> Result<(), String> {
    for volume in boot::options("volume").filter_map(parse) {
        mount(ns, &volume)
            .map_err(|errno| format!("the volume {} cannot be mounted at {}: {errno:?}", volume.device, volume.directory))?;
    }
    Ok(())
}

fn mount(ns: &Namespace, volume: &Volume<'_>) -> SysResult<()> {
    // What stands above the directory is made too.
    let ends = volume.directory.match_indices('/').map(|(at, _)| at).skip(1).chain([volume.directory.len()]);
    for path in ends.filter_map(|end| volume.directory.get(..end)) {
        match ns.mkdir(&ns.kernel_context(), None, path.as_bytes(), 0o755) {
            Ok(_) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    let how = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let place = ns.resolve(&ns.kernel_context(), None, volume.directory.as_bytes(), how)?;
    let made = super::file_system("ext4", Some(volume.device.as_bytes()), "", volume.read_only)?;
    let flags = if volume.read_only { MountFlags::RELATIME | MountFlags::RDONLY } else { MountFlags::RELATIME };
    ns.mount(made, volume.device, &place, flags).map(|_| ())
}
