//! Sockets among threads of a host, each of which is a process with a tree of files of its own.
//! What is expected is what Linux does (compat-tests/cases/unix*.c ask it).

mod flight;
mod names;
mod options;
mod packets;
mod report;
mod stream;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use fd::OpenFile;
use fd::io::{Sink, Source};
use fd::socket::{Ancillary, Received, Socket};
use fs::OpenFlags;
use linux_raw_sys::net as n;
use syscall_shim::SysResult;

use crate::{Kind, UnixSocket};

const DONTWAIT: u32 = n::MSG_DONTWAIT;

fn pair(kind: Kind) -> [Arc<OpenFile>; 2] {
    fs::testing::install();
    UnixSocket::open_pair(kind, OpenFlags::empty())
}

fn one(kind: Kind) -> Arc<OpenFile> {
    fs::testing::install();
    UnixSocket::open_one(kind, OpenFlags::empty())
}

/// The socket of a file.
fn of(file: &OpenFile) -> &UnixSocket {
    file.ops_as::<UnixSocket>().unwrap()
}

/// A `sockaddr_un`. A name that begins with NUL is an abstract one.
fn address(name: &str) -> Vec<u8> {
    [&(n::AF_UNIX as u16).to_ne_bytes(), name.as_bytes()].concat()
}

/// A socket with this name.
fn bound(kind: Kind, name: &str) -> Arc<OpenFile> {
    let file = one(kind);
    of(&file).bind(&address(name)).unwrap();
    file
}

fn listener(kind: Kind, name: &str, backlog: i32) -> Arc<OpenFile> {
    let file = bound(kind, name);
    of(&file).listen(backlog).unwrap();
    file
}

/// A new socket that is connected to this name.
fn connected(kind: Kind, name: &str) -> Arc<OpenFile> {
    let file = one(kind);
    of(&file).connect(&address(name), false).unwrap();
    file
}

fn send(file: &OpenFile, bytes: &[u8], flags: u32) -> SysResult<usize> {
    of(file).send_message(&mut Source::Kernel(bytes), None, Ancillary::default(), flags)
}

fn send_to(file: &OpenFile, name: &str, bytes: &[u8]) -> SysResult<usize> {
    of(file).send_message(&mut Source::Kernel(bytes), Some(&address(name)), Ancillary::default(), DONTWAIT)
}

fn send_files(file: &OpenFile, bytes: &[u8], files: Vec<Arc<OpenFile>>) -> SysResult<usize> {
    let with = Ancillary { files, ..Ancillary::default() };
    of(file).send_message(&mut Source::Kernel(bytes), None, with, DONTWAIT)
}

/// What was received: the bytes, and the rest.
fn receive_all(file: &OpenFile, room: usize, flags: u32) -> SysResult<(Vec<u8>, Received)> {
    let mut buffer = vec![0; room];
    let received = of(file).receive_message(&mut Sink::Kernel(&mut buffer), flags)?;
    buffer.truncate(received.copied);
    Ok((buffer, received))
}

fn receive(file: &OpenFile, room: usize, flags: u32) -> SysResult<Vec<u8>> {
    receive_all(file, room, flags).map(|(bytes, _)| bytes)
}

fn set(file: &OpenFile, option: u32, value: i32) -> SysResult<()> {
    of(file).set_option(n::SOL_SOCKET, option, &value.to_ne_bytes())
}

fn get(file: &OpenFile, option: u32) -> SysResult<i32> {
    let bytes = of(file).get_option(n::SOL_SOCKET, option, 64)?;
    Ok(i32::from_ne_bytes(*bytes.first_chunk().unwrap()))
}

/// Sets a time-out.
fn set_timeout(file: &OpenFile, option: u32, milliseconds: i64) {
    let value = [milliseconds / 1000, milliseconds % 1000 * 1000].map(i64::to_ne_bytes).concat();
    of(file).set_option(n::SOL_SOCKET, option, &value).unwrap();
}
