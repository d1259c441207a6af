//! Options of level `SOL_PACKET`.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use fd::socket::int;
use syscall_shim::{Errno, PAGE_SIZE, SysResult};

use super::blocks::USUAL_WAIT;
use super::ring::Shape;

/// `SOL_PACKET`.
pub const SOL_PACKET: u32 = 263;

/// Names of options.
#[allow(missing_docs)]
pub mod option {
    pub const ADD_MEMBERSHIP: u32 = 1;
    pub const DROP_MEMBERSHIP: u32 = 2;
    pub const RX_RING: u32 = 5;
    pub const STATISTICS: u32 = 6;
    pub const COPY_THRESH: u32 = 7;
    pub const AUXDATA: u32 = 8;
    pub const ORIGDEV: u32 = 9;
    pub const VERSION: u32 = 10;
    pub const HDRLEN: u32 = 11;
    pub const RESERVE: u32 = 12;
    pub const TX_RING: u32 = 13;
    pub const LOSS: u32 = 14;
    pub const VNET_HDR: u32 = 15;
    pub const TIMESTAMP: u32 = 17;
    pub const FANOUT: u32 = 18;
    pub const TX_HAS_OFF: u32 = 19;
    pub const QDISC_BYPASS: u32 = 20;
    pub const ROLLOVER_STATS: u32 = 21;
    pub const FANOUT_DATA: u32 = 22;
    pub const IGNORE_OUTGOING: u32 = 23;
    pub const VNET_HDR_SZ: u32 = 24;
}

/// `TPACKET_V3`, and the sizes of the three versions' headers.
const LAST_VERSION: i32 = 2;
const HEADERS: [i32; 3] = [32, 32, 48];
/// `struct virtio_net_hdr`.
const VNET_HEADER: usize = 10;
/// `TP_FT_REQ_FILL_RXHASH`.
const FILL_RXHASH: u32 = 1;
/// `sizeof(struct tpacket_req)` and of `struct tpacket_req3`.
const RING: [usize; 2] = [16, 28];

/// What a socket's options say.
#[derive(Default)]
pub struct Options {
    /// Bit by bit, by the option's number.
    bits: AtomicU32,
    version: AtomicI32,
    reserve: AtomicU32,
    timestamp: AtomicI32,
    /// Bytes of the header that stands before each frame (`struct virtio_net_hdr`); 0 for none.
    vnet: AtomicUsize,
    /// How often a program has fallen behind with its blocks since the last `PACKET_STATISTICS`.
    pub freezes: AtomicU32,
    /// Frames taken and lost since the last `PACKET_STATISTICS`.
    pub packets: AtomicU32,
    /// See `packets`.
    pub drops: AtomicU32,
}

impl Options {
    /// Whether an option that is on or off is on.
    pub fn is(&self, option: u32) -> bool {
        self.bits.load(Ordering::Relaxed) >> option & 1 != 0
    }

    /// See `vnet`.
    pub fn vnet(&self) -> usize {
        self.vnet.load(Ordering::Relaxed)
    }

    fn turn(&self, option: u32, on: bool) {
        if on {
            self.bits.fetch_or(1 << option, Ordering::Relaxed);
        } else {
            self.bits.fetch_and(!(1 << option), Ordering::Relaxed);
        }
    }

    /// setsockopt(2), for what concerns nothing but the options. `raw`: the socket is one of
    /// `SOCK_RAW`; `rings`: it has some, and what they were made by stays (`EBUSY`).
    pub fn set(&self, option: u32, value: &[u8], raw: bool, rings: bool) -> SysResult<()> {
        use option::*;
        let number = int(value);
        match option {
            LOSS if rings => return number.and(Err(Errno::EBUSY)),
            TX_HAS_OFF if rings => drop(number?),
            AUXDATA | ORIGDEV | LOSS | TX_HAS_OFF | QDISC_BYPASS => self.turn(option, number? != 0),
            COPY_THRESH => self.turn(option, number? != 0),
            VNET_HDR | VNET_HDR_SZ if !raw => return Err(Errno::EINVAL),
            VNET_HDR_SZ if !matches!(number?, 0 | 10 | 12) => return Err(Errno::EINVAL),
            VNET_HDR | VNET_HDR_SZ if rings => return number.and(Err(Errno::EBUSY)),
            VNET_HDR => self.vnet.store(if number? != 0 { VNET_HEADER } else { 0 }, Ordering::Relaxed),
            VNET_HDR_SZ => self.vnet.store(number? as usize, Ordering::Relaxed),
            IGNORE_OUTGOING => match number? {
                on @ 0..=1 => self.turn(option, on != 0),
                _ => return Err(Errno::EINVAL),
            },
            VERSION => match number? {
                0..=LAST_VERSION if rings => return Err(Errno::EBUSY),
                version @ 0..=LAST_VERSION => self.version.store(version, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            RESERVE => match number? {
                0.. if rings => return Err(Errno::EBUSY),
                bytes @ 0.. => self.reserve.store(bytes as u32, Ordering::Relaxed),
                _ => return Err(Errno::EINVAL),
            },
            TIMESTAMP => self.timestamp.store(number?, Ordering::Relaxed),
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// The shape of a ring that is asked for, `None` for none at all; `sends`: one for frames to be
    /// sent. `EINVAL` for what cannot be one.
    pub fn shape(&self, value: &[u8], sends: bool) -> SysResult<Option<Shape>> {
        let version = self.version.load(Ordering::Relaxed);
        let third = version == LAST_VERSION;
        if value.len() < RING[usize::from(third)] {
            return Err(Errno::EINVAL);
        }
        let word = |at: usize| int(value.get(at..).unwrap_or_default()).map(|n| n as u32);
        let (block, blocks, frame, frames) = (word(0)?, word(4)?, word(8)?, word(12)?);
        if blocks == 0 {
            return if frames == 0 { Ok(None) } else { Err(Errno::EINVAL) };
        }
        let reserve = self.reserve.load(Ordering::Relaxed);
        let header = HEADERS.get(version as usize).map_or(0, |header| *header as u32);
        let least = header.next_multiple_of(16).saturating_add(20).saturating_add(reserve);
        // Room in each block for its own header and private part (`BLK_PLUS_PRIV`).
        let private = if third { u64::from(word(20)?) } else { 0 };
        let impossible = (block as i32) <= 0
            || block % PAGE_SIZE as u32 != 0
            || third && u64::from(block) < 48 + private.next_multiple_of(8) + u64::from(least)
            || frame < least
            || frame % 16 != 0
            || block / frame == 0
            || blocks > u32::MAX / block
            || u64::from(block / frame) * u64::from(blocks) != u64::from(frames);
        if impossible {
            return Err(Errno::EINVAL);
        }
        let (wait, features) = if third { (word(16)?, word(24)?) } else { (0, 0) };
        if sends && (wait != 0 || private != 0 || features != 0) {
            return Err(Errno::EINVAL);
        }
        let [block, blocks, frame, frames, reserve] = [block, blocks, frame, frames, reserve].map(|n| n as usize);
        let wait = if wait == 0 { USUAL_WAIT } else { u64::from(wait) * 1_000_000 };
        let (version, private, hashes) = (version as usize, private as usize, features & FILL_RXHASH != 0);
        Ok(Some(Shape { block, blocks, frame, frames, version, reserve, private, wait, hashes }))
    }

    /// getsockopt(2).
    pub fn get(&self, option: u32, given: i32) -> SysResult<Vec<u8>> {
        use option::*;
        let number = match option {
            STATISTICS => {
                let drops = self.drops.swap(0, Ordering::Relaxed);
                let packets = self.packets.swap(0, Ordering::Relaxed).wrapping_add(drops);
                let mut out = packets.to_ne_bytes().to_vec();
                out.extend_from_slice(&drops.to_ne_bytes());
                if self.version.load(Ordering::Relaxed) == LAST_VERSION {
                    out.extend_from_slice(&self.freezes.swap(0, Ordering::Relaxed).to_ne_bytes());
                }
                return Ok(out);
            }
            VNET_HDR => (self.vnet() > 0).into(),
            VNET_HDR_SZ => self.vnet() as i32,
            AUXDATA | ORIGDEV | LOSS | TX_HAS_OFF | QDISC_BYPASS | IGNORE_OUTGOING => self.is(option).into(),
            VERSION => self.version.load(Ordering::Relaxed),
            HDRLEN => *usize::try_from(given).ok().and_then(|version| HEADERS.get(version)).ok_or(Errno::EINVAL)?,
            RESERVE => self.reserve.load(Ordering::Relaxed) as i32,
            TIMESTAMP => self.timestamp.load(Ordering::Relaxed),
            _ => return Err(Errno::ENOPROTOOPT),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
