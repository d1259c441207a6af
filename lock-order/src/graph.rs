//! Which class of locks was taken while which other one was held.

use core::num::NonZeroU16;
use core::panic::Location;

/// Return addresses of a stack, the innermost first; those that are not known are 0.
pub type Stack = [u64; 10];

pub(crate) type Place = &'static Location<'static>;

/// Most classes. A kernel has some 200.
pub(crate) const MAX_CLASSES: usize = 512;
const MAX_EDGES: usize = 4096;

/// Names a class: its number, from 1 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClassId(NonZeroU16);

impl ClassId {
    /// The class that a number was made of by [`Self::get`].
    pub fn known(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }

    fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

#[derive(Clone, Copy)]
struct Edge {
    from: u16,
    to: u16,
    stack: Stack,
}

/// An order that was seen before and is the opposite of the one now.
pub(crate) struct Opposite {
    /// Taken after the lock that is about to be taken.
    pub next: Option<Place>,
    /// By whom.
    pub stack: Stack,
}

/// The classes, and which was taken while which other one was held.
pub(crate) struct Graph {
    classes: [Option<Place>; MAX_CLASSES],
    known: [[u64; MAX_CLASSES / 64]; MAX_CLASSES],
    edges: [Edge; MAX_EDGES],
    len: usize,
    /// For the search: classes to visit, and by which edge the way to each began. Not on the stack,
    /// which is small.
    open: [u16; MAX_CLASSES + 1],
    first: [Option<u16>; MAX_CLASSES],
}

impl Graph {
    pub const fn new() -> Self {
        Self {
            classes: [None; MAX_CLASSES],
            known: [[0; MAX_CLASSES / 64]; MAX_CLASSES],
            edges: [Edge { from: 0, to: 0, stack: [0; _] }; MAX_EDGES],
            len: 0,
            open: [0; MAX_CLASSES + 1],
            first: [None; MAX_CLASSES],
        }
    }

    /// The class of a place; `None` where there are too many.
    pub fn class(&mut self, place: Place) -> Option<ClassId> {
        let at = self
            .classes
            .iter()
            .position(|known| known.is_none_or(|known| core::ptr::eq(known, place) || *known == *place))?;
        self.classes[at] = Some(place);
        ClassId::known(at as u16 + 1)
    }

    /// The place of a class.
    pub fn place(&self, class: ClassId) -> Option<Place> {
        self.classes.get(class.index()).copied().flatten()
    }

    /// Notes that `to` is taken with `from` held, by whom `stack` tells. The opposite order is an
    /// error.
    pub fn note(&mut self, from: ClassId, to: ClassId, stack: impl FnOnce() -> Stack) -> Result<(), Opposite> {
        let (a, b) = (from.index(), to.index());
        if a == b || self.known[a][b / 64] >> (b % 64) & 1 != 0 {
            return Ok(());
        }
        if let Some(other) = self.way(b as u16, a as u16) {
            return Err(Opposite { next: self.classes[usize::from(other.to)], stack: other.stack });
        }
        self.known[a][b / 64] |= 1 << (b % 64);
        if let Some(edge) = self.edges.get_mut(self.len) {
            *edge = Edge { from: a as u16, to: b as u16, stack: stack() };
            self.len += 1;
        }
        Ok(())
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
