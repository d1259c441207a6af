//! Options: what is kept, what is granted, and who may.

use alloc::vec::Vec;

use caller::testing::become_user;
use fd::socket::Socket;
use fd::testing::{errno, own_table};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::{address, bound, get, of, one, pair, set};
use crate::Kind;

fn set_bytes(file: &fd::OpenFile, option: u32, words: &[i32]) -> SysResult<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    of(file).set_option(n::SOL_SOCKET, option, &bytes)
}

fn get_bytes(file: &fd::OpenFile, option: u32, room: usize) -> SysResult<Vec<u8>> {
    of(file).get_option(n::SOL_SOCKET, option, room)
}

#[test]
fn switches_are_kept() {
    let file = one(Kind::Stream);
    for option in [n::SO_REUSEADDR, n::SO_BROADCAST, n::SO_KEEPALIVE, n::SO_DONTROUTE, n::SO_PASSCRED, n::SO_NOFCS] {
        assert_eq!((get(&file, option), set(&file, option, 7), get(&file, option)), (Ok(0), Ok(()), Ok(1)), "{option}");
    }
    assert_eq!((get(&file, n::SO_PASSRIGHTS), set(&file, n::SO_PASSRIGHTS, 0)), (Ok(1), Ok(())));
    assert_eq!(get(&file, n::SO_PASSRIGHTS), Ok(0));
    assert_eq!(errno(set(&file, n::SO_REUSEPORT, 1)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(set(&file, n::SO_ZEROCOPY, 1)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(of(&file).set_option(n::SOL_SOCKET, n::SO_KEEPALIVE, &[1, 0])), Some(Errno::EINVAL));
    assert_eq!(errno(of(&file).set_option(6, 1, &[0; 4])), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(of(&file).get_option(6, 1, 4)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(set(&file, 999, 1)), Some(Errno::ENOPROTOOPT));
    assert_eq!(errno(get(&file, 999)), Some(Errno::ENOPROTOOPT));
}

#[test]
fn buffers_are_granted_within_limits() {
    let file = one(Kind::Datagram);
    assert_eq!((get(&file, n::SO_SNDBUF), get(&file, n::SO_RCVBUF)), (Ok(212_992), Ok(212_992)));
    set(&file, n::SO_SNDBUF, 1).unwrap();
    set(&file, n::SO_RCVBUF, 1).unwrap();
    assert_eq!((get(&file, n::SO_SNDBUF), get(&file, n::SO_RCVBUF)), (Ok(4608), Ok(2304)));
    set(&file, n::SO_SNDBUF, 10_000).unwrap();
    set(&file, n::SO_RCVBUF, i32::MAX).unwrap();
    assert_eq!((get(&file, n::SO_SNDBUF), get(&file, n::SO_RCVBUF)), (Ok(20_000), Ok(8 << 20)));
    assert_eq!(get(&file, n::SO_BUF_LOCK), Ok(3));
    set(&file, n::SO_SNDBUFFORCE, 16 << 20).unwrap();
    assert_eq!(get(&file, n::SO_SNDBUF), Ok(32 << 20));
    let memory = get_bytes(&file, n::SO_MEMINFO, 64).unwrap();
    let words: Vec<u32> = memory.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, [0, 8 << 20, 0, 32 << 20, 0, 0, 0, 0, 0]);
    assert_eq!(errno(set(&file, n::SO_BUF_LOCK, 4)), Some(Errno::EINVAL));
    set(&file, n::SO_BUF_LOCK, 0).unwrap();
    assert_eq!(get(&file, n::SO_BUF_LOCK), Ok(0));
}

#[test]
fn numbers_are_kept() {
    let file = one(Kind::Stream);
    for (option, value) in [
        (n::SO_PRIORITY, 6),
        (n::SO_MARK, 77),
        (n::SO_PEEK_OFF, 5),
        (n::SO_BUSY_POLL, 50),
        (n::SO_INCOMING_CPU, 3),
        (n::SO_BINDTOIFINDEX, 2),
        (n::SO_RCVLOWAT, 9),
    ] {
        set(&file, option, value).unwrap();
        assert_eq!(get(&file, option), Ok(value), "{option}");
    }
    set(&file, n::SO_RCVLOWAT, 0).unwrap();
    assert_eq!((get(&file, n::SO_RCVLOWAT), get(&file, n::SO_SNDLOWAT)), (Ok(1), Ok(1)));
    set(&file, n::SO_RCVLOWAT, -1).unwrap();
    assert_eq!(get(&file, n::SO_RCVLOWAT), Ok(i32::MAX));
    assert_eq!(errno(set(&file, n::SO_BUSY_POLL, -1)), Some(Errno::EINVAL));
    assert_eq!(errno(set(&file, n::SO_BINDTOIFINDEX, -1)), Some(Errno::EINVAL));
    set_bytes(&file, n::SO_LINGER, &[1, 30]).unwrap();
    set_bytes(&file, n::SO_LINGER, &[0, 40]).unwrap();
    assert_eq!(get_bytes(&file, n::SO_LINGER, 8), Ok([0i32, 30].map(i32::to_ne_bytes).concat()));
    assert_eq!(errno(set(&file, n::SO_LINGER, 1)), Some(Errno::EINVAL));
    set(&file, n::SO_MAX_PACING_RATE, -1).unwrap();
    assert_eq!(get_bytes(&file, n::SO_MAX_PACING_RATE, 8), Ok([0xff; 8].to_vec()));
    set_bytes(&file, n::SO_MAX_PACING_RATE, &[5, 1]).unwrap();
    assert_eq!(get_bytes(&file, n::SO_MAX_PACING_RATE, 8), Ok([5i32, 1].map(i32::to_ne_bytes).concat()));
    assert_eq!(set(&file, n::SO_BSDCOMPAT, 1), Ok(()));
    assert_eq!((get(&file, n::SO_BSDCOMPAT), get(&file, n::SO_INCOMING_NAPI_ID)), (Ok(0), Ok(0)));
    assert_eq!(errno(get(&file, n::SO_TXREHASH)), Some(Errno::EOPNOTSUPP));
    assert_eq!(get(&file, n::SO_BPF_EXTENSIONS), Ok(64));
}

#[test]
fn times_and_stamps() {
    let file = one(Kind::Datagram);
    let timeval = |words: [i64; 2]| words.map(i64::to_ne_bytes).concat();
    for option in [n::SO_RCVTIMEO_OLD, n::SO_SNDTIMEO_NEW] {
        of(&file).set_option(n::SOL_SOCKET, option, &timeval([3, 500_000])).unwrap();
        assert_eq!(get_bytes(&file, option, 16), Ok(timeval([3, 500_000])));
        let wrong = of(&file).set_option(n::SOL_SOCKET, option, &timeval([0, 1_000_000]));
        assert_eq!(errno(wrong), Some(Errno::EDOM));
    }
    set(&file, n::SO_TIMESTAMP_OLD, 1).unwrap();
    set(&file, n::SO_TIMESTAMPNS_OLD, 1).unwrap();
    assert_eq!((get(&file, n::SO_TIMESTAMP_OLD), get(&file, n::SO_TIMESTAMPNS_OLD)), (Ok(0), Ok(1)), "the last counts");
    assert_eq!(errno(set(&file, n::SO_TIMESTAMPING_OLD, 1 << 20)), Some(Errno::EINVAL));
    assert_eq!(errno(set(&file, n::SO_TIMESTAMPING_OLD, 1 << 12)), Some(Errno::EINVAL), "statistics alone");
    assert_eq!(errno(set(&file, n::SO_TIMESTAMPING_OLD, 1 << 16)), Some(Errno::EINVAL));
    set(&file, n::SO_TIMESTAMPING_OLD, 1 << 12 | 1 << 11).unwrap();
    assert_eq!(get(&file, n::SO_TIMESTAMPING_OLD), Ok(1 << 12 | 1 << 11));
    assert_eq!(get_bytes(&file, n::SO_TIMESTAMPING_NEW, 8), Ok([0; 8].to_vec()));
    assert_eq!(set_bytes(&file, n::SO_TXTIME, &[1, 2]), Ok(()));
    assert_eq!(get_bytes(&file, n::SO_TXTIME, 8), Ok([1i32, 2].map(i32::to_ne_bytes).concat()));
    assert_eq!(errno(set_bytes(&file, n::SO_TXTIME, &[1, 4])), Some(Errno::EINVAL));
    assert_eq!(errno(set_bytes(&file, n::SO_TXTIME, &[1])), Some(Errno::EINVAL));
    assert_eq!(errno(set(&file, n::SO_INQ, 1)), Some(Errno::ENOPROTOOPT), "streams alone have it");
    let stream = one(Kind::Stream);
    assert_eq!(errno(set(&stream, n::SO_INQ, 2)), Some(Errno::EINVAL));
    assert_eq!(errno(get(&stream, n::SO_INQ)), Some(Errno::ENOPROTOOPT));
}

#[test]
fn what_the_super_user_alone_may() {
    let file = one(Kind::Stream);
    become_user(1000, 1000);
    for (option, value) in [
        (n::SO_MARK, 1),
        (n::SO_PRIORITY, 7),
        (n::SO_SNDBUFFORCE, 1),
        (n::SO_PREFER_BUSY_POLL, 1),
        (n::SO_BUSY_POLL_BUDGET, 65),
    ] {
        assert_eq!(errno(set(&file, option, value)), Some(Errno::EPERM), "{option}");
    }
    assert_eq!(errno(set(&file, n::SO_DEBUG, 1)), Some(Errno::EACCES));
    assert_eq!((set(&file, n::SO_DEBUG, 0), set(&file, n::SO_PRIORITY, 5)), (Ok(()), Ok(())));
    assert_eq!(errno(set(&file, n::SO_BUSY_POLL_BUDGET, -1)), Some(Errno::EINVAL));
    assert_eq!(errno(set_bytes(&file, n::SO_TXTIME, &[0, 0])), Some(Errno::EPERM));
    set(&file, n::SO_BINDTOIFINDEX, 1).unwrap();
    assert_eq!(errno(set(&file, n::SO_BINDTOIFINDEX, 2)), Some(Errno::EPERM), "it is bound already");
}

#[test]
fn what_belongs_to_others() {
    let file = one(Kind::Stream);
    own_table();
    assert_eq!(errno(set(&file, n::SO_ATTACH_REUSEPORT_EBPF, 900)), Some(Errno::EBADF));
    assert_eq!(errno(set(&file, n::SO_ATTACH_REUSEPORT_CBPF, 1)), Some(Errno::EINVAL));
    assert_eq!(errno(set(&file, n::SO_DEVMEM_DONTNEED, 1)), Some(Errno::EBADF));
    assert_eq!(errno(set(&file, n::SO_RESERVE_MEM, -1)), Some(Errno::EINVAL));
    assert_eq!(errno(set(&file, n::SO_RESERVE_MEM, 1)), Some(Errno::EOPNOTSUPP));
    assert_eq!(errno(of(&file).set_option(n::SOL_SOCKET, n::SO_BINDTODEVICE, b"none7\0")), Some(Errno::ENODEV));
    assert_eq!(of(&file).set_option(n::SOL_SOCKET, n::SO_BINDTODEVICE, b"\0"), Ok(()));
    assert_eq!(get_bytes(&file, n::SO_BINDTODEVICE, 16), Ok(Vec::new()));
    assert_eq!(get_bytes(&file, n::SO_NETNS_COOKIE, 8), Ok(1u64.to_ne_bytes().to_vec()));
    assert_eq!(errno(get_bytes(&file, n::SO_NETNS_COOKIE, 4)), Some(Errno::EINVAL));
    assert_eq!(errno(get_bytes(&file, n::SO_COOKIE, 4)), Some(Errno::EINVAL));
    let [a, b] = pair(Kind::Stream);
    assert_ne!(get_bytes(&a, n::SO_COOKIE, 8), get_bytes(&b, n::SO_COOKIE, 8));
    let named = bound(Kind::Datagram, "\0options-name");
    of(&named).connect(&address("\0options-name"), false).unwrap();
    let name = address("\0options-name");
    assert_eq!(get_bytes(&named, n::SO_PEERNAME, name.len()), Ok(name));
    assert_eq!(errno(get_bytes(&named, n::SO_PEERNAME, 64)), Some(Errno::EINVAL));
    assert_eq!(get(&a, n::SO_ERROR), Ok(0));
}
