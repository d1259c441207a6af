//! The archive that a kernel unpacks as its root: cpio "newc" (cpio(5)), with the data of larger
//! files on page boundaries.
//!
//! A member is a 110-byte header of hexadecimal fields, the name with a closing NUL, padding to 4
//! bytes, the data, padding to 4 bytes. A name may be followed by further NUL bytes that count into
//! `namesize`: this is how data is moved to a page boundary, which lets the kernel use it in place
//! as page-cache pages. The kernel's reader is `fs::cpio`.

use fs::cpio::seal::{self, Sum};
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
    /// Its nanoseconds. They stand in the field that a format with checksums has these in, which
    /// readers of this one pass over.
    pub nanoseconds: u32,
    /// Device number of a device node: major, minor.
    pub rdev: (u32, u32),
}

/// Writes an archive front to back.
pub struct Writer<W> {
    out: Summed<W>,
    offset: u64,
    align: bool,
}

/// Sums up what is written.
struct Summed<W> {
    inner: W,
    sum: Sum,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sum.add(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Writer<W> {
    /// Starts an archive; `out` must stand on a page boundary of what will be loaded.
    pub fn new(out: W) -> Self {
        Self { out: Summed { inner: out, sum: Sum::new() }, offset: 0, align: true }
    }

    /// Starts an archive without page alignment, for readers that bound the length of a name
    /// (Linux: PATH_MAX).
    pub fn plain(out: W) -> Self {
        Self { out: Summed { inner: out, sum: Sum::new() }, offset: 0, align: false }
    }

    /// Writes one member whose `size` bytes of data come from `data`.
    pub fn member(&mut self, name: &[u8], header: Header, size: u64, data: &mut dyn Read) -> io::Result<()> {
        let size32 = u32::try_from(size)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "4 GiB is the most that cpio holds of one file"))?;
        let mut name_size = name.len() as u64 + 1;
        if self.align && size >= PAGE {
            let data_at = (self.offset + HEADER + name_size).next_multiple_of(PAGE);
            name_size = data_at - self.offset - HEADER;
        }
        let h = header;
        write!(
            self.out,
            "070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
            h.ino, h.mode, h.uid, h.gid, h.nlink, h.mtime, size32, 0, 0, h.rdev.0, h.rdev.1, name_size, h.nanoseconds
        )?;
        self.out.write_all(name)?;
        self.offset += HEADER + name.len() as u64;
        self.zeros(name_size - name.len() as u64)?;
        self.pad(4)?;
        let copied = io::copy(&mut data.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file became shorter while it was read"));
        }
        self.offset += size;
        self.pad(4)
    }

    /// Writes the trailer and, where it is for Skiff's kernel, the seal; returns the sink and the
    /// archive's length in bytes.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.member(TRAILER.as_bytes(), Header { nlink: 1, ..Header::default() }, 0, &mut io::empty())?;
        let mut out = self.out.inner;
        if self.align {
            out.write_all(&seal::seal(self.offset, &self.out.sum))?;
            self.offset += seal::LEN as u64;
        }
        Ok((out, self.offset))
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        self.zeros(self.offset.next_multiple_of(to) - self.offset)
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        self.offset += count;
        io::copy(&mut io::repeat(0).take(count), &mut self.out).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs::cpio::Reader;

    fn sample() -> Vec<u8> {
        let mut w = Writer::new(Vec::new());
        let h = Header { ino: 7, mode: 0o100644, uid: 1, gid: 2, nlink: 1, mtime: 1234, nanoseconds: 5678, rdev: (0, 0) };
        w.member(b"etc/hosts", h, 9, &mut &b"127.0.0.1"[..]).unwrap();
        let big = vec![0xab; 10_000];
        w.member(b"usr/bin/x", h, big.len() as u64, &mut &big[..]).unwrap();
        w.member(b"dev/null", Header { mode: 0o020666, rdev: (1, 3), ..h }, 0, &mut io::empty()).unwrap();
        let (bytes, len) = w.finish().unwrap();
        assert_eq!(bytes.len() as u64, len);
        bytes
    }

    #[test]
    fn the_kernels_reader_reads_what_is_written() {
        let archive = sample();
        let archive = seal::unsealed(&archive, true, true).unwrap();
        let all: Vec<_> = Reader::new(archive).map(|m| m.unwrap()).collect();
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].name, all[0].data), (&b"etc/hosts"[..], &b"127.0.0.1"[..]));
        assert_eq!((all[0].ino, all[0].mode, all[0].uid, all[0].gid, all[0].mtime), (7, 0o100644, 1, 2, 1234));
        assert_eq!(all[0].nanoseconds, 5678);
        assert_eq!(all[1].data, vec![0xab; 10_000]);
        assert_eq!(all[2].rdev, (1, 3));
    }

    #[test]
    fn data_of_a_page_or_more_is_page_aligned() {
        let archive = sample();
        for member in Reader::new(seal::unsealed(&archive, true, true).unwrap()).map(|m| m.unwrap()) {
            if member.data.len() as u64 >= PAGE {
                assert_eq!(member.data_offset as u64 % PAGE, 0);
            }
        }
    }

    #[test]
    fn a_plain_archive_keeps_names_short() {
        let mut w = Writer::plain(Vec::new());
        w.member(b"x", Header { mode: 0o100644, ..Header::default() }, 8192, &mut io::repeat(1)).unwrap();
        let (bytes, _) = w.finish().unwrap();
        let member = Reader::new(&bytes).next().unwrap().unwrap();
        assert_eq!((member.data_offset as u64, member.data.len()), (HEADER + 2, 8192));
    }

    #[test]
    fn a_source_that_shrinks_is_an_error() {
        let mut w = Writer::new(Vec::new());
        assert!(w.member(b"x", Header::default(), 5, &mut &b"abc"[..]).is_err());
    }
}
