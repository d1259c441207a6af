//! `execve(2)`: a program takes over a process.
//!
//! Everything that can fail and leave the caller as it was comes first, into an address space of
//! its own ([`image`]); [`execve`] then ends the other threads and changes the process over.

mod image;
mod privileges;
mod program;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;
use elf_loader::ElfError;
use fs::AccessMask;
use syscall_shim::{Errno, Signal, SysResult};

use super::process::Process;
use super::thread::{Task, set_fpu, with_frame};
use super::{current, current_arc, exit, sched, signal, table};
use crate::namespace;
use arch::gdt::{KERNEL_CS, KERNEL_SS};
use arch::trap::TrapFrame;
use fd::with_fs;
use mem::heap;
use privileges::Privileges;
use program::Program;
use sync::{HasUsers, Use};

/// What to execute.
pub struct Request<'a> {
    /// The program's path as the caller gave it.
    pub path: &'a [u8],
    /// What the program is told of its own path: `AT_EXECFN`, a script's name, and `comm`.
    pub shown: &'a [u8],
    /// That path will not lead there once the program runs: it begins with a descriptor that closes
    /// at exec.
    pub unreachable: bool,
    /// Where a relative path starts (`execveat`); `None` is the working directory.
    pub at: Option<fs::Path>,
    /// How to look it up.
    pub lookup: fs::LookupFlags,
    /// Arguments.
    pub argv: Vec<Vec<u8>>,
    /// Environment.
    pub envp: Vec<Vec<u8>>,
}

/// Why a program could not be started: which file is at fault, and how.
pub struct ExecError {
    /// What `execve(2)` answers.
    pub errno: Errno,
    /// The file that the error is about: the program, its interpreter, or its script's.
    pub file: Vec<u8>,
    /// What is wrong with it, where there is more to say than the errno.
    pub elf: Option<ElfError>,
    /// The file is the interpreter that the program names.
    pub interpreter: bool,
    /// The file's addresses cannot be mapped, which Linux finds late ([`Self::is_late`]).
    unmappable: bool,
}

impl ExecError {
    fn new(errno: Errno, file: &[u8]) -> Self {
        Self { errno, file: file.to_vec(), elf: None, interpreter: false, unmappable: false }
    }

    fn elf(error: ElfError, file: &[u8]) -> Self {
        Self { errno: error.errno(), file: file.to_vec(), elf: Some(error), interpreter: false, unmappable: false }
    }

    /// That mapping the file has failed. Without memory the caller is told.
    fn mapping(errno: Errno, file: &[u8]) -> Self {
        Self { unmappable: errno != Errno::ENOMEM, ..Self::new(errno, file) }
    }

    fn of_interpreter(mut self) -> Self {
        self.interpreter = true;
        if let Some(error) = self.elf {
            self.errno = error.interpreter_errno();
        }
        self
    }
}

impl ExecError {
    /// Whether Linux would have noticed only with the old program gone, so that the caller cannot
    /// be told.
    pub fn is_late(&self) -> bool {
        self.unmappable || self.elf.is_some_and(ElfError::is_found_late)
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = String::from_utf8_lossy(&self.file);
        let role = if self.interpreter { "interpreter " } else { "" };
        match (self.elf, self.errno) {
            (Some(error), _) => write!(f, "{role}{file}: {error}"),
            (None, Errno::ENOENT) => write!(f, "{role}{file}: not in the image; add it with --add or --package"),
            (None, Errno::EACCES) => write!(f, "{role}{file}: not an executable file (is its x bit set?)"),
            (None, Errno::ENOMEM) => write!(f, "{role}{file}: not enough memory: raise --memory"),
            (None, _) if self.unmappable => write!(f, "{role}{file}: its segments do not fit into the address space"),
            (None, errno) => write!(f, "{role}{file}: {errno:?}"),
        }
    }
}

/// Replaces the calling process's program. On success the caller's frame is that of the new
/// program, and nothing of the old one is left.
pub fn execve(mut request: Request<'_>) -> Result<(), ExecError> {
    let program = Program::find(&mut request)?;
    let Privileges { credentials, secure, changed } =
        privileges::after_exec(&current().credentials(), &program).map_err(|errno| ExecError::new(errno, &program.name))?;
    let image = image::build(&program, &request.envp, &credentials, secure)?;
    // Whoever may not read the program may not have its memory dumped either (`would_dump`).
    let readable = |path: &fs::Path| with_fs(|ctx| namespace().access(ctx, path, AccessMask::READ)).is_ok();
    let readable = readable(&program.path) && image.interpreter.as_ref().is_none_or(readable);

    // From here on the old program is gone.
    exit::end_other_threads().map_err(|errno| ExecError::new(errno, request.path))?;
    let task = current();
    let process = &task.process;
    take_over_process_id(process);
    exit::release_user_state(task);
    task.rseq.store(0, Ordering::Relaxed);
    image.mm.enter();
    let old_mm = process.replace_mm(image.mm.clone());
    old_mm.forget_refused_sites();
    sched::switch_mm(&image.mm);
    process.leave_space(&old_mm);
    drop(old_mm);
    signal::reset_for_exec(task);
    process.timers.delete_posix(process);
    // Short of memory the table stays shared, rather than that a program is lost half-way.
    let _ = unshare_files(task);
    if let Ok(files) = task.files() {
        files.close_on_exec();
    }
    process.has_executed.store(true, Ordering::Relaxed);
    if process.no_exec_gain.load(Ordering::Relaxed) & Process::MDWE_NO_INHERIT != 0 {
        process.no_exec_gain.store(0, Ordering::Relaxed);
    }
    process.exit_signal.store(i32::from(Signal::SIGCHLD.number()), Ordering::Relaxed);
    if secure || changed {
        process.pdeath_signal.store(0, Ordering::Relaxed);
    }
    task.set_credentials(credentials);
    task.set_name(&program.comm);
    *process.exe_name.lock() = String::from_utf8_lossy(request.shown).into_owned();
    *process.auxv.lock() = image.auxv;
    *process.exe.lock() = Some(program.path.clone());
    let dumpable = if !changed && readable { 1 } else { super::core_dump::SUID_DUMPABLE.load(Ordering::Relaxed) };
    process.dumpable.store(dumpable, Ordering::Relaxed);
    set_fpu(|fpu| fpu.reset());
    arch::msr::set_fs_base(0);
    with_frame(|frame| {
        *frame = TrapFrame {
            rip: image.entry,
            rsp: image.stack_pointer,
            cs: u64::from(KERNEL_CS),
            ss: u64::from(KERNEL_SS),
            rflags: 0x202,
            ..TrapFrame::default()
        };
        frame.leave_syscall();
        task.arrival.set(frame);
    });
    Ok(())
}

/// The only thread left is the process's leader from now on, with its id.
fn take_over_process_id(process: &Process) {
    let task = current_arc();
    let old = task.tid();
    if old != process.pid {
        table::remove_task(old);
        task.tid.store(process.pid, Ordering::Relaxed);
        table::add_task(task);
    }
}

/// A table of files that another task shares (`CLONE_FILES`) stays as it is; this one gets a copy.
/// `ENOMEM`.
pub fn unshare_files(task: &Task) -> SysResult<()> {
    let Ok(files) = task.files() else { return Ok(()) };
    if files.users().count() > 1 {
        let own = Use::new(Arc::new(files.duplicate()?));
        let shared = task.files.lock().replace(own);
        drop(shared);
    }
    Ok(())
}

/// Reads the argument or environment vector of execve(2): a NULL-terminated array of pointers. NULL
/// counts as empty.
pub fn read_strings(array: usermem::UserPtr<u64>) -> SysResult<Vec<Vec<u8>>> {
    /// Longest single string with its NUL (`MAX_ARG_STRLEN`).
    const STRING_MAX: usize = 128 * 1024;
    /// More than the stack's quarter can hold.
    const TOTAL_MAX: usize = 8 << 20;
    let mut strings = Vec::new();
    let mut total = 0;
    if array.is_null() {
        return Ok(strings);
    }
    loop {
        let pointer = array.add(strings.len()).read()?;
        if pointer == 0 {
            return Ok(strings);
        }
        heap::check()?;
        strings.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let string = usermem::read_cstr_bounded(usermem::UserAddr(pointer), STRING_MAX)?.ok_or(Errno::E2BIG)?;
        total += string.len() + 9;
        if total > TOTAL_MAX {
            return Err(Errno::E2BIG);
        }
        strings.push(string);
    }
}
