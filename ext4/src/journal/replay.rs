//! Replay: after a crash, what committed transactions logged is written to its place.

use super::*;
use crate::checksum::crc32_be;
use hashbrown::HashMap;

/// What a pass over the log does.
enum Pass<'a> {
    /// Finds the last whole transaction.
    Scan,
    /// Gathers revoked blocks with the transaction that revoked them last.
    Revoke(&'a mut HashMap<u64, u32>),
    /// Writes the blocks home.
    Replay(&'a HashMap<u64, u32>),
}

/// A tag of a descriptor block.
struct Tag {
    block: u64,
    flags: u32,
    sum: u32,
}

impl Journal {
    /// Writes home what the log has. Answers how many transactions that were.
    pub(crate) fn replay(&mut self, device: &dyn BlockDevice, blocks: u64) -> Result<u32> {
        let first = self.sequence;
        if self.start() == 0 {
            return Ok(0);
        }
        let end = self.pass(device, blocks, u32::MAX, Pass::Scan)?;
        let count = end.wrapping_sub(first);
        let mut revoked = HashMap::new();
        self.pass(device, blocks, count, Pass::Revoke(&mut revoked))?;
        self.pass(device, blocks, count, Pass::Replay(&revoked))?;
        device.flush()?;
        self.sequence = end;
        Ok(count)
    }

    /// Marks the log empty.
    pub(crate) fn clear(&mut self, device: &dyn BlockDevice) -> Result<()> {
        self.head = self.first;
        self.used = 0;
        self.sequence = self.sequence.wrapping_add(1);
        self.write_super(device, 0, self.sequence)
    }

    /// Goes over up to `count` transactions. Answers the number of the one after the last whole
    /// one.
    fn pass(&self, device: &dyn BlockDevice, blocks: u64, count: u32, mut pass: Pass<'_>) -> Result<u32> {
        let mut at = self.start();
        let mut sequence = self.sequence;
        let mut done = 0;
        // The content of a transaction, for the first kind of checksum.
        let mut content: Vec<u8> = Vec::new();
        let v1 = self.compat & COMPAT_CHECKSUM != 0 && !self.checksums();
        let mut left = self.last - self.first;
        while done < count && left > 0 {
            let data = self.read(device, at)?;
            if be32(&data, 0) != Some(MAGIC) || be32(&data, 8) != Some(sequence) {
                break;
            }
            at = self.next(at);
            left -= 1;
            match be32(&data, 4) {
                Some(DESCRIPTOR) => {
                    if self.checksums() && be32(&data, data.len() - 4) != Some(self.tail_sum(&data)) {
                        break;
                    }
                    let tags = self.tags(&data)?;
                    let v1 = v1 && matches!(pass, Pass::Scan);
                    let mut sum = |part: &[u8]| -> Result<()> {
                        if v1 {
                            content.try_reserve(part.len()).map_err(|_| Errno::ENOMEM)?;
                            content.extend_from_slice(part);
                        }
                        Ok(())
                    };
                    sum(&data)?;
                    for tag in tags {
                        if left == 0 {
                            break;
                        }
                        if v1 {
                            sum(&self.read(device, at)?)?;
                        }
                        if let Pass::Replay(revoked) = &pass {
                            self.replay_block(device, blocks, sequence, at, &tag, revoked)?;
                        }
                        at = self.next(at);
                        left -= 1;
                    }
                }
                Some(COMMIT) => {
                    if matches!(pass, Pass::Scan) {
                        let v1_sum = be32(&data, 16).filter(|_| data.get(12..14) == Some(&[1, 4]));
                        let whole = match v1_sum {
                            _ if self.checksums() => be32(&data, 16) == Some(self.commit_sum(&data)),
                            Some(sum) if v1 => sum == crc32_be(&[&content]),
                            _ => true,
                        };
                        if !whole {
                            break;
                        }
                    }
                    content.clear();
                    sequence = sequence.wrapping_add(1);
                    done += 1;
                }
                Some(REVOKE) => {
                    if let Pass::Revoke(table) = &mut pass {
                        self.revokes(&data, sequence, table)?;
                    }
                }
                _ => break,
            }
        }
        Ok(sequence)
    }

    fn tags(&self, data: &[u8]) -> Result<Vec<Tag>> {
        let v3 = self.incompat & INCOMPAT_CSUM_V3 != 0;
        let wide = self.incompat & INCOMPAT_64BIT != 0;
        let end = data.len() - if self.checksums() { 4 } else { 0 };
        let mut list = Vec::new();
        let mut at = 12;
        while at + self.tag_size() <= end {
            let word = |n: usize| be32(data, at + n).unwrap_or(0);
            let (flags, sum, high) = match v3 {
                true => (word(4), word(12), if wide { word(8) } else { 0 }),
                false => (word(4) & 0xffff, word(4) >> 16, if wide { word(8) } else { 0 }),
            };
            list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            list.push(Tag { block: u64::from(word(0)) | u64::from(high) << 32, flags, sum });
            at += self.tag_size() + if flags & TAG_SAME_UUID == 0 { 16 } else { 0 };
            if flags & TAG_LAST != 0 {
                break;
            }
        }
        Ok(list)
    }

    fn replay_block(
        &self,
        device: &dyn BlockDevice,
        blocks: u64,
        sequence: u32,
        at: u32,
        tag: &Tag,
        revoked: &HashMap<u64, u32>,
    ) -> Result<()> {
        // Numbers of transactions wrap around.
        if revoked.get(&tag.block).is_some_and(|by| by.wrapping_sub(sequence) as i32 >= 0) {
            return Ok(());
        }
        if tag.block >= blocks {
            return corrupt("journal: a block beyond the file system");
        }
        let mut data = self.read(device, at)?;
        let sum = self.data_sum(sequence, &data);
        let right = match (self.incompat & INCOMPAT_CSUM_V3 != 0, self.incompat & INCOMPAT_CSUM_V2 != 0) {
            (true, _) => sum == tag.sum,
            (_, true) => sum as u16 == tag.sum as u16,
            _ => true,
        };
        if !right {
            return Err(Error::Checksum("block in the journal"));
        }
        if tag.flags & TAG_ESCAPED != 0 && !put(&mut data, 0, &MAGIC.to_be_bytes()) {
            return corrupt("journal");
        }
        Ok(device.write(tag.block * self.block_size as u64, &data)?)
    }

    fn revokes(&self, data: &[u8], sequence: u32, table: &mut HashMap<u64, u32>) -> Result<()> {
        let end = data.len() - if self.checksums() { 4 } else { 0 };
        if self.checksums() && be32(data, end) != Some(self.tail_sum(data)) {
            return Err(Error::Checksum("revoke block of the journal"));
        }
        let count = be32(data, 12).unwrap_or(0) as usize;
        if count > end {
            return corrupt("r_count of a revoke block");
        }
        let wide = self.incompat & INCOMPAT_64BIT != 0;
        let mut at = 16;
        while at + if wide { 8 } else { 4 } <= count {
            let block = match wide {
                true => bytes_at(data, at).map(u64::from_be_bytes),
                false => be32(data, at).map(u64::from),
            };
            table.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            table.insert(block.unwrap_or(0), sequence);
            at += if wide { 8 } else { 4 };
        }
        Ok(())
    }
}
