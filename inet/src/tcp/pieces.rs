//! A payload that lies in several places.

use alloc::vec::Vec;

use crate::Bytes;

/// The most parts that a payload is gathered from.
pub const MAX_PIECES: usize = 8;

/// Parts of a payload, in order. Most payloads are one part, which needs no memory of its own.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    first: Option<Bytes>,
    rest: Vec<Bytes>,
}

impl Pieces {
    /// None yet.
    pub fn new() -> Pieces {
        Pieces::default()
    }

    /// Appends one.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.rest.push(piece);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Their bytes, in all.
    pub fn bytes(&self) -> usize {
        self.iter().map(|piece| piece.len()).sum()
    }

    /// One after the other.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> + Clone {
        self.first.iter().chain(&self.rest)
    }

    /// All of them as one: itself, if there is but one.
    pub fn joined(self) -> Bytes {
        match self.first {
            Some(only) if self.rest.is_empty() => only,
            None => Bytes::default(),
            Some(_) => {
                let mut all = Vec::with_capacity(self.bytes());
                self.iter().for_each(|piece| all.extend_from_slice(piece));
                all.into()
            }
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(piece: Bytes) -> Pieces {
        Pieces { first: Some(piece), rest: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn in_order() {
        let mut pieces = Pieces::new();
        assert!(pieces.is_empty() && pieces.clone().joined().is_empty());
        for n in 1..4u8 {
            pieces.push(vec![n; n.into()].into());
            assert_eq!(pieces.len(), n.into());
        }
        assert_eq!(pieces.bytes(), 6);
        assert_eq!(*pieces.joined(), [1, 2, 2, 3, 3, 3]);
    }
}
