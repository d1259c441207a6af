//! Erasing typed characters, and how that is shown (`eraser` of drivers/tty/n_tty.c).

use linux_raw_sys::general as g;

use super::{Discipline, Effects, TAB_WIDTH, Unread};

impl Discipline {
    /// Columns that a byte took when it was echoed in column `at`.
    fn width(&self, byte: u8, at: usize) -> usize {
        match byte {
            b'\t' => TAB_WIDTH - at % TAB_WIDTH,
            _ if byte.is_ascii_control() => {
                if self.local(g::ECHOCTL) {
                    2
                } else {
                    0
                }
            }
            _ if self.is_continuation(byte) => 0,
            _ => 1,
        }
    }

    pub(super) fn is_continuation(&self, byte: u8) -> bool {
        self.termios.c_iflag & g::IUTF8 != 0 && byte & 0xc0 == 0x80
    }

    /// Erases a character, a word or the line, by the control character that was typed.
    pub(super) fn erase(&mut self, byte: u8, effects: &mut Effects) {
        let whole_line = self.is(byte, g::VKILL);
        let word = !whole_line && self.is(byte, g::VWERASE) && self.local(g::IEXTEN);
        let echo = self.local(g::ECHO);
        if self.input.len() == self.whole {
            return;
        }
        if whole_line && !(echo && self.local(g::ECHOK) && self.local(g::ECHOKE) && self.local(g::ECHOE)) {
            self.input.truncate(self.whole);
            if echo {
                self.finish_erasing(effects);
                self.echo(byte, effects);
                if self.local(g::ECHOK) {
                    self.echo(b'\n', effects);
                }
            }
            return;
        }
        let mut in_word = false;
        while let Some((first, length)) = self.last_typed() {
            if word {
                let of_word = is_alphanumeric(first) || first == b'_';
                if in_word && !of_word {
                    break;
                }
                in_word |= of_word;
            }
            if echo {
                self.show_erased(byte, first, length, effects);
            }
            self.input.truncate(self.input.len() - length);
            if !whole_line && !word {
                break;
            }
        }
        if self.input.len() == self.whole && echo {
            self.finish_erasing(effects);
        }
    }

    /// The first byte of the character that was typed last, and how many bytes it has. A part of
    /// one does not count.
    fn last_typed(&self) -> Option<(u8, usize)> {
        let typed = self.input.iter().skip(self.whole).rev();
        let bytes = typed.map_while(|unread| if let Unread::Byte(byte) = unread { Some(*byte) } else { None });
        bytes.zip(1..).find(|(byte, _)| !self.is_continuation(*byte))
    }

    /// Shows where what is erased ends (`ECHOPRT`).
    pub(super) fn finish_erasing(&mut self, effects: &mut Effects) {
        if core::mem::take(&mut self.erasing) {
            self.output_byte(b'/', &mut effects.echo);
        }
    }

    /// Shows that the character typed last, whose bytes are still there, is erased.
    fn show_erased(&mut self, key: u8, first: u8, length: usize, effects: &mut Effects) {
        let typed = self.typed();
        let (kept, erased) = typed.split_at(typed.len().saturating_sub(length));
        if self.local(g::ECHOPRT) {
            if !core::mem::replace(&mut self.erasing, true) {
                self.output_byte(b'\\', &mut effects.echo);
            }
            return erased.iter().for_each(|byte| self.echo(*byte, effects));
        }
        if !self.local(g::ECHOE) && self.is(key, g::VERASE) {
            return self.echo(key, effects);
        }
        let before = kept.iter().fold(self.line_column, |at, byte| at + self.width(*byte, at));
        let width = self.width(first, before);
        for _ in 0..width {
            effects.echo.extend_from_slice(if first == b'\t' { b"\x08" } else { b"\x08 \x08" });
        }
        self.column = self.column.saturating_sub(width);
    }
}

/// Whether a byte is a letter or a digit of ISO 8859-1, which a word is told by.
fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0xc0 && !matches!(byte, 0xd7 | 0xf7)
}
