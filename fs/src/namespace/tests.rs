//! The namespace on a tmpfs, against what Linux answers.

use super::*;
use crate::mount::MountFlags;
use crate::tmpfs::{Tmpfs, TmpfsOptions};
use std::borrow::Cow;
use std::string::{String, ToString};
use std::vec;

/// A namespace on an empty tmpfs.
pub(super) fn fresh() -> Arc<Namespace> {
    crate::testing::install();
    let fs = Tmpfs::new(TmpfsOptions { mode: 0o755, ..Default::default() }).unwrap();
    Namespace::new(fs, "rootfs", MountFlags::RELATIME)
}

fn how(flags: OpenFlags) -> OpenHow {
    OpenHow { flags, mode: 0o644, resolve: LookupFlags::default() }
}

pub(super) fn open(ns: &Namespace, ctx: &FsContext<'_>, path: &str, flags: OpenFlags) -> SysResult<Opened> {
    ns.open(ctx, None, path.as_bytes(), &how(flags))
}

fn touch(ns: &Namespace, path: &str) -> Opened {
    open(ns, &ns.kernel_context(), path, OpenFlags::CREAT | OpenFlags::WRONLY).unwrap()
}

fn at(ns: &Namespace, path: &str) -> Path {
    ns.resolve(&ns.kernel_context(), None, path.as_bytes(), LookupFlags::FOLLOW).unwrap()
}

fn shown(ns: &Namespace, path: &Path) -> String {
    String::from_utf8(path.display(&ns.root())).unwrap()
}

#[test]
fn names_follow_renames_and_removal() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    ns.mkdir(&ctx, None, b"/a", 0o755).unwrap();
    ns.mkdir(&ctx, None, b"/a/b", 0o755).unwrap();
    let file = touch(&ns, "/a/b/f").path;
    assert_eq!(shown(&ns, &file), "/a/b/f");
    ns.rename(&ctx, None, b"/a", None, b"/z", RenameFlags::empty()).unwrap();
    assert_eq!(shown(&ns, &file), "/z/b/f");
    assert_eq!(at(&ns, "/z/b/f"), file);
    let dir = at(&ns, "/z/b");
    ns.unlink(&ctx, None, b"/z/b/f").unwrap();
    assert_eq!(shown(&ns, &file), "/z/b/f (deleted)");
    ns.rmdir(&ctx, None, b"/z/b").unwrap();
    assert_eq!(dir.getcwd(&ns.root()), Err(Errno::ENOENT));
    let from_dead = FsContext { cwd: Cow::Owned(dir), ..ctx.clone() };
    assert_eq!(ns.mkdir(&from_dead, None, b"x", 0o755).err(), Some(Errno::ENOENT));
    assert_eq!(ns.resolve(&from_dead, None, b"..", LookupFlags::default()).unwrap(), at(&ns, "/z"));
}

#[test]
fn mounts_are_crossed_both_ways() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    ns.mkdir(&ctx, None, b"/tmp", 0o755).unwrap();
    touch(&ns, "/tmp/below");
    let below = at(&ns, "/tmp");
    let fs = Tmpfs::new(TmpfsOptions::default()).unwrap();
    ns.mount(fs, "tmpfs", &below, MountFlags::NOSUID).unwrap();
    assert!(ns.resolve(&ctx, None, b"/tmp/below", LookupFlags::default()).is_err());
    let file = touch(&ns, "/tmp/x").path;
    assert_eq!(shown(&ns, &file), "/tmp/x");
    assert_eq!(at(&ns, "/tmp/../tmp/x"), file);
    let inside = FsContext { cwd: Cow::Owned(at(&ns, "/tmp")), ..ctx.clone() };
    assert_eq!(ns.resolve(&inside, None, b"..", LookupFlags::default()).unwrap(), ns.root());
    let flags = LookupFlags::NO_XDEV;
    assert_eq!(ns.resolve(&inside, None, b"..", flags).err(), Some(Errno::EXDEV));
    assert_eq!(ns.resolve(&ctx, None, b"tmp/x", flags).err(), Some(Errno::EXDEV));
    assert_eq!(ns.rmdir(&ctx, None, b"/tmp"), Err(Errno::EBUSY));
    assert_eq!(ns.rename(&ctx, None, b"/tmp/x", None, b"/x", RenameFlags::empty()), Err(Errno::EXDEV));
    let lines = ns.mount_lines(&ns.root());
    assert_eq!(lines.iter().map(|l| String::from_utf8_lossy(&l.target).to_string()).collect::<vec::Vec<_>>(), ["/", "/tmp"]);
    assert_eq!(lines[1].options, "rw,nosuid");
    assert_eq!(ns.umount(&at(&ns, "/tmp"), false, false), Err(Errno::EBUSY), "a file of it is held");
    drop((file, inside));
    ns.umount(&at(&ns, "/tmp"), false, false).unwrap();
    assert_eq!(at(&ns, "/tmp/below").inode().unwrap().file_type(), FileType::Regular);
}

#[test]
fn chroot_holds() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    ns.mkdir(&ctx, None, b"/jail", 0o755).unwrap();
    ns.mkdir(&ctx, None, b"/jail/in", 0o755).unwrap();
    ns.symlink(&ctx, b"/in", None, b"/jail/abs").unwrap();
    let jail = at(&ns, "/jail");
    let jailed = FsContext { root: Cow::Borrowed(&jail), cwd: Cow::Borrowed(&jail), ..ctx.clone() };
    let go = |path: &str| ns.resolve(&jailed, None, path.as_bytes(), LookupFlags::FOLLOW);
    assert_eq!(go("../../..").unwrap(), jail);
    assert_eq!(go("/..").unwrap(), jail);
    assert_eq!(go("abs").unwrap(), at(&ns, "/jail/in"));
    assert_eq!(at(&ns, "/jail/in").display(&jail), b"/in");
    let outside = FsContext { cwd: Cow::Owned(ns.root()), ..jailed.clone() };
    assert_eq!(outside.cwd.getcwd(&jail).unwrap(), b"(unreachable)/");
    assert_eq!(ns.resolve(&outside, None, b"jail", LookupFlags::default()).unwrap(), jail);
}

#[test]
fn resolve_flags_of_openat2() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    for dir in ["/d", "/d/e", "/d/in"] {
        ns.mkdir(&ctx, None, dir.as_bytes(), 0o755).unwrap();
    }
    for (target, link) in [("/d/e", "/d/abs"), ("e", "/d/rel"), ("../d/e", "/d/up"), ("loop", "/d/loop")] {
        ns.symlink(&ctx, target.as_bytes(), None, link.as_bytes()).unwrap();
    }
    let start = at(&ns, "/d");
    let go = |path: &str, flags| {
        ns.resolve(&ctx, Some(&start), path.as_bytes(), flags | LookupFlags::FOLLOW).map(|p| shown(&ns, &p))
    };
    let (beneath, in_root) = (LookupFlags::BENEATH, LookupFlags::IN_ROOT);
    assert_eq!(go("e/../rel", beneath), Ok("/d/e".into()));
    for leaving in ["..", "e/../..", "abs", "up", "/d"] {
        assert_eq!(go(leaving, beneath), Err(Errno::EXDEV), "{leaving}");
    }
    assert_eq!(go("/e", in_root), Ok("/d/e".into()));
    assert_eq!(go("../../e", in_root), Ok("/d/e".into()));
    assert_eq!(go("abs", in_root), Err(Errno::ENOENT));
    assert_eq!(go("rel", LookupFlags::NO_SYMLINKS), Err(Errno::ELOOP));
    assert_eq!(go("loop", LookupFlags::default()), Err(Errno::ELOOP));
    assert_eq!(go("in", LookupFlags::CACHED), Ok("/d/in".into()));
    assert_eq!(go("never-asked", LookupFlags::CACHED), Err(Errno::EAGAIN));
}

#[test]
fn forty_links_and_no_more() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    touch(&ns, "/l0");
    for i in 1..=41 {
        let target = std::format!("l{}", i - 1);
        ns.symlink(&ctx, target.as_bytes(), None, std::format!("/l{i}").as_bytes()).unwrap();
    }
    let go = |name: &str| ns.resolve(&ctx, None, name.as_bytes(), LookupFlags::FOLLOW).err();
    assert_eq!((go("/l40"), go("/l41")), (None, Some(Errno::ELOOP)));
}

#[test]
fn permissions_of_a_user() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    ns.mkdir(&ctx, None, b"/tmp", 0o1777).unwrap();
    ns.mkdir(&ctx, None, b"/private", 0o700).unwrap();
    touch(&ns, "/private/f");
    touch(&ns, "/tmp/roots");
    ns.mkdir(&ctx, None, b"/shared", 0o775).unwrap();
    ns.chown(&ctx, &at(&ns, "/shared"), None, Some(50)).unwrap();
    ns.chmod(&ctx, &at(&ns, "/shared"), 0o2775).unwrap();
    let creds = Credentials::user(1000, 1000, &[50]);
    let user = FsContext { creds: &creds, umask: 0o027, ..ctx.clone() };
    assert_eq!(ns.resolve(&user, None, b"/private/f", LookupFlags::default()).err(), Some(Errno::EACCES));
    assert_eq!(ns.unlink(&user, None, b"/tmp/roots"), Err(Errno::EPERM), "sticky");
    assert_eq!(ns.rename(&user, None, b"/tmp/roots", None, b"/tmp/x", RenameFlags::empty()), Err(Errno::EPERM));
    assert_eq!(ns.mkdir(&user, None, b"/x", 0o755).err(), Some(Errno::EACCES));
    assert_eq!(open(&ns, &user, "/tmp/roots", OpenFlags::WRONLY).err(), Some(Errno::EACCES));
    let dir = ns.mkdir(&user, None, b"/shared/d", 0o777).unwrap().inode().unwrap().metadata();
    assert_eq!((dir.mode, dir.uid, dir.gid), (S_IFDIR | 0o2750, 1000, 50), "the group and its bit are inherited");
    let dev = ns.mknod(&user, None, b"/shared/null", S_IFCHR | 0o666, makedev(1, 3));
    assert_eq!(dev.err(), Some(Errno::EPERM));
    let mine = ns
        .open(&user, None, b"/shared/f", &OpenHow { flags: OpenFlags::CREAT, mode: 0o4777, ..Default::default() })
        .unwrap();
    assert_eq!(mine.inode.metadata().mode, S_IFREG | 0o4750);
    assert_eq!(ns.chown(&user, &mine.path, Some(0), None), Err(Errno::EPERM));
    ns.chown(&user, &mine.path, None, Some(1000)).unwrap();
    assert_eq!(mine.inode.metadata().mode, S_IFREG | 0o750, "chown takes the set-user-ID bit");
}

#[test]
fn read_only_mounts_refuse() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    touch(&ns, "/f");
    ns.mkdir(&ctx, None, b"/d", 0o755).unwrap();
    ns.root().mount.set_flags(MountFlags::RDONLY);
    assert_eq!(open(&ns, &ctx, "/f", OpenFlags::WRONLY).err(), Some(Errno::EROFS));
    assert_eq!(open(&ns, &ctx, "/f", OpenFlags::CREAT).map(|o| o.created).ok(), Some(false));
    assert_eq!(open(&ns, &ctx, "/new", OpenFlags::CREAT).err(), Some(Errno::EROFS));
    assert_eq!(ns.mkdir(&ctx, None, b"/d", 0o755).err(), Some(Errno::EEXIST), "EEXIST goes before EROFS");
    assert_eq!(ns.mkdir(&ctx, None, b"/e", 0o755).err(), Some(Errno::EROFS));
    assert_eq!(ns.unlink(&ctx, None, b"/missing"), Err(Errno::EROFS));
    assert_eq!(ns.chmod(&ctx, &at(&ns, "/f"), 0), Err(Errno::EROFS));
    assert_eq!(ns.access(&ctx, &at(&ns, "/f"), AccessMask::WRITE), Err(Errno::EROFS));
    assert_eq!(ns.statfs(&ns.root()).unwrap().flags & 1, 1);
}

#[test]
fn text_busy() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    let writer = touch(&ns, "/prog");
    assert!(crate::file::ExecAccess::get(&writer.inode).is_err());
    let inode = writer.inode.clone();
    drop(writer);
    let running = crate::file::ExecAccess::get(&inode).unwrap();
    let also = running.clone();
    drop(running);
    assert_eq!(open(&ns, &ctx, "/prog", OpenFlags::WRONLY).err(), Some(Errno::ETXTBSY));
    assert_eq!(ns.truncate(&ctx, &at(&ns, "/prog"), 0, u64::MAX), Err(Errno::ETXTBSY));
    drop(also);
    open(&ns, &ctx, "/prog", OpenFlags::WRONLY).unwrap();
}

#[test]
fn negative_entries_give_way() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    let missing = |p: &str| ns.resolve(&ctx, None, p.as_bytes(), LookupFlags::default()).err();
    assert_eq!(
        (missing("/f"), missing("/g"), missing("/h")),
        (Some(Errno::ENOENT), Some(Errno::ENOENT), Some(Errno::ENOENT))
    );
    touch(&ns, "/f");
    ns.rename(&ctx, None, b"/f", None, b"/g", RenameFlags::empty()).unwrap();
    ns.link(&ctx, None, b"/g", None, b"/h", LookupFlags::default()).unwrap();
    assert_eq!((missing("/f"), missing("/g"), missing("/h")), (Some(Errno::ENOENT), None, None));
    ns.unlink(&ctx, None, b"/g").unwrap();
    assert_eq!((missing("/g"), missing("/h")), (Some(Errno::ENOENT), None));
}

#[test]
fn append_and_limits() {
    use crate::file::{WriteRequest, write};
    let ns = fresh();
    let file = touch(&ns, "/f").inode;
    let req = WriteRequest { pos: 0, len: 10, append: true, fsize_limit: 25, keep_setid: false };
    let put = |req: &WriteRequest| write(&file, req, &mut |_, _, n| Ok(n));
    assert_eq!(put(&req), Ok((10, 10)));
    assert_eq!(put(&req), Ok((10, 20)));
    assert_eq!(put(&req), Ok((5, 25)), "as much as the limit leaves");
    assert_eq!(put(&req), Err(Errno::EFBIG));
    assert_eq!(put(&WriteRequest { len: 0, ..req }), Ok((0, 25)));
    let huge = WriteRequest { pos: MAX_FILE_SIZE, append: false, fsize_limit: u64::MAX, ..req };
    assert_eq!(put(&huge), Err(Errno::EFBIG));
    let truncate = |size| crate::file::truncate(&file, size, 25, false);
    assert_eq!((truncate(26), truncate(25), truncate(3)), (Err(Errno::EFBIG), Ok(()), Ok(())));
}

#[test]
fn writing_takes_set_id_bits() {
    use crate::file::{WriteRequest, write};
    let ns = fresh();
    let ctx = ns.kernel_context();
    let file = touch(&ns, "/f");
    let mode_after = |mode, keep_setid| {
        ns.chmod(&ctx, &file.path, mode).unwrap();
        let req = WriteRequest { pos: 0, len: 1, append: false, fsize_limit: u64::MAX, keep_setid };
        write(&file.inode, &req, &mut |_, _, n| Ok(n)).unwrap();
        file.inode.metadata().mode & 0o7777
    };
    assert_eq!([mode_after(0o6755, false), mode_after(0o6745, false), mode_after(0o6755, true)], [0o755, 0o2745, 0o6755]);
}

#[test]
fn relatime() {
    let ns = fresh();
    let ctx = ns.kernel_context();
    let file = touch(&ns, "/f");
    let day = 24 * 60 * 60;
    let now = crate::platform::now().sec;
    let read_with = |atime: i64, mtime: i64| {
        let t = |sec| SetTime::At(Timespec { sec, nsec: 0 });
        ns.utimens(&ctx, &file.path, t(atime), t(mtime)).unwrap();
        let old = Some(Timespec { sec: mtime, nsec: 0 });
        file.inode.setattr(&SetAttr { ctime: old, ..Default::default() }).unwrap();
        crate::file::accessed(&file.path.mount, &file.inode);
        file.inode.metadata().atime.sec != atime
    };
    assert!(read_with(100, 200), "older than the modification");
    assert!(!read_with(now - 10, now - 20), "young and newer than the modification");
    assert!(read_with(now - day - 1, now - 2 * day), "a day old");
    file.path.mount.set_flags(MountFlags::NOATIME);
    assert!(!read_with(100, 200));
}
