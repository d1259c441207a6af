//! The FPU and vector state of a thread. It is saved at context switches and signals only: the
//! kernel itself uses none.

use alloc::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use raw_cpuid::CpuId;

static XSAVE: AtomicBool = AtomicBool::new(false);
static XSAVEOPT: AtomicBool = AtomicBool::new(false);
static XCR0: AtomicU64 = AtomicU64::new(3);
static AREA_SIZE: AtomicUsize = AtomicUsize::new(512);

/// x87, SSE, AVX and the three AVX-512 components; protection keys and AMX tiles are left off.
const SUPPORTED: u64 = 0b1110_0111;

/// Turns the FPU on for this CPU: CR0.MP and NE, CR4.OSFXSR, OSXMMEXCPT and OSXSAVE, and XCR0 with
/// all that it has.
pub fn init_cpu() {
    let has_xsave = CpuId::new().get_feature_info().is_some_and(|f| f.has_xsave());
    // SAFETY: sets the bits that Linux sets too; XCR0 gets only bits that CPUID reports.
    unsafe {
        let mut cr0: u64;
        asm!("mov {}, cr0", out(reg) cr0);
        cr0 = (cr0 | 1 << 1 | 1 << 5) & !(1 << 2 | 1 << 3);
        asm!("mov cr0, {}", in(reg) cr0);
        let mut cr4: u64;
        asm!("mov {}, cr4", out(reg) cr4);
        cr4 |= 1 << 9 | 1 << 10 | u64::from(has_xsave) << 18;
        asm!("mov cr4, {}", in(reg) cr4);
        if has_xsave {
            let leaf = core::arch::x86_64::__cpuid_count(0xd, 0);
            let available = u64::from(leaf.eax) | u64::from(leaf.edx) << 32;
            let xcr0 = available & SUPPORTED;
            asm!("xsetbv", in("ecx") 0, in("eax") xcr0 as u32, in("edx") (xcr0 >> 32) as u32);
            // EBX now tells the size for what XCR0 enables.
            let size = core::arch::x86_64::__cpuid_count(0xd, 0).ebx as usize;
            let (low, high): (u32, u32);
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high);
            if u64::from(low) | u64::from(high) << 32 != xcr0 {
                // A hypervisor that was not told of the write puts its own value back with the next
                // exit, which CPUID was: seen with KVM on a processor that QEMU emulates. FXSAVE
                // then has all that is left.
                asm!("mov cr4, {}", in(reg) cr4 & !(1 << 18));
                return;
            }
            XCR0.store(xcr0, Ordering::Relaxed);
            AREA_SIZE.store(size.max(576), Ordering::Relaxed);
            XSAVEOPT.store(core::arch::x86_64::__cpuid_count(0xd, 1).eax & 1 != 0, Ordering::Relaxed);
            XSAVE.store(true, Ordering::Relaxed);
        }
    }
}

/// The state components in use (XCR0), as a signal frame's `xfeatures` gives them.
pub fn xcr0() -> u64 {
    XCR0.load(Ordering::Relaxed)
}

/// Size in bytes of a thread's state in the standard (non-compacted) format.
pub fn area_size() -> usize {
    AREA_SIZE.load(Ordering::Relaxed)
}

/// Whether the area has an XSAVE header (else it is the 512 bytes of FXSAVE).
pub fn has_xsave() -> bool {
    XSAVE.load(Ordering::Relaxed)
}

/// One thread's saved state, 64-byte aligned, in the standard XSAVE format.
pub struct FpuArea(*mut u8);

// SAFETY: an owned allocation.
unsafe impl Send for FpuArea {}
// SAFETY: shared references only read.
unsafe impl Sync for FpuArea {}

fn layout() -> Layout {
    match Layout::from_size_align(area_size(), 64) {
        Ok(layout) => layout,
        Err(_) => unreachable!("the size is a few KiB"),
    }
}

const FCW_DEFAULT: u16 = 0x37f;
const MXCSR_DEFAULT: u32 = 0x1f80;
const OFF_MXCSR: usize = 24;
const OFF_XSTATE_BV: usize = 512;
const XSAVE_HEADER: usize = 64;

impl FpuArea {
    /// The state that `execve` starts a program with.
    pub fn new() -> Self {
        // SAFETY: the layout's size is not zero.
        let ptr = unsafe { alloc_zeroed(layout()) };
        if ptr.is_null() {
            handle_alloc_error(layout());
        }
        let mut area = Self(ptr);
        area.reset();
        area
    }

    /// Back to the state at program start. With XSAVE that is an empty header, and MXCSR, which is
    /// loaded all the same.
    pub fn reset(&mut self) {
        let stale = if has_xsave() { OFF_XSTATE_BV..OFF_XSTATE_BV + XSAVE_HEADER } else { 0..OFF_XSTATE_BV };
        let bytes = self.bytes_mut();
        bytes[stale].fill(0);
        bytes[..2].copy_from_slice(&FCW_DEFAULT.to_le_bytes());
        bytes[OFF_MXCSR..OFF_MXCSR + 4].copy_from_slice(&MXCSR_DEFAULT.to_le_bytes());
    }

    /// The saved bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation has this size and lives as long as `self`.
        unsafe { core::slice::from_raw_parts(self.0, area_size()) }
    }

    /// The saved bytes, to change. Call [`FpuArea::sanitize`] on bytes that come from the
    /// application.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.0, area_size()) }
    }

    /// Makes bytes of any origin loadable: XRSTOR faults on reserved bits of MXCSR and of the
    /// header.
    pub fn sanitize(&mut self) {
        let mask = 0xffff;
        let with_header = has_xsave();
        let bytes = self.bytes_mut();
        if let Some(field) = bytes.get_mut(OFF_MXCSR..OFF_MXCSR + 4) {
            let mut value = [0; 4];
            value.copy_from_slice(field);
            field.copy_from_slice(&(u32::from_le_bytes(value) & mask).to_le_bytes());
        }
        if with_header {
            let mut value = [0; 8];
            value.copy_from_slice(&bytes[OFF_XSTATE_BV..OFF_XSTATE_BV + 8]);
            let features = u64::from_le_bytes(value) & xcr0();
            bytes[OFF_XSTATE_BV..OFF_XSTATE_BV + 64].fill(0);
            bytes[OFF_XSTATE_BV..OFF_XSTATE_BV + 8].copy_from_slice(&features.to_le_bytes());
        }
    }

    /// Saves the CPU's state here.
    pub fn save(&mut self) {
        let (low, high) = (xcr0() as u32, (xcr0() >> 32) as u32);
        // SAFETY: the area is 64-byte aligned and as large as XCR0 needs.
        unsafe {
            if XSAVEOPT.load(Ordering::Relaxed) {
                asm!("xsaveopt64 [{}]", in(reg) self.0, in("eax") low, in("edx") high, options(nostack));
            } else if has_xsave() {
                asm!("xsave64 [{}]", in(reg) self.0, in("eax") low, in("edx") high, options(nostack));
            } else {
                asm!("fxsave64 [{}]", in(reg) self.0, options(nostack));
            }
        }
    }

    /// Loads the CPU's state from here.
    pub fn restore(&self) {
        let (low, high) = (xcr0() as u32, (xcr0() >> 32) as u32);
        // SAFETY: the area was saved by `save` or passed `sanitize`, so the load cannot fault.
        unsafe {
            if has_xsave() {
                asm!("xrstor64 [{}]", in(reg) self.0, in("eax") low, in("edx") high, options(nostack));
            } else {
                asm!("fxrstor64 [{}]", in(reg) self.0, options(nostack));
            }
        }
    }
}

impl Default for FpuArea {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for FpuArea {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

impl Drop for FpuArea {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with the same layout.
        unsafe { dealloc(self.0, layout()) };
    }
}
