//! The namespace on a tmpfs, against what Linux answers.

use super::*;
use crate::mount::MountFlags;
use crate::tmpfs::{Tmpfs, TmpfsOptions};
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
    let from_dead = FsContext { cwd: dir, ..ctx.clone() };
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
    let inside = FsContext { cwd: at(&ns, "/tmp"), ..ctx.clone() };
    assert_eq!(ns.resolve(&inside, None, b"..", LookupFlags::default()).unwrap(), ns.root());
    let flags = LookupFlags::NO_XDEV;
    assert_eq!(ns.resolve(&inside, None, b"..", flags).err(), Some(Errno::EXDEV));
    assert_eq!(ns.resolve(&ctx, None, b"tmp/x", flags).err(), Some(Errno::EXDEV));
    assert_eq!(ns.rmdir(&ctx, None, b"/tmp"), Err(Errno::EBUSY));
    assert_eq!(ns.rename(&ctx, None, b"/tmp/x", None, b"/x", RenameFlags::empty()), Err(Errno::EXDEV));
    let lines = ns.mount_lines(&ns.root());
    assert_eq!(lines.iter().map(|l| String::from_utf8_lossy(&l.target).to_string()).collect::<vec::Vec<_>>(), ["/", "/tmp"]);
    assert_eq!(lines[1].options, "rw,nosuid");
    assert_eq!(ns.umount(&at(&ns, "/tmp"), false), Err(Errno::EBUSY), "a file of it is held");
    drop((file, inside));
    ns.umount(&at(&ns, "/tmp"), false).unwrap();
    assert_eq!(at(&ns, "/tmp/below").inode().unwrap().file_type(), FileType::Regular);
}
