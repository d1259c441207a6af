//! Which code is mapped where, for those who look on: the host's profiler and debugger.
//!
//! `profile` and `gdb` on the command line turn it on; else it costs a mapping of code one load.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::host_link::{self, frame::Outgoing};
use arch::boot;
use mem::PAGE_SIZE;
use vm::{AddressSpace, Prot};

static ACTIVE: AtomicBool = AtomicBool::new(false);
/// It is a debugger.
static DEBUGGED: AtomicBool = AtomicBool::new(false);

/// What the host is told; an address space is named by the physical address of its page table's
/// root.
mod event {
    /// Then the root (`u64`) of a space that is empty.
    pub const NEW: u8 = 0;
    /// Then root, start, end, offset in the file (`u64` each), and the file's path.
    pub const MAPPED: u8 = 1;
    /// Then the root of a space (`u64`), and of one that begins as its copy.
    pub const COPIED: u8 = 2;
}

/// Longest path that goes into a frame.
const PATH_MAX: usize = 1024;

/// Reads the command line.
pub fn init() {
    let debugged = boot::info().command_line().split_ascii_whitespace().any(|word| word == "gdb");
    DEBUGGED.store(debugged, Ordering::Relaxed);
    ACTIVE.store(debugged || crate::sampling::wanted(), Ordering::Relaxed);
}

/// Whether it is a debugger who looks on.
pub fn is_debugged() -> bool {
    DEBUGGED.load(Ordering::Relaxed)
}

/// Whether somebody looks on.
pub fn is_active() -> bool {
    cfg!(not(feature = "bare")) && ACTIVE.load(Ordering::Relaxed)
}

fn tell(event: u8, words: &[u64], path: &[u8]) {
    if DEBUGGED.load(Ordering::Relaxed) {
        return skiff_watched(event.into(), words.as_ptr(), words.len(), path.as_ptr(), path.len());
    }
    let mut payload: Vec<u8> = Vec::from([event]);
    payload.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    payload.extend(path.iter().take(PATH_MAX));
    if host_link::active() {
        host_link::write_all(Outgoing::Mapped, &payload);
    }
}

/// An address space with nothing in it.
pub fn space_made(space: &AddressSpace) {
    if is_active() {
        tell(event::NEW, &[space.root()], &[]);
    }
}

/// A new address space, a copy of another.
pub fn space_copied(from: &AddressSpace, to: &AddressSpace) {
    if is_active() {
        tell(event::NEW, &[to.root()], &[]);
        tell(event::COPIED, &[from.root(), to.root()], &[]);
    }
}

/// `len` bytes were mapped at `start`.
pub fn mapped(space: &AddressSpace, start: u64, len: u64, prot: Prot) {
    if prot.contains(Prot::EXEC) && is_active() {
        code_mapped(space, start, start + len);
    }
}

/// Executable pages, perhaps of a file.
#[cold]
fn code_mapped(space: &AddressSpace, start: u64, end: u64) {
    if let Some(area) = space.describe(start).filter(|area| area.ino != 0) {
        let offset = area.offset + (start - area.start);
        tell(event::MAPPED, &[space.root(), start, end.next_multiple_of(PAGE_SIZE as u64), offset], &area.path);
    }
}

/// Where a debugger stops to learn of it (skiff/src/gdb/skiff.py): its arguments tell.
#[allow(unsafe_code, reason = "a name that debuggers find; nothing else has it")]
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn skiff_watched(event: u64, words: *const u64, count: usize, path: *const u8, len: usize) {
    core::hint::black_box((event, words, count, path, len));
}
