//! Shared memory segments (shmget(2), shmat(2), shmctl(2)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use fs::Mapping;
use linux_raw_sys::general::CAP_IPC_LOCK;
use syscall_shim::types::ShmidDs;
use syscall_shim::{Errno, SysResult};

use super::{Object, Permissions, READ, Registry, WRITE, limits, now};
use crate::files::capable;
use crate::mm::object::SharedMemory;
use crate::mm::{MapFile, MapFlags, MapRequest, MapTarget, MappedFile, PAGE_SIZE, Prot};
use crate::sync::SpinLock;
use crate::task::current;

const SHM_NORESERVE: u32 = 0o10000;
const SHM_HUGETLB: u32 = 0o4000;
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100000;
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

/// A segment.
pub struct Segment {
    permissions: SpinLock<Permissions>,
    size: u64,
    memory: Arc<SharedMemory>,
    /// A leaf lock.
    state: SpinLock<State>,
}

impl Object for Segment {
    fn permissions(&self) -> &SpinLock<Permissions> {
        &self.permissions
    }
}

/// shmget(2).
pub fn get(key: i32, size: u64, flags: u32) -> SysResult<i32> {
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
        let memory = SharedMemory::create(len, flags & SHM_NORESERVE != 0)?;
        PAGES.fetch_add(pages, Relaxed);
        let state = State { changed: now(), creator: current().process.pid, ..State::default() };
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
    SEGMENTS.for_each(|segment| present += segment.memory.mapping().page_count());
    [SEGMENTS.count() as u64, PAGES.load(Relaxed), present]
}

/// Highest index in use.
pub fn highest() -> usize {
    SEGMENTS.highest()
}

/// shmat(2): maps the segment and returns its address.
pub fn attach(id: i32, addr: u64, flags: u32) -> SysResult<u64> {
    let page = PAGE_SIZE as u64;
    let segment = find(id)?;
    let addr = if flags & SHM_RND != 0 { addr & !(page - 1) } else { addr };
    if !addr.is_multiple_of(page) || addr == 0 && flags & SHM_REMAP != 0 {
        return Err(Errno::EINVAL);
    }
    let writable = flags & SHM_RDONLY == 0;
    let exec = if flags & SHM_EXEC != 0 { Prot::EXEC } else { Prot::empty() };
    let permissions = *segment.permissions.lock();
    permissions.check(if writable { READ | WRITE } else { READ } | if flags & SHM_EXEC != 0 { 0o111 } else { 0 })?;
    let place = match addr {
        0 => MapFlags::empty(),
        _ if flags & SHM_REMAP != 0 => MapFlags::FIXED,
        _ => MapFlags::FIXED_NOREPLACE,
    };
    if flags & SHM_REMAP == 0 && addr.checked_add(segment.size).is_none() {
        return Err(Errno::EINVAL);
    }
    let prot = Prot::READ | exec | if writable { Prot::WRITE } else { Prot::empty() };
    let len = segment.size;
    let file = MapFile {
        target: MapTarget::File(Attachment::new(&segment, id)),
        offset: 0,
        may_read: true,
        may_write: writable,
        may_exec: true,
        write_sealed: false,
    };
    let request = MapRequest { addr, len, prot, flags: place | MapFlags::SHARED, file: Some(file) };
    let mm = current().process.mm();
    let at = mm.mmap(request, current()).map_err(|errno| if errno == Errno::EEXIST { Errno::EINVAL } else { errno })?;
    crate::watch::mapped(&mm, at, len, prot);
    Ok(at)
}

/// shmdt(2): `EINVAL` unless a segment is attached at `addr`.
pub fn detach(addr: u64) -> SysResult<()> {
    let mm = current().process.mm();
    // The first part that is where it was attached to be: what was at its beginning may have been taken out.
    let file = mm.file_attached_at(addr).ok_or(Errno::EINVAL)?;
    let size = file.attached_size().ok_or(Errno::EINVAL)?;
    // Its other parts go as well, what lies in between stays.
    let identity = file.identity();
    drop(file);
    let end = addr + size.next_multiple_of(PAGE_SIZE as u64);
    let mut at = addr;
    while at < end {
        let its = mm.file_at(at).is_some_and(|(file, offset)| file.identity() == identity && offset == at - addr);
        if its {
            mm.munmap(at, PAGE_SIZE as u64)?;
        }
        at += PAGE_SIZE as u64;
    }
    Ok(())
}

impl Segment {
    /// Its id.
    pub fn id(&self) -> i32 {
        self.permissions.lock().id()
    }

    /// Bytes that are in memory.
    pub fn resident(&self) -> u64 {
        self.memory.mapping().page_count() * PAGE_SIZE as u64
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

/// A segment as one process has it mapped.
struct Attachment {
    segment: Arc<Segment>,
    id: i32,
    key: i32,
}

impl Attachment {
    fn new(segment: &Arc<Segment>, id: i32) -> Arc<Self> {
        let key = segment.permissions.lock().key;
        let mut state = segment.state.lock();
        state.attachments += 1;
        state.attached = now();
        state.last = current().process.pid;
        drop(state);
        Arc::new(Self { segment: segment.clone(), id, key })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let last_of_doomed = {
            let mut state = self.segment.state.lock();
            state.attachments -= 1;
            state.detached = now();
            state.last = current().process.pid;
            (state.doomed || limits::SHM_RMID_FORCED.load(Relaxed) != 0) && state.attachments == 0
        };
        if last_of_doomed {
            SEGMENTS.remove(&self.segment);
        }
    }
}

impl MappedFile for Attachment {
    fn mapping(&self) -> &Arc<Mapping> {
        self.segment.memory.mapping()
    }

    fn id(&self) -> (u64, u64) {
        (self.segment.memory.id().0, self.id as u64)
    }

    fn path(&self) -> Vec<u8> {
        alloc::format!("/SYSV{:08x} (deleted)", self.key).into_bytes()
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        self.segment.memory.punch_hole(start, end)
    }

    fn attached_size(&self) -> Option<u64> {
        Some(self.segment.size)
    }

    fn goes_with_last_area(&self) -> bool {
        let state = self.segment.state.lock();
        state.doomed && state.attachments == 1
    }

    fn for_child(&self) -> Option<Arc<dyn MappedFile>> {
        Some(Attachment::new(&self.segment, self.id))
    }
}
