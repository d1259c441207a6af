//! The names that `uname(2)` tells.

use alloc::vec::Vec;

use crate::sync::SpinLock;

/// Longest name (`__NEW_UTS_LEN`).
pub const NAME_MAX: usize = 64;

/// The Linux release whose calls this kernel has, and whose kernel it is.
pub const RELEASE: &str = "6.18.0-skiff";
/// Build of the kernel.
pub const VERSION: &str = concat!("#1 SMP PREEMPT_DYNAMIC Skiff ", env!("CARGO_PKG_VERSION"));

struct Names {
    host: Vec<u8>,
    domain: Vec<u8>,
}

/// A leaf lock.
static NAMES: SpinLock<Names> = SpinLock::new(Names { host: Vec::new(), domain: Vec::new() });

/// The host's name.
pub fn hostname() -> Vec<u8> {
    let name = NAMES.lock().host.clone();
    if name.is_empty() { b"skiff".to_vec() } else { name }
}

/// Sets the host's name, cut at 64 bytes.
pub fn set_hostname(name: &[u8]) {
    NAMES.lock().host = name[..name.len().min(NAME_MAX)].to_vec();
}

/// The NIS domain name.
pub fn domainname() -> Vec<u8> {
    let name = NAMES.lock().domain.clone();
    if name.is_empty() { b"(none)".to_vec() } else { name }
}

/// Sets the NIS domain name, cut at 64 bytes.
pub fn set_domainname(name: &[u8]) {
    NAMES.lock().domain = name[..name.len().min(NAME_MAX)].to_vec();
}
