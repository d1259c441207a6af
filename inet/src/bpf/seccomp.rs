//! Programs that filter system calls (seccomp(2)): what they may do is less than what filters of
//! packets may.
//!
//! They read `struct seccomp_data`, whose words they see as they lie in memory. [`Program::run`]
//! reads words as a packet has them, the high byte first: so the data is laid out that way for it.

use super::{Instruction, Invalid, Packet, Program, RET_A, View, X, class, mode, op, size};

/// Bytes of `struct seccomp_data`.
const DATA: u32 = 64;

/// A system call, as a filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the caller goes on.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Call {
    /// The words of `struct seccomp_data`, each with its high byte first.
    fn bytes(&self) -> [u8; DATA as usize] {
        let mut bytes = [0; DATA as usize];
        let halves = |word: u64| [word as u32, (word >> 32) as u32];
        let words = [self.nr, self.arch]
            .into_iter()
            .chain(halves(self.instruction_pointer))
            .chain(self.args.into_iter().flat_map(halves));
        for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *to = word.to_be_bytes();
        }
        bytes
    }
}

impl Program {
    /// Refuses what may not be in a filter of system calls (`seccomp_check_filter`): it reads whole
    /// words inside the data alone, and does not divide for a rest.
    pub fn check_for_calls(&self) -> Result<(), Invalid> {
        if self.instructions().iter().all(may_be_in_filter) { Ok(()) } else { Err(Invalid) }
    }

    /// How many instructions Linux makes of the program, which it counts where filters follow each
    /// other.
    pub fn weight_in_chain(&self) -> usize {
        /// What comes before the program's own.
        const PROLOGUE: usize = 3;
        let weight = |instruction: &Instruction| match instruction.code & 7 {
            class::RET if instruction.code & RET_A == 0 => 2,
            class::JMP if instruction.jt != 0 && instruction.jf != 0 => 2,
            _ => 1,
        };
        PROLOGUE + self.instructions().iter().map(weight).sum::<usize>()
    }

    /// Whether the program lets every call `nr` through, whatever its arguments, as far as that can
    /// be told without them (`seccomp_is_const_allow`). It is followed as long as it looks at the
    /// number and at `arch` alone.
    pub fn allows_always(&self, nr: u32, arch: u32) -> bool {
        const ALLOW: u32 = 0x7fff_0000;
        const NR: u32 = 0;
        const ARCH: u32 = 4;
        const LOAD: u16 = class::LD | mode::ABS | size::W;
        const JUMP: u16 = class::JMP | op::JA;
        const AND: u16 = class::ALU | op::AND;
        let program = self.instructions();
        let mut seen = 0;
        let mut at = 0;
        while let Some(&Instruction { code, jt, jf, k }) = program.get(at) {
            at += 1;
            match code {
                LOAD if k == NR => seen = nr,
                LOAD if k == ARCH => seen = arch,
                AND => seen &= k,
                class::RET => return k & !0xffff == ALLOW,
                JUMP => at = at.saturating_add(k as usize),
                _ if code & 7 == class::JMP && code & X == 0 => {
                    let holds = match code & 0xf0 {
                        op::JEQ => seen == k,
                        op::JGT => seen > k,
                        op::JGE => seen >= k,
                        op::JSET => seen & k != 0,
                        _ => return false,
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                _ => return false,
            }
        }
        false
    }

    /// What the program says of a call.
    pub fn judge(&self, call: &Call) -> u32 {
        let bytes = call.bytes();
        self.run(&Packet { view: View { head: &bytes, ..View::default() }, ..Packet::default() })
    }
}

fn may_be_in_filter(instruction: &Instruction) -> bool {
    let (code, k) = (instruction.code, instruction.k);
    match code & 7 {
        class::LD if code & 0xe0 == mode::ABS => code & 0x18 == size::W && k < DATA && k.is_multiple_of(4),
        class::LD => matches!(code & 0xe0, mode::LEN | mode::IMM | mode::MEM),
        class::LDX => matches!(code & 0xe0, mode::LEN | mode::IMM | mode::MEM),
        class::ALU => code & !7 & !X != op::MOD,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const CALL: Call =
        Call { nr: 59, arch: 0xc000_003e, instruction_pointer: 0x1_0000_2345, args: [1, 2 << 32 | 7, 3, 4, 5, 6] };

    fn word_at(k: u32) -> u32 {
        let load = Instruction { code: class::LD | mode::ABS | size::W, jt: 0, jf: 0, k };
        let ret = Instruction { code: class::RET | RET_A, jt: 0, jf: 0, k: 0 };
        let program = Program::new(vec![load, ret]).expect("a program");
        assert_eq!(program.check_for_calls(), Ok(()));
        program.judge(&CALL)
    }

    #[test]
    fn words_are_where_the_structure_has_them() {
        let words = [(0, 59), (4, 0xc000_003e), (8, 0x2345), (12, 1), (16, 1), (20, 0), (24, 7), (28, 2), (56, 6), (60, 0)];
        for (at, word) in words {
            assert_eq!(word_at(at), word, "at {at}");
        }
    }

    #[test]
    fn calls_that_always_pass_are_known_without_their_arguments() {
        let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
        let load = |k| step(class::LD | mode::ABS | size::W, 0, 0, k);
        let allow = step(class::RET, 0, 0, 0x7fff_0000);
        let program = Program::new(vec![
            load(4),
            step(class::JMP | op::JEQ, 1, 0, CALL.arch),
            step(class::RET, 0, 0, 0),
            load(0),
            step(class::JMP | op::JGE, 2, 0, 100),
            step(class::JMP | op::JEQ, 2, 0, 7),
            allow,
            step(class::RET, 0, 0, 0x5_0001),
            load(16),
            allow,
        ])
        .expect("a program");
        assert!(program.allows_always(1, CALL.arch), "allowed by its number");
        assert!(!program.allows_always(100, CALL.arch), "refused by its number");
        assert!(!program.allows_always(7, CALL.arch), "its arguments are looked at");
        assert!(!program.allows_always(1, 3), "another architecture");
    }

    #[test]
    fn loads_outside_and_of_parts_are_refused() {
        let ret = Instruction { code: class::RET, jt: 0, jf: 0, k: 0 };
        let refused = [
            (class::LD | mode::ABS | size::W, 64),
            (class::LD | mode::ABS | size::W, 2),
            (class::LD | mode::ABS | size::H, 0),
            (class::LD | mode::ABS | size::B, 0),
            (class::LD | mode::IND | size::W, 0),
            (class::LDX | mode::MSH | size::B, 0),
            (class::ALU | op::MOD, 3),
        ];
        for (code, k) in refused {
            let program = Program::new(vec![Instruction { code, jt: 0, jf: 0, k }, ret]).expect("a program");
            assert_eq!(program.check_for_calls(), Err(Invalid), "{code:#x} {k}");
        }
    }
}
