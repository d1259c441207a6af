//! `/proc/PID/stack`: where a thread is in the kernel (proc_pid_stack(5)).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use syscall_shim::{Errno, SysResult};

use super::target::Target;
use crate::arch::backtrace;
use crate::files::capable;
use crate::symbols;
use crate::task::current;

const CAP_SYS_ADMIN: u32 = 21;

fn line(address: u64) -> String {
    match symbols::function(address - 1) {
        Some((name, start, end)) => format!("[<0>] {name}+{:#x}/{:#x}\n", address - start, end - start),
        None => format!("[<0>] {address:#x}\n"),
    }
}

/// The functions that the thread will return to, innermost first; nothing of one that runs, unless it is the caller.
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
