//! Switching between kernel stacks.

use core::arch::naked_asm;

use super::trap::TrapFrame;

/// Saves the callee-saved registers on the present stack, stores its pointer to `*save_rsp`, and
/// goes on with the stack `load_rsp`, which an earlier call or [`prepare`] left.
///
/// # Safety
/// `load_rsp` is such a stack pointer, of a task that runs nowhere. Interrupts are off.
#[unsafe(naked)]
pub unsafe extern "C" fn switch_stacks(save_rsp: *mut u64, load_rsp: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

#[unsafe(naked)]
unsafe extern "C" fn start_application() {
    naked_asm!("xor ebp, ebp", "mov rdi, rsp", "call {finish}", "jmp {back}",
        finish = sym super::upcalls::upcall_first_switch,
        back = sym super::trap_entry::return_from_trap)
}

#[unsafe(naked)]
unsafe extern "C" fn start_kernel_thread() {
    naked_asm!("xor ebp, ebp", "call {finish}", "mov rdi, r12", "call r13", "ud2",
        finish = sym super::upcalls::upcall_first_switch_kernel)
}

/// Lays out a fresh kernel stack so that the first switch to it returns to the application with
/// `frame`'s registers. Returns the stack pointer for [`switch_stacks`].
///
/// # Safety
/// `stack_top` is the 16-byte aligned top of an unused, mapped kernel stack.
pub unsafe fn prepare(stack_top: u64, frame: &TrapFrame) -> u64 {
    let frame_at = stack_top - TrapFrame::SIZE as u64;
    let words = frame_at as *mut u64;
    // SAFETY: the caller gives the stack; all of this lies in its top few hundred bytes.
    unsafe {
        (frame_at as *mut TrapFrame).write(*frame);
        words.sub(1).write(start_application as *const () as u64);
        for i in 2..=7 {
            words.sub(i).write(0);
        }
    }
    frame_at - 7 * 8
}

/// As [`prepare`], for a kernel thread that starts with `entry(argument)`, which never returns.
///
/// # Safety
/// As for [`prepare`].
pub unsafe fn prepare_kernel(stack_top: u64, entry: extern "C" fn(usize) -> !, argument: usize) -> u64 {
    // The top stays free for the frame of an application, which the thread may become by execve.
    let start = stack_top - TrapFrame::SIZE as u64;
    let words = start as *mut u64;
    // SAFETY: as in `prepare`. The order is that of the pops in `switch_stacks`; two words keep the
    // stack aligned.
    unsafe {
        words.sub(1).write(0);
        words.sub(2).write(0);
        words.sub(3).write(start_kernel_thread as *const () as u64);
        words.sub(4).write(0); // rbx
        words.sub(5).write(0); // rbp
        words.sub(6).write(argument as u64); // r12
        words.sub(7).write(entry as *const () as u64); // r13
        words.sub(8).write(0); // r14
        words.sub(9).write(0); // r15
    }
    start - 9 * 8
}
