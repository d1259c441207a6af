//! Shared memory segments (shmget(2), shmat(2), shmctl(2)), and who has them attached. Where they
//! are mapped is not known here.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use caller::capable;
use fs::{Mapping, PAGE_SIZE};
use linux_raw_sys::general::CAP_IPC_LOCK;
use sync::SpinLock;
use syscall_shim::types::ShmidDs;
use syscall_shim::{Errno, SysResult};

use crate::{Object, Permissions, READ, Registry, WRITE, limits, now};

const SHM_NORESERVE: u32 = 0o10000;
const SHM_HUGETLB: u32 = 0o4000;
const SHM_DEST: u32 = 0o1000;
const SHM_LOCKED: u32 = 0o2000;

static SEGMENTS: Registry<Segment> = Registry::new(|| limits::SHMMNI.load(Relaxed) as usize, &limits::SHM_NEXT_ID);
/// Pages of all segments, present or not.
static PAGES: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Default)]
struct State {
    attached: i64,
    detached: i64,
    changed: i64,
    creator: i32,
    last: i32,
    attachments: u64,
    /// Goes with its last attachment.
    doomed: bool,
    locked: bool,
}

/// What a segment consists of.
pub struct Memory {
    /// Its pages.
    pub mapping: Arc<Mapping>,
    /// `st_dev` of what is mapped of it.
    pub dev: u64,
    /// What goes with the segment: what it was charged for.
    pub charge: Arc<dyn Any + Send + Sync>,
}

/// A segment.
pub struct Segment {
    permissions: SpinLock<Permissions>,
    size: u64,
    memory: Memory,
    /// A leaf lock.
    state: SpinLock<State>,
}

impl Object for Segment {
    fn permissions(&self) -> &SpinLock<Permissions> {
        &self.permissions
    }
}

/// shmget(2). `make` makes so many bytes of memory, reserved or not.
pub fn get(key: i32, size: u64, flags: u32, make: impl FnOnce(u64, bool) -> SysResult<Memory>) -> SysResult<i32> {
    let suits = |segment: &Segment| if size > segment.size { Err(Errno::EINVAL) } else { Ok(()) };
    SEGMENTS.get(key, flags, suits, |permissions| {
        if size == 0 || size > limits::SHMMAX.load(Relaxed) {
            return Err(Errno::EINVAL);
        }
        let len = size.checked_next_multiple_of(PAGE_SIZE as u64).ok_or(Errno::ENOMEM)?;
        let pages = len / PAGE_SIZE as u64;
        if PAGES.load(Relaxed).checked_add(pages).is_none_or(|all| all > limits::SHMALL.load(Relaxed)) {
            return Err(Errno::ENOSPC);
        }
        if flags & SHM_HUGETLB != 0 {
            return Err(no_huge_pages(flags));
        }
        let memory = make(len, flags & SHM_NORESERVE == 0)?;
        PAGES.fetch_add(pages, Relaxed);
        let state = State { changed: now(), creator: caller::pid(), ..State::default() };
        Ok(Segment { permissions: SpinLock::new(permissions), size, memory, state: SpinLock::new(state) })
    })
}

/// Why there is no segment of huge pages: the pool is empty, and not everybody may use it.
fn no_huge_pages(flags: u32) -> Errno {
    /// Where the flags name the size of the pages, as a power of 2; 0 is the default.
    const SHM_HUGE_SHIFT: u32 = 26;
    match flags >> SHM_HUGE_SHIFT & 0x3f {
        0 | 21 if capable(CAP_IPC_LOCK) => Errno::ENOMEM,
        0 | 21 => Errno::EPERM,
        _ => Errno::EINVAL,
    }
}

/// The segment `id`. `EINVAL`.
pub fn find(id: i32) -> SysResult<Arc<Segment>> {
    SEGMENTS.find(id)
}

/// The segment with the index of `number` (`SHM_STAT`). `EINVAL`.
pub fn at(number: i32) -> SysResult<Arc<Segment>> {
    SEGMENTS.at(number)
}

/// Segments, their pages, and those of them that are present (`SHM_INFO`).
pub fn totals() -> [u64; 3] {
    let mut present = 0;
    SEGMENTS.for_each(|segment| present += segment.memory.mapping.page_count());
    [SEGMENTS.count() as u64, PAGES.load(Relaxed), present]
}

/// Highest index in use.
pub fn highest() -> usize {
    SEGMENTS.highest()
}

impl Segment {
    /// Its id.
    pub fn id(&self) -> i32 {
        self.permissions.lock().id()
    }

    /// Its size as it was asked for.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its pages.
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.memory.mapping
    }

    /// `st_dev` of what is mapped of it.
    pub fn dev(&self) -> u64 {
        self.memory.dev
    }

    /// Whether the caller may attach it like this. `EACCES`.
    pub fn check(&self, write: bool, exec: bool) -> SysResult<()> {
        let permissions = *self.permissions.lock();
        permissions.check(if write { READ | WRITE } else { READ } | if exec { 0o111 } else { 0 })
    }

    /// Bytes that are in memory.
    pub fn resident(&self) -> u64 {
        self.memory.mapping.page_count() * PAGE_SIZE as u64
    }

    /// `IPC_STAT`; for `any`body by `SHM_STAT_ANY`. `EACCES`.
    pub fn stat(&self, any: bool) -> SysResult<ShmidDs> {
        let permissions = *self.permissions.lock();
        permissions.check(if any { 0 } else { READ })?;
        let state = *self.state.lock();
        let doomed = if state.doomed { SHM_DEST } else { 0 };
        let locked = if state.locked { SHM_LOCKED } else { 0 };
        Ok(ShmidDs {
            shm_perm: permissions.show(doomed | locked),
            shm_segsz: self.size,
            shm_atime: state.attached,
            shm_dtime: state.detached,
            shm_ctime: state.changed,
            shm_cpid: state.creator,
            shm_lpid: state.last,
            shm_nattch: state.attachments,
            ..ShmidDs::default()
        })
    }

    /// `IPC_SET`. `EPERM`.
    pub fn set(&self, new: &ShmidDs) -> SysResult<()> {
        let mut permissions = self.permissions.lock();
        permissions.check_owner()?;
        permissions.set(&new.shm_perm);
        self.state.lock().changed = now();
        Ok(())
    }

    /// `SHM_LOCK`, `SHM_UNLOCK`: nothing is ever swapped out. `EPERM`.
    pub fn lock_in_memory(&self, on: bool) -> SysResult<()> {
        self.permissions.lock().check_owner()?;
        self.state.lock().locked = on;
        Ok(())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        PAGES.fetch_sub(self.size.div_ceil(PAGE_SIZE as u64), Relaxed);
    }
}

/// `IPC_RMID`: the segment goes when nobody is attached any more. `EPERM`.
pub fn remove(segment: &Arc<Segment>) -> SysResult<()> {
    segment.permissions.lock().check_owner()?;
    let unused = {
        let mut state = segment.state.lock();
        state.doomed = true;
        state.attachments == 0
    };
    if unused {
        SEGMENTS.remove(segment);
    } else {
        SEGMENTS.forget_key(segment);
    }
    Ok(())
}

/// A segment as one process has it attached.
pub struct Attachment {
    segment: Arc<Segment>,
    id: i32,
    key: i32,
}

impl Attachment {
    /// Attaches the segment, which has this id.
    pub fn new(segment: &Arc<Segment>, id: i32) -> Self {
        let key = segment.permissions.lock().key;
        let mut state = segment.state.lock();
        state.attachments += 1;
        state.attached = now();
        state.last = caller::pid();
        drop(state);
        Self { segment: segment.clone(), id, key }
    }

    /// What a child of the caller's has.
    pub fn for_child(&self) -> Self {
        Self::new(&self.segment, self.id)
    }

    /// The segment.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The id that it was attached by.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The key that the segment had then.
    pub fn key(&self) -> i32 {
        self.key
    }

    /// Whether the segment goes with it.
    pub fn is_last(&self) -> bool {
        let state = self.segment.state.lock();
        state.doomed && state.attachments == 1
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let last_of_doomed = {
            let mut state = self.segment.state.lock();
            state.attachments -= 1;
            state.detached = now();
            state.last = caller::pid();
            (state.doomed || limits::SHM_RMID_FORCED.load(Relaxed) != 0) && state.attachments == 0
        };
        if last_of_doomed {
            SEGMENTS.remove(&self.segment);
        }
    }
}
