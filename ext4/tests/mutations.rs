//! Images with wrong bytes: an error, a refused mount or a mount that has become read-only, never a
//! panic or a hang.

mod support;

use ext4::{Ext4, MountOptions, ROOT_INO};
use fs::inode::NewNode;
use fs::{FallocateMode, FileType, RenameFlags, XattrFlags};
use std::time::{Duration, Instant};
use support::*;

struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % below.max(1)
    }
}

/// Looks at everything below a directory, as far as errors and loops let it.
fn look(fs: &Ext4, dir: u32, depth: u32, left: &mut u32) {
    let mut found = Vec::new();
    let _ = fs.readdir(dir, 2, &mut |entry| {
        found.push((entry.name.to_vec(), entry.ino as u32, entry.file_type));
        found.len() < 300
    });
    for (name, ino, kind) in found {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        let _ = (fs.lookup(dir, &name), fs.metadata(ino), fs.readlink(ino), fs.listxattr(ino));
        let _ = fs.getxattr(ino, b"user.x");
        let mut data = [0; 3000];
        let _ = (fs.read(ino, 0, &mut data), fs.read(ino, 70_000, &mut data));
        let _ = (fs.seek_data(ino, 0), fs.seek_hole(ino, 0));
        if kind == FileType::Dir && depth < 4 {
            look(fs, ino, depth + 1, left);
        }
    }
}

/// Changes a few things of every kind.
fn change(fs: &Ext4, chance: &mut Chance) {
    let file = NewNode { mode: fs::S_IFREG | 0o600, uid: 0, gid: 0 };
    let names: [&[u8]; 5] = [b"large", b"tiny", b"many", b"many/x", b"sparse"];
    let many = fs.lookup(ROOT_INO, b"many").unwrap_or(ROOT_INO);
    for n in 0..12u32 {
        let name = format!("new-{n}-{}", "y".repeat(chance.next(200) as usize)).into_bytes();
        let made = fs.create(if n % 2 == 0 { many } else { ROOT_INO }, &name, file);
        if let Ok(ino) = made {
            let _ = fs.write(ino, chance.next(50_000), &[1; 5000]);
            let _ = fs.setxattr(ino, b"user.new", &[b'v'; 300], XattrFlags::empty());
        }
    }
    for name in names {
        let Ok(ino) = fs.lookup(ROOT_INO, name) else { continue };
        let off = chance.next(60_000);
        let _ = fs.write(ino, off, &[2; 2000]);
        let _ = fs.fallocate(ino, FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE, off / 2, 9000);
        let _ = fs.fallocate(ino, FallocateMode::COLLAPSE_RANGE, 4096, 4096);
        let _ = fs.setxattr(ino, b"user.x", b"new", XattrFlags::empty());
        let _ = fs.truncate(ino, off);
    }
    let _ = fs.rename((ROOT_INO, b"tiny"), (many, b"moved"), RenameFlags::empty(), file);
    for name in [&b"large"[..], b"fifo", b"sparse"] {
        if let Ok(ino) = fs.unlink(ROOT_INO, name) {
            let _ = fs.release(ino);
        }
    }
    let _ = (fs.statfs(), fs.trim(0), fs.sync(), fs.unmount());
}

/// Blocks that hold metadata: those that differ from zero near the beginning, and those that a
/// mount reads.
fn mutate(bytes: &mut [u8], used: &[usize], chance: &mut Chance) {
    for _ in 0..1 + chance.next(6) {
        let block = used[chance.next(used.len() as u64) as usize];
        let at = block + chance.next(1024) as usize;
        let value = match chance.next(5) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ 1 << chance.next(8),
            _ => chance.next(256) as u8,
        };
        bytes[at] = value;
        if chance.next(4) == 0 {
            let (from, to) = (used[chance.next(used.len() as u64) as usize], used[chance.next(used.len() as u64) as usize]);
            bytes.copy_within(from..from + 1024, to);
        }
    }
}

#[test]
fn wrong_bytes_are_errors() {
    let rounds: u64 = std::env::var("EXT4_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(250);
    let folder = Folder::new("mutations");
    let tree = folder.path("tree");
    std::fs::create_dir_all(tree.join("many")).unwrap();
    for n in 0..150 {
        std::fs::write(tree.join(format!("many/a-long-name-for-a-file-{n}")), b"x").unwrap();
    }
    std::fs::write(tree.join("large"), vec![3; 100_000]).unwrap();
    std::fs::write(tree.join("tiny"), b"tiny").unwrap();
    sh(&format!("cd {}; mkfifo fifo; truncate -s 1M sparse; echo x >> sparse; ln -s tiny link", tree.display()));
    let kinds = [
        ("unchecked", "-t ext4 -O ^metadata_csum -b 1024 -N 256"),
        ("inline", "-t ext4 -O ^metadata_csum,inline_data -b 1024 -N 256"),
        ("blocks", "-t ext3 -b 1024 -N 256"),
        ("checked", "-t ext4 -b 1024 -N 256"),
    ];
    for (kind, options) in kinds {
        let image = folder.path(kind);
        mke2fs(&image, &format!("{options} -d {}", tree.display()), "6M");
        let dirty = Memory::of(&image);
        let fs = mount(&dirty, read_write()).unwrap();
        let mut chance = Chance(0x5eed_0000_0001);
        for n in 0..20 {
            let file = NewNode { mode: fs::S_IFREG | 0o600, uid: 0, gid: 0 };
            fs.create(ROOT_INO, format!("logged-{n}").as_bytes(), file).unwrap();
            fs.tmpfile(ROOT_INO, file).unwrap();
        }
        fs.sync().unwrap();
        drop(fs);
        for (state, bytes) in [("clean", std::fs::read(&image).unwrap()), ("dirty", dirty.bytes.lock().unwrap().clone())] {
            let used: Vec<usize> =
                bytes.chunks(1024).enumerate().filter(|(_, b)| b.iter().any(|b| *b != 0)).map(|(n, _)| n * 1024).collect();
            for round in 0..rounds {
                let mut copy = bytes.clone();
                mutate(&mut copy, &used, &mut chance);
                let disk = Memory::new(copy);
                let start = Instant::now();
                let options = MountOptions { cache_blocks: 64, ..read_write() };
                let run = std::panic::catch_unwind(|| {
                    let Ok(fs) = mount(&disk, options) else { return };
                    look(&fs, ROOT_INO, 0, &mut 2000);
                    change(&fs, &mut Chance(round + 1));
                });
                assert!(run.is_ok(), "panic: {kind} {state} round {round}");
                assert!(start.elapsed() < Duration::from_secs(20), "slow: {kind} {state} round {round}");
            }
        }
    }
}
