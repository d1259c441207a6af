//! The settings of a terminal in the shapes that programs pass them in (ioctl_tty(2)): `termios`,
//! `termios2` and the older `termio`.

use linux_raw_sys::general as g;
use syscall_shim::types::{Termio, Termios, Termios2};

/// Rates by the number that `CBAUD` has for them (`baud_table`): those below `CBAUDEX`, and those
/// with it.
const RATES: [u32; 16] = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
const EXTENDED_RATES: [u32; 15] = [
    57600, 115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000, 2_000_000, 2_500_000,
    3_000_000, 3_500_000, 4_000_000,
];
/// Where the input's rate stands in `c_cflag`, if it has one of its own.
const IBSHIFT: u32 = 16;

/// The rate that a `CBAUD` code means; `other` for `BOTHER`.
fn rate(code: u32, other: u32) -> u32 {
    let code = code & g::CBAUD;
    let table: &[u32] = if code & g::CBAUDEX == 0 { &RATES } else { &EXTENDED_RATES };
    match code {
        g::BOTHER => other,
        _ if code & g::CBAUDEX == 0 => table.get(code as usize).copied().unwrap_or(0),
        _ => table.get(((code & !g::CBAUDEX) as usize).wrapping_sub(1)).copied().unwrap_or(0),
    }
}

/// Settings whose rates are those of their codes.
pub(super) fn with_rates(termios: Termios2) -> Termios2 {
    let output = rate(termios.c_cflag, termios.c_ospeed);
    let input = match termios.c_cflag >> IBSHIFT & g::CBAUD {
        g::B0 => output,
        code => rate(code, termios.c_ispeed),
    };
    Termios2 { c_ispeed: input, c_ospeed: output, ..termios }
}

/// `TCSETS`: all but the rates.
pub(super) fn merge_termios(old: Termios2, new: Termios) -> Termios2 {
    Termios2 {
        c_iflag: new.c_iflag,
        c_oflag: new.c_oflag,
        c_cflag: new.c_cflag,
        c_lflag: new.c_lflag,
        c_line: new.c_line,
        c_cc: new.c_cc,
        ..old
    }
}

/// `TCSETA`: the lower halves of the flags, and the first characters.
pub(super) fn merge_termio(old: Termios2, new: Termio) -> Termios2 {
    let low = |old: u32, new: u16| old & 0xffff_0000 | u32::from(new);
    let mut c_cc = old.c_cc;
    for (slot, character) in c_cc.iter_mut().zip(new.c_cc) {
        *slot = character;
    }
    Termios2 {
        c_iflag: low(old.c_iflag, new.c_iflag),
        c_oflag: low(old.c_oflag, new.c_oflag),
        c_cflag: low(old.c_cflag, new.c_cflag),
        c_lflag: low(old.c_lflag, new.c_lflag),
        c_line: new.c_line,
        c_cc,
        ..old
    }
}

/// `TCGETA`
pub(super) fn termio(termios: &Termios2) -> Termio {
    let mut c_cc = [0; 8];
    for (slot, character) in c_cc.iter_mut().zip(termios.c_cc) {
        *slot = character;
    }
    Termio {
        c_iflag: termios.c_iflag as u16,
        c_oflag: termios.c_oflag as u16,
        c_cflag: termios.c_cflag as u16,
        c_lflag: termios.c_lflag as u16,
        c_line: termios.c_line,
        c_cc,
        ..Termio::default()
    }
}
