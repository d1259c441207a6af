//! The machine and its cards, as the network sees them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::arch::boot;
use crate::arch::percpu::this_cpu;
use crate::net::machine::Machine;
use crate::net::netlink::LocalSocket;
use crate::net::{self, Options};
use platform::rng;
use task::{Instant, sched, timer};

struct Kernel;

impl Machine for Kernel {
    fn random(&self) -> u64 {
        rng::next_u64()
    }

    fn call_at(&self, deadline: Instant, f: fn()) {
        timer::call_at(deadline, Arc::new(f));
    }

    fn cpu(&self) -> u32 {
        this_cpu().id.get()
    }

    fn cpus(&self) -> u32 {
        sched::online_cpus().count_ones()
    }

    fn local_sockets(&self) -> Vec<LocalSocket> {
        unix::report::list()
    }
}

/// Finds the network cards, and starts the network with them. The random numbers are ready.
pub fn init() {
    let options = |name| boot::options(name).collect();
    let options = Options { ip: options("ip"), gateway: options("gateway"), dns: options("dns") };
    net::init(&Kernel, drivers::net::init(net::arrived), options);
}
