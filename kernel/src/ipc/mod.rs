//! Interprocess communication. Here that of System V (sysvipc(7)): objects that keys and ids name, and their permissions.
//! [`mqueue`] has POSIX message queues, which are files.

pub mod mqueue;
pub mod msg;
pub mod sem;
pub mod shm;

use alloc::sync::Arc;

use linux_raw_sys::general::CAP_SYS_ADMIN;
use syscall_shim::types::IpcPerm;
use syscall_shim::{Errno, SysResult};

use crate::sync::SpinLock;
use crate::task::current;
use litemap::LiteMap;

/// `IPC_PRIVATE`: no key.
const IPC_PRIVATE: i32 = 0;
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
/// `IPC_NOWAIT`.
pub const IPC_NOWAIT: u32 = 0o4000;
/// Commands of the `*ctl` calls, without `IPC_64`.
pub const IPC_RMID: u32 = 0;
/// `IPC_SET`
pub const IPC_SET: u32 = 1;
/// `IPC_STAT`
pub const IPC_STAT: u32 = 2;
/// `IPC_INFO`
pub const IPC_INFO: u32 = 3;
/// Objects of one kind (`SHMMNI`, `SEMMNI`, `MSGMNI`); an id is an index below it and a sequence number above.
const MAX_OBJECTS: usize = 32768;
const CAP_IPC_OWNER: u32 = 15;

/// Reading, as a permission to ask for.
pub const READ: u32 = 0o444;
/// Writing (altering).
pub const WRITE: u32 = 0o222;

/// Who may do what with an object.
#[derive(Clone, Copy, Debug)]
pub struct Permissions {
    key: i32,
    uid: u32,
    gid: u32,
    creator: (u32, u32),
    mode: u32,
    sequence: u16,
}

impl Permissions {
    fn new(key: i32, mode: u32) -> Self {
        let me = current().credentials();
        Self { key, uid: me.euid, gid: me.egid, creator: (me.euid, me.egid), mode: mode & 0o777, sequence: 0 }
    }

    /// `EACCES` unless the caller has what `wanted` asks for (sysvipc(7)).
    pub fn check(&self, wanted: u32) -> SysResult<()> {
        let me = current().credentials();
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let member = |gid: u32| me.egid == gid || me.groups.contains(&gid);
        let granted = match () {
            () if me.euid == self.uid || me.euid == self.creator.0 => self.mode >> 6,
            () if member(self.gid) || member(self.creator.1) => self.mode >> 3,
            () => self.mode,
        };
        if wanted & !granted & 7 == 0 || me.capable(CAP_IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// `EPERM` unless the caller owns the object, which changing and removing it takes.
    pub fn check_owner(&self) -> SysResult<()> {
        let me = current().credentials();
        let owns = me.euid == self.uid || me.euid == self.creator.0 || me.capable(CAP_SYS_ADMIN);
        if owns { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// `IPC_SET`.
    pub fn set(&mut self, new: &IpcPerm) {
        (self.uid, self.gid, self.mode) = (new.uid, new.gid, new.mode & 0o777);
    }

    /// As `IPC_STAT` shows them.
    pub fn show(&self, mode_flags: u32) -> IpcPerm {
        IpcPerm {
            key: self.key,
            uid: self.uid,
            gid: self.gid,
            cuid: self.creator.0,
            cgid: self.creator.1,
            mode: self.mode | mode_flags,
            seq: self.sequence,
            ..IpcPerm::default()
        }
    }
}

/// An object of one of the three kinds.
pub trait Object: Sized {
    /// Its permissions.
    fn permissions(&self) -> &SpinLock<Permissions>;
}

struct Entries<T> {
    /// By index.
    objects: LiteMap<usize, Arc<T>>,
    sequence: u16,
}

/// All objects of one kind. A leaf lock, but for the permissions'.
pub struct Registry<T>(SpinLock<Entries<T>>);

impl<T: Object> Registry<T> {
    /// Without objects.
    pub const fn new() -> Self {
        Self(SpinLock::new(Entries { objects: LiteMap::new_vec(), sequence: 0 }))
    }

    /// The `*get` calls: the id of the object that `key` names, which `suits`, or of a new one that `make` makes.
    pub fn get(
        &self,
        key: i32,
        flags: u32,
        suits: impl FnOnce(&T) -> SysResult<()>,
        make: impl FnOnce(Permissions) -> SysResult<T>,
    ) -> SysResult<i32> {
        let mut entries = self.0.lock();
        let named = |(_, object): &(&usize, &Arc<T>)| object.permissions().lock().key == key;
        if key != IPC_PRIVATE
            && let Some((index, object)) = entries.objects.iter().find(named)
        {
            if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(Errno::EEXIST);
            }
            suits(object)?;
            let permissions = *object.permissions().lock();
            permissions.check(flags & 0o777)?;
            return Ok(id(*index, permissions.sequence));
        }
        if key != IPC_PRIVATE && flags & IPC_CREAT == 0 {
            return Err(Errno::ENOENT);
        }
        let index = (0..MAX_OBJECTS).find(|index| !entries.objects.contains_key(index)).ok_or(Errno::ENOSPC)?;
        let object = make(Permissions::new(key, flags))?;
        entries.sequence = entries.sequence.wrapping_add(1) & 0x7fff;
        let sequence = entries.sequence;
        object.permissions().lock().sequence = sequence;
        entries.objects.insert(index, Arc::new(object));
        Ok(id(index, sequence))
    }

    /// The object `id`. `EINVAL`.
    pub fn find(&self, number: i32) -> SysResult<Arc<T>> {
        let index = usize::try_from(number).map_err(|_| Errno::EINVAL)? % MAX_OBJECTS;
        let object = self.0.lock().objects.get(&index).cloned().ok_or(Errno::EINVAL)?;
        let sequence = object.permissions().lock().sequence;
        if id(index, sequence) == number { Ok(object) } else { Err(Errno::EINVAL) }
    }

    /// Takes an object out; its id and key mean nothing any more.
    pub fn remove(&self, object: &Arc<T>) {
        let removed = {
            let mut entries = self.0.lock();
            let index = entries.objects.iter().find(|(_, other)| Arc::ptr_eq(other, object)).map(|(index, _)| *index);
            index.and_then(|index| entries.objects.remove(&index))
        };
        drop(removed);
    }

    /// Highest index in use: what `IPC_INFO` returns.
    pub fn highest(&self) -> usize {
        self.0.lock().objects.last().map_or(0, |(index, _)| *index)
    }

    /// All objects.
    pub fn all(&self) -> alloc::vec::Vec<Arc<T>> {
        self.0.lock().objects.values().cloned().collect()
    }
}

/// Forgets the key, so that another object can have it: what is marked for removal is found by id alone.
pub fn forget_key(permissions: &SpinLock<Permissions>) {
    permissions.lock().key = IPC_PRIVATE;
}

fn id(index: usize, sequence: u16) -> i32 {
    index as i32 | i32::from(sequence) << 15
}

/// Now, in seconds since 1970: `shm_ctime` and its like.
pub fn now() -> i64 {
    fs::platform::now().sec
}
