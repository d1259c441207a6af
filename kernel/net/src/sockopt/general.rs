//! The level `SOL_SOCKET` (socket(7)).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fd::capable;
use fd::socket::{int, timeval, timeval_bytes};
use fd::socket_filter::{self, Filter};
use linux_raw_sys::general::{CAP_NET_ADMIN, CAP_NET_RAW};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::{bit_of, flag};
use crate::socket::Common;
use crate::{interface, sysctl};

/// Least buffers (`SOCK_MIN_RCVBUF`, `SOCK_MIN_SNDBUF`).
const MIN_BUFFERS: (u32, u32) = (2304, 4608);
/// The longest name of an interface, with its end (`IFNAMSIZ`).
const NAME: usize = 16;
/// The most that a reader of TCP may wait for: half of `tcp_rmem[2]`.
const MAX_LOW_WATER: i32 = 3 << 20;
/// `SOF_TIMESTAMPING_OPT_ID`, and the flag that says how TCP counts, which is nothing without it.
const OPT_ID: i32 = 1 << 7;
const OPT_ID_TCP: i32 = 1 << 16;

/// Options that are on or off.
const FLAGS: [(u32, u64); 11] = [
    (n::SO_DEBUG, flag::DEBUG),
    (n::SO_DONTROUTE, flag::DONT_ROUTE),
    (n::SO_OOBINLINE, flag::OOB_INLINE),
    (n::SO_NO_CHECK, flag::NO_CHECK),
    (n::SO_RXQ_OVFL, flag::RXQ_OVFL),
    (n::SO_WIFI_STATUS, flag::WIFI_STATUS),
    (n::SO_NOFCS, flag::NOFCS),
    (n::SO_SELECT_ERR_QUEUE, flag::SELECT_ERR_QUEUE),
    (n::SO_PREFER_BUSY_POLL, flag::PREFER_BUSY_POLL),
    (n::SO_RCVMARK, flag::RCVMARK),
    (n::SO_RCVPRIORITY, flag::RCVPRIORITY),
];
/// Time stamps: of microseconds or nanoseconds, and the form of their name.
const STAMPS: [(u32, u64); 4] = [
    (n::SO_TIMESTAMP_OLD, flag::TIMESTAMP),
    (n::SO_TIMESTAMP_NEW, flag::TIMESTAMP | flag::TIMESTAMP_NEW),
    (n::SO_TIMESTAMPNS_OLD, flag::TIMESTAMPNS),
    (n::SO_TIMESTAMPNS_NEW, flag::TIMESTAMPNS | flag::TIMESTAMP_NEW),
];
const ALL_STAMPS: u64 = flag::TIMESTAMP | flag::TIMESTAMPNS | flag::TIMESTAMP_NEW;

fn word(value: &[u8]) -> SysResult<u64> {
    value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)).ok_or(Errno::EINVAL)
}

/// `EPERM` for a value above `old` that is asked for without the privilege.
fn may_raise(number: i32, old: i32) -> SysResult<()> {
    if number > old && !capable(CAP_NET_ADMIN) { Err(Errno::EPERM) } else { Ok(()) }
}

/// What sockets refuse that are not of the Internet families: setsockopt(2)'s answer, `None` for
/// other options.
pub fn refused(option: u32, value: &[u8]) -> Option<SysResult<()>> {
    let number = int(value);
    match option {
        n::SO_REUSEPORT if number == Ok(0) => None,
        n::SO_REUSEPORT | n::SO_PEEK_OFF | n::SO_ZEROCOPY => Some(number.and(Err(Errno::EOPNOTSUPP))),
        n::SO_DEVMEM_DONTNEED => Some(number.and(Err(Errno::EBADF))),
        n::SO_ATTACH_REUSEPORT_EBPF => Some(Filter::attach_by_descriptor(value)),
        _ => None,
    }
}

/// The interface that `SO_BINDTODEVICE` names; 0 for none. `ENODEV`.
pub fn device_index(value: &[u8]) -> SysResult<u32> {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = name.get(..NAME - 1).unwrap_or(name);
    let named = || interface::by_name(name).map(|found| found.index);
    if name.is_empty() { Ok(0) } else { named().ok_or(Errno::ENODEV) }
}

/// What `SO_BINDTODEVICE` tells to who has so much room. `EINVAL`, `ENODEV`.
pub fn device_name(index: u32, room: usize) -> SysResult<Vec<u8>> {
    if index == 0 {
        return Ok(Vec::new());
    }
    if room < NAME {
        return Err(Errno::EINVAL);
    }
    let mut name = interface::by_index(index).ok_or(Errno::ENODEV)?.name().into_bytes();
    name.push(0);
    Ok(name)
}

impl Common {
    pub(super) fn set_general(&self, option: u32, value: &[u8]) -> SysResult<()> {
        if option == n::SO_BINDTODEVICE {
            return self.bind_to_device(value);
        }
        if let Some(result) = self.filter.set(option, value) {
            return result;
        }
        let number = int(value)?;
        let on = number != 0;
        match option {
            n::SO_RCVTIMEO_OLD | n::SO_RCVTIMEO_NEW => {
                return timeval(value).map(|ns| self.receive_timeout.store(ns, Ordering::Relaxed));
            }
            n::SO_SNDTIMEO_OLD | n::SO_SNDTIMEO_NEW => {
                return timeval(value).map(|ns| self.send_timeout.store(ns, Ordering::Relaxed));
            }
            n::SO_LINGER => {
                let seconds = int(value.get(4..).unwrap_or_default())?;
                if on {
                    // A negative number is a large one.
                    self.linger.store(if seconds < 0 { i32::MAX } else { seconds }, Ordering::Relaxed);
                }
                self.lingers.store(on, Ordering::Relaxed);
                return Ok(());
            }
            n::SO_MAX_PACING_RATE => {
                let rate = word(value).unwrap_or(if number == -1 { u64::MAX } else { (number as u32).into() });
                self.pacing.store(rate, Ordering::Relaxed);
                return Ok(());
            }
            _ => {}
        }
        if let Some(bit) = bit_of(&FLAGS, option) {
            match option {
                n::SO_DEBUG if on && !capable(CAP_NET_ADMIN) => return Err(Errno::EACCES),
                n::SO_PREFER_BUSY_POLL if on && !capable(CAP_NET_ADMIN) => return Err(Errno::EPERM),
                _ => {}
            }
            self.flag(bit, on);
            return Ok(());
        }
        if let Some(bits) = bit_of(&STAMPS, option) {
            // The last one asked for counts.
            self.flag(ALL_STAMPS, false);
            self.flag(bits, on);
            return Ok(());
        }
        let most = |setting| sysctl::get(setting) as u32;
        let doubled = |least: u32, most: u32| (number as u32).min(most).saturating_mul(2).max(least);
        match option {
            n::SO_REUSEADDR => self.reuse_address.store(on, Ordering::Relaxed),
            n::SO_REUSEPORT => self.reuse_port.store(on, Ordering::Relaxed),
            n::SO_BROADCAST => self.broadcast.store(on, Ordering::Relaxed),
            n::SO_KEEPALIVE => self.keep_alive.store(on, Ordering::Relaxed),
            n::SO_RCVBUF => self.receive_buffer.store(doubled(MIN_BUFFERS.0, most(&sysctl::RMEM_MAX)), Ordering::Relaxed),
            n::SO_SNDBUF => self.send_buffer.store(doubled(MIN_BUFFERS.1, most(&sysctl::WMEM_MAX)), Ordering::Relaxed),
            n::SO_RCVBUFFORCE | n::SO_SNDBUFFORCE => {
                if !capable(CAP_NET_ADMIN) {
                    return Err(Errno::EPERM);
                }
                let (slot, least) = if option == n::SO_RCVBUFFORCE {
                    (&self.receive_buffer, MIN_BUFFERS.0)
                } else {
                    (&self.send_buffer, MIN_BUFFERS.1)
                };
                // A negative number is none.
                let asked = number.max(0) as u32;
                slot.store(asked.min(i32::MAX as u32 / 2).saturating_mul(2).max(least), Ordering::Relaxed);
            }
            n::SO_RCVLOWAT => {
                let most = if self.stream { MAX_LOW_WATER } else { i32::MAX };
                let wanted = if number < 0 { i32::MAX } else { number.max(1) };
                self.low_water.store(wanted.min(most), Ordering::Relaxed);
            }
            n::SO_BSDCOMPAT | n::SO_CNX_ADVICE => {}
            n::SO_PASSCRED | n::SO_PASSSEC | n::SO_PASSPIDFD | n::SO_PASSRIGHTS => return Err(Errno::EOPNOTSUPP),
            n::SO_PEEK_OFF if self.raw => return Err(Errno::EOPNOTSUPP),
            n::SO_PEEK_OFF => self.peek_offset.store(number, Ordering::Relaxed),
            n::SO_ZEROCOPY if self.raw => return Err(Errno::EOPNOTSUPP),
            n::SO_ZEROCOPY => match number {
                0 | 1 => self.flag(flag::ZEROCOPY, on),
                _ => return Err(Errno::EINVAL),
            },
            n::SO_BINDTOIFINDEX => {
                let index = u32::try_from(number).map_err(|_| Errno::EINVAL)?;
                return self.bind_to_index(index);
            }
            n::SO_BUSY_POLL_BUDGET => match number {
                0..=0xffff => return may_raise(number, 8),
                _ => return Err(Errno::EINVAL),
            },
            n::SO_TXREHASH if !self.stream => return Err(Errno::EOPNOTSUPP),
            // The one that may also be as usual.
            n::SO_TXREHASH if number == -1 => {
                return self.numbers.set(n::SOL_SOCKET, option, 1).unwrap_or(Ok(()));
            }
            // There are no programs of BPF for those who share a port.
            n::SO_ATTACH_REUSEPORT_CBPF | n::SO_ATTACH_REUSEPORT_EBPF | n::SO_DETACH_REUSEPORT_BPF => {
                return Err(Errno::EINVAL);
            }
            n::SO_RESERVE_MEM => return Err(if number < 0 { Errno::EINVAL } else { Errno::EOPNOTSUPP }),
            n::SO_TIMESTAMPING_OLD | n::SO_TIMESTAMPING_NEW if number & OPT_ID_TCP != 0 && number & OPT_ID == 0 => {
                return Err(Errno::EINVAL);
            }
            n::SO_TIMESTAMPING_OLD | n::SO_TIMESTAMPING_NEW => self.flag(flag::TIMESTAMPING, on),
            n::SO_PRIORITY if !(0..=6).contains(&number) && !capable(CAP_NET_RAW) => may_raise(1, 0)?,
            n::SO_MARK if !capable(CAP_NET_RAW) => may_raise(1, 0)?,
            n::SO_BUSY_POLL => may_raise(number, self.numbers.get(n::SOL_SOCKET, option).unwrap_or(0))?,
            _ => {}
        }
        self.numbers.set(n::SOL_SOCKET, option, number).unwrap_or(match option {
            n::SO_REUSEADDR | n::SO_REUSEPORT | n::SO_BROADCAST | n::SO_KEEPALIVE | n::SO_RCVBUF | n::SO_SNDBUF => Ok(()),
            n::SO_RCVBUFFORCE | n::SO_SNDBUFFORCE | n::SO_RCVLOWAT | n::SO_BSDCOMPAT | n::SO_CNX_ADVICE => Ok(()),
            n::SO_PEEK_OFF | n::SO_ZEROCOPY => Ok(()),
            _ => Err(Errno::ENOPROTOOPT),
        })
    }

    /// `SO_BINDTODEVICE`: by name, of which nothing takes the binding back.
    fn bind_to_device(&self, value: &[u8]) -> SysResult<()> {
        self.bind_to_index(device_index(value)?)
    }

    fn bind_to_index(&self, index: u32) -> SysResult<()> {
        if self.device.load(Ordering::Relaxed) != 0 && !capable(CAP_NET_RAW) {
            return Err(Errno::EPERM);
        }
        self.device.store(index, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn get_general(&self, option: u32, room: usize) -> SysResult<Vec<u8>> {
        let on = |bool: &AtomicBool| i32::from(bool.load(Ordering::Relaxed));
        if let Some(bit) = bit_of(&FLAGS, option) {
            return Ok(i32::from(self.has(bit)).to_ne_bytes().to_vec());
        }
        if let Some(value) = self.filter.get(option) {
            return Ok(value);
        }
        if let Some(bits) = bit_of(&STAMPS, option) {
            let stamps = self.flags.load(Ordering::Relaxed) & ALL_STAMPS;
            return Ok(i32::from(stamps == bits).to_ne_bytes().to_vec());
        }
        if option == n::SO_TXREHASH && !self.stream {
            return Err(Errno::EOPNOTSUPP);
        }
        if let Some(number) = self.numbers.get(n::SOL_SOCKET, option) {
            let mut value = number.to_ne_bytes().to_vec();
            if matches!(option, n::SO_TIMESTAMPING_OLD | n::SO_TIMESTAMPING_NEW) {
                // A `struct so_timestamping`: there are no clocks to bind it to.
                value.extend_from_slice(&[0; 4]);
            }
            return Ok(value);
        }
        let number = match option {
            n::SO_RCVTIMEO_OLD | n::SO_RCVTIMEO_NEW => {
                return Ok(timeval_bytes(self.receive_timeout.load(Ordering::Relaxed)));
            }
            n::SO_SNDTIMEO_OLD | n::SO_SNDTIMEO_NEW => {
                return Ok(timeval_bytes(self.send_timeout.load(Ordering::Relaxed)));
            }
            n::SO_LINGER => {
                let mut out = on(&self.lingers).to_ne_bytes().to_vec();
                out.extend_from_slice(&self.linger.load(Ordering::Relaxed).to_ne_bytes());
                return Ok(out);
            }
            n::SO_BINDTODEVICE => return self.device_name(room),
            // Nobody in particular: a process of another machine may be the peer.
            n::SO_PEERCRED => {
                return Ok([0i32, -1, -1].iter().flat_map(|word| word.to_ne_bytes()).collect());
            }
            n::SO_COOKIE => return self.cookie_bytes(room),
            n::SO_NETNS_COOKIE if room != 8 => return Err(Errno::EINVAL),
            // There is one network.
            n::SO_NETNS_COOKIE => return Ok(1u64.to_ne_bytes().to_vec()),
            n::SO_MEMINFO => return Ok(self.memory_words()),
            n::SO_MAX_PACING_RATE => {
                let rate = self.pacing.load(Ordering::Relaxed);
                if room >= 8 {
                    return Ok(rate.to_ne_bytes().to_vec());
                }
                u32::try_from(rate).unwrap_or(u32::MAX) as i32
            }
            n::SO_REUSEADDR => on(&self.reuse_address),
            n::SO_REUSEPORT => on(&self.reuse_port),
            n::SO_BROADCAST => on(&self.broadcast),
            n::SO_KEEPALIVE => on(&self.keep_alive),
            n::SO_RCVBUF => self.buffers().0 as i32,
            n::SO_SNDBUF => self.buffers().1 as i32,
            n::SO_RCVLOWAT => self.low_water.load(Ordering::Relaxed),
            n::SO_SNDLOWAT => 1,
            n::SO_DOMAIN => self.family().number() as i32,
            n::SO_BSDCOMPAT | n::SO_INCOMING_NAPI_ID | n::SO_RESERVE_MEM => 0,
            n::SO_ZEROCOPY => i32::from(self.has(flag::ZEROCOPY)),
            n::SO_PEEK_OFF if self.raw => return Err(Errno::EOPNOTSUPP),
            n::SO_PEEK_OFF => self.peek_offset.load(Ordering::Relaxed),
            n::SO_BPF_EXTENSIONS => socket_filter::BPF_EXTENSIONS,
            n::SO_BINDTOIFINDEX => self.device.load(Ordering::Relaxed) as i32,
            n::SO_PEERGROUPS | n::SO_PEERPIDFD => return Err(Errno::ENODATA),
            n::SO_PASSCRED | n::SO_PASSSEC | n::SO_PASSPIDFD | n::SO_PASSRIGHTS => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }

    fn device_name(&self, room: usize) -> SysResult<Vec<u8>> {
        device_name(self.device.load(Ordering::Relaxed), room)
    }

    /// `SO_COOKIE`: a number that no other socket has.
    fn cookie_bytes(&self, room: usize) -> SysResult<Vec<u8>> {
        if room < 8 {
            return Err(Errno::EINVAL);
        }
        Ok(self.cookie().to_ne_bytes().to_vec())
    }

    /// See `cookie_bytes`.
    pub fn cookie(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        if self.cookie.load(Ordering::Relaxed) == 0 {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            let _ = self.cookie.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.cookie.load(Ordering::Relaxed)
    }

    /// `SO_MEMINFO`: the limits are what is known here of `SK_MEMINFO_VARS` words.
    fn memory_words(&self) -> Vec<u8> {
        let (receive, send) = self.buffers();
        [0, receive, 0, send, 0, 0, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}
