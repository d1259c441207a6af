//! Everything that knows it runs on an x86-64 processor.

pub mod boot;
pub mod irq;
pub mod linux_boot;
pub mod msr;
pub mod port;
pub mod poweroff;
pub mod pvh;
pub mod serial;
