//! Everything that knows it runs on an x86-64 processor and needs neither locks nor a heap of its own making: registers, tables, the
//! local APIC, clocks, the entry of traps, the boot protocols, and what each CPU has of its own.
//!
//! The layers above are called at a handful of places, which [`upcalls`] lists. Nothing else points upward.
//!
//! On a host there is nothing of it but what a trap leaves.
#![no_std]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
#[macro_use]
extern crate base;

#[cfg(target_os = "none")]
pub mod apic;
#[cfg(target_os = "none")]
pub mod backtrace;
#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
mod boot_info;
#[cfg(target_os = "none")]
pub mod clock;
#[cfg(target_os = "none")]
pub mod control;
#[cfg(target_os = "none")]
pub mod cpu_flags;
#[cfg(target_os = "none")]
pub mod cpuid;
#[cfg(target_os = "none")]
pub mod fpu;
#[cfg(target_os = "none")]
pub mod gdt;
#[cfg(target_os = "none")]
pub mod hook;
#[cfg(target_os = "none")]
pub mod idt;
#[cfg(target_os = "none")]
pub mod ipi;
#[cfg(target_os = "none")]
pub mod irq;
#[cfg(target_os = "none")]
pub mod layout;
#[cfg(target_os = "none")]
mod linux_boot;
#[cfg(target_os = "none")]
pub mod msr;
#[cfg(target_os = "none")]
pub mod percpu;
#[cfg(target_os = "none")]
pub mod port;
#[cfg(target_os = "none")]
mod pvh;
#[cfg(target_os = "none")]
pub mod serial;
#[cfg(target_os = "none")]
pub mod switch;
#[cfg(target_os = "none")]
pub mod timer;
#[cfg(target_os = "none")]
pub mod tlb;
pub mod trap;
#[cfg(target_os = "none")]
#[macro_use]
pub mod trap_entry;
#[cfg(target_os = "none")]
pub mod upcalls;
#[cfg(target_os = "none")]
pub mod vectors;
#[cfg(target_os = "none")]
pub mod xstate;

#[cfg(target_os = "none")]
unsafe extern "C" {
    #[link_name = "boot_stack"]
    static BOOT_STACK: u8;
    #[link_name = "boot_stack_top"]
    static BOOT_STACK_TOP: u8;
}

/// Lowest and highest address of the stack that boot runs on, which the boot CPU's idle task keeps.
#[cfg(target_os = "none")]
pub fn boot_stack() -> (u64, u64) {
    (&raw const BOOT_STACK as u64, &raw const BOOT_STACK_TOP as u64)
}

/// Gives this CPU its tables, its interrupt stacks and its FPU. The heap is up.
#[cfg(target_os = "none")]
pub fn init_cpu() {
    gdt::init();
    idt::load();
    fpu::init_cpu();
}
