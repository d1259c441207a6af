//! Block files over a disk in memory that can be made to fail.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::Mutex;

use fd::io::{Sink, Source};
use fd::{FileOps, OpenFile};
use fs::{Mount, MountFlags, OpenFlags, PageRef, Path};
use syscall_shim::{Errno, SysResult};

use crate::device::Device;
use crate::disk::Disk;
use crate::driver::{ClearLimits, Driver, Properties};
use crate::file::BlockFile;
use crate::partition::Partition;
use crate::registry;
use crate::request::{Batch, Operation, Outcome, Plan, Request};

/// A disk in memory. Writes are lost with it unless a flush came after them: `durable` is what is
/// left then.
struct Memory {
    properties: Properties,
    bytes: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    /// Kinds of requests that fail, as bits.
    broken: AtomicU32,
    log: Mutex<Vec<(Operation, u64, u64)>>,
    most: AtomicUsize,
}

fn properties(sectors: u64) -> Properties {
    Properties {
        sectors,
        logical_block: 512,
        physical_block: 512,
        io_sizes: [0; 2],
        read_only: false,
        write_cache: true,
        discard: Some(ClearLimits { max_sectors: 16, granularity: 512 }),
        write_zeroes: None,
        max_segments: 4,
        max_segment_size: u32::MAX,
    }
}

impl Memory {
    fn new(properties: Properties) -> Arc<Self> {
        fs::testing::install();
        let bytes = vec![0; properties.sectors as usize * 512];
        let durable = Mutex::new(bytes.clone());
        Arc::new(Self {
            properties,
            bytes: Mutex::new(bytes),
            durable,
            broken: AtomicU32::new(0),
            log: Mutex::default(),
            most: AtomicUsize::new(0),
        })
    }

    fn disk(self: &Arc<Self>) -> Arc<Device> {
        Device::whole(&Disk::new(0, self.clone()))
    }

    fn set_broken(&self, operations: &[Operation]) {
        let bits = operations.iter().fold(0, |bits, operation| bits | 1 << *operation as u32);
        self.broken.store(bits, Ordering::Relaxed);
    }

    fn take_log(&self) -> Vec<(Operation, u64, u64)> {
        core::mem::take(&mut *self.log.lock().unwrap())
    }

    fn serve(&self, request: &Request) -> Outcome {
        self.log.lock().unwrap().push((request.operation, request.sector, request.sectors));
        if self.broken.load(Ordering::Relaxed) >> request.operation as u32 & 1 != 0 {
            return Outcome::Failed;
        }
        let mut bytes = self.bytes.lock().unwrap();
        let mut at = request.sector as usize * 512;
        match request.operation {
            Operation::Read | Operation::Write => {
                assert_eq!(request.bytes(), request.sectors * 512);
                for piece in &request.segments {
                    let range = &mut bytes[at..at + piece.len as usize];
                    if request.operation == Operation::Read {
                        piece.page.write(piece.offset as usize, range);
                    } else {
                        piece.page.read(piece.offset as usize, range);
                    }
                    at += piece.len as usize;
                }
            }
            Operation::Flush => self.durable.lock().unwrap().copy_from_slice(&bytes),
            Operation::Discard => bytes[at..at + request.sectors as usize * 512].fill(0),
            Operation::WriteZeroes => return Outcome::Unsupported,
        }
        Outcome::Done
    }
}

impl Driver for Memory {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn start(&self, requests: Vec<Request>) {
        self.most.fetch_max(requests.len(), Ordering::Relaxed);
        // In what order they come is the disk's to say.
        for request in requests.into_iter().rev() {
            let outcome = self.serve(&request);
            request.finish(outcome);
        }
    }

    fn wait(&self, batch: &Batch) {
        assert!(batch.is_done());
    }
}

/// A file of a registered disk, open with these flags.
fn open(device: &Device, flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
    let fs = fs::tmpfs::Tmpfs::new(Default::default())?;
    let mount = Mount::new(fs, None, "tmpfs", MountFlags::default());
    let path = Path::new(mount.clone(), mount.root.clone());
    let inode = path.inode()?.clone();
    let ops: Arc<dyn FileOps> = BlockFile::open(device.rdev, flags)?;
    Ok(OpenFile::new(path, inode, ops, flags))
}

fn write(file: &OpenFile, at: u64, bytes: &[u8]) -> SysResult<usize> {
    file.write_at(at, &mut Source::Kernel(bytes))
}

fn read(file: &OpenFile, at: u64, len: usize) -> SysResult<Vec<u8>> {
    let mut buffer = vec![0; len];
    let n = file.read_at(at, &mut Sink::Kernel(&mut buffer))?;
    buffer.truncate(n);
    Ok(buffer)
}

fn sync(file: &OpenFile) -> SysResult<()> {
    file.ops.sync(file, false)
}

#[test]
fn a_transfer_is_cut_at_what_the_disk_takes() {
    let memory = Memory::new(properties(100));
    let disk = Disk::new(0, memory);
    let pages: Vec<PageRef> = (0..6).map(|_| PageRef::alloc().unwrap()).collect();
    let mut plan = Plan::new(&disk, None);
    plan.transfer(Operation::Write, 8, &pages, 5 * 4096 + 512).unwrap();
    let cut: Vec<_> = plan.requests().iter().map(|r| (r.sector, r.sectors, r.segments.len())).collect();
    assert_eq!(cut, [(8, 32, 4), (40, 9, 2)]);
    let mut plan = Plan::new(&disk, None);
    plan.clear(Operation::Discard, 3, 40).unwrap();
    let cut: Vec<_> = plan.requests().iter().map(|r| (r.sector, r.sectors)).collect();
    assert_eq!(cut, [(3, 16), (19, 16), (35, 8)]);
    assert_eq!(Plan::new(&disk, None).clear(Operation::WriteZeroes, 0, 1).err(), Some(Errno::EOPNOTSUPP));
}

#[test]
fn small_pieces_hold_whole_sectors() {
    let disk = Disk::new(0, Memory::new(Properties { max_segment_size: 1000, ..properties(100) }));
    let page = PageRef::alloc().unwrap();
    let mut plan = Plan::new(&disk, None);
    plan.transfer(Operation::Read, 0, [&page], 4096).unwrap();
    let sizes: Vec<_> = plan.requests().iter().flat_map(|r| &r.segments).map(|piece| (piece.offset, piece.len)).collect();
    assert_eq!(sizes, [0, 512, 1024, 1536, 2048, 2560, 3072, 3584].map(|at| (at, 512)));
}

#[test]
fn files_of_a_disk() {
    let memory = Memory::new(properties(101));
    let device = registry::add(memory.clone()).unwrap();
    let end = 101 * 512;
    let file = open(&device, OpenFlags::RDWR).unwrap();
    // Written back at the latest with the last close, or with fsync, which flushes too.
    write(&file, 1000, b"hello").unwrap();
    assert_eq!(read(&file, 998, 8).unwrap(), b"\0\0hello\0");
    assert_eq!(memory.bytes.lock().unwrap()[1000..1005], [0; 5]);
    sync(&file).unwrap();
    assert_eq!(&memory.durable.lock().unwrap()[1000..1005], b"hello");
    // The end, which lies within a page.
    assert_eq!(write(&file, end - 3, b"end of it"), Ok(3));
    assert_eq!((write(&file, end, b"x"), read(&file, end, 1)), (Err(Errno::ENOSPC), Ok(vec![])));
    memory.take_log();
    sync(&file).unwrap();
    assert_eq!(memory.take_log(), [(Operation::Write, 96, 5), (Operation::Flush, 0, 0)]);
    assert_eq!(sync(&file), Ok(()));
    assert_eq!(memory.take_log(), [(Operation::Flush, 0, 0)], "nothing is dirty any more");

    // Past the cache, both ways.
    let direct = open(&device, OpenFlags::RDWR | OpenFlags::DIRECT).unwrap();
    write(&file, 512, b"cached").unwrap();
    assert_eq!(&read(&direct, 512, 512).unwrap()[..6], b"cached");
    write(&direct, 512, &[b'd'; 512]).unwrap();
    assert_eq!(read(&file, 511, 4).unwrap(), b"\0ddd");
    assert_eq!((read(&direct, 1, 512).err(), write(&direct, 0, b"x").err()), (Some(Errno::EINVAL), Some(Errno::EINVAL)));

    // The last one to close has the rest written.
    write(&file, 2048, b"late").unwrap();
    drop(direct);
    drop(file);
    assert_eq!(&memory.bytes.lock().unwrap()[2048..2052], b"late");
    assert_eq!(device.cache.page_count(), 0);
}

#[test]
fn what_is_synchronous_is_durable_at_once() {
    let memory = Memory::new(properties(64));
    let device = registry::add(memory.clone()).unwrap();
    for (at, flags) in [(0, OpenFlags::DSYNC), (512, OpenFlags::SYNC), (1024, OpenFlags::DIRECT | OpenFlags::DSYNC)] {
        let file = open(&device, OpenFlags::RDWR | flags).unwrap();
        write(&file, at, &[at as u8 | 1; 512]).unwrap();
        assert_eq!(memory.durable.lock().unwrap()[at as usize..at as usize + 512], [at as u8 | 1; 512]);
    }
}

#[test]
fn a_disk_without_a_cache_is_never_flushed() {
    let memory = Memory::new(Properties { write_cache: false, ..properties(64) });
    let device = registry::add(memory.clone()).unwrap();
    let file = open(&device, OpenFlags::RDWR).unwrap();
    write(&file, 0, b"x").unwrap();
    memory.take_log();
    sync(&file).unwrap();
    assert_eq!(memory.take_log(), [(Operation::Write, 0, 8)]);
}

#[test]
fn an_error_is_told_once_to_each_open_file() {
    let memory = Memory::new(properties(64));
    let device = registry::add(memory.clone()).unwrap();
    let [a, b] = [0, 1].map(|_| open(&device, OpenFlags::RDWR).unwrap());
    write(&a, 0, b"lost").unwrap();
    memory.set_broken(&[Operation::Write]);
    assert_eq!(sync(&a), Err(Errno::EIO));
    memory.set_broken(&[]);
    assert_eq!((sync(&a), sync(&b), sync(&b)), (Ok(()), Err(Errno::EIO), Ok(())));
    assert_eq!(sync(&open(&device, OpenFlags::RDWR).unwrap()), Ok(()), "somebody has seen it");
    // A flush that fails is told to who asked.
    memory.set_broken(&[Operation::Flush]);
    assert_eq!(sync(&a), Err(Errno::EIO));
    memory.set_broken(&[]);
    assert_eq!((sync(&a), sync(&b)), (Ok(()), Ok(())));
    // So is a read, and the next one is tried anew.
    device.cache.evict(0, u64::MAX, u64::MAX);
    memory.set_broken(&[Operation::Read]);
    assert_eq!(read(&a, 0, 4), Err(Errno::EIO));
    memory.set_broken(&[]);
    assert_eq!(read(&a, 0, 4), Ok(vec![0; 4]));
}

#[test]
fn zeros_are_written_where_the_disk_has_no_request_for_them() {
    let memory = Memory::new(properties(2000));
    memory.bytes.lock().unwrap().fill(7);
    let device = registry::add(memory.clone()).unwrap();
    let file = open(&device, OpenFlags::RDWR).unwrap();
    assert_eq!(read(&file, 0, 1), Ok(vec![7]));
    let own = file.ops_as::<BlockFile>().unwrap();
    own.zero(512, 900 * 512).unwrap();
    let bytes = memory.bytes.lock().unwrap().clone();
    assert!(bytes[..512].iter().all(|b| *b == 7) && bytes[512..901 * 512].iter().all(|b| *b == 0) && bytes[901 * 512] == 7);
    assert_eq!(read(&file, 511, 2), Ok(vec![7, 0]));
    own.discard(0, 512).unwrap();
    assert_eq!(read(&file, 0, 1), Ok(vec![0]));
}

#[test]
fn who_has_it_alone() {
    let device = registry::add(Memory::new(properties(64))).unwrap();
    let alone = open(&device, OpenFlags::EXCL).unwrap();
    assert_eq!(open(&device, OpenFlags::EXCL).err(), Some(Errno::EBUSY));
    assert!(open(&device, OpenFlags::RDWR).is_ok());
    drop(alone);
    assert!(open(&device, OpenFlags::EXCL).is_ok());
    assert_eq!(BlockFile::open(fs::makedev(99, 0), OpenFlags::empty()).err(), Some(Errno::ENXIO));
}

#[test]
fn partitions_come_and_go() {
    let device = registry::add(Memory::new(properties(1000))).unwrap();
    let partition =
        |number, start, sectors| Partition { number, start, sectors, uuid: Default::default(), label: Default::default() };
    registry::create(&device.disk, partition(1, 10, 20)).unwrap();
    registry::create(&device.disk, partition(20, 30, 20)).unwrap();
    assert_eq!(registry::create(&device.disk, partition(1, 100, 20)), Err(Errno::EBUSY));
    assert_eq!(registry::create(&device.disk, partition(3, 29, 2)), Err(Errno::EBUSY));
    let parts = registry::partitions(&device.disk);
    assert_eq!(
        parts.iter().map(|part| (part.number, part.start, part.sectors)).collect::<Vec<_>>(),
        [(1, 10, 20), (20, 30, 20)]
    );
    assert_eq!(fs::major(parts[1].rdev), crate::device::EXTENDED_MAJOR);
    let file = open(&parts[0], OpenFlags::RDWR).unwrap();
    write(&file, 0, b"part").unwrap();
    assert_eq!((registry::delete(&device.disk, 1), registry::rescan(&device)), (Err(Errno::EBUSY), Err(Errno::EBUSY)));
    drop(file);
    let mut text = [0; 4];
    device.read(10 * 512, &mut text).unwrap();
    assert_eq!((&text, parts[0].stats.numbers()[4]), (b"part", 1));
    registry::delete(&device.disk, 1).unwrap();
    assert_eq!(registry::delete(&device.disk, 1), Err(Errno::ENXIO));
    registry::rescan(&device).unwrap();
    assert!(registry::partitions(&device.disk).is_empty());
}

#[test]
fn the_initial_block_size_divides_the_device() {
    let sizes = [(101, 512), (102, 1024), (104, 4096), (4096, 4096)];
    for (sectors, expected) in sizes {
        let device = Memory::new(properties(sectors)).disk();
        assert_eq!(device.block_size.load(Ordering::Relaxed), expected, "{sectors} sectors");
    }
}

#[test]
fn streams_are_read_in_large_requests() {
    let memory = Memory::new(Properties { max_segments: 64, ..properties(8 * 1024) });
    let device = registry::add(memory.clone()).unwrap();
    let file = open(&device, OpenFlags::empty()).unwrap();
    for at in 0..1024 {
        read(&file, at * 4096, 4096).unwrap();
    }
    assert!(memory.take_log().len() < 64);
    // One that jumps reads what it asks for.
    device.cache.evict(0, u64::MAX, u64::MAX);
    read(&file, 4096 * 700, 4096).unwrap();
    assert_eq!(memory.take_log(), [(Operation::Read, 5600, 8)]);
}
