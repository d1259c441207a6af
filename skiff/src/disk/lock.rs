//! Whose a disk is: flock(2), and /proc/locks to tell who has it.

use crate::folder::{self, Folder};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

/// Locks the file for this process, with others that only read it if `shared`. Why not: in words.
pub fn take(file: &File, shared: bool) -> Result<(), String> {
    let operation = if shared { FlockOperation::NonBlockingLockShared } else { FlockOperation::NonBlockingLockExclusive };
    match flock(file, operation) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(match holder(file) {
            Some(pid) if pid == std::process::id() => "is given twice".into(),
            Some(pid) => match name(pid) {
                Some(name) => format!("is in use by the machine {name} (process {pid})"),
                None => format!("is in use by process {pid}"),
            },
            None => "is in use by another machine".into(),
        }),
        Err(e) => Err(format!("cannot be locked: {}", std::io::Error::from(e))),
    }
}

/// The process that has a lock of the file.
fn holder(file: &File) -> Option<u32> {
    let about = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", about.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, at, ..] = fields.as_slice() else { return None };
        (*at == place).then(|| pid.parse().ok())?
    })
}

/// The name of the machine that a `skiff run` runs.
fn name(pid: u32) -> Option<String> {
    let all = Folder::open(folder::path(), false).ok()?;
    fs::read_to_string(all.at(pid.to_string()).join("name")).ok()
}
