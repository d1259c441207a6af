//! A split virtqueue (virtio 1.2, 2.7), with notifications both ways by event index (2.7.7, 2.7.10)
//! where the device offers it.
//!
//! The only one in the kernel: that of `virtio-drivers`, whose transports we use, asks with event
//! indices for an interrupt with every buffer that it takes back, and its rule for telling the
//! device holds for one new buffer at a time only.
//!
//! What is shared with the device are atomics, so that nothing here is unsafe but the promise of
//! whoever adds a buffer. What the device writes is not trusted: a number that it cannot know is
//! passed over.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// `VIRTIO_F_EVENT_IDX`.
pub const EVENT_IDX: u64 = 1 << 29;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// `VIRTQ_AVAIL_F_NO_INTERRUPT`, and `VIRTQ_USED_F_NO_NOTIFY`.
const QUIET: u16 = 1;

/// `struct virtq_desc`.
#[repr(C)]
struct Descriptor {
    address: AtomicU64,
    len: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

/// `struct virtq_avail`.
#[repr(C)]
struct Available<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [AtomicU16; N],
    used_event: AtomicU16,
}

/// `struct virtq_used_elem`.
#[repr(C)]
struct UsedElement {
    id: AtomicU32,
    len: AtomicU32,
}

/// `struct virtq_used`, on a page of its own as legacy devices want it (2.7.2).
#[repr(C, align(4096))]
struct Used<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    ring: [UsedElement; N],
    available_event: AtomicU16,
}

/// What driver and device share. All zeroes is an empty queue.
#[repr(C)]
pub struct Rings<const N: usize> {
    descriptors: [Descriptor; N],
    available: Available<N>,
    used: Used<N>,
}

impl<const N: usize> Rings<N> {
    /// Where descriptors, available ring and used ring begin, in bytes.
    pub const PARTS: [usize; 3] = [
        core::mem::offset_of!(Self, descriptors),
        core::mem::offset_of!(Self, available),
        core::mem::offset_of!(Self, used),
    ];
}

/// Whether an index that the other side has named lies among those from `old` to before `new`
/// (`vring_need_event`, 2.7.10).
fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The driver's side of a queue of `N` descriptors, a power of two.
pub struct SplitQueue<const N: usize> {
    rings: &'static Rings<N>,
    /// By descriptor: the next of its chain, or the next free one. Our own copy, which the device
    /// cannot change.
    next: [u16; N],
    /// By a chain's first descriptor: how many it has. 0 for what is no such.
    chain: [u16; N],
    free: u16,
    free_count: usize,
    /// Chains made available so far, as all indices modulo 2^16.
    filled: u16,
    /// Those of them that the device was told of.
    told: u16,
    /// Used chains taken back.
    taken: u16,
    event_idx: bool,
}

impl<const N: usize> SplitQueue<N> {
    /// A queue in zeroed rings. `event_idx` says what was agreed with the device.
    pub fn new(rings: &'static Rings<N>, event_idx: bool) -> Self {
        const { assert!(N.is_power_of_two() && N <= 1 << 15) };
        Self {
            rings,
            next: core::array::from_fn(|i| (i + 1) as u16),
            chain: [0; N],
            free: 0,
            free_count: N,
            filled: 0,
            told: 0,
            taken: 0,
            event_idx,
        }
    }

    /// Descriptors that are free.
    pub fn available(&self) -> usize {
        self.free_count
    }

    /// Makes a chain of buffers, by physical address and length, available to the device, which
    /// reads them, or writes them. Answers the chain's token; `None` if there is no room.
    ///
    /// # Safety
    ///
    /// The buffers must be the device's alone until [`SplitQueue::pop`] gives the token back:
    /// unmoved, not written, and, if the device writes, not read.
    pub unsafe fn add(&mut self, buffers: impl ExactSizeIterator<Item = (u64, u32)>, device_writes: bool) -> Option<u16> {
        // SAFETY: as the caller promises.
        unsafe { self.add_mixed(buffers.map(|(address, len)| (address, len, device_writes))) }
    }

    /// The token that the next chain will have.
    pub fn next_token(&self) -> u16 {
        self.free
    }

    /// As [`SplitQueue::add`], for a chain of which the device reads some buffers and then writes
    /// others: each says which.
    ///
    /// # Safety
    ///
    /// As for [`SplitQueue::add`].
    pub unsafe fn add_mixed(&mut self, buffers: impl ExactSizeIterator<Item = (u64, u32, bool)>) -> Option<u16> {
        let count = buffers.len();
        if count == 0 || count > self.free_count {
            return None;
        }
        let head = self.free;
        let mut at = head;
        for (i, (address, len, device_writes)) in buffers.enumerate() {
            at = self.free;
            let next = *self.next.get(usize::from(at))?;
            let descriptor = self.rings.descriptors.get(usize::from(at))?;
            let flags = if device_writes { WRITE } else { 0 } | if i + 1 < count { NEXT } else { 0 };
            descriptor.address.store(address, Ordering::Relaxed);
            descriptor.len.store(len, Ordering::Relaxed);
            descriptor.flags.store(flags, Ordering::Relaxed);
            descriptor.next.store(next, Ordering::Relaxed);
            self.free = next;
        }
        debug_assert!(usize::from(at) < N);
        self.free_count -= count;
        *self.chain.get_mut(usize::from(head))? = count as u16;
        self.rings.available.ring.get(usize::from(self.filled) % N)?.store(head, Ordering::Relaxed);
        self.filled = self.filled.wrapping_add(1);
        // The device may take the chain from here on.
        self.rings.available.index.store(self.filled, Ordering::Release);
        Some(head)
    }

    /// Whether the device wants to be told of what was added since the last call.
    pub fn must_notify(&mut self) -> bool {
        let old = core::mem::replace(&mut self.told, self.filled);
        if old == self.filled {
            return false;
        }
        // We write the index and read the wish, the device the other way round (2.7.13.4.1).
        fence(Ordering::SeqCst);
        let used = &self.rings.used;
        if self.event_idx {
            passed(used.available_event.load(Ordering::Relaxed), self.filled, old)
        } else {
            used.flags.load(Ordering::Relaxed) & QUIET == 0
        }
    }

    /// Whether the device is done with a chain that was not taken back.
    pub fn has_used(&self) -> bool {
        self.rings.used.index.load(Ordering::Acquire) != self.taken
    }

    /// Takes back a chain that the device is done with: its token, and how many bytes it has
    /// written.
    pub fn pop(&mut self) -> Option<(u16, u32)> {
        while self.has_used() {
            let element = self.rings.used.ring.get(usize::from(self.taken) % N)?;
            let (id, len) = (element.id.load(Ordering::Relaxed), element.len.load(Ordering::Relaxed));
            self.taken = self.taken.wrapping_add(1);
            let Some(count) = self.chain.get_mut(id as usize).map(core::mem::take).filter(|count| *count > 0) else {
                continue;
            };
            let mut last = id as u16;
            for _ in 1..count {
                last = *self.next.get(usize::from(last))?;
            }
            *self.next.get_mut(usize::from(last))? = self.free;
            self.free = id as u16;
            self.free_count += usize::from(count);
            return Some((id as u16, len));
        }
        None
    }

    /// Wants no interrupts. The device may still send one.
    pub fn quiet(&mut self) {
        let available = &self.rings.available;
        if self.event_idx {
            // Behind all that is to come: reached again after 2^16 chains.
            available.used_event.store(self.taken.wrapping_sub(1), Ordering::Relaxed);
        } else {
            available.flags.store(QUIET, Ordering::Relaxed);
        }
    }

    /// Wants an interrupt for the next chain that the device is done with. Whether there are some
    /// already, for which none may come.
    pub fn listen(&mut self) -> bool {
        let available = &self.rings.available;
        if self.event_idx {
            available.used_event.store(self.taken, Ordering::Relaxed);
        } else {
            available.flags.store(0, Ordering::Relaxed);
        }
        // As in `must_notify` (2.7.7.2).
        fence(Ordering::SeqCst);
        self.has_used()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    const N: usize = 8;

    /// The device's side, by the specification.
    struct Device {
        rings: &'static Rings<N>,
        seen: u16,
        used: u16,
        signalled: u16,
        event_idx: bool,
    }

    fn pair(event_idx: bool) -> (SplitQueue<N>, Device) {
        // SAFETY: zeroes are valid for atomics.
        let rings: &'static Rings<N> = Box::leak(unsafe { Box::<Rings<N>>::new_zeroed().assume_init() });
        (SplitQueue::new(rings, event_idx), Device { rings, seen: 0, used: 0, signalled: 0, event_idx })
    }

    impl Device {
        /// The next chain: its token, and address, length, and whether to write, of each buffer.
        fn take(&mut self) -> Option<(u16, Vec<(u64, u32, bool)>)> {
            if self.rings.available.index.load(Ordering::Acquire) == self.seen {
                return None;
            }
            let head = self.rings.available.ring[usize::from(self.seen) % N].load(Ordering::Relaxed);
            self.seen = self.seen.wrapping_add(1);
            let mut chain = Vec::new();
            let mut at = head;
            loop {
                let d = &self.rings.descriptors[usize::from(at)];
                let flags = d.flags.load(Ordering::Relaxed);
                chain.push((d.address.load(Ordering::Relaxed), d.len.load(Ordering::Relaxed), flags & WRITE != 0));
                if flags & NEXT == 0 {
                    return Some((head, chain));
                }
                at = d.next.load(Ordering::Relaxed);
            }
        }

        /// Wants to be told of the next chain.
        fn watch(&self) {
            self.rings.used.available_event.store(self.seen, Ordering::Relaxed);
            self.rings.used.flags.store(0, Ordering::Relaxed);
        }

        fn give_back(&mut self, id: u32, len: u32) {
            let element = &self.rings.used.ring[usize::from(self.used) % N];
            element.id.store(id, Ordering::Relaxed);
            element.len.store(len, Ordering::Relaxed);
            self.used = self.used.wrapping_add(1);
            self.rings.used.index.store(self.used, Ordering::Release);
        }

        /// Whether it interrupts for what it has given back since the last call.
        fn interrupts(&mut self) -> bool {
            let old = core::mem::replace(&mut self.signalled, self.used);
            if self.event_idx {
                passed(self.rings.available.used_event.load(Ordering::Relaxed), self.used, old)
            } else {
                old != self.used && self.rings.available.flags.load(Ordering::Relaxed) & QUIET == 0
            }
        }
    }

    fn add(queue: &mut SplitQueue<N>, buffers: &[(u64, u32)]) -> Option<u16> {
        // SAFETY: nothing looks behind these addresses.
        unsafe { queue.add(buffers.iter().copied(), false) }
    }

    #[test]
    fn chains_go_there_and_back() {
        let (mut queue, mut device) = pair(true);
        let a = add(&mut queue, &[(1, 10), (2, 20), (3, 30)]).unwrap();
        let b = add(&mut queue, &[(4, 40)]).unwrap();
        assert_eq!(queue.available(), 4);
        assert_eq!(device.take(), Some((a, [(1, 10, false), (2, 20, false), (3, 30, false)].to_vec())));
        assert_eq!(device.take(), Some((b, [(4, 40, false)].to_vec())));
        assert_eq!(device.take(), None);
        assert!(!queue.has_used());
        // In whatever order it likes.
        device.give_back(b.into(), 7);
        device.give_back(a.into(), 8);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some((b, 7)), Some((a, 8)), None));
        assert_eq!(queue.available(), N);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let (mut queue, mut device) = pair(false);
        assert_eq!(add(&mut queue, &[]), None);
        assert_eq!(add(&mut queue, &[(0, 1); N + 1]), None);
        let all = add(&mut queue, &[(0, 1); N]).unwrap();
        assert_eq!(add(&mut queue, &[(0, 1)]), None);
        assert_eq!(device.take().map(|(head, chain)| (head, chain.len())), Some((all, N)));
        assert_eq!(device.take(), None);
    }

    #[test]
    fn a_device_that_lies() {
        let (mut queue, mut device) = pair(true);
        let token = add(&mut queue, &[(0, 1), (0, 1)]).unwrap();
        device.give_back(99, 1);
        device.give_back(u32::MAX, 1);
        // The middle of a chain, and what it never had.
        device.give_back(u32::from(token) + 1, 1);
        device.give_back(5, 1);
        device.give_back(token.into(), 3);
        device.give_back(token.into(), 4);
        assert_eq!((queue.pop(), queue.pop()), (Some((token, 3)), None));
        assert_eq!(queue.available(), N);
    }

    #[test]
    fn the_device_is_told_when_it_waits() {
        for event_idx in [true, false] {
            let (mut queue, mut device) = pair(event_idx);
            // All the way round the indices, a batch of up to three at a time.
            let mut told = 0u32;
            for round in 0..90_000u32 {
                device.watch();
                for _ in 0..=round % 3 {
                    add(&mut queue, &[(0, 1)]).unwrap();
                }
                assert!(queue.must_notify(), "round {round}");
                assert!(!queue.must_notify(), "nothing new in round {round}");
                told += 1;
                // It is at work now, and does not want to hear of this one.
                if !event_idx {
                    device.rings.used.flags.store(QUIET, Ordering::Relaxed);
                }
                add(&mut queue, &[(0, 1)]).unwrap();
                assert!(!queue.must_notify(), "busy in round {round}");
                while let Some((head, _)) = device.take() {
                    device.give_back(head.into(), 0);
                }
                while queue.pop().is_some() {}
            }
            assert_eq!((told, queue.available()), (90_000, N));
        }
    }

    #[test]
    fn interrupts_come_when_wanted() {
        for event_idx in [true, false] {
            let (mut queue, mut device) = pair(event_idx);
            for round in 0..90_000u32 {
                let tokens: Vec<u16> = (0..3).map(|_| add(&mut queue, &[(0, 1)]).unwrap()).collect();
                assert!(!queue.listen());
                device.give_back(tokens[0].into(), 0);
                assert!(device.interrupts(), "round {round}");
                queue.quiet();
                device.give_back(tokens[1].into(), 0);
                assert!(!device.interrupts(), "quiet in round {round}");
                assert!(queue.pop().is_some() && queue.pop().is_some());
                queue.quiet();
                device.give_back(tokens[2].into(), 0);
                assert!(!device.interrupts(), "still quiet in round {round}");
                assert!(queue.listen(), "what came meanwhile is seen");
                assert!(queue.pop().is_some());
            }
        }
    }
}
