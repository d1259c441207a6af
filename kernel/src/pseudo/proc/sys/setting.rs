//! The rows of /proc/sys: what a setting may be, and how reading and writing it goes (`proc_dointvec` and its kin in kernel/sysctl.c).
//!
//! A read of numbers that does not begin at offset 0 finds the end, also behind a short read. A write takes as many numbers as the setting has
//! and answers how many bytes those took; what is written at another offset than 0 is taken for the rest of an earlier write and
//! dropped (`sysctl_writes_strict`).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64};

use fs::Inode;
use fs::inode::FileHandle;
use fs::pseudo::{NodeSpec, PseudoNode};
use syscall_shim::{Errno, SysResult};

use super::polled::Polled;
use crate::files::open::OpenedBy;
use crate::pseudo::Tree;
use crate::task::uts::Changes;

/// The most bytes of a write that are looked at.
pub const WRITE_MAX: usize = 4095;
/// Digits of a number, at most, with its prefix.
const NUMBER_MAX: usize = 21;
/// Who reads and who writes a setting, unless something else is said.
const WRITABLE: u32 = 0o644;
const READ_ONLY: u32 = 0o444;

/// What stands behind a row.
enum Value {
    /// A text with its newline.
    Text(Box<dyn Fn() -> String + Send + Sync>),
    /// Numbers on one line.
    Numbers(Numbers),
    /// A text up to the end of the line.
    Name(Name),
}

type Get = Box<dyn Fn() -> Vec<i128> + Send + Sync>;
type Set = Box<dyn Fn(&[i128]) -> SysResult<()> + Send + Sync>;

struct Numbers {
    get: Get,
    /// Gets all of them, also those that a write left as they were.
    set: Set,
    range: RangeInclusive<i128>,
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

/// Puts rows into /proc/sys. Paths are relative to it.
pub struct Settings {
    pub tree: Tree,
}

impl Settings {
    fn put(&self, path: &str, mode: u32, value: Value) {
        self.row(path, Arc::new(Row { mode, value }));
    }

    fn row(&self, path: &str, row: Arc<Row>) -> Arc<PseudoNode> {
        let mode = row.mode;
        let open = move |flags: fs::OpenFlags| -> SysResult<Arc<dyn FileHandle>> {
            // Permission bits bind the super-user too (`sysctl_perm`).
            let refused = flags.writable() && row.mode & 0o222 == 0 || flags.readable() && row.mode & 0o444 == 0;
            if refused { Err(Errno::EACCES) } else { Ok(row.clone()) }
        };
        let node = PseudoNode::opener(NodeSpec::new(self.tree.dev, mode), open);
        self.tree.put(&format!("sys/{path}"), node.clone());
        node
    }

    fn put_numbers(&self, path: &str, mode: u32, range: RangeInclusive<i128>, get: Get, set: Set) {
        self.put(path, mode, Value::Numbers(Numbers { get, set, range }));
    }

    /// A row that is what it is.
    pub fn fixed(&self, path: &str, text: &'static str) {
        self.put(path, READ_ONLY, Value::Text(Box::new(move || format!("{text}\n"))));
    }

    /// A row that tells something. The newline is added.
    pub fn shown(&self, path: &str, read: impl Fn() -> String + Send + Sync + 'static) {
        self.put(path, READ_ONLY, Value::Text(Box::new(move || read() + "\n")));
    }

    /// A number that is kept for who set it: what it governs on Linux is not there, so that every value has the same effect.
    pub fn kept(&self, path: &str, initial: i64, range: RangeInclusive<i64>) {
        let cell = Arc::new(AtomicI64::new(initial));
        let read = cell.clone();
        let set = move |new: i64| {
            cell.store(new, Relaxed);
            Ok(())
        };
        self.number(path, range, move || read.load(Relaxed), set);
    }

    /// An `int`. `EINVAL` outside `range`.
    pub fn int(&self, path: &str, cell: &'static AtomicI32, range: RangeInclusive<i32>) {
        let set = |new: i64| {
            cell.store(new as i32, Relaxed);
            Ok(())
        };
        self.number(path, (*range.start()).into()..=(*range.end()).into(), || cell.load(Relaxed).into(), set);
    }

    /// An `unsigned int`.
    pub fn uint(&self, path: &str, cell: &'static AtomicU32, range: RangeInclusive<u32>) {
        let set = |new: i64| {
            cell.store(new as u32, Relaxed);
            Ok(())
        };
        self.number(path, (*range.start()).into()..=(*range.end()).into(), || cell.load(Relaxed).into(), set);
    }

    /// An `unsigned long`.
    pub fn ulong(&self, path: &str, cell: &'static AtomicU64, range: RangeInclusive<u64>) {
        let get = || alloc::vec![i128::from(cell.load(Relaxed))];
        let set = |new: &[i128]| {
            cell.store(new.first().map_or(0, |new| *new as u64), Relaxed);
            Ok(())
        };
        let range = (*range.start()).into()..=(*range.end()).into();
        self.put_numbers(path, WRITABLE, range, Box::new(get), Box::new(set));
    }

    /// A number behind functions. `set` gets what is within `range`.
    pub fn number(
        &self,
        path: &str,
        range: RangeInclusive<i64>,
        get: impl Fn() -> i64 + Send + Sync + 'static,
        set: impl Fn(i64) -> SysResult<()> + Send + Sync + 'static,
    ) {
        self.number_of_mode(path, WRITABLE, range, get, set);
    }

    /// As [`Self::number`], with permission bits.
    pub fn number_of_mode(
        &self,
        path: &str,
        mode: u32,
        range: RangeInclusive<i64>,
        get: impl Fn() -> i64 + Send + Sync + 'static,
        set: impl Fn(i64) -> SysResult<()> + Send + Sync + 'static,
    ) {
        let range = (*range.start()).into()..=(*range.end()).into();
        let set = move |new: &[i128]| set(new.first().map_or(0, |new| *new as i64));
        self.put_numbers(path, mode, range, Box::new(move || alloc::vec![get().into()]), Box::new(set));
    }

    /// Several numbers on one line. `set` gets all of them; a write that has fewer leaves the others as they are.
    pub fn numbers(
        &self,
        path: &str,
        range: RangeInclusive<i64>,
        get: impl Fn() -> Vec<i64> + Send + Sync + 'static,
        set: impl Fn(&[i64]) -> SysResult<()> + Send + Sync + 'static,
    ) {
        let get = move || get().into_iter().map(i128::from).collect();
        let set = move |new: &[i128]| set(&new.iter().map(|new| *new as i64).collect::<Vec<_>>());
        let range = (*range.start()).into()..=(*range.end()).into();
        self.put_numbers(path, WRITABLE, range, Box::new(get), Box::new(set));
    }

    /// A name.
    pub fn name(&self, path: &str, name: Name) {
        self.put(path, WRITABLE, Value::Name(name));
    }

    /// A name whose file tells those who poll it when it is set.
    pub fn polled_name(&self, path: &str, name: Name, changes: &'static Changes) {
        let row = Arc::new(Row { mode: WRITABLE, value: Value::Name(name) });
        let node = self.row(path, row.clone());
        let open = move || Ok(Polled::open(row.clone(), changes));
        node.common().set_ext(Arc::new(OpenedBy(Box::new(open))));
    }

    /// A number that does something when it is written, and is not there to be read.
    pub fn trigger(
        &self,
        path: &str,
        range: RangeInclusive<i64>,
        act: impl Fn(i64) -> SysResult<()> + Send + Sync + 'static,
    ) {
        self.number_of_mode(path, 0o200, range, || 0, act);
    }
}

/// A row, as its opens have it.
pub struct Row {
    mode: u32,
    value: Value,
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

/// A number in C's notation with a blank or nothing behind it, and what follows (`proc_get_long`). `EINVAL`.
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
