//! `/proc/PID/map_files`: a link for each mapping of a file, named by its addresses
//! (proc_pid_map_files(5)).

use alloc::format;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, PseudoEntry, PseudoNode};
use fs::{FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::target::{Class, Target};
use vm::maps::MapsEntry;

/// Links can be read, and that is all.
const MODE: u32 = 0o400;

/// The directory.
pub struct Mapped(pub Target);

impl Mapped {
    /// The mappings of files, with keys that number them.
    fn files(&self) -> SysResult<Vec<(u32, MapsEntry)>> {
        self.0.process().map_err(|_| Errno::ENOENT)?;
        self.0.check_access()?;
        let maps = self.0.mm()?.map_or_else(|| Ok(Vec::new()), |mm| mm.maps())?;
        let mut files = Vec::new();
        files.try_reserve_exact(maps.len()).map_err(|_| Errno::ENOMEM)?;
        files.extend((1..).zip(maps).filter(|(_, entry)| entry.ino != 0 && entry.path.starts_with(b"/")));
        Ok(files)
    }
}

fn name_of(entry: &MapsEntry) -> Vec<u8> {
    format!("{:x}-{:x}", entry.start, entry.end).into_bytes()
}

impl DirSource for Mapped {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let found = self.files()?.into_iter().find(|(_, entry)| name_of(entry) == name);
        let (key, entry) = found.ok_or(Errno::ENOENT)?;
        Ok(PseudoNode::link(self.0.spec(Class::Mapped, key, MODE), move || Ok(entry.path.clone())))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let later = self.files()?.into_iter().filter(|(key, ..)| *key >= from);
        let entry = |(key, entry): (u32, MapsEntry)| PseudoEntry {
            key,
            name: name_of(&entry),
            ino: self.0.ino(Class::Mapped, key),
            file_type: FileType::Symlink,
        };
        Ok(later.map(entry).collect())
    }
}
