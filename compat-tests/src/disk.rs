//! Disks of a test (`disk=SIZE[:OPTION...],...` in its settings): on Linux loop devices, on Skiff
//! those of `--disk`. The program is given their paths, after its own arguments.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a test says of a disk.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In bytes.
    size: u64,
    /// The file system that is on it (`mkfs=ext4`).
    file_system: Option<String>,
    /// As `skiff run --disk` takes them behind the name.
    options: Vec<String>,
}

impl Wanted {
    /// Reads a setting; files that it names lie in `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut words = text.split(':');
        let size = words.next().unwrap_or_default();
        let (digits, unit) = match size.strip_suffix('M') {
            Some(digits) => (digits, 1 << 20),
            None => (size, 1),
        };
        let number: u64 = digits.parse().map_err(|_| format!("disk={text}: expected SIZE[:OPTION]"))?;
        let option = |word: &str| match word.strip_prefix("faults=") {
            Some(file) => format!("faults={}", folder.join(file).display()),
            None => word.into(),
        };
        let (mkfs, options): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("mkfs="));
        let file_system = mkfs.first().and_then(|word| word.strip_prefix("mkfs=")).map(str::to_owned);
        Ok(Self { size: number * unit, file_system, options: options.into_iter().map(option).collect() })
    }

    fn make(&self, dir: &Path, index: usize) -> Result<PathBuf, String> {
        let path = dir.join(format!("disk{index}.img"));
        File::create(&path).and_then(|file| file.set_len(self.size)).map_err(|e| format!("{}: {e}", path.display()))?;
        if let Some(kind) = &self.file_system {
            let said = Command::new("mke2fs").args(["-q", "-F", "-t", kind]).arg(&path).output();
            let said = said.map_err(|e| format!("mke2fs: {e}"))?;
            if !said.status.success() {
                return Err(format!("mke2fs: {}", String::from_utf8_lossy(&said.stderr)));
            }
        }
        Ok(path)
    }
}

/// The disks of one run; gone with it.
pub struct Disks {
    /// What the program is told.
    pub paths: Vec<String>,
    /// What `skiff run` is.
    pub flags: Vec<String>,
    loops: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Disks {
    /// Empty disks for a machine.
    pub fn for_guest(wanted: &[Wanted]) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut disks = Self { paths: Vec::new(), flags: Vec::new(), loops: Vec::new(), _dir: dir };
        for (index, disk) in wanted.iter().enumerate() {
            let path = disk.make(disks._dir.path(), index)?;
            let options: String = disk.options.iter().map(|option| format!(":{option}")).collect();
            disks.flags.push(format!("--disk={}{options}", path.display()));
            disks.paths.push(format!("/dev/vd{}", char::from(b'a' + index as u8)));
        }
        Ok(disks)
    }

    /// Empty loop devices.
    pub fn native(wanted: &[Wanted]) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut disks = Self { paths: Vec::new(), flags: Vec::new(), loops: Vec::new(), _dir: dir };
        for (index, disk) in wanted.iter().enumerate() {
            let path = disk.make(disks._dir.path(), index)?;
            let mut command = Command::new("losetup");
            command.args(["--find", "--show", "--partscan"]);
            for option in &disk.options {
                match option.split_once('=') {
                    Some(("sector", size)) => drop(command.args(["--sector-size", size])),
                    None if option == "ro" => drop(command.arg("--read-only")),
                    _ => return Err(format!("a loop device has no {option}")),
                }
            }
            let said = command.arg(&path).output().map_err(|e| format!("losetup: {e}"))?;
            if !said.status.success() {
                return Err(format!("losetup: {}", String::from_utf8_lossy(&said.stderr)));
            }
            let name = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            disks.loops.push(name.clone());
            disks.paths.push(name);
        }
        Ok(disks)
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for name in &self.loops {
            let _ = Command::new("losetup").args(["--detach", name]).status();
        }
    }
}
