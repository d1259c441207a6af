//! The events that path-based calls raise, in inotify(7)'s terms.

use fs::namespace::OpenHow;
use fs::notify::{FsEvent, FsNotify, set_notify};
use fs::tmpfs::{Tmpfs, TmpfsOptions};
use fs::*;
use std::sync::Mutex;

struct Log(Mutex<Vec<String>>);

impl FsNotify for Log {
    fn active(&self) -> bool {
        true
    }

    fn unmounted(&self, _dev: u64) {}

    fn notify(&self, e: &FsEvent<'_>) {
        let names = [
            (0x2, "MODIFY"),
            (0x4, "ATTRIB"),
            (0x40, "MOVED_FROM"),
            (0x80, "MOVED_TO"),
            (0x100, "CREATE"),
            (0x200, "DELETE"),
            (0x400, "DELETE_SELF"),
            (0x800, "MOVE_SELF"),
            (0x4000_0000, "ISDIR"),
        ];
        let bits: Vec<_> = names.iter().filter(|(bit, _)| e.mask & bit != 0).map(|(_, name)| *name).collect();
        assert_eq!(e.cookie != 0, e.mask & 0xc0 != 0, "a cookie ties moves together");
        let parent = if e.parent.is_some() { "in dir" } else { "self" };
        self.0.lock().unwrap().push(format!("{} {parent} {}", bits.join("|"), String::from_utf8_lossy(e.name)));
    }
}

static LOG: Log = Log(Mutex::new(Vec::new()));

#[test]
fn every_change_is_told() {
    fs::testing::install();
    set_notify(&LOG);
    let ns = Namespace::new(Tmpfs::new(TmpfsOptions::default()).unwrap(), "tmpfs", MountFlags::empty());
    let ctx = ns.kernel_context();
    let told = || std::mem::take(&mut *LOG.0.lock().unwrap());
    let how = |flags| OpenHow { flags, mode: 0o644, ..Default::default() };

    ns.mkdir(&ctx, None, b"/d", 0o755).unwrap();
    let file = ns.open(&ctx, None, b"/f", &how(OpenFlags::CREAT)).unwrap();
    assert_eq!(told(), ["CREATE|ISDIR in dir d", "CREATE in dir f"]);
    assert!(ns.open(&ctx, None, b"/f", &how(OpenFlags::TRUNC | OpenFlags::WRONLY)).unwrap().truncated);
    ns.chmod(&ctx, &file.path, 0o600).unwrap();
    ns.link(&ctx, None, b"/f", None, b"/g", LookupFlags::default()).unwrap();
    assert_eq!(told(), ["ATTRIB in dir f", "ATTRIB self ", "CREATE in dir g"]);
    ns.rename(&ctx, None, b"/f", None, b"/d/h", RenameFlags::empty()).unwrap();
    assert_eq!(told(), ["MOVED_FROM in dir f", "MOVED_TO in dir h", "MOVE_SELF self "]);
    ns.unlink(&ctx, None, b"/g").unwrap();
    assert_eq!(told(), ["ATTRIB self ", "DELETE in dir g"]);
    ns.unlink(&ctx, None, b"/d/h").unwrap();
    ns.rmdir(&ctx, None, b"/d").unwrap();
    assert_eq!(told(), ["ATTRIB self ", "DELETE in dir h", "DELETE|ISDIR in dir d"]);
    drop(file);
    let last = ["DELETE_SELF self ", "DELETE_SELF|ISDIR self "];
    assert_eq!(told(), last, "an open file ends when it is closed, and so does the directory that it was in");
}
