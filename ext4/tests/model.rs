//! Random operations with a model beside them: what the file system says is what the model says,
//! also after a mount anew, and e2fsck finds nothing.

mod support;

use ext4::{Error, Ext4, ROOT_INO};
use fs::inode::NewNode;
use fs::{FallocateMode, RenameFlags, XattrFlags};
use std::collections::BTreeMap;
use support::*;
use syscall_shim::Errno;

struct Chance(u64);

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % below.max(1)
    }
}

#[derive(Clone, Default)]
struct File {
    data: Vec<u8>,
    attrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Directories by number, each with names of directories and files; files by inode.
#[derive(Default)]
struct Model {
    dirs: BTreeMap<u32, BTreeMap<Vec<u8>, u32>>,
    files: BTreeMap<u32, File>,
}

const MOST: usize = 600_000;

fn step(fs: &Ext4, model: &mut Model, chance: &mut Chance, extents: bool) {
    let dirs: Vec<u32> = model.dirs.keys().copied().collect();
    let dir = dirs[chance.next(dirs.len())];
    let name = format!("{}-{}", chance.next(40), "n".repeat(chance.next(4) * 40)).into_bytes();
    let there = model.dirs[&dir].get(&name).copied();
    let file = NewNode { mode: fs::S_IFREG | 0o600, uid: 1, gid: 2 };
    let files: Vec<u32> = model.files.keys().copied().collect();
    let some = files.get(chance.next(files.len())).copied();
    match chance.next(14) {
        0 | 1 => match (fs.create(dir, &name, file), there) {
            (Ok(ino), None) => {
                model.dirs.get_mut(&dir).unwrap().insert(name, ino);
                model.files.insert(ino, File::default());
            }
            (Err(Error::Refused(Errno::EEXIST)), Some(_)) => {}
            (other, _) => panic!("create: {other:?}"),
        },
        2 if dirs.len() < 12 && there.is_none() => {
            let ino = fs.create(dir, &name, NewNode { mode: fs::S_IFDIR | 0o700, ..file }).unwrap();
            model.dirs.get_mut(&dir).unwrap().insert(name, ino);
            model.dirs.insert(ino, BTreeMap::new());
        }
        3 => match there {
            Some(ino) if model.dirs.contains_key(&ino) => {
                let empty = model.dirs[&ino].is_empty();
                match fs.rmdir(dir, &name) {
                    Ok(gone) if empty => {
                        assert_eq!(gone, ino);
                        fs.release(ino).unwrap();
                        model.dirs.remove(&ino);
                        model.dirs.get_mut(&dir).unwrap().remove(&name);
                    }
                    Err(Error::Refused(Errno::ENOTEMPTY)) if !empty => {}
                    other => panic!("rmdir: {other:?}"),
                }
            }
            Some(ino) => {
                assert_eq!(fs.unlink(dir, &name).unwrap(), ino);
                model.dirs.get_mut(&dir).unwrap().remove(&name);
                if !model.dirs.values().any(|names| names.values().any(|other| *other == ino)) {
                    fs.release(ino).unwrap();
                    model.files.remove(&ino);
                }
            }
            None => assert_eq!(fs.unlink(dir, &name), Err(Error::Refused(Errno::ENOENT))),
        },
        4 => {
            if let (Some(ino), None) = (some, there) {
                fs.link(dir, &name, ino).unwrap();
                model.dirs.get_mut(&dir).unwrap().insert(name, ino);
            }
        }
        5 => {
            let to = dirs[chance.next(dirs.len())];
            let new = format!("{}-", chance.next(40)).into_bytes();
            let (Some(ino), target) = (there, model.dirs[&to].get(&new).copied()) else { return };
            // Directories stay where they are: nothing here keeps them from going below themselves.
            if model.dirs.contains_key(&ino) || target.is_some_and(|target| model.dirs.contains_key(&target)) {
                return;
            }
            if let Some(target) = target.filter(|_| chance.next(2) == 0) {
                fs.rename((dir, &name), (to, &new), RenameFlags::EXCHANGE, file).unwrap();
                model.dirs.get_mut(&dir).unwrap().insert(name, target);
                model.dirs.get_mut(&to).unwrap().insert(new, ino);
                return;
            }
            let gone = fs.rename((dir, &name), (to, &new), RenameFlags::empty(), file).unwrap();
            if target != Some(ino) {
                model.dirs.get_mut(&dir).unwrap().remove(&name);
                model.dirs.get_mut(&to).unwrap().insert(new, ino);
            }
            if gone != 0 {
                fs.release(gone).unwrap();
                model.files.remove(&gone);
            }
        }
        6..=8 => {
            let Some(ino) = some else { return };
            let data = &mut model.files.get_mut(&ino).unwrap().data;
            let (at, len) = (chance.next(MOST), 1 + chance.next(30_000));
            let byte = chance.next(255) as u8 + 1;
            fs.write(ino, at as u64, &vec![byte; len]).unwrap();
            data.resize(data.len().max(at + len), 0);
            data[at..at + len].fill(byte);
        }
        9 => {
            let Some(ino) = some else { return };
            let size = chance.next(MOST);
            fs.truncate(ino, size as u64).unwrap();
            model.files.get_mut(&ino).unwrap().data.resize(size, 0);
        }
        10 => {
            let Some(ino) = some else { return };
            let data = &mut model.files.get_mut(&ino).unwrap().data;
            let (at, len) = (chance.next(MOST), 1 + chance.next(60_000));
            fs.fallocate(ino, FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE, at as u64, len as u64).unwrap();
            let (from, to) = (at.min(data.len()), (at + len).min(data.len()));
            data[from..to].fill(0);
        }
        11 if extents => {
            let Some(ino) = some else { return };
            let data = &mut model.files.get_mut(&ino).unwrap().data;
            let (at, len) = (chance.next(20) * 8192, (1 + chance.next(4)) * 8192);
            match chance.next(3) {
                0 => {
                    fs.fallocate(ino, FallocateMode::empty(), at as u64, len as u64).unwrap();
                    data.resize(data.len().max(at + len), 0);
                }
                1 if at + len < data.len() => {
                    fs.fallocate(ino, FallocateMode::COLLAPSE_RANGE, at as u64, len as u64).unwrap();
                    data.drain(at..at + len);
                }
                2 if at < data.len() => {
                    fs.fallocate(ino, FallocateMode::INSERT_RANGE, at as u64, len as u64).unwrap();
                    data.splice(at..at, vec![0; len]);
                }
                _ => {}
            }
        }
        12 => {
            let Some(ino) = some else { return };
            let attrs = &mut model.files.get_mut(&ino).unwrap().attrs;
            let name = format!("user.{}", chance.next(5)).into_bytes();
            let value = vec![chance.next(256) as u8; chance.next(150)];
            if chance.next(3) == 0 {
                assert_eq!(fs.removexattr(ino, &name).is_ok(), attrs.remove(&name).is_some());
            } else {
                fs.setxattr(ino, &name, &value, XattrFlags::empty()).unwrap();
                attrs.insert(name, value);
            }
        }
        _ => {
            if chance.next(4) == 0 {
                fs.sync().unwrap();
            }
        }
    }
}

fn compare(fs: &Ext4, model: &Model) {
    for (dir, names) in &model.dirs {
        let mut found = BTreeMap::new();
        fs.readdir(*dir, 2, &mut |entry| {
            found.insert(entry.name.to_vec(), entry.ino as u32);
            true
        })
        .unwrap();
        found.remove(&b"lost+found"[..]);
        assert_eq!(&found, names);
    }
    for (ino, file) in &model.files {
        assert_eq!(fs.metadata(*ino).unwrap().size, file.data.len() as u64);
        let mut data = vec![0xaa; file.data.len()];
        fs.read(*ino, 0, &mut data).unwrap();
        assert!(data == file.data, "content of {ino}");
        let names: Vec<Vec<u8>> = fs.listxattr(*ino).unwrap();
        assert_eq!(names.len(), file.attrs.len());
        for (name, value) in &file.attrs {
            assert_eq!(&fs.getxattr(*ino, name).unwrap(), value);
        }
    }
}

#[test]
fn random_operations() {
    let steps: usize = std::env::var("EXT4_STEPS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let seed: u64 = std::env::var("EXT4_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let folder = Folder::new("model");
    for (kind, options) in KINDS.iter().filter(|(kind, _)| ["default-1k", "upstream", "ext3", "no-journal"].contains(kind)) {
        let image = folder.path(kind);
        mke2fs(&image, options, "96M");
        let disk = Memory::of(&image);
        let mut model = Model::default();
        model.dirs.insert(ROOT_INO, BTreeMap::new());
        let mut chance = Chance(0x1234_5678_9abc + seed);
        for round in 0..3 {
            let fs = mount(&disk, read_write()).unwrap();
            for n in 0..steps / 3 {
                let before = chance.0;
                let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    step(&fs, &mut model, &mut chance, *kind != "ext3")
                }));
                assert!(run.is_ok(), "{kind} round {round} step {n} state {before:#x}");
            }
            compare(&fs, &model);
            // Every other time as after a crash.
            match round % 2 {
                0 if *kind != "no-journal" => fs.sync().unwrap(),
                _ => fs.unmount().unwrap(),
            }
        }
        let fs = mount(&disk, read_write()).unwrap();
        compare(&fs, &model);
        fs.unmount().unwrap();
        disk.save(&image);
        println!("{kind}");
        e2fsck(&image);
    }
}
