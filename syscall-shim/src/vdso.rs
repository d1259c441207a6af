//! The vDSO's image and the data page it reads (vdso(7)); its code is in `vdso/`.
//!
//! The kernel maps one page of [`VdsoData`], read-only, and right above it the pages of [`IMAGE`],
//! readable and executable; `AT_SYSINFO_EHDR` is the address of the image. It updates the page with
//! [`VdsoData::sequence`] odd meanwhile.

use linux_raw_sys::general as g;

/// The ELF shared object, to be mapped from its first byte at a page boundary.
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vdso.so"));

/// Pages that [`IMAGE`] takes, without the data page below it.
pub const IMAGE_PAGES: usize = IMAGE.len().div_ceil(crate::PAGE_SIZE);

/// [`VdsoData::mode`]: every function makes its system call.
pub const MODE_SYSCALL: u32 = 0;
/// [`VdsoData::mode`]: the TSC runs at one rate on all CPUs and the scale below holds.
pub const MODE_TSC: u32 = 1;

/// The calls whose answers the code counts, in the order of the counts: eight bytes each, from
/// [`VdsoData::counts`] above GS base on. Where that is 0, none are.
pub const COUNTED: [u32; 5] =
    [g::__NR_clock_gettime, g::__NR_gettimeofday, g::__NR_time, g::__NR_clock_getres, g::__NR_getcpu];

abi_structs! {
    /// The data page's first bytes. Nanoseconds since boot are `base_ns + ((tsc - base_tsc) * mult
    /// >> 48)`.
    VdsoData [64] {
        sequence: u32, mode: u32, base_tsc: u64, base_ns: u64, mult: u64, realtime_ns: u64, coarse_resolution_ns: u32, getcpu: u32,
        counts: u32, tai: i32, tz_minuteswest: i32, tz_dsttime: i32,
    }
}

impl VdsoData {
    /// Nanoseconds since boot at `tsc`, exactly as the vDSO reckons them: a kernel that uses this
    /// for its own clock never disagrees with the program's.
    pub fn monotonic_ns(&self, tsc: u64) -> u64 {
        let delta = tsc.saturating_sub(self.base_tsc);
        self.base_ns.wrapping_add(((u128::from(delta) * u128::from(self.mult)) >> 48) as u64)
    }
}
