//! seccomp(2): which system calls a thread may make.
//!
//! A thread has a mode and, in the mode of filters, a chain of them: its own and those it has
//! inherited, the newest first. All of them judge each call, and the strictest verdict counts. The
//! chain is shared with the threads and children that have inherited it.
//!
//! What all of a chain let through whatever the arguments is known beforehand, a bit for each call
//! ([`Allowed`]): filters run for the others only.
//!
//! Calls are looked at on the long way only
//! ([`Upcalls::inspect_calls`](crate::upcalls::Upcalls::inspect_calls)), which the machine takes
//! from the first filter on: without one, nothing here costs anything.

pub mod notify;

use crate::upcalls::above;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use inet::bpf::seccomp::Call;
use inet::bpf::{Instruction, MAX_INSTRUCTIONS, NotTaken, Program};
use linux_raw_sys::general as g;
use linux_raw_sys::ptrace::{self as p, SECCOMP_MODE_DISABLED, SECCOMP_MODE_FILTER, SECCOMP_MODE_STRICT};
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, NR_SYSCALLS, Signal, SysResult};

use self::notify::{Answer, Notifier};
use super::thread::Task;
use super::{current, exit, signal};
use arch::trap::TrapFrame;
use sync::IrqSpinLock;
use usermem::UserAddr;

/// `AUDIT_ARCH_X86_64`
pub const ARCH: u32 = 0xc000_003e;
/// Most instructions of a chain, where each filter counts as so many more ([`OVERHEAD`]):
/// `MAX_INSNS_PER_PATH`.
const PATH_MAX: usize = 32768;
const OVERHEAD: usize = 4;
/// `MAX_ERRNO`
const ERRNO_MAX: u32 = 4095;

/// What a filter can say that a program can rely on, the strictest first, with the names of
/// `/proc/sys/kernel/seccomp/actions_avail`.
pub const ACTIONS: [(u32, &str); 8] = [
    (p::SECCOMP_RET_KILL_PROCESS, "kill_process"),
    (p::SECCOMP_RET_KILL_THREAD, "kill_thread"),
    (p::SECCOMP_RET_TRAP, "trap"),
    (p::SECCOMP_RET_ERRNO, "errno"),
    (p::SECCOMP_RET_USER_NOTIF, "user_notif"),
    (p::SECCOMP_RET_TRACE, "trace"),
    (p::SECCOMP_RET_LOG, "log"),
    (p::SECCOMP_RET_ALLOW, "allow"),
];

/// The calls that filters always let through, a bit each.
type Allowed = [u64; NR_SYSCALLS.div_ceil(64)];

fn is_allowed(allowed: &Allowed, nr: u64) -> bool {
    allowed.get((nr / 64) as usize).is_some_and(|word| word >> (nr % 64) & 1 != 0)
}

/// One filter of a chain.
struct Filter {
    program: Program,
    /// Who is asked where it says `SECCOMP_RET_USER_NOTIF`.
    notifier: Option<Arc<Notifier>>,
    /// What all of the chain let through from here on.
    allowed: Allowed,
    older: Option<Arc<Filter>>,
    /// How many the chain has from here on.
    count: u32,
    /// What they count for [`PATH_MAX`].
    size: usize,
}

impl Drop for Filter {
    /// A long chain goes one by one, not each inside the drop of another.
    fn drop(&mut self) {
        if let Some(notifier) = &self.notifier {
            notifier.filter_is_gone();
        }
        let mut older = self.older.take();
        while let Some(mut filter) = older.and_then(Arc::into_inner) {
            older = filter.older.take();
        }
    }
}

impl Filter {
    fn new(program: Program, older: Option<Arc<Filter>>, notifier: Option<Arc<Notifier>>) -> SysResult<Self> {
        let (count, below) = older.as_ref().map_or((0, 0), |filter| (filter.count, filter.size));
        let own = program.weight_in_chain();
        if below + own > PATH_MAX {
            return Err(Errno::ENOMEM);
        }
        let mut allowed = [0; _];
        for nr in 0..NR_SYSCALLS as u64 {
            let before = older.as_ref().is_none_or(|older| is_allowed(&older.allowed, nr));
            if before && program.allows_always(nr as u32, ARCH) {
                allowed[(nr / 64) as usize] |= 1 << (nr % 64);
            }
        }
        Ok(Self { program, notifier, allowed, older, count: count + 1, size: below + own + OVERHEAD })
    }

    /// Whether somebody listens to one of the chain.
    fn has_notifier(mut chain: Option<&Arc<Filter>>) -> bool {
        while let Some(filter) = chain {
            if filter.notifier.is_some() {
                return true;
            }
            chain = filter.older.as_ref();
        }
        false
    }

    /// Whether the chain that begins here has `start` in it, or `start` is the empty chain.
    fn descends_from(mut chain: Option<&Arc<Filter>>, start: Option<&Arc<Filter>>) -> bool {
        let Some(start) = start else { return true };
        while let Some(filter) = chain {
            if Arc::ptr_eq(filter, start) {
                return true;
            }
            chain = filter.older.as_ref();
        }
        false
    }
}

/// What a thread may call.
#[derive(Default)]
pub struct Seccomp {
    /// `SECCOMP_MODE_*`. Never goes back to what it was.
    mode: AtomicU32,
    /// What the chain always lets through.
    allowed: [AtomicU64; NR_SYSCALLS.div_ceil(64)],
    /// How many filters there are.
    count: AtomicU32,
    /// A leaf lock: nothing is freed while it is held.
    newest: IrqSpinLock<Option<Arc<Filter>>>,
}

impl Seccomp {
    /// `PR_GET_SECCOMP`
    pub fn mode(&self) -> u32 {
        self.mode.load(Ordering::Acquire)
    }

    /// `Seccomp_filters` of `/proc/PID/status`.
    pub fn filters(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes over what the creator of a new thread may call. What was there is given back, to be
    /// dropped where no lock is held.
    #[must_use]
    pub fn inherit(&self, creator: &Self) -> Dropped {
        self.set(creator.newest.lock().clone(), creator.mode())
    }

    /// The thread ends, and uses its filters no more.
    #[must_use]
    pub fn release(&self) -> Dropped {
        Dropped { _chain: self.newest.lock().take() }
    }

    /// Whether call `nr` passes all filters without being looked at.
    #[inline]
    fn passes(&self, nr: u64) -> bool {
        self.allowed.get((nr / 64) as usize).is_some_and(|word| word.load(Ordering::Relaxed) >> (nr % 64) & 1 != 0)
    }

    fn set(&self, newest: Option<Arc<Filter>>, mode: u32) -> Dropped {
        if let Some(newest) = &newest {
            self.count.store(newest.count, Ordering::Relaxed);
            self.allowed.iter().zip(newest.allowed).for_each(|(word, bits)| word.store(bits, Ordering::Relaxed));
        }
        let old = core::mem::replace(&mut *self.newest.lock(), newest);
        self.mode.store(mode, Ordering::Release);
        Dropped { _chain: old }
    }
}

/// A chain that is let go of.
pub struct Dropped {
    _chain: Option<Arc<Filter>>,
}

/// `SECCOMP_SET_MODE_STRICT`
pub fn set_strict() -> SysResult<()> {
    let task = current();
    if task.seccomp.mode() == SECCOMP_MODE_FILTER {
        return Err(Errno::EINVAL);
    }
    task.seccomp.mode.store(SECCOMP_MODE_STRICT, Ordering::Release);
    above().inspect_calls(&|_| false);
    Ok(())
}

/// Reads a filter and checks it. `EACCES` for who neither has given up privileges nor is the
/// super-user.
pub fn read_program(len: u16, at: u64) -> SysResult<Program> {
    let task = current();
    let len = usize::from(len);
    if len == 0 || len > MAX_INSTRUCTIONS {
        return Err(Errno::EINVAL);
    }
    if !task.no_new_privs.load(Ordering::Relaxed) && !task.credentials().capable(g::CAP_SYS_ADMIN) {
        return Err(Errno::EACCES);
    }
    let instructions = UserAddr(at).cast::<[u8; Instruction::SIZE]>().read_vec(len)?;
    let program =
        Program::read(&instructions).map_err(|why| if why == NotTaken::NoMemory { Errno::ENOMEM } else { Errno::EINVAL })?;
    program.check_for_calls().map_err(|_| Errno::EINVAL)?;
    Ok(program)
}

/// Puts a filter before the caller's others; for all threads of the process if `all` is wanted.
/// `Ok` has the id of a thread that cannot follow, whose filters are others, or 0. `EBUSY` if there
/// were two whom the chain asks.
pub fn add_filter(program: Program, notifier: Option<Arc<Notifier>>, all: bool) -> SysResult<i32> {
    let task = current();
    if task.seccomp.mode() == SECCOMP_MODE_STRICT {
        return Err(Errno::EINVAL);
    }
    let older = task.seccomp.newest.lock().clone();
    if notifier.is_some() && Filter::has_notifier(older.as_ref()) {
        return Err(Errno::EBUSY);
    }
    let filter = Arc::new(Filter::new(program, older, notifier)?);
    above().inspect_calls(&|nr| is_allowed(&filter.allowed, nr));
    if !all {
        drop(task.seccomp.set(Some(filter), SECCOMP_MODE_FILTER));
        return Ok(0);
    }
    let mut dropped = Vec::new();
    loop {
        let wanted = task.process.threads.lock().len();
        dropped.try_reserve(wanted).map_err(|_| Errno::ENOMEM)?;
        // With the threads locked, none is made that would miss it.
        let threads = task.process.threads.lock();
        if threads.len() > dropped.capacity() {
            continue;
        }
        if let Some(other) = threads.iter().find(|other| !can_follow(other, task)) {
            return Ok(other.tid());
        }
        for thread in threads.iter() {
            if task.no_new_privs.load(Ordering::Relaxed) {
                thread.no_new_privs.store(true, Ordering::Relaxed);
            }
            dropped.push(thread.seccomp.set(Some(filter.clone()), SECCOMP_MODE_FILTER));
        }
        return Ok(0);
    }
}

/// Whether a thread's filters are among the caller's own, so that it can have all of them.
fn can_follow(thread: &Task, caller: &Task) -> bool {
    let own = caller.seccomp.newest.lock().clone();
    let theirs = thread.seccomp.newest.lock().clone();
    match thread.seccomp.mode() {
        SECCOMP_MODE_DISABLED => true,
        SECCOMP_MODE_FILTER => Filter::descends_from(own.as_ref(), theirs.as_ref()),
        _ => false,
    }
}

/// Looks at a call before it is made. `Some` is what the caller finds in rax instead.
pub fn look_at(task: &Task, nr: u64, frame: &TrapFrame) -> Option<i64> {
    match task.seccomp.mode() {
        SECCOMP_MODE_DISABLED => None,
        SECCOMP_MODE_STRICT => {
            let allowed = [g::__NR_read, g::__NR_write, g::__NR_exit, g::__NR_rt_sigreturn];
            if !allowed.iter().any(|allowed| u64::from(*allowed) == nr) {
                exit::end_by_signal(Signal::SIGKILL);
            }
            None
        }
        _ if task.seccomp.passes(nr) => None,
        _ => {
            let call =
                Call { nr: nr as u32, arch: ARCH, instruction_pointer: original_ip(task, frame), args: frame.arguments() };
            let (verdict, notifier) = verdict(task, &call);
            obey(task, &call, verdict, notifier)
        }
    }
}

/// Where the caller's own code goes on, whose call site may have become a jump.
fn original_ip(task: &Task, frame: &TrapFrame) -> u64 {
    let mut frame = *frame;
    task.process.mm().original_ip(&mut frame);
    frame.rip
}

/// The strictest of what the filters say, of two as strict the newest's, and whom that filter asks.
fn verdict(task: &Task, call: &Call) -> (u32, Option<Arc<Notifier>>) {
    let newest = task.seccomp.newest.lock().clone();
    let mut verdict = p::SECCOMP_RET_ALLOW;
    let mut notifier = None;
    let mut next = newest.as_ref();
    while let Some(filter) = next {
        let said = filter.program.judge(call);
        if ((said & p::SECCOMP_RET_ACTION_FULL) as i32) < (verdict & p::SECCOMP_RET_ACTION_FULL) as i32 {
            verdict = said;
            notifier = filter.notifier.as_ref();
        }
        next = filter.older.as_ref();
    }
    (verdict, notifier.cloned())
}

fn obey(task: &Task, call: &Call, verdict: u32, notifier: Option<Arc<Notifier>>) -> Option<i64> {
    let data = verdict & p::SECCOMP_RET_DATA;
    let trapped = || Siginfo::seccomp(call.instruction_pointer, call.nr as i32, ARCH, data as i32);
    match verdict & p::SECCOMP_RET_ACTION_FULL {
        p::SECCOMP_RET_ALLOW | p::SECCOMP_RET_LOG => None,
        p::SECCOMP_RET_ERRNO => Some(-i64::from(data.min(ERRNO_MAX))),
        p::SECCOMP_RET_TRAP => {
            signal::force(trapped());
            Some(call.nr as i32 as i64)
        }
        p::SECCOMP_RET_USER_NOTIF if let Some(notifier) = notifier => match notifier.ask(task, call) {
            Answer::Continue => None,
            Answer::Value(value) => Some(value),
        },
        // Nobody traces, and nobody listens.
        p::SECCOMP_RET_TRACE | p::SECCOMP_RET_USER_NOTIF => Some(-i64::from(Errno::ENOSYS.0)),
        p::SECCOMP_RET_KILL_THREAD if task.process.threads.lock().len() > 1 => exit::end_by_signal(Signal::SIGSYS),
        // Whatever else a filter says is the same.
        _ => {
            signal::force_default(trapped());
            Some(call.nr as i32 as i64)
        }
    }
}
