//! Pseudo terminals (pty(7)): `/dev/ptmx` makes a pair, `/dev/pts/N` is its terminal.
//!
//! The master side is the terminal's driver: what the terminal shows, the master reads; what the master writes is typed.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fs::pseudo::{DEVPTS_MAGIC, DirSource, NodeSpec, PseudoEntry, PseudoFs, PseudoNode};
use fs::{FileSystem, FileType, InodeRef, OpenFlags, makedev};
use linux_raw_sys::ioctl as i;
use syscall_shim::{Errno, SysResult};

use super::{Driver, OpenTty, Tty};
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollQueue, PollTable, ev, poll_queue};
use crate::files::{FileOps, OpenFile};
use crate::sync::{IrqLock, SpinLock};
use crate::task::current;
use crate::task::wait::wait_until;
use crate::usermem::UserAddr;
use litemap::LiteMap;

/// Major number of the terminals.
pub const MAJOR: u32 = 136;
/// Most pairs at a time (`/proc/sys/kernel/pty/max`).
const MAX: u32 = 4096;
/// Bytes shown that the master has not read yet.
const LIMIT: usize = 16 * 1024;
/// Group `tty`, which owns the terminals (devpts's `gid=5`).
const TTY_GID: u32 = 5;

/// One pair.
struct Pair {
    number: u32,
    tty: Arc<Tty>,
    line: Arc<Line>,
    uid: u32,
}

/// What lies between the two sides.
struct Line {
    /// Shown and not yet read; a leaf lock.
    shown: IrqLock<VecDeque<u8>>,
    /// Those who read at the master.
    readers: PollQueue,
    /// Those who wait for room to show.
    writers: PollQueue,
    /// Open terminals.
    slaves: AtomicU32,
    /// A terminal has been opened: from now on none open is a hang-up.
    was_opened: AtomicBool,
    /// `TIOCSPTLCK`: the terminal cannot be opened yet.
    locked: AtomicBool,
    master_gone: AtomicBool,
}

/// The pairs whose master is open, by number. A leaf lock.
static PAIRS: SpinLock<LiteMap<u32, Arc<Pair>>> = SpinLock::new(LiteMap::new_vec());

impl Driver for Line {
    fn show(&self, bytes: &[u8]) -> usize {
        let n = {
            let mut shown = self.shown.lock();
            let n = bytes.len().min(LIMIT.saturating_sub(shown.len()));
            shown.extend(bytes.iter().take(n));
            n
        };
        if n > 0 {
            self.readers.wake_key(ev::READABLE);
        }
        n
    }

    fn poll_room(&self, table: &mut PollTable) -> bool {
        table.add(&self.writers);
        self.shown.lock().len() < LIMIT || self.master_gone.load(Ordering::Acquire)
    }

    fn show_waiting(&self, bytes: &[u8]) -> SysResult<usize> {
        loop {
            if self.master_gone.load(Ordering::Acquire) {
                return Err(Errno::EIO);
            }
            match self.show(bytes) {
                0 => {
                    let room = || self.poll_room(&mut PollTable::none()).then_some(());
                    wait_until(&[&self.writers], None, room).map_err(|_| Errno::ERESTARTSYS)?;
                }
                n => return Ok(n),
            }
        }
    }

    fn input_has_room(&self) {}

    fn closed(&self) {
        if self.slaves.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.readers.wake_key(ev::HUP);
        }
    }
}

/// The master side, open.
struct Master(Arc<Pair>);

impl Drop for Master {
    fn drop(&mut self) {
        PAIRS.lock().remove(&self.0.number);
        self.0.line.master_gone.store(true, Ordering::Release);
        self.0.line.writers.wake_all();
        self.0.tty.hang_up();
    }
}

impl Master {
    /// No terminal is open, and one was.
    fn is_hung_up(&self) -> bool {
        let line = &self.0.line;
        line.was_opened.load(Ordering::Acquire) && line.slaves.load(Ordering::Acquire) == 0
    }

    fn take(&self, room: usize) -> Option<SysResult<Vec<u8>>> {
        let bytes: Vec<u8> = {
            let mut shown = self.0.line.shown.lock();
            let n = shown.len().min(room);
            shown.drain(..n).collect()
        };
        match bytes.is_empty() {
            false => Some(Ok(bytes)),
            true if self.is_hung_up() => Some(Err(Errno::EIO)),
            true => None,
        }
    }
}

impl FileOps for Master {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let room = to.remaining().min(LIMIT);
        if room == 0 {
            return Ok(0);
        }
        let line = &self.0.line;
        let bytes = match self.take(room) {
            Some(bytes) => bytes?,
            None if file.nonblocking() => return Err(Errno::EAGAIN),
            None => wait_until(&[&line.readers], None, || self.take(room)).map_err(|_| Errno::ERESTARTSYS)??,
        };
        line.writers.wake_key(ev::WRITABLE);
        self.0.tty.writable();
        to.put(&bytes)
    }

    fn write(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let mut done = 0;
        let mut piece = [0; 512];
        while from.remaining() > 0 {
            let n = match from.take(&mut piece) {
                Ok(n) => n,
                Err(_) if done > 0 => break,
                Err(e) => return Err(e),
            };
            done += self.0.tty.receive(piece.get(..n).unwrap_or_default());
        }
        Ok(done)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.0.line.readers);
        let readable = if self.0.line.shown.lock().is_empty() { 0 } else { ev::READABLE };
        readable | if self.is_hung_up() { ev::HUP } else { 0 } | ev::WRITABLE
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        let pair = &self.0;
        match request {
            i::TIOCGPTN => arg.cast::<u32>().write(pair.number)?,
            i::TIOCSPTLCK => pair.line.locked.store(arg.cast::<i32>().read()? != 0, Ordering::Release),
            i::TIOCGPTLCK => arg.cast::<i32>().write(i32::from(pair.line.locked.load(Ordering::Acquire)))?,
            i::TIOCGPTPEER => {
                let flags = OpenFlags::from_bits_retain(arg.0 as u32);
                let path = format!("/dev/pts/{}", pair.number);
                let how = fs::namespace::OpenHow { flags, ..fs::namespace::OpenHow::default() };
                let opened = crate::files::with_fs(|ctx| crate::vfs::namespace().open(ctx, None, path.as_bytes(), &how))?;
                let file = crate::files::open::open(opened, flags)?;
                let fd = current().files()?.insert(file, flags.contains(OpenFlags::CLOEXEC))?;
                return Ok(fd as usize);
            }
            i::FIONREAD => {
                let n = pair.line.shown.lock().len();
                arg.cast::<i32>().write(n as i32)?;
            }
            _ => return pair.tty.ioctl(request, arg),
        }
        Ok(0)
    }
}

/// Opens `/dev/ptmx`: a new pair. `ENOSPC` when there are too many.
pub fn open_master() -> SysResult<Arc<dyn FileOps>> {
    let line = Arc::new(Line {
        shown: IrqLock::new(VecDeque::new()),
        readers: poll_queue(),
        writers: poll_queue(),
        slaves: AtomicU32::new(0),
        was_opened: AtomicBool::new(false),
        locked: AtomicBool::new(true),
        master_gone: AtomicBool::new(false),
    });
    let uid = current().credentials().fsuid;
    let mut pairs = PAIRS.lock();
    let number = (0..MAX).find(|n| !pairs.contains_key(n)).ok_or(Errno::ENOSPC)?;
    let pair = Arc::new(Pair { number, tty: Tty::new(makedev(MAJOR, number), line.clone()), line, uid });
    pairs.insert(number, pair.clone());
    Ok(Arc::new(Master(pair)))
}

/// Opens `/dev/pts/N`. `EIO` while it is locked or when its master is gone.
pub fn open_slave(number: u32) -> SysResult<(Arc<Tty>, Arc<dyn FileOps>)> {
    let pair = PAIRS.lock().get(&number).cloned().ok_or(Errno::EIO)?;
    if pair.line.locked.load(Ordering::Acquire) {
        return Err(Errno::EIO);
    }
    pair.line.slaves.fetch_add(1, Ordering::AcqRel);
    pair.line.was_opened.store(true, Ordering::Release);
    Ok((pair.tty.clone(), Arc::new(OpenTty(pair.tty.clone()))))
}

/// The terminals that exist.
pub fn terminals() -> Vec<Arc<Tty>> {
    PAIRS.lock().values().map(|pair| pair.tty.clone()).collect()
}

/// The entries of /dev/pts.
struct Names {
    dev: u64,
}

impl DirSource for Names {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let number: u32 = core::str::from_utf8(name).ok().and_then(|s| s.parse().ok()).ok_or(Errno::ENOENT)?;
        let pair = PAIRS.lock().get(&number).cloned().ok_or(Errno::ENOENT)?;
        let spec = NodeSpec::new(self.dev, 0o620).ino(u64::from(number) + 3).owner(pair.uid, TTY_GID);
        Ok(PseudoNode::special(spec, FileType::Char, makedev(MAJOR, number), None))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let pairs = PAIRS.lock();
        Ok(pairs
            .iter()
            .filter(|(n, _)| **n >= from)
            .map(|(n, _)| PseudoEntry {
                key: *n,
                name: format!("{n}").into_bytes(),
                ino: u64::from(*n) + 3,
                file_type: FileType::Char,
            })
            .collect())
    }
}

/// devpts, for mounting at /dev/pts.
pub fn devpts() -> Arc<dyn FileSystem> {
    PseudoFs::new("devpts", DEVPTS_MAGIC, |dev| {
        let root = PseudoNode::dynamic(NodeSpec::new(dev, 0o755).ino(1), Names { dev });
        root.insert("ptmx", PseudoNode::special(NodeSpec::new(dev, 0o666).ino(2), FileType::Char, makedev(5, 2), None));
        root
    })
}
