//! Volumes: images of ext4 that programs find mounted (`skiff run --volume`), and that any Linux can mount.
//!
//! [`store`] is where they are and how they are made, [`image`] the file system in one, [`copy`] brings files in and out, [`cli`] is
//! `skiff volume`. An image is locked as a disk is ([`crate::disk`]), by a machine and by whoever else changes it.

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

impl Mounted {
    /// Takes the volume's image, which is made with `size` MiB if it is missing.
    pub fn take(&self, size: Option<u64>) -> Result<Held> {
        let path = self.volume.path()?;
        if !path.exists() {
            match size {
                _ if self.read_only => return Err(wrong(path, "there is no such volume")),
                None => return Err(wrong(path, "there is no such volume: add --size SIZE to make it")),
                Some(size) => self.volume.make(size)?,
            }
        }
        Disk::of_volume(path, self.read_only).take(None)
    }

    /// What the kernel is told of it, where it is the machine's disk number `index`.
    pub fn option(&self, index: usize) -> String {
        let letter = char::from(b'a' + index as u8);
        let end = if self.read_only { ":ro" } else { "" };
        format!("volume=/dev/vd{letter}:{}{end}", self.directory)
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
