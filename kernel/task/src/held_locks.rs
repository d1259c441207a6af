//! Which locks a CPU and a task hold, for kernels that check the order of locks.

use base::symbol::ReturnAddress;

use super::current;
use arch::percpu::{MAX_CPUS, this_cpu};
use arch::{backtrace, ipi, irq};
use sync::order::{Context, Held, Stack};

static CPUS: [Held; MAX_CPUS] = [const { Held::new() }; MAX_CPUS];

struct Machine;

impl Context for Machine {
    fn with_cpu(&self, f: &mut dyn FnMut(&Held)) {
        let interrupts = irq::save_and_disable();
        if let Some(held) = CPUS.get(this_cpu().id.get() as usize) {
            f(held);
        }
        irq::restore(interrupts);
    }

    fn with_task(&self, f: &mut dyn FnMut(&Held)) {
        f(&current().held);
    }

    fn interrupts_are_on(&self) -> bool {
        irq::enabled()
    }

    fn is_stopping(&self) -> bool {
        ipi::is_stopping()
    }

    fn stack(&self) -> Stack {
        let mut stack = Stack::default();
        stack.iter_mut().zip(backtrace::return_addresses(backtrace::frame_pointer())).for_each(|(to, from)| *to = from);
        stack
    }

    fn print(&self, stack: &Stack) {
        stack.iter().filter(|address| **address != 0).for_each(|address| emergency!("  {}", ReturnAddress(*address)));
    }
}

/// From now on the order of locks is checked. Boot does much with interrupts off before anybody
/// else runs.
pub fn check() {
    sync::order::start(&Machine);
}
