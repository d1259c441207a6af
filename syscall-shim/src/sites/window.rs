//! What a jump at a site replaces, and how each of the instructions moves.

use arrayvec::ArrayVec;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};

use super::{JUMP_LEN, Refusal, SYSCALL, SYSCALL_LEN};

/// The most instructions that it takes to fill the jump behind the `syscall`.
pub(super) const MOVED_MAX: usize = JUMP_LEN - SYSCALL_LEN;
/// The longest instruction, in bytes.
const INSTRUCTION_MAX: usize = 15;

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

/// An instruction that moves into the stub.
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
    /// Where instructions of the window begin that the jump's bytes cover, as offsets from the site.
    pub fn covered(&self) -> impl Iterator<Item = usize> {
        self.moved.iter().map(|m| m.offset).filter(|&offset| offset < JUMP_LEN)
    }

    /// What the jump's byte at `offset` from the site must be, if it must be what stands there.
    pub fn kept(&self, offset: usize) -> Option<u8> {
        self.kept.get(offset.checked_sub(self.len)?).copied()
    }
}

/// The window of the site at address `site`, where the bytes `code` stand and control goes on behind the `syscall`.
pub fn window(site: u64, code: &[u8]) -> Result<Window, Refusal> {
    let rest = code.strip_prefix(&SYSCALL).ok_or(Refusal::Undecodable)?;
    let mut decoder = Decoder::with_ip(64, rest, site.wrapping_add(SYSCALL_LEN as u64), DecoderOptions::NONE);
    let mut window = Window { moved: ArrayVec::new(), len: SYSCALL_LEN, ends: false, kept: ArrayVec::new() };
    while window.len < JUMP_LEN {
        let instruction = decoder.decode();
        if window.ends && !is_padding(&instruction) {
            break;
        }
        if instruction.is_invalid() {
            return Err(Refusal::Undecodable);
        }
        let bytes = rest.get(window.len - SYSCALL_LEN..).and_then(|rest| rest.get(..instruction.len()));
        let bytes = bytes.and_then(|bytes| ArrayVec::try_from(bytes).ok()).ok_or(Refusal::Undecodable)?;
        let how = how(&decoder, &instruction, &bytes)?;
        window.moved.push(Moved { offset: window.len, bytes, how });
        window.len += instruction.len();
        window.ends |= matches!(
            instruction.flow_control(),
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        );
    }
    if window.len < JUMP_LEN {
        let behind = code.get(window.len..JUMP_LEN).ok_or(Refusal::EndOfCode)?;
        window.kept.try_extend_from_slice(behind).map_err(|_| Refusal::EndOfCode)?;
    }
    Ok(window)
}

/// What assemblers and linkers fill the room between functions with.
fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
}

fn how(decoder: &Decoder<'_>, instruction: &Instruction, bytes: &[u8]) -> Result<How, Refusal> {
    // The opcode stands before the displacement, whatever prefixes (branch hints, BND) stand before it.
    let before = |displacement: usize| bytes.len().checked_sub(displacement + 1).and_then(|at| bytes.get(at)).copied();
    match instruction.flow_control() {
        // What an interrupt finds behind it is looked for in the program's own code only.
        _ if instruction.mnemonic() == Mnemonic::Hlt => return Err(Refusal::Immovable),
        FlowControl::Next | FlowControl::Return | FlowControl::IndirectBranch => {}
        FlowControl::UnconditionalBranch if instruction.is_jmp_short_or_near() => {
            return Ok(How::Jump(instruction.near_branch64()));
        }
        FlowControl::ConditionalBranch if instruction.is_jcc_short() || instruction.is_jcc_near() => {
            let opcode = before(if instruction.is_jcc_short() { 1 } else { 4 }).ok_or(Refusal::Immovable)?;
            return Ok(How::Branch(opcode & 0xf, instruction.near_branch64()));
        }
        FlowControl::Interrupt if instruction.mnemonic() == Mnemonic::Int3 => {}
        FlowControl::Exception if instruction.code() == Code::Ud2 => {}
        FlowControl::Call | FlowControl::IndirectCall => return Err(Refusal::Call),
        _ => return Err(Refusal::Immovable),
    }
    if !instruction.is_ip_rel_memory_operand() {
        return Ok(How::Copy);
    }
    if instruction.memory_base() != Register::RIP {
        return Err(Refusal::Immovable);
    }
    let constants = decoder.get_constant_offsets(instruction);
    if constants.displacement_size() != 4 {
        return Err(Refusal::Immovable);
    }
    Ok(How::RipRelative { at: constants.displacement_offset(), target: instruction.ip_rel_memory_address() })
}
