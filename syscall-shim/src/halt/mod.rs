//! Whether a thread that an interrupt found at an address came there by a `hlt`.
//!
//! In ring 0 `hlt` raises no exception: the processor sleeps until an interrupt comes, and that one
//! finds the program behind the instruction. On Linux the program, in ring 3, gets `SIGSEGV` at
//! once; C libraries and compilers use `hlt` as the end of a path that must not go on.
//!
//! That the byte in front of the interrupted place is `f4` says little. It may be the end of a
//! longer instruction (`mov -0xc(%rbp), %eax` is `8b 45 f4`), and where it is a `hlt`, it is mostly
//! one that a branch has jumped over:
//!
//! ```text
//!     test $15, %dil
//!     je   1f
//!     hlt
//! 1:  ...                 a common place to be interrupted at
//! ```
//!
//! A program must never be ended for a `hlt` that it has not executed, so everything else has to be
//! excluded:
//!
//! 1. The byte is an instruction of its own ([`sweep`]): decoding forward from each of fifteen
//!    consecutive places well before it finds one there. Since no instruction is longer, one of the
//!    fifteen is where an instruction begins.
//! 2. No branch leads to the place, or none whose condition holds ([`origins`]): neither `hlt` nor
//!    a branch changes flags or registers, so the flags are still those that the branch would have
//!    seen, and what an indirect branch has gone by is still in the register or the memory that it
//!    names ([`indirect`]). Nor does a call: its return address would be on top of the stack. Nor a
//!    return: the address would still be below.
//! 3. The instruction at the place is no repeated string instruction, which may have changed the
//!    flags and is not over.
//!
//! Branches may come from any code of the program's: the caller has all of it searched
//! ([`may_come_from`]). And the kernel itself may have sent the thread there (a handler's start, or
//! where one returns to): that is for the caller to know.
//!
//! What cannot be excluded is taken for not halted, and the program goes on.

mod indirect;
mod origins;
mod sweep;

use core::ops::Range;

/// The `hlt` instruction.
pub const HLT: u8 = 0xf4;

/// A thread as an interrupt found it.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    /// Where it would go on.
    pub rip: u64,
    /// Its flags.
    pub rflags: u64,
    /// General registers in the order of their numbers: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8
    /// to r15.
    pub registers: [u64; 16],
    /// Base of the segment FS. (GS is the kernel's own.)
    pub fs_base: u64,
}

impl Interrupted {
    fn rsp(&self) -> u64 {
        let [_, _, _, _, rsp, ..] = self.registers;
        rsp
    }
}

/// The program's memory, as far as it is there without waiting.
pub trait Memory {
    /// Fills `bytes` from `address`; false if any of it is not there.
    fn read(&self, address: u64, bytes: &mut [u8]) -> bool;

    /// The eight bytes at `address`.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }
}

/// Whether the thread has executed the `hlt` in front of `at.rip`, as far as the place and what is
/// around it tell. `text` is the code that holds the place. What is left to be asked is
/// [`may_come_from`] all code.
pub fn may_have_halted<M: Memory + ?Sized>(at: &Interrupted, text: Range<u64>, memory: &M) -> bool {
    sweep::is_instruction(at.rip.wrapping_sub(1), &text, memory)
        && !sweep::repeats(at.rip, memory)
        && !at.registers.contains(&at.rip)
        && !origins::called(at, memory)
        && !indirect::returned(at, memory)
        && !origins::branched_nearby(at, text, memory)
}

/// Whether a branch in `code` may have brought the thread to `at.rip`. Branches come from other
/// libraries too, and from where call sites were moved to. Much code is better asked about in
/// parts.
pub fn may_come_from<M: Memory + ?Sized>(at: &Interrupted, code: Range<u64>, memory: &M) -> bool {
    origins::branched(at, code, memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const TEXT: u64 = 0x40_1000;
    const STACK: u64 = 0x7fff_0000_0000;

    struct Program {
        text: Vec<u8>,
        stack: Vec<u64>,
    }

    impl Memory for Program {
        fn read(&self, address: u64, bytes: &mut [u8]) -> bool {
            let stack: Vec<u8> = self.stack.iter().flat_map(|word| word.to_le_bytes()).collect();
            [(TEXT, &self.text[..]), (STACK, &stack[..])].iter().any(|(start, part)| {
                let from = address.checked_sub(*start).map(|at| at as usize);
                // Whole pages are there or not.
                let whole = part.len().next_multiple_of(crate::PAGE_SIZE);
                let Some(from) = from.filter(|at| at.saturating_add(bytes.len()) <= whole) else { return false };
                bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = part.get(from + i).copied().unwrap_or(0));
                true
            })
        }
    }

    /// Forty plain instructions, then `middle`, whose end is the interrupted place, then `rest`.
    fn program(middle: &[u8], rest: &[u8]) -> (Program, Interrupted) {
        let mut text: Vec<u8> = Vec::new();
        for i in 0..40u8 {
            // add $i, %rdx; mov %rsi, -8(%rbp); movzbl (%rdi), %eax
            text.extend([0x48, 0x83, 0xc2, i, 0x48, 0x89, 0x75, 0xf8, 0x0f, 0xb6, 0x07]);
        }
        text.extend(middle);
        let rip = TEXT + text.len() as u64;
        text.extend(rest);
        text.resize(3000, 0x90);
        let mut registers = [0x1234; 16];
        registers[4] = STACK;
        (Program { text, stack: alloc::vec![7, 8, 9] }, Interrupted { rip, rflags: 0x202, registers, fs_base: STACK })
    }

    fn halted(program: &Program, at: &Interrupted) -> bool {
        let text = TEXT..TEXT + program.text.len() as u64;
        may_have_halted(at, text.clone(), program) && !may_come_from(at, text, program)
    }

    #[test]
    fn a_plain_hlt_is_seen() {
        let (p, at) = program(&[0xe8, 0, 1, 0, 0, HLT], &[0x90]);
        assert!(halted(&p, &at));
        let (p, at) = program(&[HLT], &[0x48, 0x89, 0xe5]);
        assert!(halted(&p, &at));
    }

    #[test]
    fn a_hlt_behind_vector_instructions_is_seen() {
        // vzeroupper; vpxor %xmm0, %xmm0, %xmm0; vmovdqu64 64(%rsi), %zmm1
        let vector = [0xc5, 0xf8, 0x77, 0xc5, 0xf9, 0xef, 0xc0, 0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x4e, 0x01];
        let (p, at) = program(&[&vector[..], &[HLT]].concat(), &[0x90]);
        assert!(halted(&p, &at));
        // vpinsrw $0xf4, (%rdi), %xmm0, %xmm0
        let (p, at) = program(&[&vector[..], &[0xc5, 0xf9, 0xc4, 0x07, HLT]].concat(), &[0x90]);
        assert!(!halted(&p, &at));
    }

    #[test]
    fn the_end_of_an_instruction_is_none() {
        for tail in [&[0x8b, 0x45, HLT][..], &[0xb8, 0, 0, 0, HLT], &[0x75, HLT], &[0x48, 0x83, 0xc4, HLT], &[0xeb, HLT]] {
            let (p, at) = program(tail, &[0x90]);
            assert!(!halted(&p, &at), "{tail:x?}");
        }
    }

    #[test]
    fn a_hlt_that_was_jumped_over_is_none() {
        // je over the hlt: with the zero flag it has been taken, without it the hlt was executed.
        let (p, mut at) = program(&[0x40, 0xf6, 0xc7, 0x0f, 0x74, 0x01, HLT], &[0x90]);
        assert!(halted(&p, &at));
        at.rflags |= 0x40;
        assert!(!halted(&p, &at));
        let (p, at) = program(&[0xeb, 0x01, HLT], &[0x90]);
        assert!(!halted(&p, &at));
    }

    #[test]
    fn a_branch_from_afar_is_found() {
        let (mut p, at) = program(&[HLT], &[0x90]);
        // jl near, from the end of the text back to the place.
        let from = p.text.len() as u64 + TEXT;
        let rel = (at.rip.wrapping_sub(from + 6)) as u32;
        p.text.extend([0x0f, 0x8c]);
        p.text.extend(rel.to_le_bytes());
        assert!(halted(&p, &at), "sign and overflow are equal");
        let lower = Interrupted { rflags: 0x282, ..at };
        assert!(!halted(&p, &lower));
    }

    #[test]
    fn a_call_is_told_by_its_return_address() {
        let (mut p, at) = program(&[HLT], &[0x55]);
        let call = p.text.len() as u64 + TEXT;
        p.text.push(0xe8);
        p.text.extend((at.rip.wrapping_sub(call + 5) as u32).to_le_bytes());
        assert!(halted(&p, &at), "nobody has called");
        p.stack[0] = call + 5;
        assert!(!halted(&p, &at));
        // call *8(%rsp): the third word of the stack, seen from behind the call.
        let call = p.text.len() as u64 + TEXT;
        p.text.extend([0xff, 0x54, 0x24, 0x08]);
        (p.stack[0], p.stack[2]) = (call + 4, at.rip);
        assert!(!halted(&p, &at));
        p.stack[2] = at.rip + 1;
        assert!(halted(&p, &at));
    }

    #[test]
    fn an_address_in_a_register_is_an_indirect_branch() {
        let (p, mut at) = program(&[HLT], &[0x90]);
        at.registers[2] = at.rip;
        assert!(!halted(&p, &at));
    }

    #[test]
    fn what_an_indirect_jump_went_by_is_still_there() {
        // jmp *8(%rsp), *(%r12,%rdx,8), *%fs:16, and notrack jmp *(%rsp,%rdx,8), each with its
        // word.
        for (jump, word) in [
            (&[0xff, 0x64, 0x24, 0x08][..], 1),
            (&[0x41, 0xff, 0x24, 0xd4], 2),
            (&[0x64, 0xff, 0x24, 0x25, 16, 0, 0, 0], 2),
            (&[0x3e, 0xff, 0x24, 0xd4], 2),
        ] {
            let (mut p, mut at) = program(&[HLT], &[0x90]);
            (at.registers[12], at.registers[2]) = (STACK, 2);
            p.text.extend(jump);
            assert!(halted(&p, &at), "{jump:x?}");
            p.stack[word] = at.rip;
            assert!(!halted(&p, &at), "{jump:x?}");
        }
        let (mut p, at) = program(&[HLT], &[0x90]);
        p.text.extend([0xff, 0x25, 2, 0, 0, 0, 0x90, 0x90]);
        assert!(halted(&p, &at));
        p.text.extend(at.rip.to_le_bytes());
        assert!(!halted(&p, &at));
        // At the end of one piece that is read at a time, and the start of the next.
        for end in 505..520 {
            let (mut p, at) = program(&[HLT], &[0x90]);
            p.text.resize(2048 + end, 0x90);
            p.text.extend([0x64, 0xff, 0x24, 0x25, 8, 0, 0, 0]);
            p.stack[1] = at.rip;
            assert!(!halted(&p, &at), "{end}");
        }
    }

    #[test]
    fn a_return_leaves_its_address_below_the_stack() {
        let (mut p, mut at) = program(&[HLT], &[0x90]);
        at.registers[4] = STACK + 16;
        p.stack[0] = at.rip;
        assert!(!halted(&p, &at));
        p.stack[0] = at.rip - 1;
        assert!(halted(&p, &at));
    }

    #[test]
    fn string_instructions_change_flags_on_the_way() {
        let (p, at) = program(&[0x74, 0x01, HLT], &[0xf3, 0xa6]);
        assert!(!halted(&p, &at));
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let (p, at) = program(&[HLT], &[0x90]);
        assert!(!may_have_halted(&Interrupted { rip: 0x1000, ..at }, 0x1000..0x2000, &p));
        assert!(!may_have_halted(&Interrupted { rip: 0, ..at }, 0..0, &p));
        assert!(!may_have_halted(&Interrupted { rip: u64::MAX, ..at }, u64::MAX - 4096..u64::MAX, &p));
    }
}
