//! Directory notification by signals (fcntl(2), `F_NOTIFY`), inotify's elder.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use fs::notify::{FsEvent, event};
use fs::{FileType, InodeRef};
use linux_raw_sys::general as g;
use sync::SpinLock;
use syscall_shim::{Errno, SysResult};

use crate::OpenFile;
use crate::owner::{self, Owner, OwnerKind, SharedOwner};

/// What each bit of `F_NOTIFY` stands for.
const EVENTS: [(u32, u32); 6] = [
    (g::DN_ACCESS, event::ACCESS),
    (g::DN_MODIFY, event::MODIFY),
    (g::DN_CREATE, event::CREATE | event::MOVED_TO),
    (g::DN_DELETE, event::DELETE | event::MOVED_FROM),
    (g::DN_RENAME, event::MOVED_FROM),
    (g::DN_ATTRIB, event::ATTRIB),
];

/// One description that a process watches a directory through.
struct Mark {
    /// Id of the description.
    file: u64,
    /// Id of the table of descriptors.
    table: u64,
    fd: i32,
    mask: u32,
    multishot: bool,
    owner: SharedOwner,
}

/// The marks on one directory. A leaf lock.
#[derive(Default)]
struct Marks(SpinLock<Vec<Mark>>);

/// Whether directories are watched (`/proc/sys/fs/dir-notify-enable`).
pub static ENABLED: AtomicI32 = AtomicI32::new(1);

/// Marks that exist.
static MARKS: AtomicUsize = AtomicUsize::new(0);

/// Whether any directory is watched.
pub fn active() -> bool {
    MARKS.load(Ordering::Relaxed) > 0
}

/// `F_NOTIFY` through the descriptor `fd` of the table `table`. `ENOTDIR` for other files.
pub fn set(file: &OpenFile, table: u64, fd: i32, arg: u32) -> SysResult<()> {
    if ENABLED.load(Ordering::Relaxed) == 0 {
        return Err(Errno::EINVAL);
    }
    let mask = EVENTS.iter().filter(|(bit, _)| arg & bit != 0).fold(0, |mask, (_, events)| mask | events);
    if arg & !g::DN_MULTISHOT == 0 {
        flush(file, table);
        return Ok(());
    }
    if file.inode.file_type() != FileType::Dir {
        return Err(Errno::ENOTDIR);
    }
    crate::inotify::receive();
    {
        let mut owner = file.owner.lock();
        if owner.pid == 0 {
            *owner = Owner { kind: OwnerKind::Process, pid: caller::pid(), ..*owner };
        }
    }
    let marks = file.inode.common().ext_or_insert(Marks::default);
    let mut list = marks.0.lock();
    let multishot = arg & g::DN_MULTISHOT != 0;
    match list.iter_mut().find(|mark| (mark.file, mark.table) == (file.id, table)) {
        Some(mark) => {
            mark.fd = fd;
            mark.mask |= mask;
            mark.multishot |= multishot;
        }
        None => {
            list.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            list.push(Mark { file: file.id, table, fd, mask, multishot, owner: Arc::clone(&file.owner) });
            MARKS.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Ends the watch through a description of which the process with the table `table` closes a
/// descriptor.
pub fn flush(file: &OpenFile, table: u64) {
    if !active() {
        return;
    }
    let Some(marks) = file.inode.common().get_ext::<Marks>() else { return };
    remove(&marks, |mark| (mark.file, mark.table) == (file.id, table));
}

fn remove(marks: &Marks, gone: impl Fn(&Mark) -> bool) {
    let mut list = marks.0.lock();
    let before = list.len();
    list.retain(|mark| !gone(mark));
    MARKS.fetch_sub(before - list.len(), Ordering::Relaxed);
}

fn tell(directory: &InodeRef, mask: u32) {
    let Some(marks) = directory.common().get_ext::<Marks>() else { return };
    let told: Vec<(Owner, i32)> = {
        let list = marks.0.lock();
        list.iter().filter(|mark| mark.mask & mask != 0).map(|mark| (*mark.owner.lock(), mark.fd)).collect()
    };
    if told.is_empty() {
        return;
    }
    remove(&marks, |mark| mark.mask & mask != 0 && !mark.multishot);
    for (owner, fd) in told {
        owner::post_message(&owner, fd);
    }
}

/// Passes an event on to those who watch the directory that it happened in.
pub fn notify(event: &FsEvent<'_>) {
    if !active() {
        return;
    }
    if let Some(parent) = event.parent {
        tell(parent, event.mask);
    }
    let own = event.mask & (event::ACCESS | event::MODIFY | event::ATTRIB);
    if event.mask & event::ISDIR != 0 && own != 0 {
        tell(event.inode, own);
    }
}
