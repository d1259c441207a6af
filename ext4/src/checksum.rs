//! Checksums as ext4 and JBD2 use them: the register is carried from one call to the next and never
//! inverted.

use crc::{CRC_16_MODBUS, CRC_32_ISCSI, CRC_32_MPEG_2, Crc, Table};

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
static CRC16: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_MODBUS);
static CRC32_BE: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_MPEG_2);

/// CRC-32C of `data`, going on from `seed`.
pub(crate) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    // The crate mirrors the first value and inverts the last.
    let mut digest = CRC32C.digest_with_initial(seed.reverse_bits());
    digest.update(data);
    !digest.finalize()
}

/// CRC-16 of all parts, from all ones: descriptors of groups with `uninit_bg`.
pub(crate) fn crc16(parts: &[&[u8]]) -> u16 {
    let mut digest = CRC16.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

/// Big-endian CRC-32 of all parts, from all ones: JBD2's first kind of checksum.
pub(crate) fn crc32_be(parts: &[&[u8]]) -> u32 {
    let mut digest = CRC32_BE.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(!0, b"1234"), b"56789"), crc32c(!0, b"123456789"));
        assert_eq!(crc16(&[b"1234", b"56789"]), 0x4b37);
        assert_eq!(crc32_be(&[b"123456789"]), 0x0376_e6e7);
    }
}
