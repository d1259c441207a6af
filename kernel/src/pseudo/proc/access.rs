//! Where a process is in the tree of files, and what it sees of it: `cwd`, `root`, `exe`, `mounts`
//! and their like.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use fs::Path;
use fs::namespace::MountLine;
use fs::pseudo::format as text;
use syscall_shim::{Errno, SysResult};

use super::target::Target;
use crate::usermem::PATH_MAX;
use task::current;

/// A path as the reader's root shows it; `ENAMETOOLONG` if it is longer than a path may be.
pub fn shown(path: &Path) -> SysResult<Vec<u8>> {
    let text = path.display(&current().fs().root());
    if text.len() < PATH_MAX { Ok(text) } else { Err(Errno::ENAMETOOLONG) }
}

/// `cwd`
pub fn cwd(target: &Target) -> SysResult<Path> {
    target.check_access()?;
    Ok(target.task().map_err(|_| Errno::ENOENT)?.fs().cwd())
}

/// `root`
pub fn root(target: &Target) -> SysResult<Path> {
    target.check_access()?;
    Ok(target.task().map_err(|_| Errno::ENOENT)?.fs().root())
}

/// `exe`
pub fn exe(target: &Target) -> SysResult<Path> {
    target.check_access()?;
    target.mm()?.ok_or(Errno::ENOENT)?;
    let exe = target.process()?.exe.lock().clone();
    exe.ok_or(Errno::ENOENT)
}

fn lines(root: &Path) -> Vec<MountLine> {
    task::namespace().mount_lines(root)
}

/// `mounts`
pub fn mounts(root: &Path) -> SysResult<Vec<u8>> {
    Ok(text::mounts(&lines(root)))
}

/// `mountinfo`
pub fn mountinfo(root: &Path) -> SysResult<Vec<u8>> {
    Ok(text::mountinfo(&lines(root)))
}

/// `mountstats`
pub fn mountstats(root: &Path) -> SysResult<Vec<u8>> {
    let mut out = Vec::new();
    for line in lines(root) {
        let place = String::from_utf8_lossy(&line.target);
        out.extend(format!("device {} mounted on {place} with fstype {}\n", line.source, line.fs_type).into_bytes());
    }
    Ok(out)
}

/// `uid_map` and its like: there is one user namespace, which maps every id to itself
/// (user_namespaces(7)).
pub fn id_map(_: &Target) -> SysResult<Vec<u8>> {
    Ok(format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX).into_bytes())
}

/// `loginuid`, `sessionid`: nobody has logged in.
pub fn nobody(target: &Target) -> SysResult<Vec<u8>> {
    target.process().map(|_| u32::MAX.to_string().into_bytes())
}

/// For what does not change: the maps of the initial user namespace, the login id (nobody has
/// logged in).
pub fn refuse(_: &Target, _: &[u8]) -> SysResult<()> {
    Err(Errno::EPERM)
}
