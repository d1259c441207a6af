//! The Skiff unikernel.
//!
//! This file is the order of boot.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
extern crate arch;
#[cfg(target_os = "none")]
#[macro_use]
extern crate base;
#[cfg(target_os = "none")]
extern crate block;
#[cfg(target_os = "none")]
extern crate caller;
#[cfg(target_os = "none")]
extern crate mem;
#[cfg(target_os = "none")]
extern crate net;
#[cfg(target_os = "none")]
extern crate observe;
#[cfg(target_os = "none")]
extern crate sync;
#[cfg(target_os = "none")]
extern crate usermem;
#[cfg(target_os = "none")]
extern crate vm;

#[cfg(target_os = "none")]
mod counters;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod files;
#[cfg(target_os = "none")]
mod fs_platform;
#[cfg(target_os = "none")]
mod init;
#[cfg(target_os = "none")]
mod ipc;
#[cfg(target_os = "none")]
mod metrics;
#[cfg(target_os = "none")]
mod net_platform;
#[cfg(target_os = "none")]
mod options;
#[cfg(target_os = "none")]
mod power;
#[cfg(target_os = "none")]
mod profile;
#[cfg(target_os = "none")]
mod pseudo;
#[cfg(target_os = "none")]
mod syscalls;
#[cfg(target_os = "none")]
mod task_upcalls;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod vfs;

/// Exit status when the program could not be started.
#[cfg(target_os = "none")]
const STATUS_NOT_STARTED: u8 = 125;

/// When the kernel was built, in seconds since 1970: no later, at least, than now.
#[cfg(target_os = "none")]
const BUILT: u64 = match u64::from_str_radix(env!("SKIFF_BUILT"), 10) {
    Ok(seconds) => seconds,
    Err(_) => panic!("build.rs writes a number"),
};

/// Whether code, constants and what is said of the payload are as mkimage made them. Nothing of
/// that has been written to yet.
#[cfg(target_os = "none")]
fn image_is_whole() -> bool {
    let image = arch::boot::Image::read();
    if image.sum == 0 || arch::boot::verified() {
        return true;
    }
    image.parts().is_some_and(|parts| {
        let mut sum = fs::cpio::seal::Sum::new();
        parts.into_iter().for_each(|part| sum.add(part));
        sum.add(&image.payload.start.to_le_bytes());
        sum.add(&image.payload.len().to_le_bytes());
        sum.value() == image.sum
    })
}

/// The kernel's first Rust code, called by boot.s on the boot stack with interrupts off.
///
/// `protocol` and `info` are what [`arch::boot::init`] takes.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
unsafe extern "C" fn kmain(protocol: u64, info: u64) -> ! {
    arch::serial::init();
    observe::log::start();
    arch::percpu::init(0, arch::boot_stack());
    // SAFETY: first of all, with the loader's own values and the boot page tables.
    let boot = unsafe { arch::boot::init(protocol, info) };
    observe::log::init();
    if !image_is_whole() {
        kerr!("the kernel in the image is damaged (its checksum is wrong): build it again with mkimage, or copy it again");
        observe::host_link::exit(i32::from(STATUS_NOT_STARTED), observe::host_link::ExitKind::NotStarted);
    }
    mem::init(boot);
    arch::control::init();
    observe::symbols::init();
    entry::init_cpu();
    kinfo!("{} KiB free of {} KiB", mem::frames::stats().free * 4, mem::frames::stats().total * 4);
    platform::poweroff::init();
    platform::init_apic();
    arch::clock::start();
    platform::rng::init();
    drivers::init(observe::host_link::console_port());
    arch::clock::init(BUILT);
    task::vdso::publish_clock();
    arch::timer::init();
    observe::host_link::init();
    if !options::check() {
        observe::host_link::exit(i32::from(STATUS_NOT_STARTED), observe::host_link::ExitKind::NotStarted);
    }
    task::upcalls::init(&task_upcalls::Kernel);
    fd::set_caller_table(|| task::current().files());
    tty::set_opener(files::open::open);
    files::console::init();
    fd::fd_table::after_close(unix::in_flight::closed);
    vfs::set_pseudo(pseudo::procfs, pseudo::sysfs);
    files::pidfd_info::set_namespace_opener(pseudo::open_namespace);
    unix::set_pidfd_opener(files::pidfd::open_for);
    net_platform::init();
    syscalls::set_disable_quick(entry::patched_call::disable_quick);
    trace::init();
    if trace::is_active() {
        syscalls::inspect_calls(&|_| false);
    }
    observe::sampling::init();
    observe::mmap_events::init();
    if observe::mmap_events::is_debugged() {
        task::debugger_view::start();
    }
    vm::patching::init(
        entry::patched_call::for_trampolines(),
        boot.command_line().split_ascii_whitespace().any(|word| word == "no-patch"),
    );
    mem::heap::set_shortage_hook(task::oom::call_for);
    observe::panic::register_dump_hook(task::dump::current_task);
    observe::panic::set_last_words(power::tell_of_losses);
    let started = vfs::init().and_then(|root| {
        task::sched::init_cpu(root.clone())?;
        platform::smp::start_others(entry::further_cpus());
        if task::sched::online_cpus() != 1 {
            task::watchdog::start();
        }
        #[cfg(debug_assertions)]
        task::held_locks::check();
        init::start(root)
    });
    if let Err(errno) = started {
        kerr!("no memory to start the first process ({errno:?}): raise --memory");
        observe::host_link::exit(i32::from(STATUS_NOT_STARTED), observe::host_link::ExitKind::NotStarted);
    }
    task::sched::idle()
}

/// The kernel does not run on a host; this lets host builds of the whole workspace pass over it.
#[cfg(not(target_os = "none"))]
fn main() {}
