//! /dev/kmsg and /proc/kmsg (syslog(2), Documentation/ABI/testing/dev-kmsg): the kernel's log as
//! files.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use fs::OpenFlags;
use syscall_shim::{Errno, SysResult};

use fd::io::{Sink, Source, put_all};
use fd::poll::{PollTable, ev};
use fd::{FileOps, OpenFile};
use observe::log::printk;
use observe::log::reader;
use observe::log::ring::TEXT_MAX;
use observe::log::write_from_program;
use task::current;
use task::wait::wait_exclusive;

const CAP_SYSLOG: u32 = 34;
/// Longest text of a write (`LOG_LINE_MAX`).
const WRITE_MAX: usize = 1024;
/// The facility of what programs write without naming one, and where they name the kernel's:
/// `LOG_USER`.
const USER_FACILITY: u16 = 1;

/// What may be read by those with `CAP_SYSLOG` only, as `kernel.dmesg_restrict` says it all is.
pub fn check_reader() -> SysResult<()> {
    if current().credentials().capable(CAP_SYSLOG) { Ok(()) } else { Err(Errno::EPERM) }
}

/// /dev/kmsg, open: a record for each read.
pub struct Kmsg {
    /// The record that is read next.
    next: AtomicU64,
}

impl Kmsg {
    /// Opens it. `EPERM`.
    pub fn open(flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
        if !flags.contains(OpenFlags::WRONLY) {
            check_reader()?;
        }
        Ok(Arc::new(Kmsg { next: AtomicU64::new(reader::bounds().0) }))
    }
}

impl FileOps for Kmsg {
    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut text = [0; TEXT_MAX];
        let mut find = || reader::record(self.next.load(Ordering::Relaxed), &mut text);
        let found = match find() {
            Some(found) => found,
            None if file.nonblocking() => return Err(Errno::EAGAIN),
            None => wait_exclusive(reader::queue(), None, find).map_err(|_| Errno::ERESTARTSYS)?,
        };
        if self.next.swap(found.seq, Ordering::Relaxed) < found.seq {
            // Records have gone unread.
            return Err(Errno::EPIPE);
        }
        let line = reader::kmsg_line(&found, &text);
        self.next.store(found.seq + 1, Ordering::Relaxed);
        if line.len() > to.remaining() {
            return Err(Errno::EINVAL);
        }
        put_all(to, &line)?;
        Ok(line.len())
    }

    fn write(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let len = from.remaining();
        if len > WRITE_MAX {
            return Err(Errno::EINVAL);
        }
        let mut bytes = [0; WRITE_MAX];
        let bytes = bytes.get_mut(..len).ok_or(Errno::EINVAL)?;
        if from.take(bytes)? < len {
            return Err(Errno::EFAULT);
        }
        let (priority, text) = priority(bytes);
        write_from_program(priority, text.strip_suffix(b"\n").unwrap_or(text));
        Ok(len)
    }

    fn seek(&self, _file: &OpenFile, _pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        const SET: u32 = 0;
        const END: u32 = 2;
        const DATA: u32 = 3;
        if offset != 0 {
            return Err(Errno::ESPIPE);
        }
        let (first, next, cleared) = reader::bounds();
        let to = match whence {
            SET => first,
            DATA => cleared,
            END => next,
            _ => return Err(Errno::EINVAL),
        };
        self.next.store(to, Ordering::Relaxed);
        Ok(0)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(reader::queue());
        let (first, next, _) = reader::bounds();
        match self.next.load(Ordering::Relaxed) {
            own if own < first => ev::READABLE | ev::ERR | ev::PRI,
            own if own < next => ev::READABLE,
            _ => 0,
        }
    }
}

/// Takes `<N>` off the front of what a program wrote.
fn priority(bytes: &[u8]) -> (u16, &[u8]) {
    let default = USER_FACILITY << 3 | printk()[1] as u16 & 7;
    let named = bytes.strip_prefix(b"<").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b'>')?;
        let number: u16 = core::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
        Some((number, rest.get(end + 1..)?))
    });
    match named {
        Some((number, text)) if number >> 3 != 0 => (number, text),
        Some((number, text)) => (USER_FACILITY << 3 | number & 7, text),
        None => (default, bytes),
    }
}

/// /proc/kmsg: what `SYSLOG_ACTION_READ` gives.
pub struct ProcKmsg;

impl FileOps for ProcKmsg {
    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        take(to, file.nonblocking())
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(reader::queue());
        if reader::unread() > 0 { ev::READABLE } else { 0 }
    }
}

/// Moves what nobody has read yet; waits for it unless `nonblocking`.
pub fn take(to: &mut Sink<'_>, nonblocking: bool) -> SysResult<usize> {
    let room = to.remaining().min(reader::SIZE);
    let take = || Some(reader::take(room)).filter(|bytes| !bytes.is_empty());
    let bytes = match take() {
        Some(bytes) => bytes,
        None if nonblocking => return Err(Errno::EAGAIN),
        None => wait_exclusive(reader::queue(), None, take).map_err(|_| Errno::ERESTARTSYS)?,
    };
    put_all(to, &bytes)?;
    Ok(bytes.len())
}
