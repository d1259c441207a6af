//! Shared memory segments in address spaces (shmat(2), shmdt(2)).

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::Mapping;
use ipc::shm::{self, Attachment, Memory};
use syscall_shim::{Errno, SysResult};

use mem::PAGE_SIZE;
use task::current;
use vm::object::SharedMemory;
use vm::{MapFile, MapFlags, MapRequest, MapTarget, MappedFile, Prot};

const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100000;

/// shmget(2).
pub fn get(key: i32, size: u64, flags: u32) -> SysResult<i32> {
    shm::get(key, size, flags, |len, reserve| {
        let memory = SharedMemory::create(len, !reserve)?;
        Ok(Memory { mapping: memory.mapping().clone(), dev: memory.id().0, charge: memory })
    })
}

/// shmat(2): maps the segment and returns its address.
pub fn attach(id: i32, addr: u64, flags: u32) -> SysResult<u64> {
    let page = PAGE_SIZE as u64;
    let segment = shm::find(id)?;
    let addr = if flags & SHM_RND != 0 { addr & !(page - 1) } else { addr };
    if !addr.is_multiple_of(page) || addr == 0 && flags & SHM_REMAP != 0 {
        return Err(Errno::EINVAL);
    }
    let writable = flags & SHM_RDONLY == 0;
    let exec = if flags & SHM_EXEC != 0 { Prot::EXEC } else { Prot::empty() };
    segment.check(writable, flags & SHM_EXEC != 0)?;
    let place = match addr {
        0 => MapFlags::empty(),
        _ if flags & SHM_REMAP != 0 => MapFlags::FIXED,
        _ => MapFlags::FIXED_NOREPLACE,
    };
    if flags & SHM_REMAP == 0 && addr.checked_add(segment.size()).is_none() {
        return Err(Errno::EINVAL);
    }
    let prot = Prot::READ | exec | if writable { Prot::WRITE } else { Prot::empty() };
    let len = segment.size();
    let file = MapFile {
        target: MapTarget::File(Arc::new(Attached(Attachment::new(&segment, id)))),
        offset: 0,
        may_read: true,
        may_write: writable,
        may_exec: true,
        write_sealed: false,
    };
    let request = MapRequest { addr, len, prot, flags: place | MapFlags::SHARED, file: Some(file) };
    let mm = current().process.mm();
    let at = mm.mmap(request, current()).map_err(|errno| if errno == Errno::EEXIST { Errno::EINVAL } else { errno })?;
    observe::mmap_events::mapped(&mm, at, len, prot);
    Ok(at)
}

/// shmdt(2): `EINVAL` unless a segment is attached at `addr`.
pub fn detach(addr: u64) -> SysResult<()> {
    let mm = current().process.mm();
    // The first part that is where it was attached to be: what was at its beginning may have been
    // taken out.
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

/// A segment as a mapping has it.
struct Attached(Attachment);

impl MappedFile for Attached {
    fn mapping(&self) -> &Arc<Mapping> {
        self.0.segment().mapping()
    }

    fn id(&self) -> (u64, u64) {
        (self.0.segment().dev(), self.0.id() as u64)
    }

    fn path(&self) -> Vec<u8> {
        alloc::format!("/SYSV{:08x} (deleted)", self.0.key()).into_bytes()
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        self.0.segment().mapping().punch(start, end - start)
    }

    fn attached_size(&self) -> Option<u64> {
        Some(self.0.segment().size())
    }

    fn goes_with_last_area(&self) -> bool {
        self.0.is_last()
    }

    fn for_child(&self) -> Option<Arc<dyn MappedFile>> {
        Some(Arc::new(Self(self.0.for_child())))
    }
}
