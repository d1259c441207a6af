//! The machine and odds and ends: uname(2), sysinfo(2), sethostname(2), getrandom(2),
//! personality(2), reboot(2), rseq(2).

use core::sync::atomic::Ordering;

use syscall_shim::types::{NSEC_PER_SEC, Sysinfo, Utsname};
use syscall_shim::{Errno, GetrandomFlags, SysResult};

use crate::arch::clock;
use crate::power;
use crate::usermem::{self, UserAddr, UserPtr};
use crate::vfs;
use mem::{PAGE_SIZE, frames};
use observe::host_link::{self, ExitKind};
use platform::rng;
use task::{current, rseq as restartable, sched, table, uts};

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_BOOT: u32 = 22;

fn require(capability: u32) -> SysResult<()> {
    if current().credentials().capable(capability) { Ok(()) } else { Err(Errno::EPERM) }
}

fn field(text: &[u8]) -> [u8; 65] {
    let mut field = [0; 65];
    for (to, from) in field.iter_mut().take(uts::NAME_MAX).zip(text) {
        *to = *from;
    }
    field
}

/// Of personality(2): a release that old programs understand, and a machine of 32 bits.
const UNAME26: u32 = 0x002_0000;
const PER_MASK: u32 = 0xff;
const PER_LINUX32: u32 = 8;

/// uname(2).
pub fn uname(names: UserPtr<Utsname>) -> SysResult {
    let persona = current().process.personality.load(Ordering::Relaxed);
    names.write(Utsname {
        sysname: field(b"Linux"),
        nodename: field(&uts::hostname()),
        release: field(uts::release(persona & UNAME26 != 0).as_bytes()),
        version: field(uts::VERSION.as_bytes()),
        machine: field(if persona & PER_MASK == PER_LINUX32 { b"i686" } else { b"x86_64" }),
        domainname: field(&uts::domainname()),
    })?;
    Ok(0)
}

fn new_name(name: UserPtr<u8>, len: i32) -> SysResult<alloc::vec::Vec<u8>> {
    require(CAP_SYS_ADMIN)?;
    let len = usize::try_from(len).ok().filter(|len| *len <= uts::NAME_MAX).ok_or(Errno::EINVAL)?;
    name.read_vec(len)
}

/// sethostname(2).
pub fn sethostname(name: UserPtr<u8>, len: i32) -> SysResult {
    uts::set_hostname(&new_name(name, len)?);
    Ok(0)
}

/// setdomainname(2).
pub fn setdomainname(name: UserPtr<u8>, len: i32) -> SysResult {
    uts::set_domainname(&new_name(name, len)?);
    Ok(0)
}

/// sysinfo(2). Swap and high memory do not exist.
pub fn sysinfo(info: UserPtr<Sysinfo>) -> SysResult {
    let memory = frames::stats();
    let bytes = |frames: usize| (frames * PAGE_SIZE) as u64;
    // In 1/65536, of hundredths.
    let loads = sched::load_averages().map(|hundredths| (hundredths << 16) / 100);
    info.write(Sysinfo {
        loads,
        sharedram: vfs::shmem_pages() * PAGE_SIZE as u64,
        uptime: (clock::monotonic_ns() / NSEC_PER_SEC) as i64,
        totalram: bytes(memory.total),
        freeram: bytes(memory.free),
        procs: table::counts().0.min(u16::MAX.into()) as u16,
        mem_unit: 1,
        ..Sysinfo::default()
    })?;
    Ok(0)
}

/// getrandom(2). The generator is seeded at boot, so nothing ever waits.
pub fn getrandom(buffer: UserAddr, len: usize, flags: u32) -> SysResult {
    let flags = GetrandomFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
    if flags.contains(GetrandomFlags::GRND_RANDOM | GetrandomFlags::GRND_INSECURE) {
        return Err(Errno::EINVAL);
    }
    let len = len.min(i32::MAX as usize & !0xfff);
    let mut chunk = [0; 256];
    let mut done = 0;
    while done < len {
        let want = (len - done).min(chunk.len());
        let Some(bytes) = chunk.get_mut(..want) else { break };
        rng::fill(bytes);
        let copied = usermem::copy_out_partial(buffer.add(done as u64), bytes);
        done += copied;
        if copied < want {
            return if done > 0 { Ok(done) } else { Err(Errno::EFAULT) };
        }
    }
    Ok(done)
}

/// personality(2).
pub fn personality(persona: u32) -> SysResult {
    const QUERY: u32 = u32::MAX;
    let process = &current().process;
    let old = process.personality.load(Ordering::Relaxed);
    if persona != QUERY {
        process.personality.store(persona, Ordering::Relaxed);
    }
    Ok(old as usize)
}

/// reboot(2): a virtual machine that is told to stop, halt or restart ends.
pub fn reboot(magic: u32, magic2: u32, command: u32, _argument: UserAddr) -> SysResult {
    const MAGIC: u32 = 0xfee1_dead;
    const MAGIC2: [u32; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];
    const CAD_ON: u32 = 0x89ab_cdef;
    const CAD_OFF: u32 = 0;
    const RESTART: u32 = 0x0123_4567;
    const HALT: u32 = 0xcdef_0123;
    const POWER_OFF: u32 = 0x4321_fedc;
    const RESTART2: u32 = 0xa1b2_c3d4;
    require(CAP_SYS_BOOT)?;
    if magic != MAGIC || !MAGIC2.contains(&magic2) {
        return Err(Errno::EINVAL);
    }
    match command {
        CAD_ON | CAD_OFF => Ok(0),
        RESTART | HALT | POWER_OFF | RESTART2 => {
            power::save_files();
            host_link::exit(0, ExitKind::Ended)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// rseq(2).
pub fn rseq(addr: UserAddr, len: u32, flags: u32, signature: u32) -> SysResult {
    restartable::register(addr, len, flags, signature)?;
    Ok(0)
}
