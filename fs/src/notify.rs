//! Where file events leave this crate, for inotify(7).

use crate::inode::InodeRef;
use crate::path::Path;

/// Event bits of inotify(7).
#[allow(missing_docs)]
pub mod event {
    pub const ACCESS: u32 = 0x1;
    pub const MODIFY: u32 = 0x2;
    pub const ATTRIB: u32 = 0x4;
    pub const CLOSE_WRITE: u32 = 0x8;
    pub const CLOSE_NOWRITE: u32 = 0x10;
    pub const OPEN: u32 = 0x20;
    pub const MOVED_FROM: u32 = 0x40;
    pub const MOVED_TO: u32 = 0x80;
    pub const CREATE: u32 = 0x100;
    pub const DELETE: u32 = 0x200;
    pub const DELETE_SELF: u32 = 0x400;
    pub const MOVE_SELF: u32 = 0x800;
    pub const UNMOUNT: u32 = 0x2000;
    pub const ISDIR: u32 = 0x4000_0000;
}

/// One event on a file.
pub struct FsEvent<'a> {
    /// The file that it happened to.
    pub inode: &'a InodeRef,
    /// The directory that holds `name`, when known. Watches on it get the event with the name;
    /// watches on `inode` get it without.
    pub parent: Option<&'a InodeRef>,
    /// Name in `parent`.
    pub name: &'a [u8],
    /// Bits of [`event`]; `ISDIR` set for directories.
    pub mask: u32,
    /// Ties `MOVED_FROM` to `MOVED_TO`; otherwise 0.
    pub cookie: u32,
    /// It happened through an open file whose name is gone (`IN_EXCL_UNLINK`).
    pub unlinked: bool,
}

/// The receiver of events. Called after the change, with no spin lock held; it must not sleep.
///
/// `CREATE`, `DELETE`, `MOVED_FROM` and `MOVED_TO` concern watches on the parent only;
/// `DELETE_SELF` and `MOVE_SELF` watches on the inode only; all others both.
pub trait FsNotify: Send + Sync {
    /// False when nobody watches anything: spares the work of building events.
    fn active(&self) -> bool;
    /// Delivers one event.
    fn notify(&self, event: &FsEvent<'_>);
    /// The file system with the device number `dev` is mounted nowhere any more.
    fn unmounted(&self, dev: u64);
}

static NOTIFY: spin::Once<&'static dyn FsNotify> = spin::Once::new();

/// Registers the receiver. The first registration stays.
pub fn set_notify(receiver: &'static dyn FsNotify) {
    NOTIFY.call_once(|| receiver);
}

/// True when somebody watches.
pub fn active() -> bool {
    NOTIFY.get().is_some_and(|n| n.active())
}

/// Delivers an event if anybody watches. `mask` without `ISDIR`: that is added here.
pub fn notify(inode: &InodeRef, parent: Option<&InodeRef>, name: &[u8], mask: u32, cookie: u32) {
    deliver(FsEvent { inode, parent, name, mask, cookie, unlinked: false });
}

fn deliver(event: FsEvent<'_>) {
    let Some(receiver) = NOTIFY.get().filter(|n| n.active()) else { return };
    let FsEvent { inode, mask, .. } = event;
    let dir = inode.access_attrs().mode & crate::types::S_IFMT == crate::types::S_IFDIR;
    let mask = if dir { mask | event::ISDIR } else { mask };
    receiver.notify(&FsEvent { mask, ..event });
}

fn deliver_at(path: &Path, mask: u32, unlinked: bool) {
    let Some(inode) = path.dentry.inode() else { return };
    let (parent, name) = path.dentry.parent_and_name();
    let parent = parent.as_ref().and_then(|p| p.inode());
    deliver(FsEvent { inode, parent, name: &name, mask, cookie: 0, unlinked });
}

/// Delivers an event for the file at `path`, whose name and parent are looked up.
pub fn notify_path(path: &Path, mask: u32) {
    if active() {
        deliver_at(path, mask, false);
    }
}

/// Delivers what happened through an open file: `OPEN`, `ACCESS`, `MODIFY` and the closes.
pub fn notify_open_file(path: &Path, mask: u32) {
    if active() {
        deliver_at(path, mask, path.dentry.is_unlinked());
    }
}

/// Tells that a file system is mounted nowhere any more.
pub fn unmounted(dev: u64) {
    if let Some(receiver) = NOTIFY.get().filter(|n| n.active()) {
        receiver.unmounted(dev);
    }
}
