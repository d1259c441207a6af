//! Where volumes are, and how they are made.

use super::wrong;
use crate::disk::lock;
use crate::error::{Error, On, Result};
use mkimage::disk::tool;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A volume, by what its user calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// An image anywhere.
    File(PathBuf),
    /// One of the user's own folder.
    Name(String),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.contains('/') || text.ends_with(".img") {
            return Ok(Self::File(text.into()));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if text.is_empty() || text.starts_with('.') || !text.chars().all(good) {
            return Err(format!(
                "{text:?}: a volume's name has letters, digits, `_`, `-` and `.`; a file has a slash or ends in .img"
            ));
        }
        Ok(Self::Name(text.into()))
    }
}

/// The user's folder of volumes (XDG Base Directory Specification).
pub fn folder() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let data = set.or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    let missing = || Error::Usage("volumes have no place: set HOME or XDG_DATA_HOME, or name a file".into());
    Ok(data.ok_or_else(missing)?.join("skiff/volumes"))
}

/// All volumes of that folder, by name.
pub fn all() -> Result<Vec<(String, PathBuf)>> {
    let folder = folder()?;
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.on(folder.display().to_string())?,
    };
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.strip_suffix(".img")?.to_owned(), path));
    let mut all: Vec<_> = entries.flatten().filter_map(|entry| named(entry.path())).collect();
    all.sort();
    Ok(all)
}

impl Named {
    /// Its image.
    pub fn path(&self) -> Result<PathBuf> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Name(name) => Ok(folder()?.join(format!("{name}.img"))),
        }
    }

    /// Opens the image and locks it: with `write` for this process alone, else together with others
    /// that read it.
    pub fn open(&self, write: bool) -> Result<File> {
        let path = self.path()?;
        let file = match OpenOptions::new().read(true).write(write).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(wrong(path, "there is no such volume")),
            file => file.on(path.display().to_string())?,
        };
        lock::take(&file, !write).map_err(|why| wrong(path, why))?;
        Ok(file)
    }

    /// Makes the folder that it is in, if that is the user's own.
    pub fn make_folder(&self) -> Result<()> {
        match self {
            Self::Name(_) => fs::create_dir_all(folder()?).on(folder()?.display().to_string()),
            Self::File(_) => Ok(()),
        }
    }

    /// Makes it, with a new ext4 of `size` MiB: a sparse file, which nobody sees before it is
    /// whole.
    pub fn make(&self, size: u64) -> Result<()> {
        let path = self.path()?;
        self.make_folder()?;
        let bytes = size.checked_mul(1 << 20).ok_or_else(|| wrong(path.clone(), "is too large"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fresh = tempfile::Builder::new().prefix(".volume").tempfile_in(parent).on(parent.display().to_string())?;
        fresh.as_file().set_len(bytes).on(path.display().to_string())?;
        tool::make_ext4(fresh.path(), &[], None).map_err(|why| wrong(path.clone(), why))?;
        match fresh.persist_noclobber(&path) {
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Err(wrong(path, "is there already")),
            made => made.map(|_| ()).map_err(|e| e.error).on(path.display().to_string()),
        }
    }
}
