//! prctl(2) and arch_prctl(2).

use core::sync::atomic::Ordering;

use linux_raw_sys::prctl as p;
use syscall_shim::{Errno, Signal, SysResult};

use crate::arch::{fpu, msr};
use crate::usermem::{self, USER_END, UserAddr, UserPtr};
use task::credentials::{ALL_CAPABILITIES, Credentials};
use task::{Process, Task, current};

/// Highest capability that there is (`/proc/sys/kernel/cap_last_cap`).
const CAP_LAST: u64 = 40;
const CAP_SETPCAP: u32 = 8;
/// Longest name of an anonymous area, with the NUL.
const ANON_NAME_SIZE: usize = 80;

fn must_be_zero(args: &[u64]) -> SysResult<()> {
    if args.iter().all(|arg| *arg == 0) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn flag(value: u64) -> SysResult<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::EINVAL),
    }
}

fn change(task: &Task, f: impl FnOnce(&mut Credentials) -> SysResult<()>) -> SysResult {
    let mut new = (*task.credentials()).clone();
    f(&mut new)?;
    task.set_credentials(new);
    Ok(0)
}

/// prctl(2).
pub fn prctl(op: i32, arg2: u64, arg3: u64, arg4: u64, arg5: u64) -> SysResult {
    let task = current();
    let process = &task.process;
    match op as u32 {
        p::PR_SET_PDEATHSIG => {
            if arg2 != 0 && u32::try_from(arg2).ok().and_then(Signal::new).is_none() {
                return Err(Errno::EINVAL);
            }
            process.pdeath_signal.store(arg2 as u32, Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_PDEATHSIG => put(arg2, process.pdeath_signal.load(Ordering::Relaxed)),
        p::PR_GET_DUMPABLE => Ok(process.dumpable.load(Ordering::Relaxed) as usize),
        p::PR_SET_DUMPABLE => {
            process.dumpable.store(u32::from(flag(arg2)?), Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_KEEPCAPS => Ok(usize::from(task.credentials().keep_caps)),
        p::PR_SET_KEEPCAPS => {
            let keep = flag(arg2)?;
            change(task, |c| {
                c.keep_caps = keep;
                Ok(())
            })
        }
        p::PR_SET_NAME => {
            // Longer names are cut, so a name that does not end in 16 bytes is none the worse.
            let mut name = [0; 16];
            let read = usermem::copy_in_partial(&mut name, UserAddr(arg2));
            if !name.iter().take(read).any(|byte| *byte == 0) && read < name.len() {
                return Err(Errno::EFAULT);
            }
            task.set_name(&name);
            Ok(0)
        }
        p::PR_GET_NAME => {
            let comm = *task.comm.lock();
            UserPtr::new(arg2).write(comm)?;
            Ok(0)
        }
        p::PR_GET_TIMING => Ok(p::PR_TIMING_STATISTICAL as usize),
        p::PR_SET_TIMING => {
            if arg2 == u64::from(p::PR_TIMING_STATISTICAL) {
                Ok(0)
            } else {
                Err(Errno::EINVAL)
            }
        }
        p::PR_GET_SECCOMP => Ok(task.seccomp.mode() as usize),
        p::PR_SET_SECCOMP => super::seccomp::set_by_prctl(arg2, arg3),
        // The instruction cannot be made to trap where programs run; nobody is told that it was.
        p::PR_SET_TSC if arg2 == u64::from(p::PR_TSC_ENABLE) => Ok(0),
        p::PR_GET_TSC => put(arg2, p::PR_TSC_ENABLE),
        p::PR_CAPBSET_READ => {
            if arg2 > CAP_LAST {
                return Err(Errno::EINVAL);
            }
            Ok((task.credentials().cap_bounding >> arg2 & 1) as usize)
        }
        p::PR_CAPBSET_DROP => change(task, |c| {
            if !c.capable(CAP_SETPCAP) {
                return Err(Errno::EPERM);
            }
            if arg2 > CAP_LAST {
                return Err(Errno::EINVAL);
            }
            c.cap_bounding &= !(1 << arg2);
            Ok(())
        }),
        p::PR_GET_SECUREBITS => Ok(task.credentials().securebits as usize),
        p::PR_SET_SECUREBITS => set_securebits(task, arg2),
        p::PR_SET_TIMERSLACK => {
            if !task.sched.get().is_realtime() {
                task.timer_slack.set(arg2);
            }
            Ok(0)
        }
        p::PR_GET_TIMERSLACK => Ok(task.timer_slack.get() as usize),
        p::PR_SET_CHILD_SUBREAPER => {
            process.child_subreaper.store(arg2 != 0, Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_CHILD_SUBREAPER => put(arg2, u32::from(process.child_subreaper.load(Ordering::Relaxed))),
        p::PR_SET_NO_NEW_PRIVS => {
            if arg2 != 1 {
                return Err(Errno::EINVAL);
            }
            must_be_zero(&[arg3, arg4, arg5])?;
            task.no_new_privs.store(true, Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_NO_NEW_PRIVS => {
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(usize::from(task.no_new_privs.load(Ordering::Relaxed)))
        }
        p::PR_GET_TID_ADDRESS => {
            UserPtr::new(arg2).write(task.clear_child_tid.load(Ordering::Relaxed))?;
            Ok(0)
        }
        p::PR_SET_THP_DISABLE => {
            must_be_zero(&[arg3, arg4, arg5])?;
            process.mm().disable_huge_pages(arg2 != 0);
            Ok(0)
        }
        p::PR_GET_THP_DISABLE => {
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(usize::from(process.mm().huge_pages_disabled()))
        }
        p::PR_SET_MM => super::prctl_mm::set_mm(arg2, arg3, arg4, arg5),
        // There are no counters to stop or let go on.
        p::PR_TASK_PERF_EVENTS_DISABLE | p::PR_TASK_PERF_EVENTS_ENABLE => Ok(0),
        p::PR_SET_IO_FLUSHER => {
            may_flush(task)?;
            let on = flag(arg2)?;
            must_be_zero(&[arg3, arg4, arg5])?;
            task.io_flusher.store(on, Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_IO_FLUSHER => {
            may_flush(task)?;
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(usize::from(task.io_flusher.load(Ordering::Relaxed)))
        }
        // As on a CPU that has none of the faults: nothing can be controlled.
        p::PR_GET_SPECULATION_CTRL => {
            must_be_zero(&[arg3, arg4, arg5])?;
            Err(Errno::ENODEV)
        }
        p::PR_SET_SPECULATION_CTRL => {
            must_be_zero(&[arg4, arg5])?;
            Err(Errno::ENODEV)
        }
        p::PR_SET_MDWE => set_mdwe(process, arg2, &[arg3, arg4, arg5]),
        p::PR_GET_MDWE => {
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(process.no_exec_gain.load(Ordering::Relaxed) as usize)
        }
        p::PR_MCE_KILL => set_mce_kill(task, arg2, arg3, &[arg4, arg5]),
        p::PR_MCE_KILL_GET => {
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(usize::from(task.mce_kill.load(Ordering::Relaxed)))
        }
        p::PR_SET_MEMORY_MERGE => {
            must_be_zero(&[arg3, arg4, arg5])?;
            process.memory_merge.store(arg2 != 0, Ordering::Relaxed);
            Ok(0)
        }
        p::PR_GET_MEMORY_MERGE => {
            must_be_zero(&[arg2, arg3, arg4, arg5])?;
            Ok(usize::from(process.memory_merge.load(Ordering::Relaxed)))
        }
        p::PR_CAP_AMBIENT => cap_ambient(task, arg2, arg3, &[arg4, arg5]),
        p::PR_SET_VMA => set_vma(arg2, arg3, arg4, arg5),
        p::PR_GET_AUXV => {
            must_be_zero(&[arg4, arg5])?;
            let bytes: alloc::vec::Vec<u8> = process
                .auxv
                .lock()
                .iter()
                .flat_map(|(key, value)| [key.to_le_bytes(), value.to_le_bytes()])
                .flatten()
                .collect();
            let room = bytes.len().min(arg3 as usize);
            usermem::copy_out(UserAddr(arg2), bytes.get(..room).unwrap_or_default())?;
            Ok(bytes.len())
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `PR_SET_MDWE`: what was refused stays so.
fn set_mdwe(process: &Process, bits: u64, rest: &[u64]) -> SysResult {
    const REFUSE_EXEC_GAIN: u64 = 1;
    let no_inherit = u64::from(Process::MDWE_NO_INHERIT);
    must_be_zero(rest)?;
    if bits & !(REFUSE_EXEC_GAIN | no_inherit) != 0 || bits == no_inherit {
        return Err(Errno::EINVAL);
    }
    let old = u64::from(process.no_exec_gain.load(Ordering::Relaxed));
    if old != 0 && bits != old {
        return Err(Errno::EPERM);
    }
    process.no_exec_gain.store(bits as u32, Ordering::Relaxed);
    Ok(0)
}

/// `PR_MCE_KILL`: what becomes of a thread whose memory fails, which nothing tells of here.
fn set_mce_kill(task: &Task, op: u64, policy: u64, rest: &[u64]) -> SysResult {
    const CLEAR: u64 = 0;
    const SET: u64 = 1;
    must_be_zero(rest)?;
    let new = match (op, policy) {
        (CLEAR, 0) => Task::MCE_KILL_DEFAULT,
        (SET, 0..=2) => policy as u8,
        _ => return Err(Errno::EINVAL),
    };
    task.mce_kill.store(new, Ordering::Relaxed);
    Ok(0)
}

/// `PR_SET_IO_FLUSHER` and its question.
fn may_flush(task: &Task) -> SysResult<()> {
    const CAP_SYS_RESOURCE: u32 = 24;
    if task.credentials().capable(CAP_SYS_RESOURCE) { Ok(()) } else { Err(Errno::EPERM) }
}

fn put(addr: u64, value: u32) -> SysResult {
    UserPtr::new(addr).write(value)?;
    Ok(0)
}

/// `PR_SET_SECUREBITS`: locked bits stay, and only known ones can be set.
fn set_securebits(task: &Task, bits: u64) -> SysResult {
    const KNOWN: u64 = 0xff;
    change(task, |c| {
        let old = u64::from(c.securebits);
        let locks = old >> 1 & 0x55;
        let changes_locked = locks & (old ^ bits) != 0 || old & 0xaa & !bits != 0;
        if bits & !KNOWN != 0 || changes_locked || !c.capable(CAP_SETPCAP) {
            return Err(Errno::EPERM);
        }
        c.securebits = bits as u32;
        c.keep_caps = c.securebits & Credentials::KEEP_CAPS != 0;
        Ok(())
    })
}

/// `PR_CAP_AMBIENT`.
fn cap_ambient(task: &Task, op: u64, cap: u64, rest: &[u64]) -> SysResult {
    const NO_CAP_AMBIENT_RAISE: u32 = 1 << 6;
    must_be_zero(rest)?;
    if op == u64::from(p::PR_CAP_AMBIENT_CLEAR_ALL) {
        must_be_zero(&[cap])?;
        return change(task, |c| {
            c.cap_ambient = 0;
            Ok(())
        });
    }
    if cap > CAP_LAST {
        return Err(Errno::EINVAL);
    }
    let bit = 1 << cap & ALL_CAPABILITIES;
    match op as u32 {
        p::PR_CAP_AMBIENT_IS_SET => Ok(usize::from(task.credentials().cap_ambient & bit != 0)),
        p::PR_CAP_AMBIENT_RAISE => change(task, |c| {
            if c.cap_permitted & c.cap_inheritable & bit == 0 || c.securebits & NO_CAP_AMBIENT_RAISE != 0 {
                return Err(Errno::EPERM);
            }
            c.cap_ambient |= bit;
            Ok(())
        }),
        p::PR_CAP_AMBIENT_LOWER => change(task, |c| {
            c.cap_ambient &= !bit;
            Ok(())
        }),
        _ => Err(Errno::EINVAL),
    }
}

/// `PR_SET_VMA_ANON_NAME`.
fn set_vma(attribute: u64, addr: u64, len: u64, name: u64) -> SysResult {
    if attribute != u64::from(p::PR_SET_VMA_ANON_NAME) {
        return Err(Errno::EINVAL);
    }
    let name = match name {
        0 => None,
        name => Some(usermem::read_cstr_bounded(UserAddr(name), ANON_NAME_SIZE)?.ok_or(Errno::EINVAL)?),
    };
    let is_valid = |byte: &u8| matches!(byte, b' '..=b'~') && !b"\\`$[]".contains(byte);
    if name.as_ref().is_some_and(|name| !name.iter().all(is_valid)) {
        return Err(Errno::EINVAL);
    }
    current().process.mm().set_anon_name(addr, len, name.as_deref())?;
    Ok(0)
}

/// arch_prctl(2). GS is the kernel's own here: programs cannot have it, and are told so with
/// `EOPNOTSUPP`.
pub fn arch_prctl(op: i32, arg: u64) -> SysResult {
    const ARCH_SET_GS: i32 = 0x1001;
    const ARCH_SET_FS: i32 = 0x1002;
    const ARCH_GET_FS: i32 = 0x1003;
    const ARCH_GET_GS: i32 = 0x1004;
    const ARCH_GET_CPUID: i32 = 0x1011;
    const ARCH_SET_CPUID: i32 = 0x1012;
    const ARCH_GET_XCOMP_SUPP: i32 = 0x1021;
    const ARCH_GET_XCOMP_PERM: i32 = 0x1022;
    match op {
        ARCH_SET_FS => {
            if arg >= USER_END {
                return Err(Errno::EPERM);
            }
            msr::set_fs_base(arg);
            Ok(0)
        }
        ARCH_GET_FS => {
            UserPtr::new(arg).write(msr::fs_base())?;
            Ok(0)
        }
        ARCH_SET_GS => Err(if arg >= USER_END { Errno::EPERM } else { Errno::EOPNOTSUPP }),
        // As the program would find it: never set.
        ARCH_GET_GS => {
            UserPtr::new(arg).write(0u64)?;
            Ok(0)
        }
        ARCH_GET_CPUID => Ok(1),
        ARCH_SET_CPUID => Err(Errno::ENODEV),
        ARCH_GET_XCOMP_SUPP | ARCH_GET_XCOMP_PERM => {
            UserPtr::new(arg).write(fpu::xcr0())?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
