//! Where instructions begin, as far as decoding forward tells for certain.

use core::ops::Range;

use super::{HLT, Memory};
use crate::instruction::{INSTRUCTION_MAX, Instruction};

/// How far before the place decoding begins: enough for what began in the middle of an instruction
/// to fall into step.
const RUN_UP: usize = 160;
/// Least room for that, unless the text begins there.
const MIN_CODE: usize = 48;
const WINDOW: usize = RUN_UP + INSTRUCTION_MAX + 1;

/// Whether the byte at `address` is a `hlt` of its own.
pub(super) fn is_instruction<M: Memory + ?Sized>(address: u64, text: &Range<u64>, memory: &M) -> bool {
    let mut bytes = [0; WINDOW];
    let Some(room) = address.checked_sub(text.start).filter(|_| address < text.end) else { return false };
    // Pages before that are not there have not been executed; those that are there begin at a
    // page's start.
    let in_page = (address & 0xfff) as usize;
    let wanted = (room as usize).min(WINDOW - 1);
    let Some(code) = [wanted, in_page].into_iter().filter(|&before| before <= wanted).find_map(|before| {
        let window = bytes.get_mut(..before + 1)?;
        memory.read(address - before as u64, window).then_some(before)
    }) else {
        return false;
    };
    let Some(window) = bytes.get(..code + 1) else { return false };
    if window.last() != Some(&HLT) {
        return false;
    }
    // At the start of the text the first place is known to be one.
    let starts = if code < MIN_CODE && code as u64 == room { 1 } else { INSTRUCTION_MAX };
    if starts > 1 && code < MIN_CODE {
        return false;
    }
    let mut lengths = [0u8; WINDOW];
    (0..starts).all(|start| reaches(window, start, code, &mut lengths))
}

/// Whether one of the same places leads to an instruction at `address`, which then may be one. What
/// is too near to the start of its page may be, too.
pub(super) fn may_be_instruction<M: Memory + ?Sized>(address: u64, memory: &M) -> bool {
    let mut bytes = [0; WINDOW];
    let before = ((address & 0xfff) as usize).min(WINDOW - 1);
    let Some(window) = bytes.get_mut(..before + 1) else { return true };
    if before < MIN_CODE || !memory.read(address - before as u64, window) {
        return true;
    }
    let mut lengths = [0u8; WINDOW];
    (0..INSTRUCTION_MAX).any(|start| reaches(window, start, before, &mut lengths))
}

/// Whether decoding `window` from `start` comes to an instruction at `goal`. `lengths` keeps what
/// was decoded.
fn reaches(window: &[u8], start: usize, goal: usize, lengths: &mut [u8; WINDOW]) -> bool {
    let mut at = start;
    while at < goal {
        let Some(known) = lengths.get_mut(at) else { return false };
        if *known == 0 {
            let Some(length) = length(window, at) else { return false };
            *known = length;
        }
        at += usize::from(*known);
    }
    at == goal
}

/// Length of the instruction at `at`; 1 where there is none. `None` for those of extensions to
/// come, whose length nobody can tell.
fn length(window: &[u8], at: usize) -> Option<u8> {
    /// First bytes of VEX and EVEX prefixes.
    const VECTOR: [u8; 3] = [0xc4, 0xc5, 0x62];
    let code = window.get(at..)?;
    if let Some(instruction) = Instruction::decode(code) {
        return Some(instruction.len() as u8);
    }
    let prefixed = code.iter().find(|byte| !matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67));
    (!prefixed.is_some_and(|byte| VECTOR.contains(byte))).then_some(1)
}

/// Whether a string instruction with a repeat prefix stands at `address`.
pub(super) fn repeats<M: Memory + ?Sized>(address: u64, memory: &M) -> bool {
    let mut bytes = [0; INSTRUCTION_MAX];
    let in_page = 0x1000 - (address & 0xfff) as usize;
    let whole = memory.read(address, &mut bytes);
    let len = if whole { INSTRUCTION_MAX } else { in_page.min(INSTRUCTION_MAX) };
    let Some(code) = bytes.get_mut(..len) else { return false };
    if !whole && !memory.read(address, code) {
        return false;
    }
    Instruction::decode(code).is_some_and(|instruction| instruction.compares_repeatedly())
}
