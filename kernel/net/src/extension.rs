//! What may stand between an IP header and the upper protocol's: IPv4's options, and IPv6's
//! extension headers.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fd::capable;
use inet::Bytes;
use inet::ip::octets;
use inet::ipv4_options::{Here, Ipv4Options};
use inet::ipv6_headers::Headers;
use linux_raw_sys::general::CAP_NET_RAW;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use super::interface;
use super::route::Hop;
use crate::clock;

/// What packets of a socket, or one packet, are to have.
#[derive(Clone)]
pub enum Asked {
    /// `IP_OPTIONS`.
    V4(Arc<Ipv4Options>),
    /// `IPV6_HOPOPTS` and its like.
    V6(Headers),
}

/// What one packet has, complete.
#[derive(Clone, Default)]
pub struct Between {
    /// What IPv6's header names as next.
    pub first: u8,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many of them every fragment has (RFC 8200, 4.5).
    pub repeated: usize,
}

/// What a packet that has come has had.
#[derive(Clone, Default)]
pub enum Carried {
    /// Nothing.
    #[default]
    Nothing,
    /// Options, in which our own entries are made.
    V4(Arc<Ipv4Options>),
    /// The kind of the first header, and all of them.
    V6(u8, Bytes),
}

/// Milliseconds since midnight, UTC (RFC 791).
fn time_of_day() -> u32 {
    const DAY: u64 = 86_400_000;
    (clock::realtime_ns() / 1_000_000 % DAY) as u32
}

/// Us, for options that record who had a packet, at `address`.
pub fn here(address: IpAddr) -> Here {
    let address = match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    Here { address, time: time_of_day() }
}

/// Whether an address is somebody else's (`RTN_UNICAST`).
pub fn is_elsewhere(address: Ipv4Addr) -> bool {
    let ip = IpAddr::V4(address);
    !address.is_unspecified() && !address.is_multicast() && interface::owner(&ip).is_none() && !interface::is_for_all(&ip)
}

/// Options that the caller asks to be sent. `EINVAL`, or `EPERM` for a source route, which is for
/// the privileged.
pub fn options_to_send(bytes: &[u8]) -> SysResult<Arc<Ipv4Options>> {
    let privileged = capable(CAP_NET_RAW);
    let options = Ipv4Options::to_send(bytes, privileged, is_elsewhere).ok_or(Errno::EINVAL)?;
    if options.has_source_route() && !privileged { Err(Errno::EPERM) } else { Ok(Arc::new(options)) }
}

impl Asked {
    /// How many bytes they take.
    pub fn len(&self) -> usize {
        match self {
            Asked::V4(options) => options.len(),
            Asked::V6(headers) => headers.len(),
        }
    }

    /// Where a packet goes first that is for `destination` in the end.
    pub fn first_hop(&self, destination: IpAddr) -> IpAddr {
        let via = match self {
            Asked::V4(options) => options.first_hop().map(|(hop, _)| hop.into()),
            Asked::V6(headers) => headers.first_hop().map(IpAddr::from),
        };
        via.unwrap_or(destination)
    }

    /// Whether a way will do: a strict source route begins at a neighbour. `ENETUNREACH`.
    pub fn accepts(&self, hop: &Hop) -> SysResult<()> {
        match self {
            Asked::V4(options) if options.first_hop().is_some_and(|(first, strict)| strict && hop.next != first) => {
                Err(Errno::ENETUNREACH)
            }
            _ => Ok(()),
        }
    }

    /// The bytes for a packet of an upper protocol.
    pub fn build(&self, protocol: u8, source: IpAddr, destination: IpAddr) -> SysResult<Between> {
        match (self, destination) {
            (Asked::V4(options), IpAddr::V4(destination)) => {
                let bytes = options.built(destination, here(source)).to_vec();
                Ok(Between { first: protocol, repeated: bytes.len(), bytes })
            }
            (Asked::V6(headers), _) => {
                let (first, bytes) = headers.chain(protocol, octets(&destination).0).ok_or(Errno::ENOBUFS)?;
                Ok(Between { first, bytes, repeated: headers.repeated() })
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Carried {
    /// As it stood in the packet, for a quotation.
    pub fn quoted(&self, protocol: u8) -> Between {
        match self {
            Carried::Nothing => Between { first: protocol, ..Between::default() },
            Carried::V4(options) => Between { first: protocol, bytes: options.bytes().to_vec(), repeated: options.len() },
            Carried::V6(first, bytes) => Between { first: *first, bytes: bytes.to_vec(), repeated: bytes.len() },
        }
    }

    /// What the answer to a packet from `sender` has. `Err` where it cannot be answered.
    pub fn answer(&self, sender: IpAddr) -> Result<Option<Asked>, ()> {
        match (self, sender) {
            (Carried::V4(options), IpAddr::V4(sender)) => {
                let options = options.answer(sender, is_elsewhere).ok_or(())?;
                Ok((!options.is_empty()).then(|| Asked::V4(Arc::new(options))))
            }
            _ => Ok(None),
        }
    }
}

/// What all packets of a socket have.
#[derive(Default)]
pub struct Sticky {
    /// Whether there is anything: for most there is not.
    any: AtomicBool,
    /// Leaf locks, as the next one.
    v4: SpinLock<Option<Arc<Ipv4Options>>>,
    v6: SpinLock<Headers>,
    /// The interface of `IPV6_PKTINFO`; 0 for none.
    interface: AtomicU32,
}

impl Sticky {
    /// What is asked for of packets of a family.
    pub fn of(&self, v6: bool) -> Option<Asked> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        if v6 {
            let headers = self.v6.lock().clone();
            (!headers.is_empty()).then_some(Asked::V6(headers))
        } else {
            self.v4.lock().clone().map(Asked::V4)
        }
    }

    /// How many bytes packets of a family are longer by.
    pub fn len(&self, v6: bool) -> usize {
        self.of(v6).map_or(0, |asked| asked.len())
    }

    /// IPv4's options.
    pub fn v4(&self) -> Option<Arc<Ipv4Options>> {
        self.v4.lock().clone()
    }

    /// Sets IPv4's options.
    pub fn set_v4(&self, options: Option<Arc<Ipv4Options>>) {
        *self.v4.lock() = options;
        self.any.store(true, Ordering::Release);
    }

    /// IPv6's headers.
    pub fn v6(&self) -> Headers {
        self.v6.lock().clone()
    }

    /// Changes IPv6's headers.
    pub fn change_v6(&self, change: impl FnOnce(&mut Headers)) {
        change(&mut self.v6.lock());
        self.any.store(true, Ordering::Release);
    }

    /// The interface that packets of IPv6 leave by where nothing else is said; 0 for none.
    pub fn interface(&self) -> u32 {
        self.interface.load(Ordering::Relaxed)
    }

    /// Sets that.
    pub fn set_interface(&self, index: u32) {
        self.interface.store(index, Ordering::Relaxed);
    }

    /// Takes what another has.
    pub fn copy_from(&self, other: &Sticky) {
        if other.any.load(Ordering::Acquire) {
            self.set_v4(other.v4());
            let headers = other.v6();
            self.change_v6(|own| *own = headers);
        }
    }
}
