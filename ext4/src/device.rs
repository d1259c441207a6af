//! What the file system asks of its disk and of the machine around it.

use alloc::string::String;
use fs::Timespec;

/// A request that the device did not carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceError;

/// A disk. Offsets and lengths are in bytes and multiples of the device's sector, which is no
/// larger than a block of the file system. Methods may sleep until the device has answered; they
/// are called from many threads at once.
pub trait BlockDevice: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Whether every write would fail.
    fn read_only(&self) -> bool {
        false
    }

    /// Fills `buf` from `offset` on.
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes `buf` at `offset`. It need not be durable before [`BlockDevice::flush`].
    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError>;

    /// Makes durable every write that has been answered.
    fn flush(&self) -> Result<(), DeviceError>;

    /// Tells that the content of `len` bytes from `offset` on is not needed any more.
    fn discard(&self, _offset: u64, _len: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// What comes from outside of the file system and its disk.
pub trait Environment: Send + Sync {
    /// `CLOCK_REALTIME`.
    fn now(&self) -> Timespec;

    /// A random number, for generations of inodes and for the spread of directories.
    fn random(&self) -> u32;

    /// Whether the caller may use the blocks that are kept for user `uid` (`s_def_resuid`), for
    /// members of group `gid` where that is not 0, and for the super-user.
    fn may_use_reserve(&self, _uid: u32, _gid: u32) -> bool {
        true
    }

    /// A line for the console: why a file system is read-only, what recovery found.
    fn message(&self, text: String);
}
