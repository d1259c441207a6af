//! flock(2), and the record locks of fcntl(2).

use syscall_shim::{Errno, SysResult};

use crate::files::OpenFile;
use crate::usermem::UserAddr;

/// `F_SETLK` and its kin.
pub fn record_lock(_file: &OpenFile, _cmd: u32, _arg: UserAddr) -> SysResult {
    Err(Errno::ENOLCK)
}
