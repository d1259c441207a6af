//! A caller for tests on a host: each thread is one, with ids that the test gives it, and remembers
//! what signals it was sent.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::collections::HashMap;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread_local;
use std::time::Duration;

use fs::Namespace;
use fs::tmpfs::TmpfsOptions;
use sync::scheduler::{Alarm, Parker, Scheduler, Sleep, Waker};
use sync::wait::WaitQueue;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SigSet, Signal, SysResult};

use crate::{Caller, Credentials, FsContext, Recipient, Target};

/// What a thread of a test is.
pub struct Identity {
    /// Process and thread id.
    pub pid: i32,
    /// Process group, which a new thread leads.
    pub group: i32,
    /// Session, which a new thread leads too.
    pub session: i32,
    /// Signals that it blocks or ignores.
    pub deaf_to: Vec<Signal>,
    /// Whether its process group is orphaned.
    pub is_orphaned: bool,
    /// Ids and capabilities.
    pub credentials: Arc<Credentials>,
    /// Limits that are none of infinity, by `RLIMIT_*`.
    pub rlimits: HashMap<u32, u64>,
    /// What is mounted where.
    pub namespace: &'static Namespace,
    /// Its view of the file system.
    pub context: Arc<FsContext>,
    /// Whether writes that nobody reads send `SIGPIPE`.
    pub broken_pipe: bool,
    /// Bytes read and written.
    pub counts: [u64; 2],
    /// Bytes that disks read and wrote for it.
    pub blocks: [u64; 2],
}

static NEXT_PID: AtomicI32 = AtomicI32::new(1);
/// The session of each process group.
static GROUPS: LazyLock<Mutex<HashMap<i32, i32>>> = LazyLock::new(Mutex::default);
/// Signals by whom they were sent to.
static SENT: LazyLock<Mutex<Vec<(Target, i32, Siginfo)>>> = LazyLock::new(Mutex::default);

/// Woken by every signal, whoever gets it.
static ARRIVED: LazyLock<Arc<WaitQueue>> = LazyLock::new(|| Arc::new(WaitQueue::new()));

thread_local! {
    static SELF: RefCell<Identity> = RefCell::new(Identity::new());
    static SLEEPER: Arc<Sleeper> = Arc::new(Sleeper::default());
}

impl Identity {
    fn new() -> Self {
        fs::testing::install();
        let fs = fs::tmpfs::Tmpfs::new(TmpfsOptions::default()).expect("a host has memory");
        // A test has few threads.
        let namespace: &Arc<Namespace> = Box::leak(Box::new(Namespace::new(fs, "tmpfs", fs::MountFlags::default())));
        let pid = NEXT_PID.fetch_add(1, Ordering::Relaxed);
        lock(&GROUPS).insert(pid, pid);
        Self {
            pid,
            group: pid,
            session: pid,
            deaf_to: Vec::new(),
            is_orphaned: false,
            credentials: Arc::new(Credentials::root()),
            rlimits: HashMap::new(),
            namespace,
            context: Arc::new(FsContext::new(namespace.root())),
            broken_pipe: true,
            counts: [0; 2],
            blocks: [0; 2],
        }
    }
}

/// Looks at, or changes, what this thread is.
pub fn with<R>(f: impl FnOnce(&mut Identity) -> R) -> R {
    SELF.with(|own| f(&mut own.borrow_mut()))
}

/// Makes this thread a process of user `uid` and group `gid`, without capabilities.
pub fn become_user(uid: u32, gid: u32) {
    let ids = Credentials {
        uid,
        euid: uid,
        suid: uid,
        fsuid: uid,
        gid,
        egid: gid,
        sgid: gid,
        fsgid: gid,
        ..Credentials::default()
    };
    with(|own| own.credentials = Arc::new(ids));
}

/// Puts this thread into a process group and a session (setpgid(2), setsid(2)).
pub fn join_group(group: i32, session: i32) {
    lock(&GROUPS).insert(group, session);
    with(|own| (own.group, own.session) = (group, session));
}

/// Takes the signals that were sent to whom `id` names.
pub fn take_signals(target: Target, id: i32) -> Vec<Siginfo> {
    let mut sent = lock(&SENT);
    let (found, left) = sent.drain(..).partition(|(to, whom, _)| (*to, *whom) == (target, id));
    *sent = left;
    let found: Vec<(Target, i32, Siginfo)> = found;
    found.into_iter().map(|(_, _, info)| info).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Process(i32);

impl Recipient for Process {
    fn send(&self, info: Siginfo) -> SysResult<()> {
        lock(&SENT).push((Target::Process, self.0, info));
        ARRIVED.wake_all();
        Ok(())
    }
}

struct Running;

impl Caller for Running {
    fn credentials() -> Arc<Credentials> {
        with(|own| own.credentials.clone())
    }
    fn pid() -> i32 {
        with(|own| own.pid)
    }
    fn tid() -> i32 {
        with(|own| own.pid)
    }
    fn group() -> i32 {
        with(|own| own.group)
    }
    fn session() -> i32 {
        with(|own| own.session)
    }
    fn is_orphaned() -> bool {
        with(|own| own.is_orphaned)
    }
    fn check_group(group: i32, session: i32) -> SysResult<()> {
        match lock(&GROUPS).get(&group) {
            None => Err(Errno::ESRCH),
            Some(of) if *of != session => Err(Errno::EPERM),
            Some(_) => Ok(()),
        }
    }
    fn is_deaf_to(signal: Signal) -> bool {
        with(|own| own.deaf_to.contains(&signal))
    }
    fn pending_signals() -> SigSet {
        let own = [(Target::Thread, Self::tid()), (Target::Process, Self::pid())];
        let sent = lock(&SENT);
        let pending = sent.iter().filter(|(to, id, _)| own.contains(&(*to, *id)));
        pending.fold(SigSet(0), |set, (.., info)| SigSet(set.0 | 1 << (info.si_signo - 1)))
    }
    fn take_signal(wanted: SigSet) -> Option<Siginfo> {
        let own = [(Target::Thread, Self::tid()), (Target::Process, Self::pid())];
        let mut sent = lock(&SENT);
        let is_wanted = |info: &Siginfo| wanted.0 >> (info.si_signo - 1) & 1 != 0;
        let at = sent.iter().position(|(to, id, info)| own.contains(&(*to, *id)) && is_wanted(info))?;
        Some(sent.remove(at).2)
    }
    fn signal_queue() -> Arc<WaitQueue> {
        ARRIVED.clone()
    }
    fn process() -> Arc<dyn Recipient> {
        Arc::new(Process(Self::pid()))
    }
    fn rlimit(resource: u32) -> u64 {
        with(|own| own.rlimits.get(&resource).copied().unwrap_or(u64::MAX))
    }
    fn count_read(bytes: usize) {
        with(|own| own.counts[0] += bytes as u64);
    }
    fn count_written(bytes: usize) {
        with(|own| own.counts[1] += bytes as u64);
    }
    fn count_blocks_read(bytes: u64) {
        with(|own| own.blocks[0] += bytes);
    }
    fn count_blocks_written(bytes: u64) {
        with(|own| own.blocks[1] += bytes);
    }
    fn is_dying() -> bool {
        false
    }
    fn raise(signal: Signal) {
        Self::send(Target::Thread, Self::tid(), Siginfo::kernel(signal));
    }
    fn send(target: Target, id: i32, info: Siginfo) {
        lock(&SENT).push((target, id, info));
        ARRIVED.wake_all();
    }
    fn broken_pipe() -> bool {
        with(|own| own.broken_pipe)
    }
    fn set_broken_pipe(on: bool) {
        with(|own| own.broken_pipe = on);
    }
    fn fs_context(f: &mut dyn FnMut(&FsContext, &Credentials)) {
        let (context, credentials) = with(|own| (own.context.clone(), own.credentials.clone()));
        f(&context, &credentials);
    }
    fn namespace() -> &'static Namespace {
        with(|own| own.namespace)
    }
}

crate::caller!(Running);

/// A thread of the host as a task that sleeps.
#[derive(Default)]
struct Sleeper {
    asleep: Mutex<bool>,
    changed: Condvar,
    woken: AtomicBool,
    interrupted: AtomicBool,
}

impl Sleeper {
    fn rouse(&self) {
        *lock(&self.asleep) = false;
        self.changed.notify_all();
    }
}

impl Waker for Sleeper {
    fn wake(&self, _key: u32) -> bool {
        if self.woken.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.rouse();
        true
    }
}

impl Parker for Sleeper {
    fn clear_woken(&self) {
        self.woken.swap(false, Ordering::SeqCst);
    }
    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }
}

/// What interrupts the sleep of the thread that made it, from another one.
pub fn interrupter() -> Box<dyn Fn() + Send + Sync> {
    let sleeper = SLEEPER.with(Arc::clone);
    Box::new(move || {
        sleeper.interrupted.store(true, Ordering::SeqCst);
        sleeper.rouse();
    })
}

struct Threads;

impl Scheduler for Threads {
    fn parker() -> Arc<dyn Parker> {
        SLEEPER.with(|own| own.clone())
    }
    fn keep_parker(_parker: Arc<dyn Parker>) {}
    fn prepare(_sleep: Sleep) {
        SLEEPER.with(|own| *lock(&own.asleep) = true);
    }
    fn park() {
        SLEEPER.with(|own| {
            let mut asleep = lock(&own.asleep);
            while *asleep {
                // Looked at again now and then: nobody sets an alarm for a deadline here.
                let (guard, timeout) =
                    own.changed.wait_timeout(asleep, Duration::from_millis(2)).unwrap_or_else(PoisonError::into_inner);
                asleep = guard;
                if timeout.timed_out() {
                    break;
                }
            }
        });
    }
    fn unprepare() {
        SLEEPER.with(|own| *lock(&own.asleep) = false);
    }
    fn is_interrupted(sleep: Sleep) -> bool {
        sleep == Sleep::Interruptible && SLEEPER.with(|own| own.interrupted.swap(false, Ordering::SeqCst))
    }
    fn set_alarm(deadline: u64, _waker: Arc<dyn Waker>) -> Alarm {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Alarm { deadline, serial: SERIAL.fetch_add(1, Ordering::Relaxed), cpu: 0 }
    }
    fn cancel_alarm(_alarm: Alarm) {}
}

sync::scheduler!(Threads);
