//! The archive that a kernel unpacks as its root: cpio "newc" (cpio(5)), with the data of larger files on page boundaries.
//!
//! A member is a 110-byte header of hexadecimal fields, the name with a closing NUL, padding to 4 bytes, the data, padding
//! to 4 bytes. A name may be followed by further NUL bytes that count into `namesize`: this is how data is moved to a
//! page boundary, which lets the kernel use it in place as page-cache pages. Every newc reader takes such names.

use crate::error::{Error, Result};
use std::io::{self, Read, Write};

/// Size of a page: data of files at least this long starts on one.
pub const PAGE: u64 = 4096;

const HEADER: u64 = 110;
const TRAILER: &str = "TRAILER!!!";

/// The fields of a member that are not its name or data. `stat(2)` has their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Inode number; members with the same one and `nlink` > 1 are hard links to one file.
    pub ino: u32,
    /// File type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// Modification time in seconds since 1970.
    pub mtime: u32,
    /// Device number of a device node: major, minor.
    pub rdev: (u32, u32),
}

/// Writes an archive front to back.
pub struct Writer<W> {
    out: W,
    offset: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an archive; `out` must stand on a page boundary of what will be loaded.
    pub fn new(out: W) -> Self {
        Self { out, offset: 0 }
    }

    /// Writes one member whose `size` bytes of data come from `data`.
    pub fn member(
        &mut self,
        name: &[u8],
        header: Header,
        size: u64,
        data: &mut dyn Read,
    ) -> io::Result<()> {
        let size32 = u32::try_from(size).map_err(|_| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "4 GiB is the most that cpio holds of one file",
            )
        })?;
        let mut name_size = name.len() as u64 + 1;
        if size >= PAGE {
            let data_at = (self.offset + HEADER + name_size).next_multiple_of(PAGE);
            name_size = data_at - self.offset - HEADER;
        }
        let h = header;
        write!(
            self.out,
            "070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
            h.ino,
            h.mode,
            h.uid,
            h.gid,
            h.nlink,
            h.mtime,
            size32,
            0,
            0,
            h.rdev.0,
            h.rdev.1,
            name_size,
            0
        )?;
        self.out.write_all(name)?;
        self.offset += HEADER + name.len() as u64;
        self.zeros(name_size - name.len() as u64)?;
        self.pad(4)?;
        let copied = io::copy(&mut data.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "file became shorter while it was read",
            ));
        }
        self.offset += size;
        self.pad(4)
    }

    /// Writes the trailer and returns the sink and the archive's length in bytes.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.member(
            TRAILER.as_bytes(),
            Header {
                nlink: 1,
                ..Header::default()
            },
            0,
            &mut io::empty(),
        )?;
        Ok((self.out, self.offset))
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        self.zeros(self.offset.next_multiple_of(to) - self.offset)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        self.offset += count;
        io::copy(&mut io::repeat(0).take(count), &mut self.out).map(drop)
    }
}

/// One member as read back.
#[derive(Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name without the NUL bytes.
    pub name: &'a [u8],
    /// Its attributes.
    pub header: Header,
    /// Its data.
    pub data: &'a [u8],
    /// Where the data starts in the archive.
    pub data_offset: usize,
}

/// Reads the members of an archive in memory, up to its trailer.
pub fn members(archive: &[u8]) -> impl Iterator<Item = Result<Member<'_>>> {
    let mut offset = 0;
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        match member_at(archive, offset) {
            Ok((member, _)) if member.name == TRAILER.as_bytes() => {
                ended = true;
                None
            }
            Ok((member, next)) => {
                offset = next;
                Some(Ok(member))
            }
            Err(e) => {
                ended = true;
                Some(Err(e))
            }
        }
    })
}

fn member_at(archive: &[u8], offset: usize) -> Result<(Member<'_>, usize)> {
    let cut = || Error::BadArchive(format!("cut off in the member at offset {offset}"));
    let header = archive
        .get(offset..offset + HEADER as usize)
        .ok_or_else(cut)?;
    if !header.starts_with(b"070701") {
        return Err(Error::BadArchive(format!(
            "no newc header at offset {offset}"
        )));
    }
    let field = |i: usize| {
        let digits = header
            .get(6 + 8 * i..14 + 8 * i)
            .and_then(|d| std::str::from_utf8(d).ok());
        digits
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .ok_or_else(|| {
                Error::BadArchive(format!("bad number in the header at offset {offset}"))
            })
    };
    let name_at = offset + HEADER as usize;
    let data_at = (name_at + field(11)? as usize).next_multiple_of(4);
    let data_end = data_at + field(6)? as usize;
    let name = archive
        .get(name_at..name_at + field(11)? as usize)
        .ok_or_else(cut)?;
    let member = Member {
        name: name.split(|b| *b == 0).next().unwrap_or_default(),
        header: Header {
            ino: field(0)?,
            mode: field(1)?,
            uid: field(2)?,
            gid: field(3)?,
            nlink: field(4)?,
            mtime: field(5)?,
            rdev: (field(9)?, field(10)?),
        },
        data: archive.get(data_at..data_end).ok_or_else(cut)?,
        data_offset: data_at,
    };
    Ok((member, data_end.next_multiple_of(4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut w = Writer::new(Vec::new());
        let h = Header {
            ino: 7,
            mode: 0o100644,
            uid: 1,
            gid: 2,
            nlink: 1,
            mtime: 1234,
            rdev: (0, 0),
        };
        w.member(b"etc/hosts", h, 9, &mut &b"127.0.0.1"[..])
            .unwrap();
        let big = vec![0xab; 10_000];
        w.member(b"usr/bin/x", h, big.len() as u64, &mut &big[..])
            .unwrap();
        w.member(
            b"dev/null",
            Header {
                mode: 0o020666,
                rdev: (1, 3),
                ..h
            },
            0,
            &mut io::empty(),
        )
        .unwrap();
        let (bytes, len) = w.finish().unwrap();
        assert_eq!(bytes.len() as u64, len);
        bytes
    }

    #[test]
    fn what_is_written_reads_back() {
        let archive = sample();
        let all: Vec<_> = members(&archive).map(|m| m.unwrap()).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(
            (all[0].name, all[0].data),
            (&b"etc/hosts"[..], &b"127.0.0.1"[..])
        );
        assert_eq!(all[0].header.mtime, 1234);
        assert_eq!(all[1].data, vec![0xab; 10_000]);
        assert_eq!(all[2].header.rdev, (1, 3));
    }

    #[test]
    fn data_of_a_page_or_more_is_page_aligned() {
        let archive = sample();
        for member in members(&archive).map(|m| m.unwrap()) {
            if member.data.len() as u64 >= PAGE {
                assert_eq!(member.data_offset as u64 % PAGE, 0);
            }
        }
    }

    #[test]
    fn a_cut_archive_is_an_error_at_every_length() {
        let archive = sample();
        let trailer = archive.len() - 124;
        for len in 0..trailer {
            assert!(members(&archive[..len]).any(|m| m.is_err()), "length {len}");
        }
    }

    #[test]
    fn a_source_that_shrinks_is_an_error() {
        let mut w = Writer::new(Vec::new());
        assert!(
            w.member(b"x", Header::default(), 5, &mut &b"abc"[..])
                .is_err()
        );
    }
}
