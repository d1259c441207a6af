//! The control registers.

use core::fmt;

use x86_64::registers::control::{Cr0, Cr0Flags, Cr2, Cr3, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, FsBase, GsBase};

/// Puts this CPU in the mode that the kernel expects: protection by page bits binds ring 0 too,
/// global pages, and `wrfsbase` where there is one. SMEP and SMAP stay off: the application's pages
/// are the kernel's own kind.
pub fn init() {
    let fsgsbase = raw_cpuid::CpuId::new().get_extended_feature_info().is_some_and(|features| features.has_fsgsbase());
    // SAFETY: write protection is on since boot.s on the first CPU; the rest only adds instructions
    // and a cache hint.
    unsafe {
        Cr0::update(|cr0| *cr0 |= Cr0Flags::WRITE_PROTECT);
        Cr4::update(|cr4| {
            *cr4 |= Cr4Flags::PAGE_GLOBAL;
            cr4.set(Cr4Flags::FSGSBASE, fsgsbase);
            cr4.remove(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION | Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION);
        });
    }
    super::msr::set_fsgsbase(fsgsbase);
}

/// Has this CPU forget the instructions that it has fetched ahead (SDM vol. 3, 9.3: a move to a
/// control register serializes).
pub fn serialize() {
    // SAFETY: CR2 gets the value that it has; nothing but the page-fault handler reads it, and that
    // at once.
    unsafe { core::arch::asm!("mov {0}, cr2", "mov cr2, {0}", out(reg) _, options(nostack, preserves_flags)) };
}

/// The registers that say which mode the CPU is in.
#[derive(Clone, Copy, Debug)]
pub struct ControlRegisters {
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
    fs_base: u64,
    gs_base: u64,
}

impl ControlRegisters {
    /// The registers of this CPU now.
    pub fn read() -> Self {
        Self {
            cr0: Cr0::read_raw(),
            cr2: Cr2::read_raw(),
            cr3: Cr3::read().0.start_address().as_u64(),
            cr4: Cr4::read_raw(),
            efer: Efer::read_raw(),
            fs_base: FsBase::read().as_u64(),
            gs_base: GsBase::read().as_u64(),
        }
    }
}

impl fmt::Display for ControlRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cr0, cr2, cr3, cr4, efer, fs_base, gs_base } = self;
        writeln!(f, "cr0 {cr0:016x} cr2 {cr2:016x} cr3 {cr3:016x} cr4 {cr4:016x}")?;
        write!(f, "efer {efer:x} fs {fs_base:016x} gs {gs_base:016x}")
    }
}
