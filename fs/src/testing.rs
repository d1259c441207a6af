//! A [`Platform`] over `std`, for host tests and host tools: frames are boxes in a table.

use crate::platform::{PAGE_SIZE, Platform, set_platform};
use crate::types::Timespec;
use core::sync::atomic::{AtomicU32, Ordering};
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

struct Frame {
    refs: u32,
    bytes: Box<[u8; PAGE_SIZE]>,
}

/// Frames with addresses counted up from one page.
pub struct StdPlatform {
    frames: Mutex<(u64, HashMap<u64, Frame>)>,
    sleepers: Mutex<()>,
    woken: Condvar,
}

static INSTANCE: std::sync::LazyLock<StdPlatform> = std::sync::LazyLock::new(|| StdPlatform {
    frames: Mutex::new((1, HashMap::new())),
    sleepers: Mutex::new(()),
    woken: Condvar::new(),
});

/// Registers the platform (once; further calls do nothing) and answers it.
pub fn install() -> &'static StdPlatform {
    set_platform(&*INSTANCE);
    &INSTANCE
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StdPlatform {
    /// References to a frame; 0 when it was freed.
    pub fn refs(&self, phys: u64) -> u32 {
        lock(&self.frames).1.get(&phys).map_or(0, |f| f.refs)
    }

    fn frame<T>(&self, phys: u64, f: impl FnOnce(&mut Frame) -> T) -> T {
        let mut frames = lock(&self.frames);
        match frames.1.get_mut(&phys) {
            Some(frame) => f(frame),
            None => panic!("use of free frame {phys:#x}"),
        }
    }
}

impl Platform for StdPlatform {
    fn alloc_page(&self) -> Option<u64> {
        let mut frames = lock(&self.frames);
        let phys = frames.0 * PAGE_SIZE as u64;
        frames.0 += 1;
        frames.1.insert(phys, Frame { refs: 1, bytes: Box::new([0; PAGE_SIZE]) });
        Some(phys)
    }

    fn ref_page(&self, phys: u64) {
        self.frame(phys, |f| f.refs += 1);
    }

    fn unref_page(&self, phys: u64) {
        let left = self.frame(phys, |f| {
            f.refs -= 1;
            f.refs
        });
        if left == 0 {
            lock(&self.frames).1.remove(&phys);
        }
    }

    fn page_references(&self, phys: u64) -> u32 {
        self.refs(phys)
    }

    fn read_page(&self, phys: u64, off: usize, buf: &mut [u8]) {
        self.frame(phys, |f| buf.copy_from_slice(&f.bytes[off..off + buf.len()]));
    }

    fn write_page(&self, phys: u64, off: usize, buf: &[u8]) {
        self.frame(phys, |f| f.bytes[off..off + buf.len()].copy_from_slice(buf));
    }

    fn zero_page(&self, phys: u64, off: usize, len: usize) {
        self.frame(phys, |f| f.bytes[off..off + len].fill(0));
    }

    fn copy_page(&self, src: u64, dst: u64) {
        let mut bytes = [0; PAGE_SIZE];
        self.read_page(src, 0, &mut bytes);
        self.write_page(dst, 0, &bytes);
    }

    fn now(&self) -> Timespec {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timespec { sec: since.as_secs() as i64, nsec: since.subsec_nanos() }
    }

    fn wait(&self, word: &AtomicU32, expected: u32) {
        let guard = lock(&self.sleepers);
        if word.load(Ordering::Acquire) == expected {
            drop(self.woken.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn wake(&self, _word: &AtomicU32) {
        let _guard = lock(&self.sleepers);
        self.woken.notify_all();
    }
}
