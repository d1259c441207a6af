//! The options of a mount (tmpfs(5)).

use crate::platform::PAGE_SIZE;
use alloc::format;
use alloc::string::String;
use syscall_shim::{Errno, SysResult};

/// Mount options (tmpfs(5)).
#[derive(Clone, Debug)]
pub struct TmpfsOptions {
    /// Type name in /proc/mounts: `tmpfs` or `devtmpfs`.
    pub name: &'static str,
    /// Limit of the content, in bytes (`size=`); 0 for none.
    pub size: Option<u64>,
    /// Limit of the number of inodes (`nr_inodes=`); 0 for none.
    pub nr_inodes: Option<u64>,
    /// What holds for either where it is not given, in pages and in inodes: half of memory. 0 for
    /// no limit.
    pub default_limit: u64,
    /// Permissions of the root directory (`mode=`).
    pub mode: u32,
    /// Owner of the root directory (`uid=`).
    pub uid: u32,
    /// Group of the root directory (`gid=`).
    pub gid: u32,
}

impl Default for TmpfsOptions {
    fn default() -> TmpfsOptions {
        TmpfsOptions { name: "tmpfs", size: None, nr_inodes: None, default_limit: 0, mode: 0o1777, uid: 0, gid: 0 }
    }
}

impl TmpfsOptions {
    /// The data of mount(2). `half_of_memory` is [`TmpfsOptions::default_limit`], by which
    /// percentages count. `EINVAL`.
    pub fn parse(data: &str, half_of_memory: u64) -> SysResult<TmpfsOptions> {
        let mut options = TmpfsOptions { default_limit: half_of_memory, ..TmpfsOptions::default() };
        for option in data.split(',').filter(|o| !o.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let id = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
            match key {
                "size" => options.size = Some(size(value, half_of_memory).ok_or(Errno::EINVAL)?),
                "nr_blocks" => options.size = Some(number(value).ok_or(Errno::EINVAL)?.saturating_mul(PAGE_SIZE as u64)),
                "nr_inodes" => options.nr_inodes = Some(number(value).ok_or(Errno::EINVAL)?),
                "mode" => options.mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & 0o7777,
                "uid" => options.uid = id()?,
                "gid" => options.gid = id()?,
                "huge" | "mpol" | "inode32" | "inode64" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }

    /// [`TmpfsOptions::size`] in pages.
    pub(super) fn pages(&self) -> Option<u64> {
        self.size.map(|bytes| bytes.div_ceil(PAGE_SIZE as u64))
    }

    /// As /proc/mounts has them.
    pub(super) fn show(&self) -> String {
        let mut out = String::new();
        let mut add = |text: String| {
            if !out.is_empty() {
                out.push(',');
            }
            out.push_str(&text);
        };
        if let Some(size) = self.size.filter(|size| *size > 0) {
            add(format!("size={}k", size.div_ceil(1024)));
        }
        if let Some(inodes) = self.nr_inodes.filter(|inodes| *inodes > 0) {
            add(format!("nr_inodes={inodes}"));
        }
        if self.mode != 0o1777 {
            add(format!("mode={:o}", self.mode));
        }
        if self.uid != 0 {
            add(format!("uid={}", self.uid));
        }
        if self.gid != 0 {
            add(format!("gid={}", self.gid));
        }
        out
    }
}

/// A number with a suffix of 1024s (`memparse`).
fn number(value: &str) -> Option<u64> {
    let (digits, shift) = match value.as_bytes().last()? {
        b'k' | b'K' => (value.get(..value.len() - 1)?, 10),
        b'm' | b'M' => (value.get(..value.len() - 1)?, 20),
        b'g' | b'G' => (value.get(..value.len() - 1)?, 30),
        _ => (value, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A number, or with `%` a share of memory.
fn size(value: &str, half_of_memory: u64) -> Option<u64> {
    let Some(percent) = value.strip_suffix('%') else { return number(value) };
    (half_of_memory * 2 * PAGE_SIZE as u64 / 100).checked_mul(percent.parse().ok()?)
}
