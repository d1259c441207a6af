//! Makes a bootable image from a Linux program: gathers the files it needs, packs them, and joins
//! them to the kernel.

#![forbid(unsafe_code)]

mod closure;
pub mod cpio;
pub mod disk;
mod elf;
mod error;
mod gather;
pub mod image;
mod ldcache;
mod learn;
pub mod manifest;
mod pack;
mod packages;
pub mod size;
mod tree;

pub use error::{Error, Result};
pub use gather::{DEFAULT_ENV, Gathered, Options, environment, gather};
pub use image::{Image, Kernel};
pub use manifest::Manifest;
pub use pack::{build, build_split, key, on_disk, override_archive, plain_archive};
pub use tree::{Kind, Node, Tree};

use std::path::{Path, PathBuf};

/// Where `cargo kbuild` puts the kernel, from the checkout's root.
const KERNEL: &str = "target/x86_64-unknown-none/release/skiff-kernel";

/// The kernel that images are made from: `$SKIFF_KERNEL`, or that of the checkout this program was
/// built in or runs in.
pub fn default_kernel() -> PathBuf {
    if let Some(path) = std::env::var_os("SKIFF_KERNEL") {
        return path.into();
    }
    checkout().map_or_else(|| KERNEL.into(), |root| root.join(KERNEL))
}

/// The Skiff checkout that holds this program, or else the working directory.
pub fn checkout() -> Option<PathBuf> {
    let is_root = |dir: &&Path| dir.join("apps").is_dir() && dir.join("syscall-shim").is_dir();
    let starts = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    starts.into_iter().flatten().find_map(|start| start.ancestors().find(is_root).map(Path::to_path_buf))
}
