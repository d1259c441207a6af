//! Turns a program file into a plan the kernel can carry out: which parts of the file to map where,
//! where to start, and what the new stack holds. Nothing here maps or allocates pages, so all of it
//! is tested on the host.
//!
//! The way of `execve(2)` through this crate: [`identify`] looks at the file's first bytes; a `#!`
//! line goes through [`script`] and starts over with its interpreter; an ELF file becomes a
//! [`LoadPlan`], and so does its `PT_INTERP`. [`layout`] chooses addresses, [`stack`] builds the
//! first stack.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
pub mod layout;
mod plan;
pub mod script;
pub mod stack;
pub mod symbols;

pub use error::ElfError;
pub use plan::{BaseChoice, LoadPlan, Mapping, Prot};

use script::Script;
use syscall_shim::Errno;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = syscall_shim::PAGE_SIZE as u64;
/// The first address above the application's half (`TASK_SIZE_MAX`, 47 bits less a guard page).
pub const USER_TOP: u64 = 0x7fff_ffff_f000;
/// The lowest address that may be mapped (`vm.mmap_min_addr`).
pub const MMAP_MIN_ADDR: u64 = 0x1_0000;
/// How much of a file decides what it is (`BINPRM_BUF_SIZE`).
pub const HEADER_WINDOW: usize = 256;

/// A program file: it is read piecewise, so it need not be in memory.
pub trait ReadAt {
    /// Reads at `offset` into `buffer`, as pread(2): answers how many bytes there were.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// The file's length.
    fn size(&self) -> u64;
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(offset).ok().and_then(|o| self.get(o..)).unwrap_or(&[]);
        let n = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

/// What a file's first bytes say it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ELF file, to be planned by [`LoadPlan::parse`].
    Elf,
    /// A `#!` script.
    Script(Script),
}

/// Looks at the first [`HEADER_WINDOW`] bytes, as Linux does before it chooses a format.
pub fn identify<R: ReadAt + ?Sized>(file: &R) -> Result<Kind, ElfError> {
    let mut window = [0; HEADER_WINDOW];
    plan::fill(file, 0, &mut window)?;
    if window.starts_with(b"#!") {
        return Script::parse(&window).map(Kind::Script).ok_or(ElfError::BadScript);
    }
    if window.starts_with(b"\x7fELF") { Ok(Kind::Elf) } else { Err(ElfError::NotElf) }
}
