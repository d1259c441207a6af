//! Names, and how sockets come to each other by them.

use alloc::vec::Vec;
use std::thread;

use caller::testing::{become_user, with};
use caller::{namespace, with_fs};
use fd::poll::ev;
use fd::socket::Socket;
use fd::testing::{errno, events, read, until, write};
use fs::{FileType, LookupFlags, OpenFlags};
use linux_raw_sys::net as n;
use syscall_shim::Errno;

use super::{address, bound, connected, get, listener, of, one, set};
use crate::Kind;

#[test]
fn a_path_is_a_file() {
    let server = bound(Kind::Stream, "/server\0ignored");
    let found = with_fs(|ctx| namespace().resolve(ctx, None, b"/server", LookupFlags::default())).unwrap();
    let inode = found.inode().unwrap();
    assert_eq!((inode.file_type(), inode.metadata().mode & 0o777), (FileType::Socket, 0o755));
    assert_eq!(of(&server).local_address(), Ok(address("/server\0")));
    assert_eq!(errno(of(&one(Kind::Stream)).bind(&address("/server"))), Some(Errno::EADDRINUSE));
    assert_eq!(errno(of(&one(Kind::Stream)).bind(&address("/none/server"))), Some(Errno::ENOENT));
    assert_eq!(errno(of(&server).bind(&address("/server"))), Some(Errno::EADDRINUSE), "a bad name is told of first");
    assert_eq!(errno(of(&server).bind(&address("/other"))), Some(Errno::EINVAL));
    assert_eq!(errno(of(&server).bind(&address("\0x"))), Some(Errno::EINVAL));
    assert_eq!(of(&server).bind(&address("")), Ok(()));
    let client = one(Kind::Stream);
    assert_eq!(errno(of(&client).connect(&address("/server"), false)), Some(Errno::ECONNREFUSED), "it does not listen");
    assert_eq!(errno(of(&client).connect(&address("/nobody"), false)), Some(Errno::ENOENT));
    assert_eq!(errno(of(&client).connect(&address(""), false)), Some(Errno::EINVAL));
    assert_eq!(errno(of(&client).connect(&[9, 0, b'/'], false)), Some(Errno::EINVAL));
    assert_eq!(errno(of(&client).connect(&[1], false)), Some(Errno::EINVAL));
    assert_eq!(errno(of(&client).connect(&address(&"x".repeat(109)), false)), Some(Errno::EINVAL));
    of(&server).listen(1).unwrap();
    become_user(1000, 1000);
    assert_eq!(errno(of(&client).connect(&address("/server"), false)), Some(Errno::EACCES));
    // The file stays when the socket goes, and nobody is there.
    drop(server);
    with(|own| own.credentials = caller::Credentials::root().into());
    assert_eq!(errno(of(&client).connect(&address("/server"), false)), Some(Errno::ECONNREFUSED));
}

#[test]
fn abstract_names_go_with_their_sockets() {
    let first = bound(Kind::Datagram, "\0names-abstract");
    assert_eq!(errno(of(&one(Kind::Datagram)).bind(&address("\0names-abstract"))), Some(Errno::EADDRINUSE));
    let longer = bound(Kind::Datagram, "\0names-abstract\0");
    assert_eq!(of(&longer).local_address(), Ok(address("\0names-abstract\0")));
    drop(first);
    bound(Kind::Datagram, "\0names-abstract");
    assert_eq!(errno(of(&longer).connect(&address("\0names-nobody"), false)), Some(Errno::ECONNREFUSED));
}

#[test]
fn a_free_name_is_found() {
    let [a, b] = [one(Kind::Stream), one(Kind::Stream)];
    assert_eq!(of(&a).local_address(), Ok(address("")));
    of(&a).bind(&address("")).unwrap();
    of(&b).bind(&address("")).unwrap();
    let (name, other) = (of(&a).local_address().unwrap(), of(&b).local_address().unwrap());
    assert!(name != other && name.len() == 8 && name[2] == 0);
    assert!(name[3..].iter().all(u8::is_ascii_hexdigit));
    // Who wants to be told of ids gets one before it turns to others.
    let server = listener(Kind::Stream, "\0names-wanted", 1);
    let client = one(Kind::Stream);
    set(&client, n::SO_PASSCRED, 1).unwrap();
    of(&client).connect(&address("\0names-wanted"), false).unwrap();
    assert_eq!(of(&client).local_address().unwrap().len(), 8);
    let (_, from) = of(&server).accept(true, OpenFlags::empty()).unwrap();
    assert_eq!(from, of(&client).local_address().unwrap());
}

#[test]
fn connections_wait_to_be_accepted() {
    let server = listener(Kind::Stream, "\0names-accept", 5);
    assert_eq!((get(&server, n::SO_ACCEPTCONN), events(&server)), (Ok(1), 0));
    assert_eq!(errno(of(&server).accept(true, OpenFlags::empty())), Some(Errno::EAGAIN));
    let client = connected(Kind::Stream, "\0names-accept");
    assert_eq!(events(&server), ev::READABLE);
    write(&client, b"early").unwrap();
    let (accepted, from) = of(&server).accept(false, OpenFlags::NONBLOCK).unwrap();
    assert_eq!((from, accepted.nonblocking()), (address(""), true));
    assert_eq!(read(&accepted, 9), Ok(b"early".to_vec()));
    assert_eq!(of(&client).peer_address(), Ok(address("\0names-accept")));
    assert_eq!(of(&accepted).local_address(), Ok(address("\0names-accept")));
    assert_eq!(get(&accepted, n::SO_ACCEPTCONN), Ok(0));
    assert_eq!(errno(of(&client).connect(&address("\0names-accept"), false)), Some(Errno::EISCONN));
    assert_eq!(errno(of(&server).connect(&address("\0names-accept"), true)), Some(Errno::EINVAL));
    assert_eq!(errno(of(&client).listen(1)), Some(Errno::EINVAL));
    assert_eq!(errno(of(&client).accept(true, OpenFlags::empty())), Some(Errno::EINVAL));
    assert_eq!(errno(of(&one(Kind::Stream)).listen(1)), Some(Errno::EINVAL), "it has no name");
    let datagrams = one(Kind::Datagram);
    assert_eq!(errno(of(&datagrams).listen(1)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(of(&datagrams).accept(true, OpenFlags::empty())), Some(Errno::EOPNOTSUPP));
}

#[test]
fn accept_sleeps_until_somebody_comes_or_the_listener_is_shut() {
    let server = listener(Kind::SeqPacket, "\0names-sleep", 5);
    let accept = || {
        let server = server.clone();
        thread::spawn(move || of(&server).accept(false, OpenFlags::empty()).map(|(file, _)| file))
    };
    let waiting = accept();
    until(|| !of(&server).readers.is_empty());
    let client = connected(Kind::SeqPacket, "\0names-sleep");
    write(&client, b"packet").unwrap();
    assert_eq!(read(&waiting.join().unwrap().unwrap(), 9), Ok(b"packet".to_vec()));
    let waiting = accept();
    until(|| !of(&server).readers.is_empty());
    of(&server).shutdown(true, false).unwrap();
    assert_eq!(errno(waiting.join().unwrap()), Some(Errno::EINVAL));
    assert_eq!(errno(of(&one(Kind::SeqPacket)).connect(&address("\0names-sleep"), false)), Some(Errno::ECONNREFUSED));
}

#[test]
fn a_full_listener_is_waited_for() {
    let server = listener(Kind::Stream, "\0names-full", 0);
    let first = connected(Kind::Stream, "\0names-full");
    let second = one(Kind::Stream);
    assert_eq!(errno(of(&second).connect(&address("\0names-full"), true)), Some(Errno::EAGAIN));
    let connector = |client: &alloc::sync::Arc<fd::OpenFile>| {
        let client = client.clone();
        thread::spawn(move || of(&client).connect(&address("\0names-full"), false))
    };
    let connectors = || match &*of(&server).role.lock() {
        crate::Role::Listening(listener) => !listener.connectors.is_empty(),
        _ => false,
    };
    let waiting = connector(&second);
    until(connectors);
    of(&server).accept(true, OpenFlags::empty()).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(()));
    let third = one(Kind::Stream);
    let waiting = connector(&third);
    until(connectors);
    of(&server).listen(7).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(()), "there is more room now");
    let more: Vec<_> = (0..6).map(|_| connected(Kind::Stream, "\0names-full")).collect();
    let waiting = connector(&one(Kind::Stream));
    until(connectors);
    drop(server);
    assert_eq!(waiting.join().unwrap(), Err(Errno::ECONNREFUSED));
    // Those who were never accepted learn of it; the accepted one was closed without a word.
    assert_eq!(errno(read(&second, 1)), Some(Errno::ECONNRESET));
    assert_eq!((read(&first, 1), more.len()), (Ok(Vec::new()), 6));
}

#[test]
fn kinds_by_number() {
    assert_eq!(
        [1, 2, 3, 5].map(|number| Kind::from_type(number).ok()),
        [Some(Kind::Stream), Some(Kind::Datagram), Some(Kind::Datagram), Some(Kind::SeqPacket)]
    );
    assert_eq!(errno(Kind::from_type(4)), Some(Errno::ESOCKTNOSUPPORT));
}
