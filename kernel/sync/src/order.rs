//! The order of locks, checked as they are taken, in kernels with debug assertions (`cargo kbuild-checked`); not in
//! the tests here, of which several run at once and would share what a CPU holds.
//!
//! A lock's class is the place in the source that makes it. Which class was taken while which other one was held is kept as a
//! graph over classes; a new edge that closes a circle is a deadlock that has only not happened yet, and a panic, with
//! the stack that made the opposite edge beside the present one. Locks of one class may be held together: each place that
//! does so says in which order (the futex buckets, by index).

use core::fmt;

#[cfg(all(debug_assertions, not(test)))]
pub use checked::*;
#[cfg(not(all(debug_assertions, not(test))))]
pub use unchecked::*;

/// Where a lock was made.
#[derive(Clone, Copy)]
pub struct Class {
    #[cfg(all(debug_assertions, not(test)))]
    place: &'static core::panic::Location<'static>,
}

impl Class {
    /// The class of locks that the caller makes.
    #[track_caller]
    pub const fn here() -> Self {
        Self {
            #[cfg(all(debug_assertions, not(test)))]
            place: core::panic::Location::caller(),
        }
    }
}

impl fmt::Display for Class {
    #[cfg(all(debug_assertions, not(test)))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "made at {}", self.place)
    }

    #[cfg(not(all(debug_assertions, not(test))))]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kernel with debug assertions says which")
    }
}

#[cfg(not(all(debug_assertions, not(test))))]
mod unchecked {
    use super::Class;

    /// A lock is about to be taken.
    #[inline(always)]
    pub fn acquire(_class: &Class) {}
    /// A lock was taken that was free.
    #[inline(always)]
    pub fn acquired_without_wait(_class: &Class) {}
    /// A lock is about to be freed.
    #[inline(always)]
    pub fn release(_class: &Class) {}
    /// A lock is about to be taken that must not be taken with interrupts off.
    #[inline(always)]
    pub fn interrupts_may_come(_class: &Class) {}
    /// The caller is about to do what can sleep.
    #[inline(always)]
    pub fn may_sleep() {}
    /// The caller is about to wait for an answer of other CPUs.
    #[inline(always)]
    pub fn may_wait_for_cpus() {}
    /// From now on everything is checked.
    #[inline(always)]
    pub fn start() {}
}

#[cfg(all(debug_assertions, not(test)))]
mod checked {
    use core::panic::Location;
    use core::sync::atomic::{AtomicBool, Ordering};

    use super::Class;
    use base::symbol::ReturnAddress;

    use crate::cpu::percpu::{MAX_CPUS, this_cpu};
    use crate::cpu::{backtrace, irq};

    /// Most locks that a CPU holds at a time.
    const DEPTH: usize = 16;
    const CLASSES: usize = 256;
    const EDGES: usize = 4096;
    /// Return addresses kept of the stack that made an edge.
    const FRAMES: usize = 10;

    type Place = &'static Location<'static>;

    /// The locks that a CPU holds, in the order of taking. Only the CPU itself uses it, with interrupts off.
    struct Held {
        classes: [Option<Place>; DEPTH],
        len: usize,
    }

    struct PerCpuHeld(core::cell::UnsafeCell<Held>);
    // SAFETY: each CPU uses its own, with interrupts off.
    unsafe impl Sync for PerCpuHeld {}

    static HELD: [PerCpuHeld; MAX_CPUS] =
        [const { PerCpuHeld(core::cell::UnsafeCell::new(Held { classes: [None; DEPTH], len: 0 })) }; MAX_CPUS];

    #[derive(Clone, Copy)]
    struct Edge {
        from: u16,
        to: u16,
        stack: [u64; FRAMES],
    }

    /// The classes, and which was taken while which other one was held.
    struct Graph {
        classes: [Option<Place>; CLASSES],
        known: [[u64; CLASSES / 64]; CLASSES],
        edges: [Edge; EDGES],
        len: usize,
        /// For the search: classes to visit, and by which edge the way to each began. Not on the stack, which is small.
        open: [u16; CLASSES + 1],
        first: [Option<u16>; CLASSES],
    }

    static GRAPH: spin::mutex::SpinMutex<Graph> = spin::mutex::SpinMutex::new(Graph {
        classes: [None; CLASSES],
        known: [[0; CLASSES / 64]; CLASSES],
        edges: [Edge { from: 0, to: 0, stack: [0; FRAMES] }; EDGES],
        len: 0,
        open: [0; CLASSES + 1],
        first: [None; CLASSES],
    });

    /// Boot does much with interrupts off before anybody else runs.
    static STARTED: AtomicBool = AtomicBool::new(false);

    /// From now on everything is checked.
    pub fn start() {
        STARTED.store(true, Ordering::Relaxed);
    }

    fn active() -> bool {
        STARTED.load(Ordering::Relaxed) && !crate::cpu::ipi::is_stopping()
    }

    fn with_held<R>(f: impl FnOnce(&mut Held) -> R) -> R {
        let interrupts = irq::save_and_disable();
        // SAFETY: this CPU's own, with interrupts off, and `f` takes no lock that is checked.
        let result = f(unsafe { &mut *HELD[this_cpu().id.get() as usize].0.get() });
        irq::restore(interrupts);
        result
    }

    impl Graph {
        fn class(&mut self, place: Place) -> Option<u16> {
            let at = self
                .classes
                .iter()
                .position(|known| known.is_none_or(|known| core::ptr::eq(known, place) || *known == *place))?;
            self.classes[at] = Some(place);
            Some(at as u16)
        }

        fn knows(&self, from: u16, to: u16) -> bool {
            self.known[usize::from(from)][usize::from(to) / 64] >> (to % 64) & 1 != 0
        }

        /// The first edge of a way from `from` to `to`.
        fn way(&mut self, from: u16, to: u16) -> Option<Edge> {
            let Self { edges, open, first, .. } = self;
            let edges = edges.get(..self.len).unwrap_or(&[]);
            first.fill(None);
            open[0] = from;
            let (mut at, mut len) = (0, 1);
            while at < len {
                let here = open[at];
                at += 1;
                for (index, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.from == here) {
                    if first[usize::from(edge.to)].is_some() {
                        continue;
                    }
                    let begin = if here == from { Some(index as u16) } else { first[usize::from(here)] };
                    first[usize::from(edge.to)] = begin;
                    if edge.to == to {
                        return begin.and_then(|index| edges.get(usize::from(index)).copied());
                    }
                    open[len] = edge.to;
                    len += 1;
                }
            }
            None
        }
    }

    /// A lock is about to be taken.
    pub fn acquire(class: &Class) {
        check(class.place);
        push(class.place);
    }

    /// A lock was taken that was free: no deadlock can come of that.
    pub fn acquired_without_wait(class: &Class) {
        push(class.place);
    }

    fn push(place: Place) {
        with_held(|held| {
            if let Some(slot) = held.classes.get_mut(held.len) {
                *slot = Some(place);
                held.len += 1;
            }
        });
    }

    fn check(place: Place) {
        if !active() {
            return;
        }
        let (held, len) = with_held(|held| (held.classes, held.len));
        for before in held[..len].iter().flatten() {
            if !core::ptr::eq(*before, place) && **before != *place {
                note(before, place);
            }
        }
    }

    /// Notes that `to` is taken with `from` held.
    #[inline(never)]
    fn note(from: Place, to: Place) {
        let interrupts = irq::save_and_disable();
        let mut graph = GRAPH.lock();
        let (Some(a), Some(b)) = (graph.class(from), graph.class(to)) else {
            drop(graph);
            return irq::restore(interrupts);
        };
        if !graph.knows(a, b) {
            if let Some(other) = graph.way(b, a) {
                let last = graph.classes[usize::from(other.to)];
                drop(graph);
                emergency!("skiff: the lock made at {to} is about to be taken with the one made at {from} held.");
                emergency!("The other way round ({last:?} after the former), from here:");
                other
                    .stack
                    .iter()
                    .filter(|address| **address != 0)
                    .for_each(|address| emergency!("  {}", ReturnAddress(*address)));
                panic!("locks in the wrong order");
            }
            graph.known[usize::from(a)][usize::from(b) / 64] |= 1 << (b % 64);
            let at = graph.len;
            if let Some(edge) = graph.edges.get_mut(at) {
                let mut stack = [0; FRAMES];
                stack
                    .iter_mut()
                    .zip(backtrace::return_addresses(backtrace::frame_pointer()))
                    .for_each(|(to, from)| *to = from);
                *edge = Edge { from: a, to: b, stack };
                graph.len += 1;
            }
        }
        drop(graph);
        irq::restore(interrupts);
    }

    /// A lock is about to be freed.
    pub fn release(class: &Class) {
        with_held(|held| {
            let Some(at) = held.classes[..held.len]
                .iter()
                .rposition(|place| place.is_some_and(|place| core::ptr::eq(place, class.place)))
            else {
                return;
            };
            held.classes.copy_within(at + 1..held.len, at);
            held.len -= 1;
        });
    }

    /// A lock is about to be taken that must not be taken with interrupts off: they may be off because of a lock that the
    /// handler wants which interrupts the holder of this one.
    pub fn interrupts_may_come(class: &Class) {
        assert!(!active() || irq::enabled(), "the spin lock made at {} is taken with interrupts off", class.place);
    }

    /// The caller is about to do what can sleep: it may hold no spin lock.
    pub fn may_sleep() {
        if active()
            && let Some(place) = with_held(|held| held.classes[..held.len].last().copied().flatten())
        {
            panic!("a sleep with the lock made at {place} held");
        }
    }

    /// The caller is about to wait for an answer of other CPUs: one of them may wait for a spin lock with interrupts off.
    pub fn may_wait_for_cpus() {
        may_sleep();
    }
}
