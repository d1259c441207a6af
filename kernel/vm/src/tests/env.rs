//! What the crate needs around it: a task that asks, files, frames for them, and locks that nobody
//! waits for.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;

use fs::{Mapping, Platform, Timespec};
use mem::{frames, user_page};
use sync::scheduler::{Alarm, Parker, Scheduler, Sleep, Waker};
use syscall_shim::SysResult;

use crate::MappedFile;
use crate::flags::PAGE_SIZE;
use crate::limits::{Execution, INFINITY, Limits, Rights};

/// A task that asks for memory.
#[derive(Clone, Copy)]
pub struct Task {
    pub limits: Limits,
    pub execution: Execution,
    pub low: bool,
}

/// One that may have all but a stack of any size.
pub const ANYONE: Task = Task {
    limits: Limits { address_space: INFINITY, data: INFINITY, stack: STACK, memlock: INFINITY, may_lock: true },
    execution: Execution { implied: false, no_gain: false },
    low: false,
};

/// `RLIMIT_STACK` of the tests.
pub const STACK: u64 = 24 * PAGE_SIZE;

impl Rights for Task {
    fn limits(&self) -> Limits {
        self.limits
    }
    fn execution(&self) -> Execution {
        self.execution
    }
    fn may_map_low(&self) -> bool {
        self.low
    }
}

/// A file that is open.
pub struct File {
    pub mapping: Arc<Mapping>,
    pub ino: u64,
    pub shmem: bool,
}

impl File {
    pub fn new(ino: u64, pages: u64, shmem: bool) -> Arc<Self> {
        Arc::new(Self { mapping: Mapping::new(None, pages * PAGE_SIZE), ino, shmem })
    }
}

impl MappedFile for File {
    fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }
    fn id(&self) -> (u64, u64) {
        (2, self.ino)
    }
    fn path(&self) -> Vec<u8> {
        b"/file".to_vec()
    }
    fn is_shmem(&self) -> bool {
        self.shmem
    }
    fn punch_hole(&self, start: u64, end: u64) -> SysResult<()> {
        self.mapping.punch(start, end - start)
    }
}

/// The machine's frames, for files.
struct Frames;

impl Platform for Frames {
    fn alloc_page(&self) -> Option<u64> {
        user_page::alloc_zeroed()
    }
    fn ref_page(&self, phys: u64) {
        frames::inc(phys);
    }
    fn unref_page(&self, phys: u64) {
        frames::dec(phys);
    }
    fn page_references(&self, phys: u64) -> u32 {
        frames::refcount(phys)
    }
    fn read_page(&self, phys: u64, off: usize, buf: &mut [u8]) {
        user_page::read(phys, off, buf);
    }
    fn write_page(&self, phys: u64, off: usize, buf: &[u8]) {
        user_page::write(phys, off, buf);
    }
    fn zero_page(&self, phys: u64, off: usize, len: usize) {
        user_page::zero_part(phys, off, len);
    }
    fn copy_page(&self, src: u64, dst: u64) {
        user_page::copy(src, dst);
    }
    fn now(&self) -> Timespec {
        Timespec { sec: 0, nsec: 0 }
    }
    fn wait(&self, _word: &AtomicU32, _expected: u32) {
        unreachable!("one thread meets no other");
    }
    fn wake(&self, _word: &AtomicU32) {}
}

/// Gives files their frames.
pub fn install() {
    fs::set_platform(&Frames);
}

/// One thread, which never waits.
pub struct Alone;

const NOBODY: &str = "one thread meets no other";

impl Scheduler for Alone {
    fn parker() -> Arc<dyn Parker> {
        unreachable!("{NOBODY}")
    }
    fn keep_parker(_parker: Arc<dyn Parker>) {}
    fn prepare(_sleep: Sleep) {}
    fn park() {
        unreachable!("{NOBODY}")
    }
    fn unprepare() {}
    fn is_interrupted(_sleep: Sleep) -> bool {
        false
    }
    fn set_alarm(_deadline: u64, _waker: Arc<dyn Waker>) -> Alarm {
        unreachable!("{NOBODY}")
    }
    fn cancel_alarm(_alarm: Alarm) {}
}
