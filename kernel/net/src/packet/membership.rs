//! Frames that an interface takes beyond its own (`PACKET_ADD_MEMBERSHIP`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use crate::interface::{self, Interface};

/// `struct packet_mreq` without its address.
const BEFORE_ADDRESS: usize = 8;
const PACKET_MREQ: usize = 16;
/// `PACKET_MR_*`.
const PROMISC: u16 = 1;
const ALLMULTI: u16 = 2;
/// Memberships of one socket.
const MAX_MEMBERSHIPS: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Request {
    interface: u32,
    kind: u16,
    address: [u8; 8],
    len: u16,
}

/// Those of a socket, each with how often it was asked for.
#[derive(Default)]
pub struct Memberships(SpinLock<Vec<(Request, u32)>>);

fn decode(value: &[u8]) -> SysResult<Request> {
    let head = value.first_chunk::<PACKET_MREQ>().ok_or(Errno::EINVAL)?;
    let [i0, i1, i2, i3, k0, k1, l0, l1, address @ ..] = *head;
    let len = u16::from_ne_bytes([l0, l1]);
    if value.len() < BEFORE_ADDRESS + usize::from(len) {
        return Err(Errno::EINVAL);
    }
    Ok(Request { interface: u32::from_ne_bytes([i0, i1, i2, i3]), kind: u16::from_ne_bytes([k0, k1]), address, len })
}

impl Request {
    /// Tells the interface. Frames for single groups and addresses come in anyway where there is
    /// anybody to see them.
    fn tell(&self, interface: &Interface, more: bool) {
        match self.kind {
            PROMISC => interface.want_all(false, more),
            ALLMULTI => interface.want_all(true, more),
            _ => {}
        }
    }
}

impl Memberships {
    /// `PACKET_ADD_MEMBERSHIP`. `EINVAL`, `ENODEV`, `ENOBUFS`.
    pub fn add(&self, value: &[u8]) -> SysResult<()> {
        let request = decode(value)?;
        let interface: Arc<Interface> = interface::by_index(request.interface).ok_or(Errno::ENODEV)?;
        let longest = if interface.link.is_point_to_point() { 0 } else { 6 };
        if request.len > longest || request.kind > 3 {
            return Err(Errno::EINVAL);
        }
        let mut list = self.0.lock();
        if let Some((_, count)) = list.iter_mut().find(|(other, _)| *other == request) {
            *count = count.saturating_add(1);
            return Ok(());
        }
        if list.len() >= MAX_MEMBERSHIPS || list.try_reserve(1).is_err() {
            return Err(Errno::ENOBUFS);
        }
        list.push((request, 1));
        request.tell(&interface, true);
        Ok(())
    }

    /// `PACKET_DROP_MEMBERSHIP`. As on Linux, one that is not there is no error.
    pub fn remove(&self, value: &[u8]) -> SysResult<()> {
        let request = decode(value)?;
        let mut list = self.0.lock();
        let Some(at) = list.iter().position(|(other, _)| *other == request) else { return Ok(()) };
        if let Some((_, count)) = list.get_mut(at) {
            *count -= 1;
            if *count > 0 {
                return Ok(());
            }
        }
        list.swap_remove(at);
        if let Some(interface) = interface::by_index(request.interface) {
            request.tell(&interface, false);
        }
        Ok(())
    }
}

impl Drop for Memberships {
    fn drop(&mut self) {
        for (request, _) in core::mem::take(&mut *self.0.lock()) {
            if let Some(interface) = interface::by_index(request.interface) {
                request.tell(&interface, false);
            }
        }
    }
}
