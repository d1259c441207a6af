//! inotify(7).
//!
//! A [`Mark`] hangs on the inode that it watches and belongs to one instance. The file crate tells
//! of changes with no spin lock held; events go straight into the queues of the instances.

pub mod users;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use fs::notify::{FsEvent, FsNotify, event};
use fs::{InodeRef, OpenFlags};
use linux_raw_sys::general as g;
use linux_raw_sys::ioctl::FIONREAD;
use litemap::LiteMap;
use sync::SpinLock;
use sync::wait::wait_exclusive;
use syscall_shim::types::write_inotify_event;
use syscall_shim::{Errno, InotifyMask, SysResult};
use usermem::UserAddr;

use self::users::Account;
use crate::io::{Sink, put_all};
use crate::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::{FileOps, OpenFile, anon, dnotify};

/// Events that a queue holds (`/proc/sys/fs/inotify/max_queued_events`).
pub static MAX_QUEUED: AtomicI32 = AtomicI32::new(16384);
/// What concerns the entry of a directory and is told to the directory alone.
const ENTRY_ONLY: u32 = event::CREATE | event::DELETE | event::MOVED_FROM | event::MOVED_TO;
/// What concerns the file itself and is told to it alone.
const SELF_ONLY: u32 = event::DELETE_SELF | event::MOVE_SELF;

/// All instances, for what concerns a whole file system. A leaf lock.
static INSTANCES: SpinLock<Vec<Weak<Inotify>>> = SpinLock::new(Vec::new());

/// Marks that exist: without any, no event is even built.
static MARKS: AtomicUsize = AtomicUsize::new(0);

/// One watch.
struct Mark {
    wd: i32,
    mask: AtomicU32,
    inode: InodeRef,
    instance: Weak<Inotify>,
}

/// The watches on one inode. A leaf lock.
#[derive(Default)]
struct Marks(SpinLock<Vec<Arc<Mark>>>);

struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// Whether it tells the same, so that one of both will do. The end of a watch is never the same
    /// as another.
    fn is_like(&self, other: &Event) -> bool {
        self.mask & g::IN_IGNORED == 0 && (self.wd, self.mask, &self.name) == (other.wd, other.mask, &other.name)
    }

    fn size(&self) -> usize {
        16 + if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(16) }
    }
}

/// An inotify instance.
pub struct Inotify {
    me: Weak<Inotify>,
    /// Watches by descriptor, and the next descriptor. A leaf lock.
    watches: SpinLock<(LiteMap<i32, Arc<Mark>>, i32)>,
    /// A leaf lock.
    events: SpinLock<VecDeque<Event>>,
    queue: PollQueue,
    account: Account,
}

/// Receives the file crate's events.
struct Receiver;

impl FsNotify for Receiver {
    fn active(&self) -> bool {
        MARKS.load(Ordering::Relaxed) > 0 || dnotify::active()
    }

    fn notify(&self, event: &FsEvent<'_>) {
        dnotify::notify(event);
        if let Some(parent) = event.parent.filter(|_| event.mask & SELF_ONLY == 0) {
            deliver(parent, event, event.name);
        }
        if event.mask & ENTRY_ONLY == 0 {
            deliver(event.inode, event, b"");
        }
        if event.mask & event::DELETE_SELF != 0 {
            for mark in marks_on(event.inode) {
                if let Some(instance) = mark.instance.upgrade() {
                    instance.forget(&mark);
                }
            }
        }
    }

    fn unmounted(&self, dev: u64) {
        let instances: Vec<Arc<Inotify>> = INSTANCES.lock().iter().filter_map(Weak::upgrade).collect();
        for instance in instances {
            let marks: Vec<Arc<Mark>> = instance.watches.lock().0.values().cloned().collect();
            for mark in marks.iter().filter(|mark| mark.inode.metadata().dev == dev) {
                instance.push(Event { wd: mark.wd, mask: g::IN_UNMOUNT, cookie: 0, name: Vec::new() });
                instance.forget(mark);
            }
        }
    }
}

/// Has the file crate tell of changes.
pub fn receive() {
    static REGISTERED: spin::Once<()> = spin::Once::new();
    REGISTERED.call_once(|| fs::notify::set_notify(&Receiver));
}

fn marks_on(inode: &InodeRef) -> Vec<Arc<Mark>> {
    inode.common().get_ext::<Marks>().map(|marks| marks.0.lock().clone()).unwrap_or_default()
}

fn deliver(watched: &InodeRef, event: &FsEvent<'_>, name: &[u8]) {
    for mark in marks_on(watched) {
        let mask = mark.mask.load(Ordering::Relaxed);
        if mask & event.mask & g::IN_ALL_EVENTS == 0 || event.unlinked && mask & g::IN_EXCL_UNLINK != 0 {
            continue;
        }
        let Some(instance) = mark.instance.upgrade() else { continue };
        // What an inode tells of its own end does not say what it was.
        let told = if event.mask & SELF_ONLY != 0 { event.mask & !event::ISDIR } else { event.mask };
        instance.push(Event { wd: mark.wd, mask: told, cookie: event.cookie, name: name.to_vec() });
        if mask & g::IN_ONESHOT != 0 {
            instance.forget(&mark);
        }
    }
}

impl Inotify {
    /// A new instance, open. `EMFILE` where the user has as many as there may be.
    pub fn open(flags: OpenFlags) -> SysResult<Arc<OpenFile>> {
        let account = Account::open()?;
        receive();
        let ops = Arc::new_cyclic(|me| Inotify {
            me: me.clone(),
            watches: SpinLock::new((LiteMap::new_vec(), 1)),
            events: SpinLock::new(VecDeque::new()),
            queue: poll_queue(),
            account,
        });
        {
            let mut instances = INSTANCES.lock();
            instances.retain(|instance| instance.strong_count() > 0);
            instances.push(Arc::downgrade(&ops));
        }
        let (path, inode) = anon::anon_inode("inotify");
        Ok(OpenFile::new(path, inode, ops, flags))
    }

    /// inotify_add_watch(2), the file already found: a new watch, or a change of the one that there
    /// is. `ENOSPC` where the user has as many as there may be.
    pub fn add(&self, inode: &InodeRef, mask: u32) -> SysResult<i32> {
        let kept = mask & (g::IN_ALL_EVENTS | g::IN_ONESHOT | g::IN_EXCL_UNLINK | g::IN_UNMOUNT);
        let marks = inode.common().ext_or_insert(Marks::default);
        let own = marks.0.lock().iter().find(|m| core::ptr::eq(m.instance.as_ptr(), self)).cloned();
        if let Some(mark) = own {
            if mask & g::IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            if mask & g::IN_MASK_ADD != 0 {
                mark.mask.fetch_or(kept, Ordering::Relaxed);
            } else {
                mark.mask.store(kept, Ordering::Relaxed);
            }
            return Ok(mark.wd);
        }
        self.account.add_watch()?;
        let mark = {
            let mut watches = self.watches.lock();
            let wd = watches.1;
            watches.1 += 1;
            let mark = Arc::new(Mark { wd, mask: AtomicU32::new(kept), inode: inode.clone(), instance: self.me.clone() });
            watches.0.insert(wd, mark.clone());
            mark
        };
        MARKS.fetch_add(1, Ordering::Relaxed);
        let wd = mark.wd;
        marks.0.lock().push(mark);
        Ok(wd)
    }

    /// inotify_rm_watch(2).
    pub fn remove(&self, wd: i32) -> SysResult<()> {
        let mark = self.watches.lock().0.get(&wd).cloned().ok_or(Errno::EINVAL)?;
        self.forget(&mark);
        Ok(())
    }

    /// Ends a watch, and says so (`IN_IGNORED`).
    fn forget(&self, mark: &Arc<Mark>) {
        if self.watches.lock().0.remove(&mark.wd).is_none() {
            return;
        }
        detach(mark);
        self.account.remove_watches(1);
        self.push(Event { wd: mark.wd, mask: g::IN_IGNORED, cookie: 0, name: Vec::new() });
    }

    fn push(&self, event: Event) {
        {
            let mut events = self.events.lock();
            // The same again tells nothing new.
            if events.back().is_some_and(|last| last.is_like(&event)) {
                return;
            }
            if events.len() >= MAX_QUEUED.load(Ordering::Relaxed).max(0) as usize {
                let overflow = Event { wd: -1, mask: g::IN_Q_OVERFLOW, cookie: 0, name: Vec::new() };
                if !events.back().is_some_and(|last| last.is_like(&overflow)) {
                    events.push_back(overflow);
                }
                return;
            }
            events.push_back(event);
        }
        self.queue.wake(1, ev::READABLE);
    }

    /// The records that fit into `room`; `None` without an event, `EINVAL` when not even the first
    /// fits.
    fn take(&self, room: usize) -> Option<SysResult<Vec<u8>>> {
        let mut events = self.events.lock();
        let mut out = Vec::new();
        while let Some(next) = events.front() {
            let size = next.size();
            if out.len() + size > room {
                break;
            }
            let at = out.len();
            out.resize(at + size, 0);
            write_inotify_event(out.get_mut(at..).unwrap_or_default(), next.wd, next.mask, next.cookie, &next.name);
            events.pop_front();
        }
        match (out.is_empty(), events.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Err(Errno::EINVAL)),
            _ => Some(Ok(out)),
        }
    }
}

fn detach(mark: &Arc<Mark>) {
    MARKS.fetch_sub(1, Ordering::Relaxed);
    if let Some(marks) = mark.inode.common().get_ext::<Marks>() {
        marks.0.lock().retain(|m| !Arc::ptr_eq(m, mark));
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let watches = core::mem::take(&mut self.watches.lock().0);
        for mark in watches.values() {
            detach(mark);
        }
        self.account.remove_watches(watches.len() as i32);
    }
}

impl FileOps for Inotify {
    fn sends_signals(&self) -> bool {
        true
    }

    fn seek(&self, _file: &OpenFile, pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(pos)
    }

    fn can_read_and_write(&self) -> (bool, bool) {
        (true, false)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let room = to.remaining();
        let bytes = match self.take(room) {
            Some(bytes) => bytes?,
            None if file.nonblocking() => return Err(Errno::EAGAIN),
            None => wait_exclusive(&self.queue, None, || self.take(room)).map_err(|_| Errno::ERESTARTSYS)??,
        };
        put_all(to, &bytes)?;
        Ok(bytes.len())
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.queue);
        if self.events.lock().is_empty() { 0 } else { ev::READABLE }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        match request {
            FIONREAD => {
                let n: usize = self.events.lock().iter().map(Event::size).sum();
                arg.cast::<i32>().write(n as i32).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        let marks: Vec<Arc<Mark>> = self.watches.lock().0.values().cloned().collect();
        for mark in marks {
            let m = mark.inode.metadata();
            let mask = InotifyMask::from_bits_truncate(mark.mask.load(Ordering::Relaxed)).bits();
            let _ = writeln!(out, "inotify wd:{:x} ino:{:x} sdev:{:x} mask:{mask:x} ignored_mask:0 ", mark.wd, m.ino, m.dev);
        }
    }
}
