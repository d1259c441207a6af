//! The line discipline: what typed bytes mean before a program reads them, and what written bytes
//! become on their way to the screen (termios(3); what that leaves open is as drivers/tty/n_tty.c
//! of Linux has it). Pure: no device, no lock, no task.

mod erase;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::general as g;
use syscall_shim::Signal;
use syscall_shim::types::Termios2;

/// Bytes that wait to be read, at most (`N_TTY_BUF_SIZE`).
const INPUT_SIZE: usize = 4096;
/// A control character that is switched off (`_POSIX_VDISABLE`).
const DISABLED: u8 = 0;
const TAB_WIDTH: usize = 8;

/// An unread byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unread {
    /// A byte within a line.
    Byte(u8),
    /// The last byte of a line.
    Last(u8),
    /// The end of a line that `VEOF` made: no byte.
    End,
}

/// What typed bytes cause beyond waiting to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To be shown.
    pub echo: Vec<u8>,
    /// For the foreground process group.
    pub signals: Vec<Signal>,
    /// Output was stopped (true) or started.
    pub flow: Option<bool>,
    /// A signal threw away what was unread.
    pub flushed: bool,
}

/// State of a terminal's line discipline.
pub struct Discipline {
    termios: Termios2,
    input: VecDeque<Unread>,
    /// How many of `input` are whole lines. In canonical mode only these can be read.
    whole: usize,
    /// The next byte is taken literally (`VLNEXT`).
    literal: bool,
    /// Output is stopped (`VSTOP`).
    stopped: bool,
    /// Where the cursor is in its line.
    column: usize,
    /// Where the line being typed starts: erasing stops there.
    line_column: usize,
    /// What is erased is being shown between `\\` and `/` (`ECHOPRT`).
    erasing: bool,
}

/// The settings of a new terminal (`tty_std_termios`), at 38400 baud.
pub fn standard_termios() -> Termios2 {
    let mut c_cc = [DISABLED; 19];
    let characters = [
        (g::VINTR, 0x03),
        (g::VQUIT, 0x1c),
        (g::VERASE, 0x7f),
        (g::VKILL, 0x15),
        (g::VEOF, 0x04),
        (g::VMIN, 1),
        (g::VSTART, 0x11),
        (g::VSTOP, 0x13),
        (g::VSUSP, 0x1a),
        (g::VREPRINT, 0x12),
        (g::VDISCARD, 0x0f),
        (g::VWERASE, 0x17),
        (g::VLNEXT, 0x16),
    ];
    for (index, byte) in characters {
        if let Some(slot) = c_cc.get_mut(index as usize) {
            *slot = byte;
        }
    }
    Termios2 {
        c_iflag: g::ICRNL | g::IXON,
        c_oflag: g::OPOST | g::ONLCR,
        c_cflag: g::B38400 | g::CS8 | g::CREAD | g::HUPCL,
        c_lflag: g::ISIG | g::ICANON | g::ECHO | g::ECHOE | g::ECHOK | g::ECHOCTL | g::ECHOKE | g::IEXTEN,
        c_cc,
        c_ispeed: 38400,
        c_ospeed: 38400,
        ..Termios2::default()
    }
}

impl Discipline {
    /// A new terminal's.
    pub fn new() -> Self {
        Self {
            termios: standard_termios(),
            input: VecDeque::new(),
            whole: 0,
            literal: false,
            stopped: false,
            column: 0,
            line_column: 0,
            erasing: false,
        }
    }

    /// The settings.
    pub fn termios(&self) -> &Termios2 {
        &self.termios
    }

    /// Changes the settings. What is unread when canonical mode begins counts as a line.
    pub fn set_termios(&mut self, termios: Termios2) {
        let was_canonical = self.canonical();
        self.termios = termios;
        if self.canonical() == was_canonical {
            return;
        }
        for unread in &mut self.input {
            match *unread {
                Unread::Last(byte) => *unread = Unread::Byte(byte),
                // It stands there as a character that is switched off.
                Unread::End => *unread = Unread::Byte(DISABLED),
                Unread::Byte(_) => {}
            }
        }
        if let (true, Some(last)) = (self.canonical(), self.input.back_mut())
            && let Unread::Byte(byte) = *last
        {
            *last = Unread::Last(byte);
        }
        self.whole = if self.canonical() { self.input.len() } else { 0 };
        self.literal = false;
    }

    fn local(&self, flag: u32) -> bool {
        self.termios.c_lflag & flag != 0
    }

    fn canonical(&self) -> bool {
        self.local(g::ICANON)
    }

    /// The control character `index` (`VMIN`, `VEOF` and so on).
    pub fn character(&self, index: u32) -> u8 {
        self.termios.c_cc.get(index as usize).copied().unwrap_or(DISABLED)
    }

    fn is(&self, byte: u8, index: u32) -> bool {
        byte != DISABLED && byte == self.character(index)
    }

    /// Whether output is stopped.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Stops or starts output (`TCXONC`); says whether that changes anything.
    pub fn set_stopped(&mut self, stopped: bool) -> bool {
        core::mem::replace(&mut self.stopped, stopped) != stopped
    }

    fn stop(&mut self, stopped: bool, effects: &mut Effects) {
        if self.set_stopped(stopped) {
            effects.flow = Some(stopped);
        }
    }

    /// How many bytes a read finds (`FIONREAD`).
    pub fn readable(&self) -> usize {
        let end = if self.canonical() { self.whole } else { self.input.len() };
        self.input.iter().take(end).filter(|u| **u != Unread::End).count()
    }

    /// Whether a read finds something: in canonical mode a line, else `min` bytes.
    pub fn ready(&self, min: usize) -> bool {
        if self.canonical() { self.whole > 0 } else { self.input.len() >= min.max(1) }
    }

    /// Reads up to `room` bytes of one line, or of what there is where lines do not count. Empty at
    /// a typed end of file.
    pub fn read(&mut self, room: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let canonical = self.canonical();
        while bytes.len() < room && (!canonical || self.whole > 0) {
            let Some(unread) = self.input.pop_front() else { break };
            self.whole = self.whole.saturating_sub(1);
            match unread {
                Unread::Byte(byte) => bytes.push(byte),
                Unread::Last(byte) => {
                    bytes.push(byte);
                    if canonical {
                        return bytes;
                    }
                }
                Unread::End => return bytes,
            }
        }
        // A line that just filled the buffer has been read whole.
        if canonical && self.whole > 0 && self.input.front() == Some(&Unread::End) {
            self.input.pop_front();
            self.whole -= 1;
        }
        bytes
    }

    /// Forgets what is unread (`TCIFLUSH`).
    pub fn flush_input(&mut self) {
        self.input.clear();
        self.whole = 0;
        self.literal = false;
    }

    /// Takes typed bytes, as far as there is room. A line that has no end yet may be typed on
    /// without any: its last byte is given up for each further one, so that it can be erased and
    /// ended.
    pub fn receive(&mut self, typed: &mut VecDeque<u8>) -> Effects {
        let mut effects = Effects::default();
        let column = self.column;
        while !typed.is_empty() {
            // One place is kept for the end of the line.
            if self.input.len() >= INPUT_SIZE - 1 {
                if !self.canonical() || self.whole > 0 {
                    break;
                }
                if self.input.len() >= INPUT_SIZE {
                    self.input.pop_back();
                }
            }
            if let Some(byte) = typed.pop_front() {
                self.receive_byte(byte, column, &mut effects);
            }
        }
        effects
    }

    /// `column` is where the cursor was before the bytes that came with this one.
    fn receive_byte(&mut self, byte: u8, column: usize, effects: &mut Effects) {
        let input_flags = self.termios.c_iflag;
        let mut byte = if input_flags & g::ISTRIP != 0 { byte & 0x7f } else { byte };
        if input_flags & g::IUCLC != 0 && self.local(g::IEXTEN) {
            byte = byte.to_ascii_lowercase();
        }
        if core::mem::take(&mut self.literal) {
            return self.store(byte, effects);
        }
        if input_flags & g::IXON != 0 {
            if self.is(byte, g::VSTOP) || self.is(byte, g::VSTART) {
                self.stop(!self.is(byte, g::VSTART), effects);
                return;
            }
            if self.stopped && input_flags & g::IXANY != 0 {
                self.stop(false, effects);
            }
        }
        if self.local(g::ISIG) {
            let signals = [(g::VINTR, Signal::SIGINT), (g::VQUIT, Signal::SIGQUIT), (g::VSUSP, Signal::SIGTSTP)];
            if let Some((_, signal)) = signals.into_iter().find(|(index, _)| self.is(byte, *index)) {
                if !self.local(g::NOFLSH) {
                    self.flush_input();
                    effects.flushed = true;
                    // What came just before is shown no more.
                    effects.echo.clear();
                    self.column = column;
                }
                self.stop(false, effects);
                if self.local(g::ECHO) {
                    self.echo(byte, effects);
                }
                effects.signals.push(signal);
                return;
            }
        }
        match byte {
            b'\r' if input_flags & g::IGNCR != 0 => return,
            b'\r' if input_flags & g::ICRNL != 0 => byte = b'\n',
            b'\n' if input_flags & g::INLCR != 0 => byte = b'\r',
            _ => {}
        }
        if self.canonical() && self.edit(byte, effects) {
            return;
        }
        self.store(byte, effects);
    }

    /// What a byte does in canonical mode besides standing for itself; false if nothing.
    fn edit(&mut self, byte: u8, effects: &mut Effects) -> bool {
        let extended = self.local(g::IEXTEN);
        if self.is(byte, g::VERASE) || self.is(byte, g::VKILL) || extended && self.is(byte, g::VWERASE) {
            self.erase(byte, effects);
        } else if extended && self.is(byte, g::VLNEXT) {
            self.literal = true;
            if self.local(g::ECHO) && self.local(g::ECHOCTL) {
                effects.echo.extend_from_slice(b"^\x08");
            }
        } else if extended && self.local(g::ECHO) && self.is(byte, g::VREPRINT) {
            self.echo(byte, effects);
            self.echo(b'\n', effects);
            self.line_column = self.column;
            for typed in self.typed() {
                self.echo(typed, effects);
            }
        } else if byte == b'\n' {
            if self.local(g::ECHO) || self.local(g::ECHONL) {
                self.echo(b'\n', effects);
            }
            self.end_line(Unread::Last(byte));
        } else if self.is(byte, g::VEOF) {
            self.end_line(Unread::End);
        } else if self.is(byte, g::VEOL) || extended && self.is(byte, g::VEOL2) {
            if self.local(g::ECHO) {
                self.echo(byte, effects);
            }
            self.end_line(Unread::Last(byte));
        } else {
            return false;
        }
        true
    }

    fn end_line(&mut self, last: Unread) {
        self.input.push_back(last);
        self.whole = self.input.len();
        self.line_column = self.column;
    }

    /// The line being typed.
    fn typed(&self) -> Vec<u8> {
        let typed = self.input.iter().skip(self.whole);
        typed.filter_map(|u| if let Unread::Byte(byte) = u { Some(*byte) } else { None }).collect()
    }

    fn store(&mut self, byte: u8, effects: &mut Effects) {
        if self.input.len() == self.whole {
            self.line_column = self.column;
        }
        if self.local(g::ECHO) {
            self.finish_erasing(effects);
            self.echo(byte, effects);
        }
        // Alone it would begin a mark.
        if byte == 0xff && self.termios.c_iflag & g::PARMRK != 0 {
            self.input.push_back(Unread::Byte(byte));
        }
        self.input.push_back(Unread::Byte(byte));
    }

    /// How a byte is echoed; control characters as `^X`.
    fn echo(&mut self, byte: u8, effects: &mut Effects) {
        if self.local(g::ECHOCTL) && byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t') {
            effects.echo.extend_from_slice(&[b'^', byte ^ 0x40]);
            self.column += 2;
        } else {
            self.output_byte(byte, &mut effects.echo);
        }
    }

    /// What written bytes become.
    pub fn output(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 8);
        for byte in bytes {
            self.output_byte(*byte, &mut out);
        }
        out
    }

    fn output_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let flags = self.termios.c_oflag;
        if flags & g::OPOST == 0 {
            return out.push(byte);
        }
        match byte {
            b'\n' => {
                if flags & g::ONLCR != 0 {
                    out.push(b'\r');
                }
                if flags & (g::ONLCR | g::ONLRET) != 0 {
                    self.column = 0;
                }
                out.push(b'\n');
            }
            b'\r' if flags & g::ONOCR != 0 && self.column == 0 => {}
            b'\r' if flags & g::OCRNL != 0 => {
                if flags & g::ONLRET != 0 {
                    self.column = 0;
                }
                out.push(b'\n');
            }
            b'\r' => {
                self.column = 0;
                out.push(b'\r');
            }
            b'\t' => {
                let width = TAB_WIDTH - self.column % TAB_WIDTH;
                self.column += width;
                if flags & g::TABDLY == g::XTABS { out.resize(out.len() + width, b' ') } else { out.push(b'\t') }
            }
            0x08 => {
                self.column = self.column.saturating_sub(1);
                out.push(byte);
            }
            _ => {
                let byte = if flags & g::OLCUC != 0 { byte.to_ascii_uppercase() } else { byte };
                if !byte.is_ascii_control() && !self.is_continuation(byte) {
                    self.column += 1;
                }
                out.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(discipline: &mut Discipline, bytes: &[u8]) -> Effects {
        discipline.receive(&mut bytes.iter().copied().collect())
    }

    fn typed(bytes: &[u8]) -> (Discipline, Effects) {
        let mut discipline = Discipline::new();
        let effects = discipline.receive(&mut bytes.iter().copied().collect());
        (discipline, effects)
    }

    #[test]
    fn a_line_is_read_when_it_is_whole() {
        let (mut d, effects) = typed(b"ab");
        assert!(!d.ready(1));
        assert_eq!(effects.echo, b"ab");
        assert_eq!(type_in(&mut d, b"c\rde").echo, b"c\r\nde");
        assert!(d.ready(1));
        assert_eq!(d.readable(), 4);
        assert_eq!(d.read(2), b"ab");
        assert_eq!(d.read(100), b"c\n");
        assert!(!d.ready(1));
    }

    #[test]
    fn erasing_edits_the_line() {
        let (mut d, effects) = typed(b"abx\x7fc\n");
        assert_eq!(effects.echo, b"abx\x08 \x08c\r\n");
        assert_eq!(d.read(100), b"abc\n");
        assert_eq!(type_in(&mut d, b"one two\x17\x15ok\n").echo.len(), 7 + 3 * 3 + 4 * 3 + 4);
        assert_eq!(d.read(100), b"ok\n");
        assert_eq!(type_in(&mut d, b"\x7f").echo, b"", "nothing to erase");
        assert_eq!(type_in(&mut d, b"\x01\x7f").echo, b"^A\x08 \x08\x08 \x08");
    }

    #[test]
    fn end_of_file_is_a_line_without_bytes() {
        let (mut d, effects) = typed(b"\x04");
        assert_eq!(effects.echo, b"");
        assert!(d.ready(1));
        assert_eq!(d.read(10), b"");
        type_in(&mut d, b"abc\x04");
        assert_eq!(d.read(3), b"abc");
        assert!(!d.ready(1), "a full buffer does not turn it into an end of file");
        type_in(&mut d, b"\x16\x04\n");
        assert_eq!(d.read(10), b"\x04\n", "typed literally");
    }

    #[test]
    fn signals_throw_away_what_was_typed() {
        let (mut d, effects) = typed(b"abc\x03");
        assert_eq!(effects.signals, [Signal::SIGINT]);
        assert_eq!(effects.echo, b"^C", "an echo that was not shown yet goes too");
        type_in(&mut d, b"x\n");
        assert_eq!(d.read(10), b"x\n");
        assert_eq!(type_in(&mut d, b"\x1c\x1a").signals, [Signal::SIGQUIT, Signal::SIGTSTP]);
    }

    #[test]
    fn raw_mode_passes_bytes_through() {
        let (mut d, _) = typed(b"ab");
        let mut raw = *d.termios();
        raw.c_lflag = 0;
        raw.c_iflag = 0;
        raw.c_oflag = 0;
        d.set_termios(raw);
        assert!(d.ready(2) && !d.ready(3));
        assert_eq!(type_in(&mut d, b"\x03\r\x04"), Effects::default());
        assert_eq!(d.read(100), b"ab\x03\r\x04");
        assert_eq!(d.output(b"a\nb"), b"a\nb");
        type_in(&mut d, b"xy");
        d.set_termios(standard_termios());
        assert!(d.ready(1), "unread bytes are a line now");
        assert_eq!(d.read(100), b"xy");
    }

    #[test]
    fn output_is_stopped_and_started() {
        let (mut d, effects) = typed(b"\x13");
        assert!(effects.flow == Some(true) && d.stopped());
        type_in(&mut d, b"\x11");
        assert!(!d.stopped());
        assert_eq!(d.output(b"a\n\tb"), b"a\r\n\tb");
    }
}
