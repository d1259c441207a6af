//! The rows of /proc/sys: what a setting may be, and how reading and writing it goes
//! (`proc_dointvec` and its kin in kernel/sysctl.c).
//!
//! A read of numbers that does not begin at offset 0 finds the end, also behind a short read. A
//! write takes as many numbers as the setting has and answers how many bytes those took; what is
//! written at another offset than 0 is taken for the rest of an earlier write and dropped
//! (`sysctl_writes_strict`).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use syscall_shim::{Errno, SysResult};

use crate::OpenFlags;
use crate::inode::FileHandle;

/// The most bytes of a write that are looked at.
pub const WRITE_MAX: usize = 4095;
/// Digits of a number, at most, with its prefix.
const NUMBER_MAX: usize = 21;

/// What stands behind a row.
pub enum Value {
    /// A text with its newline.
    Text(Box<dyn Fn() -> String + Send + Sync>),
    /// Numbers on one line.
    Numbers(Numbers),
    /// A text up to the end of the line.
    Name(Name),
}

/// Tells the numbers of a row.
pub type Get = Box<dyn Fn() -> Vec<i128> + Send + Sync>;
/// Takes new ones.
pub type Set = Box<dyn Fn(&[i128]) -> SysResult<()> + Send + Sync>;

/// Numbers on one line.
pub struct Numbers {
    /// Tells them.
    pub get: Get,
    /// Gets all of them, also those that a write left as they were.
    pub set: Set,
    /// What each may be.
    pub range: RangeInclusive<i128>,
}

/// A text up to the end of the line.
pub struct Name {
    /// Tells it.
    pub get: fn() -> Vec<u8>,
    /// Takes a new one.
    pub set: fn(&[u8]) -> SysResult<()>,
    /// Bytes that it may have.
    pub limit: usize,
}

/// A row, as its opens have it.
pub struct Row {
    /// Permission bits.
    pub mode: u32,
    /// What it shows and takes.
    pub value: Value,
}

impl Row {
    /// Permission bits bind the super-user too (`sysctl_perm`). `EACCES`.
    pub fn check_open(&self, flags: OpenFlags) -> SysResult<()> {
        let refused = flags.writable() && self.mode & 0o222 == 0 || flags.readable() && self.mode & 0o444 == 0;
        if refused { Err(Errno::EACCES) } else { Ok(()) }
    }
}

impl FileHandle for Row {
    fn read_at(&self, off: u64, buf: &mut [u8]) -> SysResult<usize> {
        let text = match &self.value {
            Value::Text(read) => read().into_bytes(),
            Value::Numbers(numbers) if off == 0 => numbers.text().into_bytes(),
            Value::Numbers(_) => return Ok(0),
            Value::Name(name) => [(name.get)().as_slice(), b"\n"].concat(),
        };
        let rest = usize::try_from(off).ok().and_then(|off| text.get(off..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn write_at(&self, off: u64, buf: &[u8]) -> SysResult<usize> {
        match &self.value {
            Value::Text(_) => Err(Errno::EPERM),
            _ if buf.is_empty() => Ok(0),
            Value::Numbers(_) if off != 0 => Ok(buf.len()),
            Value::Numbers(numbers) => numbers.write(buf.get(..WRITE_MAX).unwrap_or(buf)),
            Value::Name(name) => name.write(off, buf),
        }
    }
}

impl Numbers {
    fn text(&self) -> String {
        let words: Vec<String> = (self.get)().iter().map(ToString::to_string).collect();
        words.join("\t") + "\n"
    }

    /// Takes the numbers that are there; answers the bytes up to the first word too many.
    fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        let mut values = (self.get)();
        let mut rest = bytes.trim_ascii_start();
        let mut any = false;
        for value in &mut values {
            if rest.is_empty() {
                break;
            }
            let (number, behind) = parse(rest)?;
            if !self.range.contains(&number) {
                return Err(Errno::EINVAL);
            }
            *value = number;
            any = true;
            rest = behind.trim_ascii_start();
        }
        if !any {
            return Err(Errno::EINVAL);
        }
        (self.set)(&values)?;
        Ok(bytes.len() - rest.len())
    }
}

impl Name {
    /// A write further in goes on behind what is there, up to where that ends.
    fn write(&self, off: u64, bytes: &[u8]) -> SysResult<usize> {
        let mut new = Vec::new();
        if off > 0 {
            new = (self.get)();
            match usize::try_from(off).ok().filter(|off| *off <= new.len()) {
                Some(off) => new.truncate(off),
                None => return Ok(bytes.len()),
            }
        }
        let line = bytes.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
        new.extend_from_slice(line.get(..self.limit.saturating_sub(new.len())).unwrap_or(line));
        (self.set)(&new)?;
        Ok(bytes.len())
    }
}

/// A number in C's notation with a blank or nothing behind it, and what follows (`proc_get_long`).
/// `EINVAL`.
fn parse(text: &[u8]) -> SysResult<(i128, &[u8])> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(digits.len());
    let (word, behind) = digits.split_at(end);
    let word = core::str::from_utf8(word).ok().filter(|word| word.len() <= NUMBER_MAX).ok_or(Errno::EINVAL)?;
    let (base, word) = match word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if word.len() > 1 && word.starts_with('0') => (8, word),
        None => (10, word),
    };
    if word.is_empty() || !matches!(behind.first(), None | Some(b' ' | b'\t' | b'\n')) {
        return Err(Errno::EINVAL);
    }
    let value = i128::from(u64::from_str_radix(word, base).map_err(|_| Errno::EINVAL)?);
    Ok((if negative { -value } else { value }, behind))
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use std::sync::Mutex;
    use std::vec;

    use super::*;

    /// A row of numbers, and what it holds.
    fn numbers(values: &[i128], range: RangeInclusive<i128>) -> (Row, Arc<Mutex<Vec<i128>>>) {
        let cell = Arc::new(Mutex::new(values.to_vec()));
        let (read, write) = (cell.clone(), cell.clone());
        let get = Box::new(move || read.lock().unwrap().clone());
        let set = Box::new(move |new: &[i128]| {
            *write.lock().unwrap() = new.to_vec();
            Ok(())
        });
        (Row { mode: 0o644, value: Value::Numbers(Numbers { get, set, range }) }, cell)
    }

    fn read(row: &Row, off: u64, room: usize) -> Vec<u8> {
        let mut buffer = vec![0; room];
        let n = row.read_at(off, &mut buffer).unwrap();
        buffer.truncate(n);
        buffer
    }

    #[test]
    fn numbers_are_shown_with_tabs_and_once() {
        let (row, _) = numbers(&[32768, -1, 7], -5..=100_000);
        assert_eq!(read(&row, 0, 100), b"32768\t-1\t7\n");
        assert_eq!(read(&row, 0, 5), b"32768");
        assert_eq!(read(&row, 5, 100), b"", "the rest is not to be had");
    }

    #[test]
    fn numbers_are_in_the_notations_of_c() {
        let (row, cell) = numbers(&[0], -(1 << 40)..=1 << 40);
        for (text, value) in
            [("5", 5), ("0x1F\n", 31), ("0X1f", 31), ("017 ", 15), ("-0x10\t", -16), ("  \n9\n", 9), ("0", 0)]
        {
            assert_eq!(row.write_at(0, text.as_bytes()), Ok(text.len()), "{text:?}");
            assert_eq!(*cell.lock().unwrap(), [value], "{text:?}");
        }
        for wrong in
            ["x", "5x", "5,6", "", "0x", "- 5", "1099511627777", "00000000000000000000001", "\n", "18446744073709551616"]
        {
            let expected = if wrong.is_empty() { Ok(0) } else { Err(Errno::EINVAL) };
            assert_eq!(row.write_at(0, wrong.as_bytes()), expected, "{wrong:?}");
        }
        assert_eq!(*cell.lock().unwrap(), [0], "what is wrong changes nothing");
    }

    #[test]
    fn a_write_takes_as_many_numbers_as_there_are() {
        let (row, cell) = numbers(&[1, 2, 3], 0..=99);
        assert_eq!(row.write_at(0, b"7 8"), Ok(3));
        assert_eq!(*cell.lock().unwrap(), [7, 8, 3], "fewer leave the others");
        assert_eq!(row.write_at(0, b"4\t5\n6 17"), Ok(6));
        assert_eq!(*cell.lock().unwrap(), [4, 5, 6]);
        assert_eq!(row.write_at(0, b"9 100"), Err(Errno::EINVAL));
        assert_eq!(*cell.lock().unwrap(), [4, 5, 6], "all of them or none");
        assert_eq!(row.write_at(3, b"11"), Ok(2));
        assert_eq!(*cell.lock().unwrap(), [4, 5, 6], "the rest of an earlier write is dropped");
        assert_eq!(row.write_at(0, &[b' '; 5000]), Err(Errno::EINVAL));
    }

    #[test]
    fn a_text_is_shown_from_anywhere_and_takes_nothing() {
        let row = Row { mode: 0o444, value: Value::Text(Box::new(|| "linux\n".into())) };
        assert_eq!((read(&row, 0, 3), read(&row, 3, 9), read(&row, 9, 9)), (b"lin".to_vec(), b"ux\n".to_vec(), vec![]));
        assert_eq!(row.write_at(0, b"x"), Err(Errno::EPERM));
        assert_eq!(row.check_open(OpenFlags::WRONLY), Err(Errno::EACCES));
        assert_eq!(row.check_open(OpenFlags::empty()), Ok(()));
        let trigger = Row { mode: 0o200, ..numbers(&[0], 0..=1).0 };
        assert_eq!(trigger.check_open(OpenFlags::RDWR), Err(Errno::EACCES));
        assert_eq!(trigger.check_open(OpenFlags::WRONLY), Ok(()));
    }

    #[test]
    fn a_name_ends_with_its_line_and_is_limited() {
        static NAME: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        let set = |new: &[u8]| {
            *NAME.lock().unwrap() = new.to_vec();
            Ok(())
        };
        let row = Row { mode: 0o644, value: Value::Name(Name { get: || NAME.lock().unwrap().clone(), set, limit: 8 }) };
        assert_eq!((row.write_at(0, b"host\nmore"), read(&row, 0, 20)), (Ok(9), b"host\n".to_vec()));
        assert_eq!((row.write_at(4, b".net\0x"), read(&row, 0, 20)), (Ok(6), b"host.net\n".to_vec()), "it goes on");
        assert_eq!((row.write_at(9, b"far"), read(&row, 2, 20)), (Ok(3), b"st.net\n".to_vec()), "beyond the end is nothing");
        assert_eq!((row.write_at(0, b"much-too-long"), read(&row, 0, 20)), (Ok(13), b"much-too\n".to_vec()));
    }
}
