//! The options of a mount (ext4(5)).

use syscall_shim::{Errno, SysResult};

/// The types under which it can be mounted.
pub const TYPES: [&str; 3] = ["ext2", "ext3", "ext4"];

/// The names of options that are taken.
pub const NAMES: &[&str] = &[
    "acl",
    "noacl",
    "user_xattr",
    "nouser_xattr",
    "barrier",
    "nobarrier",
    "data",
    "delalloc",
    "nodelalloc",
    "discard",
    "nodiscard",
    "errors",
    "noload",
    "norecovery",
    "commit",
    "lazytime",
    "nolazytime",
    "init_itable",
    "noinit_itable",
];

/// What they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave the journal alone (`noload`).
    pub no_replay: bool,
}

impl Options {
    /// Reads a list with commas. `EINVAL` for an option that is not known, or a value that it does
    /// not have.
    pub fn parse(text: &str) -> SysResult<Options> {
        let mut options = Options::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            match (name, value) {
                ("noload" | "norecovery", None) => options.no_replay = true,
                // Content is on the disk before what leads to it, always; after an error nothing is
                // written any more.
                ("data", Some("ordered")) | ("errors", Some("remount-ro" | "continue")) => {}
                ("barrier", None | Some("0" | "1")) => {}
                ("commit", Some(seconds)) if seconds.parse::<u32>().is_ok() => {}
                ("data" | "errors" | "commit", _) => return Err(Errno::EINVAL),
                (name, None) if NAMES.contains(&name) => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }
}
