//! poll(2), ppoll(2), select(2), pselect6(2).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general as g;
use syscall_shim::types::{Pollfd, SigsetArg, Timespec, Timeval};
use syscall_shim::{Errno, SigSet, SysResult};

use super::time_left::{Timeout, after_ms};
use crate::files::OpenFile;
use crate::files::poll::{PollTable, ev};
use crate::task::signal::with_mask;
use crate::task::wait::{WaitError, WaitQueue, wait_until};
use crate::task::{Instant, current};
use crate::usermem::{UserAddr, UserPtr};

/// Bits of an fd_set word.
const WORD: usize = 64;

/// One descriptor of a poll(2), resolved.
struct Entry {
    /// `None` for a bad descriptor.
    file: Option<Arc<OpenFile>>,
    /// What is asked for, `POLLERR` and `POLLHUP` included.
    events: u32,
}

impl Entry {
    fn poll(&self, table: &mut PollTable) -> u32 {
        match &self.file {
            Some(file) => file.poll(table) & (self.events | ev::ALWAYS),
            None => ev::NVAL,
        }
    }
}

/// Waits until an entry has an event or the deadline comes, and answers the events of each; `None` stands for an entry to skip.
fn wait(entries: &[Option<Entry>], deadline: Option<Instant>) -> Result<Vec<u32>, WaitError> {
    let scan = |table: &mut PollTable| -> Option<Vec<u32>> {
        let mut any = false;
        let events = entries
            .iter()
            .map(|entry| {
                let events = entry.as_ref().map_or(0, |e| e.poll(table));
                any |= events != 0;
                events
            })
            .collect();
        any.then_some(events)
    };
    let none = || vec![0; entries.len()];
    if deadline == Some(0) {
        return Ok(scan(&mut PollTable::none()).unwrap_or_else(none));
    }
    let mut table = PollTable::collecting();
    if let Some(events) = scan(&mut table) {
        return Ok(events);
    }
    let queues = table.into_queues();
    let queues: Vec<&WaitQueue> = queues.iter().map(|q| &**q).collect();
    match wait_until(&queues, deadline, || scan(&mut PollTable::none())) {
        Err(WaitError::TimedOut) => Ok(none()),
        result => result,
    }
}

fn poll_until(fds: UserPtr<Pollfd>, count: usize, deadline: Option<Instant>) -> SysResult {
    if count as u64 > current().process.rlimit(g::RLIMIT_NOFILE) {
        return Err(Errno::EINVAL);
    }
    let asked = fds.read_vec(count)?;
    let files = current().files()?;
    let entries: Vec<Option<Entry>> = asked
        .iter()
        .map(|p| (p.fd >= 0).then(|| Entry { file: files.get(p.fd).ok(), events: u32::from(p.events) }))
        .collect();
    let events = wait(&entries, deadline).map_err(|_| Errno::EINTR)?;
    for (i, (p, revents)) in asked.iter().zip(&events).enumerate() {
        fds.add(i).write(Pollfd { revents: *revents as u16, ..*p })?;
    }
    Ok(events.iter().filter(|e| **e != 0).count())
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
    let mut entries = Vec::with_capacity(n);
    for fd in 0..n {
        // Errors and hang-ups count only for the sets that they belong to, so all is asked and sorted out below.
        let any = (0..3).any(|set| wanted(set, fd));
        entries.push(if any {
            Some(SetEntry { file: files.get(fd as i32)?, wanted: [0, 1, 2].map(|set| wanted(set, fd)) })
        } else {
            None
        });
    }
    let events = wait_sets(&entries, &sets, deadline).map_err(|_| Errno::EINTR)?;
    let mut total = 0;
    for (set, (addr, bits)) in sets.iter().enumerate() {
        let mut out = vec![0u64; words];
        for (fd, events) in events.iter().enumerate() {
            if events & bits != 0 && wanted(set, fd) {
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

struct SetEntry {
    file: Arc<OpenFile>,
    wanted: [bool; 3],
}

fn wait_sets(entries: &[Option<SetEntry>], sets: &Sets, deadline: Option<Instant>) -> Result<Vec<u32>, WaitError> {
    let resolved: Vec<Option<Entry>> = entries
        .iter()
        .map(|entry| {
            let entry = entry.as_ref()?;
            let events = entry.wanted.iter().zip(sets).filter(|(w, _)| **w).fold(0, |all, (_, (_, bits))| all | bits);
            Some(Entry { file: Some(entry.file.clone()), events })
        })
        .collect();
    wait(&resolved, deadline)
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
