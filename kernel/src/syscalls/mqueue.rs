//! POSIX message queues: mq_open(2) and its kin.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ::ipc::mqueue::{self, COOKIE, Limits, Notification, PRIORITIES, QueueFile, Thread};
use fs::OpenFlags;
use linux_raw_sys::general as g;
use net::netlink::NetlinkSocket;
use syscall_shim::types::{MqAttr, Sigevent, Timespec};
use syscall_shim::{Errno, Signal, SysResult};

use super::paths::file;
use crate::usermem::{UserAddr, UserPtr, copy_in, copy_out, read_bytes, read_path};
use fd::OpenFile;
use mem::heap;
use task::clock::Clock;
use task::{Instant, current};

/// mq_open(2), as the C library calls it: the name has lost its slash.
pub fn mq_open(name: UserAddr, flags: u32, mode: u32, attributes: UserPtr<MqAttr>) -> SysResult {
    let limits = match attributes.non_null() {
        Some(attributes) => {
            let asked = attributes.read()?;
            Some(Limits { messages: asked.mq_maxmsg, size: asked.mq_msgsize })
        }
        None => None,
    };
    let name = read_path(name)?;
    // A queue's descriptor is always closed by execve(2).
    let files = current().files()?;
    let slot = files.reserve(true)?;
    let file = mqueue::open_queue(&name, OpenFlags::from_bits_retain(flags), mode & 0o7777, limits)?;
    Ok(slot.install(file) as usize)
}

/// mq_unlink(2).
pub fn mq_unlink(name: UserAddr) -> SysResult {
    mqueue::unlink(&read_path(name)?).map(|()| 0)
}

/// The absolute time-out on the real-time clock.
fn deadline(timeout: UserPtr<Timespec>) -> SysResult<Option<Instant>> {
    match timeout.non_null() {
        Some(timeout) => Ok(Some(Clock::Realtime.monotonic_at(timeout.read()?.to_ns()?))),
        None => Ok(None),
    }
}

/// mq_timedsend(2).
pub fn mq_timedsend(fd: i32, bytes: UserAddr, len: usize, priority: u32, timeout: UserPtr<Timespec>) -> SysResult {
    let deadline = deadline(timeout)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let queue = QueueFile::of(&file)?;
    file.check_writable()?;
    if len > queue.message_size() {
        return Err(Errno::EMSGSIZE);
    }
    heap::check()?;
    let message = read_bytes(bytes, len)?;
    queue.send(&file, message, priority, deadline).map(|()| 0)
}

/// mq_timedreceive(2).
pub fn mq_timedreceive(
    fd: i32,
    bytes: UserAddr,
    room: usize,
    priority: UserPtr<u32>,
    timeout: UserPtr<Timespec>,
) -> SysResult {
    let deadline = deadline(timeout)?;
    let file = file(fd)?;
    let queue = QueueFile::of(&file)?;
    file.check_readable()?;
    if room < queue.message_size() {
        return Err(Errno::EMSGSIZE);
    }
    let (message, sent_with) = queue.receive(&file, deadline)?;
    priority.write_if_some(sent_with)?;
    copy_out(bytes, &message)?;
    Ok(message.len())
}

/// mq_notify(2).
pub fn mq_notify(fd: i32, event: UserPtr<Sigevent>) -> SysResult {
    let how = match event.non_null() {
        Some(event) => Some(notification(&event.read()?)?),
        None => None,
    };
    QueueFile::of(&*file(fd)?)?.notify(how).map(|()| 0)
}

fn notification(event: &Sigevent) -> SysResult<Notification> {
    /// Highest signal number.
    const LAST: u32 = 64;
    match event.sigev_notify as u32 {
        g::SIGEV_NONE => Ok(Notification::Nothing),
        g::SIGEV_SIGNAL => {
            let number = u32::try_from(event.sigev_signo).ok().filter(|n| *n <= LAST).ok_or(Errno::EINVAL)?;
            Ok(Notification::Signal(Signal::new(number), event.sigev_value))
        }
        g::SIGEV_THREAD => {
            let mut cookie = [0; COOKIE];
            copy_in(&mut cookie, UserAddr(event.sigev_value))?;
            Ok(Notification::Thread(Arc::new(NetlinkFile::new(file(event.sigev_signo)?)?), cookie))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// A socket of netlink, which the C library's thread reads.
struct NetlinkFile(Arc<OpenFile>);

impl NetlinkFile {
    /// `EINVAL` if the file is a socket of another kind.
    fn new(file: Arc<OpenFile>) -> SysResult<Self> {
        file.ops.as_socket().ok_or(Errno::ENOTSOCK)?;
        file.ops_as::<NetlinkSocket>().ok_or(Errno::EINVAL)?;
        Ok(Self(file))
    }
}

impl Thread for NetlinkFile {
    fn deliver(&self, cookie: Vec<u8>) {
        if let Some(socket) = self.0.ops_as::<NetlinkSocket>() {
            socket.deliver(cookie);
        }
    }
}

/// mq_getsetattr(2).
pub fn mq_getsetattr(fd: i32, new: UserPtr<MqAttr>, old: UserPtr<MqAttr>) -> SysResult {
    const NONBLOCK: i64 = g::O_NONBLOCK as i64;
    let wanted = match new.non_null() {
        Some(new) => Some(new.read()?.mq_flags),
        None => None,
    };
    if wanted.is_some_and(|flags| flags & !NONBLOCK != 0) {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let [mq_maxmsg, mq_msgsize, mq_curmsgs] = QueueFile::of(&file)?.counts();
    let mq_flags = if file.nonblocking() { NONBLOCK } else { 0 };
    if let Some(flags) = wanted {
        file.set_nonblocking(flags != 0);
    }
    old.write_if_some(MqAttr { mq_flags, mq_maxmsg, mq_msgsize, mq_curmsgs, ..MqAttr::default() })?;
    Ok(0)
}
