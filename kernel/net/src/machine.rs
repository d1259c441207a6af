//! What the network asks of the machine that it runs on, besides what is asked of the running
//! thread ([`caller`]).

use alloc::vec::Vec;

use caller::Instant;
use spin::Once;

use super::netlink::LocalSocket;

/// The machine, given to [`init`](super::init).
pub trait Machine: Send + Sync {
    /// A random number.
    fn random(&self) -> u64;

    /// Calls `f` at a point on the monotonic clock, perhaps in interrupt context.
    fn call_at(&self, deadline: Instant, f: fn());

    /// The CPU that this runs on.
    fn cpu(&self) -> u32;

    /// How many CPUs there are.
    fn cpus(&self) -> u32;

    /// The sockets of `AF_UNIX`, which are not this layer's, for those who ask what sockets there
    /// are.
    fn local_sockets(&self) -> Vec<LocalSocket>;
}

static MACHINE: Once<&'static dyn Machine> = Once::new();

/// Makes `machine` the one that is asked. The first stays.
pub fn set(machine: &'static dyn Machine) {
    MACHINE.call_once(|| machine);
}

/// The machine. Panics where there is none: that is a mistake in the boot order, not in any input.
fn machine() -> &'static dyn Machine {
    match MACHINE.get() {
        Some(machine) => *machine,
        None => panic!("net: used before init"),
    }
}

/// See [`Machine::random`].
pub fn random() -> u64 {
    machine().random()
}

/// See [`Machine::call_at`].
pub fn call_at(deadline: Instant, f: fn()) {
    machine().call_at(deadline, f);
}

/// See [`Machine::cpu`].
pub fn cpu() -> u32 {
    machine().cpu()
}

/// See [`Machine::cpus`].
pub fn cpus() -> u32 {
    machine().cpus()
}

/// See [`Machine::local_sockets`].
pub fn local_sockets() -> Vec<LocalSocket> {
    machine().local_sockets()
}
