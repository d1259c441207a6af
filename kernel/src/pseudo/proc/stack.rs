//! `/proc/PID/stack` and `wchan`: where a thread is in the kernel (proc_pid_stack(5),
//! proc_pid_wchan(5)).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Acquire;

use syscall_shim::{Errno, SysResult};

use super::target::Target;
use crate::arch::backtrace;
use fd::capable;
use observe::symbols;
use task::current;
use task::thread::state;

const CAP_SYS_ADMIN: u32 = 21;

/// Where functions are that all who sleep go through.
const SLEEPING: [&str; 3] = ["skiff_kernel::task::sched::", "skiff_kernel::task::wait::", "skiff_kernel::sync::"];

fn line(address: u64) -> String {
    match symbols::function(address - 1) {
        Some((name, start, end)) => format!("[<0>] {name}+{:#x}/{:#x}\n", address - start, end - start),
        None => format!("[<0>] {address:#x}\n"),
    }
}

/// The functions that the thread will return to, innermost first; nothing of one that runs, unless
/// it is the caller.
pub fn stack(target: &Target) -> SysResult<Vec<u8>> {
    if !capable(CAP_SYS_ADMIN) {
        return Err(Errno::EACCES);
    }
    target.check_access()?;
    let task = target.task()?;
    let (first, frame) = if core::ptr::eq(&*task, current()) {
        (None, backtrace::frame_pointer())
    } else {
        match task.left_at() {
            Some((rip, rbp)) => (Some(rip), rbp),
            None => return Ok(Vec::new()),
        }
    };
    let lines = first.into_iter().chain(backtrace::return_addresses(frame)).map(line);
    Ok(lines.collect::<String>().into_bytes())
}

/// `wchan`: the function that the thread sleeps in; 0 of one that runs, or that the caller may not
/// look into.
pub fn waits_in(target: &Target) -> SysResult<Vec<u8>> {
    let process = target.process()?;
    let frames = match target.task() {
        Ok(task) if task.run_state() != state::RUNNING && target.check_access().is_ok() => task.left_at(),
        Ok(_) => None,
        // All its threads have ended.
        Err(_) if process.zombie.load(Acquire) => None,
        Err(errno) => return Err(errno),
    };
    let names = frames.into_iter().flat_map(|(rip, rbp)| core::iter::once(rip).chain(backtrace::return_addresses(rbp)));
    let mut names = names.filter_map(|address| symbols::lookup(address - 1)).map(|(name, _)| name);
    let name = names.find(|name| !SLEEPING.iter().any(|place| name.starts_with(place)));
    Ok(name.map_or_else(|| b"0".to_vec(), |name| name.replace(' ', "_").into_bytes()))
}
