//! What ids and capabilities a program gets by being executed (execve(2), capabilities(7)
//! "Transformation of capabilities during execve()").

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use syscall_shim::{Errno, SysResult};

use super::program::Program;
use crate::credentials::{ALL_CAPABILITIES, Credentials};
use crate::{Task, current};
use sync::HasUsers;

const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;
const CAP_SETUID: u32 = 7;
/// `SECBIT_NOROOT`
const NO_ROOT: u32 = 1;
/// The extended attribute of file capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// What the new program has.
pub struct Privileges {
    /// Its ids and capabilities.
    pub credentials: Credentials,
    /// It has more than its caller, or other ids: `AT_SECURE`.
    pub secure: bool,
    /// Its memory is not its caller's to see.
    pub changed: bool,
}

/// A file's capabilities: `struct vfs_cap_data`.
struct FileCapabilities {
    permitted: u64,
    inheritable: u64,
    effective: bool,
}

impl FileCapabilities {
    /// What is in the attribute. `EINVAL` for one that is not of this form.
    fn parse(bytes: &[u8]) -> SysResult<Self> {
        const REVISIONS: u32 = 0xff00_0000;
        const EFFECTIVE: u32 = 1;
        let word = |index: usize| {
            let bytes = bytes.get(4 * index..4 * index + 4)?;
            bytes.try_into().ok().map(u32::from_le_bytes)
        };
        let magic = word(0).ok_or(Errno::EINVAL)?;
        // Revisions 1 to 3 of linux/capability.h; the last one has the user id of a namespace's
        // root behind.
        let words = match (magic & REVISIONS, bytes.len()) {
            (0x0100_0000, 12) => 1,
            (0x0200_0000, 20) => 2,
            (0x0300_0000, 24) if word(5) == Some(0) => 2,
            _ => return Err(Errno::EINVAL),
        };
        let (mut permitted, mut inheritable) = (0, 0);
        for half in 0..words {
            permitted |= u64::from(word(1 + 2 * half).unwrap_or(0)) << (32 * half);
            inheritable |= u64::from(word(2 + 2 * half).unwrap_or(0)) << (32 * half);
        }
        let (permitted, inheritable) = (permitted & ALL_CAPABILITIES, inheritable & ALL_CAPABILITIES);
        Ok(Self { permitted, inheritable, effective: magic & EFFECTIVE != 0 })
    }

    /// Those of the program's file, if they count there.
    fn of(program: &Program) -> SysResult<Option<Self>> {
        if program.nosuid {
            return Ok(None);
        }
        match program.file.inode.getxattr(CAPABILITY) {
            Ok(bytes) => Self::parse(&bytes).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// Whether a task of another process has the same working directory and root: it could change them
/// under a program with more rights than its own.
fn shares_fs(task: &Task) -> bool {
    let fs = task.fs();
    let own = task.process.threads().filter(|thread| Arc::ptr_eq(&thread.fs(), &fs)).count();
    fs.users().count() > own
}

/// What `program` gets where the current thread, with `old`, executes it. `EPERM` where the file
/// says that it cannot do without capabilities that it would not get.
pub fn after_exec(old: &Credentials, program: &Program) -> SysResult<Privileges> {
    let task = current();
    let no_new_privs = task.no_new_privs.load(Ordering::Relaxed);
    let mut new = old.clone();
    if !no_new_privs && !program.nosuid {
        if program.mode & S_ISUID != 0 {
            new.euid = program.uid;
        }
        if program.mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP {
            new.egid = program.gid;
        }
    }
    let file = FileCapabilities::of(program)?;
    let (mut permitted, mut effective) = (0, false);
    if let Some(file) = &file {
        permitted = new.cap_bounding & file.permitted | new.cap_inheritable & file.inheritable;
        effective = file.effective;
        if effective && file.permitted & !permitted != 0 {
            return Err(Errno::EPERM);
        }
    }
    // A set-user-ID-root program with capabilities of its own has those alone.
    let only_own = file.is_some() && new.euid == 0 && new.uid != 0;
    if new.securebits & NO_ROOT == 0 && !only_own {
        if new.euid == 0 || new.uid == 0 {
            permitted = new.cap_bounding & ALL_CAPABILITIES | new.cap_inheritable;
        }
        effective |= new.euid == 0;
    }
    let in_group = |gid: u32| gid == old.fsgid || old.groups.contains(&gid);
    let id_changed = new.euid != old.euid || !in_group(new.egid);
    let gained = permitted & !old.cap_permitted != 0;
    if (id_changed || gained) && (no_new_privs || shares_fs(task)) {
        if !old.capable(CAP_SETUID) || no_new_privs {
            (new.euid, new.egid) = (new.uid, new.gid);
        }
        permitted &= old.cap_permitted;
    }
    (new.suid, new.fsuid, new.sgid, new.fsgid) = (new.euid, new.euid, new.egid, new.egid);
    if file.is_some() || id_changed {
        new.cap_ambient = 0;
    }
    new.cap_permitted = permitted | new.cap_ambient;
    new.cap_effective = if effective { new.cap_permitted } else { new.cap_ambient };
    new.keep_caps = false;
    new.securebits &= !Credentials::KEEP_CAPS;
    let has_more = new.uid != 0 && (effective || permitted & !new.cap_ambient != 0);
    let secure = id_changed || new.euid != old.uid || new.egid != old.gid || has_more;
    let changed = new.euid != new.uid
        || new.egid != new.gid
        || new.euid != old.euid
        || new.egid != old.egid
        || new.cap_permitted & !old.cap_permitted != 0;
    Ok(Privileges { credentials: new, secure, changed })
}
