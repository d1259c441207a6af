//! The opcode maps of 64-bit mode (SDM vol. 2, appendix A): a row for each high digit of an opcode,
//! a column for each low one.
//!
//! A letter says what follows the opcode:
//!
//! | letter | what follows |
//! |---|---|
//! | `.` | no instruction; or a prefix or an escape, which is dealt with before |
//! | `-` | nothing |
//! | `m` | ModRM |
//! | `b`, `B` | a byte; ModRM and a byte |
//! | `z`, `Z` | an immediate of 4 bytes, of 2 with the prefix 66; ModRM and that |
//! | `v` | an immediate of the operand's size: 4, 2 or 8 bytes |
//! | `w` | 2 bytes |
//! | `e` | 2 bytes and one, as of `enter` |
//! | `a` | an address of the address size |
//! | `j` | a displacement of 4 bytes |
//! | `t`, `T` | ModRM, and an immediate as of `B` or `Z` if that says `test` |
//!
//! And a digit, which prefixes the opcode is defined with: 1 none, 2 66, 4 F3, 8 F2.

/// A letter for each opcode.
pub(super) type Forms = [&'static [u8; 16]; 16];
/// A hexadecimal digit, or a full stop, for each opcode.
pub(super) type Prefixed = [&'static [u8; 16]; 16];

/// Opcodes of one byte.
pub(super) const ONE: Forms = [
    b"mmmmbz..mmmmbz..",
    b"mmmmbz..mmmmbz..",
    b"mmmmbz..mmmmbz..",
    b"mmmmbz..mmmmbz..",
    b"................",
    b"----------------",
    b"...m....zZbB----",
    b"bbbbbbbbbbbbbbbb",
    b"BZ.Bmmmmmmmmmmmm",
    b"----------.-----",
    b"aaaa----bz------",
    b"bbbbbbbbvvvvvvvv",
    b"BBw-..BZe-w--b.-",
    b"mmmm...-mmmmmmmm",
    b"bbbbbbbbjj.b----",
    b".-..--tT------mm",
];

/// Opcodes behind 0F.
pub(super) const TWO: Forms = [
    b"mmmm.-----.-.m..",
    b"mmmmmmmmmmmmmmmm",
    b"mmmm....mmmmmmmm",
    b"------.-........",
    b"mmmmmmmmmmmmmmmm",
    b"mmmmmmmmmmmmmmmm",
    b"mmmmmmmmmmmmmmmm",
    b"BBBBmmm-mmmmmmmm",
    b"jjjjjjjjjjjjjjjj",
    b"mmmmmmmmmmmmmmmm",
    b"---mBm..---mBmmm",
    b"mmmmmmmmmmBmmmmm",
    b"mmBmBBBm--------",
    b"mmmmmmmmmmmmmmmm",
    b"mmmmmmmmmmmmmmmm",
    b"mmmmmmmmmmmmmmmm",
];

/// Prefixes behind 0F.
pub(super) const TWO_PREFIXED: Prefixed = [
    b"ffff.fffff.f.f..",
    b"fff33373ffffffff",
    b"ffff....33ffff33",
    b"ffffff.1........",
    b"ffffffffffffffff",
    b"3f553333fff7ffff",
    b"3333333333332237",
    b"f33333311b..aa77",
    b"ffffffffffffffff",
    b"ffffffffffffffff",
    b"ffffff..ffffffff",
    b"ffffffff4fffffff",
    b"fff1333fffffffff",
    b"a33333e333333333",
    b"333333e333333333",
    b"833333333333333f",
];

/// Prefixes behind 0F 38. ModRM follows all of these.
pub(super) const THREE_38_PREFIXED: Prefixed = [
    b"333333333333....",
    b"2...22.2....333.",
    b"222222..2222....",
    b"222222.222222222",
    b"22..............",
    b"................",
    b"................",
    b"................",
    b"222.............",
    b"................",
    b"................",
    b"................",
    b"........111111.2",
    b"........4..26666",
    b"................",
    b"bb...27.e144f...",
];

/// Prefixes behind 0F 3A. ModRM and a byte follow all of these.
pub(super) const THREE_3A_PREFIXED: Prefixed = [
    b"........22222223",
    b"....2222........",
    b"222.............",
    b"................",
    b"222.2...........",
    b"................",
    b"2222............",
    b"................",
    b"................",
    b"................",
    b"................",
    b"................",
    b"............1.22",
    b"...............2",
    b"................",
    b"4...............",
];

/// What stands for `opcode` in a map.
pub(super) fn at(map: &[&'static [u8; 16]; 16], opcode: u8) -> u8 {
    let row = map.get(usize::from(opcode >> 4));
    row.and_then(|row| row.get(usize::from(opcode & 0xf))).copied().unwrap_or(b'.')
}
