//! seccomp(2).

use linux_raw_sys::ptrace as p;
use syscall_shim::types::{SeccompData, SeccompNotif, SeccompResponse};
use syscall_shim::{Errno, SysResult};

use crate::files::seccomp_notify;
use crate::usermem::UserPtr;
use task::current;
use task::seccomp::{self, notify::Notifier};

/// What the call knows. That calls are let through is logged nowhere, and no filter changes what
/// the CPU speculates.
const FLAGS: u32 = p::SECCOMP_FILTER_FLAG_TSYNC
    | p::SECCOMP_FILTER_FLAG_LOG
    | p::SECCOMP_FILTER_FLAG_SPEC_ALLOW
    | p::SECCOMP_FILTER_FLAG_NEW_LISTENER
    | p::SECCOMP_FILTER_FLAG_TSYNC_ESRCH
    | p::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

/// seccomp(2).
pub fn seccomp(op: u32, flags: u32, args: u64) -> SysResult {
    match op {
        p::SECCOMP_SET_MODE_STRICT if flags == 0 && args == 0 => seccomp::set_strict().map(|()| 0),
        p::SECCOMP_SET_MODE_FILTER => set_filter(flags, args),
        p::SECCOMP_GET_ACTION_AVAIL if flags == 0 => {
            let wanted = UserPtr::<u32>::new(args).read()?;
            let known = seccomp::ACTIONS.iter().any(|(action, _)| *action == wanted);
            if known { Ok(0) } else { Err(Errno::EOPNOTSUPP) }
        }
        p::SECCOMP_GET_NOTIF_SIZES if flags == 0 => {
            let sizes = [size_of::<SeccompNotif>(), size_of::<SeccompResponse>(), size_of::<SeccompData>()];
            UserPtr::new(args).write(sizes.map(|size| size as u16))?;
            Ok(0)
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
    let has = |flag| flags & flag != 0;
    let (all, listens) = (has(p::SECCOMP_FILTER_FLAG_TSYNC), has(p::SECCOMP_FILTER_FLAG_NEW_LISTENER));
    let esrch = has(p::SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
    let killable = has(p::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    // A thread's id cannot be told beside a descriptor.
    if flags & !FLAGS != 0 || all && listens && !esrch || killable && !listens {
        return Err(Errno::EINVAL);
    }
    // struct sock_fprog: a length, and where the instructions are.
    let [len, at] = UserPtr::<[u64; 2]>::new(args).read()?;
    let program = seccomp::read_program(len as u16, at)?;
    let files = current().files()?;
    let listener = if listens { Some((files.reserve(true)?, Notifier::new(killable))) } else { None };
    match seccomp::add_filter(program, listener.as_ref().map(|(_, notifier)| notifier.clone()), all)? {
        0 => {}
        _ if esrch => return Err(Errno::ESRCH),
        tid => return Ok(tid as usize),
    }
    Ok(listener.map_or(0, |(number, notifier)| number.install(seccomp_notify::open(notifier)) as usize))
}
