//! What code knows of its CPU, in the form in which the real ones tell it.

use core::cell::Cell;

/// CPUs of the machine.
pub const CPUS: usize = 4;

std::thread_local! {
    static OWN: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn own() -> usize {
    OWN.get()
}

pub(super) fn run_on(cpu: usize) {
    OWN.set(cpu % CPUS);
}

pub(super) fn set_lazy(cpu: usize, lazy: bool) {
    percpu::ALL[cpu % CPUS].lazy.store(lazy, core::sync::atomic::Ordering::SeqCst);
}

pub(super) fn reset() {
    run_on(0);
    (0..CPUS).for_each(|cpu| set_lazy(cpu, false));
}

pub mod percpu {
    use core::sync::atomic::AtomicBool;

    pub const MAX_CPUS: usize = super::CPUS;

    pub struct Id(u32);

    impl Id {
        pub fn get(&self) -> u32 {
            self.0
        }
    }

    pub struct PerCpu {
        pub id: Id,
        pub lazy: AtomicBool,
    }

    pub(in crate::host) static ALL: [PerCpu; MAX_CPUS] = {
        let mut cpus = [const { PerCpu { id: Id(0), lazy: AtomicBool::new(false) } }; MAX_CPUS];
        let mut n = 0;
        while n < MAX_CPUS {
            cpus[n].id = Id(n as u32);
            n += 1;
        }
        cpus
    };

    pub fn this_cpu() -> &'static PerCpu {
        &ALL[super::own()]
    }

    pub fn online() -> u64 {
        (1 << MAX_CPUS) - 1
    }

    pub fn each(mask: u64) -> impl Iterator<Item = &'static PerCpu> {
        ALL.iter().filter(move |cpu| mask >> cpu.id.0 & 1 != 0)
    }
}

pub mod ipi {
    use super::percpu;
    use crate::host::translations;

    pub fn flush(cpus: u64, start: u64, end: u64) {
        percpu::each(cpus).for_each(|cpu| translations::flush(cpu.id.get() as usize, start, end));
    }
}

pub mod control {
    /// All CPUs have seen by now what was written to code.
    pub fn serialize() {
        crate::host::code::seen();
    }
}

pub mod tlb {
    use crate::host::translations;

    pub const FLUSH_ALL_ABOVE: u64 = 33;

    /// Flushes the translations of `start..end` on this CPU.
    pub fn flush_local(start: u64, end: u64) {
        translations::flush(super::own(), start, end);
    }

    /// Flushes all translations on this CPU.
    pub fn flush_all_local() {
        translations::flush(super::own(), 0, u64::MAX);
    }

    /// # Safety
    /// None is needed here: the model checks it.
    pub unsafe fn load_root(root: u64) {
        translations::load(super::own(), root);
    }

    pub fn loaded_root() -> u64 {
        translations::loaded(super::own())
    }
}
