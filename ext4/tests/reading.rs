//! Images that mke2fs filled are read as they were meant.

mod support;

use fs::FileType;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use support::*;

/// A tree with what a tree can have without privileges.
fn fill(root: &std::path::Path) {
    std::fs::create_dir_all(root.join("dir/below")).unwrap();
    std::fs::create_dir_all(root.join("many")).unwrap();
    std::fs::write(root.join("empty"), b"").unwrap();
    std::fs::write(root.join("tiny"), b"tiny").unwrap();
    std::fs::write(root.join("inline"), [7u8; 100]).unwrap();
    std::fs::write(root.join("dir/large"), (0..3_000_000u32).flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    for n in 0..700 {
        std::fs::write(root.join(format!("many/a-name-that-takes-some-room-{n}")), format!("{n}")).unwrap();
    }
    symlink("tiny", root.join("short-link")).unwrap();
    symlink("x/".repeat(100), root.join("long-link")).unwrap();
    std::fs::hard_link(root.join("tiny"), root.join("dir/below/hard")).unwrap();
    sh(&format!("mkfifo -m 600 {0}/fifo; truncate -s 9M {0}/sparse; echo end >> {0}/sparse", root.display()));
}

/// Every path below a directory, as this crate sees it.
fn walk(fs: &ext4::Ext4, dir: u32, path: &str, all: &mut BTreeMap<String, u32>) {
    let mut cookie = 2;
    loop {
        let mut batch = Vec::new();
        cookie = fs
            .readdir(dir, cookie, &mut |entry| {
                batch.push((String::from_utf8_lossy(entry.name).into_owned(), entry.ino as u32, entry.file_type));
                batch.len() < 50
            })
            .unwrap();
        // The entry that was refused comes again.
        let taken = if batch.len() == 50 { 49 } else { batch.len() };
        for (name, ino, kind) in batch.iter().take(taken) {
            let path = format!("{path}/{name}");
            assert_eq!(fs.lookup(dir, name.as_bytes()).unwrap(), *ino, "{path}");
            assert!(all.insert(path.clone(), *ino).is_none(), "{path} twice");
            if *kind == FileType::Dir {
                walk(fs, *ino, &path, all);
            }
        }
        if taken == batch.len() {
            return;
        }
    }
}

#[test]
fn trees_of_mke2fs() {
    let folder = Folder::new("reading");
    let tree = folder.path("tree");
    fill(&tree);
    for (kind, options) in KINDS {
        let image = folder.path(kind);
        mke2fs(&image, &format!("{options} -d {}", tree.display()), "64M");
        let disk = Memory::of(&image);
        let fs = mount(&disk, read_only()).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let mut all = BTreeMap::new();
        walk(&fs, ext4::ROOT_INO, "", &mut all);
        for (path, ino) in &all {
            if path.starts_with("/lost+found") {
                continue;
            }
            let real = tree.join(&path[1..]);
            let want = std::fs::symlink_metadata(&real).unwrap();
            let got = fs.metadata(*ino).unwrap();
            assert_eq!((got.mode, got.uid, got.gid), (want.mode(), want.uid(), want.gid()), "{kind} {path}");
            assert_eq!(got.mtime.sec, want.mtime(), "{kind} {path}");
            if want.is_file() {
                assert_eq!((got.size, got.nlink), (want.size(), want.nlink() as u32), "{kind} {path}");
                let mut data = vec![0xaa; want.size() as usize + 10];
                assert_eq!(fs.read(*ino, 0, &mut data).unwrap(), want.size() as usize);
                assert!(data[..want.size() as usize] == std::fs::read(&real).unwrap(), "{kind} {path}");
            }
            if want.is_symlink() {
                assert_eq!(fs.readlink(*ino).unwrap(), std::fs::read_link(&real).unwrap().as_os_str().as_encoded_bytes());
            }
        }
        assert_eq!(all.len(), 713, "{kind}");
        // With inline_data mke2fs gives a file that begins with a hole a first block of zeros.
        if kind.contains("upstream") {
            continue;
        }
        let sparse = all["/sparse"];
        assert_eq!(fs.seek_data(sparse, 0).unwrap(), 9 << 20, "{kind}");
        assert_eq!(fs.seek_hole(sparse, 9 << 20).unwrap(), (9 << 20) + 4, "{kind}");
    }
}

#[test]
fn descriptors_are_where_there_are_groups() {
    let folder = Folder::new("meta-bg");
    let image = folder.path("image");
    mke2fs(&image, "-t ext4 -b 1024 -O meta_bg,^resize_inode,^metadata_csum", "8M");
    let disk = Memory::of(&image);
    // s_first_meta_bg, which counts blocks of descriptors.
    disk.bytes.lock().unwrap()[1024 + 0x104..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let Err(error) = mount(&disk, read_write()) else { panic!("mounted") };
    assert!(error.to_string().contains("s_first_meta_bg"), "{error}");
}
