//! The device's file.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::socket::wait;
use fd::{FileOps, OpenFile, capable};
use inet::Bytes;
use linux_raw_sys::general::CAP_NET_ADMIN;
use linux_raw_sys::ioctl as i;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use usermem::{self, UserAddr};

use super::{Tun, flag};
use crate::interface::{self, Interface, Link, NAME, Port};
use crate::neighbor::Neighbors;
use crate::netlink::events;
use crate::packet::ETHERNET;
use crate::{address, ioctl, machine, poll};

/// Whoever has no interface yet gets this (`EBADFD`).
const EBADFD: Errno = Errno(77);
/// `struct ifreq`.
const IFREQ: usize = 40;
/// `struct tun_pi`: flags, and the protocol.
const PACKET_INFO: usize = 4;
/// `TUN_PKT_STRIP`: the reader's buffer was too short.
const STRIPPED: u16 = 1;
/// What may be chosen with `TUNSETIFF`. Of several queues and of NAPI there is nothing.
const FEATURES: u32 = flag::NO_PI | flag::ONE_QUEUE | flag::VNET_HDR;
const REFUSED: u32 = 0x0100 | 0x0010 | 0x0020;
/// The longest frame, with all that may stand before it.
const MAX_FRAME: usize = 65535 + ETHERNET + PACKET_INFO + 256;
/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_CHECKSUM: u8 = 1;

/// An interface and its program's end.
#[derive(Clone)]
struct Attached {
    interface: Arc<Interface>,
    tun: Arc<Tun>,
}

/// An open `/dev/net/tun`.
pub struct TunFile {
    /// A leaf lock.
    attached: SpinLock<Option<Attached>>,
    /// For who waits while there is no interface.
    nobody: PollQueue,
}

impl TunFile {
    /// A file without an interface.
    pub fn open() -> Arc<TunFile> {
        Arc::new(TunFile { attached: SpinLock::new(None), nobody: poll_queue() })
    }

    fn attached(&self) -> SysResult<Attached> {
        self.attached.lock().clone().filter(|attached| !attached.interface.is_gone()).ok_or(EBADFD)
    }

    /// `TUNSETIFF`: makes an interface, or attaches to one that is left.
    fn choose(&self, request: &mut [u8; IFREQ]) -> SysResult<()> {
        let flags = u32::from(u16::from_ne_bytes([request[NAME], request[NAME + 1]]));
        request[NAME - 1] = 0;
        let name: Vec<u8> = request.iter().copied().take_while(|byte| *byte != 0).collect();
        if self.attached.lock().is_some() {
            return Err(Errno::EEXIST);
        }
        let attached = match interface::by_name(&name) {
            Some(interface) => rejoin(interface, flags)?,
            None => make(&name, flags)?,
        };
        let shown = attached.tun.flags.load(Ordering::Relaxed) as u16;
        write_name(request, &attached.interface);
        request[NAME..NAME + 2].copy_from_slice(&shown.to_ne_bytes());
        *self.attached.lock() = Some(attached);
        Ok(())
    }

    fn control(&self, request: u32, arg: UserAddr) -> SysResult {
        let word = || arg.cast::<i32>().read();
        let Attached { interface, tun } = self.attached()?;
        let put = |value: i32| arg.cast::<i32>().write(value).map(|()| 0);
        match request {
            i::TUNGETIFF => {
                let mut out = [0u8; IFREQ];
                usermem::copy_in(&mut out, arg)?;
                write_name(&mut out, &interface);
                let shown = (tun.flags.load(Ordering::Relaxed) | flag::NOFILTER) as u16;
                out[NAME..NAME + 2].copy_from_slice(&shown.to_ne_bytes());
                return usermem::copy_out(arg, &out).map(|()| 0);
            }
            // Checksums are looked at or not as each frame's header says.
            i::TUNSETNOCSUM => {}
            i::TUNSETPERSIST if arg.0 != 0 => drop(tun.flags.fetch_or(flag::PERSIST, Ordering::Relaxed)),
            i::TUNSETPERSIST => drop(tun.flags.fetch_and(!flag::PERSIST, Ordering::Relaxed)),
            i::TUNSETOWNER => tun.owner.store(arg.0 as i32, Ordering::Relaxed),
            i::TUNSETGROUP => tun.group.store(arg.0 as i32, Ordering::Relaxed),
            i::TUNSETLINK if interface.is_up() => return Err(Errno::EBUSY),
            i::TUNSETLINK => {
                tun.hardware.store(arg.0 as u16, Ordering::Relaxed);
                events::link(&interface, true);
            }
            // None is taken: what the program writes has its checksums, and is not to be cut.
            i::TUNSETOFFLOAD if arg.0 != 0 => return Err(Errno::EINVAL),
            i::TUNSETOFFLOAD => {}
            i::TUNGETSNDBUF => return put(tun.send_buffer.load(Ordering::Relaxed)),
            i::TUNSETSNDBUF => match word()? {
                bytes @ 1.. => tun.send_buffer.store(bytes, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            i::TUNGETVNETHDRSZ => return put(tun.header.load(Ordering::Relaxed) as i32),
            i::TUNSETVNETHDRSZ => match word()? {
                bytes @ 10..=128 => tun.header.store(bytes as u32, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            i::TUNSETCARRIER => {
                tun.carrier.store(word()? != 0, Ordering::Relaxed);
                events::link(&interface, true);
            }
            i::SIOCGIFHWADDR | i::SIOCSIFHWADDR => return ioctl::hardware_address(&interface, request, arg),
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}

fn write_name(request: &mut [u8; IFREQ], interface: &Interface) {
    let name = interface.name();
    let padded = name.bytes().chain(core::iter::repeat(0)).take(NAME);
    request.iter_mut().zip(padded).for_each(|(to, from)| *to = from);
}

/// Whether the caller may have an interface that belongs to somebody.
fn may_attach(tun: &Tun) -> bool {
    let credentials = caller::credentials();
    let (owner, group) = tun.owners();
    let foreign = owner != -1 && owner as u32 != credentials.euid
        || group != -1 && credentials.egid != group as u32 && !credentials.groups.contains(&(group as u32));
    !foreign || capable(CAP_NET_ADMIN)
}

/// Attaches to an interface that is there. `EINVAL`, `EPERM`, `EBUSY`.
fn rejoin(interface: Arc<Interface>, flags: u32) -> SysResult<Attached> {
    if flags & flag::EXCL != 0 {
        return Err(Errno::EBUSY);
    }
    let Link::Ethernet(Port::Tun(tun), _) = &interface.link else { return Err(Errno::EINVAL) };
    let wanted = if tun.is_tun() { flag::TUN } else { flag::TAP };
    if flags & (flag::TUN | flag::TAP) & wanted == 0 || flags & REFUSED != 0 {
        return Err(Errno::EINVAL);
    }
    if !may_attach(tun) {
        return Err(Errno::EPERM);
    }
    if tun.attached.swap(true, Ordering::AcqRel) {
        return Err(Errno::EBUSY);
    }
    let kept = tun.flags.load(Ordering::Relaxed) & !FEATURES;
    tun.flags.store(kept | flags & FEATURES, Ordering::Relaxed);
    let tun = tun.clone();
    events::link(&interface, true);
    Ok(Attached { interface, tun })
}

/// Makes an interface. `EPERM`, `EINVAL` and what [`interface::add`] says.
fn make(name: &[u8], flags: u32) -> SysResult<Attached> {
    if !capable(CAP_NET_ADMIN) {
        return Err(Errno::EPERM);
    }
    let (kind, pattern): (u32, &[u8]) = match flags {
        _ if flags & REFUSED != 0 => return Err(Errno::EINVAL),
        _ if flags & flag::TUN != 0 => (flag::TUN, b"tun%d"),
        _ if flags & flag::TAP != 0 => (flag::TAP, b"tap%d"),
        _ => return Err(Errno::EINVAL),
    };
    let tun = Arc::new(Tun::new(kind | flags & FEATURES));
    let link = Link::Ethernet(Port::Tun(tun.clone()), Neighbors::default());
    let mac = if kind == flag::TAP { random_mac() } else { [0; 6] };
    let pattern = if name.is_empty() { pattern } else { name };
    let interface = interface::add(pattern, |index, name| Interface::new(index, name, link, mac))?;
    events::link(&interface, true);
    Ok(Attached { interface, tun })
}

/// A locally administered address.
pub fn random_mac() -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = machine::random().to_le_bytes();
    [a & 0xfc | 2, b, c, d, e, f]
}

impl Drop for TunFile {
    fn drop(&mut self) {
        let Some(Attached { interface, tun }) = self.attached.lock().take() else { return };
        tun.attached.store(false, Ordering::Release);
        tun.queue.lock().clear();
        if tun.is(flag::PERSIST) {
            events::link(&interface, true);
        } else {
            address::retire(&interface);
        }
    }
}

impl FileOps for TunFile {
    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let Attached { interface, tun } = self.attached()?;
        let next = || {
            if interface.is_gone() {
                return Some(Err(Errno::EIO));
            }
            tun.pop().map(Ok)
        };
        let frame = wait(&tun.readers, file.nonblocking(), None, next)??;
        let room = to.remaining();
        let mut head = Vec::new();
        let header = if tun.is(flag::VNET_HDR) { tun.header.load(Ordering::Relaxed) as usize } else { 0 };
        let bytes = frame.get(if tun.is_tun() { ETHERNET } else { 0 }..).unwrap_or_default();
        if !tun.is(flag::NO_PI) {
            if room < PACKET_INFO {
                return Err(Errno::EINVAL);
            }
            let stripped = if room < PACKET_INFO + header + bytes.len() { STRIPPED } else { 0 };
            head.extend_from_slice(&stripped.to_ne_bytes());
            head.extend_from_slice(frame.get(ETHERNET - 2..ETHERNET).unwrap_or_default());
        }
        if room < head.len() + header {
            return Err(Errno::EINVAL);
        }
        head.resize(head.len() + header, 0);
        let mut copied = if head.is_empty() { 0 } else { to.put(&head)? };
        if to.remaining() > 0 {
            copied += to.put(bytes)?;
        }
        Ok(copied)
    }

    fn write(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let Attached { interface, tun } = self.attached()?;
        let len = from.remaining();
        if len > MAX_FRAME {
            return Err(Errno::EINVAL);
        }
        let bytes = if len == 0 { Vec::new() } else { from.take_all(MAX_FRAME)? };
        let mut rest = &bytes[..];
        let mut protocol = None;
        if !tun.is(flag::NO_PI) {
            let (info, behind) = rest.split_first_chunk::<PACKET_INFO>().ok_or(Errno::EINVAL)?;
            protocol = Some([info[2], info[3]]);
            rest = behind;
        }
        if tun.is(flag::VNET_HDR) {
            let header = tun.header.load(Ordering::Relaxed) as usize;
            let (header, behind) = rest.split_at_checked(header).ok_or(Errno::EINVAL)?;
            // Checksums left to us and frames to be cut are not taken; `TUNSETOFFLOAD` has said so.
            if header.first().is_some_and(|flags| flags & NEEDS_CHECKSUM != 0)
                || header.get(1).is_some_and(|kind| *kind != 0)
            {
                return Err(Errno::EINVAL);
            }
            rest = behind;
        }
        let mut frame = Vec::new();
        frame.try_reserve_exact(ETHERNET + rest.len()).map_err(|_| Errno::ENOMEM)?;
        if tun.is_tun() {
            let protocol = match (protocol, rest.first().map(|byte| byte >> 4)) {
                (Some(protocol), _) => protocol,
                (None, Some(4)) => [0x08, 0x00],
                (None, Some(6)) => [0x86, 0xdd],
                _ => return Err(Errno::EINVAL),
            };
            frame.resize(ETHERNET - 2, 0);
            frame.extend_from_slice(&protocol);
        } else if rest.len() < ETHERNET {
            return Err(Errno::EINVAL);
        }
        frame.extend_from_slice(rest);
        if !interface.is_up() {
            return Err(Errno::EIO);
        }
        interface.deliver(Bytes::from(frame));
        poll::sent();
        Ok(len)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let Ok(Attached { interface, tun }) = self.attached() else {
            table.add(&self.nobody);
            return ev::ERR;
        };
        table.add(&tun.readers);
        let readable = if tun.queue.lock().is_empty() { 0 } else { ev::READABLE };
        readable | if interface.is_up() { ev::WRITABLE } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        match request {
            i::TUNGETFEATURES => arg.cast::<u32>().write(flag::TUN | flag::TAP | FEATURES).map(|()| 0),
            i::TUNSETIFF => {
                let mut bytes = [0; IFREQ];
                usermem::copy_in(&mut bytes, arg)?;
                self.choose(&mut bytes)?;
                usermem::copy_out(arg, &bytes).map(|()| 0)
            }
            _ => self.control(request, arg),
        }
    }
}
