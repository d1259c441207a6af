//! Packet sockets, their rings, and groups of them. Each test has interfaces of its own, a pair
//! that carries frames of nobody's protocol.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::thread;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use vm::MappedFile;

use super::calls::{AGAIN, Sock, control, eventually};
use super::rtnetlink::{Netlink, index_of, make_pair, unmake};
use crate::packet::{self, PacketSocket};

const LEVEL: u32 = 263;
const PROTOCOL: u16 = 0x88b5;

/// A pair of interfaces.
struct Pair {
    nl: Netlink,
    names: [&'static str; 2],
}

impl Pair {
    fn new(one: &'static str, other: &'static str) -> Pair {
        let nl = Netlink::route();
        make_pair(&nl, one, other);
        Pair { nl, names: [one, other] }
    }

    /// `struct sockaddr_ll` of one of them.
    fn place(&self, which: usize) -> Vec<u8> {
        place(index_of(self.names[which]), PROTOCOL)
    }

    fn frame(&self, text: &[u8]) -> Vec<u8> {
        let mac = crate::interface::by_name(self.names[1].as_bytes()).unwrap().mac();
        [&mac[..], &[2, 0, 0, 0, 7, 7], &PROTOCOL.to_be_bytes(), text].concat()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = unmake(&self.nl, self.names[0]);
    }
}

fn place(index: u32, protocol: u16) -> Vec<u8> {
    let mut out = 17u16.to_ne_bytes().to_vec();
    out.extend(protocol.to_be_bytes());
    out.extend(index.to_ne_bytes());
    out.extend([0, 0, 0, 6, 2, 0, 0, 0, 8, 8, 0, 0]);
    out
}

fn open(kind: u32, protocol: u16) -> Sock {
    super::start();
    Sock(packet::create(kind, u32::from(protocol.to_be()), fs::OpenFlags::empty()).unwrap())
}

fn bound(kind: u32, pair: &Pair, which: usize) -> Sock {
    let socket = open(kind, 0);
    socket.socket().bind(&pair.place(which)).unwrap();
    socket
}

#[test]
fn frames_go_from_one_end_to_the_other() {
    let pair = Pair::new("pk0a", "pk0b");
    let (sender, raw, cooked) = (bound(n::SOCK_RAW, &pair, 0), bound(n::SOCK_RAW, &pair, 1), bound(n::SOCK_DGRAM, &pair, 1));
    let frame = pair.frame(b"hello");
    assert_eq!(sender.send(&frame), Ok(19));
    let (bytes, received) = raw.receive(100, 0).unwrap();
    assert_eq!(bytes, frame);
    let from = received.address.unwrap();
    let index = index_of("pk0b").to_ne_bytes();
    assert_eq!((&from[2..4], &from[4..8], &from[8..12]), (&PROTOCOL.to_be_bytes()[..], &index[..], &[1, 0, 0, 6][..]));
    assert_eq!(from[12..18], [2, 0, 0, 0, 7, 7]);
    // The other has no header.
    assert_eq!(cooked.receive(3, n::MSG_PEEK).unwrap().1.full, 5);
    assert_eq!(cooked.recv(100).unwrap(), b"hello");
    assert_eq!(cooked.recv_now(100), Err(AGAIN));
    // One without a header gets one.
    let plain = bound(n::SOCK_DGRAM, &pair, 0);
    plain.send_with(b"again", Some(&pair.place(0)), 0).unwrap();
    let bytes = raw.recv(100).unwrap();
    assert_eq!((&bytes[..6], &bytes[12..]), (&[2, 0, 0, 0, 8, 8][..], &[0x88, 0xb5, b'a', b'g', b'a', b'i', b'n'][..]));
    assert_eq!(raw.ioctl_int(0x541b), Ok(0));
    // For others, for groups, for everybody.
    for (to, kind) in [([2, 9, 9, 9, 9, 9], 3), ([1, 0, 0x5e, 1, 1, 1], 2), ([0xff; 6], 1)] {
        let mut frame = frame.clone();
        frame[..6].copy_from_slice(&to);
        sender.send(&frame).unwrap();
        assert_eq!(raw.receive(100, 0).unwrap().1.address.unwrap()[10], kind);
    }
    // Who listens to everything sees what leaves, too.
    let all = open(n::SOCK_RAW, 3);
    all.socket().bind(&place(index_of("pk0a"), 3)).unwrap();
    sender.set(LEVEL, 23, 1).unwrap();
    plain.send_with(b"leaves", Some(&pair.place(0)), 0).unwrap();
    let (_, received) = all.receive(100, 0).unwrap();
    assert_eq!(received.address.unwrap()[10], 4);
    all.set(LEVEL, 23, 1).unwrap();
    plain.send_with(b"leaves", Some(&pair.place(0)), 0).unwrap();
    thread::sleep(Duration::from_millis(3));
    assert_eq!(all.recv_now(100), Err(AGAIN));
    assert_eq!(sender.send(&[0; 10]), Err(Errno::EINVAL));
    assert_eq!(sender.send(&vec![0; 2000]), Err(Errno::EMSGSIZE));
    let mut nowhere = pair.place(0);
    nowhere[4..8].copy_from_slice(&9999u32.to_ne_bytes());
    assert_eq!(sender.send_with(&frame, Some(&nowhere), 0), Err(Errno::ENXIO));
    assert_eq!(sender.socket().bind(&nowhere), Err(Errno::ENODEV));
    assert_eq!(sender.socket().bind(&nowhere[..8]), Err(Errno::EINVAL));
    assert_eq!(sender.socket().local_address().unwrap()[4..8], index_of("pk0a").to_ne_bytes());
    assert_eq!(sender.socket().peer_address(), Err(Errno::EOPNOTSUPP));
    assert_eq!(sender.connect("127.0.0.1:1"), Err(Errno::EOPNOTSUPP));
    // An interface that goes is told of.
    drop(pair);
    eventually("it is gone", || sender.events() & 8 != 0);
    assert_eq!(sender.recv(10), Err(Errno::ENETDOWN));
}

#[test]
fn what_comes_along_and_options() {
    let pair = Pair::new("pk1a", "pk1b");
    let (sender, raw) = (bound(n::SOCK_RAW, &pair, 0), bound(n::SOCK_RAW, &pair, 1));
    raw.set(LEVEL, 8, 1).unwrap();
    raw.set(n::SOL_SOCKET, n::SO_TIMESTAMP_OLD, 1).unwrap();
    sender.send(&pair.frame(b"0123456789")).unwrap();
    let (_, received) = raw.receive(10, 0).unwrap();
    let aux = control(&received, LEVEL, 8).unwrap();
    let word = |at: usize| u32::from_ne_bytes(aux[at..at + 4].try_into().unwrap());
    assert_eq!((word(0) & 1, word(4), word(8), &aux[14..16]), (1, 24, 24, &14u16.to_ne_bytes()[..]));
    assert!(control(&received, n::SOL_SOCKET, n::SO_TIMESTAMP_OLD).is_some());
    let mut stamp = [0; 16];
    assert_eq!(raw.ioctl(0x8906, &mut stamp), Ok(0));
    // Taken and lost, since the last question.
    assert_eq!(raw.get_bytes(LEVEL, 6, 8).unwrap(), [1u32.to_ne_bytes(), [0; 4]].concat());
    assert_eq!(raw.get_bytes(LEVEL, 6, 8).unwrap(), [0; 8]);
    raw.set(n::SOL_SOCKET, n::SO_RCVBUF, 1).unwrap();
    for _ in 0..10 {
        sender.send(&pair.frame(&[0; 1000])).unwrap();
    }
    eventually("all are counted", || !crate::pending());
    let counts = raw.get_bytes(LEVEL, 6, 8).unwrap();
    assert!(counts[4] > 0 && counts[0] == 10, "{counts:?}");
    for option in [8, 9, 14, 19, 20, 23] {
        raw.set(LEVEL, option, 1).unwrap();
        assert_eq!(raw.get(LEVEL, option), Ok(1), "{option}");
    }
    assert_eq!(raw.set(LEVEL, 23, 2), Err(Errno::EINVAL));
    assert_eq!(raw.set(LEVEL, 10, 3), Err(Errno::EINVAL));
    raw.set(LEVEL, 10, 1).unwrap();
    assert_eq!((raw.get(LEVEL, 10), raw.get(LEVEL, 12)), (Ok(1), Ok(0)));
    for (version, len) in [(0, 32), (1, 32), (2, 48)] {
        // PACKET_HDRLEN reads the version that is asked about.
        let mut value = i32::to_ne_bytes(version);
        let at = usermem::UserAddr(value.as_mut_ptr().addr() as u64);
        let told = raw.socket().get_option_of(LEVEL, 11, 4, at);
        assert_eq!(told, Ok(i32::to_ne_bytes(len).to_vec()));
    }
    assert_eq!(raw.set(LEVEL, 99, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(raw.get(LEVEL, 99), Err(Errno::ENOPROTOOPT));
    // Membership: all frames of an interface.
    let mreq = |kind: u16| {
        [&index_of("pk1b").to_ne_bytes()[..], &kind.to_ne_bytes(), &6u16.to_ne_bytes(), &[1, 0, 0x5e, 2, 2, 2, 0, 0]]
            .concat()
    };
    raw.set_bytes(LEVEL, 1, &mreq(1)).unwrap();
    assert!(crate::interface::by_name(b"pk1b").unwrap().is_promiscuous());
    raw.set_bytes(LEVEL, 2, &mreq(1)).unwrap();
    assert!(!crate::interface::by_name(b"pk1b").unwrap().is_promiscuous());
    // What was not joined is left, too.
    assert_eq!(raw.set_bytes(LEVEL, 2, &mreq(1)), Ok(()));
    raw.set_bytes(LEVEL, 1, &mreq(0)).unwrap();
    let lines = packet::list();
    assert!(lines.iter().any(|line| (line.0, line.1, line.2) == (n::SOCK_RAW, PROTOCOL, index_of("pk1b"))));
    assert!(crate::tables::packets().contains("88b5"));
}

/// The pages of a socket's rings, one behind the other.
struct Memory(Arc<dyn MappedFile>);

impl Memory {
    fn of(socket: &Sock) -> SysResult<Memory> {
        socket.0.ops_as::<PacketSocket>().unwrap().rings_memory(&socket.0).map(Memory)
    }

    fn read(&self, at: usize, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        for (place, byte) in (at..).zip(&mut out) {
            let page = self.0.mapping().get_page(place as u64 / 4096).unwrap();
            page.read(place % 4096, core::slice::from_mut(byte));
        }
        out
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.read(at, 4).try_into().unwrap())
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        for (place, byte) in (at..).zip(bytes) {
            let page = self.0.mapping().get_page(place as u64 / 4096).unwrap();
            page.write(place % 4096, core::slice::from_ref(byte));
        }
    }
}

fn ring(block: u32, blocks: u32, frame: u32, frames: u32) -> Vec<u8> {
    [block, blocks, frame, frames].iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn shapes_of_rings() {
    let socket = open(n::SOCK_RAW, 0);
    let cases = [
        (100, 1, 64, 1, false),
        (4096, 1, 10, 1, false),
        (4096, 1, 100, 40, false),
        (4096, 1, 2048, 3, false),
        (4096, 0, 2048, 1, false),
        (0, 1, 2048, 2, false),
        (4096, 1, 8192, 0, false),
        (8192, 2, 1536, 10, true),
        (4096, 1, 2048, 2, true),
    ];
    for (block, blocks, frame, frames, fits) in cases {
        let made = socket.set_bytes(LEVEL, 5, &ring(block, blocks, frame, frames));
        assert_eq!(made, if fits { Ok(()) } else { Err(Errno::EINVAL) }, "{block} {blocks} {frame} {frames}");
        assert_eq!(socket.set_bytes(LEVEL, 5, &ring(0, 0, 0, 0)), Ok(()));
    }
    assert_eq!(Memory::of(&socket).err(), Some(Errno::EINVAL));
    socket.set_bytes(LEVEL, 5, &ring(4096, 1, 2048, 2)).unwrap();
    assert_eq!(socket.set_bytes(LEVEL, 5, &ring(4096, 1, 2048, 2)), Err(Errno::EBUSY));
    assert_eq!(socket.set(LEVEL, 10, 1), Err(Errno::EBUSY));
    assert_eq!(socket.set(LEVEL, 12, 4), Err(Errno::EBUSY));
    let memory = Memory::of(&socket).unwrap();
    assert_eq!(socket.set_bytes(LEVEL, 5, &ring(0, 0, 0, 0)), Err(Errno::EBUSY));
    assert!(memory.0.is_shmem() && memory.0.is_whole_only() && memory.0.path().starts_with(b"socket:["));
    drop(memory);
    socket.set_bytes(LEVEL, 5, &ring(0, 0, 0, 0)).unwrap();
}

#[test]
fn frames_come_by_rings() {
    for (version, names) in [(0, ["pk2a", "pk2b"]), (1, ["pk3a", "pk3b"])] {
        let pair = Pair::new(names[0], names[1]);
        let (sender, socket) = (bound(n::SOCK_RAW, &pair, 0), open(n::SOCK_RAW, 0));
        socket.set(LEVEL, 10, version).unwrap();
        socket.set_bytes(LEVEL, 5, &ring(4096, 2, 2048, 4)).unwrap();
        socket.socket().bind(&pair.place(1)).unwrap();
        let memory = Memory::of(&socket).unwrap();
        assert_eq!(socket.events() & 1, 0);
        for text in [&b"first"[..], b"second", b"third", b"fourth", b"no room"] {
            sender.send(&pair.frame(text)).unwrap();
        }
        eventually("four are there", || memory.word(2048 * 3) & 1 != 0);
        eventually("one is lost", || !crate::pending());
        assert_eq!(socket.recv_now(10), Err(AGAIN));
        // Length, length here, where the header and where the packet begins.
        let head = if version == 0 { 8 } else { 4 };
        let (len, snap, places) = (memory.word(head), memory.word(head + 4), memory.word(head + 8));
        assert_eq!((len, snap), (19, 19));
        let (mac, net) = (places as usize & 0xffff, places as usize >> 16);
        assert_eq!(net, mac + 14);
        assert_eq!(memory.read(mac, 19), pair.frame(b"first"));
        assert_eq!(memory.read(2048 + net, 6), b"second");
        assert_eq!(socket.get_bytes(LEVEL, 6, 8).unwrap(), [5u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat());
        // What is given back is used again.
        memory.write(0, &[0; 4]);
        sender.send(&pair.frame(b"fifth")).unwrap();
        eventually("it is there", || memory.word(0) & 1 != 0);
        assert_eq!(memory.read(net, 5), b"fifth");
    }
}

#[test]
fn frames_come_by_blocks() {
    let pair = Pair::new("pk4a", "pk4b");
    let (sender, socket) = (bound(n::SOCK_RAW, &pair, 0), open(n::SOCK_RAW, 0));
    socket.set(LEVEL, 10, 2).unwrap();
    // Blocks of 4096 bytes that are given away after 50 milliseconds, with the hash of each flow.
    let more = [50u32, 0, 1].iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    socket.set_bytes(LEVEL, 5, &[ring(4096, 3, 2048, 6), more].concat()).unwrap();
    socket.socket().bind(&pair.place(1)).unwrap();
    let memory = Memory::of(&socket).unwrap();
    sender.send(&pair.frame(b"one")).unwrap();
    sender.send(&pair.frame(b"two")).unwrap();
    eventually("the block's time is over", || memory.word(8) & 1 != 0);
    // TP_STATUS_BLK_TMO, two frames, where the first one is.
    assert_eq!((memory.word(0), memory.word(8) & 0x20, memory.word(12)), (2, 0x20, 2));
    let first = memory.word(16) as usize;
    let next = memory.word(first) as usize;
    let text = |at: usize| {
        let places = memory.word(at + 24);
        memory.read(at + (places as usize >> 16), 3)
    };
    assert_eq!((text(first), text(first + next), memory.word(first + next)), (b"one".to_vec(), b"two".to_vec(), 0));
    assert_eq!(socket.events() & 1, 1);
    // Many: blocks fill, and then all are the program's.
    for _ in 0..20 {
        sender.send(&pair.frame(&[9; 1200])).unwrap();
    }
    eventually("all blocks are full", || memory.word(4096 + 8) & 1 != 0 && memory.word(8192 + 8) & 1 != 0);
    eventually("the rest is lost", || !crate::pending());
    // Taken, lost, and how often there was no block.
    let counts = socket.get_bytes(LEVEL, 6, 12).unwrap();
    assert!(counts[4] > 0 && counts[8] == 1, "{counts:?}");
    (0..3).for_each(|block| memory.write(block * 4096 + 8, &[0; 4]));
    sender.send(&pair.frame(b"new")).unwrap();
    eventually("it goes on", || (0..3).any(|block| memory.word(block * 4096 + 8) & 1 != 0));
}

#[test]
fn frames_leave_by_rings() {
    let pair = Pair::new("pk5a", "pk5b");
    let (socket, hears) = (open(n::SOCK_RAW, 0), bound(n::SOCK_RAW, &pair, 1));
    socket.set(LEVEL, 10, 1).unwrap();
    socket.set_bytes(LEVEL, 13, &ring(4096, 1, 2048, 2)).unwrap();
    socket.socket().bind(&pair.place(0)).unwrap();
    let memory = Memory::of(&socket).unwrap();
    for (at, text) in [(0, &b"from"[..]), (2048, b"a ring")] {
        let frame = pair.frame(text);
        memory.write(at + 32, &frame);
        memory.write(at + 4, &(frame.len() as u32).to_ne_bytes());
        memory.write(at, &1u32.to_ne_bytes());
    }
    assert_eq!(socket.send(b""), Ok(18 + 20));
    assert_eq!(
        (hears.recv(100).unwrap()[14..].to_vec(), hears.recv(100).unwrap()[14..].to_vec()),
        (b"from".to_vec(), b"a ring".to_vec())
    );
    assert_eq!((memory.word(0), memory.word(2048)), (0, 0));
    // One that is too long is in the way, unless such are to be lost.
    memory.write(4, &1800u32.to_ne_bytes());
    memory.write(0, &1u32.to_ne_bytes());
    assert_eq!(socket.send(b""), Err(Errno::EMSGSIZE));
    assert_eq!(memory.word(0), 4);
}

#[test]
fn sockets_that_share_frames() {
    let pair = Pair::new("pk6a", "pk6b");
    let sender = bound(n::SOCK_RAW, &pair, 0);
    let members: Vec<Sock> = (0..3).map(|_| bound(n::SOCK_RAW, &pair, 1)).collect();
    // PACKET_FANOUT_LB of group 9: in turn.
    for member in &members {
        member.set(LEVEL, 18, 1 << 16 | 9).unwrap();
        assert_eq!(member.get(LEVEL, 18), Ok(1 << 16 | 9));
    }
    assert_eq!(members[0].socket().bind(&pair.place(1)), Err(Errno::EINVAL));
    for n in 0..12u8 {
        sender.send(&pair.frame(&[n])).unwrap();
    }
    let heard = |members: &[Sock]| -> Vec<usize> {
        eventually("all is heard", || !crate::pending());
        members.iter().map(|member| core::iter::from_fn(|| member.recv_now(100).ok()).count()).collect()
    };
    assert_eq!(heard(&members), [4, 4, 4]);
    let other = bound(n::SOCK_RAW, &pair, 1);
    assert_eq!(other.set(LEVEL, 18, 9), Err(Errno::EINVAL));
    assert_eq!(other.set(LEVEL, 18, 99 << 16), Err(Errno::EINVAL));
    drop(members);
    // By CPU, by hash, at random, until one is full: each is heard once.
    for (mode, count) in [(0, 1), (2, 1), (4, 0), (3, 1)] {
        let members: Vec<Sock> = (0..2).map(|_| bound(n::SOCK_RAW, &pair, 1)).collect();
        members.iter().for_each(|member| member.set(LEVEL, 18, mode << 16 | 10).unwrap());
        for n in 0..20u8 {
            sender.send(&pair.frame(&[n])).unwrap();
        }
        let heard = heard(&members);
        assert_eq!(heard.iter().sum::<usize>(), 20, "{mode}: {heard:?}");
        // One of them has all, where something of the frames or of the machine decides.
        assert!(count == 0 || heard.contains(&20), "{mode}: {heard:?}");
    }
}

#[test]
fn headers_of_virtio() {
    let pair = Pair::new("pk7a", "pk7b");
    let (sender, hears) = (bound(n::SOCK_RAW, &pair, 0), bound(n::SOCK_RAW, &pair, 1));
    for socket in [&sender, &hears] {
        socket.set(LEVEL, 15, 1).unwrap();
    }
    // The checksum from byte 14 on is to be put at byte 18.
    let frame = pair.frame(&[1, 2, 3, 4, 0, 0, 5, 6]);
    let header = [1, 0, 0, 0, 0, 0, 14, 0, 4, 0];
    assert_eq!(sender.send(&[&header[..], &frame].concat()), Ok(32));
    let bytes = hears.recv(100).unwrap();
    assert_eq!(bytes.len(), 10 + frame.len());
    assert_eq!(sender.send(&header[..5]), Err(Errno::EINVAL));
    assert_eq!(bound(n::SOCK_DGRAM, &pair, 0).set(LEVEL, 15, 1), Err(Errno::EINVAL));
}
