//! Objects of one kind: found by id or by key, made, and removed.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};

use caller::check_memory;
use linux_raw_sys::general::CAP_SYS_ADMIN;
use sync::SpinLock;
use syscall_shim::types::IpcPerm;
use syscall_shim::{Errno, SysResult};

/// `IPC_PRIVATE`: no key.
const IPC_PRIVATE: i32 = 0;
const IPC_CREAT: u32 = 0o1000;
const IPC_EXCL: u32 = 0o2000;
/// Objects of one kind (`IPCMNI`); an id is an index below it and a sequence number above.
const MAX_OBJECTS: usize = 32768;
const CAP_IPC_OWNER: u32 = 15;

/// Who may do what with an object.
#[derive(Clone, Copy, Debug)]
pub struct Permissions {
    pub(crate) key: i32,
    uid: u32,
    gid: u32,
    creator: (u32, u32),
    mode: u32,
    index: usize,
    sequence: u16,
}

impl Permissions {
    fn new(key: i32, mode: u32) -> Self {
        let me = caller::credentials();
        Self { key, uid: me.euid, gid: me.egid, creator: (me.euid, me.egid), mode: mode & 0o777, index: 0, sequence: 0 }
    }

    /// `EACCES` unless the caller has what `wanted` asks for (sysvipc(7)).
    pub fn check(&self, wanted: u32) -> SysResult<()> {
        let me = caller::credentials();
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let member = |gid: u32| me.egid == gid || me.groups.contains(&gid);
        let granted = match () {
            () if me.euid == self.uid || me.euid == self.creator.0 => self.mode >> 6,
            () if member(self.gid) || member(self.creator.1) => self.mode >> 3,
            () => self.mode,
        };
        if wanted & !granted & 7 == 0 || me.capable(CAP_IPC_OWNER) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Its id.
    pub fn id(&self) -> i32 {
        id(self.index, self.sequence)
    }

    /// `EPERM` unless the caller owns the object, which changing and removing it takes.
    pub fn check_owner(&self) -> SysResult<()> {
        let me = caller::credentials();
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
    objects: BTreeMap<usize, Arc<T>>,
    /// The index that a key names.
    keys: BTreeMap<i32, usize>,
    /// All lower indices are in use.
    first_free: usize,
    sequence: u16,
}

/// All objects of one kind. A leaf lock, but for the permissions'.
pub struct Registry<T> {
    entries: SpinLock<Entries<T>>,
    /// How many there may be.
    most: fn() -> usize,
    /// The id that the next new one is to have.
    next_id: &'static AtomicI32,
}

impl<T: Object> Registry<T> {
    /// Without objects.
    pub const fn new(most: fn() -> usize, next_id: &'static AtomicI32) -> Self {
        let entries = Entries { objects: BTreeMap::new(), keys: BTreeMap::new(), first_free: 0, sequence: 0 };
        Self { entries: SpinLock::new(entries), most, next_id }
    }

    /// The `*get` calls: the id of the object that `key` names, which `suits`, or of a new one that
    /// `make` makes.
    pub fn get(
        &self,
        key: i32,
        flags: u32,
        suits: impl FnOnce(&T) -> SysResult<()>,
        make: impl FnOnce(Permissions) -> SysResult<T>,
    ) -> SysResult<i32> {
        let mut entries = self.entries.lock();
        let named =
            entries.keys.get(&key).filter(|_| key != IPC_PRIVATE).and_then(|index| entries.objects.get_key_value(index));
        if let Some((index, object)) = named {
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
        check_memory()?;
        let object = make(Permissions::new(key, flags))?;
        if entries.objects.len() >= (self.most)().min(MAX_OBJECTS) {
            return Err(Errno::ENOSPC);
        }
        let (index, sequence) = entries.choose(self.next_id).ok_or(Errno::ENOSPC)?;
        {
            let mut permissions = object.permissions().lock();
            (permissions.index, permissions.sequence) = (index, sequence);
        }
        entries.objects.insert(index, Arc::new(object));
        if key != IPC_PRIVATE {
            entries.keys.insert(key, index);
        }
        Ok(id(index, sequence))
    }

    /// The object `id`. `EINVAL`.
    pub fn find(&self, number: i32) -> SysResult<Arc<T>> {
        let object = self.at(number)?;
        let Permissions { index, sequence, .. } = *object.permissions().lock();
        if id(index, sequence) == number { Ok(object) } else { Err(Errno::EINVAL) }
    }

    /// The object with the index of `number`, which may be an id (`IPC_STAT`'s kin by index).
    /// `EINVAL`.
    pub fn at(&self, number: i32) -> SysResult<Arc<T>> {
        let index = usize::try_from(number).map_err(|_| Errno::EINVAL)? % MAX_OBJECTS;
        self.entries.lock().objects.get(&index).cloned().ok_or(Errno::EINVAL)
    }

    /// Takes an object out; its id and key mean nothing any more.
    pub fn remove(&self, object: &Arc<T>) {
        let Permissions { index, .. } = *object.permissions().lock();
        let removed = {
            let mut entries = self.entries.lock();
            let is_it = entries.objects.get(&index).is_some_and(|other| Arc::ptr_eq(other, object));
            if is_it {
                entries.forget_key(object);
                entries.first_free = entries.first_free.min(index);
            }
            is_it.then(|| entries.objects.remove(&index))
        };
        drop(removed);
    }

    /// Forgets the key, so that another object can have it: what is marked for removal is found by
    /// id alone.
    pub fn forget_key(&self, object: &Arc<T>) {
        self.entries.lock().forget_key(object);
    }

    /// Highest index in use: what `IPC_INFO` returns.
    pub fn highest(&self) -> usize {
        self.entries.lock().objects.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// How many objects there are.
    pub fn count(&self) -> usize {
        self.entries.lock().objects.len()
    }

    /// The first object from index `from` on, so that all can be looked at one after the other.
    pub fn next_from(&self, from: usize) -> Option<(usize, Arc<T>)> {
        self.entries.lock().objects.range(from..).next().map(|(index, object)| (*index, object.clone()))
    }

    /// Calls `f` with each object, no lock held.
    pub fn for_each(&self, mut f: impl FnMut(&Arc<T>)) {
        let mut from = 0;
        while let Some((index, object)) = self.next_from(from) {
            f(&object);
            from = index + 1;
        }
    }
}

impl<T: Object> Entries<T> {
    /// A free index and a sequence number: those that were asked for, as far as they are free.
    fn choose(&mut self, next_id: &AtomicI32) -> Option<(usize, u16)> {
        let wanted = next_id.swap(-1, Ordering::Relaxed);
        let (mut index, sequence) = match usize::try_from(wanted) {
            Ok(wanted) => (wanted % MAX_OBJECTS, (wanted / MAX_OBJECTS) as u16),
            Err(_) => {
                self.sequence = self.sequence.wrapping_add(1) & 0x7fff;
                (self.first_free, self.sequence)
            }
        };
        let hinted = index == self.first_free;
        while self.objects.contains_key(&index) {
            index += 1;
        }
        if hinted {
            self.first_free = index;
        }
        (index < MAX_OBJECTS).then_some((index, sequence))
    }

    fn forget_key(&mut self, object: &T) {
        let key = core::mem::replace(&mut object.permissions().lock().key, IPC_PRIVATE);
        if key != IPC_PRIVATE {
            self.keys.remove(&key);
        }
    }
}

fn id(index: usize, sequence: u16) -> i32 {
    index as i32 | i32::from(sequence) << 15
}
