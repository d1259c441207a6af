//! The gzip format (RFC 1952) without compression, for files that Linux compresses.

use alloc::vec::Vec;

/// The longest block of DEFLATE that is stored as it is (RFC 1951, 3.2.4).
const BLOCK: usize = 0xffff;

/// `text` as a file that `zcat` reads: blocks that are stored, between gzip's header and its check.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / BLOCK * 5 + 32);
    // No flags and no time; by the default method, under Unix.
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let mut rest = text;
    loop {
        let (block, next) = rest.split_at(rest.len().min(BLOCK));
        let length = block.len() as u16;
        out.push(u8::from(next.is_empty()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    out.extend_from_slice(&crc32(text).to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out
}

/// The check of RFC 1952, 8.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn the_check_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn gunzip_reads_it() {
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut child = Command::new("gzip").args(["-dc"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let packed = gzip(&text);
            let feeder = std::thread::spawn(move || stdin.write_all(&packed).unwrap());
            let out = child.wait_with_output().unwrap();
            feeder.join().unwrap();
            assert!(out.status.success());
            assert!(out.stdout == text, "{length} bytes");
        }
    }
}
