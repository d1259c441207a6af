//! The names that `uname(2)` tells.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::LazyLock;

use fd::poll::{PollQueue, ev, poll_queue};
use sync::SpinLock;

/// Longest name (`__NEW_UTS_LEN`).
pub const NAME_MAX: usize = 64;

/// The Linux release whose calls this kernel has, and whose kernel it is.
pub const RELEASE: &str = "6.18.0-skiff";
/// Build of the kernel.
pub const VERSION: &str = concat!("#1 SMP PREEMPT_DYNAMIC Skiff ", env!("CARGO_PKG_VERSION"));

/// The release, or with `old` the one that programs get which do not expect a version after 2.6
/// (`UNAME26`): 6.1 is 2.6.61.
pub fn release(old: bool) -> Cow<'static, str> {
    if !old {
        return Cow::Borrowed(RELEASE);
    }
    let mut numbers = RELEASE.splitn(3, '.');
    let minor: u32 = numbers.nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
    let rest = numbers.next().unwrap_or_default();
    let behind = rest.find(|c: char| !c.is_ascii_digit()).and_then(|at| rest.get(at..)).unwrap_or_default();
    Cow::Owned(format!("2.6.{}{behind}", minor + 60))
}

struct Names {
    host: Vec<u8>,
    domain: Vec<u8>,
}

/// A leaf lock.
static NAMES: SpinLock<Names> = SpinLock::new(Names { host: Vec::new(), domain: Vec::new() });

/// How often a name was set, for those who poll its file in /proc/sys.
pub struct Changes {
    count: AtomicU64,
    queue: LazyLock<PollQueue>,
}

impl Changes {
    const fn new() -> Self {
        Self { count: AtomicU64::new(0), queue: LazyLock::new(poll_queue) }
    }

    /// How often.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Woken when that has changed.
    pub fn queue(&self) -> &PollQueue {
        &self.queue
    }

    fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.queue.wake_key(ev::ERR | ev::PRI | ev::READABLE);
    }
}

/// Those of the host's name.
pub static HOST_CHANGES: Changes = Changes::new();
/// Those of the domain's.
pub static DOMAIN_CHANGES: Changes = Changes::new();

/// The host's name.
pub fn hostname() -> Vec<u8> {
    let name = NAMES.lock().host.clone();
    if name.is_empty() { b"skiff".to_vec() } else { name }
}

/// Sets the host's name, cut at 64 bytes.
pub fn set_hostname(name: &[u8]) {
    NAMES.lock().host = name[..name.len().min(NAME_MAX)].to_vec();
    HOST_CHANGES.add();
}

/// The NIS domain name.
pub fn domainname() -> Vec<u8> {
    let name = NAMES.lock().domain.clone();
    if name.is_empty() { b"(none)".to_vec() } else { name }
}

/// Sets the NIS domain name, cut at 64 bytes.
pub fn set_domainname(name: &[u8]) {
    NAMES.lock().domain = name[..name.len().min(NAME_MAX)].to_vec();
    DOMAIN_CHANGES.add();
}
