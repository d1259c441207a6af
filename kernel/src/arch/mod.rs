//! Everything that knows it runs on an x86-64 processor.

pub mod acpi;
pub mod apic;
pub mod backtrace;
pub mod boot;
pub mod clock;
pub mod control;
pub mod cpu_flags;
pub mod cpuid;
pub mod direct;
pub mod entry;
pub mod fpu;
mod fw_cfg;
pub mod gdt;
pub mod hook;
pub mod idt;
pub mod ioapic;
pub mod ipi;
pub mod irq;
pub mod linux_boot;
mod mp_table;
pub mod msr;
pub mod percpu;
pub mod port;
pub mod poweroff;
mod privileged;
pub mod pvh;
pub mod rng;
pub mod serial;
pub mod smp;
pub mod switch;
pub mod timer;
pub mod trap;
pub mod traps;
pub mod tsc_scale;
mod tsc_sync;
pub mod vectors;
pub mod xstate;

unsafe extern "C" {
    #[link_name = "boot_stack"]
    static BOOT_STACK: u8;
    #[link_name = "boot_stack_top"]
    static BOOT_STACK_TOP: u8;
}

/// Lowest and highest address of the stack that boot runs on, which the boot CPU's idle task keeps.
pub fn boot_stack() -> (u64, u64) {
    (&raw const BOOT_STACK as u64, &raw const BOOT_STACK_TOP as u64)
}

/// Gives this CPU its tables, its interrupt stacks, its FPU and its system-call entry. The heap is up.
pub fn init_cpu() {
    gdt::init();
    idt::load();
    fpu::init_cpu();
    entry::init_syscall();
    crate::counters::init_cpu();
}
