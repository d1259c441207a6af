//! Entries into the kernel and the way back.
//!
//! An exception or interrupt arrives on an IST stack with interrupts off. The stub saves the registers there and moves the
//! frame: to the top of the thread's kernel stack where the application was running, else below the interrupted kernel frame.
//! From then on the IST stack is free again, interrupts may be on, and the handler may sleep or be switched away.
//! Which of the two was running is told by the stack pointer: the kernel's lies within the running task's kernel stack.
//!
//! `syscall` arrives at LSTAR on the application's stack with interrupts masked by FMASK; nothing is written there. A call
//! site that has become a jump arrives in [`super::direct`]. No FPU state is saved at any entry: the kernel is soft-float.

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;

use super::gdt::{KERNEL_CS, KERNEL_SS};
use super::percpu::{COUNTS, CURRENT, SCRATCH, STACK_BOTTOM, STACK_TOP};
use super::trap::TrapFrame;

// One 16-byte stub per vector: push a zero where the CPU pushes no error code, push the vector, go on in common.
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
const OFF_RFLAGS: usize = offset_of!(TrapFrame, rflags);

#[unsafe(naked)]
unsafe extern "C" fn trap_common() {
    naked_asm!(
        // `int n` pushes no error code, whatever n. The IST stacks are aligned to 16 bytes, so the stack pointer tells where one
        // is missing: that becomes the general-protection fault which the instruction is in ring 3.
        "test spl, 8",
        "jz 7f",
        "8:",
        push_registers!(),
        "cld",
        // NMI, double fault and machine check have IST stacks of their own and stay there: they may have hit anywhere.
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
        // The application was running, unless both stack and code are the kernel's: then the kernel stack is lost.
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
        handler = sym super::traps::trap_handler,
        overflow = sym super::traps::kernel_stack_overflow,
        back = sym return_from_trap,
    )
}

/// Restores every register of the frame at `rsp` and goes back to where it came from.
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

/// The target of LSTAR. Interrupts are off by FMASK until the registers are on the thread's kernel stack. A call that
/// [`super::direct`] answers on the spot is answered on the spot here too, once its site is known to stay as it is.
#[unsafe(naked)]
pub unsafe extern "C" fn syscall_entry() {
    naked_asm!(
        "mov gs:[{scratch}], rsp",
        "mov rsp, gs:[{stack_top}]",
        "push {ss}",
        "push qword ptr gs:[{scratch}]",
        "push r11",
        "cmp rax, {calls}",
        "jae 2f",
        "cmp qword ptr [{table} + rax * 8], offset {general}",
        "je 2f",
        "test r11d, {single_step}",
        "jnz 2f",
        "mov r11, gs:[{current}]",
        "mov r11, [r11 + {process}]",
        "xor r11, rcx",
        "push rax",
        "movzx eax, cl",
        "cmp r11, [{known} + rax * 8]",
        "pop rax",
        "jne 2f",
        "mov r11, gs:[{counts}]",
        "inc qword ptr [r11 + rax * 8 + {trapped}]",
        "and dword ptr [rsp], ~0x200",
        "jmp qword ptr [{table} + rax * 8]",
        "2:",
        "mov r11, [rsp]",
        "push {cs}",
        "push rcx",
        "push rax",
        "push {vector}",
        "mov dword ptr [rsp + 4], 1",
        push_registers!(),
        // The frame is complete; the direct entry joins here.
        ".global syscall_common",
        "syscall_common:",
        "sti",
        "mov rdi, rsp",
        "call {handler}",
        // The handler returns with interrupts off, and tells whether the frame needs the full return. Without it, the registers
        // that a call preserves are still the application's.
        "test al, al",
        "jnz {full}",
        "mov r10, [rsp + {off_r10}]",
        "mov r9, [rsp + {off_r9}]",
        "mov r8, [rsp + {off_r8}]",
        "mov rax, [rsp + {off_rax}]",
        "mov rdx, [rsp + {off_rdx}]",
        "mov rsi, [rsp + {off_rsi}]",
        "mov rdi, [rsp + {off_rdi}]",
        "mov rcx, [rsp + {off_rip}]",
        "mov r11, [rsp + {off_rflags}]",
        // Arithmetic flags first, with interrupts still off; `sti` then holds them back until the jump has left the kernel.
        "push r11",
        "and qword ptr [rsp], ~0x200",
        "popfq",
        "mov rsp, [rsp + {off_rsp}]",
        "sti",
        "jmp rcx",
        off_r10 = const offset_of!(TrapFrame, r10),
        off_r9 = const offset_of!(TrapFrame, r9),
        off_r8 = const offset_of!(TrapFrame, r8),
        off_rax = const offset_of!(TrapFrame, rax),
        off_rdx = const offset_of!(TrapFrame, rdx),
        off_rsi = const offset_of!(TrapFrame, rsi),
        off_rdi = const offset_of!(TrapFrame, rdi),
        calls = const syscall_shim::NR_SYSCALLS,
        table = sym super::direct::ENTRIES,
        general = sym super::direct::direct_general,
        single_step = const 0x100,
        current = const CURRENT,
        process = const crate::task::thread::OFF_PROCESS,
        known = sym crate::mm::sites::KNOWN,
        counts = const COUNTS,
        trapped = const offset_of!(crate::counters::CallCounts, trapped),
        off_rip = const OFF_RIP,
        scratch = const SCRATCH,
        stack_top = const STACK_TOP,
        ss = const KERNEL_SS,
        cs = const KERNEL_CS,
        vector = const TrapFrame::SYSCALL,
        off_rflags = const OFF_RFLAGS,
        off_rsp = const OFF_RSP,
        handler = sym super::traps::syscall_handler,
        full = sym return_from_trap,
    )
}

const IA32_EFER: u32 = 0xc000_0080;
const IA32_STAR: u32 = 0xc000_0081;
const IA32_LSTAR: u32 = 0xc000_0082;
const IA32_FMASK: u32 = 0xc000_0084;
/// TF, IF, DF, IOPL, NT, RF, AC: what Linux masks as well, so that entry starts from known flags.
pub(super) const SYSCALL_FLAG_MASK: u64 = 0x100 | 0x200 | 0x400 | 0x3000 | 0x4000 | 0x1_0000 | 0x4_0000;

/// Lets `syscall` enter at [`syscall_entry`] on this CPU.
pub fn init_syscall() {
    // SAFETY: the entry code is in place; STAR selects the GDT's code and data descriptors.
    unsafe {
        super::msr::write(IA32_EFER, super::msr::read(IA32_EFER) | 1);
        super::msr::write(IA32_STAR, u64::from(KERNEL_CS) << 32);
        super::msr::write(IA32_LSTAR, syscall_entry as *const () as u64);
        super::msr::write(IA32_FMASK, SYSCALL_FLAG_MASK);
    }
}
