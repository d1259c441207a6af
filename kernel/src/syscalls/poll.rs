//! poll(2), ppoll(2), select(2), pselect6(2).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;

use arrayvec::ArrayVec;
use linux_raw_sys::general as g;
use syscall_shim::types::{Pollfd, SigsetArg, Timespec, Timeval};
use syscall_shim::{Errno, SigSet, SysResult};

use super::time_left::{Timeout, after_ms};
use crate::usermem::{UserAddr, UserPtr};
use fd::poll::{PollTable, ev};
use fd::{FdTable, OpenFile};
use task::signal::with_mask;
use task::wait::{WaitError, WaitQueue, wait_until_any};
use task::{Instant, current};

/// Bits of an fd_set word.
const WORD: usize = 64;

/// Descriptors of a poll(2) that need no memory from the heap.
const ON_STACK: usize = 8;

/// What a descriptor of a poll(2) stands for.
enum Target {
    /// Nothing: it is passed over.
    Nothing,
    /// No file: `POLLNVAL`.
    Bad,
    File(Arc<OpenFile>),
}

/// One descriptor of a poll(2), resolved.
struct Entry {
    target: Target,
    /// What is asked for; `POLLERR` and `POLLHUP` always are.
    asked: u32,
    /// What holds.
    found: u32,
}

impl Entry {
    fn new(files: &FdTable, asked: Pollfd) -> Self {
        let target = match asked.fd {
            ..0 => Target::Nothing,
            fd => files.get(fd).map_or(Target::Bad, Target::File),
        };
        Self { target, asked: u32::from(asked.events), found: 0 }
    }

    fn poll(&mut self, table: &mut PollTable) {
        self.found = match &self.target {
            Target::Nothing => 0,
            Target::Bad => ev::NVAL,
            Target::File(file) => file.poll(table) & (self.asked | ev::ALWAYS),
        };
    }
}

/// Looks at all entries; whether any has an event.
fn scan(entries: &mut [Entry], table: &mut PollTable) -> bool {
    let mut any = false;
    for entry in entries {
        entry.poll(table);
        any |= entry.found != 0;
    }
    any
}

/// Waits until an entry has an event or the deadline comes; `found` tells then.
fn wait(entries: &mut [Entry], deadline: Option<Instant>) -> SysResult<()> {
    if scan(entries, &mut PollTable::none()) || deadline == Some(0) {
        return Ok(());
    }
    let mut table = PollTable::collecting();
    if scan(entries, &mut table) {
        return Ok(());
    }
    let queues = table.into_queues()?;
    let mut places: Vec<&WaitQueue> = Vec::new();
    places.try_reserve_exact(queues.len()).map_err(|_| Errno::ENOMEM)?;
    places.extend(queues.iter().map(|q| &**q));
    match wait_until_any(&places, deadline, || scan(entries, &mut PollTable::none()).then_some(())) {
        Ok(Ok(()) | Err(WaitError::TimedOut)) => Ok(()),
        Ok(Err(WaitError::Interrupted)) => Err(Errno::EINTR),
        Err(_) => Err(Errno::ENOMEM),
    }
}

fn poll_until(fds: UserPtr<Pollfd>, count: usize, deadline: Option<Instant>) -> SysResult {
    if count as u64 > current().process.rlimit(g::RLIMIT_NOFILE) {
        return Err(Errno::EINVAL);
    }
    let files = current().files()?;
    let (mut few, mut many) = (ArrayVec::<Entry, ON_STACK>::new(), Vec::new());
    let entries = if count <= ON_STACK {
        for i in 0..count {
            few.push(Entry::new(&files, fds.add(i).read()?));
        }
        &mut few[..]
    } else {
        many.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        many.extend(fds.read_vec(count)?.into_iter().map(|asked| Entry::new(&files, asked)));
        &mut many[..]
    };
    wait(entries, deadline)?;
    for (i, entry) in entries.iter().enumerate() {
        let revents = fds.add(i).addr().add(offset_of!(Pollfd, revents) as u64);
        revents.cast::<u16>().write(entry.found as u16)?;
    }
    Ok(entries.iter().filter(|entry| entry.found != 0).count())
}

/// poll(2). Without a handler, an interrupted call goes on for the time that is left.
pub fn poll(fds: UserPtr<Pollfd>, count: u32, timeout: i32) -> SysResult {
    fn until(fds: UserPtr<Pollfd>, count: u32, deadline: Option<Instant>) -> SysResult {
        poll_until(fds, count as usize, deadline).map_err(|e| {
            if e != Errno::EINTR {
                return e;
            }
            let address = fds.addr();
            *current().restart.lock() = Some(Box::new(move || until(address.cast(), count, deadline)));
            Errno::ERESTART_RESTARTBLOCK
        })
    }
    until(fds, count, after_ms(timeout))
}

/// A signal mask argument of which the size must be right.
pub fn sigmask(mask: UserPtr<u64>, size: usize) -> SysResult<Option<SigSet>> {
    match mask.non_null() {
        None => Ok(None),
        Some(_) if size != 8 => Err(Errno::EINVAL),
        Some(mask) => mask.read().map(|bits| Some(SigSet(bits))),
    }
}

fn restartable(result: SysResult) -> SysResult {
    result.map_err(|e| if e == Errno::EINTR { Errno::ERESTARTNOHAND } else { e })
}

/// ppoll(2). The time that is left is written back, as Linux does.
pub fn ppoll(fds: UserPtr<Pollfd>, count: u32, timeout: UserPtr<Timespec>, mask: UserPtr<u64>, size: usize) -> SysResult {
    let timeout = Timeout::from_timespec(timeout)?;
    let result = with_mask(sigmask(mask, size)?, || restartable(poll_until(fds, count as usize, timeout.deadline)));
    timeout.write_back();
    result
}

/// The three sets of select(2): addresses and the poll events each stands for.
type Sets = [(UserAddr, u32); 3];

fn select_until(n: i32, sets: Sets, deadline: Option<Instant>) -> SysResult {
    let n = usize::try_from(n).map_err(|_| Errno::EINVAL)?;
    let files = current().files()?;
    let n = n.min(files.capacity());
    let words = n.div_ceil(WORD);
    let mut asked = Vec::new();
    for (addr, _) in sets {
        asked.push(if addr.is_null() { vec![0; words] } else { addr.cast::<u64>().read_vec(words)? });
    }
    let wanted =
        |set: usize, fd: usize| asked.get(set).and_then(|s| s.get(fd / WORD)).is_some_and(|w| w >> (fd % WORD) & 1 != 0);
    let mut entries = Vec::new();
    entries.try_reserve_exact(n).map_err(|_| Errno::ENOMEM)?;
    for fd in 0..n {
        // Errors and hang-ups count only for the sets that they belong to, so all is asked and
        // sorted out below.
        let any = (0..3).any(|set| wanted(set, fd));
        let bits = |set: usize| sets.get(set).filter(|_| wanted(set, fd)).map_or(0, |(_, bits)| *bits);
        let target = if any { Target::File(files.get(fd as i32)?) } else { Target::Nothing };
        entries.push(Entry { target, asked: bits(0) | bits(1) | bits(2), found: 0 });
    }
    wait(&mut entries, deadline)?;
    let mut total = 0;
    for (set, (addr, bits)) in sets.iter().enumerate() {
        let mut out = vec![0u64; words];
        for (fd, entry) in entries.iter().enumerate() {
            if entry.found & bits != 0 && wanted(set, fd) {
                if let Some(word) = out.get_mut(fd / WORD) {
                    *word |= 1 << (fd % WORD);
                }
                total += 1;
            }
        }
        if !addr.is_null() {
            addr.cast::<u64>().write_slice(&out)?;
        }
    }
    Ok(total)
}

/// Which events put a descriptor into which set (`POLLIN_SET` and its kin).
fn sets(read: UserAddr, write: UserAddr, except: UserAddr) -> Sets {
    [(read, ev::READABLE | ev::RDBAND | ev::HUP | ev::ERR), (write, ev::WRITABLE | ev::WRBAND | ev::ERR), (except, ev::PRI)]
}

/// select(2).
pub fn select(n: i32, read: UserAddr, write: UserAddr, except: UserAddr, timeout: UserPtr<Timeval>) -> SysResult {
    let timeout = Timeout::from_timeval(timeout)?;
    let result = restartable(select_until(n, sets(read, write, except), timeout.deadline));
    timeout.write_back();
    result
}

/// pselect6(2), whose last argument is an address and size of a mask.
pub fn pselect6(
    n: i32,
    read: UserAddr,
    write: UserAddr,
    except: UserAddr,
    timeout: UserPtr<Timespec>,
    mask: UserPtr<SigsetArg>,
) -> SysResult {
    let timeout = Timeout::from_timespec(timeout)?;
    let mask = match mask.non_null() {
        Some(arg) => {
            let arg = arg.read()?;
            sigmask(UserPtr::new(arg.ss), arg.ss_len as usize)?
        }
        None => None,
    };
    let result = with_mask(mask, || restartable(select_until(n, sets(read, write, except), timeout.deadline)));
    timeout.write_back();
    result
}
