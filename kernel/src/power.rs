//! The end of the virtual machine.

use observe::host_link::{self, ExitKind};
use task::namespace;

/// Writes to the disks what they do not have yet, and says so where that fails.
pub fn save_files() {
    let result = namespace().end();
    if let Err(errno) = result.and(block::registry::sync()) {
        kerr!("not all that was written is on the disks: {errno:?}");
    }
}

/// Ends the virtual machine because its first process ended with wait status `status`. Other
/// processes end with it.
pub fn program_ended(status: u32) -> ! {
    let signal = status & 0x7f;
    let code = if signal != 0 { 128 + signal } else { status >> 8 & 0xff };
    if code != 0 {
        crate::files::missing_paths::report();
    }
    task::signal::report::print_suppressed();
    crate::trace::print_stats();
    save_files();
    host_link::exit(code as i32, ExitKind::Ended)
}

/// Says what has become of disks that are mounted, which nothing can be written to any more.
pub fn tell_of_losses() {
    if ext4_mount::has_written() {
        emergency!(
            "skiff: the disks do not have what was not synced; the next machine that mounts them replays their journals"
        );
    }
}
