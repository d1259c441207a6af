//! What CPUID says about the hypervisor; the rest is asked where it is needed, through `raw-cpuid`.

use core::arch::x86_64::{__cpuid, CpuidResult};

/// Leaf with the hypervisor's highest leaf and name.
const HYPERVISOR: u32 = 0x4000_0000;
/// Leaf with KVM's features.
const KVM_FEATURES: u32 = 0x4000_0001;
/// Leaf with the frequencies of TSC and APIC bus, in kHz (VMware's, QEMU's and KVM's convention).
const FREQUENCIES: u32 = 0x4000_0010;

const KVM_NAME: [u32; 3] = [u32::from_le_bytes(*b"KVMK"), u32::from_le_bytes(*b"VMKV"), u32::from_le_bytes(*b"M\0\0\0")];

/// Feature bit: the clock at the new MSRs (Documentation/virt/kvm/x86/cpuid.rst).
pub const KVM_FEATURE_CLOCKSOURCE2: u32 = 1 << 3;
/// Feature bit: an end of interrupt can be left as a note in memory.
pub const KVM_FEATURE_PV_EOI: u32 = 1 << 6;

fn hypervisor_leaf() -> Option<CpuidResult> {
    raw_cpuid::CpuId::new().get_feature_info().filter(|info| info.has_hypervisor()).map(|_| __cpuid(HYPERVISOR))
}

fn is_hypervisor(name: [u32; 3]) -> bool {
    hypervisor_leaf().is_some_and(|leaf| [leaf.ebx, leaf.ecx, leaf.edx] == name)
}

/// Whether any hypervisor says that it runs us.
pub fn is_virtual() -> bool {
    hypervisor_leaf().is_some()
}

/// Whether KVM runs us.
pub fn is_kvm() -> bool {
    is_hypervisor(KVM_NAME)
}

/// KVM's feature bits; 0 under anything else.
pub fn kvm_features() -> u32 {
    if is_kvm() { __cpuid(KVM_FEATURES).eax } else { 0 }
}

/// Frequencies of TSC and APIC timer in Hz, as the hypervisor gives them; 0 for what it does not.
pub fn hypervisor_frequencies() -> (u64, u64) {
    match hypervisor_leaf() {
        Some(leaf) if leaf.eax >= FREQUENCIES => {
            let leaf = __cpuid(FREQUENCIES);
            (u64::from(leaf.eax) * 1000, u64::from(leaf.ebx) * 1000)
        }
        _ => (0, 0),
    }
}

/// Frequency of the TSC in Hz from the processor's own leaves, if they tell.
pub fn tsc_frequency() -> Option<u64> {
    let cpuid = raw_cpuid::CpuId::new();
    cpuid.get_tsc_info().and_then(|info| info.tsc_frequency()).filter(|frequency| *frequency != 0)
}

/// Whether the local APIC timer takes a TSC value as its deadline.
pub fn has_tsc_deadline() -> bool {
    raw_cpuid::CpuId::new().get_feature_info().is_some_and(|info| info.has_tsc_deadline())
}
