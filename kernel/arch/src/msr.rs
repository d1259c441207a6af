//! Model-specific registers.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

/// Base address and mode of the local APIC.
pub const APIC_BASE: u32 = 0x1b;
/// Deadline of the local APIC timer, in TSC ticks.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// First register of the x2APIC; the register at xAPIC offset `o` is at `X2APIC + o / 16`.
pub const X2APIC: u32 = 0x800;
/// KVM: guest physical address of this CPU's `pvclock_vcpu_time_info`, bit 0 enables it.
pub const KVM_SYSTEM_TIME_NEW: u32 = 0x4b56_4d01;
/// KVM: guest physical address of the `pvclock_wall_clock` to fill.
pub const KVM_WALL_CLOCK_NEW: u32 = 0x4b56_4d00;
/// KVM: guest physical address of this CPU's end-of-interrupt word, bit 0 enables it.
pub const KVM_PV_EOI_EN: u32 = 0x4b56_4d04;

/// Reads a model-specific register.
///
/// # Safety
/// The register must exist: an unknown one raises #GP.
#[inline]
pub unsafe fn read(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller knows that the register exists.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The register must exist, take this value, and the CPU mode that results must keep the kernel
/// running.
#[inline]
pub unsafe fn write(register: u32, value: u64) {
    // SAFETY: the caller knows what the value does.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

/// FS base: the running thread's TLS.
pub const FS_BASE: u32 = 0xc000_0100;

/// Whether all CPUs have `rdfsbase` and `wrfsbase` and are set to allow them: they take far less
/// time than the register.
static FSGSBASE: AtomicBool = AtomicBool::new(false);

/// Says whether the CPUs, which are alike, can do without the register for FS base. This one is set
/// to allow it.
pub fn set_fsgsbase(usable: bool) {
    FSGSBASE.store(usable, Ordering::Relaxed);
}

/// Whether programs, too, may use these instructions.
pub fn has_fsgsbase() -> bool {
    FSGSBASE.load(Ordering::Relaxed)
}

/// FS base of this CPU.
#[inline(always)]
pub fn fs_base() -> u64 {
    if FSGSBASE.load(Ordering::Relaxed) {
        let base: u64;
        // SAFETY: the CPU has the instruction and CR4 allows it.
        unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
        return base;
    }
    // SAFETY: reading the MSR has no effect.
    unsafe { read(FS_BASE) }
}

/// Sets FS base of this CPU. `base` is canonical.
#[inline(always)]
pub fn set_fs_base(base: u64) {
    if FSGSBASE.load(Ordering::Relaxed) {
        // SAFETY: the CPU has the instruction and CR4 allows it; else as below.
        return unsafe { asm!("wrfsbase {}", in(reg) base, options(nostack, preserves_flags)) };
    }
    // SAFETY: the kernel does not use FS, and callers check that the address is the application's.
    unsafe { write(FS_BASE, base) };
}
