//! Where the stubs of call sites jump to.
//!
//! rax and the arguments are as for `syscall`; rcx has the stub's address to return to. Interrupts are on, and go off with the
//! first instruction: one that comes before it finds the application's stack pointer, and the thread goes on from there or
//! makes the call anew. They come on again when the frame is complete, or with the last jump, so that no interrupt finds
//! the kernel where it would not look for work on its way out.
//!
//! Calls that only tell a number of the caller's ([`QUICK`]) are answered on the spot: they can neither sleep nor fail nor
//! change the frame, so there is none. Neither the history of calls nor the time used knows them.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, Ordering};

use linux_raw_sys::general as g;
use syscall_shim::NR_SYSCALLS;

use super::syscall::SYSCALL_FLAG_MASK;
use crate::arch::gdt::{KERNEL_CS, KERNEL_SS};
use crate::arch::percpu::{COUNTS, CURRENT, STACK_TOP};
use crate::arch::trap::TrapFrame;
use crate::mm::sites::Entry;
use crate::task::{Process, Task, thread};

global_asm!(
    ".section .text.direct_entry, \"ax\"",
    ".balign 64",
    ".global direct_entry",
    "direct_entry:",
    "cli",
    "mov r11, rsp",
    "mov rsp, gs:[{stack_top}]",
    ".global direct_entry_switched",
    "direct_entry_switched:",
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
    ".global direct_general",
    "direct_general:",
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
    ".global direct_pid",
    "direct_pid:",
    "mov rax, gs:[{current}]",
    "mov rax, [rax + {process}]",
    "mov eax, [rax + {pid}]",
    "jmp direct_return",
    ".global direct_ppid",
    "direct_ppid:",
    "mov rax, gs:[{current}]",
    "mov rax, [rax + {process}]",
    "mov eax, [rax + {ppid}]",
    "jmp direct_return",
    ".global direct_tid",
    "direct_tid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {tid}]",
    "jmp direct_return",
    ".global direct_uid",
    "direct_uid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {uid}]",
    "jmp direct_return",
    ".global direct_euid",
    "direct_euid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {euid}]",
    "jmp direct_return",
    ".global direct_gid",
    "direct_gid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {gid}]",
    "jmp direct_return",
    ".global direct_egid",
    "direct_egid:",
    "mov rax, gs:[{current}]",
    "mov eax, [rax + {egid}]",
    "direct_return:",
    // Arithmetic flags with interrupts still off; `sti` holds them back until the jump has left the kernel.
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
    fn direct_entry();
    static direct_entry_switched: u8;
    /// The long way: a frame, and the handler.
    pub(super) fn direct_general();
    fn direct_pid();
    fn direct_ppid();
    fn direct_tid();
    fn direct_uid();
    fn direct_euid();
    fn direct_gid();
    fn direct_egid();
}

type Code = unsafe extern "C" fn();

/// The calls that are answered on the spot.
const QUICK: [(u32, Code); 7] = [
    (g::__NR_getpid, direct_pid),
    (g::__NR_getppid, direct_ppid),
    (g::__NR_gettid, direct_tid),
    (g::__NR_getuid, direct_uid),
    (g::__NR_geteuid, direct_euid),
    (g::__NR_getgid, direct_gid),
    (g::__NR_getegid, direct_egid),
];

/// Where each call goes on.
pub(super) static ENTRIES: [AtomicPtr<()>; NR_SYSCALLS] = {
    let mut entries = [const { AtomicPtr::new(direct_general as *const () as *mut ()) }; NR_SYSCALLS];
    let mut i = 0;
    while i < QUICK.len() {
        entries[QUICK[i].0 as usize] = AtomicPtr::new(QUICK[i].1 as *const () as *mut ());
        i += 1;
    }
    entries
};

static DIRECT_ENTRY: Code = direct_entry;

/// Has every call take the long way, where it is traced or filtered, but for those that `passes` says.
pub fn disable_quick(passes: impl Fn(u64) -> bool) {
    for (nr, _) in QUICK.into_iter().filter(|(nr, _)| !passes((*nr).into())) {
        ENTRIES[nr as usize].store(direct_general as *const () as *mut (), Ordering::Relaxed);
    }
}

/// The entry as those know it who write stubs.
pub fn for_stubs() -> Entry {
    Entry {
        // All of the kernel lies in the highest 2 GiB.
        pointer: (&raw const DIRECT_ENTRY as u64) as i32,
        before_stack_switch: direct_entry as *const () as u64..&raw const direct_entry_switched as u64,
    }
}
