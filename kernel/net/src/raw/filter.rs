//! `ICMP_FILTER` and `ICMP6_FILTER`: which types of messages a raw socket does not want (raw(7),
//! RFC 3542, 3.2).

use alloc::vec::Vec;

/// A bit for each type that is not wanted. IPv4's knows the first 32 types only.
#[derive(Default)]
pub struct Filter([u32; 8]);

impl Filter {
    /// Whether messages of this type are not wanted.
    pub fn blocks(&self, kind: u8) -> bool {
        self.0.get(usize::from(kind) / 32).is_some_and(|word| word & 1 << (kind % 32) != 0)
    }

    /// Sets so many bytes of the first `words` words.
    pub fn set(&mut self, value: &[u8], words: usize) {
        let mut bytes = self.bytes(words);
        bytes.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        for (word, bytes) in self.0.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = bytes.try_into().map_or(0, u32::from_ne_bytes);
        }
    }

    /// The first `words` words.
    pub fn bytes(&self, words: usize) -> Vec<u8> {
        self.0.iter().take(words).flat_map(|word| word.to_ne_bytes()).collect()
    }
}
