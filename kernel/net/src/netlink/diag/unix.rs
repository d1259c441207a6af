//! Sockets of `AF_UNIX` (linux/unix_diag.h).

use alloc::vec::Vec;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::super::message::{attribute, word};
use super::super::route::Answers;
use super::{ANY_COOKIE, BY_FAMILY, halves, has_state, words};
use crate::machine;

/// A socket, for who asks what there are.
pub struct LocalSocket {
    /// `SOCK_*`.
    pub kind: u32,
    /// `TCP_*`: [`ESTABLISHED`], [`CLOSED`] or [`LISTENING`].
    pub state: u8,
    /// Its inode; 0 for one that is not accepted yet.
    pub inode: u64,
    /// `SO_COOKIE`.
    pub cookie: u64,
    /// What follows the family in its address.
    pub name: Option<Vec<u8>>,
    /// The inode of the other side.
    pub peer: Option<u64>,
    /// The inodes of those who wait to be accepted.
    pub waiting: Vec<u64>,
    /// What is to be read, and what was sent and not read; of a listener, connections and how many
    /// there may be.
    pub queues: (usize, usize),
    /// `SO_MEMINFO`.
    pub memory: [usize; 9],
    /// Whether reading (1) and writing (2) is shut down.
    pub shut: u8,
    /// The user.
    pub user: u32,
}

/// `TCP_ESTABLISHED`, `TCP_CLOSE` and `TCP_LISTEN`, by which states of sockets are told.
pub const ESTABLISHED: u8 = 1;
/// See [`ESTABLISHED`].
pub const CLOSED: u8 = 7;
/// See [`ESTABLISHED`].
pub const LISTENING: u8 = 10;
/// `sizeof(struct unix_diag_req)`.
const REQUEST: usize = 24;
/// `UDIAG_SHOW_*`, and the attributes that they ask for (`UNIX_DIAG_*`).
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const SHOW_WAITING: u32 = 8;
const SHOW_QUEUES: u32 = 0x10;
const SHOW_MEMORY: u32 = 0x20;
const SHOW_USER: u32 = 0x40;
const NAME: u16 = 0;
const PEER: u16 = 2;
const WAITING: u16 = 3;
const QUEUES: u16 = 4;
const MEMORY: u16 = 5;
const SHUTDOWN: u16 = 6;
const USER: u16 = 7;

/// `struct unix_diag_msg` and what was asked for behind it.
fn describe(socket: &LocalSocket, show: u32) -> Vec<u8> {
    let mut out = alloc::vec![n::AF_UNIX as u8, socket.kind as u8, socket.state, 0];
    let [low, high] = halves(socket.cookie);
    words(&mut out, &[socket.inode as u32, low, high]);
    let shows = |bit: u32| show & bit != 0;
    if let Some(name) = socket.name.as_ref().filter(|_| shows(SHOW_NAME)) {
        attribute(&mut out, NAME, name);
    }
    if let Some(peer) = socket.peer.filter(|_| shows(SHOW_PEER)) {
        attribute(&mut out, PEER, &(peer as u32).to_ne_bytes());
    }
    let mut list = |kind: u16, numbers: &mut dyn Iterator<Item = u32>| {
        let value: Vec<u8> = numbers.flat_map(|number| number.to_ne_bytes()).collect();
        attribute(&mut out, kind, &value);
    };
    if shows(SHOW_WAITING) && socket.state == LISTENING {
        list(WAITING, &mut socket.waiting.iter().map(|inode| *inode as u32));
    }
    if shows(SHOW_QUEUES) {
        list(QUEUES, &mut [socket.queues.0 as u32, socket.queues.1 as u32].into_iter());
    }
    if shows(SHOW_MEMORY) {
        list(MEMORY, &mut socket.memory.iter().map(|number| *number as u32));
    }
    attribute(&mut out, SHUTDOWN, &[socket.shut]);
    if shows(SHOW_USER) {
        attribute(&mut out, USER, &socket.user.to_ne_bytes());
    }
    out
}

/// All sockets in the states asked for, or the one with an inode. `EINVAL`, `ENOENT`, `ESTALE`.
pub fn answer(body: &[u8], dump: bool) -> SysResult<Answers> {
    if body.len() < REQUEST {
        return Err(Errno::EINVAL);
    }
    let (states, inode, show) = (word(body, 4), word(body, 8), word(body, 12));
    let all = machine::local_sockets();
    if dump {
        let wanted = all.iter().filter(|socket| socket.inode != 0 && has_state(states, socket.state));
        return Ok(wanted.map(|socket| (BY_FAMILY, describe(socket, show))).collect());
    }
    if inode == 0 {
        return Err(Errno::EINVAL);
    }
    let found = all.iter().find(|socket| socket.inode as u32 == inode).ok_or(Errno::ENOENT)?;
    let cookie = u64::from(word(body, 16)) | u64::from(word(body, 20)) << 32;
    if cookie != ANY_COOKIE && cookie != found.cookie {
        return Err(Errno::ESTALE);
    }
    Ok(alloc::vec![(BY_FAMILY, describe(found, show))])
}
