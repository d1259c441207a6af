//! The last messages, oldest first, in as many bytes as there are: new ones push old ones out.

/// Bytes kept, headers included.
pub const SIZE: usize = 32 << 10;
/// Longest text of a record, as Linux's `LOG_LINE_MAX`.
pub const TEXT_MAX: usize = 1024 - 32;
/// Sequence number, time, length, priority.
const HEADER: usize = 8 + 8 + 2 + 2;

/// What is known of a message beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 0.
    pub seq: u64,
    /// When, in nanoseconds since boot.
    pub time: u64,
    /// Facility times 8, plus level (syslog(3)).
    pub priority: u16,
    /// Bytes of text.
    pub len: usize,
}

/// Text of a record.
pub type Text = [u8; TEXT_MAX];

/// The messages.
pub struct Ring {
    bytes: [u8; SIZE],
    /// Where the oldest record begins.
    start: usize,
    used: usize,
    /// Numbers of the oldest record and of the next one.
    first: u64,
    next: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

impl Ring {
    /// None yet.
    pub const fn new() -> Self {
        Self { bytes: [0; SIZE], start: 0, used: 0, first: 0, next: 0 }
    }

    /// Number of the oldest record.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of the record that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    fn get(&self, at: usize, to: &mut [u8]) {
        for (n, byte) in to.iter_mut().enumerate() {
            *byte = self.bytes[(at + n) % SIZE];
        }
    }

    fn put(&mut self, from: &[u8]) {
        let at = self.start + self.used;
        for (n, byte) in from.iter().enumerate() {
            self.bytes[(at + n) % SIZE] = *byte;
        }
        self.used += from.len();
    }

    fn header(&self, at: usize) -> Record {
        let mut bytes = [0; HEADER];
        self.get(at, &mut bytes);
        let [s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, p0, p1] = bytes;
        Record {
            seq: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            time: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            len: u16::from_le_bytes([l0, l1]).into(),
            priority: u16::from_le_bytes([p0, p1]),
        }
    }

    /// Keeps a message; of a long text, the start.
    pub fn push(&mut self, time: u64, priority: u16, text: &[u8]) {
        let text = &text[..text.len().min(TEXT_MAX)];
        while self.used + HEADER + text.len() > SIZE {
            let gone = HEADER + self.header(self.start).len;
            self.start = (self.start + gone) % SIZE;
            self.used -= gone;
            self.first += 1;
        }
        self.put(&self.next.to_le_bytes());
        self.put(&time.to_le_bytes());
        self.put(&(text.len() as u16).to_le_bytes());
        self.put(&priority.to_le_bytes());
        self.put(text);
        self.next += 1;
    }

    /// The record `seq`, or the oldest after it, with its text.
    pub fn read(&self, seq: u64, text: &mut Text) -> Option<Record> {
        let mut offset = 0;
        while offset < self.used {
            let record = self.header(self.start + offset);
            if record.seq >= seq {
                self.get(self.start + offset + HEADER, &mut text[..record.len]);
                return Some(record);
            }
            offset += HEADER + record.len;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_records_make_room() {
        let mut ring = Ring::new();
        let mut text = [0; TEXT_MAX];
        assert_eq!(ring.read(0, &mut text), None);
        for n in 0..1000u64 {
            ring.push(n * 10, (n % 8) as u16, &[b'a' + (n % 26) as u8; 100]);
        }
        assert_eq!(ring.next(), 1000);
        assert!(ring.first() > 600 && ring.used <= SIZE && ring.used > SIZE - 200);
        let oldest = ring.read(0, &mut text).unwrap();
        assert_eq!((oldest.seq, oldest.time, oldest.len), (ring.first(), ring.first() * 10, 100));
        let last = ring.read(999, &mut text).unwrap();
        assert_eq!((last.seq, last.priority), (999, 999 % 8));
        assert_eq!(text[..100], [b'a' + (999 % 26) as u8; 100]);
        assert_eq!(ring.read(1000, &mut text), None);
    }

    #[test]
    fn long_texts_are_cut() {
        let mut ring = Ring::new();
        let mut text = [0; TEXT_MAX];
        ring.push(0, 0, &[b'x'; 5000]);
        assert_eq!(ring.read(0, &mut text).unwrap().len, TEXT_MAX);
    }
}
