//! The journal: ours as e2fsck replays it, Linux's as we replay it, and every state that a crash
//! may leave.

mod support;

use ext4::{Ext4, ROOT_INO};
use fs::inode::NewNode;
use support::*;

fn file() -> NewNode {
    NewNode { mode: fs::S_IFREG | 0o600, uid: 0, gid: 0 }
}

fn content(fs: &Ext4, ino: u32) -> Vec<u8> {
    let mut data = vec![0; fs.metadata(ino).unwrap().size as usize];
    fs.read(ino, 0, &mut data).unwrap();
    data
}

const JOURNALED: &[&str] = &["default-1k", "default-4k", "upstream", "ext3", "no-csum"];

/// Blocks that begin with the journal's own number, in a directory that only the log has; removed
/// again and reused.
fn change(fs: &Ext4) {
    let dir = fs.create(ROOT_INO, b"dir", NewNode { mode: fs::S_IFDIR | 0o755, uid: 0, gid: 0 }).unwrap();
    for n in 0..300 {
        let ino = fs.create(dir, format!("file-{n}").as_bytes(), file()).unwrap();
        fs.write(ino, 0, format!("content {n}").repeat(300).as_bytes()).unwrap();
        if n % 40 == 0 {
            fs.sync().unwrap();
        }
    }
    fs.sync().unwrap();
    for n in 0..100 {
        let ino = fs.unlink(dir, format!("file-{n}").as_bytes()).unwrap();
        fs.release(ino).unwrap();
    }
    // A directory goes, and its blocks become a file's: the log must not write over it.
    let old = fs.create(ROOT_INO, b"old", NewNode { mode: fs::S_IFDIR | 0o755, uid: 0, gid: 0 }).unwrap();
    for n in 0..60 {
        fs.link(old, format!("link-{n}-{}", "x".repeat(200)).as_bytes(), fs.lookup(dir, b"file-200").unwrap()).unwrap();
    }
    fs.sync().unwrap();
    for n in 0..60 {
        fs.unlink(old, format!("link-{n}-{}", "x".repeat(200)).as_bytes()).unwrap();
    }
    let ino = fs.rmdir(ROOT_INO, b"old").unwrap();
    fs.release(ino).unwrap();
    fs.sync().unwrap();
    let f = fs.create(ROOT_INO, b"reuse", file()).unwrap();
    fs.write(f, 0, &vec![0x5a; 3 << 20]).unwrap();
    fs.symlink(ROOT_INO, b"escaped", &[&0xc03b_3998u32.to_be_bytes()[..], &[b'e'; 500]].concat(), file()).unwrap();
    fs.sync().unwrap();
}

fn see(fs: &Ext4) {
    let dir = fs.lookup(ROOT_INO, b"dir").unwrap();
    for n in 0..300 {
        let found = fs.lookup(dir, format!("file-{n}").as_bytes());
        assert_eq!(found.is_ok(), n >= 100);
        if let Ok(ino) = found {
            assert_eq!(content(fs, ino), format!("content {n}").repeat(300).as_bytes());
        }
    }
    assert!(content(fs, fs.lookup(ROOT_INO, b"reuse").unwrap()).iter().all(|byte| *byte == 0x5a));
    let text = fs.readlink(fs.lookup(ROOT_INO, b"escaped").unwrap()).unwrap();
    assert_eq!(text[..4], 0xc03b_3998u32.to_be_bytes());
}

#[test]
fn others_replay_what_we_logged() {
    let folder = Folder::new("logged");
    for (kind, options) in KINDS.iter().filter(|(kind, _)| JOURNALED.contains(kind)) {
        let image = folder.path(kind);
        mke2fs(&image, options, "24M");
        let disk = Memory::of(&image);
        change(&mount(&disk, read_write()).unwrap());
        // No unmount: e2fsck replays a copy, and so do we.
        disk.save(&image);
        sh_status(&format!("e2fsck -fy {}", image.display()), &[0, 1]);
        e2fsck(&image);
        see(&mount(&Memory::of(&image), read_only()).unwrap());
        let fs = mount(&disk, read_write()).unwrap();
        see(&fs);
        fs.unmount().unwrap();
        disk.save(&image);
        e2fsck(&image);
    }
}

/// What a device that loses power after `cut` events may hold: all writes up to the last flush, and
/// any kilobytes of those after it.
fn after_crash(before: &[u8], log: &[Event], cut: usize, chance: &mut u32) -> Vec<u8> {
    let flushed = log[..cut].iter().rposition(|event| matches!(event, Event::Flush)).unwrap_or(0);
    let mut bytes = before.to_vec();
    for (at, event) in log[..cut].iter().enumerate() {
        let Event::Write(offset, data) = event else { continue };
        for (n, part) in data.chunks(1024).enumerate() {
            *chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at < flushed || *chance >> 31 == 0 {
                let start = *offset as usize + n * 1024;
                bytes[start..start + part.len()].copy_from_slice(part);
            }
        }
    }
    bytes
}

#[test]
fn any_crash_leaves_what_was_synced() {
    let folder = Folder::new("crash");
    for (kind, options) in KINDS.iter().filter(|(kind, _)| ["default-1k", "ext3", "upstream"].contains(kind)) {
        let image = folder.path(kind);
        mke2fs(&image, options, "12M");
        let disk = Memory::of(&image);
        let before = disk.bytes.lock().unwrap().clone();
        *disk.log.lock().unwrap() = Some(Vec::new());
        let fs = mount(&disk, read_write()).unwrap();
        // For each sync: how many events there were then, and what must be there since.
        let mut promised: Vec<(usize, u32)> = Vec::new();
        let events = || disk.log.lock().unwrap().as_ref().map_or(0, Vec::len);
        for n in 0..24u32 {
            // Directories and blocks of metadata come and go beside it.
            let side =
                fs.create(ROOT_INO, format!("dir-{n}").as_bytes(), NewNode { mode: fs::S_IFDIR | 0o700, ..file() }).unwrap();
            for m in 0..20 {
                fs.symlink(side, format!("{m}-{}", "s".repeat(150)).as_bytes(), &[b't'; 300], file()).unwrap();
            }
            if n > 1 {
                let old = fs.lookup(ROOT_INO, format!("dir-{}", n - 2).as_bytes()).unwrap();
                for m in 0..20 {
                    let gone = fs.unlink(old, format!("{m}-{}", "s".repeat(150)).as_bytes()).unwrap();
                    fs.release(gone).unwrap();
                }
                let gone = fs.rmdir(ROOT_INO, format!("dir-{}", n - 2).as_bytes()).unwrap();
                fs.release(gone).unwrap();
            }
            let ino = fs.create(ROOT_INO, format!("new-{n}").as_bytes(), file()).unwrap();
            fs.write(ino, 0, &vec![n as u8 + 1; 5000]).unwrap();
            fs.rename((ROOT_INO, format!("new-{n}").as_bytes()), (ROOT_INO, b"last"), fs::RenameFlags::empty(), file())
                .and_then(|gone| if gone == 0 { Ok(()) } else { fs.release(gone) })
                .unwrap();
            fs.sync().unwrap();
            promised.push((events(), n));
        }
        let log = disk.log.lock().unwrap().take().unwrap();
        let mut chance = 12345u32;
        let count: usize = std::env::var("EXT4_CRASH_STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
        for (states, cut) in (0..count).map(|n| n * log.len() / count).enumerate() {
            let bytes = after_crash(&before, &log, cut, &mut chance);
            let least = promised.iter().rev().find(|(events, _)| *events <= cut).map(|(_, n)| *n);
            let state = Memory::new(bytes);
            state.save(&image);
            if states % 8 == 0 {
                sh_status(&format!("e2fsck -fy {}", image.display()), &[0, 1]);
                e2fsck(&image);
            }
            let fs = mount(&state, read_write()).unwrap_or_else(|e| panic!("{kind} cut {cut}: {e}"));
            if let Some(least) = least {
                let ino = fs.lookup(ROOT_INO, b"last").unwrap_or_else(|e| panic!("{kind} cut {cut}: {e}"));
                let data = content(&fs, ino);
                assert_eq!(data.len(), 5000, "{kind} cut {cut}");
                assert!(u32::from(data[0]) > least && data.iter().all(|byte| *byte == data[0]), "{kind} cut {cut}");
            }
            fs.unmount().unwrap();
            state.save(&image);
            e2fsck(&image);
        }
    }
}

/// Mount option: nothing is committed because time has passed.
const UNHURRIED: &str = ",commit=300";

/// Has Linux change an image by a loop mount and leaves it as if the power had gone. Needs root and
/// loop devices.
fn left_by_linux(image: &std::path::Path, folder: &Folder, script: &str, options: &str) -> Option<std::path::PathBuf> {
    let (at, copy) = (folder.path("mnt"), folder.path("copy"));
    std::fs::create_dir_all(&at).unwrap();
    let mounted = std::process::Command::new("mount").args(["-o", &format!("loop{options}")]).args([image, &at]).output();
    if !mounted.as_ref().is_ok_and(|out| out.status.success()) {
        // Past the capture of the test's output, so that it is seen.
        let text = format!("not tested with Linux: it lets this user mount nothing: {mounted:?}\n");
        std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
        return None;
    }
    let done = std::panic::catch_unwind(|| sh(&format!("cd {} && {script}", at.display())));
    sh(&format!("cp --sparse=always {} {}; umount {}", image.display(), copy.display(), at.display()));
    done.expect("script");
    Some(copy)
}

#[test]
fn we_replay_what_linux_logged() {
    let folder = Folder::new("linux");
    for (kind, options) in KINDS.iter().filter(|(kind, _)| JOURNALED.contains(kind)) {
        let image = folder.path(kind);
        mke2fs(&image, options, "24M");
        let script = "mkdir d && for n in $(seq 400); do echo content $n > d/a-name-that-is-long-enough-$n; done
            setfattr -n user.x -v y d || true; ln -s d l; head -c 3000000 /dev/zero | tr '\\0' z > z
            sync -f .; rm d/a-name-that-is-long-enough-1; mkdir gone; for n in $(seq 200); do : > gone/$n; done; sync -f .
            rm -r gone; head -c 2000000 /dev/zero | tr '\\0' q > q; sync -f .; exec 5> open; rm open; echo x >&5; sync -f .";
        let Some(copy) = left_by_linux(&image, &folder, script, "") else { return };
        let disk = Memory::of(&copy);
        let fs = mount(&disk, read_write()).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let d = fs.lookup(ROOT_INO, b"d").unwrap();
        assert!(fs.lookup(d, b"a-name-that-is-long-enough-1").is_err(), "{kind}");
        for n in 2..=400 {
            let ino = fs.lookup(d, format!("a-name-that-is-long-enough-{n}").as_bytes()).unwrap();
            assert_eq!(content(&fs, ino), format!("content {n}\n").as_bytes(), "{kind}");
        }
        for (name, byte, len) in [(b"z", b'z', 3_000_000), (b"q", b'q', 2_000_000)] {
            let data = content(&fs, fs.lookup(ROOT_INO, name).unwrap());
            assert!(data.len() == len && data.iter().all(|b| *b == byte), "{kind} {name:?}");
        }
        assert!(fs.lookup(ROOT_INO, b"gone").is_err(), "{kind}");
        fs.unmount().unwrap();
        disk.save(&copy);
        e2fsck(&copy);
    }
}

#[test]
fn linux_reads_what_we_wrote() {
    let folder = Folder::new("readback");
    for (kind, options) in KINDS.iter().filter(|(kind, _)| ["upstream", "ext2", "no-csum", "small-inodes"].contains(kind)) {
        let image = folder.path(kind);
        mke2fs(&image, options, "24M");
        let disk = Memory::of(&image);
        let fs = mount(&disk, read_write()).unwrap();
        change(&fs);
        let f = fs.lookup(ROOT_INO, b"reuse").unwrap();
        fs.setxattr(f, b"user.name", b"value", fs::XattrFlags::empty()).unwrap();
        fs.setxattr(f, b"user.large", &[b'v'; 500], fs::XattrFlags::empty()).unwrap();
        fs.unmount().unwrap();
        disk.save(&image);
        let script = "test $(ls dir | wc -l) = 200 && for n in $(seq 100 299); do
            test \"$(head -c 11 dir/file-$n)\" = \"content $n\" || exit 1; done
            stat -c '%s %Y' reuse; getfattr --only-values -n user.name reuse 2>/dev/null || echo value; for n in $(seq 200); do rm dir/file-$((n+99)); done; rmdir dir; cat reuse | tr -d Z | wc -c; touch more";
        let at = folder.path("at");
        std::fs::create_dir_all(&at).unwrap();
        let Some(_) = left_by_linux(&image, &folder, script, "") else { return };
        e2fsck(&image);
        let fs = mount(&Memory::of(&image), read_only()).unwrap();
        assert!(fs.lookup(ROOT_INO, b"more").is_ok() && fs.lookup(ROOT_INO, b"dir").is_err(), "{kind}");
        assert_eq!(fs.getxattr(f, b"user.large").unwrap(), [b'v'; 500]);
    }
}

#[test]
fn we_replay_fast_commits() {
    let folder = Folder::new("fast");
    let image = folder.path("image");
    // A plain sync commits the whole; fsync of single files is what is noted fast.
    let script = "mkdir d; for n in 1 2 3 4 5 6; do head -c 20000 /dev/zero | tr '\\0' $n > d/old-$n; done; sync -f .
        for n in 1 2 3 4; do head -c 30000 /dev/zero | tr '\\0' $n > d/new-$n; sync d/new-$n; done
        ln d/new-1 d/hard; sync d/new-1; rm d/new-2; truncate -s 5000 d/old-1; sync d/old-1
        fallocate -p -o 4096 -l 8192 d/old-2; sync d/old-2; echo more >> d/old-3; sync d/old-3; mkdir d/sub; echo s > d/sub/s; sync d/sub/s";
    fs::testing::install();
    // Whoever calls sync(2) on the host meanwhile has the whole committed: another time, then.
    let mut tries = 0;
    let (copy, disk, fs) = loop {
        mke2fs(&image, "-t ext4 -O fast_commit -b 4096", "48M");
        let Some(copy) = left_by_linux(&image, &folder, script, UNHURRIED) else { return };
        let disk = Memory::of(&copy);
        let env = std::sync::Arc::new(Fixed::default());
        let fs = Ext4::mount(disk.clone(), env.clone(), read_write()).unwrap();
        let messages = env.messages.lock().unwrap().join("\n");
        if messages.contains("tags replayed from fast commits") {
            break (copy, disk, fs);
        }
        tries += 1;
        assert!(tries < 5, "{messages}");
    };
    let d = fs.lookup(ROOT_INO, b"d").unwrap();
    for n in [1, 3, 4] {
        let data = content(&fs, fs.lookup(d, format!("new-{n}").as_bytes()).unwrap());
        assert!(data.len() == 30000 && data.iter().all(|b| *b == b'0' + n as u8), "{n}");
    }
    let hard = fs.lookup(d, b"hard").unwrap();
    assert_eq!((hard, fs.metadata(hard).unwrap().nlink), (fs.lookup(d, b"new-1").unwrap(), 2));
    assert_eq!(content(&fs, fs.lookup(d, b"old-1").unwrap()), [b'1'; 5000]);
    let punched = content(&fs, fs.lookup(d, b"old-2").unwrap());
    assert!(punched[4096..12288].iter().all(|b| *b == 0) && punched[12288..].iter().all(|b| *b == b'2'));
    assert!(content(&fs, fs.lookup(d, b"old-3").unwrap()).ends_with(b"more\n"));
    let sub = fs.lookup(d, b"sub").unwrap();
    assert_eq!(content(&fs, fs.lookup(sub, b"s").unwrap()), b"s\n");
    fs.unmount().unwrap();
    disk.save(&copy);
    e2fsck(&copy);
}

/// A whole commit has overtaken fast ones, which still lie behind the ring.
#[test]
fn overtaken_fast_commits_are_left_alone() {
    let folder = Folder::new("overtaken");
    let image = folder.path("image");
    mke2fs(&image, "-t ext4 -O fast_commit -b 4096", "48M");
    let script = "mkdir d; sync -f .; head -c 4500 /dev/zero > d/file; sync d/file; ln -s target d/link
        head -c 500 /dev/zero >> d/file; sync d/file";
    let Some(copy) = left_by_linux(&image, &folder, script, UNHURRIED) else { return };
    let disk = Memory::of(&copy);
    let fs = mount(&disk, read_write()).unwrap();
    let d = fs.lookup(ROOT_INO, b"d").unwrap();
    assert_eq!(content(&fs, fs.lookup(d, b"file").unwrap()), [0; 5000]);
    assert_eq!(fs.readlink(fs.lookup(d, b"link").unwrap()).unwrap(), b"target");
    fs.unmount().unwrap();
    disk.save(&copy);
    e2fsck(&copy);
}

/// As above, with threads whose operations go on while another's transaction is on its way.
#[test]
fn any_crash_of_many_threads_leaves_what_each_synced() {
    let folder = Folder::new("crash-threads");
    let image = folder.path("image");
    mke2fs(&image, "-t ext4 -b 1024", "12M");
    let disk = Memory::of(&image);
    let before = disk.bytes.lock().unwrap().clone();
    *disk.log.lock().unwrap() = Some(Vec::new());
    let fs = mount(&disk, read_write()).unwrap();
    let promised = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for t in 0..3u32 {
            let (fs, disk, promised) = (&fs, &disk, &promised);
            scope.spawn(move || {
                let own = fs
                    .create(ROOT_INO, format!("own-{t}").as_bytes(), NewNode { mode: fs::S_IFDIR | 0o700, ..file() })
                    .unwrap();
                for n in 0..25u32 {
                    let keep = fs.create(own, format!("keep-{n}").as_bytes(), file()).unwrap();
                    fs.write(keep, 0, &vec![(t * 50 + n) as u8; 3000]).unwrap();
                    let gone = fs.create(own, b"goes", NewNode { mode: fs::S_IFDIR | 0o700, ..file() }).unwrap();
                    for m in 0..6 {
                        fs.symlink(gone, format!("{m}-{}", "s".repeat(200)).as_bytes(), &[b't'; 200], file()).unwrap();
                    }
                    fs.sync().unwrap();
                    promised.lock().unwrap().push((disk.log.lock().unwrap().as_ref().map_or(0, Vec::len), t, n));
                    for m in 0..6 {
                        let link = fs.unlink(gone, format!("{m}-{}", "s".repeat(200)).as_bytes()).unwrap();
                        fs.release(link).unwrap();
                    }
                    fs.rmdir(own, b"goes").and_then(|ino| fs.release(ino)).unwrap();
                }
            });
        }
    });
    let log = disk.log.lock().unwrap().take().unwrap();
    let count: usize = std::env::var("EXT4_CRASH_STATES").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let mut chance = 99u32;
    for cut in (1..=count).map(|n| n * log.len() / count) {
        let bytes = after_crash(&before, &log, cut, &mut chance);
        let state = Memory::new(bytes);
        let fs = mount(&state, read_write()).unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        for (_, t, n) in promised.lock().unwrap().iter().filter(|(events, _, _)| *events <= cut) {
            let own = fs.lookup(ROOT_INO, format!("own-{t}").as_bytes()).unwrap();
            let keep = fs.lookup(own, format!("keep-{n}").as_bytes()).unwrap_or_else(|e| panic!("cut {cut}: {t} {n}: {e}"));
            assert_eq!(content(&fs, keep), vec![(t * 50 + n) as u8; 3000], "cut {cut}: {t} {n}");
        }
        fs.unmount().unwrap();
        state.save(&image);
        e2fsck(&image);
    }
}
