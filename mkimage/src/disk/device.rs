//! A disk in a file of the host, byte for byte.

use ext4::{BlockDevice, DeviceError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The disk.
pub struct FileDevice {
    file: File,
    size: u64,
    read_only: bool,
}

impl FileDevice {
    /// What is in a file that is open for reading and, unless `read_only`, for writing.
    pub fn new(file: File, read_only: bool) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size, read_only })
    }
}

impl BlockDevice for FileDevice {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        self.file.read_exact_at(buf, offset).map_err(|_| DeviceError)
    }

    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.file.write_all_at(buf, offset).map_err(|_| DeviceError)
    }

    fn flush(&self) -> Result<(), DeviceError> {
        self.file.sync_data().map_err(|_| DeviceError)
    }
}
