//! The processor: the real one, or on a host what stands for it in tests, where a thread is a CPU.

#[cfg(target_os = "none")]
#[cfg_attr(not(debug_assertions), allow(unused_imports))]
pub use arch::{backtrace, clock, ipi, irq, percpu};

#[cfg(not(target_os = "none"))]
pub use host::*;

#[cfg(not(target_os = "none"))]
mod host {
    pub mod irq {
        pub fn enabled() -> bool {
            true
        }
        pub fn save_and_disable() -> bool {
            true
        }
        pub fn restore(_was_enabled: bool) {}
    }

    pub mod clock {
        use std::sync::LazyLock;
        use std::time::Instant;

        static BOOT: LazyLock<Instant> = LazyLock::new(Instant::now);

        pub fn monotonic_ns() -> u64 {
            BOOT.elapsed().as_nanos() as u64
        }
        pub fn tsc() -> u64 {
            monotonic_ns()
        }
    }

    pub mod ipi {
        pub fn show_stacks() {}
        pub fn is_stopping() -> bool {
            false
        }
    }

    pub mod backtrace {
        pub fn frame_pointer() -> u64 {
            0
        }
        pub fn return_addresses(_frame_pointer: u64) -> impl Iterator<Item = u64> {
            core::iter::empty()
        }
    }

    pub mod percpu {
        use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

        pub const MAX_CPUS: usize = 64;

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

        static CPUS: [PerCpu; MAX_CPUS] = {
            let mut cpus = [const {
                PerCpu {
                    id: Id(0),
                    reading: AtomicUsize::new(0),
                    contended: AtomicU64::new(0),
                    lock_sleeps: AtomicU64::new(0),
                }
            }; MAX_CPUS];
            let mut n = 0;
            while n < MAX_CPUS {
                cpus[n].id = Id(n as u32);
                n += 1;
            }
            cpus
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        std::thread_local! {
            static OWN: u32 = NEXT.fetch_add(1, Ordering::Relaxed) % MAX_CPUS as u32;
        }

        pub fn this_cpu() -> &'static PerCpu {
            &CPUS[OWN.with(|own| *own) as usize]
        }
        pub fn online() -> u64 {
            u64::MAX
        }
        pub fn each(mask: u64) -> impl Iterator<Item = &'static PerCpu> {
            CPUS.iter().filter(move |cpu| mask >> cpu.id.get() & 1 != 0)
        }
    }
}
