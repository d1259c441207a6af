//! The form of virtio-blk's requests and configuration. Source: virtio 1.2, 5.2.

use crate::SECTOR;
use crate::driver::{ClearLimits, Properties};
use crate::request::Operation;

/// Feature bits that are taken.
pub mod feature {
    /// A piece of a request has a largest size.
    pub const SIZE_MAX: u64 = 1 << 1;
    /// A request has a largest number of pieces.
    pub const SEG_MAX: u64 = 1 << 2;
    /// No writes.
    pub const RO: u64 = 1 << 5;
    /// It tells the size of its sectors.
    pub const BLK_SIZE: u64 = 1 << 6;
    /// It has a cache, and empties it when it is told to.
    pub const FLUSH: u64 = 1 << 9;
    /// It tells what sizes of transfers it likes.
    pub const TOPOLOGY: u64 = 1 << 10;
    /// It tells whether it keeps anything in its cache.
    pub const CONFIG_WCE: u64 = 1 << 11;
    /// It has several queues.
    pub const MQ: u64 = 1 << 12;
    /// It discards.
    pub const DISCARD: u64 = 1 << 13;
    /// It writes zeros.
    pub const WRITE_ZEROES: u64 = 1 << 14;
    /// All of them.
    pub const ALL: u64 = SIZE_MAX | SEG_MAX | RO | BLK_SIZE | FLUSH | TOPOLOGY | CONFIG_WCE | MQ | DISCARD | WRITE_ZEROES;
}

/// How many bytes of configuration are looked at.
pub const CONFIG_SIZE: usize = 60;

const SIZE_MAX: usize = 8;
const SEG_MAX: usize = 12;
const BLK_SIZE: usize = 20;
const PHYSICAL_EXPONENT: usize = 24;
const MIN_IO: usize = 26;
const OPT_IO: usize = 28;
const WRITEBACK: usize = 32;
const NUM_QUEUES: usize = 34;
const MAX_DISCARD: usize = 36;
const DISCARD_ALIGNMENT: usize = 44;
const MAX_WRITE_ZEROES: usize = 48;

/// The largest sectors that a page holds.
const LARGEST_BLOCK: u32 = fs::PAGE_SIZE as u32;

/// Bytes of `len` at `at` as a little-endian number.
fn field(config: &[u8; CONFIG_SIZE], at: usize, len: usize) -> u64 {
    config.get(at..at + len).unwrap_or_default().iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn word(config: &[u8; CONFIG_SIZE], at: usize) -> u32 {
    field(config, at, 4) as u32
}

/// How many queues the device has.
pub fn queues(features: u64, config: &[u8; CONFIG_SIZE]) -> u16 {
    if features & feature::MQ == 0 { 1 } else { (field(config, NUM_QUEUES, 2) as u16).max(1) }
}

/// What the configuration of a device with `features` says, where a request may have up to `pieces`
/// pieces. `None` if its sectors have a size that makes no sense, or are larger than a page.
pub fn properties(features: u64, config: &[u8; CONFIG_SIZE], pieces: usize) -> Option<Properties> {
    let has = |feature: u64| features & feature != 0;
    let logical = if has(feature::BLK_SIZE) { word(config, BLK_SIZE) } else { SECTOR as u32 };
    if !logical.is_power_of_two() || logical < SECTOR as u32 || logical > LARGEST_BLOCK {
        return None;
    }
    let unit = u64::from(logical) / SECTOR;
    let exponent = if has(feature::TOPOLOGY) { field(config, PHYSICAL_EXPONENT, 1) as u32 } else { 0 };
    let io = |at, len| if has(feature::TOPOLOGY) { (field(config, at, len) as u32).saturating_mul(logical) } else { 0 };
    let clear = |feature, at, alignment: u32| {
        let max_sectors = u64::from(word(config, at));
        let granularity = alignment.saturating_mul(SECTOR as u32).max(logical);
        (has(feature) && max_sectors >= unit).then_some(ClearLimits { max_sectors, granularity })
    };
    Some(Properties {
        sectors: field(config, 0, 8) / unit * unit,
        logical_block: logical,
        physical_block: logical.checked_shl(exponent.min(8)).unwrap_or(logical),
        io_sizes: [io(MIN_IO, 2), io(OPT_IO, 4)],
        read_only: has(feature::RO),
        write_cache: has(feature::FLUSH) && (!has(feature::CONFIG_WCE) || field(config, WRITEBACK, 1) != 0),
        discard: clear(feature::DISCARD, MAX_DISCARD, word(config, DISCARD_ALIGNMENT)),
        write_zeroes: clear(feature::WRITE_ZEROES, MAX_WRITE_ZEROES, 0),
        max_segments: if has(feature::SEG_MAX) { (word(config, SEG_MAX) as usize).clamp(1, pieces) } else { 1 },
        max_segment_size: if has(feature::SIZE_MAX) { word(config, SIZE_MAX).max(logical) } else { u32::MAX },
    })
}

/// The most bytes that one request moves, if each of its pieces is a page.
pub fn max_bytes(properties: &Properties) -> u64 {
    properties.max_segments as u64 * u64::from(properties.max_segment_size.min(fs::PAGE_SIZE as u32))
}

/// `type` and `sector` of `struct virtio_blk_req`: its first 16 bytes, as two numbers.
pub fn header(operation: Operation, sector: u64) -> [u64; 2] {
    let kind = match operation {
        Operation::Read => 0,
        Operation::Write => 1,
        Operation::Flush => 4,
        Operation::Discard => 11,
        Operation::WriteZeroes => 13,
    };
    [kind, if matches!(operation, Operation::Read | Operation::Write) { sector } else { 0 }]
}

/// `struct virtio_blk_discard_write_zeroes`, as two numbers, for those that have one. Room that is
/// written with zeros stays taken.
pub fn range(operation: Operation, sector: u64, sectors: u64) -> Option<[u64; 2]> {
    match operation {
        Operation::Discard | Operation::WriteZeroes => Some([sector, sectors & 0xffff_ffff]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(fields: &[(usize, &[u8])]) -> [u8; CONFIG_SIZE] {
        let mut config = [0; CONFIG_SIZE];
        for (at, bytes) in fields {
            config[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        config
    }

    #[test]
    fn a_plain_disk() {
        let disk = properties(0, &config(&[(0, &100u64.to_le_bytes()), (20, &[0, 16])]), 60).unwrap();
        assert_eq!((disk.sectors, disk.logical_block, disk.physical_block), (100, 512, 512));
        assert_eq!((disk.max_segments, disk.write_cache, disk.read_only, disk.discard), (1, false, false, None));
        assert_eq!(queues(0, &config(&[(34, &[7, 0])])), 1);
    }

    #[test]
    fn all_that_there_is() {
        let config = config(&[
            (0, &1003u64.to_le_bytes()),
            (8, &65536u32.to_le_bytes()),
            (12, &254u32.to_le_bytes()),
            (20, &2048u32.to_le_bytes()),
            (24, &[1, 0, 2, 0, 8, 0, 0, 0]),
            (32, &[1]),
            (34, &[4, 0]),
            (36, &4_194_303u32.to_le_bytes()),
            (44, &1u32.to_le_bytes()),
            (48, &77u32.to_le_bytes()),
        ]);
        let disk = properties(feature::ALL, &config, 60).unwrap();
        assert_eq!((disk.sectors, disk.logical_block, disk.physical_block), (1000, 2048, 4096));
        assert_eq!((disk.io_sizes, disk.max_segments, disk.max_segment_size), ([4096, 16384], 60, 65536));
        assert!(disk.write_cache && disk.read_only);
        assert_eq!(disk.discard, Some(ClearLimits { max_sectors: 4_194_303, granularity: 2048 }));
        assert_eq!(disk.write_zeroes.map(|limits| limits.max_sectors), Some(77));
        assert_eq!(queues(feature::ALL, &config), 4);
    }

    #[test]
    fn sectors_that_make_no_sense() {
        for size in [0u32, 511, 513, 1 << 31, 8192] {
            let config = config(&[(20, &size.to_le_bytes())]);
            assert_eq!(properties(feature::BLK_SIZE, &config, 60), None, "{size}");
        }
    }

    #[test]
    fn a_cache_that_is_off_needs_no_flush() {
        let off = config(&[]);
        assert!(!properties(feature::FLUSH | feature::CONFIG_WCE, &off, 1).unwrap().write_cache);
        assert!(properties(feature::FLUSH, &off, 1).unwrap().write_cache);
    }
}
