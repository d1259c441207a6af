//! Memory: mmap(2) and its family, locks, advice, and the calls that matter on larger machines
//! (NUMA, protection keys).

use syscall_shim::{Errno, SysResult};

use super::pidfd::process_or_self;
use crate::usermem::{UserAddr, UserPtr, buffer, copy_out};
use observe::mmap_events;
use task::{credentials, current, oom, rseq, table};
use vm::address_space::{SLACK, memory_is_short};
use vm::flags::{PAGE_SIZE, page_up};
use vm::limits::Rights;
use vm::madvise::{Advice, mincore_pages};
use vm::mremap::RemapFlags;
use vm::numa;
use vm::{AddressSpace, MapFile, MapFlags, MapRequest, Prot};

const PROT_SEM: u32 = 8;
const PROT_GROWSDOWN: u32 = 0x0100_0000;
const PROT_GROWSUP: u32 = 0x0200_0000;
/// Where the flags name the size of huge pages (`MAP_HUGE_SHIFT`).
const MAP_HUGE_SHIFT: u32 = 26;

fn mm() -> alloc::sync::Arc<AddressSpace> {
    current().process.mm()
}

/// The address space of process `pid` (0: the caller's), if the caller may look into it: `ESRCH`,
/// `EPERM` (ptrace(2), "Ptrace access mode checking").
pub(super) fn inspectable(pid: i32) -> SysResult<alloc::sync::Arc<AddressSpace>> {
    let me = current();
    if pid == 0 || pid == me.process.pid {
        return Ok(me.process.mm());
    }
    let other = table::task(pid).ok_or(Errno::ESRCH)?;
    let mine = me.credentials();
    if !credentials::may_inspect(&other, mine.uid, mine.gid) {
        return Err(Errno::EPERM);
    }
    Ok(other.process.mm())
}

/// mmap(2).
pub fn mmap(addr: u64, len: u64, prot: u32, flags: u32, fd: i32, offset: u64) -> SysResult {
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let huge_size = flags >> MAP_HUGE_SHIFT & 0x3f;
    let flags = MapFlags::from_bits_retain(flags);
    let file: Option<MapFile> = if flags.contains(MapFlags::ANONYMOUS) {
        if flags.contains(MapFlags::HUGETLB) {
            // Pages of 2 MiB (the default) and 1 GiB exist, and the pool is empty.
            return Err(if matches!(huge_size, 0 | 21 | 30) { Errno::ENOMEM } else { Errno::EINVAL });
        }
        None
    } else {
        let open = current().files()?.get(fd)?;
        if prot & Prot::EXEC.bits() != 0 {
            crate::files::missing_paths::mapped(&open.path.dentry.name());
        }
        let file = crate::files::mapped::map_file(&open, offset);
        if flags.contains(MapFlags::HUGETLB) {
            return Err(Errno::EINVAL);
        }
        Some(file)
    };
    let prot = Prot::from_bits_truncate(prot);
    let execution = current().execution();
    let prot = execution.implied(prot, file.as_ref().is_none_or(|file| file.may_exec));
    execution.check(prot, prot)?;
    loop {
        let mm = mm();
        let result = mm.mmap(MapRequest { addr, len, prot, flags, file: file.clone() }, current());
        // Overcommitted: nobody expects a small mapping to fail, and who asks again and again would
        // never come to use it.
        if result == Err(Errno::ENOMEM) && memory_is_short() && oom::relieve(SLACK) {
            continue;
        }
        let at = result?;
        mmap_events::mapped(&mm, at, len, prot);
        return Ok(at as usize);
    }
}

/// munmap(2).
pub fn munmap(addr: u64, len: u64) -> SysResult {
    mm().munmap(addr, len).map(|()| 0)
}

/// mprotect(2).
pub fn mprotect(addr: u64, len: u64, prot: u32) -> SysResult {
    let grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    if grows == PROT_GROWSDOWN | PROT_GROWSUP || !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let wraps = page_up(len).and_then(|len| addr.checked_add(len)).is_none();
    let prot = prot & !grows;
    if wraps {
        return Err(Errno::ENOMEM);
    }
    // Nothing grows upwards on x86.
    if prot & !(Prot::all().bits() | PROT_SEM) != 0 || grows == PROT_GROWSUP {
        return Err(Errno::EINVAL);
    }
    mm().mprotect(addr, len, Prot::from_bits_truncate(prot), grows == PROT_GROWSDOWN, current()).map(|()| 0)
}

/// mremap(2).
pub fn mremap(addr: u64, old_len: u64, new_len: u64, flags: u32, new_addr: u64) -> SysResult {
    mm().mremap(addr, old_len, new_len, RemapFlags::from_bits_retain(flags), new_addr, current()).map(|addr| addr as usize)
}

/// remap_file_pages(2), which Linux too has only as an emulation.
pub fn remap_file_pages(addr: u64, len: u64, prot: u32, page: u64, _flags: u32) -> SysResult {
    if prot != 0 {
        return Err(Errno::EINVAL);
    }
    mm().remap_file_pages(addr, len, page).map(|()| 0)
}

/// brk(2): the new break, or the old one when it cannot move.
pub fn brk(addr: u64) -> SysResult {
    Ok(mm().brk(addr, current()) as usize)
}

/// madvise(2).
pub fn madvise(addr: u64, len: u64, advice: i32) -> SysResult {
    let advice = Advice::from_raw(advice)?;
    mm().madvise(addr, len, advice).map(|()| 0)
}

/// process_madvise(2): bytes that were advised. Another's memory can only be moved about, not
/// emptied.
pub fn process_madvise(fd: i32, vector: UserPtr<[u64; 2]>, count: u64, advice: i32, flags: u32) -> SysResult {
    const CAP_SYS_NICE: u32 = 23;
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let ranges = vectors(vector, count)?;
    let process = process_or_self(fd)?;
    let is_own = process.pid == current().process.pid;
    let space = inspectable(process.pid)?;
    let advice = Advice::from_raw(advice)?;
    if !is_own {
        if !current().credentials().capable(CAP_SYS_NICE) {
            return Err(Errno::EPERM);
        }
        if !matches!(advice, Advice::Cold | Advice::PageOut | Advice::WillNeed) {
            return Err(Errno::EINVAL);
        }
    }
    let mut done = 0;
    for [addr, len] in ranges {
        match space.madvise(addr, len, advice) {
            Ok(()) => done += len as usize,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// mincore(2).
pub fn mincore(addr: u64, len: u64, vec: UserAddr) -> SysResult {
    const CHUNK: usize = 4096;
    let pages = mincore_pages(addr, len)?;
    if !vec.range_ok(pages) {
        return Err(Errno::EFAULT);
    }
    let mm = mm();
    let mut chunk = buffer(pages.min(CHUNK))?;
    let mut done = 0;
    while done < pages {
        let n = (pages - done).min(CHUNK);
        let part = chunk.get_mut(..n).ok_or(Errno::EFAULT)?;
        mm.mincore(addr + done as u64 * PAGE_SIZE, part)?;
        copy_out(vec.add(done as u64), part)?;
        done += n;
    }
    Ok(0)
}

/// msync(2).
pub fn msync(addr: u64, len: u64, flags: u32) -> SysResult {
    const MS_ASYNC: u32 = 1;
    const MS_INVALIDATE: u32 = 2;
    const MS_SYNC: u32 = 4;
    if flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 || flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC {
        return Err(Errno::EINVAL);
    }
    mm().msync(addr, len, flags & MS_SYNC != 0, flags & MS_INVALIDATE != 0).map(|()| 0)
}

/// mlock(2).
pub fn mlock(addr: u64, len: u64) -> SysResult {
    mm().mlock(addr, len, false, current()).map(|()| 0)
}

/// mlock2(2).
pub fn mlock2(addr: u64, len: u64, flags: u32) -> SysResult {
    const MLOCK_ONFAULT: u32 = 1;
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    mm().mlock(addr, len, flags == MLOCK_ONFAULT, current()).map(|()| 0)
}

/// munlock(2).
pub fn munlock(addr: u64, len: u64) -> SysResult {
    mm().munlock(addr, len).map(|()| 0)
}

/// mlockall(2).
pub fn mlockall(flags: u32) -> SysResult {
    const MCL_CURRENT: u32 = 1;
    const MCL_FUTURE: u32 = 2;
    const MCL_ONFAULT: u32 = 4;
    if flags == 0 || flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0 || flags == MCL_ONFAULT {
        return Err(Errno::EINVAL);
    }
    mm().mlockall(flags & MCL_CURRENT != 0, flags & MCL_FUTURE != 0, flags & MCL_ONFAULT != 0, current()).map(|()| 0)
}

/// munlockall(2).
pub fn munlockall() -> SysResult {
    mm().munlockall();
    Ok(0)
}

/// pkey_alloc(2): as on a CPU without protection keys, there is none to give.
pub fn pkey_alloc(flags: u64, rights: u64) -> SysResult {
    Err(if flags != 0 || rights & !3 != 0 { Errno::EINVAL } else { Errno::ENOSPC })
}

/// pkey_free(2): none is allocated.
pub fn pkey_free(_pkey: i32) -> SysResult {
    Err(Errno::EINVAL)
}

/// pkey_mprotect(2): key -1 is plain mprotect(2), any other is not allocated.
pub fn pkey_mprotect(addr: u64, len: u64, prot: u32, pkey: i32) -> SysResult {
    if pkey != -1 { Err(Errno::EINVAL) } else { mprotect(addr, len, prot) }
}

/// mseal(2).
pub fn mseal(addr: u64, len: u64, flags: u64) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    mm().mseal(addr, len).map(|()| 0)
}

/// membarrier(2). Where one CPU's threads are to start their critical sections anew, all do.
pub fn membarrier(command: i32, flags: u32, _cpu: i32) -> SysResult {
    const FLAG_CPU: u32 = 1;
    let (command, mm) = (command as u32, mm());
    let restarts = command == numa::PRIVATE_EXPEDITED_RSEQ;
    if flags != 0 && !(restarts && flags == FLAG_CPU) {
        return Err(Errno::EINVAL);
    }
    if restarts && mm.barrier_registered(command) {
        rseq::restart_sections(&mm);
    }
    mm.membarrier(command)
}

fn vectors(iov: UserPtr<[u64; 2]>, count: u64) -> SysResult<alloc::vec::Vec<[u64; 2]>> {
    const UIO_MAXIOV: u64 = 1024;
    if count > UIO_MAXIOV {
        return Err(Errno::EINVAL);
    }
    let list = iov.read_vec(count as usize)?;
    if list.iter().any(|[_, len]| *len > i64::MAX as u64) { Err(Errno::EINVAL) } else { Ok(list) }
}

/// process_vm_readv(2).
pub fn process_vm_readv(
    pid: i32,
    local: UserPtr<[u64; 2]>,
    locals: u64,
    remote: UserPtr<[u64; 2]>,
    remotes: u64,
    flags: u64,
) -> SysResult {
    process_vm(pid, local, locals, remote, remotes, flags, false)
}

/// process_vm_writev(2).
pub fn process_vm_writev(
    pid: i32,
    local: UserPtr<[u64; 2]>,
    locals: u64,
    remote: UserPtr<[u64; 2]>,
    remotes: u64,
    flags: u64,
) -> SysResult {
    process_vm(pid, local, locals, remote, remotes, flags, true)
}

fn process_vm(
    pid: i32,
    local: UserPtr<[u64; 2]>,
    locals: u64,
    remote: UserPtr<[u64; 2]>,
    remotes: u64,
    flags: u64,
    write: bool,
) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let local = vectors(local, locals)?;
    if local.iter().all(|[_, len]| *len == 0) {
        return Ok(0);
    }
    let remote = vectors(remote, remotes)?;
    let other = inspectable(pid)?;
    let own = mm();
    let (from, to) = if write { ((&own, local), (&other, remote)) } else { ((&other, remote), (&own, local)) };
    vm::remote::copy_vectors(from.0, &from.1, to.0, &to.1)
}
