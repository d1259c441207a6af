//! What `ext4` asks of its disk and of the machine.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use block::device::Device;
use block::request::Operation;
use ext4::device::{BlockDevice, DeviceError, Environment};
use fs::{PAGE_SIZE, PageRef, Timespec};
use syscall_shim::{Errno, SysResult};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages that are under way for one call at a time.
const CHUNK: usize = 64;

/// Whoever has it may use what is kept for the super-user (capabilities(7)).
const CAP_SYS_RESOURCE: u32 = 24;

/// A block device, past its cache.
pub struct Disk {
    /// The device.
    pub device: Arc<Device>,
    /// Nothing may be written.
    pub read_only: bool,
}

fn failed(_: Errno) -> DeviceError {
    DeviceError
}

fn pages(bytes: usize) -> SysResult<Vec<PageRef>> {
    (0..bytes.div_ceil(PAGE_SIZE)).map(|_| PageRef::alloc_buffer()).collect()
}

impl Disk {
    /// What others see through the device's node is not what was there before.
    fn forget(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        let cache = &self.device.cache;
        if cache.page_count() == 0 {
            return Ok(());
        }
        cache.forget(offset / PAGE, (offset + len).div_ceil(PAGE)).map_err(failed)
    }
}

impl BlockDevice for Disk {
    fn size(&self) -> u64 {
        self.device.size()
    }

    fn read_only(&self) -> bool {
        self.read_only || self.device.disk.read_only()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        let mut at = offset;
        for part in buf.chunks_mut(CHUNK * PAGE_SIZE) {
            let pages = pages(part.len()).map_err(failed)?;
            self.device.transfer(Operation::Read, at, &pages, part.len() as u64).map_err(failed)?;
            for (bytes, page) in part.chunks_mut(PAGE_SIZE).zip(&pages) {
                page.read(0, bytes);
            }
            at += part.len() as u64;
        }
        Ok(())
    }

    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut at = offset;
        for part in buf.chunks(CHUNK * PAGE_SIZE) {
            let pages = pages(part.len()).map_err(failed)?;
            for (bytes, page) in part.chunks(PAGE_SIZE).zip(&pages) {
                page.write(0, bytes);
            }
            self.device.transfer(Operation::Write, at, &pages, part.len() as u64).map_err(failed)?;
            at += part.len() as u64;
        }
        self.forget(offset, buf.len() as u64)
    }

    fn flush(&self) -> Result<(), DeviceError> {
        self.device.flush().map_err(failed)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        match self.device.clear(Operation::Discard, offset, len) {
            Ok(()) | Err(Errno::EOPNOTSUPP) => Ok(()),
            Err(_) => Err(DeviceError),
        }
    }
}

/// The machine.
pub struct Machine {
    /// The device's name, for messages.
    pub name: String,
    /// Gives random numbers.
    pub random: fn() -> u64,
}

impl Environment for Machine {
    fn now(&self) -> Timespec {
        fs::platform::now()
    }

    fn random(&self) -> u32 {
        (self.random)() as u32
    }

    fn may_use_reserve(&self, uid: u32, gid: u32) -> bool {
        let who = caller::credentials();
        let in_group = || gid != 0 && (who.fsgid == gid || who.groups.contains(&gid));
        who.fsuid == uid || in_group() || who.capable(CAP_SYS_RESOURCE)
    }

    fn message(&self, text: String) {
        kwarn!("{}: {text}", self.name);
    }
}
