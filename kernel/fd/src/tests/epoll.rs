//! epoll.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::thread;

use caller::testing::{become_user, interrupter};
use fs::OpenFlags;
use syscall_shim::types::EpollEvent;
use syscall_shim::{EpollFlags, Errno, SysResult};

use super::{Tree, events, read, until, user_mut, write};
use crate::OpenFile;
use crate::epoll::{self, Epoll};
use crate::eventfd::EventFd;
use crate::pipe::Pipe;
use crate::poll::ev;

const ET: u32 = EpollFlags::EPOLLET.bits();
const ONESHOT: u32 = EpollFlags::EPOLLONESHOT.bits();
const EXCLUSIVE: u32 = EpollFlags::EPOLLEXCLUSIVE.bits();

fn instance() -> Arc<OpenFile> {
    Epoll::open(OpenFlags::empty())
}

fn of(file: &Arc<OpenFile>) -> &Epoll {
    file.ops_as::<Epoll>().unwrap()
}

fn event(events: u32, data: u64) -> EpollEvent {
    EpollEvent { events, data }
}

/// What holds now: data and events.
fn ready(file: &Arc<OpenFile>, max: usize) -> SysResult<Vec<(u64, u32)>> {
    let mut found = Vec::new();
    of(file).wait(max, Some(0), &mut |_, event| {
        found.push((event.data, event.events));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn levels_are_told_as_long_as_they_hold() {
    let epoll = instance();
    let [reader, writer] = Pipe::open_pair(OpenFlags::empty()).unwrap();
    of(&epoll).add(&reader, 3, event(ev::IN, 30)).unwrap();
    of(&epoll).add(&writer, 4, event(ev::OUT, 40)).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), [(40, ev::OUT)]);
    write(&writer, b"x").unwrap();
    let mut both = ready(&epoll, 9).unwrap();
    both.sort();
    assert_eq!(both, [(30, ev::IN), (40, ev::OUT)]);
    assert_eq!(events(&epoll), ev::READABLE);
    // One after the other where there is room for one.
    let turns: Vec<_> = (0..4).map(|_| ready(&epoll, 1).unwrap()[0].0).collect();
    assert_eq!(turns[0], turns[2]);
    assert_ne!(turns[0], turns[1]);
    of(&epoll).delete(&writer, 4).unwrap();
    read(&reader, 1).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), []);
    drop(writer);
    assert_eq!(ready(&epoll, 9).unwrap(), [(30, ev::HUP)]);
}

#[test]
fn edges_are_told_once() {
    let epoll = instance();
    let file = EventFd::open(0, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN | ET, 1)).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), []);
    write(&file, &1u64.to_le_bytes()).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), [(1, ev::IN)]);
    assert_eq!(ready(&epoll, 9).unwrap(), []);
    write(&file, &1u64.to_le_bytes()).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), [(1, ev::IN)]);
}

#[test]
fn one_shots_are_told_until_they_are_set_again() {
    let epoll = instance();
    let file = EventFd::open(1, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN | ONESHOT, 1)).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), [(1, ev::IN)]);
    write(&file, &1u64.to_le_bytes()).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), []);
    of(&epoll).modify(&file, 3, event(ev::IN | ONESHOT, 2)).unwrap();
    assert_eq!(ready(&epoll, 9).unwrap(), [(2, ev::IN)]);
}

#[test]
fn mistakes() {
    let tree = Tree::new();
    let epoll = instance();
    let file = EventFd::open(1, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN, 1)).unwrap();
    assert_eq!(of(&epoll).add(&file, 3, event(ev::IN, 1)), Err(Errno::EEXIST));
    of(&epoll).add(&file, 4, event(ev::IN, 2)).unwrap();
    assert_eq!(of(&epoll).modify(&file, 5, event(ev::IN, 1)), Err(Errno::ENOENT));
    assert_eq!(of(&epoll).delete(&file, 5), Err(Errno::ENOENT));
    assert_eq!(of(&epoll).add(&epoll, 6, event(ev::IN, 1)), Err(Errno::EINVAL));
    assert_eq!(of(&epoll).add(&tree.file("/f", b""), 7, event(ev::IN, 1)), Err(Errno::EPERM));
    assert_eq!(of(&epoll).add(&file, 8, event(ev::IN | EXCLUSIVE | ONESHOT, 1)), Err(Errno::EINVAL));
    of(&epoll).add(&file, 8, event(ev::IN | EXCLUSIVE, 1)).unwrap();
    assert_eq!(of(&epoll).modify(&file, 8, event(ev::IN, 1)), Err(Errno::EINVAL));
    assert_eq!(epoll.ops.can_read_and_write(), (false, false));
    assert_eq!(epoll.ops.ioctl(&epoll, 1, user_mut(&mut [0])), Err(Errno::EINVAL));
    assert_eq!(epoll.seek(0, 0), Ok(0));
    let mut text = String::new();
    epoll.ops.fdinfo(&epoll, &mut text);
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("tfd:        3 events:       19 data:                1  pos:0 ino:"));
    // An event that cannot be given stays.
    assert_eq!(of(&epoll).wait(9, Some(0), &mut |_, _| Err(Errno::EFAULT)), Err(Errno::EFAULT));
    assert_eq!(ready(&epoll, 9).unwrap().len(), 3);
}

#[test]
fn files_that_are_closed_are_forgotten() {
    let epoll = instance();
    let file = EventFd::open(1, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN, 1)).unwrap();
    drop(file);
    assert_eq!(ready(&epoll, 9).unwrap(), []);
    let mut text = String::new();
    epoll.ops.fdinfo(&epoll, &mut text);
    assert!(text.is_empty());
    // And instances that are closed leave the file alone.
    let file = EventFd::open(0, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN, 1)).unwrap();
    drop(epoll);
    write(&file, &1u64.to_le_bytes()).unwrap();
}

#[test]
fn instances_watch_instances_but_in_no_circle() {
    let chain: Vec<_> = (0..6).map(|_| instance()).collect();
    let file = EventFd::open(0, false, OpenFlags::empty());
    of(&chain[0]).add(&file, 3, event(ev::IN, 1)).unwrap();
    for pair in chain.windows(2).take(4) {
        of(&pair[1]).add(&pair[0], 4, event(ev::IN, 2)).unwrap();
    }
    assert_eq!(of(&chain[5]).add(&chain[4], 4, event(ev::IN, 2)), Err(Errno::ELOOP), "too long");
    assert_eq!(of(&chain[0]).add(&chain[4], 5, event(ev::IN, 2)), Err(Errno::ELOOP), "a circle");
    assert_eq!(of(&chain[1]).add(&chain[5], 5, event(ev::IN | EXCLUSIVE, 2)), Err(Errno::EINVAL));
    write(&file, &1u64.to_le_bytes()).unwrap();
    assert_eq!(ready(&chain[4], 9).unwrap(), [(2, ev::IN)]);
    assert_eq!(ready(&chain[0], 9).unwrap(), [(1, ev::IN)]);
}

#[test]
fn waiters_are_woken() {
    let epoll = instance();
    let file = EventFd::open(0, false, OpenFlags::empty());
    of(&epoll).add(&file, 3, event(ev::IN, 9)).unwrap();
    let other = epoll.clone();
    let waiter = thread::spawn(move || {
        let mut data = 0;
        of(&other).wait(9, None, &mut |_, event| {
            data = event.data;
            Ok(())
        })?;
        Ok::<u64, Errno>(data)
    });
    write(&file, &1u64.to_le_bytes()).unwrap();
    assert_eq!(waiter.join().unwrap(), Ok(9));
    read(&file, 8).unwrap();
    assert_eq!(of(&epoll).wait(9, Some(1), &mut |_, _| Ok(())), Ok(0), "the deadline has passed");

    let (tell, told) = std::sync::mpsc::channel();
    let other = epoll.clone();
    let waiter = thread::spawn(move || {
        tell.send(interrupter()).unwrap();
        of(&other).wait(9, None, &mut |_, _| Ok(()))
    });
    told.recv().unwrap()();
    assert_eq!(waiter.join().unwrap(), Err(Errno::EINTR));
}

#[test]
fn users_have_so_many_watches() {
    assert!(epoll::max_user_watches() > 1000);
    thread::spawn(|| {
        become_user(6006, 6006);
        let epoll = instance();
        let file = EventFd::open(0, false, OpenFlags::empty());
        let most = epoll::max_user_watches();
        epoll::set_max_user_watches(most.min(60_000));
        for fd in 0..50 {
            of(&epoll).add(&file, fd, event(ev::IN, 1)).unwrap();
        }
        epoll::set_max_user_watches(most);
    })
    .join()
    .unwrap();
}

#[test]
fn events_meet_threads_that_wait_in_any_order() {
    let epoll = instance();
    let files: Vec<_> = (0..8).map(|_| EventFd::open(0, false, OpenFlags::NONBLOCK)).collect();
    for (at, file) in files.iter().enumerate() {
        of(&epoll).add(file, at as i32, event(ev::IN | ET, at as u64)).unwrap();
    }
    const ROUNDS: usize = 300;
    let waiter = {
        let (epoll, files) = (epoll.clone(), files.clone());
        thread::spawn(move || {
            let mut sum = 0;
            while sum < (ROUNDS * 8) as u64 {
                let mut found = Vec::new();
                of(&epoll)
                    .wait(3, None, &mut |_, event| {
                        found.push(event.data as usize);
                        Ok(())
                    })
                    .unwrap();
                for at in found {
                    if let Ok(bytes) = read(&files[at], 8) {
                        sum += u64::from_le_bytes(bytes.try_into().unwrap());
                    }
                }
            }
            sum
        })
    };
    for _ in 0..ROUNDS {
        for file in &files {
            write(file, &1u64.to_le_bytes()).unwrap();
        }
    }
    assert_eq!(waiter.join().unwrap(), (ROUNDS * 8) as u64);
    until(|| ready(&epoll, 9).unwrap().is_empty());
}
