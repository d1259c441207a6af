//! System calls: one file per family of section 2 of the manual. A handler is thin: it takes typed arguments, calls one
//! method of a subsystem and returns its result. Its module is re-exported here, and its row in
//! `syscall-shim/src/table.rs` says `done` or `partial("...")`; then the dispatcher below finds it by name.
#![deny(unsafe_code)]

mod attr;
mod dir;
mod epoll;
mod event_fd;
mod fd;
mod futex;
mod identity;
mod inotify;
mod link;
mod lock;
mod memory;
mod message;
mod misc;
mod mount;
mod open;
mod paths;
mod pidfd;
mod pipe;
mod poll;
mod prctl;
mod process;
mod rlimit;
mod rw;
mod sched;
mod signal;
mod socket;
mod stat;
mod time;
mod time_left;
mod timer;
mod transfer;
mod unshare;
mod xattr;

use attr::*;
use dir::*;
use epoll::*;
use event_fd::*;
use fd::*;
use futex::*;
use identity::*;
use inotify::*;
use link::*;
use lock::*;
use memory::*;
use message::*;
use misc::*;
use mount::*;
use open::*;
use pidfd::*;
use pipe::*;
use poll::*;
use prctl::*;
use process::*;
use rlimit::*;
use rw::*;
use sched::*;
use signal::*;
use socket::*;
use stat::*;
use syscall_shim::{Errno, SysResult};
use time::*;
use timer::*;
use transfer::*;
use unshare::*;
use xattr::*;

use crate::task::Task;
use crate::trace;

/// How a handler's parameter is made from the register that carries it. Linux narrows registers the same way: an
/// `int` parameter ignores the upper half.
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

macro_rules! dispatcher {
    ($($nr:literal, $name:ident, [$($kind:ident $(($len:literal))?)*], $status:ident $(($why:literal))?;)*) => {
        /// Runs the handler of system call `nr`; a number without one answers `ENOSYS`.
        pub fn dispatch(nr: u64, args: [u64; 6]) -> SysResult {
            match nr {
                $($nr => call!($status, $name, args, [$($kind)*]),)*
                _ => Err(Errno::ENOSYS),
            }
        }
    };
}
syscall_shim::for_each_syscall! { dispatcher }

/// Runs system call `nr` for `task`, the current one, counted and traced: what the entry code calls. `direct` says how it came.
pub fn call(task: &Task, nr: u64, args: [u64; 6], direct: bool) -> SysResult {
    trace::count(nr, direct);
    let line = trace::enter(task, nr, &args);
    let result = dispatch(nr, args);
    if let Some(line) = line {
        trace::exit(line, nr, &args, result);
    }
    result
}
