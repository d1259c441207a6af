//! What others are told of sockets: `/proc/net/unix` and sock_diag(7).

use alloc::string::ToString;

use ::net::netlink::local_sockets::{CLOSED, ESTABLISHED, LISTENING};
use fd::socket::Socket;
use fd::testing::write;
use linux_raw_sys::net as n;

use super::{connected, listener, of, one, pair};
use crate::{Kind, report};

#[test]
fn lines_of_proc() {
    let _server = listener(Kind::Stream, "\0report-server", 3);
    let _path = super::bound(Kind::Datagram, "/report-path");
    let _client = connected(Kind::Stream, "\0report-server");
    let lines = report::lines();
    let line = |name: &str| lines.lines().find(|line| line.ends_with(name)).map(|line| line[18..].to_string());
    let server = lines.lines().filter(|line| line.ends_with(" @report-server")).collect::<alloc::vec::Vec<_>>();
    assert_eq!(server.len(), 2, "the listener, and who is not accepted yet");
    assert!(server[0][18..].starts_with("00000002 00000000 00010000 0001 01 "), "{}", server[0]);
    assert!(server[1][18..].starts_with("00000003 00000000 00000000 0001 02     0"), "{}", server[1]);
    assert!(line(" /report-path").unwrap().starts_with("00000002 00000000 00000000 0002 01 "));
}

#[test]
fn sockets_are_listed() {
    let server = listener(Kind::Stream, "\0report-listed", 3);
    let client = connected(Kind::Stream, "\0report-listed");
    write(&client, b"hello").unwrap();
    let listed = |file: &fd::OpenFile| report::list().into_iter().find(|listed| listed.cookie == of(file).cookie).unwrap();
    let seen = listed(&server);
    assert_eq!((seen.kind, seen.state, seen.queues), (n::SOCK_STREAM, LISTENING, (1, 3)));
    assert_eq!(seen.name.as_deref(), Some(b"\0report-listed".as_slice()));
    assert_eq!(
        (seen.waiting.as_slice(), seen.inode),
        ([client.inode.metadata().ino].as_slice(), server.inode.metadata().ino)
    );
    let seen = listed(&client);
    assert_eq!((seen.state, seen.peer, seen.queues, seen.memory[2], seen.shut), (ESTABLISHED, Some(0), (0, 768), 768, 0));
    let seen = listed(&one(Kind::SeqPacket));
    assert_eq!((seen.kind, seen.state, seen.peer), (n::SOCK_SEQPACKET, CLOSED, None));
    let [a, b] = pair(Kind::Datagram);
    of(&a).shutdown(true, true).unwrap();
    assert_eq!((listed(&a).shut, listed(&a).peer), (3, Some(b.inode.metadata().ino)));
    let [a, b] = pair(Kind::Stream);
    write(&b, b"abc").unwrap();
    of(&a).shutdown(false, true).unwrap();
    assert_eq!((listed(&a).shut, listed(&a).queues.0, listed(&b).shut), (2, 3, 1));
}
