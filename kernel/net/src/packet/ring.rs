//! Rings: frames in memory that the socket shares with a program (packet(7), `PACKET_RX_RING`,
//! `PACKET_TX_RING`).
//!
//! A ring is blocks of whole pages, a block is frames. Each frame begins with a word that says
//! whose it is: the kernel fills what is its own, and gives it away by that word's change, which is
//! the last; so does the program. Received frames of the third version are otherwise
//! ([`super::blocks`]).

use alloc::sync::Arc;
use alloc::vec::Vec;

use caller::Instant;
use fd::OpenFile;
use fs::Mapping;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};
use vm::MappedFile;
use vm::object::SharedMemory;

use super::blocks::{Blocks, Put, seconds};
use super::pages::Pages;

/// `TP_STATUS_*`, of frames received and then of frames to be sent.
#[allow(missing_docs)]
pub mod status {
    pub const KERNEL: u32 = 0;
    pub const USER: u32 = 1;
    pub const COPY: u32 = 2;
    pub const LOSING: u32 = 4;
    pub const CSUM_NOT_READY: u32 = 1 << 3;
    pub const BLK_TMO: u32 = 1 << 5;
    pub const CSUM_VALID: u32 = 1 << 7;
    pub const AVAILABLE: u32 = 0;
    pub const SEND_REQUEST: u32 = 1;
    pub const SENDING: u32 = 2;
    pub const WRONG_FORMAT: u32 = 4;
}

/// The bytes of the versions' headers, and what an address (`struct sockaddr_ll`) takes behind
/// them.
const HEADERS: [usize; 3] = [32, 32, 48];
const ADDRESS: usize = 20;
/// Where in a header its status is, and its length; 8 bytes behind that is where the packet begins.
const STATUS: [usize; 3] = [0, 0, 20];
const LENGTH: [usize; 3] = [8, 4, 16];
/// Frames are aligned to this, as is what lies in them.
const ALIGNMENT: usize = 16;
/// The least that is left for a link's header.
const LINK: usize = 16;

/// How a ring is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a block, a multiple of pages.
    pub block: usize,
    /// How many blocks.
    pub blocks: usize,
    /// Bytes of a frame.
    pub frame: usize,
    /// How many frames.
    pub frames: usize,
    /// The version of the headers, from 0.
    pub version: usize,
    /// What is left free in front of a packet (`PACKET_RESERVE`).
    pub reserve: usize,
    /// Of the third version: what a program keeps of each block, for how many nanoseconds a frame
    /// may wait, and whether frames have their flow's hash.
    pub private: usize,
    /// See `private`.
    pub wait: u64,
    /// See `private`.
    pub hashes: bool,
}

/// Where in a ring's frame a packet is.
#[derive(Clone, Copy)]
pub struct Offsets {
    /// From the link's header on, if the socket sees that.
    pub mac: usize,
    /// From the network's header on.
    pub net: usize,
}

/// A ring.
pub struct Ring {
    shape: Shape,
    pages: Pages,
    /// The frame that comes next. A leaf lock, held while a frame is looked for and taken.
    next: SpinLock<usize>,
    /// Of the third version's received frames. A leaf lock, held while a frame is put in.
    blocks: Option<SpinLock<Blocks>>,
}

/// A frame for a ring.
pub struct Incoming<'a> {
    /// From where the socket sees it.
    pub bytes: &'a [u8],
    /// Its length before a filter cut it.
    pub full: usize,
    /// Bytes of the link's header among them.
    pub link: usize,
    /// The link's header is there for the socket to see.
    pub raw: bool,
    /// The sender, as `struct sockaddr_ll`.
    pub from: &'a [u8],
    /// When it came, since the epoch.
    pub stamp: u64,
    /// `TP_STATUS_*` beyond those of the ring's own.
    pub status: u32,
    /// One that is cut goes to the socket as well.
    pub copies: bool,
    /// Some were lost since a program last asked.
    pub lossy: bool,
    /// `struct virtio_net_hdr`, where the program wants one.
    pub vnet: &'a [u8],
    /// Of its flow.
    pub hash: u32,
}

/// What has become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There was no room.
    Lost,
    /// It is in the ring.
    Whole,
    /// Its beginning is in the ring.
    Cut,
}

impl Ring {
    /// A ring of zeroes, `receives` if frames come in by it. `ENOMEM`.
    pub fn new(shape: Shape, receives: bool, stamp: u64) -> SysResult<Arc<Ring>> {
        let pages = Pages::new(shape.block * shape.blocks)?;
        let blocks = (receives && shape.version == 2).then(|| SpinLock::new(Blocks::new(&pages, &shape, stamp)));
        Ok(Arc::new(Ring { shape, pages, next: SpinLock::new(0), blocks }))
    }

    fn header(&self) -> usize {
        HEADERS.get(self.shape.version).copied().unwrap_or(0)
    }

    fn place(&self, frame: usize) -> usize {
        let per_block = self.shape.block / self.shape.frame;
        frame / per_block * self.shape.block + frame % per_block * self.shape.frame
    }

    /// Where a frame's status is.
    fn word(&self, frame: usize) -> usize {
        self.place(frame) + STATUS.get(self.shape.version).copied().unwrap_or(0)
    }

    fn status(&self, frame: usize) -> u32 {
        self.pages.status(self.word(frame))
    }

    fn set_status(&self, frame: usize, status: u32) {
        self.pages.set_status(self.word(frame), status);
    }

    fn after(&self, frame: usize) -> usize {
        if frame + 1 < self.shape.frames { frame + 1 } else { 0 }
    }

    /// `None` where the network's header would be too far behind to say so.
    fn offsets(&self, frame: &Incoming<'_>) -> Option<Offsets> {
        let before = (self.header() + ADDRESS).next_multiple_of(ALIGNMENT);
        let (mac, net) = match frame.raw {
            false => (before + LINK + self.shape.reserve, before + LINK + self.shape.reserve),
            true => {
                let net = (self.header() + ADDRESS + frame.link.max(LINK)).next_multiple_of(ALIGNMENT);
                let net = net + self.shape.reserve + frame.vnet.len();
                (net - frame.link, net)
            }
        };
        (net <= usize::from(u16::MAX)).then_some(Offsets { mac, net })
    }

    /// Puts a frame in.
    pub fn put(&self, frame: &Incoming<'_>, now: Instant) -> Put {
        let offsets = self.offsets(frame);
        match (&self.blocks, offsets) {
            (_, None) => Put { taken: Taken::Lost, wake: true, expires: None, froze: false },
            (Some(blocks), Some(offsets)) => blocks.lock().put(&self.pages, &self.shape, frame, offsets, now),
            (None, Some(offsets)) => Put { taken: self.put_frame(frame, offsets), wake: true, expires: None, froze: false },
        }
    }

    /// Gives frames away that have waited for long enough.
    pub fn expire(&self, stamp: u64, now: Instant) -> Option<Put> {
        self.blocks.as_ref().map(|blocks| blocks.lock().expire(&self.pages, &self.shape, stamp, now))
    }

    fn put_frame(&self, frame: &Incoming<'_>, Offsets { mac, net }: Offsets) -> Taken {
        let room = self.shape.frame.saturating_sub(mac);
        let shown = frame.bytes.get(..room).unwrap_or(frame.bytes);
        let cut = shown.len() < frame.bytes.len();
        let mut next = self.next.lock();
        let number = *next;
        if self.status(number) != status::KERNEL {
            return Taken::Lost;
        }
        *next = self.after(number);
        let mut bits = status::USER | frame.status;
        bits |= if frame.lossy { status::LOSING } else { 0 } | if cut && frame.copies { status::COPY } else { 0 };
        let at = self.place(number);
        let [second, nanosecond] = seconds(frame.stamp);
        let (full, len) = (frame.full as u32, shown.len() as u32);
        let places = u32::from(mac as u16) | u32::from(net as u16) << 16;
        // `struct tpacket_hdr` begins with two words, `struct tpacket2_hdr` with one.
        match self.shape.version {
            0 => self.pages.write_words(at + 4, &[0, full, len, places, second, nanosecond / 1000]),
            _ => self.pages.write_words(at + 4, &[full, len, places, second, nanosecond, 0, 0]),
        }
        self.pages.write(at + self.header(), frame.from);
        if room > 0 {
            self.pages.write(at + mac - frame.vnet.len(), frame.vnet);
        }
        self.pages.write(at + mac, shown);
        self.set_status(number, bits);
        if cut { Taken::Cut } else { Taken::Whole }
    }

    /// Whether there is room for a frame, and whether there is room for so many that a quarter of
    /// the ring is free.
    pub fn room(&self) -> [bool; 2] {
        if let Some(blocks) = &self.blocks {
            let blocks = blocks.lock();
            return [0, self.shape.blocks / 4].map(|ahead| blocks.has_room(&self.pages, &self.shape, ahead));
        }
        let next = *self.next.lock();
        [0, self.shape.frames / 4].map(|ahead| self.status((next + ahead) % self.shape.frames) == status::KERNEL)
    }

    /// Whether a program has frames to look at that were received: the last one is its own.
    pub fn is_readable(&self) -> bool {
        if let Some(blocks) = &self.blocks {
            return blocks.lock().is_readable(&self.pages, &self.shape);
        }
        let next = *self.next.lock();
        self.status(next.checked_sub(1).unwrap_or(self.shape.frames - 1)) != status::KERNEL
    }

    /// The next frame that is to be sent, with its number, which nobody else gets. `most`: the
    /// longest packet; `offset`: frames say where in them the packet is. The error, `EMSGSIZE`,
    /// `EINVAL` or `ENOBUFS`, is of that frame.
    pub fn take(&self, most: usize, offset: bool, raw: bool) -> Option<(usize, SysResult<Vec<u8>>)> {
        let mut next = self.next.lock();
        let number = *next;
        if self.status(number) != status::SEND_REQUEST {
            return None;
        }
        let at = self.place(number);
        self.set_status(number, status::SENDING);
        *next = self.after(number);
        drop(next);
        let length = at + LENGTH.get(self.shape.version).copied().unwrap_or(0);
        let (len, offsets) = (self.pages.word(length) as usize, self.pages.word(length + 8));
        let least = self.header();
        // A frame of the third version says where the next one is, which is for those received
        // alone.
        let chained = self.shape.version == 2 && self.pages.word(at) != 0;
        let most = most.min(self.shape.frame - least);
        let chosen = if raw { offsets & 0xffff } else { offsets >> 16 } as usize;
        let from = if offset { chosen } else { least };
        let fits = from >= least && from + len <= self.shape.frame;
        Some((
            number,
            if chained {
                Err(Errno::EINVAL)
            } else if len > most {
                Err(Errno::EMSGSIZE)
            } else if fits {
                self.packet(at + from, len)
            } else {
                Err(Errno::EINVAL)
            },
        ))
    }

    fn packet(&self, at: usize, len: usize) -> SysResult<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Errno::ENOBUFS)?;
        bytes.resize(len, 0);
        self.pages.read(at, &mut bytes);
        Ok(bytes)
    }

    /// A frame that was taken was sent, or is in the program's way.
    pub fn finish(&self, frame: usize, sent: bool) {
        if !sent {
            // The next call comes back to it.
            *self.next.lock() = frame;
        }
        self.set_status(frame, if sent { status::AVAILABLE } else { status::WRONG_FORMAT });
    }

    /// Bytes of memory.
    pub fn len(&self) -> usize {
        self.pages.len()
    }
}

/// Rings as a program has them mapped, one behind the other.
pub struct Mapped {
    memory: Arc<SharedMemory>,
    /// Keeps the socket.
    file: Arc<OpenFile>,
    /// By which the socket knows that they are mapped.
    _token: Arc<()>,
}

impl Mapped {
    /// Maps all there are. `EINVAL` where there is none, `ENOMEM`.
    pub fn new(rings: &[Arc<Ring>], file: Arc<OpenFile>, token: Arc<()>) -> SysResult<Arc<Mapped>> {
        let len: usize = rings.iter().map(|ring| ring.len()).sum();
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let memory = SharedMemory::create(len as u64, true)?;
        for (index, page) in (0..).zip(rings.iter().flat_map(|ring| ring.pages.iter())) {
            memory.mapping().insert_page(index, page.clone())?;
        }
        Ok(Arc::new(Mapped { memory, file, _token: token }))
    }
}

impl MappedFile for Mapped {
    fn mapping(&self) -> &Arc<Mapping> {
        self.memory.mapping()
    }

    fn id(&self) -> (u64, u64) {
        let metadata = self.file.inode.metadata();
        (metadata.dev, metadata.ino)
    }

    fn path(&self) -> Vec<u8> {
        fd::with_fs(|ctx| Ok(self.file.path.display(&ctx.root))).unwrap_or_default()
    }

    fn is_shmem(&self) -> bool {
        true
    }

    fn is_whole_only(&self) -> bool {
        true
    }

    fn punch_hole(&self, _start: u64, _end: u64) -> SysResult<()> {
        Err(Errno::EINVAL)
    }
}
