//! A queue: an inode, and what its descriptors do.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use caller::Instant;
use fd::io::{Sink, Source, put_all};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::regular::seek_to;
use fd::{FileOps, OpenFile};
use fs::inode::{NewNode, alloc_ino};
use fs::{Inode, InodeCommon, Metadata, SetAttr};
use sync::SpinLock;
use sync::wait::{WaitError, wait_until};
use syscall_shim::{Errno, SysResult};

use super::Charge;
use super::notify::{Notification, Registration};

/// `FILENT_SIZE`: the size that stat(2) shows.
const SHOWN_SIZE: u64 = 80;

struct Message {
    priority: u32,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// Highest priority first, the oldest first among equals.
    messages: VecDeque<Message>,
    /// Sum of the messages' lengths.
    bytes: usize,
    /// Threads asleep until a message comes: while there are any, nobody is notified.
    receivers: usize,
    registration: Option<Registration>,
}

/// A queue.
pub(super) struct Queue {
    common: InodeCommon,
    attrs: SpinLock<Metadata>,
    me: Weak<Queue>,
    /// `mq_maxmsg`, `mq_msgsize`.
    limits: (usize, usize),
    _charge: Charge,
    /// A leaf lock.
    state: SpinLock<State>,
    /// Woken when messages come and go.
    waiters: PollQueue,
}

impl Queue {
    pub(super) fn new(dev: u64, node: NewNode, limits: (usize, usize), charge: Charge) -> Arc<Self> {
        let now = fs::platform::now();
        let attrs = Metadata {
            dev,
            ino: alloc_ino(),
            mode: fs::S_IFREG | node.mode & 0o7777,
            nlink: 1,
            uid: node.uid,
            gid: node.gid,
            size: SHOWN_SIZE,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            ..Metadata::default()
        };
        Arc::new_cyclic(|me| Self {
            common: InodeCommon::new(),
            attrs: SpinLock::new(attrs),
            me: me.clone(),
            limits,
            _charge: charge,
            state: SpinLock::new(State::default()),
            waiters: poll_queue(),
        })
    }

    /// Inode number.
    pub(super) fn number(&self) -> u64 {
        self.attrs.lock().ino
    }

    /// The name is gone.
    pub(super) fn removed(&self) {
        let mut attrs = self.attrs.lock();
        (attrs.nlink, attrs.ctime) = (0, fs::platform::now());
    }

    /// Waits until `step`, which gave nothing, gives something. `EAGAIN`, `ETIMEDOUT`.
    fn wait<T>(&self, file: &OpenFile, deadline: Option<Instant>, step: impl FnMut() -> Option<T>) -> SysResult<T> {
        if file.nonblocking() {
            return Err(Errno::EAGAIN);
        }
        wait_until(&[&self.waiters], deadline, step).map_err(|why| match why {
            WaitError::TimedOut => Errno::ETIMEDOUT,
            WaitError::Interrupted => Errno::ERESTARTSYS,
        })
    }

    fn send(&self, file: &OpenFile, bytes: Vec<u8>, priority: u32, deadline: Option<Instant>) -> SysResult<()> {
        let mut message = Some(Message { priority, bytes });
        let mut put = || {
            let mut state = self.state.lock();
            if state.messages.len() >= self.limits.0 {
                return None;
            }
            let message = message.take()?;
            let was_empty = state.messages.is_empty();
            state.bytes += message.bytes.len();
            let at = state.messages.partition_point(|other| other.priority >= message.priority);
            state.messages.insert(at, message);
            Some(if was_empty && state.receivers == 0 { state.registration.take() } else { None })
        };
        let told = match put() {
            Some(told) => told,
            None => self.wait(file, deadline, put)?,
        };
        self.waiters.wake_key(ev::READABLE);
        if let Some(registration) = told {
            registration.message_came();
        }
        Ok(())
    }

    fn receive(&self, file: &OpenFile, deadline: Option<Instant>) -> SysResult<Message> {
        let take = |state: &mut State| {
            let message = state.messages.pop_front()?;
            state.bytes -= message.bytes.len();
            Some(message)
        };
        let sleeps = !file.nonblocking();
        let first = {
            let mut state = self.state.lock();
            let message = take(&mut state);
            // Counted at once, so that no message comes between and finds nobody waiting.
            state.receivers += usize::from(message.is_none() && sleeps);
            message
        };
        let result = match first {
            Some(message) => Ok(message),
            None if sleeps => {
                let result = self.wait(file, deadline, || take(&mut self.state.lock()));
                self.state.lock().receivers -= 1;
                result
            }
            None => Err(Errno::EAGAIN),
        };
        if result.is_ok() {
            self.waiters.wake_key(ev::WRITABLE);
        }
        result
    }

    fn text(&self) -> String {
        let state = self.state.lock();
        let (pid, (how, signal)) = match &state.registration {
            Some(registration) => (registration.pid, registration.how.numbers()),
            None => (0, (0, 0)),
        };
        format!("QSIZE:{:<10} NOTIFY:{how:<5} SIGNO:{signal:<5} NOTIFY_PID:{pid:<6}\n", state.bytes)
    }

    /// Takes the current process's registration away.
    fn unregister(&self) {
        let pid = caller::pid();
        let gone = {
            let mut state = self.state.lock();
            if state.registration.as_ref().is_some_and(|registration| registration.pid == pid) {
                state.registration.take()
            } else {
                None
            }
        };
        if let Some(registration) = gone {
            registration.removed();
        }
    }
}

impl Inode for Queue {
    fn common(&self) -> &InodeCommon {
        &self.common
    }

    fn metadata(&self) -> Metadata {
        self.attrs.lock().clone()
    }

    fn setattr(&self, attr: &SetAttr) -> SysResult<()> {
        attr.apply(&mut self.attrs.lock(), fs::platform::now());
        Ok(())
    }

    fn special(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let queue = self.me.upgrade()?;
        Some(Arc::new(QueueFile { queue }))
    }
}

/// What descriptors of a queue do.
pub struct QueueFile {
    queue: Arc<Queue>,
}

impl QueueFile {
    /// `EBADF` for another kind of file.
    pub fn of(file: &OpenFile) -> SysResult<&Self> {
        file.ops_as::<Self>().ok_or(Errno::EBADF)
    }

    /// The longest message.
    pub fn message_size(&self) -> usize {
        self.queue.limits.1
    }

    /// mq_timedsend(2), after its checks.
    pub fn send(&self, file: &OpenFile, bytes: Vec<u8>, priority: u32, deadline: Option<Instant>) -> SysResult<()> {
        self.queue.send(file, bytes, priority, deadline)
    }

    /// mq_timedreceive(2), after its checks: the message and its priority.
    pub fn receive(&self, file: &OpenFile, deadline: Option<Instant>) -> SysResult<(Vec<u8>, u32)> {
        self.queue.receive(file, deadline).map(|message| (message.bytes, message.priority))
    }

    /// mq_notify(2): tells the current process of the next message; `None` takes that back. `EBUSY`
    /// while somebody is told.
    pub fn notify(&self, how: Option<Notification>) -> SysResult<()> {
        let Some(how) = how else {
            self.queue.unregister();
            return Ok(());
        };
        let new = Registration::new(how);
        let mut state = self.queue.state.lock();
        let refused = if state.registration.is_some() { Some(new) } else { state.registration.replace(new) };
        drop(state);
        if refused.is_some() { Err(Errno::EBUSY) } else { Ok(()) }
    }

    /// `mq_maxmsg`, `mq_msgsize` and `mq_curmsgs`.
    pub fn counts(&self) -> [i64; 3] {
        let (messages, size) = self.queue.limits;
        [messages as i64, size as i64, self.queue.state.lock().messages.len() as i64]
    }
}

impl FileOps for QueueFile {
    fn seekable(&self) -> bool {
        true
    }

    fn read_at(&self, _file: &OpenFile, pos: u64, to: &mut Sink<'_>) -> SysResult<usize> {
        let text = self.queue.text();
        let rest = usize::try_from(pos).ok().and_then(|pos| text.as_bytes().get(pos..)).unwrap_or_default();
        let part = rest.get(..to.remaining().min(rest.len())).unwrap_or_default();
        if !part.is_empty() {
            put_all(to, part)?;
        }
        Ok(part.len())
    }

    fn write_at(&self, _file: &OpenFile, _: u64, _: &mut Source<'_>, _: bool) -> SysResult<(usize, u64)> {
        Err(Errno::EINVAL)
    }

    fn seek(&self, _file: &OpenFile, pos: u64, offset: i64, whence: u32) -> SysResult<u64> {
        seek_to(pos, SHOWN_SIZE, offset, whence)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.queue.waiters);
        let count = self.queue.state.lock().messages.len();
        let readable = if count > 0 { ev::READABLE } else { 0 };
        let writable = if count < self.queue.limits.0 { ev::WRITABLE } else { 0 };
        readable | writable
    }

    /// A process that closes a descriptor of the queue, any of them, is not told any more.
    fn flush(&self, _file: &OpenFile) {
        self.queue.unregister();
    }
}
