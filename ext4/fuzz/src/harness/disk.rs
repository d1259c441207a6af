//! A disk that shares an image and keeps what is written to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ext4::{BlockDevice, DeviceError, Environment};
use fs::Timespec;

/// Bytes that are kept together.
pub const BLOCK: usize = 1024;

/// A disk over an image, which stays as it is.
pub struct Disk {
    image: Arc<[u8]>,
    written: Mutex<HashMap<usize, Box<[u8]>>>,
}

impl Disk {
    /// A disk that holds `image`.
    pub fn new(image: Arc<[u8]>) -> Arc<Disk> {
        Arc::new(Disk { image, written: Mutex::default() })
    }

    /// Changes block `number` by `f`.
    pub fn change(&self, number: usize, f: impl FnOnce(&mut [u8])) {
        let mut written = self.written.lock().unwrap();
        f(written.entry(number).or_insert_with(|| self.image[number * BLOCK..][..BLOCK].into()));
    }

    /// Copies block `from` to block `to`.
    pub fn copy(&self, from: usize, to: usize) {
        let mut data = [0; BLOCK];
        self.change(from, |block| data.copy_from_slice(block));
        self.change(to, |block| block.copy_from_slice(&data));
    }

    /// The blocks of `offset..offset + len`, with the part of each that lies therein.
    fn parts(&self, offset: u64, len: usize) -> Result<impl Iterator<Item = (usize, usize, usize)> + use<>, DeviceError> {
        let start = usize::try_from(offset).map_err(|_| DeviceError)?;
        let end = start.checked_add(len).filter(|end| *end <= self.image.len()).ok_or(DeviceError)?;
        let mut at = start;
        Ok(std::iter::from_fn(move || {
            let part = (BLOCK - at % BLOCK).min(end - at);
            (part > 0).then(|| {
                at += part;
                ((at - part) / BLOCK, (at - part) % BLOCK, part)
            })
        }))
    }
}

impl BlockDevice for Disk {
    fn size(&self) -> u64 {
        self.image.len() as u64
    }

    fn read(&self, offset: u64, mut buf: &mut [u8]) -> Result<(), DeviceError> {
        let written = self.written.lock().unwrap();
        for (block, at, len) in self.parts(offset, buf.len())? {
            let data = written.get(&block).map_or(&self.image[block * BLOCK..][..BLOCK], |data| data);
            let (now, rest) = buf.split_at_mut(len);
            now.copy_from_slice(&data[at..at + len]);
            buf = rest;
        }
        Ok(())
    }

    fn write(&self, offset: u64, mut buf: &[u8]) -> Result<(), DeviceError> {
        for (block, at, len) in self.parts(offset, buf.len())? {
            let (now, rest) = buf.split_at(len);
            self.change(block, |data| data[at..at + len].copy_from_slice(now));
            buf = rest;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// Time that stands, chance that is none, and nobody who listens.
pub struct Quiet;

impl Environment for Quiet {
    fn now(&self) -> Timespec {
        Timespec { sec: 1_800_000_000, nsec: 1 }
    }

    fn random(&self) -> u32 {
        0x9e37_79b9
    }

    fn message(&self, _text: String) {}
}
