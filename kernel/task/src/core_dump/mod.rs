//! Core files (core(5)): of a process that a signal kills, in its working directory where
//! `RLIMIT_CORE` allows it or on the host with `core=host`; and of a living one, when the host
//! asks.

mod hold;
mod memory;
mod notes;
mod output;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use linux_raw_sys::general::RLIMIT_CORE;
use syscall_shim::core_file::{self, Name, Notes, Segment};
use syscall_shim::types::Siginfo;
use syscall_shim::{Errno, Signal, SysResult};

pub use hold::Hold;
use output::Output;

use super::thread::Task;
use super::{current_arc, exit, uts};
use arch::trap::TrapFrame;
use arch::{boot, clock};
use mem::PAGE_SIZE;
use observe::host_link::{self, frame::Outgoing};
use sync::{SleepMutex, SpinLock};

/// Longest `core_pattern` (`CORENAME_MAX_SIZE`).
pub const PATTERN_MAX: usize = 127;

/// `/proc/sys/kernel/core_pattern`; empty stands for `core`.
static PATTERN: SpinLock<Vec<u8>> = SpinLock::new(Vec::new());
/// `/proc/sys/fs/suid_dumpable`: what `PR_GET_DUMPABLE` is after an execve(2) that gained
/// something.
pub static SUID_DUMPABLE: AtomicU32 = AtomicU32::new(0);
/// `/proc/sys/kernel/core_uses_pid`
pub static USES_PID: AtomicI32 = AtomicI32::new(0);
/// The host takes one file at a time.
static HOST: SleepMutex<()> = SleepMutex::new(());

/// `/proc/sys/kernel/core_pattern`
pub fn pattern() -> Vec<u8> {
    let pattern = PATTERN.lock();
    if pattern.is_empty() { b"core".to_vec() } else { pattern.clone() }
}

/// Sets `/proc/sys/kernel/core_pattern`. `EINVAL` for a pipe to a program: there are none.
pub fn set_pattern(pattern: &[u8]) -> SysResult<()> {
    if pattern.starts_with(b"|") || pattern.len() > PATTERN_MAX {
        return Err(Errno::EINVAL);
    }
    *PATTERN.lock() = pattern.to_vec();
    Ok(())
}

/// Ends the current process by a signal whose default action is a core file. Threads that have
/// noticed nothing yet are in the file as they were.
pub fn killed(frame: &TrapFrame, signal: Signal, info: &Siginfo) -> ! {
    let task = current_arc();
    Hold::take(&task);
    let status = u32::from(signal.number());
    if exit::begin_group_exit(&task.process, status) {
        let output = open(&task, signal);
        if let Some((mut output, _guard)) = output {
            Hold::wait_for_others(&task);
            let written = write(&task, frame, info, &mut output);
            let finished = output.finish(written.is_ok());
            // One that is cut short, by `RLIMIT_CORE` or a full disk, is there as well.
            task.process.exit_status.fetch_or(0x80, Ordering::AcqRel);
            if let Err(errno) = written.and(finished) {
                kwarn!("{} (pid {}): core file cut short: {errno:?}", task.name(), task.process.pid);
            }
        }
    }
    Hold::release(&task);
    drop(task);
    exit::exit_thread()
}

type HostGuard = Option<sync::SleepGuard<'static, ()>>;

/// Where the core file of a killed process goes; `None` where there is to be none.
fn open(task: &Task, signal: Signal) -> Option<(Output, HostGuard)> {
    let process = &task.process;
    if host_link::active() && boot::option("core") == Some("host") {
        let guard = HOST.lock();
        return Some((to_host(task, signal.number().into()), Some(guard)));
    }
    let limit = process.rlimit(RLIMIT_CORE);
    if limit < PAGE_SIZE as u64 || process.dumpable.load(Ordering::Relaxed) != 1 {
        return None;
    }
    let comm = task.name();
    let (exe, host, credentials) = (process.exe_name.lock().clone(), uts::hostname(), task.credentials());
    let name = Name {
        pid: process.pid,
        tid: task.tid(),
        comm: comm.as_bytes(),
        exe: exe.as_bytes(),
        signal: signal.number().into(),
        ids: (credentials.uid, credentials.gid),
        time: clock::realtime_ns() / 1_000_000_000,
        limit,
        dumpable: process.dumpable.load(Ordering::Relaxed),
        host: &host,
    };
    let name = name.expand(&pattern(), USES_PID.load(Ordering::Relaxed) != 0);
    match Output::file(&name, limit) {
        Ok(output) => Some((output, None)),
        Err(errno) => {
            kwarn!(
                "{comm} (pid {}): no core file {}: {errno:?}",
                process.pid,
                alloc::string::String::from_utf8_lossy(&name)
            );
            None
        }
    }
}

fn to_host(task: &Task, signal: u32) -> Output {
    Output::host(task.process.pid, task.tid(), signal, task.name().as_bytes())
}

/// What a thread does about it on its way out of the kernel, with `frame`'s registers: parks while
/// another one writes, writes if the host has asked for it. Whether there was anything; the caller
/// looks again then.
pub fn attend(task: &Task, frame: &TrapFrame) -> bool {
    if !task.process.hold.take_request() {
        return Hold::park(task);
    }
    Hold::take(task);
    Hold::wait_for_others(task);
    // Another process's file may be on its way, for as long as the host takes.
    if let Ok(_host) = HOST.lock_killable() {
        let mut output = to_host(task, 0);
        let written = write(&current_arc(), frame, &Siginfo::default(), &mut output);
        let _ = output.finish(written.is_ok());
    }
    Hold::release(task);
    true
}

/// Writes the file of the current process. All other threads are still.
fn write(task: &Arc<Task>, frame: &TrapFrame, info: &Siginfo, output: &mut Output) -> SysResult<()> {
    let process = &task.process;
    let mm = process.mm();
    let (parts, files) = memory::parts(&mm, process.coredump_filter.load(Ordering::Relaxed))?;
    let mut notes = Notes::default();
    notes::thread(&mut notes, task, frame, info, Some(notes::About { info, files: &files, mm: &mm }));
    for other in process.threads().filter(|other| !Arc::ptr_eq(other, task)) {
        let mut frame = other.app_frame();
        mm.original_ip(&mut frame);
        notes::thread(&mut notes, &other, &frame, info, None);
    }
    let segments: Vec<Segment> = parts.iter().map(|part| part.segment).collect();
    let (head, _) = core_file::head(&notes, &segments);
    output.put(&head)?;
    parts.iter().try_for_each(|part| memory::write(&mm, part, output))
}

/// Tells the host that there is no process `pid` to have a core file of. In any context.
pub fn refuse(pid: i32) {
    let mut refusal = [output::mark::NO_PROCESS, 0, 0, 0, 0];
    refusal[1..].copy_from_slice(&pid.to_le_bytes());
    host_link::write_all(Outgoing::CoreMark, &refusal);
}

/// Asks process `pid` for a core file of the living process, for the host. In any context; `false`
/// if there is no such process.
pub fn request(pid: i32) -> bool {
    match super::table::process(pid) {
        Some(process) if !process.exiting.load(Ordering::Acquire) => {
            Hold::request(&process);
            true
        }
        _ => false,
    }
}
