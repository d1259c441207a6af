//! Sizes as addresses are counted.

/// Bytes in a page.
pub const PAGE: u64 = base::addr::PAGE_SIZE as u64;
/// Bytes in a large page.
pub const LARGE_PAGE: u64 = base::addr::LARGE_PAGE_SIZE as u64;
