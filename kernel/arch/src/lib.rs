//! Everything that knows it runs on an x86-64 processor and needs neither locks nor a heap of its
//! own making: registers, tables, the local APIC, clocks, the entry of traps, the boot protocols,
//! and what each CPU has of its own.
//!
//! The layers above are called at a handful of places, which [`upcalls`] lists. Nothing else points
//! upward.
#![no_std]

extern crate alloc;
#[macro_use]
extern crate base;

pub mod apic;
pub mod backtrace;
pub mod boot;
mod boot_info;
pub mod clock;
pub mod control;
pub mod cpu_flags;
pub mod cpuid;
pub mod fpu;
pub mod gdt;
pub mod hook;
pub mod idt;
pub mod ipi;
pub mod irq;
pub mod layout;
mod linux_boot;
pub mod msr;
pub mod percpu;
pub mod port;
mod pvh;
pub mod serial;
pub mod switch;
pub mod timer;
pub mod tlb;
pub mod trap;
#[macro_use]
pub mod trap_entry;
pub mod upcalls;
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

/// Gives this CPU its tables, its interrupt stacks and its FPU. The heap is up.
pub fn init_cpu() {
    gdt::init();
    idt::load();
    fpu::init_cpu();
}
