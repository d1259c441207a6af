//! The user's terminal: raw while the guest has it, and always put back.

use rustix::fs::{FileType, fstat};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{self, OptionalActions, Termios};
use std::io::IsTerminal;
use std::os::fd::BorrowedFd;

/// Which of the standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Standard input, output and error.
    pub tty: [bool; 3],
    /// What each is to the guest where it is no terminal, as the kernel's `stdio=` has it.
    kind: [char; 3],
}

impl Streams {
    /// The streams of this process.
    pub fn of_process() -> Self {
        let tty = [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
        Self { tty, kind: ['p', kind(stdout()), kind(stderr())] }
    }

    /// The kernel's `stdio=` option: `t` for a terminal, `p` for what takes all that is written (a
    /// pipe), `f` for a file, whose disk may be full, `d` for another device, which answers each
    /// write.
    pub fn option(&self) -> String {
        self.tty.iter().zip(self.kind).map(|(tty, kind)| if *tty { 't' } else { kind }).collect()
    }

    /// Whether keys go to the guest as they are typed.
    pub fn interactive(&self) -> bool {
        self.tty[0]
    }
}

fn kind(stream: BorrowedFd) -> char {
    let Ok(about) = fstat(stream) else { return 'p' };
    match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile | FileType::BlockDevice => 'f',
        FileType::CharacterDevice if about.st_rdev != rustix::fs::makedev(1, 3) => 'd',
        // /dev/null among them, which never fails.
        _ => 'p',
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
        // Not when all is shown: it may be that nobody looks.
        let _ = termios::tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Rows and columns of the terminal.
pub fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(stdout()).or_else(|_| termios::tcgetwinsize(stdin())).ok()?;
    Some((size.ws_row, size.ws_col))
}
