//! The end of the kernel: say what happened, where, and what led to it, and power off. It must
//! neither recurse nor hang: output polls with a bound, no lock is waited for, and a panic inside a
//! panic cuts straight to power-off.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::host_link::{self, ExitKind};
use crate::symbols::{ReturnAddress, Symbolised};
use arch::control::ControlRegisters;
use arch::hook::Hook;
use arch::{backtrace, ipi, irq};
use mem::heap;
use platform::poweroff;

/// The status that tells the host of a kernel panic.
const PANIC_STATUS: i32 = 120;
/// The status of a program that SIGKILL ended, as the out-of-memory killer does.
const OUT_OF_MEMORY_STATUS: i32 = 128 + 9;
const MAX_HOOKS: usize = 4;

/// Panics so far; all after the first are inside it, or on other CPUs.
static PANICS: AtomicU32 = AtomicU32::new(0);
static HOOKS: [Hook; MAX_HOOKS] = [const { Hook::new() }; MAX_HOOKS];
static LAST_WORDS: Hook = Hook::new();

/// Where the CPU was when it met a fault that the kernel cannot survive.
pub struct Context<'a> {
    /// Address of the instruction.
    pub rip: u64,
    /// Frame pointer there.
    pub rbp: u64,
    /// All registers, in lines.
    pub registers: &'a dyn fmt::Display,
}

/// Has `hook` called in a panic, after the backtrace; it prints with [`emergency!`] what helps to
/// explain it, and waits for no lock. At most four hooks are kept.
pub fn register_dump_hook(hook: fn()) {
    let kept = HOOKS.iter().any(|slot| slot.set_if_empty(hook));
    debug_assert!(kept, "more than {MAX_HOOKS} dump hooks");
}

/// Has `hook` called last of all, whichever way the kernel ends early; it does as those of
/// [`register_dump_hook`].
pub fn set_last_words(hook: fn()) {
    let kept = LAST_WORDS.set_if_empty(hook);
    debug_assert!(kept, "who has the last word is set twice");
}

/// Ends the kernel because of a fault.
pub fn die(message: fmt::Arguments<'_>, context: Option<&Context<'_>>) -> ! {
    end(message, context, None)
}

/// See [`die`]; `lacking`: so many bytes were not to be had, and nothing else is wrong.
fn end(message: fmt::Arguments<'_>, context: Option<&Context<'_>>, lacking: Option<usize>) -> ! {
    irq::save_and_disable();
    match PANICS.fetch_add(1, Ordering::AcqRel) {
        // The others stop before they can see what is broken, or mix their output with this.
        0 => ipi::stop_others(arch::percpu::online()),
        1 => {
            emergency!("skiff: panic within a panic: {message}");
            poweroff::poweroff(PANIC_STATUS as u8);
        }
        _ => poweroff::poweroff(PANIC_STATUS as u8),
    }
    if let Some(size) = lacking {
        emergency!("\nskiff: out of memory: the kernel needs {size} bytes more; give the machine more memory (--memory)");
        LAST_WORDS.call();
        host_link::exit(OUT_OF_MEMORY_STATUS, ExitKind::OutOfMemory);
    }
    emergency!("\nskiff: kernel panic: {message}");
    match context {
        Some(context) => {
            emergency!("{}", context.registers);
            print_backtrace(Some(context.rip), context.rbp);
        }
        None => print_backtrace(None, backtrace::frame_pointer()),
    }
    emergency!("{}", ControlRegisters::read());
    HOOKS.iter().for_each(Hook::call);
    LAST_WORDS.call();
    host_link::exit(PANIC_STATUS, ExitKind::Panic)
}

/// Prints a backtrace to the serial port: `rip` where it is known, then the return addresses from
/// `rbp` up.
pub fn print_backtrace(rip: Option<u64>, rbp: u64) {
    emergency!("backtrace:");
    if let Some(rip) = rip {
        emergency!("  {}", Symbolised(rip));
    }
    let mut last = None;
    let mut repeats = 0;
    for address in backtrace::return_addresses(rbp).map(Some).chain([None]) {
        if address == last {
            repeats += 1;
            continue;
        }
        if repeats != 0 {
            emergency!("  ... {repeats} times more");
        }
        (last, repeats) = (address, 0);
        if let Some(address) = address {
            emergency!("  {}", ReturnAddress(address));
        }
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // An allocation that cannot fail has: the standard library has no other way to say so.
    let lacks = info.location().is_some_and(|location| location.file().ends_with("alloc/src/alloc.rs"));
    if lacks && let Some(size) = heap::failed_allocation() {
        end(format_args!("{}", info.message()), None, Some(size));
    }
    match info.location() {
        Some(location) => die(format_args!("{} ({location})", info.message()), None),
        None => die(format_args!("{}", info.message()), None),
    }
}
