//! Advisory locks: flock(2) and the record locks of fcntl(2).

use super::OpenFile;

/// Gives up what the open file description holds: its last reference is gone.
pub fn release_description(_file: &OpenFile) {}

/// Gives up the record locks that the process with the descriptor table `owner` holds on the file: it closed a descriptor of it.
pub fn release_process(_file: &OpenFile, _owner: u64) {}
