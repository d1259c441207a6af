//! What can go wrong while an image is made. Each message names the thing and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why an image could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the host could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The program is neither a path nor a name on the search path.
    #[error("{0}: no such program: give a path, a name on PATH, or an application in apps/")]
    NoProgram(String),
    /// The program is there but is no ELF file and has no `#!` line.
    #[error("{}: neither an ELF program nor a #! script", .0.display())]
    NotAProgram(PathBuf),
    /// An ELF file for another machine.
    #[error("{}: built for {found}, but Skiff runs x86-64 (64-bit, little endian): {remedy}", path.display(), remedy = "take the amd64 build of it")]
    WrongArchitecture {
        /// The ELF file.
        path: PathBuf,
        /// The machine it was built for.
        found: String,
    },
    /// An ELF file with a header that does not hold together.
    #[error("{}: malformed ELF file: {reason}", path.display())]
    BadElf {
        /// The ELF file.
        path: PathBuf,
        /// Which part is wrong.
        reason: String,
    },
    /// A `DT_NEEDED` library that the program's loader would not find.
    #[error("{name}: shared library not found, needed by {}: {remedy}", needed_by.display())]
    MissingLibrary {
        /// The `DT_NEEDED` string.
        name: String,
        /// The object that needs it.
        needed_by: PathBuf,
        /// What to do about it.
        remedy: String,
    },
    /// The `PT_INTERP` or `#!` interpreter is not in the root file system.
    #[error("{interpreter}: interpreter not found, needed by {}: {remedy}", needed_by.display())]
    MissingInterpreter {
        /// The interpreter's path or name.
        interpreter: String,
        /// The program that names it.
        needed_by: PathBuf,
        /// What to do about it.
        remedy: String,
    },
    /// `--package` names a package that dpkg does not know as installed.
    #[error("{0}: package not installed: apt-get install {0}")]
    NoPackage(String),
    /// Symbolic links that lead in a circle.
    #[error("{}: too many levels of symbolic links", .0.display())]
    LinkLoop(PathBuf),
    /// A file to add that is not there.
    #[error("{}: no such file, given by {option}", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
        /// The option that named it.
        option: &'static str,
    },
    /// The kernel is not there or not one.
    #[error("{}: {reason}", path.display())]
    Kernel {
        /// The kernel file.
        path: PathBuf,
        /// What is wrong with it and how to get a good one.
        reason: String,
    },
    /// An image that is cut off or is none.
    #[error("{}: {reason}", path.display())]
    BadImage {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A disk that cannot be made.
    #[error("{}: {why}", path.display())]
    Disk {
        /// Its file.
        path: PathBuf,
        /// What is in the way, and the remedy.
        why: String,
    },
    /// An option with a value that means nothing.
    #[error("{0}")]
    Usage(String),
    /// The traced run of `--learn` did not work.
    #[error("--learn: {0}")]
    Learn(String),
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds the path to an I/O error.
pub trait At<T> {
    /// Names the file that the operation was on.
    fn at(self, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { path: path.as_ref().into(), source })
    }
}

impl Error {
    /// A `BadElf` error.
    pub(crate) fn elf(path: &Path, reason: impl fmt::Display) -> Self {
        Error::BadElf { path: path.into(), reason: reason.to_string() }
    }
}
