//! inotify, and the signals of F_NOTIFY.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use caller::Target;
use caller::testing::{become_user, take_signals};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl::FIONREAD;
use syscall_shim::Errno;

use super::{Tree, errno, events, read, user_mut, write};
use crate::inotify::Inotify;
use crate::inotify::users::{MAX_INSTANCES, MAX_WATCHES};
use crate::poll::ev;
use crate::{OpenFile, dnotify, with_fs};

fn instance() -> Arc<OpenFile> {
    Inotify::open(OpenFlags::NONBLOCK).unwrap()
}

fn of(file: &Arc<OpenFile>) -> &Inotify {
    file.ops_as::<Inotify>().unwrap()
}

/// Watch, mask and name of what has happened.
fn happened(file: &Arc<OpenFile>) -> Vec<(i32, u32, String)> {
    let Ok(bytes) = read(file, 4096) else { return Vec::new() };
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let len = word(at + 12) as usize;
        let name = bytes[at + 16..at + 16 + len].iter().take_while(|byte| **byte != 0).map(|byte| *byte as char).collect();
        found.push((word(at) as i32, word(at + 4), name));
        at += 16 + len;
    }
    found
}

#[test]
fn changes_are_told_to_the_file_and_to_its_directory() {
    let tree = Tree::new();
    let watcher = instance();
    let file = tree.file("/f", b"");
    let root = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    let on_root = of(&watcher).add(&root.inode, g::IN_ALL_EVENTS).unwrap();
    let on_file = of(&watcher).add(&file.inode, g::IN_MODIFY).unwrap();
    assert_eq!((on_root, on_file), (1, 2));
    write(&file, b"x").unwrap();
    assert_eq!(events(&watcher), ev::READABLE);
    let mut bytes = [0; 4];
    assert_eq!(watcher.ops.ioctl(&watcher, FIONREAD, user_mut(&mut bytes)), Ok(0));
    assert_eq!(u32::from_ne_bytes(bytes), 48);
    assert_eq!(watcher.ops.ioctl(&watcher, 1, user_mut(&mut bytes)), Err(Errno::ENOTTY));
    assert_eq!(happened(&watcher), [(1, g::IN_MODIFY, "f".into()), (2, g::IN_MODIFY, "".into())]);
    assert_eq!((errno(read(&watcher, 99)), events(&watcher)), (Some(Errno::EAGAIN), 0));

    // The same again tells nothing new.
    for _ in 0..3 {
        file.read_at(0, &mut crate::io::Sink::Kernel(&mut [0])).unwrap();
    }
    assert_eq!(happened(&watcher), [(1, g::IN_ACCESS, "f".into())]);
    with_fs(|ctx| tree.0.mkdir(ctx, None, b"/d", 0o755)).unwrap();
    with_fs(|ctx| tree.0.unlink(ctx, None, b"/f")).unwrap();
    drop(file);
    let told = happened(&watcher);
    assert!(told.contains(&(1, g::IN_CREATE | g::IN_ISDIR, "d".into())));
    assert!(told.contains(&(1, g::IN_DELETE, "f".into())));
    assert!(told.iter().any(|(wd, mask, _)| (*wd, *mask) == (2, g::IN_IGNORED)));

    of(&watcher).remove(1).unwrap();
    assert_eq!(happened(&watcher), [(1, g::IN_IGNORED, "".into())]);
    assert_eq!(of(&watcher).remove(1), Err(Errno::EINVAL));
}

#[test]
fn watches_are_changed_and_shown() {
    let tree = Tree::new();
    let (watcher, file) = (instance(), tree.file("/f", b""));
    let wd = of(&watcher).add(&file.inode, g::IN_MODIFY).unwrap();
    assert_eq!(of(&watcher).add(&file.inode, g::IN_ACCESS | g::IN_MASK_ADD), Ok(wd));
    assert_eq!(of(&watcher).add(&file.inode, g::IN_MASK_CREATE), Err(Errno::EEXIST));
    let mut text = String::new();
    watcher.ops.fdinfo(&watcher, &mut text);
    assert!(text.starts_with("inotify wd:1 ino:") && text.contains(" mask:3 ignored_mask:0"));
    assert_eq!(of(&watcher).add(&file.inode, g::IN_MODIFY | g::IN_ONESHOT), Ok(wd));
    write(&file, b"x").unwrap();
    write(&file, b"y").unwrap();
    assert_eq!(happened(&watcher), [(1, g::IN_MODIFY, "".into()), (1, g::IN_IGNORED, "".into())]);
    write(&file, b"z").unwrap();
    assert_eq!(errno(read(&watcher, 8)), Some(Errno::EAGAIN));
    of(&watcher).add(&file.inode, g::IN_MODIFY).unwrap();
    write(&file, b"z").unwrap();
    assert_eq!(errno(read(&watcher, 8)), Some(Errno::EINVAL), "no room for one");
    assert_eq!(watcher.ops.can_read_and_write(), (true, false));
    assert!(watcher.ops.sends_signals() && watcher.seek(0, 0) == Ok(0));
}

#[test]
fn users_have_so_many_instances_and_watches() {
    let tree = Tree::new();
    become_user(7007, 7007);
    let all: Vec<_> = (0..MAX_INSTANCES.load(Ordering::Relaxed)).map(|_| instance()).collect();
    assert_eq!(errno(Inotify::open(OpenFlags::empty())), Some(Errno::EMFILE));
    drop(all);
    let watcher = instance();
    let root = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    of(&watcher).add(&root.inode, g::IN_MODIFY).unwrap();
    assert!(MAX_WATCHES.load(Ordering::Relaxed) > 1);
}

#[test]
fn a_directory_that_changes_sends_signals() {
    let tree = Tree::new();
    let root = tree.open("/", OpenFlags::DIRECTORY).unwrap();
    let file = tree.file("/f", b"");
    assert_eq!(dnotify::set(&file, 1, 3, g::DN_MODIFY), Err(Errno::ENOTDIR));
    dnotify::set(&root, 1, 3, g::DN_MODIFY | g::DN_MULTISHOT).unwrap();
    let told = || take_signals(Target::Process, caller::pid()).len();
    write(&file, b"x").unwrap();
    write(&file, b"y").unwrap();
    assert_eq!(told(), 2);
    dnotify::set(&root, 1, 3, g::DN_CREATE | g::DN_MULTISHOT).unwrap();
    tree.file("/g", b"");
    assert_eq!(told(), 1);
    dnotify::set(&root, 1, 3, 0).unwrap();
    write(&file, b"z").unwrap();
    assert_eq!(told(), 0);
    // Once, unless it was asked to go on.
    dnotify::set(&root, 1, 3, g::DN_MODIFY).unwrap();
    write(&file, b"x").unwrap();
    write(&file, b"y").unwrap();
    assert_eq!((told(), dnotify::active()), (1, false));
    dnotify::set(&root, 2, 3, g::DN_MODIFY).unwrap();
    dnotify::flush(&root, 1);
    assert!(dnotify::active());
    dnotify::flush(&root, 2);
    assert!(!dnotify::active());
}
