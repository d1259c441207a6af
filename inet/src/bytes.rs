//! Shared pieces of memory: a packet as the device filled it, what the application wrote, and every
//! part of these.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

/// A part of a buffer that others may hold too. Nobody changes it, except the sole owner at its
/// end.
#[derive(Clone, Debug, Default)]
pub struct Bytes {
    /// `None` for nothing at all.
    data: Option<Arc<Vec<u8>>>,
    start: usize,
    end: usize,
}

impl Bytes {
    /// The part from `start` on, of at most `len` bytes.
    #[inline]
    pub fn slice(&self, start: usize, len: usize) -> Bytes {
        let start = self.start.saturating_add(start).min(self.end);
        Bytes { data: self.data.clone(), start, end: start.saturating_add(len).min(self.end) }
    }

    /// Leaves the first `n` bytes out.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.end);
    }

    /// Leaves all but the first `n` bytes out.
    #[inline]
    pub fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start.saturating_add(n));
    }

    /// Memory that the whole buffer takes, of which this may be a small part.
    pub fn footprint(&self) -> usize {
        self.data.as_ref().map_or(0, |data| data.capacity())
    }

    /// Appends to the buffer where nobody else holds it, nothing stands behind this part, and there
    /// is room already. Whether it did.
    pub fn try_append(&mut self, more: &[u8]) -> bool {
        let end = self.end;
        match self.data.as_mut().and_then(Arc::get_mut) {
            Some(data) if data.len() == end && data.capacity() - end >= more.len() => {
                data.extend_from_slice(more);
                self.end += more.len();
                true
            }
            _ => false,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(data: Vec<u8>) -> Bytes {
        let end = data.len();
        Bytes { data: Some(Arc::new(data)), start: 0, end }
    }
}

impl Deref for Bytes {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.data {
            Some(data) => data.get(self.start..self.end).unwrap_or_default(),
            None => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn parts() {
        let whole = Bytes::from(vec![1, 2, 3, 4, 5]);
        let mut part = whole.slice(1, 3);
        assert_eq!(*part, [2, 3, 4]);
        part.advance(1);
        part.truncate(1);
        assert_eq!(*part, [3]);
        assert!(whole.slice(9, 9).is_empty());
    }

    #[test]
    fn only_the_sole_owner_appends() {
        let mut data = Vec::with_capacity(8);
        data.push(1);
        let mut a = Bytes::from(data);
        assert!(a.try_append(&[2]));
        let b = a.clone();
        assert!(!a.try_append(&[3]));
        drop(b);
        assert!(a.try_append(&[3]) && !a.try_append(&[0; 9]));
        assert_eq!(*a, [1, 2, 3]);
    }
}
