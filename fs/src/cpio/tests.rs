//! Archives: made here, made by cpio(1), and broken ones.

use super::*;
use crate::namespace::Namespace;
use crate::platform::{PAGE_SIZE, PageRef};
use crate::tmpfs::{Tmpfs, TmpfsOptions};
use crate::types::*;
use crate::walk::LookupFlags;
use alloc::sync::Arc;
use std::format;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

fn ns() -> Arc<Namespace> {
    crate::testing::install();
    let fs = Tmpfs::new(TmpfsOptions { mode: 0o755, ..Default::default() }).unwrap();
    Namespace::new(fs, "rootfs", crate::MountFlags::empty())
}

/// Appends one member; `align` pads the name with NULs until the data is page aligned.
fn add(out: &mut Vec<u8>, name: &str, ino: u32, mode: u32, nlink: u32, data: &[u8], align: bool) {
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    while align && !(out.len() + HEADER + name.len()).is_multiple_of(PAGE_SIZE) {
        name.push(0);
    }
    let fields = [ino, mode, 7, 8, nlink, 1000, data.len() as u32, 0, 0, 5, 1, name.len() as u32, 0];
    out.extend_from_slice(b"070701");
    for f in fields {
        out.extend_from_slice(format!("{f:08x}").as_bytes());
    }
    out.extend_from_slice(&name);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn trailer(out: &mut Vec<u8>) {
    add(out, "TRAILER!!!", 0, 0, 1, b"", false);
}

fn content(ns: &Namespace, path: &str) -> Vec<u8> {
    let found = ns.resolve(&ns.kernel_context(), None, path.as_bytes(), LookupFlags::FOLLOW).unwrap();
    let mut out = Vec::new();
    let mapping = found.inode().unwrap().mapping().unwrap().clone();
    mapping
        .read(0, usize::MAX, &mut |page, off, n| {
            let mut buf = vec![0; n];
            if let Some(page) = page {
                page.read(off, &mut buf);
            }
            out.extend_from_slice(&buf);
            Ok(n)
        })
        .unwrap();
    out
}

#[test]
fn members_become_files() {
    let ns = ns();
    let big: Vec<u8> = (0..2 * PAGE_SIZE + 100).map(|i| i as u8).collect();
    let mut a = Vec::new();
    add(&mut a, "./etc", 1, 0o40700, 2, b"", false);
    add(&mut a, "etc/small", 2, 0o100640, 1, b"hello", false);
    add(&mut a, "deep/er/big", 3, 0o100755, 1, &big, true);
    add(&mut a, "lnk", 4, 0o120777, 1, b"etc/small", false);
    add(&mut a, "dev/null", 5, 0o020666, 1, b"", false);
    add(&mut a, "h1", 9, 0o100644, 2, b"", false);
    add(&mut a, "h2", 9, 0o100644, 2, b"linked", false);
    add(&mut a, ".skiff/manifest", 6, 0o100644, 1, b"exec=/bin/x\0arg=x\0arg=-v\0env=A=b=c\0", false);
    add(&mut a, ".skiff/symbols", 7, 0o100644, 1, b"syms", false);
    trailer(&mut a);
    a.resize(a.len().next_multiple_of(512), 0);
    let mut second = a.clone();
    let copy = a.clone();
    let mut offered = 0;
    let got = unpack(&ns, &a, &mut |offset| {
        offered += 1;
        let page = PageRef::alloc().ok()?;
        page.write(0, copy.get(offset..offset + PAGE_SIZE)?);
        offset.is_multiple_of(PAGE_SIZE).then_some(page)
    })
    .unwrap();
    assert_eq!((got.members, got.pages_in_place, offered), (7, 2, 2));
    assert_eq!(got.symbols, Some(&b"syms"[..]));
    let manifest = got.manifest.unwrap();
    assert_eq!(manifest.exec.as_deref(), Some(&b"/bin/x"[..]));
    assert_eq!(manifest.args.unwrap(), [b"x".to_vec(), b"-v".to_vec()]);
    assert_eq!(manifest.env.unwrap(), [b"A=b=c".to_vec()]);
    assert_eq!(content(&ns, "/lnk"), b"hello");
    assert_eq!(content(&ns, "/deep/er/big"), big);
    assert_eq!(content(&ns, "/h1"), b"linked");
    let stat = |p: &str| {
        ns.resolve(&ns.kernel_context(), None, p.as_bytes(), LookupFlags::default()).unwrap().inode().unwrap().metadata()
    };
    let etc = stat("/etc");
    assert_eq!((etc.mode, etc.uid, etc.gid, etc.mtime.sec), (0o40700, 7, 8, 1000));
    assert_eq!(stat("/deep/er/big").mode, 0o100755);
    assert_eq!((stat("/dev/null").mode, stat("/dev/null").rdev), (0o020666, makedev(5, 1)));
    assert_eq!(stat("/h2").nlink, 2);
    assert!(ns.resolve(&ns.kernel_context(), None, b"/.skiff", LookupFlags::default()).is_err());

    // A second archive behind the first, and the same files again.
    add(&mut second, "etc/small", 2, 0o100600, 1, b"new", false);
    trailer(&mut second);
    unpack(&ns, &second, &mut |_| None).unwrap();
    assert_eq!(content(&ns, "/etc/small"), b"new");
    assert_eq!(stat("/h2").nlink, 2);
}

#[test]
fn broken_archives_are_named() {
    let error = |bytes: &[u8]| unpack(&ns(), bytes, &mut |_| None).unwrap_err().to_string();
    assert_eq!(error(b"#!/bin/sh\necho"), "initrd is not a cpio archive (bad magic at offset 0)");
    assert_eq!(error(b""), "initrd is not a cpio archive (bad magic at offset 0)");
    let mut a = Vec::new();
    add(&mut a, "file", 1, 0o100644, 1, b"0123456789", false);
    let end = a.len();
    assert_eq!(error(&a), format!("initrd ends without a trailer at offset {end}"));
    assert_eq!(error(&a[..end - 6]), "initrd is truncated: file needs 4 more bytes");
    assert_eq!(error(&a[..112]), "initrd is truncated in the name of the member at offset 0");
    assert_eq!(error(&a[..50]), "initrd is truncated in a header at offset 0");
    let mut bad = a.clone();
    bad[14] = b'x';
    assert_eq!(error(&bad), "initrd: header field c_mode at offset 0 is not a hexadecimal number");
    let mut up = Vec::new();
    add(&mut up, "a/../../b", 1, 0o100644, 1, b"", false);
    assert_eq!(error(&up), "initrd: bad member name \"a/../../b\" at offset 0");
    let mut manifest = Vec::new();
    add(&mut manifest, ".skiff/manifest", 1, 0o100644, 1, b"exec=/x\0nonsense\0", false);
    assert_eq!(error(&manifest), "initrd: .skiff/manifest: \"nonsense\" is not understood");
}

#[test]
fn no_mutation_panics() {
    let mut a = Vec::new();
    add(&mut a, "etc/small", 2, 0o100640, 2, b"hello", false);
    add(&mut a, "etc", 3, 0o40755, 2, b"", false);
    add(&mut a, "l", 2, 0o120777, 1, b"etc", false);
    trailer(&mut a);
    let mut seed = 0x1234_5678_u64;
    for _ in 0..20_000 {
        let mut b = a.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % b.len();
            b[at] = if seed & 1 == 0 { (seed >> 17) as u8 } else { b"0123456789abcdef"[(seed >> 17) as usize % 16] };
        }
        let cut = if seed & 0x700 == 0 { (seed >> 40) as usize % b.len() } else { b.len() };
        let _ = unpack(&ns(), &b[..cut], &mut |_| None);
    }
}
