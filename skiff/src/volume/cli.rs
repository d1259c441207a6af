//! `skiff volume`.

use super::store::{self, Named};
use super::{Image, copy, wrong};
use crate::disk::{self, lock};
use crate::error::{Error, Result};
use crate::outlet;
use mkimage::disk::tool;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

/// What `skiff volume` does. A volume is a name, or an image's file: that has a slash or ends in
/// .img.
#[derive(Debug, clap::Subcommand)]
pub enum VolumeCommand {
    /// Make a volume: a sparse image with an empty ext4, which mke2fs makes
    Create {
        /// A name, or a file
        volume: Named,
        /// How much it may hold
        #[arg(long, value_name = "SIZE", value_parser = disk::parse_size, default_value = "1G")]
        size: u64,
    },
    /// List the volumes that have names: size, what of it the host has given, and who uses it
    Ls,
    /// Tell what is known of a volume
    Inspect {
        /// A name, or a file
        volume: Named,
    },
    /// Check a volume that no machine uses: e2fsck -fn, which changes nothing; the exit status is
    /// its own
    Fsck {
        /// A name, or a file
        volume: Named,
    },
    /// Copy files or directories into a volume that no machine uses, or out of it; nobody need be
    /// root
    ///
    /// One side is VOLUME:/PATH, the other a path of the host. Modes, times of change of files and
    /// directories, and symbolic links stay; what comes in is the guest's root's, what comes out
    /// the user's own.
    #[command(after_help = "Examples:\n  skiff volume cp data:/dump.rdb .\n  skiff volume cp ./site data:/www")]
    Cp {
        /// VOLUME:/PATH or PATH
        from: String,
        /// VOLUME:/PATH or PATH
        to: String,
    },
    /// Remove volumes that no machine uses, and all that is in them
    Rm {
        /// Names, or files
        #[arg(required = true)]
        volume: Vec<Named>,
    },
}

/// `VOLUME:/PATH`. A path of the host with that in its name can be given with `./` before it.
fn inside(text: &str) -> Option<(Named, &str)> {
    let at = text.find(":/")?;
    let (name, path) = (text.get(..at)?, text.get(at + 1..)?);
    let volume: Named = name.parse().ok()?;
    (matches!(volume, Named::Name(_)) || name.ends_with(".img")).then_some((volume, path))
}

fn size(bytes: u64) -> String {
    if bytes < 10 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

impl VolumeCommand {
    /// Does it; the exit status.
    pub fn run(self) -> Result<u8> {
        match self {
            Self::Create { volume, size } => volume.make(size).map(|()| 0),
            Self::Ls => list(),
            Self::Inspect { volume } => inspect(&volume),
            Self::Fsck { volume } => check(&volume),
            Self::Cp { from, to } => copy_files(&from, &to),
            Self::Rm { volume } => {
                for volume in volume {
                    let _held = volume.open(true)?;
                    let path = volume.path()?;
                    std::fs::remove_file(&path).map_err(|e| wrong(path, e.to_string()))?;
                }
                Ok(0)
            }
        }
    }
}

/// Who uses an image, in words; empty if nobody does.
fn user(path: &Path) -> String {
    match std::fs::File::open(path) {
        Ok(file) => lock::take(&file, false).err().unwrap_or_default(),
        Err(e) => e.to_string(),
    }
}

fn list() -> Result<u8> {
    for (name, path) in store::all()? {
        let Ok(about) = std::fs::metadata(&path) else { continue };
        let (whole, given) = (size(about.len()), size(about.blocks() * 512));
        outlet::print(format_args!("{name:<20} {whole:>10} {given:>10}  {}\n", user(&path)))?;
    }
    Ok(0)
}

fn inspect(volume: &Named) -> Result<u8> {
    let path = volume.path()?;
    let image = Image::mount(volume, false)?;
    let sizes = image.files.statfs().map_err(|e| image.wrong("/", e))?;
    let given = std::fs::metadata(&path).map_or(0, |about| about.blocks() * 512);
    let id: String = image.files.uuid().iter().map(|byte| format!("{byte:02x}")).collect();
    outlet::print(format_args!(
        "file        {}\nuuid        {id}\nblocks      {} of {} bytes\nfree        {}\nfiles       {} of {}\non the host {}\n",
        path.display(),
        sizes.blocks,
        sizes.bsize,
        size(sizes.bfree * sizes.bsize),
        sizes.files.saturating_sub(sizes.ffree),
        sizes.files,
        size(given),
    ))?;
    Ok(0)
}

fn check(volume: &Named) -> Result<u8> {
    let _held = volume.open(false)?;
    let path = volume.path()?;
    let done = tool::e2fsprogs("e2fsck").arg("-fn").arg(&path).stdin(Stdio::null()).status();
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(wrong(path, "cannot be checked without e2fsck: apt-get install e2fsprogs"))
        }
        Err(e) => Err(wrong(path, format!("e2fsck: {e}"))),
        Ok(status) => Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(8)),
    }
}

fn copy_files(from: &str, to: &str) -> Result<u8> {
    match (inside(from), inside(to)) {
        (Some((volume, place)), None) => copy::out(&Image::mount(&volume, false)?, place, Path::new(to))?,
        (None, Some((volume, place))) => {
            let image = Image::mount(&volume, true)?;
            let copied = copy::into(&image, Path::new(from), place);
            // What came before the error is whole.
            image.end().and(copied)?;
        }
        _ => return Err(Error::Usage("volume cp: one side is VOLUME:/PATH, the other a path of the host".into())),
    }
    Ok(0)
}
