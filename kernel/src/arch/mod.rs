//! Everything that knows it runs on an x86-64 processor.

pub mod acpi;
pub mod apic;
pub mod backtrace;
pub mod boot;
pub mod clock;
pub mod control;
pub mod cpuid;
pub mod hook;
pub mod ioapic;
pub mod irq;
pub mod linux_boot;
pub mod msr;
pub mod port;
pub mod poweroff;
pub mod pvh;
pub mod rng;
pub mod serial;
pub mod timer;
pub mod vectors;
