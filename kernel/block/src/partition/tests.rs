use super::gpt::crc32;
use super::*;

/// A disk in memory, with sectors of so many bytes.
struct Image {
    bytes: Vec<u8>,
    block: usize,
}

impl Image {
    fn new(blocks: usize, block: usize) -> Self {
        Self { bytes: vec![0; blocks * block], block }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn entry(&mut self, lba: usize, index: usize, kind: u8, start: u32, count: u32) {
        let at = lba * self.block + 446 + index * 16;
        self.put(at + 4, &[kind]);
        self.put(at + 8, &start.to_le_bytes());
        self.put(at + 12, &count.to_le_bytes());
        self.put(lba * self.block + 510, &[0x55, 0xaa]);
    }

    /// A header at `lba` for entries at `entries`, of which there are four.
    fn header(&mut self, lba: usize, entries: usize) {
        let (block, last) = (self.block, self.bytes.len() / self.block - 1);
        let sum = crc32(self.bytes[entries * block..][..4 * 128].iter().copied());
        let at = lba * block;
        self.put(at, b"EFI PART\x00\x00\x01\x00");
        self.put(at + 12, &92u32.to_le_bytes());
        self.put(at + 16, &[0; 4]);
        self.put(at + 24, &(lba as u64).to_le_bytes());
        self.put(at + 32, &((if lba == 1 { last } else { 1 }) as u64).to_le_bytes());
        self.put(at + 40, &6u64.to_le_bytes());
        self.put(at + 48, &(last as u64 - 5).to_le_bytes());
        self.put(at + 72, &(entries as u64).to_le_bytes());
        self.put(at + 80, &4u32.to_le_bytes());
        self.put(at + 84, &128u32.to_le_bytes());
        self.put(at + 88, &sum.to_le_bytes());
        let sum = crc32(self.bytes[at..at + 92].iter().copied());
        self.put(at + 16, &sum.to_le_bytes());
    }

    fn gpt_entry(&mut self, at: usize, start: u64, end: u64, label: &str) {
        self.put(at, &[1; 16]);
        self.put(at + 16, &core::array::from_fn::<u8, 16, _>(|i| i as u8));
        self.put(at + 32, &start.to_le_bytes());
        self.put(at + 40, &end.to_le_bytes());
        for (i, unit) in label.encode_utf16().enumerate() {
            self.put(at + 56 + 2 * i, &unit.to_le_bytes());
        }
    }

    /// A disk of 100 sectors with two partitions, the second of which is number 3.
    fn gpt(block: usize) -> Self {
        let mut image = Image::new(100, block);
        image.entry(0, 0, 0xee, 1, u32::MAX);
        for entries in [2, 95] {
            image.gpt_entry(entries * block, 10, 19, "root é");
            image.gpt_entry(entries * block + 2 * 128, 20, 20, "");
        }
        image.header(1, 2);
        image.header(99, 95);
        image
    }

    fn find(&self) -> Vec<Partition> {
        let read = &mut |at: u64, buffer: &mut [u8]| {
            let from = self.bytes.get(at as usize..at as usize + buffer.len()).ok_or(Errno::EIO)?;
            buffer.copy_from_slice(from);
            Ok(())
        };
        find(self.bytes.len() as u64 / SECTOR, self.block as u32, read).unwrap()
    }

    fn extents(&self) -> Vec<(u32, u64, u64)> {
        self.find().iter().map(|partition| (partition.number, partition.start, partition.sectors)).collect()
    }
}

#[test]
fn the_sum_is_the_known_one() {
    assert_eq!(crc32(b"123456789".iter().copied()), 0xcbf4_3926);
}

#[test]
fn a_guid_table() {
    let found = Image::gpt(512).find();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].number, found[0].start, found[0].sectors), (1, 10, 10));
    assert_eq!((&*found[0].uuid, &*found[0].label), ("03020100-0504-0706-0809-0a0b0c0d0e0f", "root !"));
    assert_eq!((found[1].number, found[1].start, found[1].sectors), (3, 20, 1));
    // Numbers are those of the disk's own sectors.
    assert_eq!(Image::gpt(4096).extents(), [(1, 80, 80), (3, 160, 8)]);
}

#[test]
fn the_second_guid_table_stands_in() {
    for damage in [512 + 30, 2 * 512 + 33] {
        let mut image = Image::gpt(512);
        image.bytes[damage] ^= 1;
        assert_eq!(image.extents(), [(1, 10, 10), (3, 20, 1)], "byte {damage}");
        image.bytes[99 * 512] ^= 1;
        assert_eq!(image.extents(), [(1, 1, 99)], "what protects is a partition then");
    }
}

#[test]
fn entries_outside_of_the_usable_range_are_passed_over() {
    let mut image = Image::gpt(512);
    image.gpt_entry(2 * 512, 1, 19, "over the table");
    image.gpt_entry(2 * 512 + 128, 30, 29, "backwards");
    image.gpt_entry(2 * 512 + 3 * 128, 30, u64::MAX, "endless");
    image.header(1, 2);
    assert_eq!(image.extents(), [(3, 20, 1)]);
}

#[test]
fn a_table_of_dos() {
    let mut image = Image::new(1000, 512);
    image.put(440, &0x1234_abcd_u32.to_le_bytes());
    image.entry(0, 0, 0x83, 10, 20);
    image.entry(0, 2, 0x05, 100, 500);
    image.entry(0, 3, 0x83, 900, 4000);
    // Two logical partitions.
    image.entry(100, 0, 0x83, 1, 30);
    image.entry(100, 1, 0x05, 50, 60);
    image.entry(150, 0, 0x83, 2, 40);
    assert_eq!(
        image.extents(),
        [(1, 10, 20), (3, 100, 2), (4, 900, 100), (5, 101, 30), (6, 152, 40)],
        "cut at the end of the disk"
    );
    assert_eq!(image.find()[4].uuid, "1234abcd-06");
}

#[test]
fn what_is_no_table() {
    assert_eq!(Image::new(1, 512).extents(), []);
    assert_eq!(Image::new(100, 512).extents(), []);
    let mut image = Image::new(100, 512);
    image.entry(0, 0, 0x83, 10, 20);
    image.put(446, &[0x12]);
    assert_eq!(image.extents(), [], "code where the table would be");
}

#[test]
fn a_chain_that_is_a_circle_ends() {
    let mut image = Image::new(1000, 512);
    image.entry(0, 0, 0x05, 100, 500);
    image.entry(100, 1, 0x05, 0, 60);
    assert_eq!(image.extents(), [(1, 100, 2)]);
    image.entry(100, 0, 0x83, 1, 30);
    assert!(image.find().len() < MAX as usize);
}

#[test]
fn no_byte_of_a_table_breaks_anything() {
    let image = Image::gpt(512);
    for at in (440..512 + 92).chain(1024..1024 + 512) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = Image { bytes: image.bytes.clone(), block: 512 };
            changed.bytes[at] = value;
            for partition in changed.find() {
                assert!(partition.start + partition.sectors <= 100, "byte {at} as {value}");
            }
        }
    }
}
