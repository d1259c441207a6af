//! Tables of descriptors.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fs::OpenFlags;
use linux_raw_sys::general::RLIMIT_NOFILE;
use syscall_shim::Errno;

use super::errno;
use crate::eventfd::EventFd;
use crate::{FdTable, OpenFile};

fn file() -> Arc<OpenFile> {
    EventFd::open(0, false, OpenFlags::empty())
}

fn limit(most: u64) {
    caller::testing::with(|own| own.rlimits.insert(RLIMIT_NOFILE, most));
}

#[test]
fn the_lowest_free_number_is_given() {
    let table = FdTable::new();
    for expected in 0..70 {
        assert_eq!(table.insert(file(), false), Ok(expected));
    }
    table.close(3).unwrap();
    table.close(64).unwrap();
    assert_eq!(table.insert(file(), false), Ok(3));
    assert_eq!(table.reserve_from(10, false).unwrap().number(), 64);
    assert_eq!(table.insert_pair([file(), file()], true), Ok([64, 70]));
    assert!(table.is_cloexec(64).unwrap() && table.is_cloexec(70).unwrap() && !table.is_cloexec(3).unwrap());
    assert_eq!(table.open_fds(), (0..71).collect::<Vec<_>>());
    assert_eq!(table.capacity(), 128);
}

#[test]
fn numbers_that_are_not_open_are_refused() {
    let table = FdTable::new();
    for fd in [-1, 0, i32::MAX] {
        assert_eq!(errno(table.get(fd)), Some(Errno::EBADF));
        assert_eq!(table.close(fd), Err(Errno::EBADF));
        assert_eq!(table.is_cloexec(fd), Err(Errno::EBADF));
        assert_eq!(table.set_cloexec(fd, true), Err(Errno::EBADF));
    }
    let reserved = table.reserve(false).unwrap();
    assert_eq!(errno(table.get_any(reserved.number())), Some(Errno::EBADF), "no file is there yet");
    assert_eq!(table.replace(reserved.number(), file(), false), Err(Errno::EBUSY));
    let number = reserved.number();
    drop(reserved);
    assert_eq!(table.insert(file(), false), Ok(number), "it is free again");
}

#[test]
fn places_only_are_for_those_who_ask_for_them() {
    let table = FdTable::new();
    let (path, inode) = crate::anon::anon_inode("[eventfd]");
    let place = OpenFile::new(path, inode, file().ops.clone(), OpenFlags::PATH);
    let fd = table.insert(place, false).unwrap();
    assert_eq!(errno(table.get(fd)), Some(Errno::EBADF));
    assert!(table.get_any(fd).unwrap().is_path());
    table.close(fd).unwrap();
}

#[test]
fn limits() {
    let table = FdTable::new();
    limit(2);
    assert_eq!(table.insert_pair([file(), file()], false), Ok([0, 1]));
    assert_eq!(table.insert(file(), false), Err(Errno::EMFILE));
    assert_eq!(table.insert_pair([file(), file()], false), Err(Errno::EMFILE));
    assert_eq!(table.replace(2, file(), false), Err(Errno::EBADF));
    // What is open already stays so, and may be replaced.
    limit(1);
    assert!(table.get(1).is_ok());
    limit(u64::MAX);
    assert_eq!(table.replace(1 << 20, file(), false), Err(Errno::EMFILE), "no table has so many");
}

#[test]
fn one_takes_the_place_of_another() {
    let table = FdTable::new();
    let (a, b) = (file(), file());
    table.insert(a.clone(), true).unwrap();
    table.replace(0, b.clone(), false).unwrap();
    assert!(Arc::ptr_eq(&table.get(0).unwrap(), &b) && !table.is_cloexec(0).unwrap());
    assert_eq!(Arc::strong_count(&a), 1);
    table.replace(200, b, true).unwrap();
    assert!(table.is_cloexec(200).unwrap());
    assert_eq!(table.insert(a, false), Ok(1));
    table.close_range(1, 250, true);
    assert!(table.is_cloexec(1).unwrap() && !table.is_cloexec(0).unwrap());
    table.set_cloexec(1, false).unwrap();
    table.close_on_exec();
    assert_eq!(table.open_fds(), [0, 1]);
    table.close_range(1, usize::MAX - 1, false);
    assert_eq!(table.open_fds(), [0]);
}

#[test]
fn a_child_shares_the_descriptions() {
    let table = FdTable::new();
    let shared = file();
    table.insert(shared.clone(), false).unwrap();
    table.insert(file(), true).unwrap();
    table.replace(130, shared.clone(), true).unwrap();
    table.close(1).unwrap();
    let reserved = table.reserve(false).unwrap();
    let child = table.duplicate().unwrap();
    assert_ne!(child.id, table.id);
    assert_eq!(child.open_fds(), [0, 130]);
    assert!(child.is_cloexec(130).unwrap() && !child.is_cloexec(0).unwrap());
    assert!(Arc::ptr_eq(&child.get(0).unwrap(), &shared));
    // What the parent has promised to an open(2) is the child's to give.
    assert_eq!((reserved.number(), child.insert(file(), false)), (1, Ok(1)));
    drop(reserved);
    drop((table, child));
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn readers_find_whole_files_while_others_change_the_table() {
    let table = Arc::new(FdTable::new());
    let stop = Arc::new(AtomicBool::new(false));
    table.insert(file(), false).unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (table, stop) = (table.clone(), stop.clone());
            thread::spawn(move || {
                let mut found = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    assert!(table.get(0).is_ok(), "it is replaced, and never away");
                    found += u64::from(table.get(1).is_ok_and(|file| file.ops_as::<EventFd>().is_some()));
                }
                found
            })
        })
        .collect();
    for round in 0..500 {
        let fd = table.insert(file(), false).unwrap();
        table.replace(0, file(), false).unwrap();
        if round == 100 {
            table.replace(1000, file(), false).unwrap();
        }
        table.close(fd).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| assert!(reader.join().unwrap() < u64::MAX));
    assert_eq!(table.open_fds(), [0, 1000]);
}
