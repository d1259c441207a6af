//! The frame that every entry leaves on the thread's kernel stack.

use core::fmt;

/// Registers at an entry, lowest address first. The last five words are the CPU's own frame (SDM
/// vol. 3, 6.14.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// Vector number, or [`TrapFrame::SYSCALL`]; [`TrapFrame::FROM_APP`] is set for entries from
    /// the application.
    pub vector: u64,
    /// The CPU's error code, or for a system call its number.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl TrapFrame {
    /// `vector` of a system call.
    pub const SYSCALL: u64 = 0x100;
    /// Flag in `vector`: the application was running, not the kernel.
    pub const FROM_APP: u64 = 1 << 32;
    /// Flag in `vector`: the system call came by a stub, not by the instruction.
    pub const DIRECT: u64 = 1 << 33;
    /// Size in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// Whether the entry came from the application.
    pub fn came_from_app(&self) -> bool {
        self.vector & Self::FROM_APP != 0
    }

    /// The arguments of a system call.
    #[inline]
    pub fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Whether the entry is a system call that a stub made.
    pub fn is_direct(&self) -> bool {
        self.vector & Self::DIRECT != 0
    }

    /// The vector number, 0..=255, or [`Self::SYSCALL`].
    pub fn vector(&self) -> u64 {
        self.vector & 0xffff
    }

    /// Makes the entry that of another exception; where it came from stays.
    pub fn set_vector(&mut self, number: u64) {
        self.vector = self.vector & !0xffff | number;
    }

    /// Whether the entry is a system call whose registers still are those of the call (a delivered
    /// signal or an `execve` clears this, so that nothing is restarted).
    pub fn in_syscall(&self) -> bool {
        self.vector() == Self::SYSCALL
    }

    /// Marks the frame as no system call any more: the return takes every register from it, and no
    /// restart happens.
    pub fn leave_syscall(&mut self) {
        self.vector = 0xfff | Self::FROM_APP;
    }
}

/// Exception vectors (SDM vol. 3, table 6-1).
#[allow(missing_docs)]
pub mod vector {
    pub const DIVIDE_ERROR: u64 = 0;
    pub const DEBUG: u64 = 1;
    pub const NMI: u64 = 2;
    pub const BREAKPOINT: u64 = 3;
    pub const OVERFLOW: u64 = 4;
    pub const INVALID_OPCODE: u64 = 6;
    pub const DOUBLE_FAULT: u64 = 8;
    pub const SEGMENT_NOT_PRESENT: u64 = 11;
    pub const STACK_SEGMENT: u64 = 12;
    pub const GENERAL_PROTECTION: u64 = 13;
    pub const PAGE_FAULT: u64 = 14;
    pub const X87: u64 = 16;
    pub const ALIGNMENT_CHECK: u64 = 17;
    pub const MACHINE_CHECK: u64 = 18;
    pub const SIMD: u64 = 19;
}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rip, rsp, rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, .. } = self;
        writeln!(f, "rip {rip:016x} rsp {rsp:016x} rflags {rflags:08x}")?;
        writeln!(f, "rax {rax:016x} rbx {rbx:016x} rcx {rcx:016x} rdx {rdx:016x}")?;
        writeln!(f, "rsi {rsi:016x} rdi {rdi:016x} rbp {rbp:016x} r8  {r8:016x}")?;
        writeln!(f, "r9  {r9:016x} r10 {r10:016x} r11 {r11:016x} r12 {r12:016x}")?;
        write!(f, "r13 {r13:016x} r14 {r14:016x} r15 {r15:016x}")
    }
}
