//! An empty qcow2 image. Source: QEMU's docs/interop/qcow2.txt, version 3.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What an image begins with.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const HEADER_LEN: u32 = 104;
/// 2 to this is how many bits a count of references has.
const REFCOUNT_ORDER: u32 = 4;
/// Where things are, in clusters.
const REFCOUNT_TABLE: u64 = 1;
const REFCOUNT_BLOCK: u64 = 2;
const L1_TABLE: u64 = 3;

/// Makes an empty disk of `size` bytes in an empty file: a header, and tables in which nothing is.
pub fn make(file: &File, size: u64) -> io::Result<()> {
    // A table of the second level has a cluster of entries of 8 bytes, one for each cluster of the disk.
    let entries = size.div_ceil(CLUSTER * (CLUSTER / 8));
    let l1_clusters = (entries * 8).div_ceil(CLUSTER).max(1);
    let clusters = L1_TABLE + l1_clusters;
    if clusters > CLUSTER / 2 {
        return Err(io::Error::other("that is too large for an image"));
    }
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(3u32.to_be_bytes());
    // No file behind it: its name's place and length.
    header.extend([0; 12]);
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    // Not encrypted.
    header.extend([0; 4]);
    header.extend((entries as u32).to_be_bytes());
    header.extend((L1_TABLE * CLUSTER).to_be_bytes());
    header.extend((REFCOUNT_TABLE * CLUSTER).to_be_bytes());
    header.extend(1u32.to_be_bytes());
    // No snapshots; no features.
    header.extend([0; 4 + 8 + 3 * 8]);
    header.extend(REFCOUNT_ORDER.to_be_bytes());
    header.extend(HEADER_LEN.to_be_bytes());
    file.set_len(clusters * CLUSTER)?;
    file.write_all_at(&(REFCOUNT_BLOCK * CLUSTER).to_be_bytes(), REFCOUNT_TABLE * CLUSTER)?;
    let counts: Vec<u8> = (0..clusters).flat_map(|_| 1u16.to_be_bytes()).collect();
    file.write_all_at(&counts, REFCOUNT_BLOCK * CLUSTER)?;
    file.write_all_at(&header, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_its_length() {
        let file = tempfile::tempfile().unwrap();
        make(&file, 10 << 30).unwrap();
        let mut header = [0; HEADER_LEN as usize];
        file.read_exact_at(&mut header, 0).unwrap();
        assert_eq!(header[100..], HEADER_LEN.to_be_bytes());
        assert_eq!(header[36..40], 20u32.to_be_bytes(), "tables of 512 MiB each");
        assert_eq!(file.metadata().unwrap().len(), 4 * CLUSTER);
    }
}
