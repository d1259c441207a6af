//! Branches that take their target from memory, and what they leave behind.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

use super::{Interrupted, Memory, sweep};

/// An indirect jump with a SIB byte and a displacement, from its opcode on.
pub(super) const JUMP_MAX: usize = 7;
/// What may stand before: a segment, the size of addresses, REX.
pub(super) const PREFIXES_MAX: usize = 3;

/// Whether a return has led to the place: what it took from the stack is still below the stack pointer. `ret` may have taken arguments
/// off, and `iretq` takes five words.
pub(super) fn returned<M: Memory + ?Sized>(at: &Interrupted, memory: &M) -> bool {
    const WORDS: u64 = 16;
    (1..=WORDS).any(|n| memory.word(at.rsp().wrapping_sub(8 * n)) == Some(at.rip))
}

/// Whether the byte behind `ff` makes it a jump, near or far, by a word of memory.
pub(super) fn is_jump(modrm: u8) -> bool {
    matches!(modrm >> 3 & 7, 4 | 5) && modrm >> 6 != 3
}

/// Whether the jump whose opcode is at `opcode` of `bytes`, which stand at `address`, goes by a word that holds the place: with any
/// number of the bytes before it taken for its prefixes.
pub(super) fn jumps<M: Memory + ?Sized>(bytes: &[u8], opcode: usize, address: u64, at: &Interrupted, memory: &M) -> bool {
    (0..=PREFIXES_MAX.min(opcode)).any(|prefixes| {
        let start = opcode - prefixes;
        let Some(code) = bytes.get(start..) else { return false };
        let jump = Decoder::with_ip(64, code, address.wrapping_add(start as u64), DecoderOptions::NONE).decode();
        jump.flow_control() == FlowControl::IndirectBranch
            && jump.op0_kind() == OpKind::Memory
            && operand(&jump, at, at.rsp())
                .filter(|address| !is_given_up(*address, at.rsp()))
                .and_then(|address| memory.word(address))
                == Some(at.rip)
            // Something amid other instructions may well seem to be one.
            && sweep::may_be_instruction(jump.ip(), memory)
    })
}

/// Whether a word lies where the stack has been, beyond the red zone: nothing goes by it any more, and signal frames have left
/// addresses there.
fn is_given_up(address: u64, rsp: u64) -> bool {
    const RED_ZONE: u64 = 128;
    const REACH: u64 = 1 << 16;
    (RED_ZONE + 1..=REACH).contains(&rsp.wrapping_sub(address))
}

/// Address of the memory operand of a branch that has just been made, before which the stack pointer was `rsp`. `None` where the
/// segment is not the program's.
pub(super) fn operand(branch: &Instruction, at: &Interrupted, rsp: u64) -> Option<u64> {
    let segment = match branch.memory_segment() {
        Register::FS => at.fs_base,
        Register::GS => return None,
        _ => 0,
    };
    let value = |register: Register| match register {
        Register::None | Register::RIP | Register::EIP => Some(0),
        Register::RSP | Register::ESP => Some(rsp),
        other if other.is_gpr64() || other.is_gpr32() => at.registers.get(other.number()).copied(),
        _ => None,
    };
    let index = value(branch.memory_index())?.wrapping_mul(branch.memory_index_scale().into());
    // Of an operand relative to rip the displacement is the address already.
    let offset = value(branch.memory_base())?.wrapping_add(index).wrapping_add(branch.memory_displacement64());
    let short = [branch.memory_base(), branch.memory_index()].iter().any(|part| part.is_gpr32() || *part == Register::EIP);
    Some(segment.wrapping_add(if short { offset & 0xffff_ffff } else { offset }))
}
