//! The handler's stack frame: making one, and taking it back in rt_sigreturn(2). Its layout is
//! syscall-shim's.

use alloc::vec;
use alloc::vec::Vec;

use syscall_shim::signal_frame::{self as layout, Context, FRAME_SIZE, Registers, Restore};
use syscall_shim::types::{Sigaction, Siginfo};
use syscall_shim::{Errno, SaFlags, SigSet, Signal, SysResult};

use super::{fault, stack_of};
use crate::thread::{Task, fpu_bytes, set_fpu};
use arch::trap::TrapFrame;
use arch::{fpu, xstate};
use usermem::{self, UserAddr};

const RFLAGS_IF: u64 = 1 << 9;
/// Bit 1 of RFLAGS is always set.
const RFLAGS_FIXED: u64 = 1 << 1;
/// Bytes of the legacy FXSAVE area.
const LEGACY_SIZE: usize = 512;
/// Bytes after the XSAVE area that hold the second magic number.
const MAGIC2_SIZE: usize = 4;

fn registers(frame: &TrapFrame) -> Registers {
    Registers {
        r8: frame.r8,
        r9: frame.r9,
        r10: frame.r10,
        r11: frame.r11,
        r12: frame.r12,
        r13: frame.r13,
        r14: frame.r14,
        r15: frame.r15,
        rdi: frame.rdi,
        rsi: frame.rsi,
        rbp: frame.rbp,
        rbx: frame.rbx,
        rdx: frame.rdx,
        rax: frame.rax,
        rcx: frame.rcx,
        rsp: frame.rsp,
        rip: frame.rip,
        rflags: frame.rflags,
    }
}

fn set_registers(frame: &mut TrapFrame, regs: &Registers) {
    frame.r8 = regs.r8;
    frame.r9 = regs.r9;
    frame.r10 = regs.r10;
    frame.r11 = regs.r11;
    frame.r12 = regs.r12;
    frame.r13 = regs.r13;
    frame.r14 = regs.r14;
    frame.r15 = regs.r15;
    frame.rdi = regs.rdi;
    frame.rsi = regs.rsi;
    frame.rbp = regs.rbp;
    frame.rbx = regs.rbx;
    frame.rdx = regs.rdx;
    frame.rax = regs.rax;
    frame.rcx = regs.rcx;
    frame.rsp = regs.rsp;
    frame.rip = regs.rip;
    let settable = layout::FIX_EFLAGS;
    frame.rflags = frame.rflags & !settable | regs.rflags & settable | RFLAGS_IF | RFLAGS_FIXED;
}

/// Where the thread's frame for this handler goes: the end of the alternate stack where the handler
/// wants it and the thread is not on it yet, else below its stack pointer. `EFAULT` when it does
/// not fit the alternate stack.
fn place(frame: &TrapFrame, task: &Task, flags: SaFlags) -> SysResult<layout::Placement> {
    let stack = task.signals.lock().altstack;
    let nested = stack.in_use(frame.rsp);
    let entering = flags.contains(SaFlags::SA_ONSTACK) && stack.is_set() && !nested;
    let top = if entering { stack.top() } else { frame.rsp };
    let placement = layout::place(top, entering, fpu::area_size()).ok_or(Errno::EFAULT)?;
    if (nested || entering) && !stack.covers(placement.frame) {
        return Err(Errno::EFAULT);
    }
    Ok(placement)
}

/// Has the thread go on in `action`'s handler, with the interrupted registers and FPU state in a
/// frame on its stack, `mask` among them. `EFAULT` when the stack cannot take it, and when there is
/// no `SA_RESTORER` to return to.
pub fn push(
    frame: &mut TrapFrame,
    task: &Task,
    signal: Signal,
    info: &Siginfo,
    action: &Sigaction,
    mask: SigSet,
) -> SysResult<()> {
    let flags = action.sa_flags();
    if !flags.contains(SaFlags::SA_RESTORER) {
        return Err(Errno::EFAULT);
    }
    let placement = place(frame, task, flags)?;
    let last = task.signals.lock().fault;
    let context = Context {
        regs: registers(frame),
        err: last.err,
        trapno: last.trapno,
        cr2: last.cr2,
        mask: mask.0,
        stack: stack_of(task, frame.rsp),
    };
    let bytes = layout::build(placement, action.restorer, &context, info);
    let mut image = fpu_bytes(MAGIC2_SIZE);
    xstate::write_initial_components(&mut image);
    image.extend([0; MAGIC2_SIZE]);
    layout::seal_xstate(&mut image, fpu::xcr0());
    // The higher addresses first: a stack that grows on demand then grows once.
    usermem::copy_out(UserAddr(placement.fpstate), &image)?;
    usermem::copy_out(UserAddr(placement.frame), &bytes)?;

    set_fpu(|area| area.reset());
    task.signals.lock().altstack.entered();
    frame.leave_syscall();
    frame.rdi = u64::from(signal.number());
    frame.rsi = placement.frame + layout::INFO_OFFSET;
    frame.rdx = placement.frame + layout::UCONTEXT_OFFSET;
    frame.rax = 0;
    frame.rsp = placement.frame;
    frame.rip = action.handler;
    frame.rflags &= !layout::HANDLER_CLEARS;
    Ok(())
}

/// rt_sigreturn(2): goes back to the registers, FPU state, mask and alternate stack in the frame
/// that `frame.rsp` points behind. A frame that cannot be read raises `SIGSEGV`.
pub fn pop(frame: &mut TrapFrame, task: &Task) {
    *task.restart.lock() = None;
    frame.leave_syscall();
    match restore(frame, task) {
        Ok(()) => {
            task.process.mm().resume(frame);
            task.arrival.set(frame);
        }
        Err(_) => fault::force_segv(None),
    }
}

fn restore(frame: &mut TrapFrame, task: &Task) -> SysResult<()> {
    let mut bytes = [0; FRAME_SIZE];
    // The handler's `ret` has taken the return address off.
    usermem::copy_in(&mut bytes, UserAddr(frame.rsp.wrapping_sub(8)))?;
    let saved = layout::parse(&bytes);
    restore_fpu(saved.uc.uc_mcontext.fpstate)?;
    task.set_signal_mask(SigSet(saved.uc.uc_sigmask));
    let rsp = frame.rsp;
    set_registers(frame, &saved.uc.uc_mcontext.regs);
    // As in Linux, a stack that sigaltstack(2) would refuse is left alone.
    let mut own = task.signals.lock();
    if let Ok(stack) = own.altstack.replaced_by(&saved.uc.uc_stack, rsp) {
        own.altstack = stack;
    }
    Ok(())
}

fn restore_fpu(fpstate: u64) -> SysResult<()> {
    if fpstate == 0 {
        set_fpu(|area| area.reset());
        return Ok(());
    }
    let mut image: Vec<u8> = vec![0; fpu::area_size() + MAGIC2_SIZE];
    let got = usermem::copy_in_partial(&mut image, UserAddr(fpstate));
    if got < LEGACY_SIZE {
        return Err(Errno::EFAULT);
    }
    image.truncate(got);
    let kept = if fpu::has_xsave() { layout::check_xstate(&image, fpu::xcr0()) } else { Restore::Legacy };
    set_fpu(|area| {
        area.reset();
        let to = area.bytes_mut();
        match kept {
            Restore::Legacy => {
                to[..LEGACY_SIZE].copy_from_slice(&image[..LEGACY_SIZE]);
                xstate::set_components(to, xstate::LEGACY);
            }
            Restore::Extended(components) => {
                let len = to.len().min(image.len());
                to[..len].copy_from_slice(&image[..len]);
                xstate::keep_components(to, components);
            }
        }
        area.sanitize();
    });
    Ok(())
}
