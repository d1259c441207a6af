//! Volumes: images of ext4 that programs find mounted (`skiff run --volume`, `--root-disk`), and
//! that any Linux can mount.
//!
//! [`store`] is where they are and how they are made, [`image`] the file system in one, [`copy`]
//! brings files in and out, [`cli`] is `skiff volume`. An image is locked as a disk is
//! ([`crate::disk`]), by a machine and by whoever else changes it.

pub mod cli;
mod copy;
mod image;
mod store;

use crate::disk::{Disk, Held};
use crate::error::{Error, Result};
use std::path::PathBuf;
use std::str::FromStr;

pub use image::Image;
pub use store::Named;

/// What `--volume` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    volume: Named,
    directory: String,
    read_only: bool,
}

impl FromStr for Mounted {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (rest, read_only) = text.strip_suffix(":ro").map_or((text, false), |rest| (rest, true));
        let Some((name, directory)) = rest.rsplit_once(":/") else {
            return Err(format!("{text}: expected NAME-or-FILE.img:/DIRECTORY[:ro]"));
        };
        // The kernel's command line is words, of which the program's own come behind `--`.
        if directory.contains(|c: char| c.is_whitespace() || c == ':' || c == '"') || !directory.is_ascii() {
            return Err(format!("{text}: the directory of a volume has neither spaces nor quotes nor colons in its name"));
        }
        if directory.split('/').all(|name| name.is_empty() || name == ".") || directory.split('/').any(|name| name == "..") {
            return Err(format!("{text}: a volume is mounted at a directory below /"));
        }
        Ok(Self { volume: name.parse()?, directory: format!("/{}", directory.trim_end_matches('/')), read_only })
    }
}

/// What `--root-disk` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    volume: Named,
    read_only: bool,
}

impl FromStr for Root {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, read_only) = text.strip_suffix(":ro").map_or((text, false), |rest| (rest, true));
        Ok(Self { volume: name.parse()?, read_only })
    }
}

impl Root {
    /// Makes the disk with these files and `size` MiB, if it is missing; whether it was.
    pub fn make(&self, gathered: &mkimage::Gathered, size: Option<u64>) -> Result<bool> {
        let path = self.volume.path()?;
        match size {
            _ if path.exists() => return Ok(false),
            None => return Err(wrong(path, "there is no such disk: add --size SIZE to make it with the program's files")),
            Some(size) => {
                self.volume.make_folder()?;
                mkimage::disk::make(gathered, &path, size, mkimage::disk::Format::Raw)?;
            }
        }
        Ok(true)
    }

    /// The same, only read if that is so or `read_only`.
    pub fn only_read(self, read_only: bool) -> Self {
        Self { read_only: self.read_only || read_only, ..self }
    }

    /// Takes the disk.
    pub fn take(&self) -> Result<Held> {
        Disk::of_volume(self.volume.path()?, self.read_only).take(None)
    }

    /// What the kernel is told of it, where it is the machine's disk number `index`.
    pub fn options(&self, index: usize) -> Vec<String> {
        let root = format!("root=/dev/vd{}", letter(index));
        [Some(root), self.read_only.then(|| "ro".into())].into_iter().flatten().collect()
    }
}

/// What `--overlay` says: the volume that has what changes in the root, if not memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer(Option<Named>);

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Ok(Self((!text.is_empty()).then(|| text.parse()).transpose()?))
    }
}

impl Layer {
    /// Whether it is there for the next machine.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Takes its volume, which is made with `size` MiB if it is missing.
    pub fn take(&self, size: Option<u64>) -> Result<Option<Held>> {
        self.0.as_ref().map(|volume| take(volume, false, size)).transpose()
    }

    /// What the kernel is told of it, where its volume is the machine's disk number `index`.
    pub fn option(&self, index: usize) -> String {
        self.0.as_ref().map_or("overlay".into(), |_| format!("overlay=/dev/vd{}", letter(index)))
    }
}

/// Takes a volume's image, which is made with `size` MiB if it is missing.
fn take(volume: &Named, read_only: bool, size: Option<u64>) -> Result<Held> {
    let path = volume.path()?;
    if !path.exists() {
        match size {
            _ if read_only => return Err(wrong(path, "there is no such volume")),
            None => return Err(wrong(path, "there is no such volume: add --size SIZE to make it")),
            Some(size) => volume.make(size)?,
        }
    }
    Disk::of_volume(path, read_only).take(None)
}

fn letter(index: usize) -> char {
    char::from(b'a' + index as u8)
}

impl Mounted {
    /// Takes the volume's image, which is made with `size` MiB if it is missing.
    pub fn take(&self, size: Option<u64>) -> Result<Held> {
        take(&self.volume, self.read_only, size)
    }

    /// What the kernel is told of it, where it is the machine's disk number `index`.
    pub fn option(&self, index: usize) -> String {
        let end = if self.read_only { ":ro" } else { "" };
        format!("volume=/dev/vd{}:{}{end}", letter(index), self.directory)
    }
}

fn wrong(path: PathBuf, why: impl Into<String>) -> Error {
    Error::Disk { what: "volume", path, why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_volume_is_mounted_stands_behind_its_name() {
        let volume: Mounted = "a:b/c.img:/var/lib/x/:ro".parse().unwrap();
        assert_eq!((volume.directory.as_str(), volume.read_only), ("/var/lib/x", true));
        assert_eq!(volume.volume.path().unwrap().to_str(), Some("a:b/c.img"));
        assert_eq!(volume.option(2), "volume=/dev/vdc:/var/lib/x:ro");
        for wrong in ["x", "x:y", ":/x", "x:/", "x:/./", "x:/a/..", "x:/a b", "x:/a:rw", ".hidden:/x", "a*:/x"] {
            assert!(wrong.parse::<Mounted>().is_err(), "{wrong}");
        }
    }
}
