//! What the comparison with Linux (tests/oracle) does not reach: limits, seals, names that come and
//! go during a listing.

use super::*;
use crate::file::{self, WriteRequest};
use crate::mount::MountFlags;
use crate::namespace::{Namespace, OpenHow};
use crate::walk::{FsContext, LookupFlags};
use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

fn mount(options: TmpfsOptions) -> Arc<Namespace> {
    crate::testing::install();
    Namespace::new(Tmpfs::new(options).unwrap(), "tmpfs", MountFlags::empty())
}

fn create(ns: &Namespace, path: &str) -> SysResult<InodeRef> {
    let flags = OpenFlags::CREAT | OpenFlags::RDWR;
    let how = OpenHow { flags, mode: 0o644, ..OpenHow::default() };
    Ok(ns.open(&ns.kernel_context(), None, path.as_bytes(), &how)?.inode)
}

fn put(inode: &InodeRef, pos: u64, len: usize) -> SysResult<usize> {
    let req = WriteRequest { pos, len, append: false, fsize_limit: u64::MAX, keep_setid: true };
    file::write(inode, &req, &mut |page, off, n| Ok(page.write(off, &vec![1; n]))).map(|(n, _)| n)
}

#[test]
fn size_limit() {
    let ns = mount(TmpfsOptions { size: Some(3 * PAGE_SIZE as u64), ..Default::default() });
    let file = create(&ns, "/f").unwrap();
    assert_eq!(put(&file, 0, 5 * PAGE_SIZE), Ok(3 * PAGE_SIZE));
    assert_eq!(put(&file, 4 * PAGE_SIZE as u64, 1), Err(Errno::ENOSPC));
    assert_eq!(ns.statfs(&ns.root()).unwrap().bfree, 0);
    file.truncate(1).unwrap();
    assert_eq!(ns.statfs(&ns.root()).unwrap().bfree, 2);
    let whole = |len| file::fallocate(&file, FallocateMode::empty(), 0, len, u64::MAX, true);
    assert_eq!(whole(4 * PAGE_SIZE as i64), Err(Errno::ENOSPC));
    assert_eq!(ns.statfs(&ns.root()).unwrap().bfree, 2, "all or none");
    whole(3 * PAGE_SIZE as i64).unwrap();
    ns.unlink(&ns.kernel_context(), None, b"/f").unwrap();
    assert_eq!(ns.statfs(&ns.root()).unwrap().bfree, 0, "still open");
    drop(file);
    assert_eq!(ns.statfs(&ns.root()).unwrap().bfree, 3);
    assert_eq!(ns.mount_lines(&ns.root())[0].super_options, "rw,size=12k");
}

#[test]
fn inode_limit() {
    let ns = mount(TmpfsOptions { nr_inodes: Some(3), ..Default::default() });
    create(&ns, "/a").unwrap();
    create(&ns, "/b").unwrap();
    assert_eq!(create(&ns, "/c").err(), Some(Errno::ENOSPC));
    ns.unlink(&ns.kernel_context(), None, b"/a").unwrap();
    create(&ns, "/c").unwrap();
}

#[test]
fn seals() {
    crate::testing::install();
    let fs = Tmpfs::new(TmpfsOptions::default()).unwrap();
    let memfd = fs.unnamed_file(0o777, 0, 0, true).unwrap();
    assert_eq!(memfd.metadata().nlink, 0);
    put(&memfd, 0, 5000).unwrap();
    memfd.add_seals(Seals::GROW, false).unwrap();
    assert_eq!(put(&memfd, 4000, 2000), Ok(96), "the page that ends within the file");
    assert_eq!(put(&memfd, 5000, 1), Err(Errno::EPERM));
    assert_eq!(memfd.truncate(6000), Err(Errno::EPERM));
    memfd.truncate(4500).unwrap();
    memfd.add_seals(Seals::SHRINK, false).unwrap();
    assert_eq!(memfd.truncate(0), Err(Errno::EPERM));
    assert_eq!(memfd.add_seals(Seals::WRITE, true), Err(Errno::EBUSY));
    memfd.add_seals(Seals::WRITE | Seals::SEAL, false).unwrap();
    assert_eq!(put(&memfd, 0, 1), Err(Errno::EPERM));
    let punch = FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE;
    assert_eq!(file::fallocate(&memfd, punch, 0, 1, u64::MAX, true), Err(Errno::EPERM));
    assert_eq!(memfd.add_seals(Seals::EXEC, false), Err(Errno::EPERM));
    assert_eq!(memfd.seals(), Ok(Seals::GROW | Seals::SHRINK | Seals::WRITE | Seals::SEAL));
    let plain = fs.unnamed_file(0o777, 0, 0, false).unwrap();
    assert_eq!(plain.seals(), Ok(Seals::SEAL));
    let exec = fs.unnamed_file(0o777, 0, 0, true).unwrap();
    exec.add_seals(Seals::EXEC, false).unwrap();
    assert_eq!(put(&exec, 0, 1), Err(Errno::EPERM));
}

#[test]
fn a_listing_survives_changes() {
    let ns = mount(TmpfsOptions::default());
    let ctx = ns.kernel_context();
    for i in 0..20 {
        create(&ns, &i.to_string()).unwrap();
    }
    let root = ns.root();
    let mut seen: Vec<String> = Vec::new();
    let mut cookie = 0;
    for round in 0.. {
        let mut room = 3;
        let before = seen.len();
        cookie = root
            .readdir(&root, cookie, &mut |e| {
                room -= 1;
                if room >= 0 {
                    seen.push(String::from_utf8_lossy(e.name).into_owned());
                }
                room >= 0
            })
            .unwrap();
        if seen.len() == before {
            break;
        }
        // Removed: one already seen, one still to come. Created: comes last. Renamed in place: must
        // not come twice.
        ns.unlink(&ctx, None, (round * 2).to_string().as_bytes()).ok();
        if round < 3 {
            create(&ns, &std::format!("new{round}")).unwrap();
        }
    }
    for name in (0..20).step_by(2).map(|i| (i + 1).to_string()).chain((0..3).map(|i| std::format!("new{i}"))) {
        assert_eq!(seen.iter().filter(|s| **s == name).count(), 1, "{name}");
    }
    assert_eq!(seen[..2], [".", ".."]);
}

#[test]
fn holes_are_punched_and_other_modes_refused() {
    let ns = mount(TmpfsOptions::default());
    let file = create(&ns, "/f").unwrap();
    put(&file, 0, 3 * PAGE_SIZE).unwrap();
    let fallocate = |mode| file::fallocate(&file, mode, 10, 2 * PAGE_SIZE as i64, u64::MAX, true);
    for mode in [FallocateMode::ZERO_RANGE, FallocateMode::COLLAPSE_RANGE, FallocateMode::INSERT_RANGE] {
        assert_eq!(fallocate(mode), Err(Errno::EOPNOTSUPP));
    }
    fallocate(FallocateMode::PUNCH_HOLE | FallocateMode::KEEP_SIZE).unwrap();
    let mapping = file.mapping().unwrap();
    let mut sum = 0u64;
    let n = mapping.read(0, usize::MAX, &mut |page, off, n| {
        let mut buf = vec![0; n];
        if let Some(page) = page {
            page.read(off, &mut buf);
        }
        sum += buf.iter().map(|b| u64::from(*b)).sum::<u64>();
        Ok(n)
    });
    assert_eq!((n, sum, mapping.page_count()), (Ok(3 * PAGE_SIZE), PAGE_SIZE as u64, 2));
}

#[test]
fn o_tmpfile_can_be_named() {
    let ns = mount(TmpfsOptions::default());
    let ctx = ns.kernel_context();
    let how = |flags| OpenHow { flags: OpenFlags::TMPFILE | OpenFlags::RDWR | flags, mode: 0o600, ..OpenHow::default() };
    let opened = ns.open(&ctx, None, b"/", &how(OpenFlags::empty())).unwrap();
    put(&opened.inode, 0, 5).unwrap();
    let shown = String::from_utf8(opened.path.display(&ns.root())).unwrap();
    assert!(shown.starts_with("/#") && shown.ends_with(" (deleted)"), "{shown}");
    ns.link(&ctx, Some(&opened.path), b"", None, b"/named", LookupFlags::EMPTY).unwrap();
    let found = ns.resolve(&ctx, None, b"/named", LookupFlags::default()).unwrap();
    assert_eq!((found.inode().unwrap().metadata().nlink, found.inode().unwrap().metadata().size), (1, 5));
    let never = ns.open(&ctx, None, b"/", &how(OpenFlags::EXCL)).unwrap();
    let linked = ns.link(&ctx, Some(&never.path), b"", None, b"/other", LookupFlags::EMPTY);
    assert_eq!(linked, Err(Errno::ENOENT));
    let user = crate::Credentials::user(5, 5, &[]);
    let as_user = FsContext { creds: &user, ..ctx };
    let refused = ns.link(&as_user, Some(&opened.path), b"", None, b"/other", LookupFlags::EMPTY);
    assert_eq!(refused, Err(Errno::ENOENT), "AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH");
}

#[test]
fn a_deep_tree_goes_without_recursion() {
    let ns = mount(TmpfsOptions::default());
    let ctx = ns.kernel_context();
    let mut cwd = ns.root();
    for _ in 0..50_000 {
        let at = FsContext { cwd: Cow::Borrowed(&cwd), ..ctx.clone() };
        cwd = ns.mkdir(&at, None, b"d", 0o755).unwrap();
    }
    cwd = ns.root();
    cwd.mount.root.shrink();
    drop((cwd, ctx));
    drop(ns);
}
