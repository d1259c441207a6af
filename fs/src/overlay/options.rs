//! The options of a mount (Linux Documentation/filesystems/overlayfs.rst, "Mount options" there and
//! in mount(8)).

use alloc::string::String;
use alloc::vec::Vec;
use syscall_shim::{Errno, SysResult};

/// The names of options that are taken.
pub const NAMES: &[&str] = &[
    "lowerdir",
    "upperdir",
    "workdir",
    "userxattr",
    "volatile",
    "redirect_dir",
    "index",
    "metacopy",
    "nfs_export",
    "xino",
    "uuid",
    "default_permissions",
];

/// Most layers below, as Linux's `OVL_MAX_STACK`.
const MAX_LOWER: usize = 500;

/// What they say. Paths are as they were given, without the backslashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Layers that are only read, the topmost first.
    pub lower: Vec<String>,
    /// The layer that is written to.
    pub upper: Option<String>,
    /// An empty directory of the same file system.
    pub work: Option<String>,
    /// Marks are `user.overlay.*` and not `trusted.overlay.*`.
    pub user_xattr: bool,
}

impl Options {
    /// Reads a list with commas. `EINVAL` for an option that is not known, asks for what there is
    /// not, or lacks another.
    pub fn parse(text: &str) -> SysResult<Options> {
        let mut options = Options::default();
        for option in split(text, ',').iter().filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').map_or((option.as_str(), None), |(name, value)| (name, Some(value)));
            match (name, value) {
                ("lowerdir", Some(value)) => options.lower = split(value, ':').iter().map(|path| plain(path)).collect(),
                ("upperdir", Some(value)) => options.upper = Some(plain(value)),
                ("workdir", Some(value)) => options.work = Some(plain(value)),
                ("userxattr", None) => options.user_xattr = true,
                ("volatile" | "default_permissions", None) => {}
                ("redirect_dir", Some("off" | "nofollow")) | ("index" | "metacopy" | "nfs_export", Some("off")) => {}
                ("xino", Some("off" | "auto")) | ("uuid", Some(_)) => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        let bad = options.lower.is_empty()
            || options.lower.len() > MAX_LOWER
            || options.lower.iter().any(String::is_empty)
            || options.upper.is_some() && options.work.is_none();
        if bad { Err(Errno::EINVAL) } else { Ok(options) }
    }
}

/// The pieces between separators that have no backslash before them.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut pieces = Vec::from([String::new()]);
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            pieces.push(String::new());
        } else if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    pieces
}

/// Without the backslashes that keep characters from being separators.
fn plain(text: &str) -> String {
    let mut escaped = false;
    let keep = |c: &char| {
        escaped = *c == '\\' && !escaped;
        !escaped
    };
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_may_be_in_names() {
        let options = Options::parse(r"lowerdir=a\:b:/c\,d,upperdir=u,workdir=w\\,index=off").unwrap();
        assert_eq!(options.lower, ["a:b", "/c,d"]);
        assert_eq!((options.upper.as_deref(), options.work.as_deref()), (Some("u"), Some("w\\")));
        for bad in
            ["", "upperdir=u,workdir=w", "lowerdir=a,upperdir=u", "lowerdir=a::b", "lowerdir=a,index=on", "lowerdir=a,x"]
        {
            assert_eq!(Options::parse(bad), Err(Errno::EINVAL), "{bad}");
        }
    }
}
