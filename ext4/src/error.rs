//! Why a call did not succeed.

use crate::device::DeviceError;
use alloc::string::String;
use syscall_shim::Errno;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An answer that the caller's request earns on a sound file system: `ENOENT`, `ENOSPC`,
    /// `EROFS` and the like.
    Refused(Errno),
    /// The device failed.
    Device,
    /// The file system contradicts itself: the structure or field that does.
    Corrupt(&'static str),
    /// A checksum that does not fit: the structure it belongs to.
    Checksum(&'static str),
    /// The file system cannot be mounted: what is unknown or unfit.
    Unsupported(String),
}

/// An [`Error`] or a value.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// What Linux's ext4 answers to a program.
    pub fn errno(&self) -> Errno {
        match self {
            Error::Refused(errno) => *errno,
            Error::Device => Errno::EIO,
            Error::Corrupt(_) => Errno::EUCLEAN,
            Error::Checksum(_) => Errno::EBADMSG,
            Error::Unsupported(_) => Errno::EINVAL,
        }
    }

    /// Whether the file system or its disk is at fault, not the request.
    pub(crate) fn is_internal(&self) -> bool {
        matches!(self, Error::Device | Error::Corrupt(_) | Error::Checksum(_))
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Refused(errno) => write!(f, "{errno:?}"),
            Error::Device => write!(f, "the disk failed"),
            Error::Corrupt(what) => write!(f, "bad {what}"),
            Error::Checksum(what) => write!(f, "wrong checksum of {what}"),
            Error::Unsupported(what) => write!(f, "{what}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<DeviceError> for Error {
    fn from(_: DeviceError) -> Error {
        Error::Device
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error::Refused(errno)
    }
}

impl From<Error> for Errno {
    fn from(error: Error) -> Errno {
        error.errno()
    }
}

/// `EUCLEAN`, naming what is wrong.
pub(crate) fn corrupt<T>(what: &'static str) -> Result<T> {
    Err(Error::Corrupt(what))
}
