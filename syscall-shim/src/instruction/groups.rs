//! Which instructions there are of those that ModRM tells apart (SDM vol. 2, tables A-6 and B), and
//! which may be locked.

use super::{Instruction, Map};

/// Bits for the values of ModRM's middle field that mean an instruction: with a memory operand, and
/// with a register.
type Fields = (u8, u8);

const MEMORY_ONLY: Fields = (0xff, 0);
const REGISTER_ONLY: Fields = (0, 0xff);
const ALL: Fields = (0xff, 0xff);

/// For the opcodes D8 to DF and the middle fields 0 to 7 the last fields that mean an instruction
/// (SDM vol. 2, tables ).
const FLOATING: [[u8; 8]; 8] = [
    [0xff; 8],
    [0xff, 0xff, 0x01, 0xff, 0x33, 0x7f, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0x00, 0x02, 0x00, 0x00],
    [0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x00],
    [0xff; 8],
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00],
    [0xff, 0xff, 0xff, 0x02, 0xff, 0xff, 0xff, 0xff],
    [0xff, 0xff, 0xff, 0xff, 0x01, 0xff, 0xff, 0x00],
];

/// The same for 0F 01, by the prefix.
const SYSTEM: [(u8, [u8; 8]); 4] = [
    (1, [0xff, 0x8f, 0xf3, 0xff, 0xff, 0xc1, 0xff, 0xff]),
    (2, [0x00, 0xf0, 0x00, 0xff, 0xff, 0x00, 0xff, 0x13]),
    (4, [0x40, 0x04, 0x00, 0xff, 0xff, 0xf5, 0xff, 0xf7]),
    (8, [0x40, 0x04, 0x00, 0xff, 0xff, 0x03, 0xff, 0xd3]),
];

pub(super) fn is_defined(it: &Instruction) -> bool {
    if it.prefixes.lock && !may_be_locked(it) {
        return false;
    }
    let Some(modrm) = it.modrm else { return true };
    let (memory, register) = fields(it);
    if modrm >> 6 != 3 {
        return memory >> it.reg() & 1 != 0;
    }
    let last = last_fields(it, modrm);
    register >> it.reg() & 1 != 0 && last >> (modrm & 7) & 1 != 0
}

fn fields(it: &Instruction) -> Fields {
    let extended = it.prefixes.rex & 4 != 0;
    match (it.map, it.opcode, it.prefixes.selects()) {
        (Map::One, 0x8c, _) => (0x3f, 0x3f),
        (Map::One, 0x8e, _) => (0x3d, 0x3d),
        (Map::One, 0x8d, _) => MEMORY_ONLY,
        (Map::One, 0x8f, _) => (0x01, 0x01),
        (Map::One, 0xc6 | 0xc7, _) => (0x01, 0x81),
        (Map::One, 0xd9, _) => (0xfd, 0xff),
        (Map::One, 0xdb, _) => (0xaf, 0xff),
        (Map::One, 0xdd, _) => (0xdf, 0xff),
        (Map::One, 0xfe, _) => (0x03, 0x03),
        (Map::One, 0xff, _) => (0x7f, 0x57),
        (Map::Two, 0x00, 8) => (0x7f, 0x7f),
        (Map::Two, 0x00, _) => (0x3f, 0x3f),
        (Map::Two, 0x01, 4) => ALL,
        (Map::Two, 0x01, _) => (0xdf, 0xff),
        (Map::Two, 0x12 | 0x16, 2) => MEMORY_ONLY,
        (Map::Two, 0x20 | 0x22, _) if extended => (0x01, 0x01),
        (Map::Two, 0x20 | 0x22, _) => (0x1d, 0x1d),
        (Map::Two, 0x21 | 0x23, _) if extended => (0, 0),
        (Map::Two, 0x13 | 0x17 | 0x2b | 0xb2 | 0xb4 | 0xb5 | 0xc3 | 0xe7 | 0xf0, _) => MEMORY_ONLY,
        (Map::Two, 0x50 | 0xc5 | 0xd7 | 0xf7, _) | (Map::Two, 0x79, 2 | 8) | (Map::Two, 0xd6, 4 | 8) => REGISTER_ONLY,
        (Map::Two, 0x71 | 0x72, _) => (0, 0x54),
        (Map::Two, 0x73, 2) => (0, 0xcc),
        (Map::Two, 0x73, _) => (0, 0x44),
        (Map::Two, 0xae, 1) => (0xff, 0xe0),
        (Map::Two, 0xae, 2) => (0xc0, 0x40),
        // `ptwrite` takes no 66.
        (Map::Two, 0xae, 4) if it.prefixes.operand => (0x40, 0x6f),
        (Map::Two, 0xae, 4) => (0x50, 0x7f),
        (Map::Two, 0xae, _) => (0, 0x40),
        (Map::Two, 0xba, _) => (0xf0, 0xf0),
        (Map::Two, 0xc7, 1) => (0xfa, 0xc0),
        (Map::Two, 0xc7, 2 | 4) => (0x42, 0xc0),
        (Map::Two, 0xc7, _) => (0x02, 0),
        (Map::Three38, 0xd8, 4) => (0x0f, 0),
        (Map::Three38, 0xdd..=0xdf, 4) | (Map::Three38, 0xf0 | 0xf1, 1 | 2) | (Map::Three38, 0xf6, 1) => MEMORY_ONLY,
        (Map::Three38, 0x2a | 0x80..=0x82 | 0xf5 | 0xf8 | 0xf9 | 0xfc, _) => MEMORY_ONLY,
        (Map::Three38, 0xfa | 0xfb, _) => REGISTER_ONLY,
        (Map::Three3A, 0xf0, _) => (0, 0x01),
        _ => ALL,
    }
}

/// Bits for the values of ModRM's last field, where that names no register.
fn last_fields(it: &Instruction, modrm: u8) -> u8 {
    let reg = usize::from(it.reg());
    let of = |fields: &[u8; 8]| fields.get(reg).copied().unwrap_or(0);
    match (it.map, it.opcode) {
        (Map::One, 0xd8..=0xdf) => FLOATING.get(usize::from(it.opcode & 7)).map_or(0, of),
        // `xabort`, `xbegin`
        (Map::One, 0xc6 | 0xc7) if reg == 7 => 0x01,
        (Map::Two, 0x01) => {
            SYSTEM.iter().find(|(prefix, _)| *prefix == it.prefixes.selects()).map_or(0, |(_, fields)| of(fields))
        }
        // `hreset`
        (Map::Three3A, 0xf0) if modrm != 0xc0 => 0,
        _ => 0xff,
    }
}

/// SDM vol. 2, "LOCK".
fn may_be_locked(it: &Instruction) -> bool {
    let reg = it.reg();
    it.operand.is_some()
        && match (it.map, it.opcode) {
            (Map::One, 0x00..=0x31) => matches!(it.opcode & 7, 0 | 1),
            (Map::One, 0x80 | 0x81 | 0x83) => reg < 7,
            (Map::One, 0x86 | 0x87) => true,
            (Map::One, 0xf6 | 0xf7) => matches!(reg, 2 | 3),
            (Map::One, 0xfe | 0xff) => reg < 2,
            (Map::Two, 0xab | 0xb3 | 0xbb | 0xb0 | 0xb1 | 0xc0 | 0xc1) => true,
            (Map::Two, 0xba) => reg > 4,
            (Map::Two, 0xc7) => reg == 1,
            _ => false,
        }
}
