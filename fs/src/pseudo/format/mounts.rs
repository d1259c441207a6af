//! /proc/PID/mounts and mountinfo.

use super::Text;
use crate::namespace::MountLine;
use crate::types::{major, minor};
use alloc::vec::Vec;

const PATH_SPECIAL: &[u8] = b" \t\n\\";
const TEXT_SPECIAL: &[u8] = b" \t\n\\#";

/// /proc/PID/mounts, in the form of fstab(5).
pub fn mounts(lines: &[MountLine]) -> Vec<u8> {
    let mut out = Text::default();
    for m in lines {
        out.escaped(m.source.as_bytes(), TEXT_SPECIAL);
        out.bytes(b" ");
        out.escaped(&m.target, PATH_SPECIAL);
        out.put(format_args!(" {} {}", m.fs_type, options(m)));
        out.bytes(b" 0 0\n");
    }
    out.0
}

/// The options of the mount and of the file system in one: read-only if either is.
fn options(m: &MountLine) -> alloc::string::String {
    let (own, rest) = m.super_options.split_once(',').unwrap_or((&m.super_options, ""));
    let mut text = m.options.clone();
    if own == "ro" && text.starts_with("rw") {
        text.replace_range(..2, "ro");
    }
    if !rest.is_empty() {
        text.push(',');
        text.push_str(rest);
    }
    text
}

/// /proc/PID/mountinfo.
pub fn mountinfo(lines: &[MountLine]) -> Vec<u8> {
    let mut out = Text::default();
    for m in lines {
        out.put(format_args!("{} {} {}:{} ", m.id, m.parent, major(m.dev), minor(m.dev)));
        out.escaped(&m.root, PATH_SPECIAL);
        out.bytes(b" ");
        out.escaped(&m.target, PATH_SPECIAL);
        out.put(format_args!(" {}", m.options));
        if m.shared != 0 {
            out.put(format_args!(" shared:{}", m.shared));
        }
        if m.master != 0 {
            out.put(format_args!(" master:{}", m.master));
        }
        if m.unbindable {
            out.bytes(b" unbindable");
        }
        out.put(format_args!(" - {} ", m.fs_type));
        out.escaped(m.source.as_bytes(), TEXT_SPECIAL);
        out.put(format_args!(" {}\n", m.super_options));
    }
    out.0
}
