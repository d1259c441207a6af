//! Instructions that raise a general-protection fault on Linux, where the program runs in ring 3,
//! and something else here: `hlt`, software interrupts, and those that the processor refuses in
//! another way. The program gets the signal that it would get there.
//!
//! What cannot be seen here (`cli`, `in`, `wrmsr` and their like simply work in ring 0) is listed
//! in docs/security.md.

use core::sync::atomic::Ordering;

use syscall_shim::halt::{self, HLT, Interrupted, Memory};

use crate::arch::percpu::this_cpu;
use crate::arch::trap::{TrapFrame, vector};
use crate::arch::{apic, clock, msr, vectors};
use crate::usermem::{self, UserAddr};
use task::{current, sched};

/// `int n` without the number.
const INT: u8 = 0xcd;
const INT_LEN: u64 = 2;
/// So many bytes of code are searched before others may run.
const AT_ONCE: usize = 1 << 20;
/// Error code of a fault about a gate of the IDT (SDM vol. 3, 6.13).
const ERROR_IDT: u64 = 1 << 1;

/// The program's memory as far as it is there: an interrupt's handler waits for no page.
struct Present;

impl Memory for Present {
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            // An aligned word lies on one page.
            let skip = (at & 3) as usize;
            let Ok(word) = usermem::load_u32_nofault(UserAddr(at & !3)) else { return false };
            let word = word.to_le_bytes();
            let found = word.get(skip..).unwrap_or_default();
            let n = found.len().min(rest.len());
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(found.get(..n).unwrap_or_default());
            rest = later;
            at = at.wrapping_add(n as u64);
        }
        true
    }
}

/// The two bytes in front of where the application was interrupted.
fn bytes_before(rip: u64) -> [u8; 2] {
    let mut bytes = [0; 2];
    // Zeroes are part of no instruction that is looked for.
    if Present.read(rip.wrapping_sub(2), &mut bytes) { bytes } else { [0; 2] }
}

/// Whether the application has executed `int number` for an interrupt that has just come (and was
/// no interrupt therefore).
#[inline]
pub(super) fn was_software_interrupt(frame: &TrapFrame, number: u8) -> bool {
    bytes_before(frame.rip) == [INT, number] && !(vectors::is_used(number) && apic::is_in_service(number))
}

/// Whether `number`, an exception that comes without error code, comes from `int number`. Overflow
/// and breakpoint are a program's to raise.
pub(super) fn was_software_exception(frame: &TrapFrame, number: u64) -> bool {
    number != vector::OVERFLOW && number != vector::BREAKPOINT && bytes_before(frame.rip) == [INT, number as u8]
}

/// What an exception of the application is in ring 3: `number`, or a general-protection fault, of
/// which the frame then tells.
pub(super) fn in_ring_3(frame: &mut TrapFrame, number: u64) -> u64 {
    let gate = match number {
        // Of an `int n` for an exception with an error code the entry code makes this.
        vector::GENERAL_PROTECTION if frame.error & ERROR_IDT != 0 => frame.error >> 3,
        vector::GENERAL_PROTECTION | vector::PAGE_FAULT => return number,
        vector::INVALID_OPCODE if is_privileged(frame.rip) => {
            refuse(frame, 0, 0);
            return vector::GENERAL_PROTECTION;
        }
        other => other,
    };
    if !was_software_exception(frame, gate) {
        return number;
    }
    refuse(frame, INT_LEN, gate << 3 | ERROR_IDT);
    vector::GENERAL_PROTECTION
}

/// Makes the frame that of a general-protection fault by the `length` bytes in front of it.
fn refuse(frame: &mut TrapFrame, length: u64, error: u64) {
    frame.rip = frame.rip.wrapping_sub(length);
    frame.error = error;
    frame.set_vector(vector::GENERAL_PROTECTION);
}

/// Whether the interrupt that has just come may have ended a `hlt` of the application.
#[inline]
pub(super) fn looks_halted(frame: &TrapFrame) -> bool {
    let [_, last] = bytes_before(frame.rip);
    last == HLT
}

/// Whether it has, for certain. If so the frame is made that of the fault that the instruction is
/// in ring 3. Looks mappings up, which may sleep.
#[cold]
pub(super) fn has_halted(frame: &mut TrapFrame) -> bool {
    let task = current();
    if task.arrival.is_at(frame) {
        return false;
    }
    let mm = task.process.mm();
    let Ok(code) = mm.executable() else { return false };
    let f = &*frame;
    let Some(text) = code.iter().find(|area| area.contains(&f.rip.wrapping_sub(1))) else { return false };
    if mm.is_in_trampoline(f) {
        return false;
    }
    let registers =
        [f.rax, f.rcx, f.rdx, f.rbx, f.rsp, f.rbp, f.rsi, f.rdi, f.r8, f.r9, f.r10, f.r11, f.r12, f.r13, f.r14, f.r15];
    let at = Interrupted { rip: f.rip, rflags: f.rflags, registers, fs_base: msr::fs_base() };
    if !halt::may_have_halted(&at, text.clone(), &Present) {
        return false;
    }
    let now = clock::monotonic_ns();
    let known = task.process.halts.lock().is_known(f.rip, now);
    // The branch to it may be another library's, or have moved into a call site's trampoline.
    for area in code.iter().filter(|_| !known) {
        for start in area.clone().step_by(AT_ONCE) {
            if halt::may_come_from(&at, start..area.end.min(start + AT_ONCE as u64), &Present) {
                return false;
            }
            if this_cpu().need_resched.load(Ordering::Relaxed) {
                sched::schedule();
            }
        }
    }
    if !known {
        task.process.halts.lock().add(frame.rip, now);
    }
    refuse(frame, 1, 0);
    true
}

/// Whether an invalid-opcode exception is for an instruction that ring 3 may not execute: the
/// processor (or a model of one) that has it not refuses it otherwise.
fn is_privileged(rip: u64) -> bool {
    const RDPMC: [u8; 2] = [0x0f, 0x33];
    const SYSEXIT: [u8; 2] = [0x0f, 0x35];
    let mut bytes = [0; 2];
    Present.read(rip, &mut bytes) && (bytes == RDPMC || bytes == SYSEXIT)
}
