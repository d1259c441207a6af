//! What the file systems ask of the machine: frames for their pages, the time, and a way to sleep.

use core::sync::atomic::{AtomicU32, Ordering};

use fs::{Platform, Timespec};

use crate::arch::clock;
use mem::{PAGE_SIZE, frames, heap, user_page};
use task::wait::{WaitQueue, wait_uninterruptible};

/// Queues for sleepers on words; a word's address chooses one.
const QUEUES: usize = 64;
static SLEEPERS: [WaitQueue; QUEUES] = [const { WaitQueue::new() }; QUEUES];

struct Machine;

/// One part in so many of memory is left for programs by caches, which others must give up first.
const LEFT_BY_CACHES: u64 = 8;

/// Files leave the kernel its reserve, as programs do, and programs so many pages to go on with: a
/// full disk is no reason to end.
fn left_by_files() -> u64 {
    frames::total() as u64 / 32
}

/// How many pages a fault had to find that found none: where there are some for programs, it was
/// one of a file.
pub fn pages_wanted() -> u64 {
    if user_page::available(1) { left_by_files() } else { 1 }
}

/// Gives the file systems their platform.
pub fn init() {
    fs::set_platform(&Machine);
}

fn queue_of(word: &AtomicU32) -> &'static WaitQueue {
    // Locks lie in structures of at least 64 bytes.
    let hash = core::ptr::from_ref(word).addr() >> 6;
    &SLEEPERS[hash % QUEUES]
}

/// How much of `len` bytes from byte `off` of a frame on lies within the frame.
fn within(off: usize, len: usize) -> usize {
    len.min(PAGE_SIZE.saturating_sub(off))
}

impl Platform for Machine {
    fn alloc_page(&self) -> Option<u64> {
        if user_page::available(left_by_files()) { user_page::alloc_zeroed() } else { None }
    }

    fn alloc_buffer_page(&self) -> Option<u64> {
        if heap::is_short() { None } else { user_page::alloc_zeroed() }
    }

    fn has_room(&self) -> bool {
        user_page::available(frames::total() as u64 / LEFT_BY_CACHES)
    }

    fn may_keep(&self) -> bool {
        !heap::is_short()
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
        let len = within(off, buf.len());
        user_page::read(phys, off, buf.get_mut(..len).unwrap_or_default());
    }

    fn write_page(&self, phys: u64, off: usize, buf: &[u8]) {
        let len = within(off, buf.len());
        user_page::write(phys, off, buf.get(..len).unwrap_or_default());
    }

    fn zero_page(&self, phys: u64, off: usize, len: usize) {
        user_page::zero_part(phys, off, within(off, len));
    }

    fn copy_page(&self, src: u64, dst: u64) {
        user_page::copy(src, dst);
    }

    fn now(&self) -> Timespec {
        let ns = clock::realtime_ns();
        Timespec { sec: (ns / 1_000_000_000) as i64, nsec: (ns % 1_000_000_000) as u32 }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        wait_uninterruptible(queue_of(word), || (word.load(Ordering::Acquire) != expected).then_some(()));
    }

    fn wake(&self, word: &AtomicU32) {
        queue_of(word).wake_all();
    }
}
