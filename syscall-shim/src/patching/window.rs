//! What a jump at a site replaces, and how each of the instructions moves.

use arrayvec::ArrayVec;

use super::{JUMP_LEN, Refusal, SYSCALL, SYSCALL_LEN};
use crate::instruction::{Base, Flow, INSTRUCTION_MAX, Instruction, Operand};

/// The most instructions that it takes to fill the jump behind the `syscall`.
pub(super) const MOVED_MAX: usize = JUMP_LEN - SYSCALL_LEN;

/// How an instruction is written at another address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// As it is.
    Copy,
    /// With a new displacement at this offset, so that it still refers to `target`.
    RipRelative {
        /// Of the displacement in the instruction.
        at: usize,
        /// Address referred to.
        target: u64,
    },
    /// As `jmp rel32`.
    Jump(u64),
    /// As `jcc rel32`; the low four bits of the opcode are the condition.
    Branch(u8, u64),
}

/// An instruction that moves into the trampoline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    /// From the site.
    pub offset: usize,
    pub bytes: ArrayVec<u8, INSTRUCTION_MAX>,
    pub how: How,
}

/// The bytes that a jump at a site replaces: the `syscall` and the instructions that must move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    pub(super) moved: ArrayVec<Moved, MOVED_MAX>,
    /// Length in bytes, `syscall` included.
    pub len: usize,
    /// Whether control leaves at the end, so that nothing need jump back to it.
    pub(super) ends: bool,
    /// Behind the end: what the last bytes of the jump must be, because it stands there and stays.
    pub(super) kept: ArrayVec<u8, MOVED_MAX>,
}

impl Window {
    /// Where instructions of the window begin that the jump's bytes cover, as offsets from the
    /// site.
    pub fn covered(&self) -> impl Iterator<Item = usize> {
        self.moved.iter().map(|m| m.offset).filter(|&offset| offset < JUMP_LEN)
    }

    /// What the jump's byte at `offset` from the site must be, if it must be what stands there.
    pub fn kept(&self, offset: usize) -> Option<u8> {
        self.kept.get(offset.checked_sub(self.len)?).copied()
    }
}

/// The window of the site at address `site`, where the bytes `code` stand and control goes on
/// behind the `syscall`.
pub fn window(site: u64, code: &[u8]) -> Result<Window, Refusal> {
    let rest = code.strip_prefix(&SYSCALL).ok_or(Refusal::Undecodable)?;
    let mut window = Window { moved: ArrayVec::new(), len: SYSCALL_LEN, ends: false, kept: ArrayVec::new() };
    while window.len < JUMP_LEN {
        let code = rest.get(window.len - SYSCALL_LEN..).unwrap_or(&[]);
        let instruction = Instruction::decode(code);
        // What assemblers and linkers fill the room between functions with.
        if window.ends && !instruction.is_some_and(|instruction| instruction.is_padding()) {
            break;
        }
        let instruction = instruction.ok_or(Refusal::Undecodable)?;
        let bytes = code.get(..instruction.len()).and_then(|bytes| ArrayVec::try_from(bytes).ok());
        let bytes = bytes.ok_or(Refusal::Undecodable)?;
        let next = site.wrapping_add((window.len + instruction.len()) as u64);
        window.moved.push(Moved { offset: window.len, bytes, how: how(&instruction, next)? });
        window.len += instruction.len();
        window.ends |= matches!(instruction.flow(), Flow::Return | Flow::Jump | Flow::IndirectJump);
    }
    if window.len < JUMP_LEN {
        let behind = code.get(window.len..JUMP_LEN).ok_or(Refusal::EndOfCode)?;
        window.kept.try_extend_from_slice(behind).map_err(|_| Refusal::EndOfCode)?;
    }
    Ok(window)
}

/// How `instruction`, in front of `next`, moves.
fn how(instruction: &Instruction, next: u64) -> Result<How, Refusal> {
    match instruction.flow() {
        Flow::Jump => return instruction.target(next).map(How::Jump).ok_or(Refusal::Immovable),
        Flow::Branch(condition) => {
            return instruction.target(next).map(|target| How::Branch(condition, target)).ok_or(Refusal::Immovable);
        }
        Flow::Next | Flow::Return | Flow::IndirectJump | Flow::Breakpoint | Flow::Undefined => {}
        Flow::Call | Flow::IndirectCall => return Err(Refusal::Call),
        // What an interrupt finds behind a `hlt` is looked for in the program's own code only.
        Flow::Halt | Flow::Other => return Err(Refusal::Immovable),
    }
    match *instruction.operand() {
        Some(Operand { base: Base::Rip, short: false, field, displacement, .. }) => {
            Ok(How::RipRelative { at: field, target: next.wrapping_add_signed(displacement.into()) })
        }
        Some(Operand { base: Base::Rip, .. }) => Err(Refusal::Immovable),
        _ => Ok(How::Copy),
    }
}
