//! How long instructions are, where they lead, and what memory they name: as much of the
//! instruction set of 64-bit mode as moving and looking for instructions takes.
//!
//! Formats: SDM vol. 2, chapter 2; AMD APM vol. 3, chapter 1 (XOP). There is nothing to be set up
//! and nothing is allocated. Of what is no instruction, most is known to be none
//! ([`Instruction::decode`] says what is not).

mod groups;
mod maps;
#[cfg(test)]
mod tests;

/// The longest instruction, in bytes.
pub(crate) const INSTRUCTION_MAX: usize = 15;

/// Which table an opcode is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Map {
    One,
    /// 0F
    Two,
    /// 0F 38
    Three38,
    /// 0F 3A
    Three3A,
    /// VEX, EVEX and XOP.
    Vector,
}

/// Where an instruction leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// On.
    Next,
    /// `ret`, `iretq` and their like.
    Return,
    /// `jmp` by a displacement.
    Jump,
    /// `jcc` with that condition.
    Branch(u8),
    /// `jmp` by a register or memory.
    IndirectJump,
    /// `call` by a displacement; system calls.
    Call,
    /// `call` by a register or memory.
    IndirectCall,
    /// `int3`.
    Breakpoint,
    /// `ud2`.
    Undefined,
    /// `hlt`.
    Halt,
    /// Elsewhere in another way: `loop`, `int`, transactions, virtual machines.
    Other,
}

/// What a memory operand begins from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Base {
    None,
    /// A general register by its number.
    Register(u8),
    /// The address of the next instruction.
    Rip,
}

/// The segment registers that have a base in 64-bit mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Segment {
    Flat,
    Fs,
    Gs,
}

/// A memory operand as ModRM and SIB give it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Operand {
    pub segment: Segment,
    pub base: Base,
    /// A general register by its number, and what it is multiplied by.
    pub index: Option<(u8, u8)>,
    pub displacement: i32,
    /// Offset of the displacement in the instruction.
    pub field: usize,
    /// Whether only the low 32 bits of the address count.
    pub short: bool,
}

/// An instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Instruction {
    len: usize,
    prefixes: Prefixes,
    map: Map,
    opcode: u8,
    modrm: Option<u8>,
    operand: Option<Operand>,
    /// The last bytes, where they are a displacement or an immediate of one byte or four.
    last: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Prefixes {
    /// 66
    operand: bool,
    /// 67
    address: bool,
    lock: bool,
    /// The last of F2 and F3.
    repeat: Option<u8>,
    segment: Segment,
    rex: u8,
}

impl Prefixes {
    fn wide(self) -> bool {
        self.rex & 8 != 0
    }

    /// Bytes of an immediate that the operand's size bounds.
    fn immediate(self) -> usize {
        if self.operand && !self.wide() { 2 } else { 4 }
    }

    /// The bit that stands in [`maps`] for the prefix that selects an instruction.
    fn selects(self) -> u8 {
        match self.repeat {
            Some(0xf2) => 8,
            Some(_) => 4,
            None if self.operand => 2,
            None => 1,
        }
    }
}

/// The bytes of an instruction as they are taken.
struct Bytes<'a> {
    code: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn peek(&self) -> Option<u8> {
        self.code.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// A signed number of `len` bytes; of more than four the lower half.
    fn number(&mut self, len: usize) -> Option<i32> {
        let bytes = self.code.get(self.at..self.at + len)?;
        self.at += len;
        match *bytes {
            [a] => Some((a as i8).into()),
            [a, b, c, d, ..] => Some(i32::from_le_bytes([a, b, c, d])),
            _ => Some(0),
        }
    }
}

impl Instruction {
    /// The first instruction of `code`, if that is whole and one. Which registers and vector
    /// lengths the instructions with VEX, EVEX and XOP prefixes are defined for is not looked at,
    /// and no features of a processor are.
    pub fn decode(code: &[u8]) -> Option<Self> {
        let mut bytes = Bytes { code: code.get(..INSTRUCTION_MAX).unwrap_or(code), at: 0 };
        let (prefixes, first) = prefixes(&mut bytes)?;
        let (map, opcode, form) = match first {
            0xc4 | 0xc5 | 0x62 => vector(first, prefixes, &mut bytes)?,
            // POP has no such register fields.
            0x8f if bytes.peek()? & 0x1f >= 8 => vector(first, prefixes, &mut bytes)?,
            0x0f => escaped(prefixes, &mut bytes)?,
            _ => (Map::One, first, maps::at(&maps::ONE, first)),
        };
        let mut it = Self { len: 0, prefixes, map, opcode, modrm: None, operand: None, last: 0 };
        let has_modrm = matches!(form, b'm' | b'B' | b'Z' | b't' | b'T');
        if has_modrm {
            let modrm = bytes.next()?;
            it.modrm = Some(modrm);
            // Moves to and from control and debug registers have no memory operand, whatever ModRM
            // says (SDM vol. 2, "MOV").
            if modrm >> 6 != 3 && !(map == Map::Two && matches!(opcode, 0x20..=0x23)) {
                it.operand = Some(operand(modrm, prefixes, &mut bytes)?);
            }
        }
        let tests = it.reg() < 2;
        let immediate = match form {
            b'-' | b'm' => 0,
            b'b' | b'B' => 1,
            b't' => usize::from(tests),
            b'T' if !tests => 0,
            b'z' | b'Z' | b'T' => prefixes.immediate(),
            b'v' if prefixes.wide() => 8,
            b'v' => prefixes.immediate(),
            b'w' => 2,
            b'e' => 3,
            b'a' if prefixes.address => 4,
            b'a' => 8,
            b'j' => 4,
            _ => return None,
        };
        if immediate > 0 {
            it.last = bytes.number(immediate)?;
        }
        it.len = bytes.at;
        groups::is_defined(&it).then_some(it)
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where it leads.
    pub fn flow(&self) -> Flow {
        match (self.map, self.opcode) {
            (Map::One, 0x70..=0x7f) | (Map::Two, 0x80..=0x8f) => Flow::Branch(self.opcode & 0xf),
            (Map::One, 0xe9 | 0xeb) => Flow::Jump,
            (Map::One, 0xe8) | (Map::Two, 0x05 | 0x34) => Flow::Call,
            (Map::One, 0xc2 | 0xc3 | 0xca | 0xcb | 0xcf) | (Map::Two, 0x07 | 0x35 | 0xaa) => Flow::Return,
            (Map::One, 0xcc) => Flow::Breakpoint,
            (Map::One, 0xf4) => Flow::Halt,
            (Map::One, 0xff) => match self.reg() {
                2 | 3 => Flow::IndirectCall,
                4 | 5 => Flow::IndirectJump,
                _ => Flow::Next,
            },
            (Map::One, 0xcd | 0xf1 | 0xe0..=0xe3) => Flow::Other,
            // `xbegin`
            (Map::One, 0xc7) if self.reg() == 7 => Flow::Other,
            (Map::Two, 0x0b) => Flow::Undefined,
            // `ud1`, `ud0`
            (Map::Two, 0xb9 | 0xff) => Flow::Other,
            // Without memory: `xgetbv`, `xtest`, `rdpkru`, `wrpkru`, `rdtscp`, and what is not for
            // programs, or leads elsewhere.
            (Map::Two, 0x01) => match self.modrm {
                Some(0xd0 | 0xd6 | 0xee | 0xef | 0xf9 | 0x00..=0xbf) => Flow::Next,
                _ => Flow::Other,
            },
            _ => Flow::Next,
        }
    }

    /// Where [`Flow::Jump`], [`Flow::Branch`] or `call` leads if it stands in front of `next`.
    /// `None` where processors do not agree: AMD's take a displacement of 16 bits if the prefix 66
    /// stands before it.
    pub fn target(&self, next: u64) -> Option<u64> {
        (!self.prefixes.operand || self.prefixes.wide()).then(|| next.wrapping_add_signed(self.last.into()))
    }

    /// Its operand in memory, if ModRM names one.
    pub fn operand(&self) -> &Option<Operand> {
        &self.operand
    }

    /// Whether it is what assemblers and linkers fill room with: `nop` of any length, `int3`.
    pub fn is_padding(&self) -> bool {
        match (self.map, self.opcode) {
            (Map::One, 0x90) => self.prefixes.repeat != Some(0xf3) && self.prefixes.rex & 1 == 0,
            (Map::One, 0xcc) => true,
            (Map::Two, 0x1f) => self.reg() == 0,
            _ => false,
        }
    }

    /// Whether it is `cmps` or `scas` with a prefix that repeats it.
    pub fn compares_repeatedly(&self) -> bool {
        self.map == Map::One && matches!(self.opcode, 0xa6 | 0xa7 | 0xae | 0xaf) && self.prefixes.repeat.is_some()
    }

    /// ModRM's middle field.
    fn reg(&self) -> u8 {
        self.modrm.unwrap_or(0) >> 3 & 7
    }
}

/// The prefixes, and the byte behind them.
fn prefixes(bytes: &mut Bytes<'_>) -> Option<(Prefixes, u8)> {
    let mut is = Prefixes { operand: false, address: false, lock: false, repeat: None, segment: Segment::Flat, rex: 0 };
    loop {
        let byte = bytes.next()?;
        // REX counts only in front of the opcode.
        let rex = core::mem::take(&mut is.rex);
        match byte {
            0x40..=0x4f => is.rex = byte,
            0x66 => is.operand = true,
            0x67 => is.address = true,
            0xf0 => is.lock = true,
            0xf2 | 0xf3 => is.repeat = Some(byte),
            0x64 => is.segment = Segment::Fs,
            0x65 => is.segment = Segment::Gs,
            // The other segments mean nothing, but to branches.
            0x26 | 0x2e | 0x36 | 0x3e => {}
            _ => {
                is.rex = rex;
                return Some((is, byte));
            }
        }
    }
}

/// Opcode behind 0F, its map, and its form.
fn escaped(prefixes: Prefixes, bytes: &mut Bytes<'_>) -> Option<(Map, u8, u8)> {
    let (map, opcode, forms) = match bytes.next()? {
        0x38 => (Map::Three38, bytes.next()?, &maps::THREE_38_PREFIXED),
        0x3a => (Map::Three3A, bytes.next()?, &maps::THREE_3A_PREFIXED),
        opcode => (Map::Two, opcode, &maps::TWO_PREFIXED),
    };
    let defined = char::from(maps::at(forms, opcode)).to_digit(16)? as u8;
    if defined & prefixes.selects() == 0 {
        return None;
    }
    let form = match map {
        Map::Three38 => b'm',
        Map::Three3A => b'B',
        _ => maps::at(&maps::TWO, opcode),
    };
    Some((map, opcode, form))
}

/// Opcode behind the rest of a VEX, EVEX or XOP prefix that begins with `first`, and its form.
fn vector(first: u8, prefixes: Prefixes, bytes: &mut Bytes<'_>) -> Option<(Map, u8, u8)> {
    if prefixes.operand || prefixes.lock || prefixes.repeat.is_some() || prefixes.rex != 0 {
        return None;
    }
    let second = bytes.next()?;
    let map = match first {
        0xc5 => 1,
        0x62 => second & 7,
        _ => second & 0x1f,
    };
    // The bytes that are left: of EVEX two more, of the others one, but none of VEX with two bytes.
    match first {
        0xc5 => {}
        // A bit that is always set, or it is a later extension.
        0x62 if second & 8 != 0 || bytes.next()? & 4 == 0 => return None,
        _ => _ = bytes.next()?,
    }
    let opcode = bytes.next()?;
    let form = match (first, map) {
        (0xc4 | 0xc5, 1) if opcode == 0x77 => b'-',
        (0xc4 | 0xc5 | 0x62, 1) => Some(maps::at(&maps::TWO, opcode)).filter(|form| matches!(form, b'm' | b'B'))?,
        (0xc4 | 0x62, 2) | (0x62, 5 | 6) | (0x8f, 9) => b'm',
        (0xc4 | 0x62, 3) | (0x8f, 8) => b'B',
        (0x8f, 10) => b'Z',
        _ => return None,
    };
    Some((Map::Vector, opcode, form))
}

/// The memory operand that ModRM begins.
fn operand(modrm: u8, prefixes: Prefixes, bytes: &mut Bytes<'_>) -> Option<Operand> {
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let (r_index, r_base) = ((prefixes.rex & 2) << 2, (prefixes.rex & 1) << 3);
    let (mut base, mut index) = (Base::Register(rm | r_base), None);
    let mut len = match mode {
        0 => 0,
        1 => 1,
        _ => 4,
    };
    let mut low = rm;
    if rm == 4 {
        let sib = bytes.next()?;
        low = sib & 7;
        base = Base::Register(low | r_base);
        let number = sib >> 3 & 7 | r_index;
        index = (number != 4).then_some((number, 1 << (sib >> 6)));
    }
    if mode == 0 && low == 5 {
        base = if rm == 4 { Base::None } else { Base::Rip };
        len = 4;
    }
    let field = bytes.at;
    let displacement = if len > 0 { bytes.number(len)? } else { 0 };
    Some(Operand { segment: prefixes.segment, base, index, displacement, field, short: prefixes.address })
}
