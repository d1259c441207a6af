//! What a core file tells of threads and process.

use core::sync::atomic::Ordering;

use syscall_shim::core_file::{FileMapping, Notes, Prpsinfo, Prstatus, Time, UserRegs};
use syscall_shim::types::Siginfo;

use crate::process::Process;
use crate::sched;
use crate::thread::{Task, fpu_state};
use arch::trap::TrapFrame;
use arch::{fpu, msr, xstate};
use vm::AddressSpace;

fn registers(frame: &TrapFrame, fs_base: u64) -> UserRegs {
    let orig_rax = if frame.in_syscall() { frame.error } else { u64::MAX };
    let &TrapFrame { r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, rip, rflags, rsp, .. } = frame;
    UserRegs {
        r15,
        r14,
        r13,
        r12,
        rbp,
        rbx,
        r11,
        r10,
        r9,
        r8,
        rax,
        rcx,
        rdx,
        rsi,
        rdi,
        orig_rax,
        rip,
        rflags,
        rsp,
        fs_base,
        ..UserRegs::default()
    }
    .with_segments()
}

/// Adds one thread; `frame` has its registers. The current thread's FPU state is in the CPU,
/// another's was saved.
pub fn thread(notes: &mut Notes, task: &Task, frame: &TrapFrame, info: &Siginfo, about: Option<About<'_>>) {
    let process = &task.process;
    let own = core::ptr::eq(task, crate::current());
    let (user, system) = sched::cpu_time(task);
    let [children_user, children_system] = process.children_usage().cpu_ns;
    let shared_pending = process.signals.lock().pending.set().0;
    let (pending, held) = {
        let own = task.signals.lock();
        (own.pending.set().0, own.mask.0)
    };
    let time = Time::from_ns;
    notes.thread(&Prstatus {
        si_signo: info.si_signo,
        si_code: info.si_code,
        si_errno: info.si_errno,
        pr_cursig: info.si_signo as i16,
        pr_sigpend: pending | shared_pending,
        pr_sighold: held,
        pr_pid: task.tid(),
        pr_ppid: process.parent().map_or(0, |parent| parent.pid),
        pr_pgrp: process.pgid.load(Ordering::Relaxed),
        pr_sid: process.sid.load(Ordering::Relaxed),
        pr_utime: time(user),
        pr_stime: time(system),
        pr_cutime: time(children_user),
        pr_cstime: time(children_system),
        pr_reg: registers(frame, if own { msr::fs_base() } else { task.saved_fs_base() }),
        pr_fpvalid: 1,
        ..Prstatus::default()
    });
    if let Some(About { info, files, mm }) = about {
        let auxv = process.auxv.lock().clone();
        notes.process(&about_process(task, process, mm), info, &auxv, files);
    }
    let state = if own { fpu_state() } else { task.saved_fpu() };
    let mut area = state.bytes().to_vec();
    xstate::write_initial_components(&mut area);
    area.truncate(if fpu::has_xsave() { area.len() } else { 512 });
    notes.floating_point(&area, fpu::xcr0());
}

/// What goes behind the first thread.
pub struct About<'a> {
    /// The signal.
    pub info: &'a Siginfo,
    /// Mappings of files.
    pub files: &'a [FileMapping],
    /// The process's memory.
    pub mm: &'a AddressSpace,
}

fn about_process(task: &Task, process: &Process, mm: &AddressSpace) -> Prpsinfo {
    let credentials = task.credentials();
    let layout = mm.layout();
    let mut psargs = [0; 80];
    let wanted = (layout.arg_end.saturating_sub(layout.arg_start) as usize).min(psargs.len() - 1);
    if let Some(room) = psargs.get_mut(..wanted) {
        let got = mm.read(layout.arg_start, room);
        room.iter_mut().take(got).filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    }
    Prpsinfo {
        pr_sname: b'R',
        pr_nice: task.sched.get().nice as i8,
        pr_uid: credentials.uid,
        pr_gid: credentials.gid,
        pr_pid: process.pid,
        pr_ppid: process.parent().map_or(0, |parent| parent.pid),
        pr_pgrp: process.pgid.load(Ordering::Relaxed),
        pr_sid: process.sid.load(Ordering::Relaxed),
        pr_fname: *task.comm.lock(),
        pr_psargs: psargs,
        ..Prpsinfo::default()
    }
}
