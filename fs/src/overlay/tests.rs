//! An overlay of two tmpfs, against what Linux answers.

use super::*;
use crate::mount::MountFlags;
use crate::namespace::OpenHow;
use crate::tmpfs::{Tmpfs, TmpfsOptions};
use crate::walk::LookupFlags;
use std::string::{String, ToString};
use std::vec;

struct World {
    ns: Arc<Namespace>,
}

impl World {
    /// `/l` is below, `/u` above, `/m` the overlay; `files` are paths that end in a slash, or have
    /// their own name as content.
    fn new(files: &[&str]) -> World {
        crate::testing::install();
        let fs = Tmpfs::new(TmpfsOptions { mode: 0o755, ..Default::default() }).unwrap();
        let world = World { ns: Namespace::new(fs, "rootfs", MountFlags::RELATIME) };
        for path in ["/l/", "/u/", "/w/", "/m/"].iter().chain(files) {
            match path.strip_suffix('/') {
                Some(dir) => drop(world.mkdir(dir).unwrap()),
                None => world.write(path, path).unwrap(),
            }
        }
        world.mount();
        world
    }

    fn mount(&self) {
        let places =
            Places { lower: vec![self.at("/l").unwrap()], upper: Some((self.at("/u").unwrap(), self.at("/w").unwrap())) };
        let overlay = Overlay::new(&self.ns, places, false, String::new()).unwrap();
        self.ns.mount(overlay, "overlay", &self.at("/m").unwrap(), MountFlags::RELATIME).unwrap();
    }

    /// As another machine would find it.
    fn remount(&self) {
        self.ns.umount(&self.at("/m").unwrap(), true, false).unwrap();
        self.mount();
    }

    fn at(&self, path: &str) -> SysResult<Path> {
        self.ns.resolve(&self.ns.kernel_context(), None, path.as_bytes(), LookupFlags::default())
    }

    fn mkdir(&self, path: &str) -> SysResult<Path> {
        self.ns.mkdir(&self.ns.kernel_context(), None, path.as_bytes(), 0o755)
    }

    fn write(&self, path: &str, text: &str) -> SysResult<()> {
        let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
        let how = OpenHow { flags, mode: 0o640, resolve: LookupFlags::default() };
        let opened = self.ns.open(&self.ns.kernel_context(), None, path.as_bytes(), &how)?;
        let request =
            crate::file::WriteRequest { pos: 0, len: text.len(), append: false, fsize_limit: u64::MAX, keep_setid: true };
        crate::file::write(&opened.inode, &request, &mut |page, off, n| Ok(page.write(off, &text.as_bytes()[..n])))?;
        Ok(())
    }

    fn read(&self, path: &str) -> SysResult<String> {
        let found = self.at(path)?;
        let mut bytes = [0; 100];
        let n = crate::file::read(found.inode()?, 0, 100, &mut |page, off, n| {
            page.unwrap().read(off, &mut bytes[..n]);
            Ok(n)
        })?;
        Ok(String::from_utf8_lossy(&bytes[..n]).to_string())
    }

    fn unlink(&self, path: &str) -> SysResult<()> {
        self.ns.unlink(&self.ns.kernel_context(), None, path.as_bytes())
    }

    fn rmdir(&self, path: &str) -> SysResult<()> {
        self.ns.rmdir(&self.ns.kernel_context(), None, path.as_bytes())
    }

    fn rename(&self, old: &str, new: &str, flags: RenameFlags) -> SysResult<()> {
        self.ns.rename(&self.ns.kernel_context(), None, old.as_bytes(), None, new.as_bytes(), flags)
    }

    fn link(&self, old: &str, new: &str) -> SysResult<()> {
        self.ns.link(&self.ns.kernel_context(), None, old.as_bytes(), None, new.as_bytes(), LookupFlags::default())
    }

    fn list(&self, path: &str) -> String {
        let mut names = Vec::new();
        let dir = self.at(path).unwrap();
        dir.inode()
            .unwrap()
            .readdir(2, &mut |entry| {
                names.push(String::from_utf8_lossy(entry.name).to_string());
                true
            })
            .unwrap();
        names.sort();
        names.join(" ")
    }

    fn meta(&self, path: &str) -> Metadata {
        self.at(path).unwrap().inode().unwrap().metadata()
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let meta = self.meta(path);
        meta.file_type() == FileType::Char && meta.rdev == 0
    }

    fn is_opaque(&self, path: &str) -> bool {
        self.at(path).unwrap().inode().unwrap().getxattr(b"trusted.overlay.opaque").is_ok()
    }
}

#[test]
fn what_changes_is_copied_up_and_stays_the_same_file() {
    let w = World::new(&["/l/d/", "/l/d/e/", "/l/d/e/f", "/u/own"]);
    assert_eq!(w.list("/m"), "d own");
    let before = w.meta("/m/d/e/f");
    assert_eq!(w.read("/m/d/e/f").unwrap(), "/l/d/e/f");
    assert!(w.at("/u/d").is_err());
    w.write("/m/d/e/f", "new").unwrap();
    let after = w.meta("/m/d/e/f");
    assert_eq!((after.ino, after.dev, after.mode), (before.ino, before.dev, before.mode));
    assert_eq!((w.read("/l/d/e/f").unwrap(), w.read("/u/d/e/f").unwrap()), ("/l/d/e/f".into(), "new".into()));
    assert_eq!(w.meta("/m/d/e").mtime, w.meta("/l/d/e").mtime);
    w.remount();
    assert_eq!(w.read("/m/d/e/f").unwrap(), "new");
}

#[test]
fn removing_leaves_a_whiteout_and_making_takes_it_away() {
    let w = World::new(&["/l/d/", "/l/d/f", "/l/g", "/u/h"]);
    w.unlink("/m/g").unwrap();
    w.unlink("/m/h").unwrap();
    assert!(w.is_whiteout("/u/g") && w.at("/u/h").is_err());
    assert_eq!(w.at("/m/g").err(), Some(Errno::ENOENT));
    assert_eq!(w.rmdir("/m/d").err(), Some(Errno::ENOTEMPTY));
    w.unlink("/m/d/f").unwrap();
    w.rmdir("/m/d").unwrap();
    assert!(w.is_whiteout("/u/d"));
    assert_eq!(w.list("/m"), "");
    w.mkdir("/m/d").unwrap();
    w.write("/m/g", "again").unwrap();
    assert!(w.is_opaque("/u/d") && !w.is_whiteout("/u/g"));
    for _ in 0..2 {
        assert_eq!((w.list("/m"), w.list("/m/d")), ("d g".into(), "".into()));
        w.remount();
    }
    assert_eq!(w.list("/w/work"), "");
}

#[test]
fn names_move_as_far_as_one_layer_goes() {
    let w = World::new(&["/l/d/", "/l/d/f", "/l/g", "/l/e/", "/u/n/", "/u/n/x"]);
    assert_eq!(w.rename("/m/d", "/m/z", RenameFlags::empty()), Err(Errno::EXDEV));
    w.rename("/m/g", "/m/d/f", RenameFlags::empty()).unwrap();
    assert!(w.is_whiteout("/u/g"));
    assert_eq!(w.read("/m/d/f").unwrap(), "/l/g");
    w.rename("/m/n", "/m/e", RenameFlags::empty()).unwrap();
    assert!(w.is_opaque("/u/e") && w.at("/u/n").is_err());
    // Over a whiteout.
    w.rename("/m/e", "/m/g", RenameFlags::empty()).unwrap();
    assert!(w.is_whiteout("/u/e"));
    w.rename("/m/g", "/m/d/f", RenameFlags::EXCHANGE).unwrap();
    for _ in 0..2 {
        assert_eq!((w.list("/m"), w.list("/m/d"), w.list("/m/d/f")), ("d g".into(), "f".into(), "x".into()));
        assert_eq!(w.read("/m/g").unwrap(), "/l/g");
        w.remount();
    }
    assert_eq!(w.list("/w/work"), "");
}

#[test]
fn hard_links_are_one_file_above() {
    let w = World::new(&["/l/a", "/l/b"]);
    w.link("/m/a", "/m/c").unwrap();
    assert_eq!((w.meta("/m/a").ino, w.meta("/m/a").nlink), (w.meta("/m/c").ino, 2));
    w.unlink("/m/b").unwrap();
    w.link("/m/c", "/m/b").unwrap();
    w.write("/m/b", "all").unwrap();
    assert_eq!((w.read("/m/a").unwrap(), w.meta("/u/b").nlink), ("all".into(), 3));
    w.remount();
    assert_eq!((w.meta("/m/a").ino, w.meta("/m/a").nlink), (w.meta("/m/c").ino, 3));
}

#[test]
fn an_open_file_goes_on_without_its_name() {
    let w = World::new(&["/l/a"]);
    let open = w.at("/m/a").unwrap();
    w.unlink("/m/a").unwrap();
    let inode = open.inode().unwrap();
    assert_eq!(inode.metadata().nlink, 0);
    inode.setattr(&SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    assert_eq!((inode.metadata().mode & 0o777, inode.metadata().nlink, w.list("/w/work")), (0o600, 0, "".into()));
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let w = World::new(&["/u/sub/"]);
    let wrong = |upper: &str, work: &str| {
        let places = Places { lower: vec![w.at("/l").unwrap()], upper: Some((w.at(upper).unwrap(), w.at(work).unwrap())) };
        Overlay::new(&w.ns, places, false, String::new()).err()
    };
    assert_eq!(wrong("/u", "/u/sub"), Some(Errno::EINVAL));
    assert_eq!(wrong("/u", "/u"), Some(Errno::EINVAL));
    assert_eq!(wrong("/u", "/m"), Some(Errno::EINVAL));
    let twice = Places { lower: vec![w.at("/m").unwrap()], upper: None };
    let twice = Overlay::new(&w.ns, twice, false, String::new()).unwrap();
    w.ns.mount(twice, "overlay", &w.at("/w").unwrap(), MountFlags::RELATIME).unwrap();
    let thrice = Places { lower: vec![w.at("/w").unwrap()], upper: None };
    let root = w.ns.cross(w.at("/w").unwrap());
    assert_eq!(root.mount.fs.name(), "overlay");
    assert_eq!(Overlay::new(&w.ns, Places { lower: vec![root], ..thrice }, false, String::new()).err(), Some(Errno::EINVAL));
}
