//! Where the trampolines of call sites jump to.
//!
//! rax and the arguments are as for `syscall`; rcx has the trampoline's address to return to.
//! Interrupts are on, and go off with the first instruction: one that comes before it finds the
//! application's stack pointer, and the thread goes on from there or makes the call anew. They come
//! on again when the frame is complete, or with the last jump, so that no interrupt finds the
//! kernel where it would not look for work on its way out.
//!
//! Calls that only tell a number of the caller's ([`QUICK`]) are answered on the spot: they can
//! neither sleep nor fail nor change the frame, so there is none. Neither the history of calls nor
//! the time used knows them.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, Ordering};

use linux_raw_sys::general as g;
use syscall_shim::NR_SYSCALLS;

use super::syscall::SYSCALL_FLAG_MASK;
use crate::arch::gdt::{KERNEL_CS, KERNEL_SS};
use crate::arch::percpu::{COUNTS, CURRENT, STACK_TOP};
use crate::arch::trap::TrapFrame;
use task::{Process, Task, thread};
use vm::patching::Entry;

global_asm!(
    ".section .text.patched_call, \"ax\"",
    ".balign 64",
    ".global patched_call",
    "patched_call:",
    "cli",
    "mov r11, rsp",
    "mov rsp, gs:[{stack_top}]",
    ".global patched_call_switched",
    "patched_call_switched:",
    // The highest words of a TrapFrame.
    "push {ss}",
    "push r11",
    "pushfq",
    "cmp rax, {calls}",
    "jae 2f",
    "mov r11, gs:[{counts}]",
    "inc qword ptr [r11 + rax * 8]",
    "jmp qword ptr [{table} + rax * 8]",
    "2:",
    "mov r11, gs:[{counts}]",
    "inc qword ptr [r11 + {calls} * 8]",
    ".global patched_call_general",
    "patched_call_general:",
    "or dword ptr [rsp], {interrupts}",
    "push {cs}",
    "push rcx",
    "push rax",
    "push {vector}",
    "mov dword ptr [rsp + 4], 3",
    "push rdi",
    "push rsi",
    "push rdx",
    "sub rsp, 16",
    "push r8",
    "push r9",
    "push r10",
    // r11: the flags.
    "push qword ptr [rsp + {rflags_from_r10}]",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "test dword ptr [rsp + {off_rflags}], {unusual}",
    "jz syscall_common",
    "push {usual}",
    "popfq",
    "jmp syscall_common",
    ".global patched_call_pid",
    "patched_call_pid:",
    "mov rax, gs:[{current}]",
    "mov rax, [rax + {process}]",
    "mov eax, [rax + {pid}]",
    "jmp patched_call_return",
    ".global patched_call_ppid",
    "patched_call_ppid:",
    "mov rax, gs:[{current}]",
    "mov rax, [rax + {process}]",
    "mov eax, [rax + {ppid}]",
    "jmp patched_call_return",
    ".global patched_call_tid",
    "patched_call_tid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {tid}]",
    "jmp patched_call_return",
    ".global patched_call_uid",
    "patched_call_uid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {uid}]",
    "jmp patched_call_return",
    ".global patched_call_euid",
    "patched_call_euid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {euid}]",
    "jmp patched_call_return",
    ".global patched_call_gid",
    "patched_call_gid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {gid}]",
    "jmp patched_call_return",
    ".global patched_call_egid",
    "patched_call_egid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {egid}]",
    "patched_call_return:",
    // Arithmetic flags with interrupts still off; `sti` holds them back until the jump has left the
    // kernel.
    "mov r11d, [rsp]",
    "or r11d, {interrupts}",
    "popfq",
    "mov rsp, [rsp]",
    "sti",
    "jmp rcx",
    ".previous",
    stack_top = const STACK_TOP,
    counts = const COUNTS,
    current = const CURRENT,
    calls = const NR_SYSCALLS,
    table = sym ENTRIES,
    ss = const KERNEL_SS,
    cs = const KERNEL_CS,
    vector = const TrapFrame::SYSCALL,
    rflags_from_r10 = const offset_of!(TrapFrame, rflags) - offset_of!(TrapFrame, r10),
    off_rflags = const offset_of!(TrapFrame, rflags),
    unusual = const SYSCALL_FLAG_MASK & !0x200,
    usual = const 2,
    interrupts = const 0x200,
    process = const thread::OFF_PROCESS,
    pid = const offset_of!(Process, pid),
    ppid = const offset_of!(Process, ppid),
    tid = const offset_of!(Task, tid),
    uid = const offset_of!(Task, ids) + offset_of!(thread::Ids, uid),
    euid = const offset_of!(Task, ids) + offset_of!(thread::Ids, euid),
    gid = const offset_of!(Task, ids) + offset_of!(thread::Ids, gid),
    egid = const offset_of!(Task, ids) + offset_of!(thread::Ids, egid),
);

unsafe extern "C" {
    fn patched_call();
    static patched_call_switched: u8;
    /// The long way: a frame, and the handler.
    pub(super) fn patched_call_general();
    fn patched_call_pid();
    fn patched_call_ppid();
    fn patched_call_tid();
    fn patched_call_uid();
    fn patched_call_euid();
    fn patched_call_gid();
    fn patched_call_egid();
}

type Code = unsafe extern "C" fn();

/// The calls that are answered on the spot.
const QUICK: [(u32, Code); 7] = [
    (g::__NR_getpid, patched_call_pid),
    (g::__NR_getppid, patched_call_ppid),
    (g::__NR_gettid, patched_call_tid),
    (g::__NR_getuid, patched_call_uid),
    (g::__NR_geteuid, patched_call_euid),
    (g::__NR_getgid, patched_call_gid),
    (g::__NR_getegid, patched_call_egid),
];

/// Where each call goes on.
pub(super) static ENTRIES: [AtomicPtr<()>; NR_SYSCALLS] = {
    let mut entries = [const { AtomicPtr::new(patched_call_general as *const () as *mut ()) }; NR_SYSCALLS];
    let mut i = 0;
    while i < QUICK.len() {
        entries[QUICK[i].0 as usize] = AtomicPtr::new(QUICK[i].1 as *const () as *mut ());
        i += 1;
    }
    entries
};

static PATCHED_CALL: Code = patched_call;

/// Has every call take the long way, where it is traced or filtered, but for those that `passes`
/// says.
pub fn disable_quick(passes: &dyn Fn(u64) -> bool) {
    for (nr, _) in QUICK.into_iter().filter(|(nr, _)| !passes((*nr).into())) {
        ENTRIES[nr as usize].store(patched_call_general as *const () as *mut (), Ordering::Relaxed);
    }
}

/// The entry as those know it who write trampolines.
pub fn for_trampolines() -> Entry {
    Entry {
        // All of the kernel lies in the highest 2 GiB.
        pointer: (&raw const PATCHED_CALL as u64) as i32,
        before_stack_switch: patched_call as *const () as u64..&raw const patched_call_switched as u64,
    }
}
