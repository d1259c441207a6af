//! From where else control can have come to a place.

use core::ops::Range;

use super::indirect::{self, JUMP_MAX, PREFIXES_MAX, operand};
use super::{Interrupted, Memory};
use crate::instruction::{Flow, Instruction};

/// The longest indirect call, with its prefixes.
const CALL_MAX: usize = 9;
/// What is read of the text at a time, and how much of it again with the next piece: prefixes and a
/// branch.
const PIECE: usize = 512;
const OVERLAP: usize = PREFIXES_MAX + JUMP_MAX;
/// The longest branch with a displacement.
const BRANCH_MAX: usize = 6;
const PAGE: u64 = crate::PAGE_SIZE as u64;

/// Whether the place was called, or is a signal handler's first instruction: the return address
/// tells.
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

/// Whether `jmp *slot` stands at `entry`, behind a landing mark or prefix if there is one, and the
/// slot holds `rip`.
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

/// An indirect call that ends at `back` and whose target, in memory, is the place. (In a register
/// it would still be there.)
fn called_indirectly<M: Memory + ?Sized>(at: &Interrupted, back: u64, memory: &M) -> bool {
    let mut bytes = [0; CALL_MAX];
    if !memory.read(back.wrapping_sub(CALL_MAX as u64), &mut bytes) {
        return false;
    }
    (0..CALL_MAX - 1).any(|from| {
        let Some(code) = bytes.get(from..) else { return false };
        Instruction::decode(code).is_some_and(|call| {
            call.len() == code.len()
                && call.flow() == Flow::IndirectCall
                // The call has pushed the return address.
                && call.operand().is_some_and(|memory_operand| {
                    let address = operand(&memory_operand, back, at, at.rsp().wrapping_add(8));
                    address.and_then(|address| memory.word(address)).is_none_or(|target| target == at.rip)
                })
        })
    })
}

/// Whether the code at `back` is a signal handler's way back: `mov $15, %eax` (or `%rax`) and
/// `syscall`.
fn returns_from_signal<M: Memory + ?Sized>(back: u64, memory: &M) -> bool {
    const SHORT: [u8; 7] = [0xb8, 15, 0, 0, 0, 0x0f, 0x05];
    const LONG: [u8; 9] = [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];
    let mut bytes = [0; 9];
    memory.read(back, &mut bytes) && (bytes.starts_with(&SHORT) || bytes == LONG)
}

/// Whether a branch in `code` leads to the place and its condition holds. Every byte is taken for
/// the start of one: what is none only hides a `hlt`. Pages that are not there have not been
/// executed.
pub(super) fn branched<M: Memory + ?Sized>(at: &Interrupted, code: Range<u64>, memory: &M) -> bool {
    let mut from = code.start & !(PIECE as u64 - 1);
    while from < code.end {
        // The overlap may lie on a page that is not there; zeroes are no branch to here, nor is
        // what is read beyond the code only.
        let mut bytes = [0; PIECE + OVERLAP];
        let there = memory.read(from, &mut bytes) || {
            bytes = [0; PIECE + OVERLAP];
            bytes.first_chunk_mut::<PIECE>().is_some_and(|piece| memory.read(from, piece))
        };
        if there && taken_in(&bytes, from, at, memory) {
            return true;
        }
        let step = if there { PIECE as u64 } else { PAGE - from % PAGE };
        let Some(next) = from.checked_add(step) else { return true };
        from = next;
    }
    false
}

/// The same in the pages around the place, where most branches to it are.
pub(super) fn branched_nearby<M: Memory + ?Sized>(at: &Interrupted, text: Range<u64>, memory: &M) -> bool {
    let near = text.start.max(at.rip.saturating_sub(PAGE / 2))..text.end.min(at.rip.saturating_add(PAGE / 2));
    branched(at, near, memory)
}

fn taken_in<M: Memory + ?Sized>(piece: &[u8; PIECE + OVERLAP], start: u64, at: &Interrupted, memory: &M) -> bool {
    // Where a displacement that leads to the place would end, seen from the first byte of the
    // piece.
    let distance = at.rip.wrapping_sub(start);
    let starts = piece.array_windows::<BRANCH_MAX>().take(PIECE + PREFIXES_MAX);
    for (i, code) in starts.enumerate() {
        let (opcode, length, displacement) = match *code {
            [op @ (0x70..=0x7f | 0xe0..=0xe3 | 0xeb), rel, ..] => (op, 2, i64::from(rel as i8)),
            [0xe9, a, b, c, d, _] => (0xe9, 5, i64::from(i32::from_le_bytes([a, b, c, d]))),
            [0x0f, op @ 0x80..=0x8f, a, b, c, d] => (op, 6, i64::from(i32::from_le_bytes([a, b, c, d]))),
            // `xbegin`: where a transaction goes on that is given up.
            [0xc7, 0xf8, a, b, c, d] => (0xc7, 6, i64::from(i32::from_le_bytes([a, b, c, d]))),
            [0xff, modrm, ..] if indirect::is_jump(modrm) => {
                if indirect::jumps(piece, i, start, at, memory) {
                    return true;
                }
                continue;
            }
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
