//! How the set*id(2) calls change credentials, and what that does to capabilities (capabilities(7),
//! "Effect of user ID changes on capabilities").

use syscall_shim::{Errno, SysResult};

use crate::Credentials;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
/// `CAP_CHOWN`, `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH`, `CAP_FOWNER`, `CAP_FSETID`,
/// `CAP_LINUX_IMMUTABLE`, `CAP_MKNOD`, `CAP_MAC_OVERRIDE`: what a file-system id of 0 brings.
const FS_CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 9 | 1 << 27 | 1 << 32;
/// `SECBIT_NO_SETUID_FIXUP`.
const SECBIT_NO_SETUID_FIXUP: u32 = 1 << 2;
/// "Leave it as it is."
const KEEP: u32 = u32::MAX;

/// One of the two sets of ids.
struct Ids<'a> {
    real: &'a mut u32,
    effective: &'a mut u32,
    saved: &'a mut u32,
    fs: &'a mut u32,
    privileged: bool,
}

impl Ids<'_> {
    fn one_of(&self, id: u32, allowed: &[u32]) -> SysResult<()> {
        if id == KEEP || self.privileged || allowed.contains(&id) { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn set(&mut self, id: u32) -> SysResult<()> {
        if id == KEEP {
            return Err(Errno::EINVAL);
        }
        if self.privileged {
            (*self.real, *self.saved) = (id, id);
        } else if id != *self.real && id != *self.saved {
            return Err(Errno::EPERM);
        }
        (*self.effective, *self.fs) = (id, id);
        Ok(())
    }

    fn set_re(&mut self, real: u32, effective: u32) -> SysResult<()> {
        self.one_of(real, &[*self.real, *self.effective])?;
        self.one_of(effective, &[*self.real, *self.effective, *self.saved])?;
        let old_real = *self.real;
        if effective != KEEP {
            *self.effective = effective;
        }
        if real != KEEP {
            *self.real = real;
        }
        if real != KEEP || effective != KEEP && effective != old_real {
            *self.saved = *self.effective;
        }
        *self.fs = *self.effective;
        Ok(())
    }

    fn set_res(&mut self, real: u32, effective: u32, saved: u32) -> SysResult<()> {
        let allowed = [*self.real, *self.effective, *self.saved];
        for id in [real, effective, saved] {
            self.one_of(id, &allowed)?;
        }
        for (slot, id) in [(&mut *self.real, real), (&mut *self.effective, effective), (&mut *self.saved, saved)] {
            if id != KEEP {
                *slot = id;
            }
        }
        *self.fs = *self.effective;
        Ok(())
    }

    /// setfsuid(2) tells the old id whether or not it changed.
    fn set_fs(&mut self, id: u32) -> u32 {
        let old = *self.fs;
        let allowed = [*self.real, *self.effective, *self.saved, *self.fs];
        if id != KEEP && (self.privileged || allowed.contains(&id)) {
            *self.fs = id;
        }
        old
    }
}

impl Credentials {
    fn user_ids(&mut self) -> Ids<'_> {
        let privileged = self.capable(CAP_SETUID);
        let Self { uid, euid, suid, fsuid, .. } = self;
        Ids { real: uid, effective: euid, saved: suid, fs: fsuid, privileged }
    }

    fn group_ids(&mut self) -> Ids<'_> {
        let privileged = self.capable(CAP_SETGID);
        let Self { gid, egid, sgid, fsgid, .. } = self;
        Ids { real: gid, effective: egid, saved: sgid, fs: fsgid, privileged }
    }

    /// Runs a change of user ids and then does what it means for capabilities.
    fn change_user<T>(&mut self, change: impl FnOnce(&mut Ids<'_>) -> SysResult<T>) -> SysResult<T> {
        let old = self.clone();
        let result = change(&mut self.user_ids())?;
        if self.securebits & SECBIT_NO_SETUID_FIXUP != 0 {
            return Ok(result);
        }
        let had_root = [old.uid, old.euid, old.suid].contains(&0);
        let has_root = [self.uid, self.euid, self.suid].contains(&0);
        if had_root && !has_root {
            if !self.keep_caps {
                self.cap_permitted = 0;
                self.cap_effective = 0;
            }
            self.cap_ambient = 0;
        }
        match (old.euid, self.euid) {
            (0, new) if new != 0 => self.cap_effective = 0,
            (was, 0) if was != 0 => self.cap_effective = self.cap_permitted,
            _ => {}
        }
        self.adjust_fs_capabilities(old.fsuid);
        Ok(result)
    }

    fn adjust_fs_capabilities(&mut self, old_fsuid: u32) {
        match (old_fsuid, self.fsuid) {
            (0, new) if new != 0 => self.cap_effective &= !FS_CAPABILITIES,
            (was, 0) if was != 0 => self.cap_effective |= self.cap_permitted & FS_CAPABILITIES,
            _ => {}
        }
    }

    /// setuid(2).
    pub fn setuid(&mut self, uid: u32) -> SysResult<()> {
        self.change_user(|ids| ids.set(uid))
    }

    /// setreuid(2).
    pub fn setreuid(&mut self, real: u32, effective: u32) -> SysResult<()> {
        self.change_user(|ids| ids.set_re(real, effective))
    }

    /// setresuid(2).
    pub fn setresuid(&mut self, real: u32, effective: u32, saved: u32) -> SysResult<()> {
        self.change_user(|ids| ids.set_res(real, effective, saved))
    }

    /// setfsuid(2); returns the old id.
    pub fn setfsuid(&mut self, uid: u32) -> u32 {
        let old = self.fsuid;
        let result = self.user_ids().set_fs(uid);
        self.adjust_fs_capabilities(old);
        result
    }

    /// setgid(2).
    pub fn setgid(&mut self, gid: u32) -> SysResult<()> {
        self.group_ids().set(gid)
    }

    /// setregid(2).
    pub fn setregid(&mut self, real: u32, effective: u32) -> SysResult<()> {
        self.group_ids().set_re(real, effective)
    }

    /// setresgid(2).
    pub fn setresgid(&mut self, real: u32, effective: u32, saved: u32) -> SysResult<()> {
        self.group_ids().set_res(real, effective, saved)
    }

    /// setfsgid(2); returns the old id.
    pub fn setfsgid(&mut self, gid: u32) -> u32 {
        self.group_ids().set_fs(gid)
    }

    /// setgroups(2).
    pub fn setgroups(&mut self, groups: alloc::vec::Vec<u32>) -> SysResult<()> {
        if !self.capable(CAP_SETGID) {
            return Err(Errno::EPERM);
        }
        self.groups = groups;
        Ok(())
    }

    /// capset(2): nothing beyond what is permitted, and what is inheritable comes from what is
    /// permitted or bounded.
    pub fn capset(&mut self, effective: u64, permitted: u64, inheritable: u64) -> SysResult<()> {
        let inheritable_from =
            self.cap_inheritable | if self.capable(CAP_SETPCAP) { self.cap_bounding } else { self.cap_permitted };
        let fits = permitted & !self.cap_permitted == 0
            && effective & !permitted == 0
            && inheritable & !inheritable_from == 0
            && inheritable & !(self.cap_inheritable | self.cap_bounding) == 0;
        if !fits {
            return Err(Errno::EPERM);
        }
        self.cap_effective = effective;
        self.cap_permitted = permitted;
        self.cap_inheritable = inheritable;
        self.cap_ambient &= permitted & inheritable;
        Ok(())
    }
}
