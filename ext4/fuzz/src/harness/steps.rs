//! What is done with a file system: at first a look at all of it, then what the input says.

use ext4::{Ext4, ROOT_INO};
use fs::inode::NewNode;
use fs::{FallocateMode, FileType, RenameFlags, SetAttr, XattrFlags};

/// What of the input is left.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next bytes, at most `len`.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (now, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        now
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).first().copied()
    }

    /// The next two bytes as a number.
    pub fn word(&mut self) -> Option<u16> {
        self.take(2).try_into().ok().map(u16::from_le_bytes)
    }

    /// A number as formats have them: small, at the edge of its width, or any.
    pub fn number(&mut self) -> u64 {
        let Some(kind) = self.byte() else { return 0 };
        let small = u64::from(kind >> 3);
        match kind % 8 {
            0 => small,
            1 => u64::from(u32::MAX) - small,
            2 => u64::from(u16::MAX) - small,
            3 => 1 << (small * 2),
            4 => u64::MAX - small,
            _ => self.take(8).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        }
    }
}

/// Entries that are looked at in all, and in one directory.
const MAX_FILES: usize = 300;
const MAX_ENTRIES: usize = 100;
const MAX_DEPTH: u32 = 4;
/// Bytes that one step writes or reads at most.
const MAX_LEN: u64 = 20_000;

/// A file: the directory and the name by which it was found, and its inode's number.
type Found = (u32, Vec<u8>, u32);

/// Steps on a file system.
pub struct Steps<'a> {
    fs: &'a Ext4,
    found: Vec<Found>,
}

impl<'a> Steps<'a> {
    /// Looks at everything first, as far as errors and loops let it.
    pub fn new(fs: &'a Ext4) -> Self {
        let mut steps = Steps { fs, found: vec![(ROOT_INO, b".".to_vec(), ROOT_INO)] };
        steps.look(ROOT_INO, 0);
        steps
    }

    fn look(&mut self, dir: u32, depth: u32) {
        let mut entries = Vec::new();
        let _ = self.fs.readdir(dir, 2, &mut |entry| {
            entries.push((entry.name.to_vec(), entry.ino as u32, entry.file_type));
            entries.len() < MAX_ENTRIES
        });
        for (name, ino, kind) in entries {
            if self.found.len() >= MAX_FILES {
                return;
            }
            self.read(dir, &name, ino);
            self.found.push((dir, name, ino));
            if kind == FileType::Dir && depth < MAX_DEPTH {
                self.look(ino, depth + 1);
            }
        }
    }

    fn read(&self, dir: u32, name: &[u8], ino: u32) {
        let fs = self.fs;
        let _ = (fs.lookup(dir, name), fs.metadata(ino), fs.readlink(ino), fs.generation(ino), fs.flags(ino));
        for attribute in fs.listxattr(ino).unwrap_or_default() {
            let _ = fs.getxattr(ino, &attribute);
        }
        let mut data = [0; 3000];
        let _ = (fs.read(ino, 0, &mut data), fs.read(ino, 70_000, &mut data));
        let _ = (fs.seek_data(ino, 0), fs.seek_hole(ino, 0));
    }

    /// Does what the input says, to its end.
    pub fn run(&mut self, input: &mut Input) {
        while let Some(step) = input.byte() {
            self.step(step, input);
        }
        let _ = self.fs.statfs();
    }

    fn step(&mut self, step: u8, input: &mut Input) {
        let fs = self.fs;
        let which = usize::from(input.word().unwrap_or(0));
        let (dir, name, ino) = self.found[which % self.found.len()].clone();
        let node = |kind| NewNode { mode: kind | 0o644, uid: 1, gid: 2 };
        let new = format!("{:a<1$}", which, usize::from(step) % 255).into_bytes();
        match step % 19 {
            0 => self.keep(
                dir,
                &new,
                fs.create(ino, &new, node(fs::S_IFREG)).or_else(|_| fs.create(dir, &new, node(fs::S_IFREG))),
            ),
            1 => self.keep(dir, &new, fs.create(dir, &new, node(fs::S_IFDIR))),
            2 => self.keep(dir, &new, fs.symlink(dir, &new, &new, node(fs::S_IFLNK))),
            3 => drop(fs.link(dir, &new, ino)),
            4 => drop(fs.unlink(dir, &name).and_then(|gone| fs.release(gone))),
            5 => drop(fs.rmdir(dir, &name).and_then(|gone| fs.release(gone))),
            6 => {
                let (to, over, _) = self.found[usize::from(input.byte().unwrap_or(0)) % self.found.len()].clone();
                let flags = RenameFlags::from_bits_truncate(u32::from(step >> 5) % 5);
                drop(fs.rename((dir, &name), (to, &over), flags, node(fs::S_IFCHR)));
            }
            7 => drop(fs.truncate(ino, input.number())),
            8..=10 => {
                let data = vec![step; usize::from(input.word().unwrap_or(0)) % MAX_LEN as usize];
                drop(fs.write(ino, input.number() >> (step % 3 * 20), &data));
            }
            11..=13 => {
                let mode = FallocateMode::from_bits_truncate(input.byte().unwrap_or(0).into());
                let (off, len) = (input.number() >> 20, input.number() >> 20);
                drop(fs.fallocate(ino, mode, off, len % (1 << 22)));
            }
            14 => drop(fs.setxattr(ino, b"user.x", &new, XattrFlags::empty())),
            15 => drop(fs.removexattr(ino, b"user.small").and_then(|()| fs.removexattr(ino, b"user.large"))),
            16 => drop(fs.set_flags(ino, input.number() as u32)),
            17 => drop(fs.setattr(ino, &SetAttr::default())),
            _ => drop(fs.sync()),
        }
    }

    fn keep<E>(&mut self, dir: u32, name: &[u8], made: Result<u32, E>) {
        if let Ok(ino) = made
            && self.found.len() < MAX_FILES
        {
            self.found.push((dir, name.to_vec(), ino));
        }
    }
}
