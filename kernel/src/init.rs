//! The first process: the program that the image is made for.

use alloc::string::String;
use alloc::sync::Arc;
use syscall_shim::{Errno, SysResult};

use crate::vfs::{self, Manifest};
use arch::irq;
use arch::trap_entry;
use fd::{FdTable, FsContext};
use observe::host_link::{self, ExitKind};
use task::credentials::Credentials;
use task::exec::{self, ExecError};
use task::process::Process;
use task::signal::{SigHand, ThreadSignals};
use task::thread::{NewTask, Task};
use task::{current, sched, table};
use vm::AddressSpace;

/// Exit statuses as a shell gives them: the program cannot be set up, is there but cannot be
/// executed, is not there.
const STATUS_NOT_SET_UP: i32 = 125;
const STATUS_NOT_EXECUTABLE: i32 = 126;
const STATUS_NOT_FOUND: i32 = 127;

/// Makes the first process and lets it run: its thread unpacks the root file system, executes the
/// program and becomes it. `ENOMEM`.
pub fn start(root: fs::Path) -> SysResult<()> {
    let pid = table::allocate_id();
    let process = Arc::new(Process::new(pid, AddressSpace::new()?, Arc::new(SigHand::default())));
    let new = NewTask {
        tid: pid,
        process: process.clone(),
        files: Arc::new(FdTable::new()),
        fs: Arc::new(FsContext::new(root)),
        credentials: Arc::new(Credentials::root()),
        comm: *b"init\0\0\0\0\0\0\0\0\0\0\0\0",
        signals: ThreadSignals::default(),
    };
    let task = Arc::new(Task::new_in_kernel(new, become_program)?);
    process.threads.lock().push(task.clone());
    table::add_process(process);
    table::add_task(task.clone());
    sched::start(&task);
    Ok(())
}

extern "C" fn become_program(_: usize) -> ! {
    if let Err(message) = start_program() {
        kerr!("{}", message.text);
        host_link::exit(message.status, ExitKind::NotStarted);
    }
    let task = current();
    irq::disable();
    let frame = task.frame_ptr();
    // SAFETY: execve has laid the program's registers out there, at the top of this thread's own
    // stack, above everything that this function still uses; interrupts are off.
    unsafe {
        crate::entry::traps::leave_to_application(&mut *frame);
        trap_entry::enter_application(frame)
    }
}

struct Failure {
    status: i32,
    text: String,
}

fn start_program() -> Result<(), Failure> {
    let manifest = vfs::populate().map_err(|text| Failure { status: STATUS_NOT_SET_UP, text })?;
    let Manifest { exec, argv, envp, cwd } = manifest;
    if exec.is_empty() {
        let text =
            String::from("the image names no program: make it with mkimage, or append '-- PATH ARGS' to the command line");
        return Err(Failure { status: STATUS_NOT_SET_UP, text });
    }
    vfs::change_directory(&cwd).map_err(|errno| Failure {
        status: STATUS_NOT_SET_UP,
        text: alloc::format!("working directory {}: {errno:?}", String::from_utf8_lossy(&cwd)),
    })?;
    crate::files::open_standard_files().map_err(|errno| Failure {
        status: STATUS_NOT_SET_UP,
        text: alloc::format!("cannot open standard input and output: {errno:?}"),
    })?;
    let request = exec::Request {
        path: &exec,
        shown: &exec,
        unreachable: false,
        at: None,
        lookup: fs::LookupFlags::FOLLOW,
        argv,
        envp,
    };
    exec::execve(request).map_err(|error| Failure { status: status_of(&error), text: alloc::format!("{error}") })?;
    Ok(())
}

fn status_of(error: &ExecError) -> i32 {
    match error.errno {
        Errno::ENOENT if !error.interpreter => STATUS_NOT_FOUND,
        _ => STATUS_NOT_EXECUTABLE,
    }
}
