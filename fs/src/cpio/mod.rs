//! The initrd: a cpio archive in "newc" format (Linux
//! Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! A member's name may be followed by any number of NULs (mkimage pads it so that the data falls on
//! a page boundary). Archives may follow one another, with zeros between.

pub mod manifest;
pub mod seal;
#[cfg(test)]
mod tests;
pub mod unpack;

use alloc::string::String;
use core::fmt;
use syscall_shim::Errno;

pub use manifest::Manifest;
pub use unpack::{Unpacked, unpack};

/// Length of a header: magic and thirteen fields of eight hex digits.
const HEADER: usize = 110;
const MAGIC: [&[u8]; 2] = [b"070701", b"070702"];
const TRAILER: &[u8] = b"TRAILER!!!";
/// In a second.
const NANOSECONDS: u32 = 1_000_000_000;

/// What is wrong with an archive. `Display` is the message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpioError {
    /// "initrd is not a cpio archive (bad magic at offset N)"
    BadMagic {
        /// Offset of the header.
        offset: usize,
    },
    /// "initrd: header field NAME at offset N is not a hexadecimal number"
    BadField {
        /// Field name as the format calls it.
        field: &'static str,
        /// Offset of the header.
        offset: usize,
    },
    /// "initrd is truncated in a header at offset N"
    TruncatedHeader {
        /// Offset of the header.
        offset: usize,
    },
    /// "initrd is truncated in the name of the member at offset N"
    TruncatedName {
        /// Offset of the header.
        offset: usize,
    },
    /// "initrd is truncated: NAME needs N more bytes"
    TruncatedData {
        /// Name of the member.
        name: String,
        /// Bytes that are missing.
        missing: usize,
    },
    /// "initrd ends without a trailer at offset N"
    NoTrailer {
        /// Where the trailer was expected.
        offset: usize,
    },
    /// "initrd: bad member name NAME at offset N"
    BadName {
        /// The name.
        name: String,
        /// Offset of the header.
        offset: usize,
    },
    /// "initrd: cannot unpack NAME: ERRNO"
    Unpack {
        /// Name of the member.
        name: String,
        /// Why.
        errno: Errno,
    },
    /// "the archive of the image is damaged: …"
    Damaged,
    /// "initrd: .skiff/manifest: LINE is not of the form key=value" or an unknown key.
    BadManifest {
        /// The entry.
        entry: String,
    },
}

impl fmt::Display for CpioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpioError::BadMagic { offset } => write!(f, "initrd is not a cpio archive (bad magic at offset {offset})"),
            CpioError::BadField { field, offset } => {
                write!(f, "initrd: header field {field} at offset {offset} is not a hexadecimal number")
            }
            CpioError::TruncatedHeader { offset } => write!(f, "initrd is truncated in a header at offset {offset}"),
            CpioError::TruncatedName { offset } => {
                write!(f, "initrd is truncated in the name of the member at offset {offset}")
            }
            CpioError::TruncatedData { name, missing } => {
                write!(f, "initrd is truncated: {name} needs {missing} more bytes")
            }
            CpioError::NoTrailer { offset } => write!(f, "initrd ends without a trailer at offset {offset}"),
            CpioError::BadName { name, offset } => write!(f, "initrd: bad member name {name:?} at offset {offset}"),
            CpioError::Unpack { name, errno: Errno::ENOMEM } => {
                write!(f, "initrd: cannot unpack {name}: out of memory, give the machine more")
            }
            CpioError::Unpack { name, errno } => write!(f, "initrd: cannot unpack {name}: {errno:?}"),
            CpioError::Damaged => write!(
                f,
                "the files of the image are damaged (their checksum is wrong): build it again with mkimage, or copy it again"
            ),
            CpioError::BadManifest { entry } => write!(f, "initrd: .skiff/manifest: {entry:?} is not understood"),
        }
    }
}

/// One member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name without leading `./` and `/`; empty for the root directory.
    pub name: &'a [u8],
    /// Which of several archives in a row it is in, from 0.
    pub archive: u32,
    /// Inode number within the archive; with `dev`, what ties hard links together.
    pub ino: u32,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u32,
    /// Seconds since the epoch.
    pub mtime: u32,
    /// Nanoseconds of that time: mkimage puts them where the format has a checksum that nobody
    /// computes.
    pub nanoseconds: u32,
    /// Device that held the file when it was archived.
    pub dev: (u32, u32),
    /// Major and minor of a device node.
    pub rdev: (u32, u32),
    /// Content, or the target of a symbolic link.
    pub data: &'a [u8],
    /// Where `data` begins in the archive.
    pub data_offset: usize,
    /// Where the header begins.
    pub offset: usize,
}

/// Reads the members of an archive one by one; stops after the first error.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    archive: u32,
    done: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, archive: 0, done: false }
    }

    /// The next header that is not a trailer; `None` at the end.
    fn read(&mut self) -> Result<Option<Member<'a>>, CpioError> {
        loop {
            let member = self.member()?;
            if member.name != TRAILER {
                return Ok(Some(member));
            }
            // Another archive may follow, behind padding.
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            match rest.iter().position(|b| *b != 0) {
                Some(zeros) => {
                    self.at += zeros;
                    self.archive += 1;
                }
                None => return Ok(None),
            }
        }
    }

    fn member(&mut self) -> Result<Member<'a>, CpioError> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).unwrap_or_default();
        if rest.is_empty() && offset > 0 {
            return Err(CpioError::NoTrailer { offset });
        }
        let magic = rest.get(..6).unwrap_or(rest);
        if !MAGIC.iter().any(|m| m.starts_with(magic)) || magic.is_empty() {
            return Err(CpioError::BadMagic { offset });
        }
        let header = rest.get(6..HEADER).ok_or(CpioError::TruncatedHeader { offset })?;
        let mut fields = header.chunks_exact(8);
        let mut field = |name| fields.next().and_then(hex).ok_or(CpioError::BadField { field: name, offset });
        let (ino, mode, uid, gid) = (field("c_ino")?, field("c_mode")?, field("c_uid")?, field("c_gid")?);
        let (nlink, mtime, size) = (field("c_nlink")?, field("c_mtime")?, field("c_filesize")? as usize);
        let dev = (field("c_devmajor")?, field("c_devminor")?);
        let rdev = (field("c_rdevmajor")?, field("c_rdevminor")?);
        let name_size = field("c_namesize")? as usize;
        let nanoseconds = Some(field("c_check")?).filter(|n| magic == MAGIC[0] && *n < NANOSECONDS).unwrap_or(0);
        let name_end = (HEADER + name_size).next_multiple_of(4);
        let padded = rest.get(HEADER..HEADER + name_size).ok_or(CpioError::TruncatedName { offset })?;
        let raw = padded.iter().position(|b| *b == 0).and_then(|nul| padded.get(..nul));
        let name = strip_root(raw.ok_or_else(|| CpioError::BadName { name: lossy(padded), offset })?);
        // Only a trailer may end the archive without the padding behind its name.
        let behind = rest.get(name_end..).unwrap_or_default();
        let data = behind
            .get(..size)
            .ok_or_else(|| CpioError::TruncatedData { name: lossy(name), missing: size - behind.len() })?;
        let data_offset = offset + name_end;
        self.at = (data_offset + size).next_multiple_of(4).min(self.bytes.len());
        let archive = self.archive;
        Ok(Member { name, archive, ino, mode, uid, gid, nlink, mtime, nanoseconds, dev, rdev, data, data_offset, offset })
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Member<'a>, CpioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Eight hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, d| Some(n << 4 | char::from(*d).to_digit(16)?))
}

/// The name relative to the root: `./a`, `/a` and `a` are one file.
fn strip_root(mut name: &[u8]) -> &[u8] {
    loop {
        name = match name {
            [b'/', rest @ ..] | [b'.', b'/', rest @ ..] => rest,
            b"." => b"",
            _ => return name,
        };
        if name.is_empty() {
            return name;
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
