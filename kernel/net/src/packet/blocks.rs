//! Rings of received frames in the third version: what changes hands is a block of frames of any
//! length, when it is full or the oldest frame in it has waited for long enough (Linux,
//! Documentation/networking/packet_mmap.rst).

use caller::Instant;

use super::pages::Pages;
use super::ring::{Incoming, Offsets, Shape, Taken, status};

/// `struct tpacket_block_desc`: its size, and where the fields of its `tpacket_hdr_v1` are.
pub const DESCRIPTOR: usize = 48;
const STATUS: usize = 8;
const LAST_STAMP: usize = 40;
/// `struct tpacket3_hdr`.
const HEADER: usize = 48;
/// Frames begin at multiples of this.
const ALIGNMENT: usize = 8;
/// How long a frame waits at most where the program does not say (`DEFAULT_PRB_RETIRE_TOV`), in
/// nanoseconds.
pub const USUAL_WAIT: u64 = 8_000_000;

/// What has become of a frame, and what is to be done then.
pub struct Put {
    /// What has become of it.
    pub taken: Taken,
    /// The program has something to look at.
    pub wake: bool,
    /// When [`Blocks::expire`] is to be called.
    pub expires: Option<Instant>,
    /// The program has fallen behind now.
    pub froze: bool,
}

/// Which block is being filled.
#[derive(Default)]
pub struct Blocks {
    block: usize,
    serial: u64,
    /// Where in it the next frame goes, and where the last one is.
    next: usize,
    last: usize,
    frames: u32,
    /// When its first frame came, and whether somebody will look at it then.
    since: Instant,
    is_timed: bool,
    /// There was no block to fill: until the program gives one back frames are lost.
    is_frozen: bool,
}

impl Blocks {
    /// The first block of a ring is to be filled.
    pub fn new(pages: &Pages, shape: &Shape, stamp: u64) -> Blocks {
        let mut blocks = Blocks::default();
        blocks.open(pages, shape, stamp);
        blocks
    }

    /// Where in a block the frames begin, behind what the program keeps for itself.
    fn first(shape: &Shape) -> usize {
        DESCRIPTOR + shape.private.next_multiple_of(ALIGNMENT)
    }

    fn is_programs(&self, pages: &Pages, shape: &Shape, block: usize) -> bool {
        pages.status(block % shape.blocks * shape.block + STATUS) & status::USER != 0
    }

    /// Whether the program has a block to look at: the last one that was filled.
    pub fn is_readable(&self, pages: &Pages, shape: &Shape) -> bool {
        let last = self.block.checked_sub(1).unwrap_or(shape.blocks - 1);
        pages.status(last * shape.block + STATUS) != status::KERNEL
    }

    /// Whether the block that comes so many behind the one being filled is the kernel's.
    pub fn has_room(&self, pages: &Pages, shape: &Shape, ahead: usize) -> bool {
        let at = (self.block + ahead) % shape.blocks * shape.block;
        pages.status(at + STATUS) == status::KERNEL
    }

    fn open(&mut self, pages: &Pages, shape: &Shape, stamp: u64) {
        let (at, first) = (self.block * shape.block, Self::first(shape));
        self.serial += 1;
        let serial = [self.serial as u32, (self.serial >> 32) as u32];
        pages.write_words(at, &[2, DESCRIPTOR as u32]);
        pages.write_words(at + STATUS + 4, &[0, first as u32, first as u32, serial[0], serial[1]]);
        pages.write_words(at + LAST_STAMP - 8, &seconds(stamp));
        (self.next, self.last, self.frames, self.is_frozen) = (first, first, 0, false);
    }

    /// Gives the block away.
    fn close(&mut self, pages: &Pages, shape: &Shape, bits: u32, stamp: u64) {
        let at = self.block * shape.block;
        if self.frames > 0 {
            // The last frame's follower is none.
            pages.write_words(at + self.last, &[0]);
            pages.write_words(at + LAST_STAMP, &[pages.word(at + self.last + 4), pages.word(at + self.last + 8)]);
        } else {
            pages.write_words(at + LAST_STAMP, &seconds(stamp));
        }
        pages.set_status(at + STATUS, status::USER | bits);
        self.block = (self.block + 1) % shape.blocks;
    }

    /// Goes on with the next block. Whether the program has given it back.
    fn advance(&mut self, pages: &Pages, shape: &Shape, stamp: u64) -> bool {
        if self.is_programs(pages, shape, self.block) {
            self.is_frozen = true;
            return false;
        }
        self.open(pages, shape, stamp);
        true
    }

    /// Puts a frame in; `hash` is its flow's.
    pub fn put(&mut self, pages: &Pages, shape: &Shape, frame: &Incoming<'_>, offsets: Offsets, now: Instant) -> Put {
        let mut done = Put { taken: Taken::Lost, wake: false, expires: None, froze: false };
        if self.is_frozen {
            if self.is_programs(pages, shape, self.block) {
                return done;
            }
            self.open(pages, shape, frame.stamp);
        }
        let most = shape.block - Self::first(shape);
        let mac = offsets.mac.min(most);
        let shown = frame.bytes.get(..most - mac).unwrap_or(frame.bytes);
        let total = (mac + shown.len()).next_multiple_of(ALIGNMENT);
        if self.next + total >= shape.block {
            let lossy = if frame.lossy { status::LOSING } else { 0 };
            self.close(pages, shape, lossy, frame.stamp);
            done.wake = true;
            if !self.advance(pages, shape, frame.stamp) {
                done.froze = true;
                return done;
            }
        }
        let (block, at) = (self.block * shape.block, self.block * shape.block + self.next);
        let [second, nanosecond] = seconds(frame.stamp);
        let places = u32::from(mac as u16) | u32::from(offsets.net as u16) << 16;
        let (len, full, bits) = (shown.len() as u32, frame.full as u32, status::USER | frame.status);
        let hash = if shape.hashes { frame.hash } else { 0 };
        pages.write_words(at, &[total as u32, second, nanosecond, len, full, bits, places, hash, 0, 0, 0, 0]);
        pages.write(at + HEADER, frame.from);
        pages.write(at + mac.saturating_sub(frame.vnet.len()), frame.vnet);
        pages.write(at + mac, shown);
        self.last = self.next;
        self.next += total;
        self.frames += 1;
        pages.write_words(block + STATUS + 4, &[self.frames]);
        pages.write_words(block + STATUS + 12, &[self.next as u32]);
        if self.frames == 1 {
            self.since = now;
            if !self.is_timed {
                self.is_timed = true;
                done.expires = Some(now + shape.wait);
            }
        }
        done.taken = if shown.len() < frame.bytes.len() { Taken::Cut } else { Taken::Whole };
        done
    }

    /// Gives a block away whose frames have waited for long enough.
    pub fn expire(&mut self, pages: &Pages, shape: &Shape, stamp: u64, now: Instant) -> Put {
        let mut done = Put { taken: Taken::Whole, wake: false, expires: None, froze: false };
        self.is_timed = false;
        if self.is_frozen || self.frames == 0 {
            return done;
        }
        if now < self.since + shape.wait {
            self.is_timed = true;
            done.expires = Some(self.since + shape.wait);
            return done;
        }
        self.close(pages, shape, status::BLK_TMO, stamp);
        done.wake = true;
        done.froze = !self.advance(pages, shape, stamp);
        done
    }
}

/// Seconds and nanoseconds.
pub fn seconds(stamp: u64) -> [u32; 2] {
    [(stamp / 1_000_000_000) as u32, (stamp % 1_000_000_000) as u32]
}
