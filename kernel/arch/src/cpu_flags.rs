//! The processor's features by Linux's names, as /proc/cpuinfo lists them.

use alloc::string::String;
use core::arch::x86_64::{__cpuid_count, __get_cpuid_max, CpuidResult};

/// The words of Linux's feature array that come from CPUID: leaf, subleaf, register, and the names
/// from bit 0 up; `-` where Linux shows none (arch/x86/include/asm/cpufeatures.h).
const WORDS: &[(u32, u32, Register, &str)] = &[
    (
        1,
        0,
        Register::Edx,
        "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm \
         ia64 pbe",
    ),
    (
        0x8000_0001,
        0,
        Register::Edx,
        "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
    ),
    (
        1,
        0,
        Register::Ecx,
        "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic \
         movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor",
    ),
    (
        0x8000_0001,
        0,
        Register::Ecx,
        "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - \
         nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -",
    ),
    (
        7,
        0,
        Register::Ebx,
        "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap \
         avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl",
    ),
    (0xd, 1, Register::Eax, "xsaveopt xsavec xgetbv1 xsaves"),
    (7, 1, Register::Eax, "- - - - avx_vnni avx512_bf16"),
    (0x8000_0008, 0, Register::Ebx, "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd"),
    (6, 0, Register::Eax, "dtherm ida arat - pln - pts hwp hwp_notify hwp_act_window hwp_epp hwp_pkg_req"),
    (
        7,
        0,
        Register::Ecx,
        "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - \
         la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc",
    ),
    (
        7,
        0,
        Register::Edx,
        "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - pconfig arch_lbr - - \
         amx_bf16 avx512_fp16 amx_tile amx_int8 - - flush_l1d arch_capabilities",
    ),
];

#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

impl Register {
    fn of(self, leaf: CpuidResult) -> u32 {
        match self {
            Register::Eax => leaf.eax,
            Register::Ebx => leaf.ebx,
            Register::Ecx => leaf.ecx,
            Register::Edx => leaf.edx,
        }
    }
}

/// The highest basic leaf (`cpuid level`).
pub fn highest_leaf() -> u32 {
    __get_cpuid_max(0).0
}

/// The names of the features that the processor has, separated by blanks.
pub fn names() -> String {
    let mut out = String::new();
    for (leaf, subleaf, register, names) in WORDS {
        if *leaf > __get_cpuid_max(leaf & 0x8000_0000).0 {
            continue;
        }
        let word = register.of(__cpuid_count(*leaf, *subleaf));
        for (bit, name) in names.split(' ').enumerate() {
            if word >> bit & 1 != 0 && name != "-" {
                out += if out.is_empty() { "" } else { " " };
                out += name;
            }
        }
    }
    out
}
