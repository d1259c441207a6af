//! From where else control can have come to a place.

use core::ops::Range;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};

use super::{Interrupted, Memory};

/// The longest indirect call, with its prefixes.
const CALL_MAX: usize = 9;
/// What is read of the text at a time, and how much of it again with the next piece: a branch but its last byte.
const PIECE: usize = 512;
const OVERLAP: usize = 5;

/// Whether the place was called, or is a signal handler's first instruction: the return address tells.
pub(super) fn called<M: Memory + ?Sized>(at: &Interrupted, memory: &M) -> bool {
    let Some(back) = memory.word(at.rsp()) else { return false };
    returns_from_signal(back, memory) || called_directly(at.rip, back, memory) || called_indirectly(at, back, memory)
}

/// `call rel32`, to the place or by a procedure linkage table.
fn called_directly<M: Memory + ?Sized>(rip: u64, back: u64, memory: &M) -> bool {
    let mut call = [0; 5];
    if !memory.read(back.wrapping_sub(5), &mut call) {
        return false;
    }
    let [0xe8, rel @ ..] = call else { return false };
    let target = back.wrapping_add_signed(i32::from_le_bytes(rel).into());
    target == rip || goes_on_at(target, rip, memory)
}

/// Whether `jmp *slot` stands at `entry`, behind a landing mark or prefix if there is one, and the slot holds `rip`.
fn goes_on_at<M: Memory + ?Sized>(entry: u64, rip: u64, memory: &M) -> bool {
    const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
    const BND: u8 = 0xf2;
    let mut bytes = [0; 11];
    if !memory.read(entry, &mut bytes) {
        return false;
    }
    let marked = if bytes.starts_with(&ENDBR64) { ENDBR64.len() } else { 0 };
    let skip = marked + usize::from(bytes.get(marked) == Some(&BND));
    let Some([0xff, 0x25, rel @ ..]) = bytes.get(skip..skip + 6) else { return false };
    let Ok(rel) = rel.try_into().map(i32::from_le_bytes) else { return false };
    let slot = entry.wrapping_add(skip as u64 + 6).wrapping_add_signed(rel.into());
    memory.word(slot) == Some(rip)
}

/// An indirect call that ends at `back` and whose target, in memory, is the place. (In a register it would still be there.)
fn called_indirectly<M: Memory + ?Sized>(at: &Interrupted, back: u64, memory: &M) -> bool {
    let mut bytes = [0; CALL_MAX];
    if !memory.read(back.wrapping_sub(CALL_MAX as u64), &mut bytes) {
        return false;
    }
    (0..CALL_MAX - 1).any(|from| {
        let start = back.wrapping_sub((CALL_MAX - from) as u64);
        let Some(code) = bytes.get(from..) else { return false };
        let call = Decoder::with_ip(64, code, start, DecoderOptions::NONE).decode();
        call.len() == code.len()
            && call.flow_control() == FlowControl::IndirectCall
            && call.op0_kind() == OpKind::Memory
            && operand(&call, at).and_then(|address| memory.word(address)).is_none_or(|target| target == at.rip)
    })
}

/// Address of the memory operand of a call that has just been made. `None` where a segment has a part in it.
fn operand(call: &Instruction, at: &Interrupted) -> Option<u64> {
    if !matches!(call.memory_segment(), Register::DS | Register::SS) {
        return None;
    }
    let value = |register: Register| match register {
        Register::None | Register::RIP => Some(0),
        // The call has pushed the return address.
        Register::RSP => Some(at.rsp().wrapping_add(8)),
        other if other.is_gpr64() => at.registers.get(other.number()).copied(),
        _ => None,
    };
    let index = value(call.memory_index())?.wrapping_mul(call.memory_index_scale().into());
    // Of an operand relative to rip the displacement is the address already.
    Some(value(call.memory_base())?.wrapping_add(index).wrapping_add(call.memory_displacement64()))
}

/// Whether the code at `back` is a signal handler's way back: `mov $15, %eax` (or `%rax`) and `syscall`.
fn returns_from_signal<M: Memory + ?Sized>(back: u64, memory: &M) -> bool {
    const SHORT: [u8; 7] = [0xb8, 15, 0, 0, 0, 0x0f, 0x05];
    const LONG: [u8; 9] = [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];
    let mut bytes = [0; 9];
    memory.read(back, &mut bytes) && (bytes.starts_with(&SHORT) || bytes == LONG)
}

/// Whether a branch in `text` leads to the place and its condition holds. Every byte is taken for the start of one: what is none
/// only hides a `hlt`. Pages that are not there have not been executed.
pub(super) fn branched<M: Memory + ?Sized>(at: &Interrupted, text: Range<u64>, memory: &M) -> bool {
    let mut bytes = [0; PIECE + OVERLAP];
    let mut from = text.start & !(PIECE as u64 - 1);
    while from < text.end {
        // The overlap may lie on a page that is not there; what is read beyond the text only is no branch to here.
        let len = if memory.read(from, &mut bytes) { PIECE + OVERLAP } else { PIECE };
        let Some(piece) = bytes.get_mut(..len) else { return true };
        if (len > PIECE || memory.read(from, piece)) && taken_in(piece, from, at) {
            return true;
        }
        let Some(next) = from.checked_add(PIECE as u64) else { return true };
        from = next;
    }
    false
}

fn taken_in(piece: &[u8], start: u64, at: &Interrupted) -> bool {
    // Where a displacement that leads to the place would end, seen from the first byte of the piece.
    let distance = at.rip.wrapping_sub(start);
    for i in 0..PIECE.min(piece.len()) {
        let Some(code) = piece.get(i..) else { return false };
        let (opcode, length, displacement) = match *code {
            [op @ (0x70..=0x7f | 0xe0..=0xe3 | 0xeb), rel, ..] => (op, 2, i64::from(rel as i8)),
            [0xe9, a, b, c, d, ..] => (0xe9, 5, i64::from(i32::from_le_bytes([a, b, c, d]))),
            [0x0f, op @ 0x80..=0x8f, a, b, c, d, ..] => (op, 6, i64::from(i32::from_le_bytes([a, b, c, d]))),
            _ => continue,
        };
        let end = i as u64 + length;
        if end.wrapping_add_signed(displacement) == distance && may_be_taken(opcode, at.rflags) {
            return true;
        }
    }
    false
}

/// Whether a branch of that opcode is taken with these flags; those that count or test rcx may be.
fn may_be_taken(opcode: u8, rflags: u64) -> bool {
    if !matches!(opcode, 0x70..=0x8f) {
        return true;
    }
    let flag = |bit: u32| rflags >> bit & 1 != 0;
    let (carry, parity, zero, sign, overflow) = (flag(0), flag(2), flag(6), flag(7), flag(11));
    // SDM vol. 2, appendix B.1.4.
    let holds = match opcode >> 1 & 7 {
        0 => overflow,
        1 => carry,
        2 => zero,
        3 => carry || zero,
        4 => sign,
        5 => parity,
        6 => sign != overflow,
        _ => zero || sign != overflow,
    };
    holds != (opcode & 1 != 0)
}
