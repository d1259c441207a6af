//! qcow2 images: empty ones, and such as hold what a raw one does. Source: QEMU's
//! docs/interop/qcow2.txt, version 3.

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
/// Where things are, in clusters; what has no fixed place comes behind the table of blocks of
/// counts.
const REFCOUNT_TABLE: u64 = 1;
const REFCOUNT_BLOCK: u64 = 2;
const L1_TABLE: u64 = 3;
/// Entries of a table of the second level, and counts in a block of them.
const L2_ENTRIES: u64 = CLUSTER / 8;
const COUNTS: u64 = CLUSTER / 2;
/// An entry that leads to a cluster of which there is one user.
const COPIED: u64 = 1 << 63;

/// Makes an empty disk of `size` bytes in an empty file: a header, and tables in which nothing is.
pub fn make(file: &File, size: u64) -> io::Result<()> {
    let l1_clusters = l1_clusters(size);
    let clusters = L1_TABLE + l1_clusters;
    if clusters > COUNTS {
        return Err(io::Error::other("that is too large for an image"));
    }
    file.set_len(clusters * CLUSTER)?;
    let places = Places { counts: REFCOUNT_TABLE, count_clusters: 1, l1: L1_TABLE };
    write_counts(file, &places, REFCOUNT_BLOCK, clusters)?;
    file.write_all_at(&header(size, &places), 0)
}

/// Writes into an empty file what `raw` holds. Clusters that are zero take no room.
pub fn pack(raw: &File, file: &File) -> io::Result<()> {
    let size = raw.metadata()?.len();
    let l1_at = REFCOUNT_TABLE;
    let mut next = l1_at + l1_clusters(size);
    let mut append = |bytes: &[u8]| {
        let at = next;
        next += 1;
        file.write_all_at(bytes, at * CLUSTER).map(|()| COPIED | (at * CLUSTER))
    };
    let mut l1 = Vec::new();
    let mut cluster = vec![0; CLUSTER as usize];
    for table in 0..size.div_ceil(CLUSTER * L2_ENTRIES) {
        let mut l2 = Vec::new();
        for index in table * L2_ENTRIES..((table + 1) * L2_ENTRIES).min(size.div_ceil(CLUSTER)) {
            let len = (size - index * CLUSTER).min(CLUSTER) as usize;
            cluster.fill(0);
            raw.read_exact_at(cluster.get_mut(..len).unwrap_or_default(), index * CLUSTER)?;
            let empty = cluster.iter().all(|byte| *byte == 0);
            l2.push(if empty { 0 } else { append(&cluster)? });
        }
        let used = l2.iter().any(|entry| *entry != 0);
        l2.resize(L2_ENTRIES as usize, 0);
        let bytes: Vec<u8> = l2.iter().flat_map(|entry: &u64| entry.to_be_bytes()).collect();
        l1.push(if used { append(&bytes)? } else { 0 });
    }
    file.write_all_at(&l1.iter().flat_map(|entry: &u64| entry.to_be_bytes()).collect::<Vec<u8>>(), l1_at * CLUSTER)?;
    // The counts' own clusters are counted too.
    let (mut blocks, mut tables) = (0, 0);
    while next + blocks + tables > blocks * COUNTS || blocks > tables * L2_ENTRIES {
        blocks = (next + blocks + tables).div_ceil(COUNTS);
        tables = blocks.div_ceil(L2_ENTRIES);
    }
    let places = Places { counts: next, count_clusters: tables, l1: l1_at };
    let clusters = next + tables + blocks;
    file.set_len(clusters * CLUSTER)?;
    write_counts(file, &places, next + tables, clusters)?;
    file.write_all_at(&header(size, &places), 0)
}

/// Where an image has its tables, in clusters.
struct Places {
    counts: u64,
    count_clusters: u64,
    l1: u64,
}

/// A table of the second level has a cluster of entries of 8 bytes, one for each cluster of the
/// disk.
fn l1_entries(size: u64) -> u64 {
    size.div_ceil(CLUSTER * L2_ENTRIES)
}

fn l1_clusters(size: u64) -> u64 {
    (l1_entries(size) * 8).div_ceil(CLUSTER).max(1)
}

/// Counts each of the first clusters once, in blocks from cluster `block` on.
fn write_counts(file: &File, places: &Places, block: u64, clusters: u64) -> io::Result<()> {
    for (n, start) in (0..clusters).step_by(COUNTS as usize).enumerate() {
        let at = (block + n as u64) * CLUSTER;
        file.write_all_at(&at.to_be_bytes(), places.counts * CLUSTER + 8 * n as u64)?;
        let counts: Vec<u8> = (start..clusters.min(start + COUNTS)).flat_map(|_| 1u16.to_be_bytes()).collect();
        file.write_all_at(&counts, at)?;
    }
    Ok(())
}

fn header(size: u64, places: &Places) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(3u32.to_be_bytes());
    // No file behind it: its name's place and length.
    header.extend([0; 12]);
    header.extend(CLUSTER_BITS.to_be_bytes());
    header.extend(size.to_be_bytes());
    // Not encrypted.
    header.extend([0; 4]);
    header.extend((l1_entries(size) as u32).to_be_bytes());
    header.extend((places.l1 * CLUSTER).to_be_bytes());
    header.extend((places.counts * CLUSTER).to_be_bytes());
    header.extend((places.count_clusters as u32).to_be_bytes());
    // No snapshots; no features.
    header.extend([0; 4 + 8 + 3 * 8]);
    header.extend(REFCOUNT_ORDER.to_be_bytes());
    header.extend(HEADER_LEN.to_be_bytes());
    header
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
