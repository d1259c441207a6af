//! acct(2).

use fs::namespace::OpenHow;
use fs::{FileType, OpenFlags};
use linux_raw_sys::general::CAP_SYS_PACCT;
use syscall_shim::{Errno, SysResult};

use super::paths::name;
use crate::files::open;
use crate::usermem::UserAddr;
use fd::{capable, with_fs};
use task::accounting;
use task::namespace;

/// acct(2): records of the processes that end go to the file, or, without a name, nowhere.
pub fn acct(path: UserAddr) -> SysResult {
    if !capable(CAP_SYS_PACCT) {
        return Err(Errno::EPERM);
    }
    if path.0 == 0 {
        accounting::set(None);
        return Ok(0);
    }
    let name = name(path)?;
    let flags = OpenFlags::WRONLY | OpenFlags::APPEND;
    let how = OpenHow { flags, ..OpenHow::default() };
    let opened = with_fs(|ctx| namespace().open(ctx, name.at(), &name.text, &how))?;
    if opened.inode.file_type() != FileType::Regular {
        return Err(Errno::EACCES);
    }
    accounting::set(Some(open::open(opened, flags)?));
    Ok(0)
}
