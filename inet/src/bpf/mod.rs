//! Classic BPF (bpf(4) of the BSDs, Linux's Documentation/networking/filter.rst): the programs that
//! sockets filter packets by.
//!
//! [`Program::new`] refuses what Linux's checker refuses, so that [`Program::run`] ends after at
//! most as many steps as there are instructions: jumps lead forward, and the last instruction
//! returns.

mod check;
mod run;
pub mod seccomp;
#[cfg(test)]
mod tests;

pub use run::{Packet, View};

use alloc::vec::Vec;

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Words of the scratch memory (`BPF_MEMWORDS`).
const MEMORY: usize = 16;

/// An instruction, as `struct sock_filter` has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are left out where a comparison holds.
    pub jt: u8,
    /// How many are where it does not.
    pub jf: u8,
    /// An operand.
    pub k: u32,
}

impl Instruction {
    /// Bytes of one in memory.
    pub const SIZE: usize = 8;

    /// Reads one, in the host's order of bytes.
    pub fn read(bytes: &[u8; Self::SIZE]) -> Instruction {
        let [c0, c1, jt, jf, k @ ..] = *bytes;
        Instruction { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes(k) }
    }

    /// As it lies in memory.
    pub fn bytes(&self) -> [u8; Self::SIZE] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}

/// Classes of instructions. The one that is left, 7, moves between the registers.
mod class {
    pub const LD: u16 = 0;
    pub const LDX: u16 = 1;
    pub const ST: u16 = 2;
    pub const STX: u16 = 3;
    pub const ALU: u16 = 4;
    pub const JMP: u16 = 5;
    pub const RET: u16 = 6;
}

/// Where a load takes its value from.
mod mode {
    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
    pub const MSH: u16 = 0xa0;
}

/// How much a load takes.
mod size {
    pub const W: u16 = 0x00;
    pub const H: u16 = 0x08;
    pub const B: u16 = 0x10;
}

/// Operations of [`class::ALU`] and [`class::JMP`].
mod op {
    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const MOD: u16 = 0x90;
    pub const XOR: u16 = 0xa0;
    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;
}

/// The second operand is the index register, not `k`.
const X: u16 = 0x08;
/// What is returned is the accumulator.
const RET_A: u16 = 0x10;
/// Class 7: from the index register to the accumulator, not the other way.
const TXA: u16 = 0x80;

/// Offsets from here on mean what the kernel knows of a packet (`SKF_AD_OFF`).
const ANCILLARY: i32 = -0x1000;
/// Offsets from here on count from the network header (`SKF_NET_OFF`).
const NETWORK: i32 = -0x10_0000;
/// Offsets from here on count from the link's header (`SKF_LL_OFF`).
const LINK: i32 = -0x20_0000;

/// What may be asked behind [`ANCILLARY`] (`SKF_AD_*`).
mod ancillary {
    pub const PROTOCOL: u32 = 0;
    pub const PKTTYPE: u32 = 4;
    pub const IFINDEX: u32 = 8;
    pub const NLATTR: u32 = 12;
    pub const NLATTR_NEST: u32 = 16;
    pub const MARK: u32 = 20;
    pub const QUEUE: u32 = 24;
    pub const HATYPE: u32 = 28;
    pub const RXHASH: u32 = 32;
    pub const CPU: u32 = 36;
    pub const ALU_XOR_X: u32 = 40;
    pub const VLAN_TAG: u32 = 44;
    pub const VLAN_TAG_PRESENT: u32 = 48;
    pub const PAY_OFFSET: u32 = 52;
    pub const RANDOM: u32 = 56;
    pub const VLAN_TPID: u32 = 60;
}

/// A program that has been checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program(Vec<Instruction>);

/// The program is refused: it is too long or empty, has an instruction that there is not, jumps out
/// of itself, does not end with a return, divides by zero, or reads memory that it has not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// Why a program was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// There is no memory to keep it.
    NoMemory,
    /// It is refused.
    Invalid,
}

impl From<Invalid> for NotTaken {
    fn from(_: Invalid) -> Self {
        Self::Invalid
    }
}

impl Program {
    /// Checks a program that is laid out as `struct sock_filter`s.
    pub fn read(instructions: &[[u8; Instruction::SIZE]]) -> Result<Program, NotTaken> {
        let mut taken = Vec::new();
        taken.try_reserve_exact(instructions.len()).map_err(|_| NotTaken::NoMemory)?;
        taken.extend(instructions.iter().map(Instruction::read));
        Ok(Self::new(taken)?)
    }

    /// Checks a program.
    pub fn new(instructions: Vec<Instruction>) -> Result<Program, Invalid> {
        check::check(&instructions)?;
        Ok(Program(instructions))
    }

    /// Its instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// How many bytes of the packet are to be kept; 0 if it is to be dropped.
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        run::run(&self.0, packet)
    }
}
