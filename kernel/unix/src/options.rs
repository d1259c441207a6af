//! The options of `SOL_SOCKET` (socket(7)) as `AF_UNIX` has them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use ::net::clock;
use ::net::sockopt::general;
use caller::capable;
use fd::socket::{Control, PeerCredentials, int, timeval, timeval_bytes};
use fd::socket_filter::{self, Filter};
use linux_raw_sys::general::{CAP_NET_ADMIN, CAP_NET_RAW, CLOCK_MONOTONIC};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

/// `/proc/sys/net/core/wmem_default` and `rmem_default`, and the most that may be asked for,
/// `wmem_max` and `rmem_max`.
const DEFAULT_BUFFER: u32 = 212_992;
const LARGEST_BUFFER: u32 = 4 << 20;
/// The least that is granted (`SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
const MIN_SEND_BUFFER: i32 = 4608;
const MIN_RECEIVE_BUFFER: i32 = 2304;
/// The highest `SO_PRIORITY` that needs no privilege.
const PRIORITY_MAX: i32 = 6;
/// `SO_BUF_LOCK`: which buffers' sizes were set.
const BUF_LOCK_MASK: i32 = 3;

/// Options that are on or off. Where `AF_UNIX` has no use for one, Linux keeps it all the same.
const SWITCHES: [u32; 21] = [
    n::SO_DEBUG,
    n::SO_REUSEADDR,
    n::SO_DONTROUTE,
    n::SO_BROADCAST,
    n::SO_KEEPALIVE,
    n::SO_OOBINLINE,
    n::SO_NO_CHECK,
    n::SO_PASSCRED,
    n::SO_PASSSEC,
    n::SO_RXQ_OVFL,
    n::SO_WIFI_STATUS,
    n::SO_NOFCS,
    n::SO_SELECT_ERR_QUEUE,
    n::SO_PREFER_BUSY_POLL,
    n::SO_RCVMARK,
    n::SO_PASSPIDFD,
    n::SO_RCVPRIORITY,
    n::SO_PASSRIGHTS,
    n::SO_INQ,
    // Not settable.
    n::SO_REUSEPORT,
    n::SO_ZEROCOPY,
];

/// How datagrams' time is told, of which one at most is on.
const STAMPS: [u32; 4] = [n::SO_TIMESTAMP_OLD, n::SO_TIMESTAMPNS_OLD, n::SO_TIMESTAMP_NEW, n::SO_TIMESTAMPNS_NEW];

/// `SO_TIMESTAMPING` (linux/net_tstamp.h): what there is, what needs another, and what messages
/// then tell.
mod stamping {
    pub const ALL: i32 = (1 << 19) - 1;
    pub const SOFTWARE: i32 = 1 << 4;
    pub const OPT_ID: i32 = 1 << 7;
    pub const OPT_TSONLY: i32 = 1 << 11;
    pub const OPT_STATS: i32 = 1 << 12;
    pub const OPT_ID_TCP: i32 = 1 << 16;
}
/// `SO_TXTIME`: deadlines, and errors that are reported.
const TXTIME_FLAGS: i32 = 3;
/// The most packets of a busy poll (`SO_BUSY_POLL_BUDGET`): what needs no privilege, and what can
/// be.
const FREE_BUDGET: i32 = 64;
const LARGEST_BUDGET: i32 = u16::MAX as i32;

/// What a sender looks at too.
pub struct Flags {
    /// A bit for each option that is on or off, by number.
    switches: [AtomicU64; 2],
    /// `SO_PEEK_OFF`; negative while it is off.
    peek_offset: AtomicI32,
    /// `SO_TIMESTAMPING`.
    stamping: AtomicI32,
    /// Which packets are taken, and how much of them.
    pub filter: Filter,
}

impl Flags {
    fn new() -> Arc<Flags> {
        let switches = [const { AtomicU64::new(0) }; 2];
        let flags =
            Flags { switches, peek_offset: AtomicI32::new(-1), stamping: AtomicI32::new(0), filter: Filter::default() };
        flags.set(n::SO_PASSRIGHTS, true);
        Arc::new(flags)
    }

    fn has(&self, option: u32) -> bool {
        let word = self.switches.get(option as usize / 64);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (option % 64) & 1 != 0)
    }

    fn set(&self, option: u32, on: bool) {
        let Some(word) = self.switches.get(option as usize / 64) else { return };
        let bit = 1 << (option % 64);
        if on {
            word.fetch_or(bit, Ordering::Relaxed);
        } else {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// `SO_PASSRIGHTS`.
    pub fn takes_files(&self) -> bool {
        self.has(n::SO_PASSRIGHTS)
    }

    /// Whether messages are to say when they came.
    pub fn stamps(&self) -> bool {
        STAMPS.iter().any(|option| self.has(*option))
    }

    /// Whether messages are to say who sent them.
    pub fn passes_ids(&self) -> bool {
        self.has(n::SO_PASSCRED) || self.has(n::SO_PASSPIDFD)
    }

    /// `SO_OOBINLINE`.
    pub fn urgent_in_line(&self) -> bool {
        self.has(n::SO_OOBINLINE)
    }

    /// Where a receiver begins that peeks, if that was chosen.
    pub fn peek_offset(&self, peek: bool) -> Option<usize> {
        if peek { usize::try_from(self.peek_offset.load(Ordering::Relaxed)).ok() } else { None }
    }

    /// So many bytes were peeked at, or taken.
    pub fn move_peek_offset(&self, peek: bool, by: usize) {
        let offset = self.peek_offset.load(Ordering::Relaxed);
        if offset >= 0 {
            let by = i32::try_from(by).unwrap_or(i32::MAX);
            let moved = if peek { offset.saturating_add(by) } else { offset.saturating_sub(by).max(0) };
            self.peek_offset.store(moved, Ordering::Relaxed);
        }
    }

    /// What `SO_PASSCRED` tells: of a message that passed none (`None` within) nobody's ids, and of
    /// no message at all zeros.
    pub fn passes_credentials(&self, sender: Option<Option<PeerCredentials>>) -> Option<PeerCredentials> {
        const NOBODY: PeerCredentials = PeerCredentials { pid: 0, uid: 65534, gid: 65534 };
        const NO_MESSAGE: PeerCredentials = PeerCredentials { pid: 0, uid: 0, gid: 0 };
        let told = sender.map_or(NO_MESSAGE, |sender| sender.unwrap_or(NOBODY));
        self.has(n::SO_PASSCRED).then_some(told)
    }

    /// Whose pidfd `SO_PASSPIDFD` gives.
    pub fn passes_pidfd(&self, sender: Option<Option<PeerCredentials>>) -> Option<i32> {
        sender.flatten().filter(|_| self.has(n::SO_PASSPIDFD)).map(|sender| sender.pid)
    }

    /// What `SO_INQ` tells: how many bytes are left to read.
    pub fn left(&self, left: usize) -> Option<Control> {
        let data = || i32::try_from(left).unwrap_or(i32::MAX).to_ne_bytes().to_vec();
        self.has(n::SO_INQ).then(|| Control { level: n::SOL_SOCKET, kind: n::SO_INQ, data: data() })
    }

    /// The time of a datagram, in nanoseconds, in the forms that were asked for; 0 is now.
    pub fn stamp(&self, ns: u64) -> Vec<Control> {
        let Some(kind) = STAMPS.into_iter().find(|option| self.has(*option)) else { return Vec::new() };
        let ns = if ns == 0 { clock::realtime_ns() } else { ns };
        let fine = matches!(kind, n::SO_TIMESTAMPNS_OLD | n::SO_TIMESTAMPNS_NEW);
        let part = ns % 1_000_000_000 / if fine { 1 } else { 1000 };
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut out = alloc::vec![Control { level: n::SOL_SOCKET, kind, data: words(&[ns / 1_000_000_000, part]) }];
        if self.stamping.load(Ordering::Relaxed) & stamping::SOFTWARE != 0 {
            let new = self.has(n::SO_TIMESTAMPING_NEW);
            let kind = if new { n::SO_TIMESTAMPING_NEW } else { n::SO_TIMESTAMPING_OLD };
            let data = words(&[ns / 1_000_000_000, ns % 1_000_000_000, 0, 0, 0, 0]);
            out.push(Control { level: n::SOL_SOCKET, kind, data });
        }
        out
    }
}

/// The options of a socket.
pub struct Options {
    pub flags: Arc<Flags>,
    /// `SO_RCVTIMEO` and `SO_SNDTIMEO`, as [`timeval`] reads them.
    pub receive_timeout: AtomicU64,
    pub send_timeout: AtomicU64,
    /// `SO_SNDBUF` and `SO_RCVBUF`, as getsockopt(2) tells them.
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    /// `SO_RCVLOWAT`.
    least: AtomicI32,
    priority: AtomicI32,
    mark: AtomicI32,
    /// `l_onoff` and `l_linger`.
    linger: [AtomicI32; 2],
    busy_poll: AtomicI32,
    pacing_rate: AtomicU64,
    incoming_cpu: AtomicI32,
    interface: AtomicI32,
    buf_lock: AtomicI32,
    /// `SO_TXTIME`: a clock and flags. Nothing here is sent later than at once.
    transmit_time: [AtomicI32; 2],
}

fn need(allowed: bool, otherwise: Errno) -> SysResult<()> {
    if allowed { Ok(()) } else { Err(otherwise) }
}

impl Options {
    pub fn new() -> Options {
        Options {
            flags: Flags::new(),
            receive_timeout: AtomicU64::new(0),
            send_timeout: AtomicU64::new(0),
            send_buffer: AtomicU32::new(DEFAULT_BUFFER),
            receive_buffer: AtomicU32::new(DEFAULT_BUFFER),
            least: AtomicI32::new(1),
            priority: AtomicI32::new(0),
            mark: AtomicI32::new(0),
            linger: [const { AtomicI32::new(0) }; 2],
            busy_poll: AtomicI32::new(0),
            pacing_rate: AtomicU64::new(u64::MAX),
            incoming_cpu: AtomicI32::new(-1),
            interface: AtomicI32::new(0),
            buf_lock: AtomicI32::new(0),
            transmit_time: [const { AtomicI32::new(0) }; 2],
        }
    }

    /// What an accepted socket has of its listener.
    pub fn inherit(&self, listener: &Options) {
        for option in [n::SO_PASSCRED, n::SO_PASSPIDFD, n::SO_PASSSEC, n::SO_PASSRIGHTS] {
            self.flags.set(option, listener.flags.has(option));
        }
    }

    /// `SO_SNDBUF`.
    pub fn send_limit(&self) -> usize {
        self.send_buffer.load(Ordering::Relaxed) as usize
    }

    /// `SO_RCVBUF`.
    pub fn receive_limit(&self) -> usize {
        self.receive_buffer.load(Ordering::Relaxed) as usize
    }

    /// `SO_RCVLOWAT`.
    pub fn least(&self) -> usize {
        self.least.load(Ordering::Relaxed) as usize
    }

    fn set_buffer(&self, option: u32, number: i32, largest: u32) {
        let granted = (number as u32).min(largest).min(i32::MAX as u32 / 2) as i32 * 2;
        let (slot, least, bit) = match option {
            n::SO_SNDBUF | n::SO_SNDBUFFORCE => (&self.send_buffer, MIN_SEND_BUFFER, 1),
            _ => (&self.receive_buffer, MIN_RECEIVE_BUFFER, 2),
        };
        slot.store(granted.max(least) as u32, Ordering::Relaxed);
        self.buf_lock.fetch_or(bit, Ordering::Relaxed);
    }

    fn bind_to_index(&self, index: i32) -> SysResult<()> {
        let free = self.interface.load(Ordering::Relaxed) == 0;
        need(free || capable(CAP_NET_RAW), Errno::EPERM)?;
        need(index >= 0, Errno::EINVAL)?;
        self.interface.store(index, Ordering::Relaxed);
        Ok(())
    }

    fn check_switch(&self, option: u32, on: bool) -> SysResult<()> {
        match option {
            n::SO_DEBUG => need(!on || capable(CAP_NET_ADMIN), Errno::EACCES),
            n::SO_PREFER_BUSY_POLL => need(!on || capable(CAP_NET_ADMIN), Errno::EPERM),
            n::SO_REUSEPORT => need(!on, Errno::EOPNOTSUPP),
            n::SO_ZEROCOPY => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }

    /// setsockopt(2) at `SOL_SOCKET`.
    pub fn set(&self, option: u32, value: &[u8]) -> SysResult<()> {
        if matches!(option, n::SO_RCVTIMEO_OLD | n::SO_RCVTIMEO_NEW | n::SO_SNDTIMEO_OLD | n::SO_SNDTIMEO_NEW) {
            let receive = matches!(option, n::SO_RCVTIMEO_OLD | n::SO_RCVTIMEO_NEW);
            let slot = if receive { &self.receive_timeout } else { &self.send_timeout };
            slot.store(timeval(value)?, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(result) = self.flags.filter.set(option, value) {
            return result;
        }
        match option {
            n::SO_BINDTODEVICE => return self.bind_to_index(general::device_index(value)? as i32),
            n::SO_ATTACH_REUSEPORT_EBPF => return Filter::attach_by_descriptor(value),
            _ => {}
        }
        let number = int(value)?;
        let second = || int(value.get(4..).unwrap_or_default());
        let store = |slot: &AtomicI32, number: i32| slot.store(number, Ordering::Relaxed);
        let admin = || capable(CAP_NET_ADMIN);
        match option {
            _ if SWITCHES.contains(&option) => {
                self.check_switch(option, number != 0)?;
                self.flags.set(option, number != 0);
            }
            _ if STAMPS.contains(&option) => {
                for other in STAMPS {
                    self.flags.set(other, other == option && number != 0);
                }
            }
            n::SO_SNDBUF | n::SO_RCVBUF => self.set_buffer(option, number, LARGEST_BUFFER),
            n::SO_SNDBUFFORCE | n::SO_RCVBUFFORCE => {
                need(admin(), Errno::EPERM)?;
                self.set_buffer(option, number.max(0), u32::MAX);
            }
            // Anything less than one byte is one, and less than none is no limit.
            n::SO_RCVLOWAT => store(&self.least, if number < 0 { i32::MAX } else { number.max(1) }),
            n::SO_LINGER => {
                let time = second()?;
                if number != 0 {
                    store(&self.linger[1], time);
                }
                store(&self.linger[0], i32::from(number != 0));
            }
            n::SO_PRIORITY => {
                let free = (0..=PRIORITY_MAX).contains(&number);
                need(free || admin() || capable(CAP_NET_RAW), Errno::EPERM)?;
                store(&self.priority, number);
            }
            n::SO_MARK => {
                need(admin() || capable(CAP_NET_RAW), Errno::EPERM)?;
                store(&self.mark, number);
            }
            n::SO_PEEK_OFF => store(&self.flags.peek_offset, number),
            n::SO_BUSY_POLL => {
                need(number >= 0, Errno::EINVAL)?;
                store(&self.busy_poll, number);
            }
            n::SO_MAX_PACING_RATE => {
                let long = value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
                let short = if number == -1 { u64::MAX } else { u64::from(number as u32) };
                self.pacing_rate.store(long.unwrap_or(short), Ordering::Relaxed);
            }
            n::SO_INCOMING_CPU => store(&self.incoming_cpu, number),
            n::SO_BUF_LOCK => {
                need(number & !BUF_LOCK_MASK == 0, Errno::EINVAL)?;
                store(&self.buf_lock, number);
            }
            n::SO_BINDTOIFINDEX => self.bind_to_index(number)?,
            n::SO_TIMESTAMPING_OLD | n::SO_TIMESTAMPING_NEW => {
                use stamping::{ALL, OPT_ID, OPT_ID_TCP, OPT_STATS, OPT_TSONLY};
                let has = |bit: i32| number & bit != 0;
                let complete = (!has(OPT_STATS) || has(OPT_TSONLY)) && (!has(OPT_ID_TCP) || has(OPT_ID));
                need(number & !ALL == 0 && complete, Errno::EINVAL)?;
                store(&self.flags.stamping, number);
                self.flags.set(n::SO_TIMESTAMPING_NEW, option == n::SO_TIMESTAMPING_NEW);
            }
            n::SO_TXTIME => {
                let flags = second().ok().filter(|_| value.len() == 8).ok_or(Errno::EINVAL)?;
                need(flags & !TXTIME_FLAGS == 0, Errno::EINVAL)?;
                need(number == CLOCK_MONOTONIC as i32 || admin(), Errno::EPERM)?;
                store(&self.transmit_time[0], number);
                store(&self.transmit_time[1], flags);
            }
            n::SO_BUSY_POLL_BUDGET => {
                need(number <= FREE_BUDGET || admin(), Errno::EPERM)?;
                need((0..=LARGEST_BUDGET).contains(&number), Errno::EINVAL)?;
            }
            n::SO_BSDCOMPAT | n::SO_CNX_ADVICE => {}
            // The groups of those who share a port, of which there are none.
            n::SO_ATTACH_REUSEPORT_CBPF | n::SO_DETACH_REUSEPORT_BPF => return Err(Errno::EINVAL),
            n::SO_DEVMEM_DONTNEED => return Err(Errno::EBADF),
            n::SO_RESERVE_MEM if number < 0 => return Err(Errno::EINVAL),
            n::SO_TXREHASH | n::SO_RESERVE_MEM => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// getsockopt(2) at `SOL_SOCKET`, as far as it asks what was set. `ENOPROTOOPT`.
    pub fn get(&self, option: u32, room: usize) -> SysResult<Vec<u8>> {
        if let Some(bytes) = self.flags.filter.get(option) {
            return Ok(bytes);
        }
        let load = |slot: &AtomicI32| slot.load(Ordering::Relaxed);
        let number = match option {
            n::SO_INQ => return Err(Errno::ENOPROTOOPT),
            _ if SWITCHES.contains(&option) || STAMPS.contains(&option) => i32::from(self.flags.has(option)),
            n::SO_RCVTIMEO_OLD | n::SO_RCVTIMEO_NEW => {
                return Ok(timeval_bytes(self.receive_timeout.load(Ordering::Relaxed)));
            }
            n::SO_SNDTIMEO_OLD | n::SO_SNDTIMEO_NEW => return Ok(timeval_bytes(self.send_timeout.load(Ordering::Relaxed))),
            n::SO_BINDTODEVICE => return general::device_name(load(&self.interface) as u32, room),
            n::SO_TIMESTAMPING_NEW if !self.flags.has(option) => return Ok([0; 8].to_vec()),
            n::SO_TIMESTAMPING_OLD | n::SO_TIMESTAMPING_NEW => {
                // What it is bound to of a clock's device, of which there is none, follows.
                return Ok([load(&self.flags.stamping), 0].iter().flat_map(|word| word.to_ne_bytes()).collect());
            }
            n::SO_TXTIME => return Ok(self.transmit_time.iter().flat_map(|slot| load(slot).to_ne_bytes()).collect()),
            n::SO_NETNS_COOKIE if room != 8 => return Err(Errno::EINVAL),
            // There is one network.
            n::SO_NETNS_COOKIE => return Ok(1u64.to_ne_bytes().to_vec()),
            n::SO_BPF_EXTENSIONS => return Ok(socket_filter::BPF_EXTENSIONS.to_ne_bytes().to_vec()),
            n::SO_LINGER => return Ok(self.linger.iter().flat_map(|slot| load(slot).to_ne_bytes()).collect()),
            n::SO_MAX_PACING_RATE => return Ok(self.pacing_rate.load(Ordering::Relaxed).to_ne_bytes().to_vec()),
            n::SO_SNDBUF => self.send_buffer.load(Ordering::Relaxed) as i32,
            n::SO_RCVBUF => self.receive_buffer.load(Ordering::Relaxed) as i32,
            // `SO_SNDLOWAT` cannot be set.
            n::SO_SNDLOWAT => 1,
            n::SO_RCVLOWAT => load(&self.least),
            n::SO_PRIORITY => load(&self.priority),
            n::SO_MARK => load(&self.mark),
            n::SO_PEEK_OFF => load(&self.flags.peek_offset),
            n::SO_BUSY_POLL => load(&self.busy_poll),
            n::SO_INCOMING_CPU => load(&self.incoming_cpu),
            n::SO_BINDTOIFINDEX => load(&self.interface),
            n::SO_BUF_LOCK => load(&self.buf_lock) & BUF_LOCK_MASK,
            n::SO_TXREHASH => return Err(Errno::EOPNOTSUPP),
            n::SO_BSDCOMPAT | n::SO_INCOMING_NAPI_ID | n::SO_RESERVE_MEM => 0,
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
