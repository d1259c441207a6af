//! Leases (fcntl(2), `F_SETLEASE`): the holder is told by a signal before somebody else opens or
//! truncates the file, and has a while to put it in order.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, Ordering};

use caller::Instant;
use caller::capable;
use fs::lease::{self, LeaseBreaker};
use fs::locks::LockKind;
use fs::{Cap, InodeRef, S_IFMT, S_IFREG};
use sync::SpinLock;
use sync::clock;
use sync::wait::{WaitError, WaitQueue, wait_until};
use syscall_shim::{Errno, SysResult};

use crate::OpenFile;
use crate::owner::{self, Owner, OwnerKind, SharedOwner};

/// Seconds that a holder has (`/proc/sys/fs/lease-break-time`); 0 for no end.
pub static BREAK_TIME: AtomicI32 = AtomicI32::new(45);
/// Whether leases are granted (`/proc/sys/fs/leases-enable`).
pub static ENABLED: AtomicI32 = AtomicI32::new(1);

/// What somebody who waits wants of a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Breaking {
    /// What it may become: a read lease, or nothing.
    to: Option<LockKind>,
    /// When it becomes that whether the holder likes it or not.
    deadline: Option<Instant>,
}

/// One lease; an open file description has at most one.
struct Lease {
    /// Id of the description.
    file: u64,
    kind: LockKind,
    owner: SharedOwner,
    /// The descriptor that it was taken through, for `si_fd`.
    fd: i32,
    breaking: Option<Breaking>,
}

impl Lease {
    fn conflicts(&self, write: bool) -> bool {
        write || self.kind == LockKind::Write
    }

    /// Whether it is being broken at least as far as `write` asks.
    fn is_breaking(&self, write: bool) -> bool {
        self.breaking.is_some_and(|breaking| !write || breaking.to.is_none())
    }
}

/// The leases on one file.
struct Leases {
    /// A leaf lock.
    list: SpinLock<Vec<Lease>>,
    /// Woken when one ends or weakens.
    waiters: WaitQueue,
}

impl Leases {
    /// Ends or weakens what is due, and tells whether some lease is still in the way.
    fn in_the_way(&self, write: bool) -> bool {
        let now = clock::monotonic_ns();
        let mut list = self.list.lock();
        list.retain_mut(|lease| match lease.breaking {
            Some(Breaking { to, deadline: Some(deadline) }) if now >= deadline => match to {
                Some(kind) => {
                    lease.kind = kind;
                    lease.breaking = None;
                    true
                }
                None => {
                    lease::removed();
                    false
                }
            },
            _ => true,
        });
        list.iter().any(|lease| lease.conflicts(write))
    }

    /// Marks what conflicts, and answers whom to tell.
    fn begin_breaking(&self, write: bool) -> Vec<(Owner, i32)> {
        let seconds = BREAK_TIME.load(Ordering::Relaxed).max(0) as u64;
        let deadline = (seconds > 0).then(|| clock::monotonic_ns().saturating_add(seconds.saturating_mul(1_000_000_000)));
        let to = if write { None } else { Some(LockKind::Read) };
        let mut list = self.list.lock();
        let news = list.iter_mut().filter(|lease| lease.conflicts(write) && !lease.is_breaking(write));
        news.map(|lease| {
            lease.breaking = Some(Breaking { to, deadline });
            (*lease.owner.lock(), lease.fd)
        })
        .collect()
    }

    fn next_deadline(&self, write: bool) -> Option<Instant> {
        let list = self.list.lock();
        list.iter().filter(|l| l.conflicts(write)).filter_map(|l| l.breaking.and_then(|b| b.deadline)).min()
    }
}

pub(crate) struct Breaker;

impl LeaseBreaker for Breaker {
    fn break_leases(&self, inode: &InodeRef, write: bool, nonblock: bool) -> SysResult<()> {
        let Some(leases) = inode.common().get_ext::<Leases>() else { return Ok(()) };
        loop {
            if !leases.in_the_way(write) {
                return Ok(());
            }
            for (owner, fd) in leases.begin_breaking(write) {
                owner::post_message(&owner, fd);
            }
            if nonblock {
                return Err(Errno::EAGAIN);
            }
            let deadline = leases.next_deadline(write);
            let free = || (!leases.in_the_way(write)).then_some(());
            match wait_until(&[&leases.waiters], deadline, free) {
                Ok(()) => return Ok(()),
                Err(WaitError::TimedOut) => {}
                Err(WaitError::Interrupted) => return Err(Errno::ERESTARTSYS),
            }
        }
    }
}

/// `EAGAIN` while the file is open in a way that a lease of this kind would have had to know of.
fn check_opens(file: &OpenFile, kind: LockKind) -> SysResult<()> {
    let flags = file.flags();
    let (readers, writers) = file.inode.common().opens();
    let free = match kind {
        LockKind::Read => writers == 0,
        LockKind::Write => {
            readers == u32::from(flags.readable() && !flags.writable()) && writers == u32::from(flags.writable())
        }
    };
    if free { Ok(()) } else { Err(Errno::EAGAIN) }
}

/// `F_SETLEASE` with `F_RDLCK` or `F_WRLCK`, or `None` for `F_UNLCK`, through the descriptor `fd`.
pub fn set(file: &OpenFile, fd: i32, kind: Option<LockKind>) -> SysResult<()> {
    static REGISTERED: spin::Once<()> = spin::Once::new();
    REGISTERED.call_once(|| lease::set_breaker(&Breaker));
    let attrs = file.inode.access_attrs();
    if caller::credentials().fsuid != attrs.uid && !capable(Cap::Lease as u32) {
        return Err(Errno::EACCES);
    }
    if attrs.mode & S_IFMT != S_IFREG {
        return Err(Errno::EINVAL);
    }
    if kind.is_some() && ENABLED.load(Ordering::Relaxed) == 0 {
        return Err(Errno::EINVAL);
    }
    let Some(kind) = kind else {
        return if release(file) { Ok(()) } else { Err(Errno::EAGAIN) };
    };
    let leases = file.inode.common().ext_or_insert(|| Leases { list: SpinLock::new(Vec::new()), waiters: WaitQueue::new() });
    {
        let mut list = leases.list.lock();
        check_opens(file, kind)?;
        let others = |lease: &&Lease| lease.file != file.id;
        if list.iter().filter(others).any(|lease| kind == LockKind::Write || lease.is_breaking(true)) {
            return Err(Errno::EAGAIN);
        }
        match list.iter_mut().find(|lease| lease.file == file.id) {
            Some(own) => (own.kind, own.breaking, own.fd) = (kind, None, fd),
            None => {
                list.try_reserve(1).map_err(|_| Errno::ENOLCK)?;
                list.push(Lease { file: file.id, kind, owner: Arc::clone(&file.owner), fd, breaking: None });
                lease::added();
            }
        }
    }
    let mut owner = file.owner.lock();
    if owner.pid == 0 {
        *owner = Owner { kind: OwnerKind::Process, pid: caller::pid(), ..*owner };
    }
    drop(owner);
    leases.waiters.wake_all();
    Ok(())
}

/// `F_GETLEASE`: what the description holds, or is to hold once who breaks it has got its way.
pub fn get(file: &OpenFile) -> Option<LockKind> {
    let leases = file.inode.common().get_ext::<Leases>()?;
    leases.in_the_way(true);
    let list = leases.list.lock();
    let own = list.iter().find(|lease| lease.file == file.id)?;
    own.breaking.map_or(Some(own.kind), |breaking| breaking.to)
}

/// Ends the lease of a description; whether it had one.
pub fn release(file: &OpenFile) -> bool {
    if !lease::active() {
        return false;
    }
    let Some(leases) = file.inode.common().get_ext::<Leases>() else { return false };
    let ended = {
        let mut list = leases.list.lock();
        let at = list.iter().position(|lease| lease.file == file.id);
        at.map(|at| list.swap_remove(at))
    };
    if ended.is_some() {
        lease::removed();
        leases.waiters.wake_all();
    }
    ended.is_some()
}
