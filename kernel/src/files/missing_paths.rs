//! Libraries that programs looked for and did not find. What a program links against comes with it;
//! what it opens by dlopen(3) only whoever made the image can know, and the program's own message,
//! if there is one, seldom says what lacks.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use syscall_shim::Errno;

use crate::sync::SpinLock;

/// Names that are kept.
const MAX_NAMES: usize = 16;
/// Longest of them.
const MAX_BYTES: usize = 64;

/// Names without their directories. A leaf lock.
static MISSED: SpinLock<Vec<String>> = SpinLock::new(Vec::new());
static ANY: AtomicBool = AtomicBool::new(false);

/// The file's own name, if it is a shared library's: `libNAME.so`, with a version behind or not.
fn library(path: &[u8]) -> Option<&str> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    let name = core::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_BYTES && name.starts_with("lib"))?;
    (name.ends_with(".so") || name.contains(".so.")).then_some(name)
}

/// An open of `path` has failed.
#[cold]
pub fn failed(path: &[u8], errno: Errno) {
    let Some(name) = library(path).filter(|_| errno == Errno::ENOENT) else { return };
    let mut missed = MISSED.lock();
    if missed.len() < MAX_NAMES && !missed.iter().any(|other| other == name) {
        missed.push(name.into());
        ANY.store(true, Ordering::Relaxed);
    }
}

/// A file of this name is mapped as code: it was found in another place after all.
pub fn mapped(name: &[u8]) {
    if ANY.load(Ordering::Relaxed) {
        MISSED.lock().retain(|other| other.as_bytes() != name);
    }
}

/// At the end of a machine whose program has failed: names what was not there.
pub fn report() {
    let missed = core::mem::take(&mut *MISSED.lock());
    if !missed.is_empty() {
        let names = missed.join(", ");
        kwarn!("asked for in vain: {names}: if the program needs it, `--learn` or `--add FILE` brings it into the image");
    }
}
