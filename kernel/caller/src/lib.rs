//! The running thread, as those see it that serve its system calls: its ids, its limits, its view
//! of the file system, and how it and others are sent signals.
//!
//! Files, sockets and interprocess communication lie below the tasks, whose tables refer to them.
//! What they ask of whoever calls goes through the functions here; the tasks say by [`caller!`]
//! what the answers are, and so do tests on a host, where [`testing`] has a caller for each thread.
//! The linker joins the two, so that a question costs no more than a call.
#![no_std]

extern crate alloc;
#[cfg(all(any(test, feature = "testing"), not(target_os = "none")))]
extern crate std;

mod context;
mod credentials;
mod link;
mod per_user;
mod set_ids;
#[cfg(all(any(test, feature = "testing"), not(target_os = "none")))]
pub mod testing;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

#[doc(hidden)]
pub use fs::Namespace;
#[doc(hidden)]
pub use sync::wait::WaitQueue;
#[cfg(not(target_os = "none"))]
use syscall_shim::Errno;
#[doc(hidden)]
pub use syscall_shim::{SigSet, Signal, SysResult, types::Siginfo};

pub use context::{FsContext, fs_credentials, with_fs, with_fs_as};
pub use credentials::{ALL_CAPABILITIES, Credentials};
pub use link::{
    broken_pipe, check_group, count_blocks_read, count_blocks_written, count_read, count_written, credentials, fs_context,
    group, is_deaf_to, is_dying, is_orphaned, namespace, pending_signals, pid, process, raise, rlimit, send, session,
    set_broken_pipe, signal_queue, take_signal, tid,
};
pub use per_user::PerUser;

/// A point on the monotonic clock, in nanoseconds since boot.
pub type Instant = u64;

/// Whom an id names that a signal is sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Target {
    /// One thread.
    Thread,
    /// A process.
    #[default]
    Process,
    /// A process group.
    Group,
}

/// A process that can be sent signals.
pub trait Recipient: Send + Sync {
    /// Sends one. `EAGAIN` where its queue is full.
    fn send(&self, info: Siginfo) -> SysResult<()>;
}

/// The running thread; [`caller!`] says which type it is.
pub trait Caller {
    /// User and group ids.
    fn credentials() -> Arc<Credentials>;

    /// Process id.
    fn pid() -> i32;

    /// Thread id.
    fn tid() -> i32;

    /// Id of its process group.
    fn group() -> i32;

    /// Id of its session.
    fn session() -> i32;

    /// Whether its process group is an orphaned one.
    fn is_orphaned() -> bool;

    /// Whether there is a process group `group` of which some member is in `session`. `ESRCH`,
    /// `EPERM`.
    fn check_group(group: i32, session: i32) -> SysResult<()>;

    /// Whether it blocks a signal, or its process ignores it.
    fn is_deaf_to(signal: Signal) -> bool;

    /// Signals that are pending for it or its process.
    fn pending_signals() -> SigSet;

    /// Takes the first of those among `wanted`, as signalfd(2) does.
    fn take_signal(wanted: SigSet) -> Option<Siginfo>;

    /// Woken whenever a signal becomes pending for its process.
    fn signal_queue() -> Arc<WaitQueue>;

    /// Its process, to send it signals later; it need not live on for that.
    fn process() -> Arc<dyn Recipient>;

    /// The soft limit `RLIMIT_*`.
    fn rlimit(resource: u32) -> u64;

    /// Counts a call that read so many bytes.
    fn count_read(bytes: usize);

    /// Counts a call that wrote so many bytes.
    fn count_written(bytes: usize);

    /// Counts bytes that a disk was asked for on its behalf.
    fn count_blocks_read(bytes: u64);

    /// Counts bytes that a disk is to write on its behalf, now or later.
    fn count_blocks_written(bytes: u64);

    /// Whether a signal kills the thread as soon as its call ends.
    fn is_dying() -> bool;

    /// Sends the thread a signal of the kernel's.
    fn raise(signal: Signal);

    /// Sends whom `id` names a signal, if there is somebody of that id. Takes spin locks only.
    fn send(target: Target, id: i32, info: Siginfo);

    /// Whether a write that nobody reads sends `SIGPIPE`.
    fn broken_pipe() -> bool;

    /// Changes that.
    fn set_broken_pipe(on: bool);

    /// Calls `f` with root, working directory and umask, and with the ids. `f` exchanges none of
    /// them.
    fn fs_context(f: &mut dyn FnMut(&FsContext, &Credentials));

    /// What is mounted where.
    fn namespace() -> &'static Namespace;
}

/// Whether the caller has capability `cap` (`CAP_*`).
pub fn capable(cap: u32) -> bool {
    credentials().capable(cap)
}

/// Pages of memory that the machine has.
pub fn total_pages() -> usize {
    #[cfg(target_os = "none")]
    return mem::frames::total();
    // 256 MiB.
    #[cfg(not(target_os = "none"))]
    return 1 << 16;
}

/// Pages of memory that nobody uses.
pub fn free_pages() -> usize {
    #[cfg(target_os = "none")]
    return mem::frames::stats().free;
    #[cfg(not(target_os = "none"))]
    return total_pages() / 2;
}

/// Whether so many pages more may go to what programs make grow.
pub fn pages_available(pages: u64) -> bool {
    #[cfg(target_os = "none")]
    return mem::user_page::available(pages);
    #[cfg(not(target_os = "none"))]
    return pages <= total_pages() as u64;
}

/// `ENOMEM` where memory is short, so that nothing more is kept for programs.
#[inline]
pub fn check_memory() -> SysResult<()> {
    #[cfg(target_os = "none")]
    return mem::heap::check();
    #[cfg(not(target_os = "none"))]
    if fs::platform::platform().may_keep() { Ok(()) } else { Err(Errno::ENOMEM) }
}
