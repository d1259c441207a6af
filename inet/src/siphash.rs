//! SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash that an outsider cannot steer, for tables
//! that packets are looked up in, initial sequence numbers (RFC 6528), ports (RFC 6056) and SYN
//! cookies.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;

/// The key. Its halves also serve the cheaper hash of [`crate::ip::Flow::place`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Key(pub u64, pub u64);

impl Key {
    /// The hash of whole words.
    pub fn hash(self, words: &[u64]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        for word in words {
            hasher.write_u64(*word);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_vector() {
        // Appendix A has 15 bytes; the reference implementation's table gives this for the first 8.
        let key = Key(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(key.hash(&[0x0706_0504_0302_0100]), 0x93f5_f579_9a93_2462);
    }
}
