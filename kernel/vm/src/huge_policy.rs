//! Which areas get large pages.

use core::sync::atomic::{AtomicU8, Ordering};

use super::flags::VmFlags;

/// `/sys/kernel/mm/transparent_hugepage/enabled`: which areas get large pages, as an index into
/// [`POLICIES`].
pub static POLICY: AtomicU8 = AtomicU8::new(0);
/// Areas of any kind, those with `MADV_HUGEPAGE`, none.
pub const POLICIES: [&str; 3] = ["always", "madvise", "never"];
const ALWAYS: u8 = 0;
const MADVISE: u8 = 1;

/// Whether anonymous areas with these flags get large pages. Stacks do not: most use little of what
/// they may.
pub fn eligible(flags: VmFlags) -> bool {
    let by_policy = match POLICY.load(Ordering::Relaxed) {
        ALWAYS => true,
        MADVISE => flags.contains(VmFlags::HUGEPAGE),
        _ => false,
    };
    by_policy && !flags.intersects(VmFlags::NOHUGEPAGE | VmFlags::GROWSDOWN)
}
