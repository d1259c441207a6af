//! Call sites: how a `syscall` instruction becomes a jump to a trampoline that enters the kernel as
//! a direct call.
//!
//! ```text
//! before   S:  syscall                 after   S:  jmp trampoline        (5 bytes, over syscall and its successors)
//!              cmp  rax, -4095                     ...
//!              ja   error                      W:  ja  error
//!
//! trampoline     lea rcx, [return]           the address that the kernel comes back to
//!          jmp [entry]                 no call: nothing below the stack pointer is touched
//! retry:   syscall                     the same by the trap, for a thread that single-steps
//! return:  lea rcx, [S + 2]            what the instruction leaves in rcx
//!          cmp rax, -4095              the window's other instructions, moved
//!          jmp W
//! ```
//!
//! **Why the window begins at the `syscall` and reaches forward.** When the instruction at S has
//! trapped, S is the start of an instruction for certain, and so is S + 2, where control is about
//! to go on. Decoding forward from there is exact. Decoding backwards is a guess: `41 b8 imm32` is
//! `mov r8d, imm32`, and `b8 imm32` in it is `mov eax, imm32`. So what stands before S is neither
//! looked at nor changed, and a jump straight to S finds the jump there.
//!
//! **Why no search for branches into the window is needed.** The bytes that an instruction of the
//! window began with before are now bytes of the jump's displacement. The trampoline is put where
//! each of them is one of [`TRAPS`], which no x86-64 processor executes: whoever comes to such an
//! address (by a branch that no scan would have found, out of a signal handler, or out of a system
//! call that was entered before the window was replaced) traps, and the kernel sends him to the
//! same instruction in the trampoline. Wrong guesses cost time, never correctness.
//!
//! **Behind an unconditional branch** need not be code at all. Where one comes so early that the
//! jump reaches beyond it, padding is moved like code; before anything else the trampoline is put
//! where the last bytes of the displacement are what stands there already.
//!
//! **What is refused** stays as it is and goes on trapping; [`Refusal`] names the reasons. A call
//! in the window would push the trampoline's address.
//!
//! The first byte of a patched site is written last and restored first; between the two it is
//! `int3` (Intel SDM vol. 3, 9.1.3 "Handling Self- and Cross-Modifying Code"; AMD APM vol. 2,
//! 7.6.1).

mod trampoline;
mod window;

pub use trampoline::{RETRY, RETURN, TRAMPOLINE_MAX, Trampoline, is_guarded, places};
pub use window::{Window, window};

use core::fmt;

/// Bytes of the jump that replaces a site: `e9 rel32`.
pub const JUMP_LEN: usize = 5;
/// Bytes of the `syscall` instruction.
pub const SYSCALL_LEN: usize = 2;
/// The `syscall` instruction.
pub const SYSCALL: [u8; SYSCALL_LEN] = [0x0f, 0x05];
/// As many bytes from a site on as a window can need.
pub const LOOK_AHEAD: usize = 32;
/// `int3`.
pub const INT3: u8 = 0xcc;
/// First bytes that raise an exception at once in 64-bit mode, whatever follows: `int3`, and
/// one-byte opcodes that the mode abolished (SDM vol. 2D, table A-2, superscript i64). None has
/// become a prefix since (REX2 took D5, EVEX 62).
pub const TRAPS: [u8; 16] = [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, INT3, 0xce, 0xd6];

const IS_TRAP: [bool; 256] = {
    let mut is = [false; 256];
    let mut i = 0;
    while i < TRAPS.len() {
        is[TRAPS[i] as usize] = true;
        i += 1;
    }
    is
};

/// Whether `byte` is one of [`TRAPS`].
pub fn is_trap(byte: u8) -> bool {
    IS_TRAP[usize::from(byte)]
}

/// Why a site keeps trapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// Switched off (`no-patch`).
    SwitchedOff,
    /// The bytes after it cannot be read, or are no instructions.
    Undecodable,
    /// A call in the window would push the trampoline's address.
    Call,
    /// An instruction in the window cannot be moved.
    Immovable,
    /// The memory ends before the jump would.
    EndOfCode,
    /// The memory is shared with others, who would see the change.
    Shared,
    /// The program may write the memory itself.
    Writable,
    /// It is the kernel's own (a trampoline, the vDSO).
    Kernel,
    /// rt_sigreturn(2): unwinders know its site by its bytes.
    Sigreturn,
    /// No free address space within reach.
    OutOfReach,
    /// Memory is short.
    OutOfMemory,
    /// The program keeps branching into the window.
    BranchedInto,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
    /// All of them, in the order of their numbers.
    pub const ALL: [Refusal; 12] = [
        Self::SwitchedOff,
        Self::Undecodable,
        Self::Call,
        Self::Immovable,
        Self::EndOfCode,
        Self::Shared,
        Self::Writable,
        Self::Kernel,
        Self::Sigreturn,
        Self::OutOfReach,
        Self::OutOfMemory,
        Self::BranchedInto,
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwitchedOff => "switched off",
            Self::Undecodable => "undecodable neighbour",
            Self::Call => "call in the window",
            Self::Immovable => "immovable neighbour",
            Self::EndOfCode => "end of code",
            Self::Shared => "shared memory",
            Self::Writable => "writable memory",
            Self::Kernel => "the kernel's page",
            Self::Sigreturn => "signal return",
            Self::OutOfReach => "no room within reach",
            Self::OutOfMemory => "no memory",
            Self::BranchedInto => "branch into the window",
        })
    }
}
