//! Where the kernel itself has a thread go on: in a signal's handler, where one returns to, where a
//! call is made again, at a program's start. No branch of the program's leads there.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arch::trap::TrapFrame;

/// Interrupts that may find the thread there one after the other before it is taken to have come
/// back in the same state. Several may be due when it goes on; that it executes nothing between so
/// many does not happen.
const MAX_INTERRUPTS: u32 = 64;

/// The place, by all registers: a thread that is there again has mostly changed one.
#[derive(Default)]
pub struct Arrival {
    registers: AtomicU64,
    interrupts: AtomicU32,
}

impl Arrival {
    /// The thread is about to go on with these registers.
    pub fn set(&self, frame: &TrapFrame) {
        self.registers.store(digest(frame), Ordering::Relaxed);
        self.interrupts.store(0, Ordering::Relaxed);
    }

    /// Whether an interrupt has found the thread with the registers that it was sent on with, and
    /// so may have come before anything was executed. To be asked once for each.
    pub fn is_at(&self, frame: &TrapFrame) -> bool {
        self.registers.load(Ordering::Relaxed) == digest(frame)
            && self.interrupts.fetch_add(1, Ordering::Relaxed) < MAX_INTERRUPTS
    }
}

fn digest(frame: &TrapFrame) -> u64 {
    /// Odd, and with bits all over.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let f = frame;
    let all = [
        f.rip, f.rflags, f.rax, f.rcx, f.rdx, f.rbx, f.rsp, f.rbp, f.rsi, f.rdi, f.r8, f.r9, f.r10, f.r11, f.r12, f.r13,
        f.r14, f.r15,
    ];
    all.into_iter().fold(0, |sum: u64, value| (sum.rotate_left(7) ^ value).wrapping_mul(MIX))
}
