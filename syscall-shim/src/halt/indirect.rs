//! Branches that take their target from memory, and what they leave behind.

use super::{Interrupted, Memory, sweep};
use crate::instruction::{Base, Flow, Instruction, Operand, Segment};

/// An indirect jump with a SIB byte and a displacement, from its opcode on.
pub(super) const JUMP_MAX: usize = 7;
/// What may stand before: a segment, the size of addresses, REX.
pub(super) const PREFIXES_MAX: usize = 3;

/// Whether a return has led to the place: what it took from the stack is still below the stack
/// pointer. `ret` may have taken arguments off, and `iretq` takes five words.
pub(super) fn returned<M: Memory + ?Sized>(at: &Interrupted, memory: &M) -> bool {
    const WORDS: u64 = 16;
    (1..=WORDS).any(|n| memory.word(at.rsp().wrapping_sub(8 * n)) == Some(at.rip))
}

/// Whether the byte behind `ff` makes it a jump, near or far, by a word of memory.
pub(super) fn is_jump(modrm: u8) -> bool {
    matches!(modrm >> 3 & 7, 4 | 5) && modrm >> 6 != 3
}

/// Whether the jump whose opcode is at `opcode` of `bytes`, which stand at `address`, goes by a
/// word that holds the place: with any number of the bytes before it taken for its prefixes.
pub(super) fn jumps<M: Memory + ?Sized>(bytes: &[u8], opcode: usize, address: u64, at: &Interrupted, memory: &M) -> bool {
    (0..=PREFIXES_MAX.min(opcode)).any(|prefixes| {
        let start = opcode - prefixes;
        let Some(code) = bytes.get(start..) else { return false };
        let Some(jump) = Instruction::decode(code).filter(|jump| jump.flow() == Flow::IndirectJump) else { return false };
        let Some(word) = *jump.operand() else { return false };
        let start = address.wrapping_add(start as u64);
        operand(&word, start.wrapping_add(jump.len() as u64), at, at.rsp())
            .filter(|address| !is_given_up(*address, at.rsp()))
            .and_then(|address| memory.word(address))
            == Some(at.rip)
            // Something amid other instructions may well seem to be one.
            && sweep::may_be_instruction(start, memory)
    })
}

/// Whether a word lies where the stack has been, beyond the red zone: nothing goes by it any more,
/// and signal frames have left addresses there.
fn is_given_up(address: u64, rsp: u64) -> bool {
    const RED_ZONE: u64 = 128;
    const REACH: u64 = 1 << 16;
    (RED_ZONE + 1..=REACH).contains(&rsp.wrapping_sub(address))
}

/// Address of the operand in memory of a branch, in front of `next`, that has just been made and
/// before which the stack pointer was `rsp`. `None` where the segment is not the program's.
pub(super) fn operand(operand: &Operand, next: u64, at: &Interrupted, rsp: u64) -> Option<u64> {
    const RSP: u8 = 4;
    let segment = match operand.segment {
        Segment::Flat => 0,
        Segment::Fs => at.fs_base,
        Segment::Gs => return None,
    };
    let value = |register: u8| match register {
        RSP => Some(rsp),
        other => at.registers.get(usize::from(other)).copied(),
    };
    let base = match operand.base {
        Base::None => 0,
        Base::Register(number) => value(number)?,
        Base::Rip => next,
    };
    let index = match operand.index {
        Some((number, scale)) => value(number)?.wrapping_mul(scale.into()),
        None => 0,
    };
    let offset = base.wrapping_add(index).wrapping_add_signed(operand.displacement.into());
    Some(segment.wrapping_add(if operand.short { offset & 0xffff_ffff } else { offset }))
}
