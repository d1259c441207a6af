//! System calls: one file per family of section 2 of the manual. A handler is thin: it takes typed
//! arguments, calls one method of a subsystem and returns its result. Its module is re-exported
//! here, and its row in `syscall-shim/src/table.rs` says `done` or `partial("...")`; then the
//! dispatcher below finds it by name.
#![deny(unsafe_code)]

mod acct;
mod attr;
mod dir;
mod epoll;
mod event_fd;
mod fd;
mod futex;
mod handle;
mod identity;
mod inotify;
mod legacy;
mod link;
mod lock;
mod memory;
mod message;
mod misc;
mod mount;
mod mqueue;
mod new_mount;
mod numa;
mod open;
mod paths;
mod pidfd;
mod pipe;
mod poll;
mod prctl;
mod prctl_mm;
mod priority;
mod process;
mod rlimit;
mod rw;
mod sched;
mod seccomp;
mod signal;
mod socket;
mod stat;
mod statmount;
mod syslog;
mod sysv;
mod time;
mod time_left;
mod timer;
mod transfer;
mod unshare;
mod xattr;

use acct::*;
use attr::*;
use dir::*;
use epoll::*;
use event_fd::*;
use fd::*;
use futex::*;
use handle::*;
use identity::*;
use inotify::*;
use legacy::*;
use link::*;
use lock::*;
use memory::*;
use message::*;
use misc::*;
use mount::*;
use mqueue::*;
use new_mount::*;
use numa::*;
use open::*;
use pidfd::*;
use pipe::*;
use poll::*;
use prctl::*;
use priority::*;
use process::*;
use rlimit::*;
use rw::*;
use sched::*;
use seccomp::*;
use signal::*;
use socket::*;
use stat::*;
use statmount::*;
use syscall_shim::{Errno, NR_SYSCALLS, SysResult};
use syslog::*;
use sysv::*;
use time::*;
use timer::*;
use transfer::*;
use unshare::*;
use xattr::*;

use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::clock;
use crate::arch::trap::TrapFrame;
use crate::usermem::{UserAddr, UserPtr};
use crate::{counters, trace};
use observe::latency;
use spin::Once;
use task::Task;

/// How a handler's parameter is made from the register that carries it. Linux narrows registers the
/// same way: an `int` parameter ignores the upper half.
pub trait FromArg {
    /// Converts one register.
    fn from_arg(register: u64) -> Self;
}

macro_rules! from_arg {
    ($($ty:ty)*) => { $(impl FromArg for $ty {
        fn from_arg(register: u64) -> Self { register as $ty }
    })* };
}
from_arg! { i32 u32 i64 u64 usize isize u16 u8 }

impl FromArg for UserAddr {
    fn from_arg(register: u64) -> Self {
        Self(register)
    }
}

impl<T> FromArg for UserPtr<T> {
    fn from_arg(register: u64) -> Self {
        UserAddr(register).cast()
    }
}

macro_rules! call {
    (absent, $name:ident, $a:ident, [$($kind:ident)*]) => {
        Err(Errno::ENOSYS)
    };
    ($s:ident, $name:ident, $a:ident, []) => {
        $name()
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident]) => {
        $name(FromArg::from_arg($a[0]))
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident $k1:ident]) => {
        $name(FromArg::from_arg($a[0]), FromArg::from_arg($a[1]))
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident $k1:ident $k2:ident]) => {
        $name(FromArg::from_arg($a[0]), FromArg::from_arg($a[1]), FromArg::from_arg($a[2]))
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident $k1:ident $k2:ident $k3:ident]) => {
        $name(FromArg::from_arg($a[0]), FromArg::from_arg($a[1]), FromArg::from_arg($a[2]), FromArg::from_arg($a[3]))
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident $k1:ident $k2:ident $k3:ident $k4:ident]) => {
        $name(
            FromArg::from_arg($a[0]),
            FromArg::from_arg($a[1]),
            FromArg::from_arg($a[2]),
            FromArg::from_arg($a[3]),
            FromArg::from_arg($a[4]),
        )
    };
    ($s:ident, $name:ident, $a:ident, [$k0:ident $k1:ident $k2:ident $k3:ident $k4:ident $k5:ident]) => {
        $name(
            FromArg::from_arg($a[0]),
            FromArg::from_arg($a[1]),
            FromArg::from_arg($a[2]),
            FromArg::from_arg($a[3]),
            FromArg::from_arg($a[4]),
            FromArg::from_arg($a[5]),
        )
    };
}

/// A handler as the table has it: takes its arguments from the frame, and answers what the caller
/// finds in rax.
type Handler = fn(&TrapFrame) -> i64;

fn encode(result: SysResult) -> i64 {
    match result {
        Ok(value) => value as i64,
        Err(errno) => -i64::from(errno.0),
    }
}

macro_rules! dispatcher {
    ($($nr:literal, $name:ident, [$($kind:ident $(($len:literal))?)*], $status:ident $(($why:literal))?;)*) => {
        /// The handlers by number; one without answers `ENOSYS`.
        static HANDLERS: [Handler; NR_SYSCALLS] = {
            fn absent(_: &TrapFrame) -> i64 {
                encode(Err(Errno::ENOSYS))
            }
            let mut handlers = [absent as Handler; NR_SYSCALLS];
            $({
                #[allow(unused_variables)]
                fn handler(frame: &TrapFrame) -> i64 {
                    let args = frame.arguments();
                    encode(call!($status, $name, args, [$($kind)*]))
                }
                handlers[$nr] = handler;
            })*
            handlers
        };
    };
}
syscall_shim::for_each_syscall! { dispatcher }

#[inline]
fn dispatch(nr: u64, frame: &TrapFrame) -> i64 {
    const ENOSYS: i64 = -(Errno::ENOSYS.0 as i64);
    let result = HANDLERS.get(nr as usize).map_or(ENOSYS, |handler| handler(frame));
    if result == ENOSYS {
        counters::absent(nr);
    }
    result
}

/// What [`set_disable_quick`] was told.
static DISABLE_QUICK: Once<fn(&dyn Fn(u64) -> bool)> = Once::new();
/// Whether calls are looked at before they are made: traced, timed, or filtered.
static INSPECTING: AtomicBool = AtomicBool::new(false);

/// Has the calls of the machine take the long way from now on, as what is traced or filtered must,
/// but for those that nobody looks at (`passes`): they may still be answered on the spot.
pub fn inspect_calls(passes: &dyn Fn(u64) -> bool) {
    INSPECTING.store(true, Ordering::Release);
    if let Some(disable) = DISABLE_QUICK.get() {
        disable(passes);
    }
}

/// Says how calls that are answered on the spot, before they come here, are made to come here, but
/// for those that pass.
pub fn set_disable_quick(disable: fn(&dyn Fn(u64) -> bool)) {
    DISABLE_QUICK.call_once(|| disable);
}

/// Runs the system call of `frame` for `task`, the current one, traced and filtered if that is
/// wanted: what the entry code calls. Returns what the caller finds in rax. (A handler that changes
/// the frame does so by [`task::thread::with_frame`].)
#[inline]
pub fn call(task: &Task, nr: u64, frame: &TrapFrame) -> i64 {
    if INSPECTING.load(Ordering::Relaxed) {
        return inspected(task, nr, frame);
    }
    dispatch(nr, frame)
}

#[cold]
fn inspected(task: &Task, nr: u64, frame: &TrapFrame) -> i64 {
    if trace::is_active() { traced(task, nr, frame) } else { filtered(task, nr, frame) }
}

fn filtered(task: &Task, nr: u64, frame: &TrapFrame) -> i64 {
    task::seccomp::look_at(task, nr, frame).unwrap_or_else(|| dispatch(nr, frame))
}

fn traced(task: &Task, nr: u64, frame: &TrapFrame) -> i64 {
    let args = frame.arguments();
    let line = trace::enter(task, nr, &args);
    let start = clock::monotonic_ns();
    let result = filtered(task, nr, frame);
    latency::record(nr, clock::monotonic_ns() - start, (-4095..0).contains(&result));
    if let Some(line) = line {
        trace::exit(task, line, nr, &args, syscall_shim::errno::from_rax(result));
    }
    result
}
