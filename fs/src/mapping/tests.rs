//! The page cache of one file.

use super::*;
use std::sync::Mutex;
use std::vec;
use std::vec::Vec;

const PAGE: u64 = PAGE_SIZE as u64;

fn fresh() -> Arc<Mapping> {
    crate::testing::install();
    Mapping::new(None, 0)
}

fn write(m: &Mapping, off: u64, bytes: &[u8]) {
    let mut at = 0;
    let n = m.write(off, bytes.len(), &mut |page, o, n| {
        at += n;
        Ok(page.write(o, &bytes[at - n..at]))
    });
    assert_eq!(n, Ok(bytes.len()));
}

fn read(m: &Mapping, off: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    m.read(off, len, &mut |page, o, n| {
        let mut buf = vec![0; n];
        if let Some(page) = page {
            page.read(o, &mut buf);
        }
        out.extend(buf);
        Ok(n)
    })
    .unwrap();
    out
}

#[test]
fn holes_read_as_zeros_and_cost_nothing() {
    let m = fresh();
    write(&m, 1 << 40, b"far");
    assert_eq!((m.size(), m.page_count()), ((1 << 40) + 3, 1));
    assert_eq!(read(&m, 12345, 5), [0; 5]);
    assert_eq!(read(&m, (1 << 40) - 2, 100), b"\0\0far");
    assert_eq!(read(&m, 1 << 41, 10), b"");
}

#[test]
fn a_model_of_bytes_agrees() {
    let m = fresh();
    let mut model: Vec<u8> = Vec::new();
    let mut seed = 7u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    for round in 0..2000u32 {
        let (off, len) = (next(70 * PAGE), next(3 * PAGE) + 1);
        let end = (off + len) as usize;
        match next(4) {
            0 | 1 => {
                let bytes: Vec<u8> = (0..len).map(|i| (i as u32 + round) as u8 | 1).collect();
                write(&m, off, &bytes);
                model.resize(model.len().max(end), 0);
                model[off as usize..end].copy_from_slice(&bytes);
            }
            2 => {
                m.truncate(off).unwrap();
                model.resize(off as usize, 0);
            }
            _ => {
                m.punch(off, len).unwrap();
                let size = model.len();
                model[(off as usize).min(size)..end.min(size)].fill(0);
            }
        }
        assert_eq!(m.size(), model.len() as u64);
        let probe = next(70 * PAGE);
        let expect = model.get(probe as usize..).unwrap_or_default();
        assert_eq!(read(&m, probe, 5000), expect[..expect.len().min(5000)], "round {round}");
    }
}

#[test]
fn partial_copies_end_the_transfer() {
    let m = fresh();
    let mut calls = 0;
    let n = m.write(4000, 10000, &mut |_, _, n| {
        calls += 1;
        if calls == 2 { Ok(n / 2) } else { Ok(n) }
    });
    assert_eq!(n, Ok(96 + 2048));
    assert_eq!(m.size(), 4000 + 96 + 2048);
    assert_eq!(m.write(0, 10, &mut |_, _, _| Err(Errno::EFAULT)), Err(Errno::EFAULT));
    let mut first = true;
    let n = m.read(0, 6000, &mut |_, _, n| if core::mem::take(&mut first) { Ok(n) } else { Err(Errno::EFAULT) });
    assert_eq!(n, Ok(4096));
}

#[derive(Default)]
struct Log(Mutex<Vec<(u64, u64, bool, bool)>>);

impl MappingObserver for Log {
    fn invalidate(&self, m: &Mapping, first: u64, end: u64, even_cow: bool) {
        self.0.lock().unwrap().push((first, end, even_cow, m.get_page(first).is_some()));
    }
}

#[test]
fn address_spaces_are_told() {
    let m = fresh();
    let log = Arc::new(Log::default());
    let as_observer: Arc<dyn MappingObserver> = log.clone();
    m.add_observer(Arc::downgrade(&as_observer));
    m.add_observer(Arc::downgrade(&as_observer));
    write(&m, 0, &vec![1; 10 * PAGE_SIZE]);
    let seq = m.invalidate_seq();
    m.punch(PAGE + 1, 3 * PAGE).unwrap();
    m.truncate(5 * PAGE + 10).unwrap();
    let (all, max) = (log.0.lock().unwrap().clone(), u64::MAX);
    assert_eq!(
        all,
        [(2, 4, false, true), (2, 4, false, false), (6, max, true, true), (6, max, true, false)],
        "before and after"
    );
    assert_ne!(m.invalidate_seq(), seq);
    assert!(m.fault(5, true).unwrap().is_some());
    assert!(m.fault(6, false).unwrap().is_none(), "past the end");
    m.remove_observer(&Arc::downgrade(&as_observer));
    m.punch(0, PAGE).unwrap();
    assert_eq!(log.0.lock().unwrap().len(), 4);
}

#[test]
fn many_address_spaces_are_told_and_dead_ones_forgotten() {
    let m = fresh();
    write(&m, 0, &vec![1; 2 * PAGE_SIZE]);
    let logs: Vec<Arc<Log>> = (0..100).map(|_| Arc::new(Log::default())).collect();
    let add = |log: &Arc<Log>| {
        let observer: Arc<dyn MappingObserver> = log.clone();
        m.add_observer(Arc::downgrade(&observer));
    };
    logs.iter().for_each(add);
    m.punch(0, PAGE).unwrap();
    assert!(logs.iter().all(|log| log.0.lock().unwrap().len() == 2), "each before and after");
    for _ in 0..1000 {
        add(&Arc::new(Log::default()));
    }
    assert!(m.observers.lock().len() <= 2 * logs.len(), "the dead do not gather");
    m.punch(PAGE, PAGE).unwrap();
    assert!(logs.iter().all(|log| log.0.lock().unwrap().len() == 4), "the living stay");
}

#[test]
fn frames_are_given_back() {
    let platform = crate::testing::install();
    let m = fresh();
    write(&m, 0, &vec![1; 3 * PAGE_SIZE]);
    let kept = m.get_page(1).unwrap();
    let gone = m.get_page(2).map(|p| p.phys()).unwrap();
    m.truncate(0).unwrap();
    assert_eq!((platform.refs(kept.phys()), platform.refs(gone)), (1, 0));
    let mut byte = [0];
    kept.read(0, &mut byte);
    assert_eq!(byte, [1], "who holds the page keeps its content");
}

#[test]
fn pages_that_are_cached() {
    crate::testing::install();
    let m = fresh();
    for index in [0, 3, 63, 64, 200] {
        write(&m, index * PAGE, b"x");
    }
    let within = |first, end| {
        let mut seen = Vec::new();
        m.each_cached(first, end, &mut |index, page| {
            assert_eq!(m.get_page(index).map(|p| p.phys()), Some(page.phys()));
            seen.push(index);
        });
        seen
    };
    assert_eq!(within(0, 1000), [0, 3, 63, 64, 200]);
    assert_eq!(within(1, 64), [3, 63]);
    assert_eq!(within(64, 65), [64]);
    assert_eq!((within(65, 200), within(64, 64), within(70, 10)), (vec![], vec![], vec![]));
}

/// Held by tests that count the pages of caches, which one of them has give way all over.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A disk of 8 pages.
struct Disk {
    blocks: Mutex<Vec<u8>>,
    room: AtomicU64,
}

impl PageSource for Disk {
    fn fill(&self, index: u64, page: &PageRef) -> SysResult<()> {
        let blocks = self.blocks.lock().unwrap();
        page.write(0, &blocks[index as usize * PAGE_SIZE..][..PAGE_SIZE]);
        Ok(())
    }

    fn has_backing(&self) -> bool {
        true
    }

    fn charge(&self, pages: u64) -> SysResult<()> {
        let left = |room: u64| room.checked_sub(pages);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).map(|_| ()).map_err(|_| Errno::ENOSPC)
    }

    fn uncharge(&self, pages: u64) {
        self.room.fetch_add(pages, Ordering::Relaxed);
    }

    fn write_back(&self, index: u64, page: &PageRef) -> SysResult<()> {
        page.read(0, &mut self.blocks.lock().unwrap()[index as usize * PAGE_SIZE..][..PAGE_SIZE]);
        Ok(())
    }
}

#[test]
fn a_disk_fills_and_takes_back() {
    let _alone = alone();
    crate::testing::install();
    let disk = Arc::new(Disk { blocks: Mutex::new(vec![9; 8 * PAGE_SIZE]), room: AtomicU64::new(5) });
    let m = Mapping::new(Some(disk.clone()), 8 * PAGE);
    assert_eq!(read(&m, 4095, 3), [9, 9, 9]);
    write(&m, PAGE, b"new");
    assert_eq!(disk.blocks.lock().unwrap()[PAGE_SIZE], 9, "not before write-back");
    m.write_back(0, 8).unwrap();
    assert_eq!(&disk.blocks.lock().unwrap()[PAGE_SIZE..PAGE_SIZE + 4], b"new\x09");
    m.punch(3 * PAGE + 5, 10).unwrap();
    m.write_back(0, u64::MAX).unwrap();
    assert_eq!(disk.blocks.lock().unwrap()[3 * PAGE_SIZE + 4..3 * PAGE_SIZE + 16], [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(m.write(4 * PAGE, 4 * PAGE_SIZE, &mut |_, _, n| Ok(n)), Ok(2 * PAGE_SIZE), "room for two more");
    assert_eq!(m.write(7 * PAGE, 1, &mut |_, _, n| Ok(n)), Err(Errno::ENOSPC));
    drop(m);
    assert_eq!(disk.room.load(Ordering::Relaxed), 5);
}

#[test]
fn seeking_data_and_holes() {
    let m = fresh();
    write(&m, 2 * PAGE, &[1]);
    write(&m, 100 * PAGE, &[1]);
    assert_eq!(m.seek_data(0), Ok(2 * PAGE));
    assert_eq!(m.seek_data(2 * PAGE + 7), Ok(2 * PAGE + 7));
    assert_eq!(m.seek_data(3 * PAGE), Ok(100 * PAGE));
    assert_eq!(m.seek_hole(2 * PAGE), Ok(3 * PAGE));
    assert_eq!(m.seek_hole(100 * PAGE), Ok(100 * PAGE + 1), "the end is a hole");
    assert_eq!((m.seek_hole(100 * PAGE + 1), m.seek_data(100 * PAGE + 1)), (Err(Errno::ENXIO), Err(Errno::ENXIO)));
}

#[test]
fn a_page_is_evicted_when_it_is_clean_and_nobodys() {
    let _alone = alone();
    crate::testing::install();
    let disk = Arc::new(Disk { blocks: Mutex::new(vec![9; 8 * PAGE_SIZE]), room: AtomicU64::new(8) });
    let m = Mapping::new(Some(disk.clone()), 8 * PAGE);
    assert_eq!(read(&m, 0, 8 * PAGE_SIZE), vec![9; 8 * PAGE_SIZE]);
    let held = m.get_page(2).unwrap();
    write(&m, PAGE, b"new");
    assert_eq!((m.page_count(), m.dirty_count()), (8, 1));
    assert_eq!(m.evict(0, u64::MAX, 3), (6, None), "a chunk at a time");
    assert!(m.get_page(1).is_some() && m.get_page(2).is_some());
    drop(held);
    m.write_back(0, 8).unwrap();
    assert_eq!(m.evict(0, u64::MAX, u64::MAX), (2, None));
    assert_eq!((m.page_count(), m.dirty_count(), disk.room.load(Ordering::Relaxed)), (0, 0, 8));
    assert_eq!(read(&m, PAGE, 4), b"new\x09");
}

#[test]
fn a_whole_page_is_written_without_a_look_at_the_disk() {
    let _alone = alone();
    crate::testing::install();
    let disk = Arc::new(Disk { blocks: Mutex::new(Vec::new()), room: AtomicU64::new(8) });
    let m = Mapping::new(Some(disk), 8 * PAGE);
    // A look at it would panic.
    write(&m, PAGE, &[7; PAGE_SIZE]);
    assert_eq!(read(&m, PAGE, PAGE_SIZE), [7; PAGE_SIZE]);
    assert_eq!(m.dirty_count(), 1);
}

/// A disk that cannot write.
struct Worn;

impl PageSource for Worn {
    fn has_backing(&self) -> bool {
        true
    }

    fn write_back(&self, index: u64, _page: &PageRef) -> SysResult<()> {
        if index == 1 { Err(Errno::EIO) } else { Ok(()) }
    }
}

#[test]
fn an_error_of_write_back_is_kept_and_the_page_is_not() {
    let _alone = alone();
    crate::testing::install();
    let m = Mapping::new(Some(Arc::new(Worn)), 8 * PAGE);
    let mut told = m.errors.begin();
    (0..3).for_each(|index| write(&m, index * PAGE, b"x"));
    assert_eq!(m.write_back(0, u64::MAX), Err(Errno::EIO));
    assert_eq!(m.dirty_count(), 0);
    assert_eq!(m.write_back(0, u64::MAX), Ok(()));
    assert_eq!((m.errors.check(&mut told), m.errors.check(&mut told)), (Err(Errno::EIO), Ok(())));
}

/// A disk that is written with memory that is short for some time.
#[derive(Default)]
struct Short {
    tries: AtomicU64,
    written: Mutex<Vec<u64>>,
}

impl PageSource for Short {
    fn has_backing(&self) -> bool {
        true
    }

    fn write_back(&self, index: u64, _page: &PageRef) -> SysResult<()> {
        if self.tries.fetch_add(1, Ordering::Relaxed) < 4 {
            return Err(Errno::ENOMEM);
        }
        self.written.lock().unwrap().push(index);
        Ok(())
    }
}

#[test]
fn what_there_is_no_memory_to_write_stays_dirty() {
    let _alone = alone();
    crate::testing::install();
    let disk = Arc::new(Short::default());
    let m = Mapping::new(Some(disk.clone()), 8 * PAGE);
    let mut told = m.errors.begin();
    (0..3).for_each(|index| write(&m, index * PAGE, b"x"));
    assert_eq!(m.write_back(0, u64::MAX), Err(Errno::ENOMEM));
    assert_eq!(m.dirty_count(), 3);
    assert_eq!(m.evict(0, u64::MAX, 8).0, 0);
    while m.write_back(0, u64::MAX).is_err() {}
    assert_eq!(m.dirty_count(), 0);
    // Nothing is lost, so there is nothing to tell.
    assert_eq!(m.errors.check(&mut told), Ok(()));
    let mut written = disk.written.lock().unwrap();
    written.sort_unstable();
    written.dedup();
    assert_eq!(*written, [0, 1, 2]);
}

#[test]
fn caches_give_way() {
    let _alone = alone();
    crate::testing::install();
    let disk = Arc::new(Disk { blocks: Mutex::new(vec![9; 8 * PAGE_SIZE]), room: AtomicU64::new(8) });
    let m = Mapping::new(Some(disk), 8 * PAGE);
    write(&m, 0, b"dirty");
    read(&m, PAGE, PAGE_SIZE);
    assert!(super::cached_pages() >= 2);
    // Others of these tests have caches too.
    while m.page_count() > 1 && super::evict_clean(u64::MAX) > 0 {}
    assert_eq!((m.page_count(), m.dirty_count()), (1, 1));
    while m.page_count() > 0 && super::reclaim(u64::MAX) > 0 {}
    assert_eq!((m.page_count(), read(&m, 0, 5)), (0, b"dirty".to_vec()));
}
