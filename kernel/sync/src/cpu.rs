//! The processor: the real one, or on a host what stands for it in tests, where a thread is a CPU.

#[cfg(target_os = "none")]
pub use arch::{clock, ipi, irq, percpu};
#[cfg(not(test))]
pub use core::hint::spin_loop as relax;
#[cfg(not(test))]
pub use core::sync::atomic;

#[cfg(not(target_os = "none"))]
pub use host::*;
// Tests try other orders of the steps of their threads in each run: every step on an atomic may be
// followed by another thread's.
#[cfg(test)]
pub use shuttle::hint::spin_loop as relax;
#[cfg(test)]
pub use shuttle::sync::atomic;

#[cfg(not(target_os = "none"))]
mod host {
    pub mod irq {
        pub fn save_and_disable() -> bool {
            true
        }
        pub fn restore(_was_enabled: bool) {}
    }

    pub mod clock {
        use core::sync::atomic::{AtomicU64, Ordering};
        use std::sync::LazyLock;
        use std::time::Instant;

        static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);
        static PACE: AtomicU64 = AtomicU64::new(1);

        /// Nanoseconds since some moment before.
        pub fn monotonic_ns() -> u64 {
            BOOT.elapsed().as_nanos() as u64 * PACE.load(Ordering::Relaxed)
        }
        /// Has so many nanoseconds pass in one of the host's: tests that wait need not wait long.
        pub fn hasten(pace: u64) {
            PACE.store(pace, Ordering::Relaxed);
        }
        pub fn tsc() -> u64 {
            monotonic_ns()
        }
    }

    pub mod ipi {
        pub fn show_stacks() {}
    }

    pub mod percpu {
        use crate::cpu::atomic::{AtomicU64, AtomicUsize};

        pub struct Id(u32);

        impl Id {
            pub fn get(&self) -> u32 {
                self.0
            }
        }

        pub struct PerCpu {
            pub id: Id,
            pub reading: AtomicUsize,
            pub contended: AtomicU64,
            pub lock_sleeps: AtomicU64,
        }

        impl PerCpu {
            const fn new(id: u32) -> Self {
                Self {
                    id: Id(id),
                    reading: AtomicUsize::new(0),
                    contended: AtomicU64::new(0),
                    lock_sleeps: AtomicU64::new(0),
                }
            }
        }

        #[cfg(test)]
        pub use machine::reset;

        pub fn this_cpu() -> &'static PerCpu {
            &machine::cpus()[machine::own()]
        }
        pub fn online() -> u64 {
            u64::MAX
        }
        pub fn each(mask: u64) -> impl Iterator<Item = &'static PerCpu> {
            machine::cpus().iter().filter(move |cpu| mask >> cpu.id.get() & 1 != 0)
        }

        #[cfg(not(test))]
        mod machine {
            use super::PerCpu;
            use core::sync::atomic::{AtomicU32, Ordering};

            const MAX_CPUS: usize = 64;

            static CPUS: [PerCpu; MAX_CPUS] = {
                let mut cpus = [const { PerCpu::new(0) }; MAX_CPUS];
                let mut n = 0;
                while n < MAX_CPUS {
                    cpus[n] = PerCpu::new(n as u32);
                    n += 1;
                }
                cpus
            };
            static NEXT: AtomicU32 = AtomicU32::new(0);
            std::thread_local! {
                static OWN: u32 = NEXT.fetch_add(1, Ordering::Relaxed) % MAX_CPUS as u32;
            }

            pub fn cpus() -> &'static [PerCpu] {
                &CPUS
            }
            pub fn own() -> usize {
                OWN.with(|own| *own) as usize
            }
        }

        #[cfg(test)]
        mod machine {
            use super::PerCpu;
            use std::boxed::Box;
            use std::cell::Cell;

            /// CPUs of a test's machine: so many threads a test may have.
            const CPUS: u32 = 4;

            std::thread_local! {
                static MACHINE: Cell<&'static [PerCpu]> = const { Cell::new(&[]) };
            }

            /// Begins a run of a test with a machine of its own.
            pub fn reset() {
                MACHINE.set(Box::leak((0..CPUS).map(PerCpu::new).collect()));
            }
            pub fn cpus() -> &'static [PerCpu] {
                MACHINE.get()
            }
            pub fn own() -> usize {
                usize::from(shuttle::current::me())
            }
        }
    }
}
