//! Bytes that the application has written and the other side has not acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{MAX_PIECES, Pieces};
use crate::Bytes;

/// Small writes are gathered in pieces with room for this much.
const GATHER: usize = 4096;

/// The queue. Its first byte is the first that is not acknowledged.
#[derive(Debug, Default)]
pub struct SendQueue {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl SendQueue {
    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends.
    pub fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() >= GATHER / 2 {
            self.pieces.push_back(bytes);
            return;
        }
        if let Some(last) = self.pieces.back_mut()
            && last.try_append(&bytes)
        {
            return;
        }
        // The first of a row of small writes may well be the only one: no room for more is taken
        // before there is a second.
        if self.pieces.is_empty() {
            self.pieces.push_back(bytes);
        } else {
            let mut gathered = Vec::with_capacity(GATHER);
            gathered.extend_from_slice(&bytes);
            self.pieces.push_back(gathered.into());
        }
    }

    /// Takes `n` acknowledged bytes off the front.
    pub fn acknowledge(&mut self, mut n: usize) {
        self.len -= n.min(self.len);
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > n {
                first.advance(n);
                break;
            }
            n -= first.len();
            self.pieces.pop_front();
        }
    }

    /// Up to `len` bytes from `offset` on, in at most `max_pieces` pieces. Answers how many there
    /// are.
    pub fn read(&self, mut offset: usize, len: usize, max_pieces: usize, out: &mut Pieces) -> usize {
        // The usual case: all of it is in the first piece.
        if let Some(first) = self.pieces.front()
            && offset + len <= first.len()
            && len > 0
        {
            out.push(first.slice(offset, len));
            return len;
        }
        let mut done = 0;
        for piece in &self.pieces {
            if offset >= piece.len() {
                offset -= piece.len();
                continue;
            }
            if done == len || out.len() >= max_pieces.min(MAX_PIECES) {
                break;
            }
            let part = piece.slice(offset, len - done);
            offset = 0;
            done += part.len();
            out.push(part);
        }
        done
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(queue: &SendQueue, offset: usize, len: usize) -> Vec<u8> {
        let mut pieces = Pieces::new();
        queue.read(offset, len, 8, &mut pieces);
        pieces.iter().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn gathers_small_writes_and_gives_any_part() {
        let mut queue = SendQueue::default();
        for n in 0..10u8 {
            queue.push(vec![n; 3].into());
        }
        assert_eq!((queue.len(), queue.pieces.len()), (30, 2));
        assert_eq!(read(&queue, 2, 3), [0, 1, 1]);
        queue.acknowledge(4);
        assert_eq!(read(&queue, 0, 3), [1, 1, 2]);
        assert_eq!(read(&queue, 25, 9), [9]);
        queue.acknowledge(26);
        assert_eq!((queue.len(), queue.pieces.len()), (0, 0));
    }

    #[test]
    fn keeps_to_the_number_of_pieces() {
        let mut queue = SendQueue::default();
        queue.push(vec![1; 3000].into());
        queue.push(vec![2; 3000].into());
        let mut pieces = Pieces::new();
        assert_eq!(queue.read(0, 6000, 1, &mut pieces), 3000);
    }
}
