//! A disk: what a driver serves.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::driver::{Driver, Properties};
use crate::stats::Stats;

/// A disk.
pub struct Disk {
    /// `vda` and so on.
    pub name: String,
    /// Which one it is, from 0.
    pub index: u32,
    /// What serves it.
    pub driver: Arc<dyn Driver>,
    /// What it has done.
    pub stats: Arc<Stats>,
    /// `BLKROSET`, beside what the disk itself says.
    pub(crate) set_read_only: AtomicBool,
    /// How far ahead files are said to be read, in units of 512 bytes (`BLKRASET`).
    pub(crate) read_ahead: AtomicU64,
    /// Kinds of requests of which a failure has been named on the console, as bits.
    pub(crate) named: AtomicU32,
}

/// What `BLKRAGET` tells at first: 128 KiB.
const READ_AHEAD: u64 = 256;

impl Disk {
    /// The disk of a driver.
    pub fn new(index: u32, driver: Arc<dyn Driver>) -> Arc<Disk> {
        let letter = char::from(b'a' + (index % 26) as u8);
        Arc::new(Disk {
            name: String::from_iter(['v', 'd', letter]),
            index,
            driver,
            stats: Arc::default(),
            set_read_only: AtomicBool::new(false),
            read_ahead: AtomicU64::new(READ_AHEAD),
            named: AtomicU32::new(0),
        })
    }

    /// What it is.
    pub fn properties(&self) -> &Properties {
        self.driver.properties()
    }

    /// How far ahead files are said to be read, in units of 512 bytes.
    pub fn read_ahead(&self) -> u64 {
        self.read_ahead.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// Whether it takes no writes.
    pub fn read_only(&self) -> bool {
        self.properties().read_only || self.set_read_only.load(core::sync::atomic::Ordering::Relaxed)
    }
}
