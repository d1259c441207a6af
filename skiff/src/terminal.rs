//! The user's terminal: raw while the guest has it, and always put back.

use rustix::stdio::{stdin, stdout};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::IsTerminal;

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Standard input, output and error.
    pub tty: [bool; 3],
}

impl Streams {
    /// The streams of this process.
    pub fn of_process() -> Self {
        Self { tty: [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()] }
    }

    /// The kernel's `stdio=` option: `t` for a terminal, `p` for a pipe.
    pub fn option(&self) -> String {
        self.tty.iter().map(|t| if *t { 't' } else { 'p' }).collect()
    }

    /// Whether keys go to the guest as they are typed.
    pub fn interactive(&self) -> bool {
        self.tty[0]
    }
}

/// Holds the terminal in raw mode; dropping it restores the mode from before.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Turns raw mode on: the guest's own line discipline echoes, edits and makes signals.
    pub fn on() -> Option<Self> {
        let before = termios::tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Rows and columns of the terminal.
pub fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(stdout()).or_else(|_| termios::tcgetwinsize(stdin())).ok()?;
    Some((size.ws_row, size.ws_col))
}
