//! The requests of a pidfd: who the process is, how it ended, its namespaces (linux/pidfd.h).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::types::PidfdInfo;
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserAddr;
use spin::Once;
use task::{Process, table};

/// `PIDFS_IOCTL_MAGIC`
const MAGIC: u32 = 0xff;
/// `PIDFD_GET_INFO`, without its direction and its size, which grows with the structure.
const GET_INFO: u32 = MAGIC << 8 | 11;
const READ_WRITE: u32 = 3;
/// `PIDFD_INFO_SIZE_VER0`
const FIRST_SIZE: usize = 64;
/// What is asked for and told in `mask` (`PIDFD_INFO_*`).
const PID: u64 = 1;
const CREDS: u64 = 2;
const EXIT: u64 = 8;

/// `PIDFD_GET_*_NAMESPACE` in the order of their numbers, from 1.
const NAMESPACES: [&str; 10] =
    ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts"];

/// ioctl(2) of a pidfd; `id` is that of the process or thread that it means.
pub fn ioctl(process: &Arc<Process>, id: i32, request: u32, arg: UserAddr) -> SysResult {
    let size = (request >> 16 & 0x3fff) as usize;
    if request & 0xffff == GET_INFO && request >> 30 == READ_WRITE && size >= FIRST_SIZE {
        return info(process, id, arg, size);
    }
    let name = match request.checked_sub(MAGIC << 8 | 1) {
        Some(index) => NAMESPACES.get(index as usize).ok_or(Errno::ENOTTY)?,
        None => return Err(Errno::ENOTTY),
    };
    if !arg.is_null() {
        return Err(Errno::EINVAL);
    }
    if !is_listed(process) || process.thread_count() == 0 {
        return Err(Errno::ESRCH);
    }
    let open = OPEN_NAMESPACE.get().ok_or(Errno::EOPNOTSUPP)?;
    open(name)
}

/// What [`set_namespace_opener`] was told.
static OPEN_NAMESPACE: Once<fn(&str) -> SysResult> = Once::new();

/// Says how a descriptor is made for the namespace of a name, as in `/proc/PID/ns`.
pub fn set_namespace_opener(open: fn(&str) -> SysResult) {
    OPEN_NAMESPACE.call_once(|| open);
}

/// Whether it has not been waited for.
fn is_listed(process: &Arc<Process>) -> bool {
    table::process(process.pid).is_some_and(|listed| Arc::ptr_eq(&listed, process))
}

fn info(process: &Arc<Process>, id: i32, arg: UserAddr, size: usize) -> SysResult {
    if arg.is_null() {
        return Err(Errno::EINVAL);
    }
    let wanted = arg.cast::<u64>().read()?;
    let mut info = PidfdInfo::default();
    if is_listed(process) {
        info.mask = PID | CREDS;
        info.pid = id as u32;
        info.tgid = process.pid as u32;
        info.ppid = process.parent().map_or(0, |parent| parent.pid as u32);
        if let Some(task) = process.first_thread() {
            let creds = task.credentials();
            (info.ruid, info.euid, info.suid, info.fsuid) = (creds.uid, creds.euid, creds.suid, creds.fsuid);
            (info.rgid, info.egid, info.sgid, info.fsgid) = (creds.gid, creds.egid, creds.sgid, creds.fsgid);
        }
    } else if wanted & EXIT != 0 {
        info.mask = EXIT;
        info.exit_code = process.exit_status.load(Ordering::Acquire) as i32;
    } else {
        return Err(Errno::ESRCH);
    }
    let bytes = zerocopy::IntoBytes::as_bytes(&info);
    arg.cast::<u8>().write_slice(bytes.get(..size.min(bytes.len())).unwrap_or_default())?;
    Ok(0)
}
