//! Names of `AF_UNIX` sockets: paths, and abstract ones.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use caller::{namespace, with_fs};
use fd::socket::Address;
use fs::{AccessMask, LookupFlags, Path};
use linux_raw_sys::net;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::UnixSocket;

/// `sizeof(struct sockaddr_un)`.
const SOCKADDR_UN_SIZE: usize = 110;
/// Length of the family.
const FAMILY: usize = 2;

/// Abstract names. A leaf lock.
static ABSTRACT: SpinLock<BTreeMap<Vec<u8>, Weak<UnixSocket>>> = SpinLock::new(BTreeMap::new());

/// What hangs on the inode of a socket in the file system.
struct Bound(SpinLock<Weak<UnixSocket>>);

/// The address of who has no name: the family alone.
pub fn unnamed() -> Address {
    (net::AF_UNIX as u16).to_ne_bytes().to_vec()
}

/// The name in a `sockaddr_un`; empty for none. `EINVAL`.
pub fn decode(address: &[u8]) -> SysResult<&[u8]> {
    let (family, name) = address.split_at_checked(FAMILY).ok_or(Errno::EINVAL)?;
    let unix = family == (net::AF_UNIX as u16).to_ne_bytes();
    if unix && address.len() <= SOCKADDR_UN_SIZE { Ok(name) } else { Err(Errno::EINVAL) }
}

fn path(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Gives `socket` a name, and answers its address. `EADDRINUSE`.
pub fn bind(socket: &Arc<UnixSocket>, name: &[u8]) -> SysResult<Address> {
    let mut address = unnamed();
    match name.first() {
        None => {
            let free = autobind(socket)?;
            address.extend_from_slice(&free);
        }
        Some(0) => {
            let mut names = ABSTRACT.lock();
            if names.get(name).is_some_and(|other| other.strong_count() > 0) {
                return Err(Errno::EADDRINUSE);
            }
            names.insert(name.to_vec(), Arc::downgrade(socket));
            address.extend_from_slice(name);
        }
        Some(_) => {
            let path = path(name);
            let made = make(socket, path)?;
            let bound = made.inode()?.common().ext_or_insert(|| Bound(SpinLock::new(Weak::new())));
            *bound.0.lock() = Arc::downgrade(socket);
            address.extend_from_slice(path);
            address.push(0);
        }
    }
    Ok(address)
}

/// Makes the file of a socket, with the permissions that fchmod(2) gave the socket itself.
/// `EADDRINUSE`, and the errors of mknod(2).
fn make(socket: &UnixSocket, path: &[u8]) -> SysResult<Path> {
    let mode = socket.file().map_or(0o777, |file| file.inode.metadata().mode & 0o7777);
    let made = with_fs(|ctx| namespace().mknod(ctx, None, path, fs::S_IFSOCK | mode, 0));
    made.map_err(|errno| if errno == Errno::EEXIST { Errno::EADDRINUSE } else { errno })
}

/// Whether a file with this name can be made, which is found out by making one, as on Linux.
pub fn is_free(socket: &UnixSocket, name: &[u8]) -> SysResult<()> {
    if name.first() == Some(&0) {
        return Ok(());
    }
    let path = path(name);
    make(socket, path)?;
    with_fs(|ctx| namespace().unlink(ctx, None, path))
}

/// A name of five hexadecimal digits that nobody has (unix(7), 'Autobind feature').
fn autobind(socket: &Arc<UnixSocket>) -> SysResult<Vec<u8>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut names = ABSTRACT.lock();
    for _ in 0..0x10_0000 {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xf_ffff;
        let name = alloc::format!("\0{number:05x}").into_bytes();
        if names.get(&name).is_none_or(|other| other.strong_count() == 0) {
            names.insert(name.clone(), Arc::downgrade(socket));
            return Ok(name);
        }
    }
    Err(Errno::ENOSPC)
}

/// The socket that goes had this address.
pub fn unbind(socket: &UnixSocket, address: &[u8]) {
    if let Some(name) = address.get(FAMILY..).filter(|name| name.first() == Some(&0)) {
        let mut names = ABSTRACT.lock();
        if names.get(name).is_some_and(|other| core::ptr::eq(other.as_ptr(), socket)) {
            names.remove(name);
        }
    }
}

/// The socket with this name. `ECONNREFUSED` if nobody has it any more, or what has it is no
/// socket.
pub fn find(name: &[u8]) -> SysResult<Arc<UnixSocket>> {
    match name.first() {
        None => Err(Errno::EINVAL),
        Some(0) => ABSTRACT.lock().get(name).and_then(Weak::upgrade).ok_or(Errno::ECONNREFUSED),
        Some(_) => {
            let found = with_fs(|ctx| {
                let found = namespace().resolve(ctx, None, path(name), LookupFlags::FOLLOW)?;
                namespace().access(ctx, &found, AccessMask::WRITE)?;
                Ok(found)
            })?;
            let bound = found.inode()?.common().get_ext::<Bound>().ok_or(Errno::ECONNREFUSED)?;
            let socket = bound.0.lock().upgrade();
            socket.ok_or(Errno::ECONNREFUSED)
        }
    }
}
