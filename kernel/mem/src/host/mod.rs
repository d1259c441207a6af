//! The machine on which memory is tested: some megabytes of a host's memory stand for the physical,
//! and CPUs with translation buffers, which forget nothing by themselves, for the processors.
//!
//! A CPU goes to memory by [`Machine::access`], which walks the page tables as hardware does and
//! remembers what it finds. What it remembers must not be of use any more when a frame is freed,
//! nor when a call has returned: what is wrong in that is in [`Machine::violations`].

mod code;
pub(crate) mod cpus;
pub mod layout;
mod translations;

use std::string::String;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::vec::Vec;

pub use cpus::CPUS;
pub(crate) use translations::frames_freed;
pub use translations::{PageFault, Touch};

use crate::{frames, shortage};

/// Frames of the machine.
pub const FRAMES: usize = 16384;

static STARTED: Once = Once::new();
static TAKEN: Mutex<()> = Mutex::new(());

/// The only machine there is; tests take turns.
pub struct Machine {
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// Waits for the turn. The CPUs begin with nothing loaded, and the thread runs on the first.
    pub fn take() -> Self {
        let turn = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        STARTED.call_once(|| {
            layout::start(FRAMES);
            frames::start_host(FRAMES);
            layout::make_kernel_tables();
            shortage::init();
        });
        cpus::reset();
        translations::reset();
        Self { _turn: turn }
    }

    /// From here on the thread is CPU `cpu`.
    pub fn run_on(&self, cpu: usize) {
        cpus::run_on(cpu);
    }

    /// Says whether CPU `cpu` uses the tables that it has loaded for nothing.
    pub fn set_lazy(&self, cpu: usize, lazy: bool) {
        cpus::set_lazy(cpu, lazy);
    }

    /// The CPU goes to the byte at `addr`: its physical address, or the fault.
    pub fn access(&self, addr: u64, touch: Touch) -> Result<u64, PageFault> {
        translations::access(addr, touch)
    }

    /// From here on the states of the code at `addr`, `len` bytes, are kept in which all CPUs have
    /// seen every change, see [`Self::watched`]. The first is what is there now.
    pub fn watch(&self, addr: u64, len: usize) {
        code::watch(addr, len);
    }

    /// The states of the code since [`Self::watch`], the last being what is there now.
    pub fn watched(&self) -> Vec<Vec<u8>> {
        code::watched()
    }

    /// The CPU goes on without the tables that it had.
    pub fn unload(&self) {
        translations::load(cpus::own(), 0);
    }

    /// Compares what the CPUs remember with the tables, and the kernel's half of the tables with
    /// what it was.
    pub fn check(&self) {
        translations::check();
        layout::check_kernel_tables();
    }

    /// What was wrong since the last look.
    pub fn violations(&self) -> Vec<String> {
        translations::violations()
    }
}
