//! The entry of exceptions and interrupts, and the way back.
//!
//! An exception or interrupt arrives on an IST stack with interrupts off. The stub saves the
//! registers there and moves the frame: to the top of the thread's kernel stack where the
//! application was running, else below the interrupted kernel frame. From then on the IST stack is
//! free again, interrupts may be on, and the handler may sleep or be switched away. Which of the
//! two was running is told by the stack pointer: the kernel's lies within the running task's kernel
//! stack.

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;

use super::percpu::{STACK_BOTTOM, STACK_TOP};
use super::trap::TrapFrame;
use super::upcalls::{upcall_stack_overflow, upcall_trap};

// One 16-byte stub per vector: push a zero where the CPU pushes no error code, push the vector, go
// on in common.
global_asm!(
    ".section .text.trap_stubs, \"ax\"",
    ".balign 16",
    ".global trap_stubs",
    "trap_stubs:",
    ".set vec, 0",
    ".rept 256",
    ".balign 16",
    // Vectors with an error code: 8, 10-14, 17, 21, 29, 30.
    ".if (vec == 8) || ((vec >= 10) && (vec <= 14)) || (vec == 17) || (vec == 21) || (vec == 29) || (vec == 30)",
    ".else",
    "push 0",
    ".endif",
    "push vec",
    "jmp {common}",
    ".set vec, vec + 1",
    ".endr",
    common = sym trap_common,
);

unsafe extern "C" {
    static trap_stubs: u8;
}

/// Address of the stub of `vector`.
pub fn stub_address(vector: usize) -> u64 {
    core::ptr::addr_of!(trap_stubs) as u64 + 16 * vector as u64
}

/// Pushes the registers of a [`TrapFrame`](crate::trap::TrapFrame), in its order.
#[macro_export]
macro_rules! push_registers {
    () => {
        "push rdi
         push rsi
         push rdx
         push rcx
         push rax
         push r8
         push r9
         push r10
         push r11
         push rbx
         push rbp
         push r12
         push r13
         push r14
         push r15"
    };
}

/// Takes them back.
#[macro_export]
macro_rules! pop_registers {
    () => {
        "pop r15
         pop r14
         pop r13
         pop r12
         pop rbp
         pop rbx
         pop r11
         pop r10
         pop r9
         pop r8
         pop rax
         pop rcx
         pop rdx
         pop rsi
         pop rdi"
    };
}

const WORDS: usize = TrapFrame::SIZE / 8;
const OFF_VECTOR: usize = offset_of!(TrapFrame, vector);
const OFF_RIP: usize = offset_of!(TrapFrame, rip);
const OFF_RSP: usize = offset_of!(TrapFrame, rsp);

#[unsafe(naked)]
unsafe extern "C" fn trap_common() {
    naked_asm!(
        // `int n` pushes no error code, whatever n. The IST stacks are aligned to 16 bytes, so the
        // stack pointer tells where one is missing: that becomes the general-protection fault which
        // the instruction is in ring 3.
        "test spl, 8",
        "jz 7f",
        "8:",
        push_registers!(),
        "cld",
        // A CPU may leave a null selector in SS where an interrupt changes the stack by IST; QEMU
        // does. What it allows is the same in 64-bit mode, but a translator keeps the code that it
        // has translated by SS's attributes too, and would translate the kernel twice: whoever is
        // switched to from here goes on in code that was run after a system call before.
        "mov eax, ss",
        "test eax, eax",
        "jnz 9f",
        "mov eax, {ss}",
        "mov ss, eax",
        "9:",
        // NMI, double fault and machine check have IST stacks of their own and stay there: they may
        // have hit anywhere.
        "mov rax, [rsp + {off_vector}]",
        "cmp rax, 2",
        "je 5f",
        "cmp rax, 8",
        "je 5f",
        "cmp rax, 18",
        "je 5f",
        "mov rdx, [rsp + {off_rsp}]",
        "cmp rdx, gs:[{stack_bottom}]",
        "jb 2f",
        "cmp rdx, gs:[{stack_top}]",
        "ja 2f",
        // The kernel was running: go on below its frame, which must leave room.
        "mov rdi, rdx",
        "and rdi, -16",
        "sub rdi, {size}",
        "lea rax, [rdi - 1024]",
        "cmp rax, gs:[{stack_bottom}]",
        "jb 6f",
        "jmp 3f",
        "2:",
        // The application was running, unless both stack and code are the kernel's: then the kernel
        // stack is lost.
        "test rdx, rdx",
        "jns 4f",
        "mov rax, [rsp + {off_rip}]",
        "test rax, rax",
        "js 6f",
        "4:",
        "mov dword ptr [rsp + {off_vector} + 4], 1",
        "mov rdi, gs:[{stack_top}]",
        "sub rdi, {size}",
        "3:",
        "mov rdx, rdi",
        "mov rsi, rsp",
        "mov ecx, {words}",
        "rep movsq",
        "mov rsp, rdx",
        "5:",
        "mov rdi, rsp",
        "call {handler}",
        "jmp {back}",
        "6:",
        "mov rdi, rsp",
        "call {overflow}",
        "ud2",
        "7:",
        "push [rsp]",
        "shl qword ptr [rsp + 8], 3",
        "or qword ptr [rsp + 8], 2",
        "mov qword ptr [rsp], {general_protection}",
        "jmp 8b",
        general_protection = const super::trap::vector::GENERAL_PROTECTION,
        off_vector = const OFF_VECTOR,
        off_rsp = const OFF_RSP,
        off_rip = const OFF_RIP,
        stack_bottom = const STACK_BOTTOM,
        stack_top = const STACK_TOP,
        size = const TrapFrame::SIZE,
        words = const WORDS,
        ss = const super::gdt::KERNEL_SS,
        handler = sym upcall_trap,
        overflow = sym upcall_stack_overflow,
        back = sym return_from_trap,
    )
}

/// Restores every register of the frame at `rsp` and goes back to where it came from.
///
/// # Safety
/// Jumped to, with interrupts off and a whole frame at the stack pointer.
#[unsafe(naked)]
pub unsafe extern "C" fn return_from_trap() {
    naked_asm!(pop_registers!(), "add rsp, 16", "iretq")
}

/// Leaves the kernel by the frame that a kernel thread has laid out at the top of its own stack.
///
/// # Safety
/// `frame` is there, and interrupts are off.
#[unsafe(naked)]
pub unsafe extern "C" fn enter_application(frame: *mut TrapFrame) -> ! {
    naked_asm!("mov rsp, rdi", "jmp {back}", back = sym return_from_trap)
}
