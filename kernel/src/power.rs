//! The end of the virtual machine.

use crate::host_link::{self, ExitKind};

/// Ends the virtual machine because its first process ended with wait status `status`. Other processes end with it.
pub fn program_ended(status: u32) -> ! {
    let signal = status & 0x7f;
    let code = if signal != 0 { 128 + signal } else { status >> 8 & 0xff };
    if code != 0 {
        crate::files::missing_paths::report();
    }
    crate::task::signal::report::print_suppressed();
    crate::trace::print_stats();
    host_link::exit(code as i32, ExitKind::Ended)
}
