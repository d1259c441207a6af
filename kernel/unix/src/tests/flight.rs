//! Files and ids that travel, and the collection of what nobody can receive any more.

use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;

use caller::Credentials;
use caller::testing::{become_user, with};
use fd::OpenFile;
use fd::eventfd::EventFd;
use fd::socket::{Ancillary, PeerCredentials, Socket};
use fd::testing::{errno, own_table, read, until, write};
use fs::OpenFlags;
use linux_raw_sys::general::RLIMIT_NOFILE;
use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::{DONTWAIT, listener, of, one, pair, receive, receive_all, send, send_files, set};
use crate::{Kind, in_flight};

/// A file that is no socket, and a look at whether it is still open.
fn some_file() -> (Arc<OpenFile>, Weak<OpenFile>) {
    fs::testing::install();
    let file = EventFd::open(0, false, OpenFlags::empty());
    let look = Arc::downgrade(&file);
    (file, look)
}

/// close(2) of a descriptor that has a file.
fn close(file: Arc<OpenFile>) {
    fd::fd_table::after_close(in_flight::closed);
    let table = own_table();
    let number = table.insert(file, false).unwrap();
    table.close(number).unwrap();
}

fn is_gone(look: &Weak<OpenFile>) -> bool {
    look.strong_count() == 0
}

/// Waits until `what` has been collected. While another test has many sockets in flight a
/// collection may be put off to a later close; in a machine something is always closed.
fn until_collected(what: impl Fn() -> bool) {
    until(|| {
        in_flight::closed();
        what()
    });
}

#[test]
fn files_arrive_with_the_bytes() {
    for kind in [Kind::Stream, Kind::Datagram, Kind::SeqPacket] {
        let [a, b] = pair(kind);
        let (file, look) = some_file();
        send_files(&a, b"with", vec![file.clone(), file]).unwrap();
        assert!(!is_gone(&look), "they are on the way");
        let (_, peeked) = receive_all(&b, 9, n::MSG_PEEK).unwrap();
        assert_eq!(peeked.ancillary.files.len(), 2);
        drop(peeked);
        let (bytes, received) = receive_all(&b, 9, 0).unwrap();
        assert_eq!((bytes.as_slice(), received.ancillary.files.len()), (b"with".as_slice(), 2));
        assert!(Arc::ptr_eq(&received.ancillary.files[0], &look.upgrade().unwrap()));
        drop(received);
        assert!(is_gone(&look));
    }
}

#[test]
fn nothing_is_added_to_bytes_that_came_with_files() {
    let [a, b] = pair(Kind::Stream);
    write(&a, b"one").unwrap();
    send_files(&a, b"two", vec![some_file().0]).unwrap();
    write(&a, b"three").unwrap();
    let (bytes, received) = receive_all(&b, 20, 0).unwrap();
    assert_eq!((bytes.as_slice(), received.ancillary.files.len()), (b"onetwo".as_slice(), 1));
    assert_eq!(read(&b, 20), Ok(b"three".to_vec()));
}

#[test]
fn files_that_nobody_receives_are_closed() {
    let [a, b] = pair(Kind::Datagram);
    let (file, look) = some_file();
    send_files(&a, b"x", vec![file]).unwrap();
    assert_eq!(read(&b, 1), Ok(b"x".to_vec()));
    assert!(is_gone(&look), "by read(2), which has no place for them");
    let (file, look) = some_file();
    send_files(&a, b"x", vec![file]).unwrap();
    drop(b);
    assert!(is_gone(&look), "with the receiver");
    let [a, b] = pair(Kind::Datagram);
    set(&b, n::SO_PASSRIGHTS, 0).unwrap();
    assert_eq!(errno(send_files(&a, b"x", vec![some_file().0])), Some(Errno::EPERM));
    assert_eq!(write(&a, b"y"), Ok(1));
}

#[test]
fn a_user_has_so_many_in_flight_as_it_may_have_open() {
    become_user(4711, 4711);
    with(|own| _ = own.rlimits.insert(RLIMIT_NOFILE, 3));
    let [a, b] = pair(Kind::Datagram);
    let files = |count: usize| (0..count).map(|_| some_file().0).collect::<Vec<_>>();
    assert_eq!(send_files(&a, b"x", files(4)), Ok(1), "the limit is looked at before");
    assert_eq!(errno(send_files(&a, b"x", files(1))), Some(Errno::ETOOMANYREFS));
    receive(&b, 1, 0).unwrap();
    assert_eq!(send_files(&a, b"x", files(1)), Ok(1));
}

#[test]
fn a_socket_that_waits_in_itself_is_collected() {
    let [a, b] = pair(Kind::Datagram);
    let (file, look) = some_file();
    let sockets = [Arc::downgrade(&a), Arc::downgrade(&b)];
    send_files(&a, b"self", vec![b.clone(), a.clone()]).unwrap();
    send_files(&a, b"more", vec![file]).unwrap();
    close(a);
    assert!(!is_gone(&look), "the receiver is still there");
    close(b);
    until_collected(|| is_gone(&look) && sockets.iter().all(is_gone));
}

#[test]
fn a_ring_of_sockets_is_collected_once_nobody_leads_to_it() {
    let pairs: Vec<_> = (0..3).map(|_| pair(Kind::Stream)).collect();
    let (file, look) = some_file();
    // Each waits in the queue of the next.
    for at in 0..3 {
        send_files(&pairs[at][0], b"x", vec![pairs[(at + 1) % 3][1].clone()]).unwrap();
    }
    send_files(&pairs[0][0], b"y", vec![file]).unwrap();
    let last = pairs[2][1].clone();
    let ends: Vec<_> = pairs.iter().map(|[_, end]| Arc::downgrade(end)).collect();
    drop(pairs);
    // A descriptor leads to one of them still, and through it to all.
    in_flight::closed();
    assert!(!is_gone(&look));
    let (_, received) = receive_all(&last, 1, n::MSG_PEEK).unwrap();
    assert_eq!(received.ancillary.files.len(), 1);
    drop(received);
    close(last);
    until_collected(|| is_gone(&look) && ends.iter().all(is_gone));
}

#[test]
fn what_waits_to_be_accepted_belongs_to_the_listener() {
    let server = listener(Kind::Stream, "\0flight-listener", 4);
    let client = super::connected(Kind::Stream, "\0flight-listener");
    let (file, look) = some_file();
    send_files(&client, b"x", vec![server.clone()]).unwrap();
    send_files(&client, b"y", vec![file]).unwrap();
    close(one(Kind::Stream));
    assert!(!is_gone(&look));
    close(client);
    assert!(!is_gone(&look), "the listener can be accepted from");
    close(server);
    until_collected(|| is_gone(&look));
}

#[test]
fn a_long_chain_is_dropped_in_a_loop() {
    let (file, look) = some_file();
    let mut inner: Arc<OpenFile> = file;
    for _ in 0..20_000 {
        let [a, b] = pair(Kind::Datagram);
        send_files(&a, b"x", vec![inner]).unwrap();
        inner = b;
    }
    drop(inner);
    until_collected(|| is_gone(&look));
}

#[test]
fn ids_are_told() {
    let [a, b] = pair(Kind::Stream);
    write(&a, b"before").unwrap();
    set(&b, n::SO_PASSCRED, 1).unwrap();
    let told = |flags: u32| {
        let (bytes, received) = receive_all(&b, 20, flags).unwrap();
        (bytes, received.ancillary.credentials)
    };
    let nobody = PeerCredentials { pid: 0, uid: 65534, gid: 65534 };
    let own = PeerCredentials::of_sender();
    write(&a, b"after").unwrap();
    assert_eq!(told(0), (b"before".to_vec(), Some(nobody)), "those of different senders are not mixed");
    assert_eq!(told(0), (b"after".to_vec(), Some(own)));
    let chosen = PeerCredentials { pid: 1, uid: 2, gid: 3 };
    let with = Ancillary { credentials: Some(chosen), ..Ancillary::default() };
    of(&a).send_message(&mut fd::io::Source::Kernel(b"x"), None, with, 0).unwrap();
    set(&b, n::SO_PASSPIDFD, 1).unwrap();
    let (_, received) = receive_all(&b, 9, 0).unwrap();
    assert_eq!((received.ancillary.credentials, received.ancillary.pidfd), (Some(chosen), Some(1)));
    set(&b, n::SO_PASSCRED, 0).unwrap();
    send(&a, b"y", 0).unwrap();
    let (_, received) = receive_all(&b, 9, 0).unwrap();
    assert_eq!((received.ancillary.credentials, received.ancillary.pidfd), (None, Some(caller::pid())));
}

#[test]
fn the_other_side_is_known() {
    let ids = |uid: u32| {
        let groups = vec![7, 8];
        with(|own| own.credentials = Arc::new(Credentials { euid: uid, egid: uid + 1, groups, ..Credentials::root() }));
    };
    let peer = |file: &OpenFile, option: u32| of(file).get_option(n::SOL_SOCKET, option, 12);
    ids(500);
    let server = listener(Kind::Stream, "\0flight-peer", 2);
    ids(600);
    let client = super::connected(Kind::Stream, "\0flight-peer");
    ids(700);
    let (accepted, _) = of(&server).accept(true, OpenFlags::empty()).unwrap();
    let told = |uid: u32| PeerCredentials { pid: caller::pid(), uid, gid: uid + 1 }.bytes().to_vec();
    assert_eq!(peer(&client, n::SO_PEERCRED), Ok(told(500)), "who called listen(2)");
    assert_eq!(peer(&accepted, n::SO_PEERCRED), Ok(told(600)), "who called connect(2)");
    assert_eq!(peer(&server, n::SO_PEERCRED), Ok(told(500)));
    assert_eq!(peer(&client, n::SO_PEERGROUPS), Ok([7u32, 8].map(u32::to_ne_bytes).concat()));
    let stranger = one(Kind::Stream);
    let nobody = PeerCredentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
    assert_eq!(peer(&stranger, n::SO_PEERCRED), Ok(nobody.bytes().to_vec()));
    assert_eq!(errno(peer(&stranger, n::SO_PEERGROUPS)), Some(Errno::ENODATA));
    assert_eq!(errno(peer(&stranger, n::SO_PEERPIDFD)), Some(Errno::ENODATA));
    own_table();
    crate::set_pidfd_opener(|pid| if pid == 0 { Err(Errno::ESRCH) } else { Ok(some_file().0) });
    let fd = peer(&client, n::SO_PEERPIDFD).unwrap();
    assert!(own_table().get(i32::from_ne_bytes(*fd.first_chunk().unwrap())).is_ok());
    assert_eq!(errno(receive(&client, 1, DONTWAIT)), Some(Errno::EAGAIN));
}
