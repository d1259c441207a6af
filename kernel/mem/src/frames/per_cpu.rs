//! Free single frames of each CPU.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::{BUDDY, FREE};
use crate::cpu::percpu::{self, MAX_CPUS, this_cpu};
use sync::IrqSpinLock;

/// Frames on a stack.
const ROOM: usize = 64;
/// How many move between a stack and the lists at a time.
const BATCH: usize = ROOM / 2;

struct Stack {
    frames: [u64; ROOM],
    len: usize,
}

/// A CPU's own, on cache lines of its own. Others take the lock only when memory is short.
#[repr(align(128))]
struct FreeFrames {
    /// The lock of the lists is taken while it is held.
    stack: IrqSpinLock<Stack>,
    /// The length, for others to read without the lock.
    len: AtomicUsize,
}

static CPUS: [FreeFrames; MAX_CPUS] = [const { FreeFrames::new() }; MAX_CPUS];

impl FreeFrames {
    const fn new() -> Self {
        Self { stack: IrqSpinLock::new(Stack { frames: [0; ROOM], len: 0 }), len: AtomicUsize::new(0) }
    }
}

impl Stack {
    /// Puts `count` frames back on the lists.
    fn drain(&mut self, count: usize) {
        let count = count.min(self.len);
        let mut buddy = BUDDY.lock();
        for frame in &self.frames[self.len - count..self.len] {
            buddy.give(*frame, 0);
        }
        FREE.fetch_add(count, Ordering::Relaxed);
        self.len -= count;
    }

    fn refill(&mut self) {
        let mut buddy = BUDDY.lock();
        while self.len < BATCH
            && let Some(frame) = buddy.alloc(0)
        {
            self.frames[self.len] = frame;
            self.len += 1;
        }
    }
}

fn own() -> &'static FreeFrames {
    // To be moved to another CPU meanwhile would do no harm.
    &CPUS[this_cpu().id.get() as usize % MAX_CPUS]
}

/// A free frame; `None` when this CPU has none and the lists are empty.
pub fn take() -> Option<u64> {
    let own = own();
    let mut stack = own.stack.lock();
    if stack.len == 0 {
        stack.refill();
    }
    stack.len = stack.len.checked_sub(1)?;
    own.len.store(stack.len, Ordering::Relaxed);
    Some(stack.frames[stack.len])
}

/// Gives a frame back, whose state is 0.
pub fn give(frame: u64) {
    let own = own();
    let mut stack = own.stack.lock();
    if stack.len == ROOM {
        stack.drain(BATCH);
    }
    let at = stack.len;
    stack.frames[at] = frame;
    stack.len = at + 1;
    own.len.store(at + 1, Ordering::Relaxed);
}

/// Puts the frames of all stacks back on the lists: they may be what keeps a block from being
/// whole.
pub fn drain() {
    for cpu in in_use() {
        let mut stack = cpu.stack.lock();
        stack.drain(ROOM);
        cpu.len.store(0, Ordering::Relaxed);
    }
}

/// How many frames are on all stacks.
pub fn len() -> usize {
    in_use().map(|cpu| cpu.len.load(Ordering::Relaxed)).sum()
}

fn in_use() -> impl Iterator<Item = &'static FreeFrames> {
    percpu::each(percpu::online()).map(|cpu| &CPUS[cpu.id.get() as usize % MAX_CPUS])
}
