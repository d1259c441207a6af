//! Images of real tools, and devices in memory over them.
#![allow(dead_code)]

use ext4::{BlockDevice, DeviceError, Environment, Ext4, MountOptions};
use fs::Timespec;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A disk in memory that notes what was written between flushes.
pub struct Memory {
    pub bytes: Mutex<Vec<u8>>,
    pub log: Mutex<Option<Vec<Event>>>,
    pub read_only: bool,
}

/// What came to the disk.
#[derive(Clone)]
pub enum Event {
    Write(u64, Vec<u8>),
    Flush,
}

impl Memory {
    pub fn new(bytes: Vec<u8>) -> Arc<Memory> {
        Arc::new(Memory { bytes: Mutex::new(bytes), log: Mutex::new(None), read_only: false })
    }

    pub fn of(path: &Path) -> Arc<Memory> {
        Memory::new(std::fs::read(path).expect("image"))
    }

    pub fn save(&self, path: &Path) {
        std::fs::write(path, &*self.bytes.lock().unwrap()).expect("image");
    }
}

impl BlockDevice for Memory {
    fn size(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        let bytes = self.bytes.lock().unwrap();
        buf.copy_from_slice(bytes.get(offset as usize..offset as usize + buf.len()).ok_or(DeviceError)?);
        Ok(())
    }
    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut bytes = self.bytes.lock().unwrap();
        bytes.get_mut(offset as usize..offset as usize + buf.len()).ok_or(DeviceError)?.copy_from_slice(buf);
        if let Some(log) = &mut *self.log.lock().unwrap() {
            log.push(Event::Write(offset, buf.to_vec()));
        }
        Ok(())
    }
    fn flush(&self) -> Result<(), DeviceError> {
        if let Some(log) = &mut *self.log.lock().unwrap() {
            log.push(Event::Flush);
        }
        Ok(())
    }
}

/// Time and chance that are the same each time.
#[derive(Default)]
pub struct Fixed {
    random: AtomicU32,
    pub messages: Mutex<Vec<String>>,
}

impl Environment for Fixed {
    fn now(&self) -> Timespec {
        Timespec { sec: 4_400_000_000, nsec: 123_456_789 }
    }
    fn random(&self) -> u32 {
        self.random.fetch_add(0x9e37_79b9, Ordering::Relaxed)
    }
    fn message(&self, text: String) {
        self.messages.lock().unwrap().push(text);
    }
}

pub fn mount(device: &Arc<Memory>, options: MountOptions) -> ext4::Result<Ext4> {
    fs::testing::install();
    Ext4::mount(device.clone(), Arc::new(Fixed::default()), options)
}

pub fn read_write() -> MountOptions {
    MountOptions::default()
}

pub fn read_only() -> MountOptions {
    MountOptions { read_only: true, ..MountOptions::default() }
}

/// A folder that goes with the value.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ext4-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("temporary folder");
        Folder(path)
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a command of sh(1); its output. Fails the test when the status is not one of `fine`.
pub fn sh_status(command: &str, fine: &[i32]) -> String {
    let out = Command::new("sh").args(["-c", command]).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().expect("sh");
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.code().is_some_and(|code| fine.contains(&code)), "{command}: {}\n{text}", out.status);
    text
}

pub fn sh(command: &str) -> String {
    sh_status(command, &[0])
}

/// Makes an image with mke2fs.
pub fn mke2fs(path: &Path, options: &str, size: &str) {
    sh(&format!("rm -f {0}; mke2fs -q -F {options} {0} {size}", path.display()));
}

/// The check that must find nothing.
pub fn e2fsck(path: &Path) {
    let text = sh(&format!("e2fsck -fn {}", path.display()));
    let wrong = text.lines().find(|line| line.contains("wrong") || line.contains("Fix?") || line.contains("WARNING"));
    assert!(wrong.is_none(), "e2fsck: {text}");
}

/// Configurations that images are made with.
pub const KINDS: &[(&str, &str)] = &[
    ("default-1k", "-t ext4 -b 1024"),
    ("default-4k", "-t ext4 -b 4096"),
    ("upstream", "-t ext4 -b 4096 -O metadata_csum_seed,orphan_file,inline_data,large_dir"),
    ("ext2", "-t ext2 -b 1024"),
    ("ext3", "-t ext3 -b 1024"),
    ("no-csum", "-t ext4 -O ^metadata_csum,uninit_bg -b 1024"),
    ("small-inodes", "-t ext4 -I 128 -b 4096"),
    ("meta-bg", "-t ext4 -O meta_bg,^resize_inode -b 1024"),
    ("sparse-super2", "-t ext4 -O sparse_super2 -b 2048"),
    ("no-journal", "-t ext4 -O ^has_journal -b 4096"),
];
