//! procfs (proc(5)) and sysfs (sysfs(5)): the state of the kernel, as files.
//!
//! The `fs` crate has the nodes and the texts; here is what they tell. A text is made when it is read, from the live state.

mod proc;

use fs::{MountFlags, Namespace};
use syscall_shim::SysResult;

use crate::vfs::mount;

/// Mounts procfs on /proc.
pub fn mount_all(ns: &Namespace) -> SysResult<()> {
    let hardened = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RELATIME;
    mount(ns, proc::file_system(), "proc", "/proc", hardened)
}
