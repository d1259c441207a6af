//! The rows of /proc/sys, of the kinds that [`fs::pseudo::sysctl`] has.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64};

use fs::Inode;
use fs::inode::FileHandle;
use fs::pseudo::sysctl::{Get, Name, Numbers, Row, Set, Value};
use fs::pseudo::{NodeSpec, PseudoNode};
use syscall_shim::SysResult;

use super::polled::Polled;
use crate::files::open::OpenedBy;
use crate::pseudo::Tree;
use task::uts::Changes;

/// Who reads and who writes a setting, unless something else is said.
const WRITABLE: u32 = 0o644;
const READ_ONLY: u32 = 0o444;

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
            row.check_open(flags)?;
            Ok(row.clone())
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

    /// A number that is kept for who set it: what it governs on Linux is not there, so that every
    /// value has the same effect.
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

    /// Several numbers on one line. `set` gets all of them; a write that has fewer leaves the
    /// others as they are.
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
