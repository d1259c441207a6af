//! Who acts: the credentials that file permission checks look at (credentials(7), capabilities(7)).

use crate::types::{AccessAttrs, AccessMask, S_IFDIR, S_IFMT};
use syscall_shim::{Errno, SysResult};

/// Capability numbers that file systems look at (linux/capability.h).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Cap {
    Chown = 0,
    DacOverride = 1,
    DacReadSearch = 2,
    Fowner = 3,
    Fsetid = 4,
    Setgid = 6,
    LinuxImmutable = 9,
    IpcOwner = 15,
    SysChroot = 18,
    SysAdmin = 21,
    SysResource = 24,
    Mknod = 27,
    Lease = 28,
    Setfcap = 31,
}

/// The credentials of the acting thread, as far as files are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// File-system user id (the effective uid unless `setfsuid` was called).
    pub fsuid: u32,
    /// File-system group id.
    pub fsgid: u32,
    /// Supplementary groups.
    pub groups: &'a [u32],
    /// Effective capabilities, bit n = capability n.
    pub caps: u64,
}

impl<'a> Credentials<'a> {
    /// Root with every capability.
    pub const fn root() -> Self {
        Credentials { fsuid: 0, fsgid: 0, groups: &[], caps: u64::MAX }
    }

    /// An ordinary user without capabilities.
    pub const fn user(uid: u32, gid: u32, groups: &'a [u32]) -> Self {
        Credentials { fsuid: uid, fsgid: gid, groups, caps: 0 }
    }

    /// True when the capability is effective.
    pub fn capable(&self, cap: Cap) -> bool {
        self.caps & (1 << cap as u32) != 0
    }

    /// True when `gid` is the file-system group or a supplementary group.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }

    /// True for the owner of the file or a holder of `CAP_FOWNER`.
    pub fn owner_or_capable(&self, attrs: &AccessAttrs) -> bool {
        self.fsuid == attrs.uid || self.capable(Cap::Fowner)
    }

    /// Linux's `generic_permission`: mode bits of the first class that matches, then
    /// `CAP_DAC_OVERRIDE` (not for executing a file without any x bit) and `CAP_DAC_READ_SEARCH`.
    /// `EACCES` on refusal. No read-only check: that is the mount's.
    pub fn permission(&self, attrs: &AccessAttrs, want: AccessMask) -> SysResult<()> {
        let class = if self.fsuid == attrs.uid {
            attrs.mode >> 6
        } else if self.in_group(attrs.gid) {
            attrs.mode >> 3
        } else {
            attrs.mode
        };
        if want.bits() & !class & 7 == 0 {
            return Ok(());
        }
        let is_dir = attrs.mode & S_IFMT == S_IFDIR;
        if is_dir {
            if !want.contains(AccessMask::WRITE) && self.capable(Cap::DacReadSearch) {
                return Ok(());
            }
            return if self.capable(Cap::DacOverride) { Ok(()) } else { Err(Errno::EACCES) };
        }
        if want == AccessMask::READ && self.capable(Cap::DacReadSearch) {
            return Ok(());
        }
        if (!want.contains(AccessMask::EXEC) || attrs.mode & 0o111 != 0) && self.capable(Cap::DacOverride) {
            return Ok(());
        }
        Err(Errno::EACCES)
    }
}
