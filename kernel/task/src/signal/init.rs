//! What the first process is spared.
//!
//! The machine ends with its first process, so the others may not end it, or stop it, by a signal
//! for which it has no handler: as Linux protects the first process of a pid namespace, which a
//! program in a container is. They may send it what it handles. Signals from outside (`skiff stop`,
//! Ctrl-C), from the kernel (faults, timers, broken pipes) and from itself act as on any process:
//! there is nobody else who could act on raise(3) or abort(3), which programs expect to end them.

use syscall_shim::types::{SIG_DFL, Siginfo, si_code};
use syscall_shim::{DefaultAction, Signal};

use crate::current;
use crate::family::FIRST_PID;
use crate::process::Process;

/// Whether a program has sent it, by kill(2) or one of its kin.
fn from_program(info: &Siginfo) -> bool {
    info.si_code <= si_code::SI_USER && !matches!(info.si_code, si_code::SI_TIMER | si_code::SI_SIGIO)
}

fn is_harmful(process: &Process, signal: Signal) -> bool {
    let by_default = matches!(signal.default_action(), DefaultAction::Term | DefaultAction::Core | DefaultAction::Stop);
    by_default && process.sighand.action(signal).handler == SIG_DFL
}

/// Whether `process` does not get the signal that the current thread is about to send it. It is not
/// blocked there.
pub fn spares_sending(process: &Process, signal: Signal, info: &Siginfo) -> bool {
    process.pid == FIRST_PID && current().process.pid != FIRST_PID && from_program(info) && is_harmful(process, signal)
}

/// The same where `process`, the current one, takes a signal that was blocked when it was sent.
pub fn spares_taking(process: &Process, signal: Signal, info: &Siginfo) -> bool {
    process.pid == FIRST_PID && from_program(info) && info.sender() != FIRST_PID && is_harmful(process, signal)
}
