//! Calls that programs of long ago use: ustat(2), sysfs(2), vhangup(2).

use syscall_shim::types::Ustat;
use syscall_shim::{Errno, SysResult};

use crate::usermem::{UserAddr, UserPtr, copy_out, read_path};
use crate::vfs;
use fd::capable;
use task::namespace;

/// ustat(2): what is free on the file system with this number. `EINVAL` where none is mounted.
pub fn ustat(dev: u32, out: UserPtr<Ustat>) -> SysResult {
    let mounted = namespace().mounts().into_iter().find(|mount| mount.fs.dev() == u64::from(dev)).ok_or(Errno::EINVAL)?;
    let stat = mounted.fs.statfs()?;
    out.write(Ustat { f_tfree: stat.bfree as i32, f_tinode: stat.ffree, ..Ustat::default() }).map(|()| 0)
}

/// sysfs(2): the number of a type of file systems, its name, or how many there are.
pub fn sysfs(option: i32, argument: u64, buffer: UserAddr) -> SysResult {
    match option {
        1 => {
            let name = read_path(UserAddr(argument))?;
            let index = vfs::TYPES.iter().position(|known| known.as_bytes() == name);
            index.ok_or(Errno::EINVAL)
        }
        2 => {
            let name = vfs::TYPES.get(argument as u32 as usize).ok_or(Errno::EINVAL)?;
            copy_out(buffer, name.as_bytes())?;
            copy_out(buffer.add(name.len() as u64), &[0])?;
            Ok(0)
        }
        3 => Ok(vfs::TYPES.len()),
        _ => Err(Errno::EINVAL),
    }
}

/// vhangup(2): hangs up the controlling terminal, if there is one.
pub fn vhangup() -> SysResult {
    const CAP_SYS_TTY_CONFIG: u32 = 26;
    if !capable(CAP_SYS_TTY_CONFIG) {
        return Err(Errno::EPERM);
    }
    if let Some(terminal) = tty::controlling(caller::session()) {
        terminal.vhangup();
    }
    Ok(0)
}
