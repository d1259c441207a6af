//! The end of the virtual machine.

use crate::host_link::{self, ExitKind};
use crate::vfs::namespace;

/// Writes to the disks what they do not have yet, and says so where that fails.
pub fn save_files() {
    let result = namespace().end();
    if let Err(errno) = result.and(block::registry::sync()) {
        kerr!("not all that was written is on the disks: {errno:?}");
    }
}

/// Ends the virtual machine because its first process ended with wait status `status`. Other processes end with it.
pub fn program_ended(status: u32) -> ! {
    let signal = status & 0x7f;
    let code = if signal != 0 { 128 + signal } else { status >> 8 & 0xff };
    if code != 0 {
        crate::files::missing_paths::report();
    }
    crate::task::signal::report::print_suppressed();
    crate::trace::print_stats();
    save_files();
    host_link::exit(code as i32, ExitKind::Ended)
}
