//! What can go wrong before or beside the program's own run.

use std::io;
use std::path::PathBuf;

/// Why a machine could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be made or read.
    #[error(transparent)]
    Image(#[from] mkimage::Error),
    /// A file or process of the host.
    #[error("{what}: {source}")]
    Host {
        /// The file or command.
        what: String,
        /// What the host said.
        source: io::Error,
    },
    /// QEMU is not installed.
    #[error("qemu-system-x86_64 not found: apt-get install qemu-system-x86 (scripts/setup does it)")]
    NoQemu,
    /// QEMU did not start the machine.
    #[error("QEMU could not start the machine: {0}")]
    Qemu(String),
    /// The image does not fit into the memory asked for.
    #[error("{} needs {needs} MiB, has {has}: raise --memory", image.display())]
    Memory {
        /// The image.
        image: PathBuf,
        /// Least memory in MiB.
        needs: u64,
        /// What was asked for, in MiB.
        has: u64,
    },
    /// An application's manifest is wrong.
    #[error("{}: {reason}", path.display())]
    App {
        /// The app.toml.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is to be a disk.
    #[error("{what} {}: {why}", path.display())]
    Disk {
        /// `--disk` or `volume`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it cannot be one.
        why: String,
    },
    /// A port of the host cannot be had.
    #[error("port {port} of {address}: {why}: publish another (--publish PORT:GUESTPORT; port 0 is any free one)")]
    Port {
        /// The address.
        address: std::net::IpAddr,
        /// The port.
        port: u16,
        /// What the host said.
        why: io::Error,
    },
    /// An option with a value that means nothing.
    #[error("{0}")]
    Usage(String),
}

/// What errors of our own standard output are about.
pub const STDOUT: &str = "standard output";

impl Error {
    /// Whether whoever was to read standard output has gone.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Host { what, source } if what == STDOUT && source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Names what an I/O error was about.
pub trait On<T> {
    /// Adds the file or command.
    fn on(self, what: impl Into<String>) -> Result<T>;
}

impl<T> On<T> for io::Result<T> {
    fn on(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::Host { what: what.into(), source })
    }
}
