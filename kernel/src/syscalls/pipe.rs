//! pipe(2), pipe2(2).

use fs::OpenFlags;
use syscall_shim::{Errno, SysResult};

use crate::usermem::UserPtr;
use fd::pipe::Pipe;
use task::current;

/// pipe2(2).
pub fn pipe2(out: UserPtr<[i32; 2]>, flags: u32) -> SysResult {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::DIRECT).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let files = current().files()?;
    let fds = files.insert_pair(Pipe::open_pair(flags)?, flags.contains(OpenFlags::CLOEXEC))?;
    if let Err(e) = out.write(fds) {
        for fd in fds {
            let _ = files.close(fd);
        }
        return Err(e);
    }
    Ok(0)
}

/// pipe(2).
pub fn pipe(out: UserPtr<[i32; 2]>) -> SysResult {
    pipe2(out, 0)
}
