//! Which programs are taken.

use alloc::vec;

use super::{ANCILLARY, Instruction, Invalid, MAX_INSTRUCTIONS, MEMORY, RET_A, TXA, X, ancillary, class, mode, op, size};

/// Refuses what could not be run.
pub fn check(program: &[Instruction]) -> Result<(), Invalid> {
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Invalid);
    }
    for (at, instruction) in program.iter().enumerate() {
        // How many instructions there are behind this one.
        let behind = program.len() - at - 1;
        if !known(instruction) || !jumps_inside(instruction, behind) {
            return Err(Invalid);
        }
    }
    match program.last() {
        Some(last) if last.code & 7 == class::RET => memory_is_written_first(program),
        _ => Err(Invalid),
    }
}

/// Whether there is such an instruction, with such an operand.
fn known(instruction: &Instruction) -> bool {
    let (code, k) = (instruction.code, instruction.k);
    match code & 7 {
        class::LD => match (code & 0xe0, code & 0x18) {
            _ if code > 0xff => false,
            (mode::ABS, size::W | size::H | size::B) => (k as i32) < ANCILLARY || (k as i32) >= 0 || ancillary_is_known(k),
            (mode::IND, size::W | size::H | size::B) => true,
            (mode::MEM, size::W) => (k as usize) < MEMORY,
            (mode::IMM | mode::LEN, size::W) => true,
            _ => false,
        },
        class::LDX => match code & !7 {
            mode::MEM => (k as usize) < MEMORY,
            mode::IMM | mode::LEN => true,
            other => other == mode::MSH | size::B,
        },
        class::ST | class::STX => code & !7 == 0 && (k as usize) < MEMORY,
        class::ALU => {
            let constant = code & X == 0;
            match code & !7 & !X {
                op::DIV | op::MOD => !constant || k != 0,
                op::LSH | op::RSH => !constant || k < 32,
                op::NEG => constant,
                op::ADD | op::SUB | op::MUL | op::OR | op::AND | op::XOR => true,
                _ => false,
            }
        }
        class::JMP => match code & !7 & !X {
            op::JA => code & X == 0,
            op::JEQ | op::JGT | op::JGE | op::JSET => true,
            _ => false,
        },
        class::RET => matches!(code & !7, 0 | RET_A),
        // What moves between the registers.
        _ => matches!(code & !7, 0 | TXA),
    }
}

fn ancillary_is_known(k: u32) -> bool {
    let what = k.wrapping_sub(ANCILLARY as u32);
    what <= ancillary::VLAN_TPID && what.is_multiple_of(4)
}

fn jumps_inside(instruction: &Instruction, behind: usize) -> bool {
    if instruction.code & 7 != class::JMP {
        return true;
    }
    if instruction.code & !7 == op::JA {
        return (instruction.k as usize) < behind;
    }
    usize::from(instruction.jt) < behind && usize::from(instruction.jf) < behind
}

/// Whatever way leads to a read of the scratch memory, it leads past a write of the same word.
fn memory_is_written_first(program: &[Instruction]) -> Result<(), Invalid> {
    // Words that are written on all ways to an instruction. As jumps lead forward, one pass sees
    // them all.
    let mut written = vec![u16::MAX; program.len()];
    let mut now: u16 = 0;
    for (at, instruction) in program.iter().enumerate() {
        let here = written.get(at).copied().unwrap_or_default();
        now &= here;
        let mut meet = |target: usize, with: u16| {
            if let Some(word) = written.get_mut(target) {
                *word &= with;
            }
        };
        let (code, bit) = (instruction.code, 1u16.checked_shl(instruction.k).unwrap_or(0));
        match code & 7 {
            class::ST | class::STX => now |= bit,
            class::LD | class::LDX if code & 0xe0 == mode::MEM && now & bit == 0 => return Err(Invalid),
            class::JMP if code & !7 == op::JA => {
                meet(at + 1 + instruction.k as usize, now);
                now = u16::MAX;
            }
            class::JMP => {
                meet(at + 1 + usize::from(instruction.jt), now);
                meet(at + 1 + usize::from(instruction.jf), now);
                now = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}
