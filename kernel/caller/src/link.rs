//! How the questions come to who answers them.

use alloc::sync::Arc;

use fs::Namespace;
use sync::wait::WaitQueue;
use syscall_shim::types::Siginfo;
use syscall_shim::{SigSet, Signal, SysResult};

use crate::{Credentials, FsContext, Recipient, Target};

/// Makes a type that implements [`Caller`](crate::Caller) the one that is asked. Once in a program.
#[macro_export]
macro_rules! caller {
    ($caller:ty) => {
        const _: () = {
            extern crate alloc;
            use alloc::sync::Arc;
            use $crate::{
                Caller, Credentials, FsContext, Namespace, Recipient, SigSet, Siginfo, Signal, SysResult, Target, WaitQueue,
            };

            #[unsafe(no_mangle)]
            fn caller_credentials() -> Arc<Credentials> {
                <$caller as Caller>::credentials()
            }
            #[unsafe(no_mangle)]
            fn caller_pid() -> i32 {
                <$caller as Caller>::pid()
            }
            #[unsafe(no_mangle)]
            fn caller_tid() -> i32 {
                <$caller as Caller>::tid()
            }
            #[unsafe(no_mangle)]
            fn caller_group() -> i32 {
                <$caller as Caller>::group()
            }
            #[unsafe(no_mangle)]
            fn caller_session() -> i32 {
                <$caller as Caller>::session()
            }
            #[unsafe(no_mangle)]
            fn caller_is_orphaned() -> bool {
                <$caller as Caller>::is_orphaned()
            }
            #[unsafe(no_mangle)]
            fn caller_check_group(group: i32, session: i32) -> SysResult<()> {
                <$caller as Caller>::check_group(group, session)
            }
            #[unsafe(no_mangle)]
            fn caller_is_deaf_to(signal: Signal) -> bool {
                <$caller as Caller>::is_deaf_to(signal)
            }
            #[unsafe(no_mangle)]
            fn caller_pending_signals() -> SigSet {
                <$caller as Caller>::pending_signals()
            }
            #[unsafe(no_mangle)]
            fn caller_take_signal(wanted: SigSet) -> Option<Siginfo> {
                <$caller as Caller>::take_signal(wanted)
            }
            #[unsafe(no_mangle)]
            fn caller_signal_queue() -> Arc<WaitQueue> {
                <$caller as Caller>::signal_queue()
            }
            #[unsafe(no_mangle)]
            fn caller_process() -> Arc<dyn Recipient> {
                <$caller as Caller>::process()
            }
            #[unsafe(no_mangle)]
            fn caller_rlimit(resource: u32) -> u64 {
                <$caller as Caller>::rlimit(resource)
            }
            #[unsafe(no_mangle)]
            fn caller_count_read(bytes: usize) {
                <$caller as Caller>::count_read(bytes)
            }
            #[unsafe(no_mangle)]
            fn caller_count_written(bytes: usize) {
                <$caller as Caller>::count_written(bytes)
            }
            #[unsafe(no_mangle)]
            fn caller_count_blocks_read(bytes: u64) {
                <$caller as Caller>::count_blocks_read(bytes)
            }
            #[unsafe(no_mangle)]
            fn caller_count_blocks_written(bytes: u64) {
                <$caller as Caller>::count_blocks_written(bytes)
            }
            #[unsafe(no_mangle)]
            fn caller_is_dying() -> bool {
                <$caller as Caller>::is_dying()
            }
            #[unsafe(no_mangle)]
            fn caller_raise(signal: Signal) {
                <$caller as Caller>::raise(signal)
            }
            #[unsafe(no_mangle)]
            fn caller_send(target: Target, id: i32, info: Siginfo) {
                <$caller as Caller>::send(target, id, info)
            }
            #[unsafe(no_mangle)]
            fn caller_broken_pipe() -> bool {
                <$caller as Caller>::broken_pipe()
            }
            #[unsafe(no_mangle)]
            fn caller_set_broken_pipe(on: bool) {
                <$caller as Caller>::set_broken_pipe(on)
            }
            #[unsafe(no_mangle)]
            fn caller_fs_context(f: &mut dyn FnMut(&FsContext, &Credentials)) {
                <$caller as Caller>::fs_context(f)
            }
            #[unsafe(no_mangle)]
            fn caller_namespace() -> &'static Namespace {
                <$caller as Caller>::namespace()
            }
        };
    };
}

// SAFETY: each is defined by `caller!`, with these types, from functions that are safe.
unsafe extern "Rust" {
    /// User and group ids of the caller.
    #[link_name = "caller_credentials"]
    pub safe fn credentials() -> Arc<Credentials>;
    /// The caller's process id.
    #[link_name = "caller_pid"]
    pub safe fn pid() -> i32;
    /// The caller's thread id.
    #[link_name = "caller_tid"]
    pub safe fn tid() -> i32;
    /// Id of the caller's process group.
    #[link_name = "caller_group"]
    pub safe fn group() -> i32;
    /// Id of the caller's session.
    #[link_name = "caller_session"]
    pub safe fn session() -> i32;
    /// Whether the caller's process group is an orphaned one: nobody outside of it could continue
    /// it.
    #[link_name = "caller_is_orphaned"]
    pub safe fn is_orphaned() -> bool;
    /// Whether there is a process group `group` of which some member is in `session`. `ESRCH`,
    /// `EPERM`.
    #[link_name = "caller_check_group"]
    pub safe fn check_group(group: i32, session: i32) -> SysResult<()>;
    /// Whether the caller blocks a signal or ignores it.
    #[link_name = "caller_is_deaf_to"]
    pub safe fn is_deaf_to(signal: Signal) -> bool;
    /// Signals that are pending for the caller or its process.
    #[link_name = "caller_pending_signals"]
    pub safe fn pending_signals() -> SigSet;
    /// Takes the first of those among `wanted`, as signalfd(2) does.
    #[link_name = "caller_take_signal"]
    pub safe fn take_signal(wanted: SigSet) -> Option<Siginfo>;
    /// Woken whenever a signal becomes pending for the caller's process.
    #[link_name = "caller_signal_queue"]
    pub safe fn signal_queue() -> Arc<WaitQueue>;
    /// The caller's process, to send it signals later.
    #[link_name = "caller_process"]
    pub safe fn process() -> Arc<dyn Recipient>;
    /// The caller's soft limit `RLIMIT_*`.
    #[link_name = "caller_rlimit"]
    pub safe fn rlimit(resource: u32) -> u64;
    /// Counts a call that read so many bytes.
    #[link_name = "caller_count_read"]
    pub safe fn count_read(bytes: usize);
    /// Counts a call that wrote so many bytes.
    #[link_name = "caller_count_written"]
    pub safe fn count_written(bytes: usize);
    /// Counts bytes that a disk was asked for on the caller's behalf.
    #[link_name = "caller_count_blocks_read"]
    pub safe fn count_blocks_read(bytes: u64);
    /// Counts bytes that a disk is to write on the caller's behalf.
    #[link_name = "caller_count_blocks_written"]
    pub safe fn count_blocks_written(bytes: u64);
    /// Whether a signal kills the caller as soon as its call ends.
    #[link_name = "caller_is_dying"]
    pub safe fn is_dying() -> bool;
    /// Sends the caller a signal of the kernel's.
    #[link_name = "caller_raise"]
    pub safe fn raise(signal: Signal);
    /// Sends whom `id` names a signal, if there is somebody of that id.
    #[link_name = "caller_send"]
    pub safe fn send(target: Target, id: i32, info: Siginfo);
    /// Whether a write of the caller's that nobody reads sends `SIGPIPE`.
    #[link_name = "caller_broken_pipe"]
    pub safe fn broken_pipe() -> bool;
    /// Changes that.
    #[link_name = "caller_set_broken_pipe"]
    pub safe fn set_broken_pipe(on: bool);
    /// Calls `f` with the caller's root, working directory and umask, and with its ids.
    #[link_name = "caller_fs_context"]
    pub safe fn fs_context(f: &mut dyn FnMut(&FsContext, &Credentials));
    /// What is mounted where, for the caller.
    #[link_name = "caller_namespace"]
    pub safe fn namespace() -> &'static Namespace;
}
