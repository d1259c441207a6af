//! The file system of the terminals.

use alloc::vec::Vec;

use caller::testing::become_user;
use fd::testing::{errno, ioctl_get};
use fs::{LookupFlags, Metadata, OpenFlags};
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use super::{MASTER, mount, open};
use crate::DevptsOptions;

fn stat(path: &str) -> SysResult<Metadata> {
    let found = caller::with_fs(|ctx| caller::namespace().resolve(ctx, None, path.as_bytes(), LookupFlags::default()))?;
    Ok(found.inode()?.metadata())
}

#[test]
fn options() {
    let parsed = DevptsOptions::parse("newinstance,mode=620,ptmxmode=0666,uid=3,gid=5,max=7").unwrap();
    assert_eq!((parsed.mode, parsed.ptmx_mode, parsed.uid, parsed.gid, parsed.max), (0o620, 0o666, Some(3), Some(5), 7));
    let usual = DevptsOptions::parse("").unwrap();
    assert_eq!((usual.mode, usual.ptmx_mode, usual.uid, usual.max), (0o600, 0, None, 4096));
    for wrong in ["mode=9", "uid=x", "max=5000", "max=-1", "other", "gid"] {
        assert_eq!(errno(DevptsOptions::parse(wrong)), Some(Errno::EINVAL), "{wrong}");
    }
}

#[test]
fn terminals_are_the_openers() {
    mount(DevptsOptions::parse("mode=620,ptmxmode=666,gid=5").unwrap());
    assert_eq!(stat(MASTER).unwrap().mode & 0o777, 0o666);
    become_user(1000, 1001);
    let master = open(MASTER, OpenFlags::RDWR).unwrap();
    let seen = stat("/dev/pts/0").unwrap();
    assert_eq!((seen.mode & 0o7777, seen.uid, seen.gid, seen.ino), (0o620, 1000, 5, 3));
    assert_eq!(errno(stat("/dev/pts/00")), Some(Errno::ENOENT), "a number has one name");
    assert_eq!(errno(stat("/dev/pts/x")), Some(Errno::ENOENT));
    drop(master);
    assert_eq!(errno(stat("/dev/pts/0")), Some(Errno::ENOENT));
}

#[test]
fn the_lowest_number_is_given_and_there_is_a_last() {
    mount(DevptsOptions::parse("ptmxmode=666,max=3").unwrap());
    let mut masters: Vec<_> = (0..3).map(|_| open(MASTER, OpenFlags::RDWR).unwrap()).collect();
    assert_eq!(errno(open(MASTER, OpenFlags::RDWR)), Some(Errno::ENOSPC));
    masters.remove(1);
    assert_eq!(errno(stat("/dev/pts/1")), Some(Errno::ENOENT));
    masters.push(open(MASTER, OpenFlags::RDWR).unwrap());
    assert_eq!(ioctl_get::<u32>(&masters[2], i::TIOCGPTN), Ok(1));
    assert!(crate::pty::terminals().len() >= 3);
}

#[test]
fn the_directory_lists_them() {
    mount(DevptsOptions::first());
    let _masters = [open(MASTER, OpenFlags::RDWR).unwrap(), open(MASTER, OpenFlags::RDWR).unwrap()];
    let tree = caller::namespace();
    let dir = caller::with_fs(|ctx| tree.resolve(ctx, None, b"/dev/pts", LookupFlags::default())).unwrap();
    let mut names = Vec::new();
    let inode = dir.inode().unwrap().clone();
    inode
        .readdir(2, &mut |entry| {
            names.push(entry.name.to_vec());
            true
        })
        .unwrap();
    assert!([b"0".as_slice(), b"1", b"ptmx"].iter().all(|name| names.iter().any(|listed| listed == name)), "{names:?}");
    assert_eq!(errno(caller::with_fs(|ctx| tree.mkdir(ctx, None, b"/dev/pts/new", 0o755))), Some(Errno::EPERM));
    assert_eq!(errno(open("/dev/pts/new", OpenFlags::CREAT | OpenFlags::RDWR)), Some(Errno::EACCES));
}
