//! Where the kernel is entered: by system calls, exceptions and interrupts, from the entry code of
//! `arch` or by our own.

pub mod patched_call;
mod privileged;
mod syscall;
pub mod traps;

use crate::arch::trap::TrapFrame;
use crate::arch::upcalls::Upcalls;
use crate::{arch, counters};
use task::{sched, watchdog};

/// Gives this CPU its tables, its interrupt stacks, its FPU, its system-call entry and its counts.
/// The heap is up.
pub fn init_cpu() {
    arch::init_cpu();
    syscall::init_cpu();
    counters::init_cpu();
}

struct Kernel;

impl Upcalls for Kernel {
    #[inline(always)]
    fn trap(frame: &mut TrapFrame) {
        traps::trap(frame);
    }

    fn stack_overflow(frame: &TrapFrame) -> ! {
        traps::stack_overflow(frame)
    }

    fn first_switch(frame: &mut TrapFrame) {
        sched::first_switch();
        traps::leave_to_application(frame);
    }

    fn first_switch_kernel() {
        sched::first_switch_kernel();
    }

    fn cpu_started(index: u32) -> ! {
        platform::smp::run_cpu(index)
    }
}

crate::arch::upcalls!(Kernel);

/// What becomes of further CPUs.
pub fn further_cpus() -> platform::smp::Further {
    let up = || {
        sched::cpu_is_up();
        watchdog::start();
    };
    platform::smp::Further { prepare: sched::prepare_cpu, init_entry: init_cpu, up, idle: sched::idle }
}
