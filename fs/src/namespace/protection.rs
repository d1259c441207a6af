//! What guards the users of a directory like /tmp from each other (`/proc/sys/fs/protected_*`,
//! proc(5)). Hard links are guarded from the start, as distributions have it; the rest are off, as
//! in a kernel that nobody has told otherwise.

use crate::creds::Credentials;
use crate::types::*;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use syscall_shim::{Errno, SysResult};

/// `protected_hardlinks`
pub static HARDLINKS: AtomicU32 = AtomicU32::new(1);
/// `protected_symlinks`
pub static SYMLINKS: AtomicU32 = AtomicU32::new(0);
/// `protected_fifos`
pub static FIFOS: AtomicU32 = AtomicU32::new(0);
/// `protected_regular`
pub static REGULAR: AtomicU32 = AtomicU32::new(0);

/// `may_linkat`: others' files get names only by those who may use them, and only if they give no
/// privileges. `EPERM`.
pub(super) fn may_link(creds: &Credentials<'_>, attrs: &AccessAttrs, usable: bool) -> SysResult<()> {
    if HARDLINKS.load(Relaxed) == 0 || creds.owner_or_capable(attrs) {
        return Ok(());
    }
    let regular = attrs.mode & S_IFMT == S_IFREG;
    let privileged = attrs.mode & S_ISUID != 0 || attrs.mode & (S_ISGID | 0o010) == S_ISGID | 0o010;
    if regular && !privileged && usable { Ok(()) } else { Err(Errno::EPERM) }
}

/// `may_follow_link`: in a sticky directory that everybody may write to only the own links are
/// followed, and the directory's owner's. `EACCES`.
pub(crate) fn may_follow(creds: &Credentials<'_>, dir: &AccessAttrs, link: &AccessAttrs) -> SysResult<()> {
    let open_to_all = dir.mode & (S_ISVTX | 0o002) == S_ISVTX | 0o002;
    if SYMLINKS.load(Relaxed) == 0 || !open_to_all || creds.fsuid == link.uid || dir.uid == link.uid {
        return Ok(());
    }
    Err(Errno::EACCES)
}

/// `may_create_in_sticky`: `O_CREAT` does not open what others have laid into such a directory:
/// links, sockets and devices never, FIFOs and regular files where they are protected. `EACCES`.
pub(super) fn may_open_existing(creds: &Credentials<'_>, dir: &AccessAttrs, attrs: &AccessAttrs) -> SysResult<()> {
    let level = match attrs.mode & S_IFMT {
        S_IFREG => REGULAR.load(Relaxed),
        S_IFIFO => FIFOS.load(Relaxed),
        _ => 1,
    };
    let sticky = dir.mode & S_ISVTX != 0;
    let owned = attrs.uid == dir.uid || attrs.uid == creds.fsuid;
    let shared = dir.mode & 0o002 != 0 || dir.mode & 0o020 != 0 && level >= 2;
    if level == 0 || !sticky || owned || !shared { Ok(()) } else { Err(Errno::EACCES) }
}
