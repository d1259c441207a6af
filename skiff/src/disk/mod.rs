//! Disks of a machine: files of the host (`--disk`).
//!
//! A file belongs to one machine at a time, by a lock that the process of `skiff run` holds
//! (`lock`). What a raw file holds is the guest's to say, so nothing is ever concluded from it: one
//! that looks like qcow2 is used when its user says which it is.

pub(crate) mod lock;

use crate::error::{Error, On, Result};
pub use mkimage::disk::Format;
use mkimage::disk::qcow2;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most disks of a machine, as the kernel has it.
pub const MAX: usize = 16;
/// The most queues of a disk.
const MAX_QUEUES: u32 = 16;
/// The unit of disks' sizes, in bytes.
const SECTOR: u64 = 512;

/// What `--disk` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What the user calls it.
    what: &'static str,
    /// The file.
    path: PathBuf,
    /// The guest may not write to it.
    read_only: bool,
    /// Its format, where it is said.
    format: Option<Format>,
    /// Bytes of a sector, where they are not 512.
    sector: Option<u32>,
    /// It has no cache that would have to be flushed.
    write_through: bool,
    /// A file for QEMU's blkdebug, which makes requests fail.
    faults: Option<PathBuf>,
}

impl FromStr for Disk {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (mut format, mut sector, mut faults) = (None, None, None);
        let (mut read_only, mut write_through) = (false, false);
        let mut path = text;
        // From the end, as a name may have colons of its own.
        while let Some((rest, word)) = path.rsplit_once(':') {
            match (word, word.split_once('=')) {
                ("ro", _) => read_only = true,
                ("raw", _) => format = Some(Format::Raw),
                ("qcow2", _) => format = Some(Format::Qcow2),
                ("writethrough", _) => write_through = true,
                (_, Some(("sector", size))) => match size.parse::<u32>() {
                    Ok(size) if size.is_power_of_two() && (512..=4096).contains(&size) => sector = Some(size),
                    _ => return Err(format!("{text}: sectors have 512, 1024, 2048 or 4096 bytes")),
                },
                (_, Some(("faults", file))) => faults = Some(file.into()),
                _ => break,
            }
            path = rest;
        }
        if path.is_empty() {
            return Err(format!("{text}: expected FILE[:ro]"));
        }
        Ok(Self { what: "--disk", path: path.into(), read_only, format, sector, write_through, faults })
    }
}

/// A disk whose file this process has.
#[derive(Debug)]
pub struct Held {
    disk: Disk,
    format: Format,
    /// The lock is this file's.
    _file: File,
}

/// Takes the files of all disks, and makes those that are missing, with `size` MiB.
pub fn take(disks: &[Disk], size: Option<u64>) -> Result<Vec<Held>> {
    disks.iter().map(|disk| disk.take(size)).collect()
}

/// A size for `--size`, in MiB.
pub fn parse_size(text: &str) -> std::result::Result<u64, String> {
    mkimage::size::disk(text)
}

impl Disk {
    /// The disk that an image's files are on.
    pub fn of_image(path: PathBuf, read_only: bool) -> Self {
        Self { what: "the image's disk", format: None, ..Self::of_volume(path, read_only) }
    }

    /// The disk of a volume.
    pub(crate) fn of_volume(path: PathBuf, read_only: bool) -> Self {
        let format = Some(Format::Raw);
        Self { what: "volume", path, read_only, format, sector: None, write_through: false, faults: None }
    }

    fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Disk { what: self.what, path: self.path.clone(), why: why.into() }
    }

    /// Takes the file.
    pub fn take(&self, size: Option<u64>) -> Result<Held> {
        let file = match self.open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.read_only => self.make(size)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.wrong("there is no such file")),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !self.read_only => {
                return Err(self.wrong("may not be written to: add :ro to the name to use it read-only"));
            }
            file => file.on(self.path.display().to_string())?,
        };
        lock::take(&file, self.read_only).map_err(|why| self.wrong(why))?;
        let format = self.check(&file)?;
        if let Some(faults) = self.faults.as_ref().filter(|faults| !faults.exists()) {
            return Err(self.wrong(format!("faults={}: there is no such file", faults.display())));
        }
        Ok(Held { disk: self.clone(), format, _file: file })
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(!self.read_only).open(&self.path)
    }

    fn make(&self, size: Option<u64>) -> Result<File> {
        let Some(bytes) = size.and_then(|mib| mib.checked_mul(1 << 20)) else {
            return Err(self.wrong("there is no such file: add --size SIZE to make it"));
        };
        let named = self.path.extension().is_some_and(|e| e == "qcow2");
        let format = self.format.unwrap_or(if named { Format::Qcow2 } else { Format::Raw });
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&self.path);
        let file = file.on(self.path.display().to_string())?;
        let made = match format {
            Format::Raw => file.set_len(bytes),
            Format::Qcow2 => qcow2::make(&file, bytes),
        };
        if let Err(e) = made {
            let _ = std::fs::remove_file(&self.path);
            return Err(self.wrong(format!("cannot be made with {} MiB: {e}", bytes >> 20)));
        }
        Ok(file)
    }

    /// The format of the file, if it can be a disk.
    fn check(&self, file: &File) -> Result<Format> {
        let about = file.metadata().on(self.path.display().to_string())?;
        if about.is_dir() {
            return Err(self.wrong("is a directory"));
        }
        let mut magic = [0; 4];
        let looks_like_qcow2 = (&*file).read_exact(&mut magic).is_ok() && magic == qcow2::MAGIC;
        let named = self.path.extension().is_some_and(|e| e == "qcow2");
        let format = match self.format {
            Some(Format::Qcow2) if !looks_like_qcow2 => return Err(self.wrong("is no qcow2 image")),
            Some(format) => format,
            None if named && looks_like_qcow2 => Format::Qcow2,
            None if named => return Err(self.wrong("is no qcow2 image, whatever its name: add :raw to use it as it is")),
            None if looks_like_qcow2 => {
                return Err(self.wrong("may be a qcow2 image, or a disk that holds one: add :qcow2 or :raw to the name"));
            }
            None => Format::Raw,
        };
        if format == Format::Raw && about.is_file() && about.len() < SECTOR {
            return Err(self.wrong(format!("has {} bytes: a disk has at least one sector", about.len())));
        }
        Ok(format)
    }
}

impl Held {
    /// QEMU's arguments for the disk, which is number `index`, of a machine with `cpus` CPUs, on
    /// `microvm` or with PCI.
    pub fn arguments(&self, index: usize, cpus: u32, microvm: bool) -> Result<Vec<String>> {
        let disk = &self.disk;
        // QEMU runs in the directory that this process is in.
        let path = Path::new(".").join(&disk.path);
        let name = path.to_str().ok_or_else(|| disk.wrong("QEMU takes only names that are UTF-8"))?;
        let mut file = serde_json::json!({ "driver": "file", "filename": name, "discard": "unmap" });
        if std::fs::metadata(&disk.path).is_ok_and(|about| !about.is_file()) {
            file["driver"] = "host_device".into();
        }
        if let Some(faults) = &disk.faults {
            file = serde_json::json!({ "driver": "blkdebug", "config": faults.to_string_lossy(), "image": file });
        }
        let node = serde_json::json!({
            "node-name": format!("disk{index}"),
            "driver": if self.format == Format::Raw { "raw" } else { "qcow2" },
            "read-only": disk.read_only,
            "discard": "unmap",
            "file": file,
        });
        let bus = if microvm { "device" } else { "pci" };
        let mut device = format!("virtio-blk-{bus},drive=disk{index},num-queues={}", cpus.min(MAX_QUEUES));
        if let Some(size) = disk.sector {
            device += &format!(",logical_block_size={size},physical_block_size={size}");
        }
        if disk.write_through {
            device += ",write-cache=off,config-wce=off";
        }
        Ok(vec!["-blockdev".into(), node.to_string(), "-device".into(), device])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Disk {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_disk_is_stands_behind_its_name() {
        let plain = disk("a:b/c.img");
        assert_eq!((plain.path.to_str(), plain.read_only, plain.format), (Some("a:b/c.img"), false, None));
        let all = disk("x.img:ro:qcow2:sector=4096:writethrough:faults=f.conf");
        assert_eq!((all.path.to_str(), all.read_only, all.format), (Some("x.img"), true, Some(Format::Qcow2)));
        assert_eq!((all.sector, all.write_through, all.faults), (Some(4096), true, Some("f.conf".into())));
        for wrong in ["", ":ro", "x:sector=1000", "x:sector=65536"] {
            assert!(wrong.parse::<Disk>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_missing_disk_is_made_when_its_size_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| disk(dir.path().join(name).to_str().unwrap());
        let e = at("a.img").take(None).unwrap_err().to_string();
        assert!(e.ends_with("a.img: there is no such file: add --size SIZE to make it"), "{e}");
        assert_eq!(at("a.img").take(Some(3)).unwrap().format, Format::Raw);
        assert_eq!(std::fs::metadata(dir.path().join("a.img")).unwrap().len(), 3 << 20);
        assert_eq!(at("b.qcow2").take(Some(3)).unwrap().format, Format::Qcow2);
        // What the file holds does not decide.
        std::fs::copy(dir.path().join("b.qcow2"), dir.path().join("b.img")).unwrap();
        let e = at("b.img").take(None).unwrap_err().to_string();
        assert!(e.contains("add :qcow2 or :raw"), "{e}");
        assert_eq!(at("b.img:raw").take(None).unwrap().format, Format::Raw);
        assert!(at("a.img:qcow2").take(None).is_err());
        std::fs::write(dir.path().join("c.img"), [0; 511]).unwrap();
        assert!(at("c.img").take(None).unwrap_err().to_string().contains("at least one sector"));
    }

    #[test]
    fn a_disk_has_one_user_or_several_readers() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| disk(dir.path().join(name).to_str().unwrap());
        let first = at("a.img").take(Some(1)).unwrap();
        assert!(at("a.img").take(None).unwrap_err().to_string().ends_with("is given twice"));
        assert!(at("a.img:ro").take(None).is_err());
        drop(first);
        let _readers = [at("a.img:ro").take(None).unwrap(), at("a.img:ro").take(None).unwrap()];
        assert!(at("a.img").take(None).is_err());
    }
}
