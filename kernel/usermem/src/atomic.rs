//! Futex words: atomic accesses, and accesses that may be made with a lock held because they do not
//! wait for a page.

use core::arch::global_asm;
use syscall_shim::{Errno, SysResult};

use super::UserAddr;

/// Why an access without waiting did not happen: the page is not there, or may not be accessed so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotPresent;

/// Reads a `u32` in one access, without waiting for its page.
#[inline(always)]
pub fn load_u32_nofault(addr: UserAddr) -> Result<u32, NotPresent> {
    // SAFETY: a fault of the access returns early.
    let value = if addr.range_ok(4) { unsafe { raw_load_nofault(addr.0 as *const u32) } } else { NO_VALUE };
    u32::try_from(value).map_err(|_| NotPresent)
}

/// Replaces the `u32` at `addr` by `new` if it is `old`, and returns what was there; does not wait
/// for its page.
pub fn compare_exchange_u32_nofault(addr: UserAddr, old: u32, new: u32) -> Result<u32, NotPresent> {
    // SAFETY: as above.
    let seen = if addr.range_ok(4) { unsafe { raw_cmpxchg_nofault(addr.0 as *mut u32, old, new) } } else { NO_VALUE };
    u32::try_from(seen).map_err(|_| NotPresent)
}

/// Brings the page of a `u32` in, for writing, without changing the value. `EFAULT`.
pub fn fault_in_u32_writable(addr: UserAddr) -> SysResult<()> {
    // Storing what is there counts as a write, and an unequal value is left alone.
    let value: u32 = addr.cast().read()?;
    super::compare_exchange_u32(addr, value, value).map(drop).map_err(|_| Errno::EFAULT)
}

global_asm!(
    ".section .text.usermem, \"ax\"",
    ".global usermem_load_nofault, usermem_cas_nofault, usermem_cas_nofault_access, usermem_fixup_nofault",
    "usermem_load_nofault:",
    "mov eax, dword ptr [rdi]",
    "ret",
    "usermem_cas_nofault:",
    "mov eax, esi",
    "usermem_cas_nofault_access:",
    "lock cmpxchg dword ptr [rdi], edx",
    "ret",
    "usermem_fixup_nofault:",
    "mov rax, {no_value}",
    "ret",
    ".previous",
    no_value = const NO_VALUE,
);

/// What the accesses answer when the page is not there: no `u32`.
const NO_VALUE: u64 = u64::MAX;

unsafe extern "C" {
    /// What is at `addr`, or [`NO_VALUE`].
    #[link_name = "usermem_load_nofault"]
    fn raw_load_nofault(addr: *const u32) -> u64;
    /// Compares and exchanges; what was there, or [`NO_VALUE`].
    #[link_name = "usermem_cas_nofault"]
    fn raw_cmpxchg_nofault(addr: *mut u32, old: u32, new: u32) -> u64;

    #[link_name = "usermem_load_nofault"]
    static LOAD: u8;
    #[link_name = "usermem_cas_nofault_access"]
    static CAS: u8;
    #[link_name = "usermem_fixup_nofault"]
    static FIXUP: u8;
}

/// Where to go on when the instruction at `rip` page-faults, if it is one that must not wait for
/// the page.
pub fn nofault_fixup(rip: u64) -> Option<u64> {
    let accesses = [&raw const LOAD as u64, &raw const CAS as u64];
    accesses.contains(&rip).then_some(&raw const FIXUP as u64)
}
