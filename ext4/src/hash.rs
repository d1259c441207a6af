//! Hashes of names in indexed directories: the first form, half MD4 and TEA, each over signed or
//! unsigned bytes.

const DELTA: u32 = 0x9e37_79b9;
/// Marks the end of a directory, so no name has it.
const END: u32 = 0x7fff_ffff << 1;

/// What an index is sorted by: bit 0 of the first word is free. `None` for a kind of hash that is
/// not known.
pub(crate) fn hash(name: &[u8], version: u8, unsigned: bool, seed: &[u32; 4]) -> Option<(u32, u32)> {
    let (kind, unsigned) = match version {
        0..=2 => (version, unsigned),
        3..=5 => (version - 3, true),
        _ => return None,
    };
    let mut state = match seed.iter().any(|word| *word != 0) {
        true => *seed,
        false => [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
    };
    let (major, minor) = match kind {
        0 => (first_form(name, unsigned), 0),
        1 => {
            for start in (0..name.len()).step_by(32) {
                half_md4(&mut state, &words::<8>(name.get(start..).unwrap_or(&[]), unsigned));
            }
            (state[1], state[2])
        }
        _ => {
            for start in (0..name.len()).step_by(16) {
                tea(&mut state, &words::<4>(name.get(start..).unwrap_or(&[]), unsigned));
            }
            (state[0], state[1])
        }
    };
    let major = major & !1;
    Some((if major == END { (0x7fff_ffff - 1) << 1 } else { major }, minor))
}

fn widen(byte: u8, unsigned: bool) -> u32 {
    if unsigned { u32::from(byte) } else { byte as i8 as u32 }
}

fn first_form(name: &[u8], unsigned: bool) -> u32 {
    let (mut before, mut now) = (0x37ab_e8f9u32, 0x12a3_fe2du32);
    for byte in name {
        let next = before.wrapping_add(now ^ widen(*byte, unsigned).wrapping_mul(7_152_373));
        let next = if next & 0x8000_0000 != 0 { next.wrapping_sub(0x7fff_ffff) } else { next };
        before = now;
        now = next;
    }
    now << 1
}

/// Up to `4 * N` bytes as words, the first byte highest, filled up with the length of all that is
/// left.
fn words<const N: usize>(rest: &[u8], unsigned: bool) -> [u32; N] {
    let len = rest.len() as u32;
    let pad = len | len << 8;
    let pad = pad | pad << 16;
    let mut out = [pad; N];
    let taken = rest.get(..rest.len().min(4 * N)).unwrap_or(rest);
    for (word, bytes) in out.iter_mut().zip(taken.chunks(4)) {
        *word = bytes.iter().fold(pad, |word, byte| widen(*byte, unsigned).wrapping_add(word << 8));
    }
    out
}

fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let [mut a, mut b, ..] = *state;
    let mut sum = 0u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(DELTA);
        let mix = |x: u32, k0: u32, k1: u32| (x << 4).wrapping_add(k0) ^ x.wrapping_add(sum) ^ (x >> 5).wrapping_add(k1);
        a = a.wrapping_add(mix(b, key[0], key[1]));
        b = b.wrapping_add(mix(a, key[2], key[3]));
    }
    state[0] = state[0].wrapping_add(a);
    state[1] = state[1].wrapping_add(b);
}

/// Three rounds of MD4 (RFC 1320) of eight steps each, over half a block.
fn half_md4(state: &mut [u32; 4], data: &[u32; 8]) {
    const ORDER: [[usize; 8]; 3] = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 3, 5, 7, 0, 2, 4, 6], [3, 7, 2, 6, 1, 5, 0, 4]];
    const SHIFT: [[u32; 4]; 3] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
    const ADD: [u32; 3] = [0, 0x5a82_7999, 0x6ed9_eba1];
    let [mut a, mut b, mut c, mut d] = *state;
    for (round, order) in ORDER.iter().enumerate() {
        for (step, from) in order.iter().enumerate() {
            let f = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let sum = a.wrapping_add(f).wrapping_add(data[*from]).wrapping_add(ADD[round]);
            (a, d, c, b) = (d, c, b, sum.rotate_left(SHIFT[round][step % 4]));
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From `debugfs -R 'dx_hash -h KIND -s UUID NAME'` of e2fsprogs 1.47.
    #[test]
    fn known_answers() {
        for (name, version, want) in TABLE {
            let got = hash(name.as_bytes(), *version, false, &[0; 4]);
            assert_eq!(got.map(|h| h.0), Some(*want), "{name} {version}");
        }
    }

    const TABLE: &[(&str, u8, u32)] = &[
        ("a", 0, 0xe74b53e2),
        ("a", 1, 0xd5fa7d7a),
        ("a", 2, 0x6d0ea4c0),
        ("hello.txt", 0, 0x65a05776),
        ("hello.txt", 1, 0xa26e1d86),
        ("hello.txt", 2, 0x5107c3f2),
        ("a-rather-long-name-of-more-than-32-bytes-in-it", 0, 0x4a2b7c42),
        ("a-rather-long-name-of-more-than-32-bytes-in-it", 1, 0x1c0022da),
        ("a-rather-long-name-of-more-than-32-bytes-in-it", 2, 0x538d5674),
        ("éü", 0, 0x100ac15c),
        ("éü", 1, 0x012c924a),
        ("éü", 2, 0xd67cc182),
        ("exactly-sixteen.", 0, 0xb3e0e354),
        ("exactly-sixteen.", 1, 0x7bd4b77a),
        ("exactly-sixteen.", 2, 0x71b5bd08),
    ];
}
