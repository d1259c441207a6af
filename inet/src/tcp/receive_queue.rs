//! Bytes that have arrived: those in order, which the application may read, and those that wait for
//! a gap to close.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use arrayvec::ArrayVec;

use crate::Bytes;

/// A payload of less than this share of its packet's memory is copied, so that few bytes do not
/// hold a large buffer; not where the memory is small anyway.
const WORTH_KEEPING: usize = 2;
const SMALL: usize = 256;
/// Size of the pieces that small payloads are gathered in.
const GATHER: usize = 4096;
/// Parts that may wait for gaps to close. The other side sends again what does not fit.
const MAX_WAITING: usize = 1024;

fn worth_keeping(payload: &Bytes) -> bool {
    let footprint = payload.footprint();
    footprint <= SMALL && payload.len() >= SMALL / 16 || payload.len() * WORTH_KEEPING >= footprint
}

/// The queue. Offsets count the bytes of the whole stream, so they never wrap.
#[derive(Debug, Default)]
pub struct ReceiveQueue {
    ready: VecDeque<Bytes>,
    ready_len: usize,
    /// Offset behind the last byte in order.
    next: u64,
    /// By offset; parts do not overlap.
    waiting: BTreeMap<u64, Bytes>,
    waiting_len: usize,
    /// Where the last part that had to wait begins: the first to be told of (RFC 2018, 4).
    latest: u64,
}

impl ReceiveQueue {
    /// Bytes to read.
    pub fn len(&self) -> usize {
        self.ready_len
    }

    /// Bytes that were ever in order.
    pub fn received(&self) -> u64 {
        self.next
    }

    /// Bytes held, those behind gaps included.
    pub fn held(&self) -> usize {
        self.ready_len + self.waiting_len
    }

    /// Whether there are gaps.
    pub fn has_gaps(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes bytes that begin `ahead` behind the last byte in order. Answers how many more are in
    /// order now.
    pub fn insert(&mut self, ahead: u32, payload: Bytes) -> usize {
        if ahead > 0 {
            self.put_aside(self.next + u64::from(ahead), payload);
            return 0;
        }
        let before = self.next;
        self.append(payload);
        while let Some(entry) = self.waiting.first_entry() {
            let start = *entry.key();
            if start > self.next {
                break;
            }
            let mut part = entry.remove();
            self.waiting_len -= part.len();
            part.advance((self.next - start) as usize);
            self.append(part);
        }
        (self.next - before) as usize
    }

    fn append(&mut self, payload: Bytes) {
        let len = payload.len();
        if len == 0 {
            return;
        }
        self.next += len as u64;
        self.ready_len += len;
        if worth_keeping(&payload) {
            self.ready.push_back(payload);
        } else if !self.ready.back_mut().is_some_and(|last| last.try_append(&payload)) {
            // A lone small message gets no more memory than it needs.
            let room = if self.ready.is_empty() { len } else { GATHER.max(len) };
            let mut gathered = Vec::with_capacity(room);
            gathered.extend_from_slice(&payload);
            self.ready.push_back(gathered.into());
        }
    }

    /// Keeps what is new of a part behind a gap.
    fn put_aside(&mut self, start: u64, mut part: Bytes) {
        let mut start = start;
        if let Some((before, held)) = self.waiting.range(..=start).next_back() {
            let end = before + held.len() as u64;
            let known = end.saturating_sub(start) as usize;
            part.advance(known);
            start += known as u64;
        }
        while !part.is_empty() {
            let next = self.waiting.range(start..).next().map(|(at, held)| (*at, held.len()));
            let room = next.map_or(usize::MAX, |(at, _)| (at - start) as usize);
            let mut piece = part.clone();
            piece.truncate(room);
            if !piece.is_empty() && self.waiting.len() < MAX_WAITING {
                let kept = if worth_keeping(&piece) { piece.clone() } else { piece.to_vec().into() };
                self.waiting_len += kept.len();
                self.latest = start;
                self.waiting.insert(start, kept);
            }
            let Some((at, held)) = next else { break };
            let skip = (at + held as u64 - start) as usize;
            part.advance(skip);
            start += skip as u64;
        }
    }

    /// Where the bytes behind gaps are, as distances from the last byte in order, the latest first.
    pub fn gaps(&self) -> ArrayVec<(u32, u32), 3> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (start, part) in &self.waiting {
            let end = start + part.len() as u64;
            match ranges.last_mut() {
                Some(last) if last.1 == *start => last.1 = end,
                _ => ranges.push((*start, end)),
            }
        }
        let first = ranges.iter().position(|(a, b)| (*a..*b).contains(&self.latest)).unwrap_or(0);
        if first < ranges.len() {
            ranges.swap(0, first);
        }
        ranges.iter().take(3).map(|(a, b)| ((a - self.next) as u32, (b - self.next) as u32)).collect()
    }

    /// The part `skip` bytes behind the first unread one, up to the end of its piece.
    pub fn peek(&self, mut skip: usize) -> Option<Bytes> {
        if let Some(first) = self.ready.front().filter(|first| skip < first.len()) {
            return Some(first.slice(skip, usize::MAX));
        }
        for piece in &self.ready {
            if skip < piece.len() {
                return Some(piece.slice(skip, usize::MAX));
            }
            skip -= piece.len();
        }
        None
    }

    /// The application has read `n` bytes.
    pub fn consume(&mut self, mut n: usize) {
        self.ready_len -= n.min(self.ready_len);
        while let Some(first) = self.ready.front_mut() {
            if first.len() > n {
                first.advance(n);
                break;
            }
            n -= first.len();
            self.ready.pop_front();
        }
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.waiting.clear();
        (self.ready_len, self.waiting_len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &mut ReceiveQueue) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(piece) = queue.peek(0) {
            out.extend_from_slice(&piece);
            queue.consume(piece.len());
        }
        out
    }

    fn bytes(text: &str) -> Bytes {
        text.as_bytes().to_vec().into()
    }

    #[test]
    fn gaps_close() {
        let mut queue = ReceiveQueue::default();
        assert_eq!(queue.insert(3, bytes("def")), 0);
        assert_eq!(queue.insert(9, bytes("jkl")), 0);
        assert_eq!(queue.gaps().as_slice(), [(9, 12), (3, 6)]);
        assert_eq!(queue.insert(2, bytes("cdefghi")), 0);
        assert_eq!(queue.gaps().as_slice(), [(2, 12)]);
        assert_eq!(queue.insert(0, bytes("ab")), 12);
        assert!(!queue.has_gaps());
        assert_eq!(text(&mut queue), b"abcdefghijkl");
        assert_eq!(queue.held(), 0);
    }

    #[test]
    fn overlaps_are_taken_once() {
        let mut queue = ReceiveQueue::default();
        queue.insert(1, bytes("b"));
        queue.insert(1, bytes("bc"));
        queue.insert(5, bytes("f"));
        queue.insert(1, bytes("bcdefgh"));
        assert_eq!(queue.insert(0, bytes("abc")), 8);
        assert_eq!(text(&mut queue), b"abcdefgh");
    }

    #[test]
    fn peeking_leaves_all_in_place() {
        let mut queue = ReceiveQueue::default();
        queue.insert(0, bytes("abc"));
        queue.insert(0, bytes("def"));
        assert_eq!(&*queue.peek(4).unwrap(), b"ef");
        assert!(queue.peek(6).is_none());
        queue.consume(4);
        assert_eq!(text(&mut queue), b"ef");
    }
}
