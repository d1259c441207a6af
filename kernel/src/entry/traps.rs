//! What happens at each entry into the kernel.

use core::arch::asm;
use core::sync::atomic::Ordering;
use linux_raw_sys::general as g;

use super::privileged;
use crate::arch::percpu::this_cpu;
use crate::arch::trap::{TrapFrame, vector};
use crate::arch::{apic, ipi, irq, vectors};
use crate::counters;
use crate::fs_platform;
use crate::usermem::{self, USER_END};
use mem::vmalloc::pieces;
use observe::panic;
use task::signal::{self, Fault};
use task::{Process, Task, current, dump, oom, sched, timer};
use vm::patching::{self, Redirect};
use vm::{Access, FaultError};

const RFLAGS_TF: u64 = 1 << 8;
const RFLAGS_IF: u64 = 1 << 9;
/// Page-fault error code (SDM vol. 3, figure 4-12).
const PF_WRITE: u64 = 1 << 1;
const PF_USER: u64 = 1 << 2;
const PF_RESERVED: u64 = 1 << 3;
const PF_FETCH: u64 = 1 << 4;

/// Every exception and interrupt. Runs with interrupts off, on the thread's kernel stack except for
/// NMI, double fault and machine check.
pub(super) fn trap(frame: &mut TrapFrame) {
    let number = frame.vector();
    match number {
        vector::NMI | vector::MACHINE_CHECK if frame.rip < USER_END && privileged::was_software_exception(frame, number) => {
            // No signal can be sent from the stack of such an interrupt. Nothing is ever mapped
            // there.
            frame.rip = USER_END;
            return;
        }
        vector::NMI => return non_maskable(frame),
        vector::DOUBLE_FAULT | vector::MACHINE_CHECK => fatal(frame, "processor exception"),
        _ => {}
    }
    if frame.came_from_app() {
        sched::enter_kernel(current());
    }
    if number >= 32 {
        external(frame, number as u8);
    } else {
        // CR2 must be read before anything else can fault.
        let cr2 = if number == vector::PAGE_FAULT { read_cr2() } else { 0 };
        if frame.rflags & RFLAGS_IF != 0 {
            irq::enable();
        }
        if frame.came_from_app() {
            application_exception(frame, number, cr2);
        } else {
            kernel_exception(frame, number, cr2);
        }
        irq::disable();
    }
    if frame.came_from_app() {
        leave_to_application(frame);
    }
}

/// An interrupt, or an instruction of the application that looks like one.
fn external(frame: &mut TrapFrame, number: u8) {
    let from_app = frame.came_from_app();
    if from_app && privileged::was_software_interrupt(frame, number) {
        irq::enable();
        application_exception(frame, number.into(), 0);
        irq::disable();
        return;
    }
    interrupt(number);
    if number == vectors::TIMER {
        crate::profile::tick(frame);
    }
    if from_app && privileged::looks_halted(frame) {
        irq::enable();
        if privileged::has_halted(frame) {
            application_exception(frame, vector::GENERAL_PROTECTION, 0);
        }
        irq::disable();
    }
}

fn read_cr2() -> u64 {
    let cr2: u64;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) cr2, options(nomem, nostack, preserves_flags)) };
    cr2
}

fn interrupt(number: u8) {
    this_cpu().interrupts.fetch_add(1, Ordering::Relaxed);
    match number {
        vectors::TIMER => {
            apic::eoi();
            timer::interrupt();
        }
        vectors::RESCHEDULE => {
            apic::eoi();
            this_cpu().kicks.fetch_add(1, Ordering::Relaxed);
            // Somebody waits now, so the running task's turn has an end.
            timer::reprogram();
        }
        vectors::TLB_FLUSH => {
            apic::eoi();
            this_cpu().flushes.fetch_add(1, Ordering::Relaxed);
            ipi::answer();
        }
        vectors::ERROR => {
            let errors = apic::take_errors();
            apic::eoi();
            kwarn!("local APIC error {errors:#x}");
        }
        vectors::SPURIOUS => {}
        other => {
            let known = vectors::dispatch(other);
            apic::eoi();
            if !known {
                kwarn!("interrupt on vector {other:#x}, which nobody asked for");
            }
        }
    }
}

const SI_KERNEL: u32 = 0x80;

/// Sends a thread on that has come to a call site's jump other than by executing it. An `int3` is
/// reported behind the byte.
fn at_call_site(frame: &mut TrapFrame, number: u64) -> bool {
    let mm = current().process.mm();
    let at = if number == vector::BREAKPOINT { frame.rip.wrapping_sub(1) } else { frame.rip };
    match mm.redirect(at, usermem::UserAddr(at).cast::<u8>().read().ok()) {
        Redirect::To(to) => frame.rip = to,
        Redirect::Often(to, site) => {
            frame.rip = to;
            mm.ban_site(site);
        }
        // The page was given back, or mapped anew, since: without an `int3` there any more, what
        // stands there now is to be run.
        Redirect::No if number == vector::BREAKPOINT && !breakpoint_stands(at) => frame.rip = at,
        Redirect::No => return false,
    }
    true
}

/// A call of `task`, the current one, was made by an instruction: looks at its site, unless that is
/// known to be refused.
#[inline]
fn at_syscall_instruction(task: &Task, frame: &mut TrapFrame) {
    let program = core::ptr::from_ref(&*task.process).addr();
    if !patching::is_refused(frame.rip, program) {
        Process::with_own_mm(|mm| mm.call_trapped(frame, program));
    }
}

/// Whether the byte at `at`, the last of a breakpoint that came, is (still) one's: `int3`, or the
/// end of `int 3`.
fn breakpoint_stands(at: u64) -> bool {
    usermem::UserAddr(at).cast::<u8>().read().is_ok_and(|byte| matches!(byte, 0xcc | 0x03))
}

/// What an exception of the application becomes: a page, or a signal (signal(7), sigaction(2)).
fn application_exception(frame: &mut TrapFrame, number: u64, cr2: u64) {
    if matches!(number, vector::BREAKPOINT | vector::INVALID_OPCODE) && at_call_site(frame, number) {
        return;
    }
    let number = privileged::in_ring_3(frame, number);
    let stepped = if number == vector::DEBUG { debug_code() } else { 0 };
    if stepped == g::TRAP_TRACE
        && let Some(to) = current().process.mm().single_step(frame)
    {
        frame.rip = to;
        return;
    }
    if number != vector::PAGE_FAULT {
        current().process.mm().original_ip(frame);
    }
    let rip = frame.rip;
    let (signo, code, addr) = match number {
        vector::PAGE_FAULT => match page_fault(frame, cr2) {
            None | Some((g::SIGKILL, _)) => return,
            Some((signo, code)) => (signo, code, cr2),
        },
        vector::DIVIDE_ERROR => (g::SIGFPE, g::FPE_INTDIV, rip),
        vector::DEBUG => (g::SIGTRAP, stepped, rip),
        vector::BREAKPOINT => (g::SIGTRAP, SI_KERNEL, 0),
        vector::INVALID_OPCODE => (g::SIGILL, g::ILL_ILLOPN, rip),
        vector::X87 | vector::SIMD => (g::SIGFPE, fpu_code(number), rip),
        vector::ALIGNMENT_CHECK => (g::SIGBUS, g::BUS_ADRALN, 0),
        vector::SEGMENT_NOT_PRESENT | vector::STACK_SEGMENT => (g::SIGBUS, SI_KERNEL, 0),
        // General protection and whatever else.
        _ => (g::SIGSEGV, SI_KERNEL, 0),
    };
    // An application's page fault has the user bit set in Linux, where it runs in ring 3.
    let error = if number == vector::PAGE_FAULT { frame.error | PF_USER } else { frame.error };
    signal::force_fault(Fault { signo: signo as i32, code: code as i32, addr, trapno: number, error }, frame);
}

/// `TRAP_TRACE` after a single step, else `TRAP_BRKPT`; clears DR6.
fn debug_code() -> u32 {
    const SINGLE_STEP: u64 = 1 << 14;
    const DR6_IDLE: u64 = 0xffff_0ff0;
    let dr6: u64;
    // SAFETY: DR6 only tells the cause of the last debug exception.
    unsafe {
        asm!("mov {}, dr6", out(reg) dr6, options(nomem, nostack));
        asm!("mov dr6, {}", in(reg) DR6_IDLE, options(nomem, nostack));
    }
    if dr6 & SINGLE_STEP != 0 { g::TRAP_TRACE } else { g::TRAP_BRKPT }
}

/// `FPE_*` for the exception that the x87 or SSE state shows unmasked (SDM vol. 1, 8.1.3 and
/// 10.2.3).
fn fpu_code(number: u64) -> u32 {
    let area = task::thread::fpu_state();
    let bytes = area.bytes();
    let half = |at: usize| u32::from(bytes[at]) | u32::from(bytes[at + 1]) << 8;
    let raised = if number == vector::X87 {
        half(2) & !half(0)
    } else {
        let mxcsr = half(24);
        mxcsr & !(mxcsr >> 7)
    };
    match raised {
        e if e & 0x01 != 0 => g::FPE_FLTINV,
        e if e & 0x04 != 0 => g::FPE_FLTDIV,
        e if e & 0x08 != 0 => g::FPE_FLTOVF,
        e if e & 0x12 != 0 => g::FPE_FLTUND,
        e if e & 0x20 != 0 => g::FPE_FLTRES,
        _ => 0,
    }
}

/// Resolves a page fault in the application's half, or tells signal and code.
fn page_fault(frame: &TrapFrame, address: u64) -> Option<(u32, u32)> {
    if address >= USER_END {
        // The kernel's half does not exist for the application, whatever the page bits say.
        return Some((g::SIGSEGV, g::SEGV_MAPERR));
    }
    if frame.error & PF_RESERVED != 0 {
        fatal(frame, "reserved bit in a page table");
    }
    let access = Access { write: frame.error & PF_WRITE != 0, exec: frame.error & PF_FETCH != 0 };
    let task = current();
    match Process::with_own_mm(|mm| mm.handle_fault(address, access, task)) {
        Ok(()) => {
            task.faults[0].fetch_add(1, Ordering::Relaxed);
            None
        }
        Err(FaultError::Maperr) => Some((g::SIGSEGV, g::SEGV_MAPERR)),
        Err(FaultError::Accerr) => Some((g::SIGSEGV, g::SEGV_ACCERR)),
        Err(FaultError::BusAdrerr) => Some((g::SIGBUS, g::BUS_ADRERR)),
        // The access is tried again.
        Err(FaultError::Oom) if oom::relieve(fs_platform::pages_wanted()) => None,
        Err(FaultError::Oom) => Some((g::SIGKILL, SI_KERNEL)),
    }
}

/// An exception in the kernel: a copy to or from the application may fault, anything else is the
/// kernel's own bug.
fn kernel_exception(frame: &mut TrapFrame, number: u64, cr2: u64) {
    if number == vector::PAGE_FAULT
        && let Some(to) = usermem::nofault_fixup(frame.rip)
    {
        frame.rip = to;
        return;
    }
    let fixup = usermem::fixup(frame.rip);
    match (number, fixup) {
        (vector::PAGE_FAULT, Some(to)) if cr2 < USER_END => {
            if page_fault(frame, cr2).is_some() {
                frame.rip = to;
            }
        }
        _ => fatal(frame, "exception"),
    }
}

/// The host asks what everybody does (its watchdog found a hang), a CPU does not answer the others,
/// or another CPU panics.
fn non_maskable(frame: &TrapFrame) {
    if ipi::is_stopping() {
        irq::halt_forever();
    }
    dump::this_cpu(frame);
}

fn fatal(frame: &TrapFrame, what: &str) -> ! {
    let context = panic::Context { rip: frame.rip, rbp: frame.rbp, registers: frame };
    panic::die(format_args!("{what}, vector {}, error {:#x}", frame.vector(), frame.error), Some(&context))
}

/// The entry code found no room on the kernel stack. Runs on the interrupt stack.
pub(super) fn stack_overflow(frame: &TrapFrame) -> ! {
    fatal(frame, "kernel stack overflow")
}

/// A system call. Returns whether every register must be taken from the frame (else rcx and r11 are
/// clobbered, as the instruction does, and the registers that a function call preserves have not
/// changed). Returns with interrupts off.
///
/// # Safety
/// `frame` is the frame at the top of the current thread's kernel stack.
pub(super) unsafe extern "C" fn syscall_handler(frame: *mut TrapFrame) -> bool {
    let task = current();
    sched::enter_kernel(task);
    let value = {
        // SAFETY: by the caller. Not kept beyond the call, in which the frame may change
        // (`with_frame`).
        let frame = unsafe { &mut *frame };
        let nr = frame.error;
        if !frame.is_direct() {
            counters::trapped(nr);
            at_syscall_instruction(task, frame);
        }
        task.recent_calls.enter(nr, &frame.arguments());
        crate::syscalls::call(task, nr, frame)
    };
    task.recent_calls.leave(value);
    // SAFETY: as above, and nobody else refers to it now.
    let frame = unsafe { &mut *frame };
    // rt_sigreturn and execve leave a frame that is no system call's any more.
    if frame.in_syscall() {
        frame.rax = value as u64;
    }
    irq::disable();
    leave(task, frame);
    !frame.in_syscall() || frame.rflags & RFLAGS_TF != 0
}

/// The last steps before the application goes on: other tasks' turn, signals, the end. Interrupts
/// are off before and after.
pub fn leave_to_application(frame: &mut TrapFrame) {
    let task = current();
    leave(task, frame);
}

#[inline(always)]
fn leave(task: &Task, frame: &mut TrapFrame) {
    while crate::net::pending()
        || this_cpu().need_resched.load(Ordering::Relaxed)
        // Whoever wants a thread to end sets this too.
        || task.signal_pending.load(Ordering::Acquire)
        || task.moved.load(Ordering::Relaxed)
    {
        handle_work(task, frame);
    }
    sched::leave_kernel(task);
}

#[cold]
fn handle_work(task: &Task, frame: &mut TrapFrame) {
    if crate::net::pending() {
        irq::enable();
        crate::net::poll();
        irq::disable();
    }
    let resched = this_cpu().need_resched.load(Ordering::Relaxed);
    let pending = task.signal_pending.load(Ordering::Acquire);
    irq::enable();
    if resched {
        oom::answer();
        if pieces::want_cleaning() {
            pieces::clean();
        }
        task::schedule();
    }
    // Within a system call there is no critical section of rseq(2).
    let moved = task.moved.load(Ordering::Relaxed);
    if moved || resched && !frame.in_syscall() {
        // Cleared first: to write the number of the CPU may take a page fault, and that a move.
        task.moved.store(false, Ordering::Relaxed);
        task::rseq::abort_section(frame);
    }
    if pending {
        task.process.mm().original_ip(frame);
        signal::handle(frame);
        task.process.mm().resume(frame);
        task.arrival.set(frame);
    }
    irq::disable();
}
