//! The entry of the `syscall` instruction. It arrives at LSTAR on the application's stack with
//! interrupts masked by FMASK; nothing is written there. A call site that has become a jump arrives
//! in [`super::direct`]. No FPU state is saved at any entry: the kernel is soft-float.

use core::arch::naked_asm;
use core::mem::offset_of;

use base::counts::CallCounts;

use crate::arch::gdt::{KERNEL_CS, KERNEL_SS};
use crate::arch::msr;
use crate::arch::percpu::{COUNTS, CURRENT, SCRATCH, STACK_TOP};
use crate::arch::push_registers;
use crate::arch::trap::TrapFrame;
use crate::arch::trap_entry::return_from_trap;

/// The target of LSTAR. Interrupts are off by FMASK until the registers are on the thread's kernel
/// stack. A call that [`super::direct`] answers on the spot is answered on the spot here too, once
/// its site is known to stay as it is.
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
        // The handler returns with interrupts off, and tells whether the frame needs the full
        // return. Without it, the registers that a call preserves are still the application's.
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
        // Arithmetic flags first, with interrupts still off; `sti` then holds them back until the
        // jump has left the kernel.
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
        table = sym super::patched_call::ENTRIES,
        general = sym super::patched_call::patched_call_general,
        single_step = const 0x100,
        current = const CURRENT,
        process = const task::thread::OFF_PROCESS,
        known = sym vm::patching::KNOWN,
        counts = const COUNTS,
        trapped = const offset_of!(CallCounts, trapped),
        off_rip = const offset_of!(TrapFrame, rip),
        scratch = const SCRATCH,
        stack_top = const STACK_TOP,
        ss = const KERNEL_SS,
        cs = const KERNEL_CS,
        vector = const TrapFrame::SYSCALL,
        off_rflags = const offset_of!(TrapFrame, rflags),
        off_rsp = const offset_of!(TrapFrame, rsp),
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
pub fn init_cpu() {
    // SAFETY: the entry code is in place; STAR selects the GDT's code and data descriptors.
    unsafe {
        msr::write(IA32_EFER, msr::read(IA32_EFER) | 1);
        msr::write(IA32_STAR, u64::from(KERNEL_CS) << 32);
        msr::write(IA32_LSTAR, syscall_entry as *const () as u64);
        msr::write(IA32_FMASK, SYSCALL_FLAG_MASK);
    }
}
