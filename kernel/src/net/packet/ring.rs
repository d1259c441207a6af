//! Rings: frames in memory that the socket shares with a program (packet(7), `PACKET_RX_RING`, `PACKET_TX_RING`), in the first two
//! versions of their headers.
//!
//! A ring is blocks of whole pages, a block is frames. Each frame begins with a word that says whose it is: the kernel fills what is
//! its own, and gives it away by that word's change, which is the last; so does the program.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use fs::{Mapping, PageRef};
use syscall_shim::{Errno, SysResult};

use crate::files::OpenFile;
use crate::mm::object::SharedMemory;
use crate::mm::{MappedFile, PAGE_SIZE};
use crate::sync::SpinLock;

/// `TP_STATUS_*`, of frames received and then of frames to be sent.
#[allow(missing_docs)]
pub mod status {
    pub const KERNEL: u32 = 0;
    pub const USER: u32 = 1;
    pub const COPY: u32 = 2;
    pub const LOSING: u32 = 4;
    pub const CSUM_NOT_READY: u32 = 1 << 3;
    pub const CSUM_VALID: u32 = 1 << 7;
    pub const AVAILABLE: u32 = 0;
    pub const SEND_REQUEST: u32 = 1;
    pub const SENDING: u32 = 2;
    pub const WRONG_FORMAT: u32 = 4;
}

/// The bytes of the first two versions' headers, which are as long, and what an address (`struct sockaddr_ll`) takes behind them.
const HEADER: usize = 32;
const ADDRESS: usize = 20;
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
    /// Of the second version.
    pub second: bool,
    /// What is left free in front of a packet (`PACKET_RESERVE`).
    pub reserve: usize,
}

/// A ring.
pub struct Ring {
    shape: Shape,
    pages: Vec<PageRef>,
    /// The frame that comes next. A leaf lock, held while a frame is looked for and taken.
    next: SpinLock<usize>,
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
    /// A ring of zeroes. `ENOMEM`.
    pub fn new(shape: Shape) -> SysResult<Arc<Ring>> {
        let count = shape.block * shape.blocks / PAGE_SIZE as usize;
        let mut pages = Vec::new();
        pages.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        for _ in 0..count {
            pages.push(PageRef::alloc()?);
        }
        Ok(Arc::new(Ring { shape, pages, next: SpinLock::new(0) }))
    }

    fn place(&self, frame: usize) -> usize {
        let per_block = self.shape.block / self.shape.frame;
        frame / per_block * self.shape.block + frame % per_block * self.shape.frame
    }

    fn write(&self, mut at: usize, mut bytes: &[u8]) {
        let page = PAGE_SIZE as usize;
        while let (false, Some(target)) = (bytes.is_empty(), self.pages.get(at / page)) {
            let (now, rest) = bytes.split_at(bytes.len().min(page - at % page));
            target.write(at % page, now);
            at += now.len();
            bytes = rest;
        }
    }

    fn read(&self, mut at: usize, mut bytes: &mut [u8]) {
        let page = PAGE_SIZE as usize;
        while let (false, Some(source)) = (bytes.is_empty(), self.pages.get(at / page)) {
            let now = bytes.len().min(page - at % page);
            let (now, rest) = bytes.split_at_mut(now);
            source.read(at % page, now);
            at += now.len();
            bytes = rest;
        }
    }

    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        self.read(at, &mut word);
        u32::from_ne_bytes(word)
    }

    fn status(&self, frame: usize) -> u32 {
        let status = self.word(self.place(frame));
        fence(Ordering::Acquire);
        status
    }

    fn set_status(&self, frame: usize, status: u32) {
        fence(Ordering::Release);
        self.write(self.place(frame), &status.to_ne_bytes());
    }

    fn after(&self, frame: usize) -> usize {
        if frame + 1 < self.shape.frames { frame + 1 } else { 0 }
    }

    /// Puts a frame in, `lossy` if some were lost since a program last asked.
    pub fn put(&self, frame: &Incoming<'_>, lossy: bool) -> Taken {
        let before = (HEADER + ADDRESS).next_multiple_of(ALIGNMENT);
        let (mac, net) = match frame.raw {
            false => (before + LINK + self.shape.reserve, before + LINK + self.shape.reserve),
            true => {
                let net = (HEADER + ADDRESS + frame.link.max(LINK)).next_multiple_of(ALIGNMENT) + self.shape.reserve;
                (net - frame.link, net)
            }
        };
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
        bits |= if lossy { status::LOSING } else { 0 } | if cut && frame.copies { status::COPY } else { 0 };
        let at = self.place(number);
        let (seconds, nanoseconds) = ((frame.stamp / 1_000_000_000) as u32, (frame.stamp % 1_000_000_000) as u32);
        let lengths = [frame.full as u32, shown.len() as u32];
        let offsets = u32::from(mac as u16) | u32::from(net as u16) << 16;
        // `struct tpacket2_hdr` begins with a word, `struct tpacket_hdr` with two.
        let words = match self.shape.second {
            true => [lengths[0], lengths[1], offsets, seconds, nanoseconds, 0, 0],
            false => [0, lengths[0], lengths[1], offsets, seconds, nanoseconds / 1000, 0],
        };
        let header: Vec<u8> =
            words.iter().take(if self.shape.second { 7 } else { 6 }).flat_map(|word| word.to_ne_bytes()).collect();
        self.write(at + 4, &header);
        self.write(at + HEADER, frame.from);
        self.write(at + mac, shown);
        self.set_status(number, bits);
        if cut { Taken::Cut } else { Taken::Whole }
    }

    /// Whether a program has frames to look at that were received: the last one is its own.
    pub fn is_readable(&self) -> bool {
        let next = *self.next.lock();
        self.status(next.checked_sub(1).unwrap_or(self.shape.frames - 1)) != status::KERNEL
    }

    /// The next frame that is to be sent, with its number, which nobody else gets. `most`: the longest packet; `offset`: frames say
    /// where in them the packet is. The error, `EMSGSIZE`, `EINVAL` or `ENOBUFS`, is of that frame.
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
        let lengths = at + if self.shape.second { 4 } else { 8 };
        let (len, offsets) = (self.word(lengths) as usize, self.word(lengths + 8));
        let least = HEADER;
        let most = most.min(self.shape.frame - HEADER);
        let chosen = if raw { offsets & 0xffff } else { offsets >> 16 } as usize;
        let from = if offset { chosen } else { least };
        let fits = from >= least && from + len <= self.shape.frame;
        Some((
            number,
            if len > most {
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
        self.read(at, &mut bytes);
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
        self.pages.len() * PAGE_SIZE as usize
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
        for (index, page) in (0..).zip(rings.iter().flat_map(|ring| &ring.pages)) {
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
        self.file.path.display(&crate::vfs::namespace().root())
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
