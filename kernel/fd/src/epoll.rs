//! epoll(7).
//!
//! A [`Watch`] is one entry of the interest list. It sits as a waker in the wait queues of the file
//! it watches; a wake-up puts it on the instance's ready list and wakes those in epoll_wait(2), who
//! then ask the file what really holds. Wake-ups run with interrupts off under the lock of the
//! file's wait queue, so they touch only [`Core`], which owns nothing but lists.
//!
//! Lock order: [`NESTING`], `Epoll::interest` (both sleep), then a file's own locks; a file's wait
//! queue, then `Core::ready`, then the instance's wait queues, which for nested instances continue
//! the same chain. Loops are refused with `ELOOP`.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use caller::Instant;
use caller::PerUser;
use fs::OpenFlags;
use fs::PAGE_SIZE;
use hashbrown::HashMap;
use sync::wait::{Registration, WaitError, Waker, wait_exclusive};
use sync::{IrqSpinLock, SleepMutex, SpinLock};
use syscall_shim::types::EpollEvent;
use syscall_shim::{EpollFlags, Errno, SysResult};
use usermem::UserAddr;

use crate::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::{FileOps, OpenFile, anon};

/// Longest chain of instances that watch each other (`EP_MAX_NESTS` and the one on top).
const MAX_CHAIN: usize = 5;

const ET: u32 = EpollFlags::EPOLLET.bits();
const ONESHOT: u32 = EpollFlags::EPOLLONESHOT.bits();
const EXCLUSIVE: u32 = EpollFlags::EPOLLEXCLUSIVE.bits();
const WAKEUP: u32 = EpollFlags::EPOLLWAKEUP.bits();
/// Bits of `events` that say how to watch, not for what.
const PRIVATE: u32 = ET | ONESHOT | EXCLUSIVE | WAKEUP;
/// What may go along with `EPOLLEXCLUSIVE` (`EPOLLEXCLUSIVE_OK_BITS`).
const EXCLUSIVE_OK: u32 = ev::IN | ev::OUT | ev::ERR | ev::HUP | WAKEUP | ET | EXCLUSIVE;

/// Held while one instance comes to watch another, so that two such changes cannot close a loop
/// together.
static NESTING: SleepMutex<()> = SleepMutex::new(());

/// The part of an instance that wake-ups reach.
struct Core {
    ready: IrqSpinLock<VecDeque<Arc<Watch>>>,
    /// Those in epoll_wait(2).
    waiters: PollQueue,
    /// Those who watch the instance itself.
    watchers: PollQueue,
}

/// One entry of an interest list.
pub struct Watch {
    me: Weak<Watch>,
    core: Arc<Core>,
    epoll: Weak<Epoll>,
    file: Weak<OpenFile>,
    /// Key in the interest list: which description, under which number.
    key: (usize, i32),
    /// `events` of the caller; without all but the private bits while a one-shot is spent.
    events: AtomicU32,
    data: AtomicU64,
    /// On the ready list, or about to be.
    queued: AtomicBool,
    /// Its share of what its user may have.
    _charge: WatchCharge,
    /// Where it is registered. A leaf lock.
    queues: SpinLock<Vec<Registration<PollQueue>>>,
}

static USERS_WATCHES: PerUser = PerUser::new();

/// One watch's share of `/proc/sys/fs/epoll/max_user_watches`; dropping it gives the share back.
struct WatchCharge(u32);

/// What one watch counts for (`struct epitem` and `struct eppoll_entry`, epoll(7)).
const WATCH_SIZE: u64 = 160;

/// What was written to `/proc/sys/fs/epoll/max_user_watches`; [`UNSET`] before.
static MAX_USER_WATCHES: AtomicU64 = AtomicU64::new(UNSET);
const UNSET: u64 = u64::MAX;

/// `/proc/sys/fs/epoll/max_user_watches`: as in Linux, as many as take a 25th of memory, unless it
/// was set.
pub fn max_user_watches() -> u64 {
    match MAX_USER_WATCHES.load(Ordering::Relaxed) {
        UNSET => caller::total_pages() as u64 * PAGE_SIZE as u64 / 25 / WATCH_SIZE,
        set => set,
    }
}

/// Sets it.
pub fn set_max_user_watches(watches: u64) {
    MAX_USER_WATCHES.store(watches, Ordering::Relaxed);
}

impl WatchCharge {
    /// For the caller. `ENOSPC`, `ENOMEM`.
    fn new() -> SysResult<Self> {
        caller::check_memory()?;
        let uid = caller::credentials().uid;
        if USERS_WATCHES.add(uid, 1, max_user_watches()) { Ok(Self(uid)) } else { Err(Errno::ENOSPC) }
    }
}

impl Drop for WatchCharge {
    fn drop(&mut self) {
        USERS_WATCHES.sub(self.0, 1);
    }
}

impl Waker for Watch {
    fn wake(&self, key: u32) -> bool {
        let events = self.events.load(Ordering::Relaxed);
        if events & !PRIVATE == 0 || (key != 0 && key & (events | ev::ALWAYS) == 0) {
            return false;
        }
        let Some(me) = self.me.upgrade() else { return false };
        let somebody = !self.core.waiters.is_empty() || !self.core.watchers.is_empty();
        me.enqueue();
        somebody || events & EXCLUSIVE == 0
    }
}

impl Watch {
    fn enqueue(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.core.ready.lock().push_back(self.clone());
        }
        self.core.waiters.wake(1, ev::READABLE);
        self.core.watchers.wake_key(ev::READABLE);
    }

    /// What the file reports of what is asked for.
    fn poll(&self) -> u32 {
        let events = self.events.load(Ordering::Relaxed);
        if events & !PRIVATE == 0 {
            return 0;
        }
        self.file.upgrade().map_or(0, |file| file.poll(&mut PollTable::none()) & (events | ev::ALWAYS) & !PRIVATE)
    }

    fn register(self: &Arc<Self>, queues: Vec<PollQueue>) {
        let exclusive = self.events.load(Ordering::Relaxed) & EXCLUSIVE != 0;
        let places = queues.into_iter().map(|queue| Registration::new(queue, self.clone(), exclusive)).collect();
        *self.queues.lock() = places;
    }

    /// Ends the watching. What is still on the ready list reports nothing any more.
    fn retire(self: &Arc<Self>) {
        self.events.store(0, Ordering::Relaxed);
        let places = core::mem::take(&mut *self.queues.lock());
        drop(places);
    }

    /// The description that is watched was closed for good.
    pub(crate) fn file_closed(self: &Arc<Self>) {
        if let Some(epoll) = self.epoll.upgrade() {
            epoll.interest.lock().remove(&self.key);
        }
        self.retire();
    }
}

/// Takes an event, and its index.
type Give<'a> = dyn FnMut(usize, EpollEvent) -> SysResult<()> + 'a;

/// An epoll instance.
pub struct Epoll {
    me: Weak<Epoll>,
    core: Arc<Core>,
    interest: SleepMutex<HashMap<(usize, i32), Arc<Watch>>>,
    /// The description of the instance, to find who watches it.
    file: SpinLock<Weak<OpenFile>>,
    /// `struct epoll_params`: how long a wait should look at network devices before it sleeps. A
    /// hint, for drivers that are polled.
    busy_poll: SpinLock<[u8; 8]>,
}

impl Epoll {
    /// A new instance, open.
    pub fn open(flags: OpenFlags) -> Arc<OpenFile> {
        let core = Core { ready: IrqSpinLock::new(VecDeque::new()), waiters: poll_queue(), watchers: poll_queue() };
        let epoll = Arc::new_cyclic(|me| Epoll {
            me: me.clone(),
            core: Arc::new(core),
            interest: SleepMutex::new(HashMap::new()),
            file: SpinLock::new(Weak::new()),
            busy_poll: SpinLock::new([0; 8]),
        });
        let (path, inode) = anon::anon_inode("[eventpoll]");
        let file = OpenFile::new(path, inode, epoll.clone(), flags | OpenFlags::RDWR);
        *epoll.file.lock() = Arc::downgrade(&file);
        file
    }

    /// `EPOLL_CTL_ADD` of the description `target`, which has the number `fd`.
    pub fn add(&self, target: &Arc<OpenFile>, fd: i32, event: EpollEvent) -> SysResult<()> {
        self.check_target(target)?;
        let nested = target.ops_as::<Epoll>();
        if event.events & EXCLUSIVE != 0 && (event.events & !EXCLUSIVE_OK != 0 || nested.is_some()) {
            return Err(Errno::EINVAL);
        }
        let mut leaves = Vec::new();
        let _nesting = match nested {
            Some(inner) => {
                let guard = NESTING.lock();
                let below = inner.depth_below(self)?;
                if self.height_above(1) + below > MAX_CHAIN {
                    return Err(Errno::ELOOP);
                }
                inner.leaves(&mut leaves)?;
                Some(guard)
            }
            None => None,
        };
        let key = (Arc::as_ptr(target).addr(), fd);
        let mut interest = self.interest.lock();
        if interest.contains_key(&key) {
            return Err(Errno::EEXIST);
        }
        let charge = WatchCharge::new()?;
        interest.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let watch = Arc::new_cyclic(|me| Watch {
            _charge: charge,
            me: me.clone(),
            core: self.core.clone(),
            epoll: self.me.clone(),
            file: Arc::downgrade(target),
            key,
            events: AtomicU32::new(event.events | ev::ALWAYS),
            data: AtomicU64::new(event.data),
            queued: AtomicBool::new(false),
            queues: SpinLock::new(Vec::new()),
        });
        interest.insert(key, watch.clone());
        target.add_watch(Arc::downgrade(&watch));
        // Where neither end is in a chain there are only paths of one step, which may be any
        // number.
        let in_chain =
            nested.is_some() || self.file.lock().upgrade().is_some_and(|file| !file.watching_instances().is_empty());
        if in_chain && !leaves.iter().chain([target]).all(has_few_paths) {
            interest.remove(&key);
            watch.retire();
            return Err(Errno::EINVAL);
        }
        let mut table = PollTable::collecting();
        target.poll(&mut table);
        match table.into_queues() {
            Ok(queues) => watch.register(queues),
            Err(errno) => {
                interest.remove(&key);
                watch.retire();
                return Err(errno);
            }
        }
        // Asked again, because something may have happened before the registration.
        if watch.poll() != 0 {
            watch.enqueue();
        }
        Ok(())
    }

    /// `EPOLL_CTL_MOD`.
    pub fn modify(&self, target: &Arc<OpenFile>, fd: i32, event: EpollEvent) -> SysResult<()> {
        self.check_target(target)?;
        let interest = self.interest.lock();
        let watch = interest.get(&(Arc::as_ptr(target).addr(), fd)).ok_or(Errno::ENOENT)?;
        if (event.events | watch.events.load(Ordering::Relaxed)) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        watch.data.store(event.data, Ordering::Relaxed);
        watch.events.store(event.events | ev::ALWAYS, Ordering::Relaxed);
        if watch.poll() != 0 {
            watch.enqueue();
        }
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    pub fn delete(&self, target: &Arc<OpenFile>, fd: i32) -> SysResult<()> {
        self.check_target(target)?;
        let watch = self.interest.lock().remove(&(Arc::as_ptr(target).addr(), fd)).ok_or(Errno::ENOENT)?;
        watch.retire();
        Ok(())
    }

    fn check_target(&self, target: &Arc<OpenFile>) -> SysResult<()> {
        if !target.ops.pollable() {
            return Err(Errno::EPERM);
        }
        let same = target.ops_as::<Epoll>().is_some_and(|e| core::ptr::eq(e, self));
        if same { Err(Errno::EINVAL) } else { Ok(()) }
    }

    fn watches(&self) -> SysResult<Vec<Arc<Watch>>> {
        let interest = self.interest.lock();
        let mut watches = Vec::new();
        watches.try_reserve_exact(interest.len()).map_err(|_| Errno::ENOMEM)?;
        watches.extend(interest.values().cloned());
        Ok(watches)
    }

    /// The description that is watched under the number `fd`: of several, that with `index` in
    /// order. `ENOENT`.
    pub fn target(&self, fd: i32, index: usize) -> SysResult<Arc<OpenFile>> {
        let mut targets = self.watches()?;
        targets.retain(|watch| watch.key.1 == fd);
        targets.sort_unstable_by_key(|watch| watch.key.0);
        targets.get(index).and_then(|watch| watch.file.upgrade()).ok_or(Errno::ENOENT)
    }

    /// Adds the files that are no instances themselves, and that this instance reports of by way of
    /// others.
    fn leaves(&self, found: &mut Vec<Arc<OpenFile>>) -> SysResult<()> {
        for watch in self.watches()? {
            let Some(file) = watch.file.upgrade() else { continue };
            match file.ops_as::<Epoll>() {
                Some(inner) => inner.leaves(found)?,
                None => {
                    found.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    found.push(file);
                }
            }
        }
        Ok(())
    }

    /// Length of the longest chain from this instance down; `ELOOP` if it leads to `to` or is too
    /// long.
    fn depth_below(&self, to: &Epoll) -> SysResult<usize> {
        let mut longest = 1;
        if core::ptr::eq(self, to) {
            return Err(Errno::ELOOP);
        }
        for watch in self.watches()? {
            let Some(file) = watch.file.upgrade() else { continue };
            if let Some(inner) = file.ops_as::<Epoll>() {
                longest = longest.max(1 + inner.depth_below(to)?);
            }
        }
        if longest > MAX_CHAIN { Err(Errno::ELOOP) } else { Ok(longest) }
    }

    /// Length of the longest chain from this instance up, `so_far` included.
    fn height_above(&self, so_far: usize) -> usize {
        let file = self.file.lock().upgrade();
        let above = file.map(|f| f.watching_instances()).unwrap_or_default();
        if so_far > MAX_CHAIN {
            return so_far;
        }
        above.iter().map(|epoll| epoll.height_above(so_far + 1)).max().unwrap_or(so_far)
    }

    /// Gives up to `max` events that hold now to `give`, with their indices, and returns how many.
    /// One that `give` refuses stays ready; its error counts if it is the first.
    fn collect(&self, max: usize, give: &mut Give<'_>) -> SysResult<usize> {
        let (mut given, mut result, mut more) = (0, Ok(()), false);
        // What comes to the list meanwhile is for the next call; others may take from it too, so
        // the first that goes back to its end is an end as well.
        let mut first_again = None;
        let (mut next, mut left) = {
            let mut ready = self.core.ready.lock();
            (ready.pop_front(), ready.len())
        };
        while let Some(watch) = next {
            // First, so that a wake-up from now on puts it back; a swap, since no look at the file
            // may come before it.
            watch.queued.swap(false, Ordering::SeqCst);
            let revents = watch.poll();
            let mut stays = false;
            if revents != 0 {
                result = give(given, EpollEvent { events: revents, data: watch.data.load(Ordering::Relaxed) });
                let events = watch.events.load(Ordering::Relaxed);
                if result.is_ok() {
                    given += 1;
                    if events & ONESHOT != 0 {
                        watch.events.fetch_and(PRIVATE, Ordering::Relaxed);
                    }
                }
                stays = result.is_err() || events & (ONESHOT | ET) == 0;
            }
            let mut ready = self.core.ready.lock();
            if stays && !watch.queued.swap(true, Ordering::AcqRel) {
                if result.is_err() {
                    ready.push_front(watch.clone());
                } else {
                    first_again.get_or_insert(Arc::as_ptr(&watch));
                    ready.push_back(watch.clone());
                }
            }
            let goes_on = result.is_ok() && given < max && left > 0;
            let is_new = |watch: &Arc<Watch>| first_again != Some(Arc::as_ptr(watch));
            next = if goes_on && ready.front().is_some_and(is_new) { ready.pop_front() } else { None };
            left = left.saturating_sub(1);
            more = !ready.is_empty();
        }
        if more {
            self.core.waiters.wake(1, ev::READABLE);
        }
        if given == 0 { result.map(|()| 0) } else { Ok(given) }
    }

    /// epoll_wait(2): gives up to `max` events to `give`, none at the deadline, and returns how
    /// many. `EINTR` on a signal, and what `give` fails with.
    pub fn wait(&self, max: usize, deadline: Option<Instant>, give: &mut Give<'_>) -> SysResult<usize> {
        loop {
            let given = self.collect(max, give)?;
            if given > 0 || deadline == Some(0) {
                return Ok(given);
            }
            match wait_exclusive(&self.core.waiters, deadline, || (!self.core.ready.lock().is_empty()).then_some(())) {
                Ok(()) => {}
                Err(WaitError::TimedOut) => return self.collect(max, give),
                Err(WaitError::Interrupted) => return Err(Errno::EINTR),
            }
        }
    }
}

impl FileOps for Epoll {
    fn seek(&self, _file: &OpenFile, pos: u64, _offset: i64, _whence: u32) -> SysResult<u64> {
        Ok(pos)
    }

    fn can_read_and_write(&self) -> (bool, bool) {
        (false, false)
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        const EPIOCSPARAMS: u32 = 0x4008_8a01;
        const EPIOCGPARAMS: u32 = 0x8008_8a02;
        /// `NAPI_POLL_WEIGHT`: larger budgets are for who may administer the network.
        const MAX_BUDGET: u16 = 64;
        const CAP_NET_ADMIN: u32 = 12;
        match request {
            EPIOCGPARAMS => {
                let params = *self.busy_poll.lock();
                arg.cast::<[u8; 8]>().write(params).map(|()| 0)
            }
            EPIOCSPARAMS => {
                let params = arg.cast::<[u8; 8]>().read()?;
                let [u0, u1, u2, u3, b0, b1, prefer, pad] = params;
                let us = u32::from_ne_bytes([u0, u1, u2, u3]);
                if pad != 0 || us > i32::MAX as u32 || prefer > 1 {
                    return Err(Errno::EINVAL);
                }
                if u16::from_ne_bytes([b0, b1]) > MAX_BUDGET && !super::capable(CAP_NET_ADMIN) {
                    return Err(Errno::EPERM);
                }
                *self.busy_poll.lock() = params;
                Ok(0)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.core.watchers);
        let ready: Vec<Arc<Watch>> = self.core.ready.lock().iter().cloned().collect();
        if ready.iter().any(|w| w.poll() != 0) { ev::READABLE } else { 0 }
    }

    fn fdinfo(&self, _file: &OpenFile, out: &mut String) {
        /// Longer than any line of it.
        const LINE: usize = 160;
        // Where there is no memory for a list of any length, none is shown.
        let Ok(watches) = self.watches() else { return };
        if out.try_reserve(watches.len() * LINE).is_err() {
            return;
        }
        for watch in watches {
            let Some(file) = watch.file.upgrade() else { continue };
            let m = file.inode.metadata();
            let _ = writeln!(
                out,
                "tfd: {:8} events: {:8x} data: {:16x}  pos:{} ino:{:x} sdev:{:x}",
                watch.key.1,
                watch.events.load(Ordering::Relaxed),
                watch.data.load(Ordering::Relaxed),
                file.position(),
                m.ino,
                m.dev
            );
        }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for watch in core::mem::take(&mut *self.interest.lock()).into_values() {
            watch.retire();
        }
        // Breaks the circle of the ready list, its entries and the core they share.
        let ready = core::mem::take(&mut *self.core.ready.lock());
        drop(ready);
    }
}

/// How many chains of each length may lead from a file to instances that nobody watches, or a
/// wake-up would take too long (`path_limits`). Of those of one step there may be any number.
const MAX_PATHS: [usize; MAX_CHAIN - 1] = [500, 100, 50, 10];

/// Whether there are no more than [`MAX_PATHS`] from `file`.
fn has_few_paths(file: &Arc<OpenFile>) -> bool {
    let mut counts = [0; MAX_CHAIN - 1];
    count_paths(file, 0, &mut counts)
}

fn count_paths(file: &OpenFile, steps: usize, counts: &mut [usize; MAX_CHAIN - 1]) -> bool {
    file.watching_instances().iter().all(|epoll| {
        let watched = epoll.file.lock().upgrade().filter(|file| !file.watching_instances().is_empty());
        match (watched, steps) {
            (Some(file), _) => steps < MAX_CHAIN && count_paths(&file, steps + 1, counts),
            (None, 0) => true,
            (None, _) => counts.get_mut(steps - 1).zip(MAX_PATHS.get(steps - 1)).is_none_or(|(count, most)| {
                *count += 1;
                *count <= *most
            }),
        }
    })
}

impl OpenFile {
    /// The epoll instances that watch this description.
    fn watching_instances(&self) -> Vec<Arc<Epoll>> {
        self.watches().iter().filter_map(|w| w.epoll.upgrade()).collect()
    }
}
