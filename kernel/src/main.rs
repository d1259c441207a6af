//! The Skiff unikernel.
//!
//! This file is the order of boot.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod channel;
#[cfg(target_os = "none")]
mod drivers;
#[cfg(target_os = "none")]
#[macro_use]
mod log;
#[cfg(target_os = "none")]
mod mm;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod symbols;
#[cfg(target_os = "none")]
mod sync;

/// The kernel's first Rust code, called by boot.s on the boot stack with interrupts off.
///
/// `protocol` and `info` are what [`arch::boot::init`] takes.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn kmain(protocol: u64, info: u64) -> ! {
    arch::serial::init();
    // SAFETY: first of all, with the loader's own values and the boot page tables.
    let boot = unsafe { arch::boot::init(protocol, info) };
    log::init();
    mm::init(boot);
    arch::control::init();
    symbols::init();
    kinfo!("{} KiB free of {} KiB", mm::frames::stats().free * 4, mm::frames::stats().total * 4);
    arch::poweroff::init();
    arch::apic::init();
    arch::clock::start();
    arch::rng::init();
    drivers::init();
    arch::clock::init();
    arch::timer::init();
    channel::init();
    channel::exit(0, channel::ExitKind::Ended)
}

/// The kernel does not run on a host; this lets host builds of the whole workspace pass over it.
#[cfg(not(target_os = "none"))]
fn main() {}
