//! Where bytes come from and go to, and what sockets have in common.

use alloc::vec;
use core::sync::atomic::AtomicU64;

use fs::{PAGE_SIZE, PageRef};
use syscall_shim::Errno;
use syscall_shim::types::Iovec;

use super::{errno, user, user_mut};
use crate::io::{self, IOV_MAX, Segments, Sink, Source, chunk_buffer, put_all};
use crate::poll::{PollTable, poll_queue};
use crate::socket::{PeerCredentials, deadline, int, timeval, timeval_bytes, wait, wait_all};
use usermem::UserAddr;

fn vector(parts: &[&[u8]]) -> alloc::vec::Vec<Iovec> {
    parts.iter().map(|part| Iovec { iov_base: user(part).0, iov_len: part.len() as u64 }).collect()
}

fn address(list: &[Iovec]) -> UserAddr {
    UserAddr(list.as_ptr().addr() as u64)
}

#[test]
fn vectors_are_walked_from_first_to_last() {
    let parts: [&[u8]; 4] = [b"abc", b"", b"defg", b"h"];
    let list = vector(&parts);
    let mut from = Source::User(Segments::from_iovec(address(&list), list.len()).unwrap());
    let mut buffer = [0; 5];
    assert_eq!((from.remaining(), from.take(&mut buffer)), (8, Ok(5)));
    assert_eq!(&buffer, b"abcde");
    from.skip(1);
    assert_eq!(from.take(&mut buffer), Ok(2));
    assert_eq!((&buffer[..2], from.remaining()), (&b"gh"[..], 0));

    let (mut one, mut two) = ([0; 2], [0; 3]);
    let list = [Iovec { iov_base: user_mut(&mut one).0, iov_len: 2 }, Iovec { iov_base: user_mut(&mut two).0, iov_len: 3 }];
    let mut to = Sink::User(Segments::from_iovec(address(&list), 2).unwrap());
    assert_eq!(to.put(b"xyz"), Ok(3));
    to.skip(1);
    assert_eq!(to.put(b"more"), Ok(1));
    assert_eq!((to.remaining(), &one, &two), (0, b"xy", b"z\0m"));
}

#[test]
fn vectors_that_cannot_be() {
    let list = vec![Iovec { iov_base: 0, iov_len: 0 }; 2];
    assert_eq!(errno(Segments::from_iovec(address(&list), IOV_MAX + 1)), Some(Errno::EINVAL));
    let list = [Iovec { iov_base: 4096, iov_len: u64::MAX }];
    assert_eq!(errno(Segments::from_iovec(address(&list), 1)), Some(Errno::EINVAL));
    let list = [Iovec { iov_base: 1 << 62, iov_len: 1 }];
    assert_eq!(errno(Segments::from_iovec(address(&list), 1)), Some(Errno::EFAULT));
    assert_eq!(errno(Segments::one(UserAddr(u64::MAX), 1)), Some(Errno::EFAULT));
    assert_eq!(Segments::one(UserAddr(4096), usize::MAX >> 20).unwrap().remaining(), io::MAX_RW_COUNT.min(usize::MAX >> 20));
}

#[test]
fn pages_move_through_both_kinds() {
    fs::testing::install();
    let page = PageRef::alloc().unwrap();
    let bytes: alloc::vec::Vec<u8> = (0..200).collect();
    assert_eq!(Source::user(user(&bytes), 200).unwrap().take_page(&page, 100, 200), Ok(200));
    let mut out = [0; 50];
    assert_eq!(Sink::user(user_mut(&mut out), 50).unwrap().put_page(Some(&page), 110, 50), Ok(50));
    assert_eq!(out[..], bytes[10..60]);
    assert_eq!(Sink::Kernel(&mut out).put_page(Some(&page), 100, 50), Ok(50));
    assert_eq!(out[..], bytes[..50]);
    assert_eq!(Source::Kernel(b"hello").take_page(&page, 0, 99), Ok(5));
    assert_eq!(Sink::Kernel(&mut out).put_page(Some(&page), 0, 5), Ok(5));
    assert_eq!(&out[..5], b"hello");
    assert_eq!(Sink::user(user_mut(&mut out), 9).unwrap().put_zeros(3), Ok(3));
    assert_eq!(Sink::Kernel(&mut out[3..]).put_zeros(2), Ok(2));
    assert_eq!(out[..6], [0, 0, 0, 0, 0, bytes[5]]);

    let mut segments = Segments::one(user(&bytes), 200).unwrap();
    let first = segments.in_page();
    assert_eq!(first, 200.min(PAGE_SIZE - user(&bytes).0 as usize % PAGE_SIZE));
    assert_eq!(segments.take_page(&page, 0, first), first);
    assert_eq!(segments.remaining(), 200 - first);
}

#[test]
fn buffers_of_the_kernel() {
    let mut kernel = Source::Kernel(b"0123456789");
    kernel.skip(2);
    assert_eq!(kernel.take_all(7), Err(Errno::EMSGSIZE));
    fs::testing::install();
    assert_eq!(kernel.take_all(8).unwrap(), b"23456789");
    let mut room = [0; 4];
    let mut sink = Sink::Kernel(&mut room);
    sink.skip(1);
    assert_eq!(put_all(&mut sink, b"abc"), Ok(()));
    assert_eq!(put_all(&mut sink, b"d"), Err(Errno::EFAULT));
    sink.skip(9);
    assert_eq!(&room, b"\0abc");
    assert_eq!(chunk_buffer(10_000).unwrap().len(), 10_000);
    assert_eq!(errno(chunk_buffer(0)), None);
}

#[test]
fn tables_name_each_queue_once() {
    let (a, b) = (poll_queue(), poll_queue());
    let mut table = PollTable::collecting();
    for queue in [&a, &b, &a] {
        table.add(queue);
    }
    assert_eq!(table.into_queues().unwrap().len(), 2);
    let mut table = PollTable::none();
    table.add(&a);
    assert!(table.into_queues().unwrap().is_empty());
}

#[test]
fn times_and_numbers_of_socket_options() {
    let time = |seconds: i64, microseconds: i64| [seconds.to_ne_bytes(), microseconds.to_ne_bytes()].concat();
    assert_eq!(timeval(&time(1, 500_000)), Ok(1_500_000_000));
    assert_eq!(timeval(&time(0, 1_000_000)), Err(Errno::EDOM));
    assert_eq!(timeval(&time(0, 0)[1..]), Err(Errno::EINVAL));
    assert_eq!(timeval(&time(i64::MAX, 0)), Ok(0), "no limit");
    assert_eq!(timeval_bytes(1_500_000_000), time(1, 500_000));
    let past = timeval(&time(-1, 0)).unwrap();
    assert_eq!(timeval_bytes(past), time(0, 0));
    assert_eq!(int(&7i32.to_ne_bytes()), Ok(7));
    assert_eq!(int(&[1, 2, 3]), Err(Errno::EINVAL));

    assert_eq!(deadline(&AtomicU64::new(0)), None);
    assert_eq!(deadline(&AtomicU64::new(past)), Some(0));
    let soon = deadline(&AtomicU64::new(1));
    assert!(soon.is_some_and(|at| at > 0));
    let queue = poll_queue();
    assert_eq!(wait(&queue, true, None, || None::<()>), Err(Errno::EAGAIN));
    assert_eq!(wait(&queue, false, Some(0), || None::<()>), Err(Errno::EAGAIN));
    assert_eq!(wait(&queue, false, soon, || None::<()>), Err(Errno::EAGAIN));
    assert_eq!(wait(&queue, false, soon, || Some(3)), Ok(3));
    assert_eq!(wait_all(&queue, Some(0), || Some(3)), Err(Errno::EAGAIN));
    assert_eq!(wait_all(&queue, None, || Some(3)), Ok(3));
    caller::testing::interrupter()();
    assert_eq!(wait_all(&queue, None, || None::<()>), Err(Errno::ERESTARTSYS));
    caller::testing::interrupter()();
    assert_eq!(wait_all(&queue, Some(u64::MAX), || None::<()>), Err(Errno::EINTR));

    let own = PeerCredentials::of_sender();
    assert_eq!(own.bytes()[..4], caller::pid().to_ne_bytes());
}
