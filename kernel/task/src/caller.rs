//! The running thread, as [`caller`](::caller) shows it to those who serve its calls.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use ::caller::{Caller, Credentials, FsContext, Recipient, Target};
use fs::Namespace;
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, SigSet, Signal, SysResult};

use super::signal::send::{self, send_to_group, send_to_process, send_to_task};
use super::wait::WaitQueue;
use super::{Process, Task, current, group, table};

struct Running;

impl Caller for Running {
    fn credentials() -> Arc<Credentials> {
        current().credentials()
    }

    #[inline]
    fn pid() -> i32 {
        current().process.pid
    }

    fn tid() -> i32 {
        current().tid()
    }

    fn group() -> i32 {
        current().process.pgid.load(Ordering::Relaxed)
    }

    fn session() -> i32 {
        current().process.sid.load(Ordering::Relaxed)
    }

    fn is_orphaned() -> bool {
        group::is_orphaned(Self::group())
    }

    fn check_group(group: i32, session: i32) -> SysResult<()> {
        let mut members = group::members(group).peekable();
        members.peek().ok_or(Errno::ESRCH)?;
        let own = members.any(|process| process.sid.load(Ordering::Relaxed) == session);
        if own { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn is_deaf_to(signal: Signal) -> bool {
        current().signals.lock().mask.contains(signal) || current().process.sighand.ignores(signal)
    }

    fn pending_signals() -> SigSet {
        current().pending_signals()
    }

    fn take_signal(wanted: SigSet) -> Option<Siginfo> {
        current().take_signal(wanted)
    }

    fn signal_queue() -> Arc<WaitQueue> {
        current().process.sighand.arrived.clone()
    }

    fn process() -> Arc<dyn Recipient> {
        Arc::new(Sent(Arc::downgrade(&current().process)))
    }

    fn rlimit(resource: u32) -> u64 {
        current().process.rlimit(resource)
    }

    #[inline]
    fn count_read(bytes: usize) {
        current().count_read(bytes);
    }

    #[inline]
    fn count_written(bytes: usize) {
        current().count_written(bytes);
    }

    fn count_blocks_read(bytes: u64) {
        current().blocks[0].fetch_add(bytes, Ordering::Relaxed);
    }

    fn count_blocks_written(bytes: u64) {
        current().blocks[1].fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_dying() -> bool {
        let task = current();
        task.signal_pending.load(Ordering::Acquire) && send::is_being_killed(task)
    }

    fn raise(signal: Signal) {
        send::raise(signal);
    }

    fn send(target: Target, id: i32, info: Siginfo) {
        // Who is gone cannot be told.
        let _ = match target {
            Target::Thread => table::task(id).map(|task| send_to_task(&task, info)),
            Target::Process => table::process(id).map(|process| send_to_process(&process, info)),
            Target::Group => Some(send_to_group(id, info)),
        };
    }

    fn broken_pipe() -> bool {
        !current().no_broken_pipe.load(Ordering::Relaxed)
    }

    fn set_broken_pipe(on: bool) {
        current().no_broken_pipe.store(!on, Ordering::Relaxed);
    }

    #[inline]
    fn fs_context(f: &mut dyn FnMut(&FsContext, &Credentials)) {
        Task::with_own_fs(f);
    }

    #[inline]
    fn namespace() -> &'static Namespace {
        crate::namespace()
    }
}

::caller::caller!(Running);

/// A process that need not live on to be sent signals.
struct Sent(alloc::sync::Weak<Process>);

impl Recipient for Sent {
    fn send(&self, info: Siginfo) -> SysResult<()> {
        self.0.upgrade().map_or(Ok(()), |process| send_to_process(&process, info))
    }
}
