//! The clocks, in nanoseconds.

#[cfg(target_os = "none")]
pub use arch::clock::realtime_ns;
pub use sync::clock::monotonic_ns;

/// Since 1970-01-01 UTC.
#[cfg(not(target_os = "none"))]
pub fn realtime_ns() -> u64 {
    let now = fs::platform::now();
    now.sec as u64 * 1_000_000_000 + now.nsec as u64
}
