//! What can keep a benchmark from a result.

use std::fmt;
use std::io;

/// A sentence for the user.
#[derive(Debug)]
pub struct Error(pub String);

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<mkimage::Error> for Error {
    fn from(e: mkimage::Error) -> Self {
        Self(e.to_string())
    }
}

impl From<skiff::error::Error> for Error {
    fn from(e: skiff::error::Error) -> Self {
        Self(e.to_string())
    }
}

/// Fails with a formatted sentence.
macro_rules! fail {
    ($($arg:tt)*) => { return Err($crate::error::Error(format!($($arg)*))) };
}
pub(crate) use fail;

/// Names what an I/O error was about.
pub trait On<T> {
    /// Adds the file or command.
    fn on(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> On<T> for io::Result<T> {
    fn on(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error(format!("{what}: {e}")))
    }
}
