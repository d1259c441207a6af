//! The file system in an image that no machine uses.

use super::{Named, wrong};
use crate::error::{Error, Result};
use crate::outlet;
use ext4::{Environment, Ext4, MountOptions};
use fs::Timespec;
use mkimage::disk::FileDevice;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A mounted image. It is this process's until it is dropped.
pub struct Image {
    /// Its files.
    pub files: Ext4,
    path: PathBuf,
}

/// The host.
struct Host;

impl Environment for Host {
    fn now(&self) -> Timespec {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timespec { sec: now.as_secs() as i64, nsec: now.subsec_nanos() as _ }
    }

    fn random(&self) -> u32 {
        std::hash::RandomState::new().build_hasher().finish() as u32
    }

    fn message(&self, text: String) {
        outlet::tell(format_args!("skiff: {text}\n"));
    }
}

impl Image {
    /// Mounts a volume, to be changed with `write`. A journal is replayed where the file can be
    /// written.
    pub fn mount(volume: &Named, write: bool) -> Result<Self> {
        let path = volume.path()?;
        let denied =
            |e: &Error| matches!(e, Error::Host { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
        let (file, read_only) = match volume.open(true) {
            Err(e) if !write && denied(&e) => (volume.open(false)?, true),
            file => (file?, false),
        };
        let options = MountOptions { read_only: !write, ..MountOptions::default() };
        let device = Arc::new(FileDevice::new(file, read_only).map_err(|e| wrong(path.clone(), e.to_string()))?);
        match Ext4::mount(device, Arc::new(Host), options) {
            Ok(files) => Ok(Self { files, path }),
            Err(e) => Err(wrong(path, e.to_string())),
        }
    }

    /// An error of the file system, about a file in it.
    pub fn wrong(&self, place: &str, error: impl std::fmt::Display) -> Error {
        wrong(self.path.clone(), format!("{place}: {error}"))
    }

    /// Makes all changes durable and marks the file system clean.
    pub fn end(self) -> Result<()> {
        self.files.unmount().map_err(|e| wrong(self.path.clone(), e.to_string()))
    }
}
