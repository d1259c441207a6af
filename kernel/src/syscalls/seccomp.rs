//! seccomp(2).

use linux_raw_sys::ptrace as p;
use syscall_shim::{Errno, SysResult};

use crate::task::seccomp;
use crate::usermem::UserPtr;

/// What the call knows. That calls are let through is logged nowhere, and no filter changes what the CPU speculates.
const FLAGS: u32 = p::SECCOMP_FILTER_FLAG_TSYNC
    | p::SECCOMP_FILTER_FLAG_LOG
    | p::SECCOMP_FILTER_FLAG_SPEC_ALLOW
    | p::SECCOMP_FILTER_FLAG_TSYNC_ESRCH;

/// seccomp(2). Nobody can listen to what filters say: `SECCOMP_FILTER_FLAG_NEW_LISTENER` is as unknown as to Linux 4.
pub fn seccomp(op: u32, flags: u32, args: u64) -> SysResult {
    match op {
        p::SECCOMP_SET_MODE_STRICT if flags == 0 && args == 0 => seccomp::set_strict().map(|()| 0),
        p::SECCOMP_SET_MODE_FILTER => set_filter(flags, args),
        p::SECCOMP_GET_ACTION_AVAIL if flags == 0 => {
            let wanted = UserPtr::<u32>::new(args).read()?;
            let known = seccomp::ACTIONS.iter().any(|(action, _)| *action == wanted);
            if known { Ok(0) } else { Err(Errno::EOPNOTSUPP) }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `PR_SET_SECCOMP`
pub(super) fn set_by_prctl(mode: u64, filter: u64) -> SysResult {
    match mode as u32 {
        _ if mode > u64::from(u32::MAX) => Err(Errno::EINVAL),
        p::SECCOMP_MODE_STRICT => seccomp(p::SECCOMP_SET_MODE_STRICT, 0, 0),
        p::SECCOMP_MODE_FILTER => seccomp(p::SECCOMP_SET_MODE_FILTER, 0, filter),
        _ => Err(Errno::EINVAL),
    }
}

fn set_filter(flags: u32, args: u64) -> SysResult {
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    // struct sock_fprog: a length, and where the instructions are.
    let [len, at] = UserPtr::<[u64; 2]>::new(args).read()?;
    let program = seccomp::read_program(len as u16, at)?;
    match seccomp::add_filter(program, flags & p::SECCOMP_FILTER_FLAG_TSYNC != 0)? {
        0 => Ok(0),
        _ if flags & p::SECCOMP_FILTER_FLAG_TSYNC_ESRCH != 0 => Err(Errno::ESRCH),
        tid => Ok(tid as usize),
    }
}
