//! Message queues (msgget(2), msgsnd(2), msgrcv(2), msgctl(2)).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use caller::check_memory;
use linux_raw_sys::general::CAP_SYS_RESOURCE;
use sync::SpinLock;
use sync::wait::{WaitQueue, wait_until};
use syscall_shim::types::MsqidDs;
use syscall_shim::{Errno, SysResult};

use crate::{IPC_NOWAIT, Object, Permissions, READ, Registry, WRITE, limits, now};

const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;

static QUEUES: Registry<Queue> = Registry::new(|| limits::MSGMNI.load(Relaxed) as usize, &limits::MSG_NEXT_ID);

/// A message.
#[derive(Clone)]
pub struct Message {
    /// Its type, at least 1.
    pub kind: i64,
    /// Its content.
    pub text: Vec<u8>,
}

struct State {
    messages: VecDeque<Message>,
    bytes: u64,
    limit: u64,
    sent: (i64, i32),
    received: (i64, i32),
    changed: i64,
    removed: bool,
}

/// A queue.
pub struct Queue {
    permissions: SpinLock<Permissions>,
    /// A leaf lock.
    state: SpinLock<State>,
    /// Woken by every change: senders wait for room, receivers for messages.
    waiters: WaitQueue,
}

impl Object for Queue {
    fn permissions(&self) -> &SpinLock<Permissions> {
        &self.permissions
    }
}

/// msgget(2).
pub fn get(key: i32, flags: u32) -> SysResult<i32> {
    QUEUES.get(
        key,
        flags,
        |_| Ok(()),
        |permissions| {
            let state = State {
                messages: VecDeque::new(),
                bytes: 0,
                limit: limits::MSGMNB.load(Relaxed).into(),
                sent: (0, 0),
                received: (0, 0),
                changed: now(),
                removed: false,
            };
            Ok(Queue { permissions: SpinLock::new(permissions), state: SpinLock::new(state), waiters: WaitQueue::new() })
        },
    )
}

/// The queue `id`. `EINVAL`.
pub fn find(id: i32) -> SysResult<Arc<Queue>> {
    QUEUES.find(id)
}

/// The queue with the index of `number` (`MSG_STAT`). `EINVAL`.
pub fn at(number: i32) -> SysResult<Arc<Queue>> {
    QUEUES.at(number)
}

/// Queues, messages, and their bytes (`MSG_INFO`).
pub fn totals() -> [usize; 3] {
    let (mut messages, mut bytes) = (0, 0);
    QUEUES.for_each(|queue| {
        let state = queue.state.lock();
        messages += state.messages.len();
        bytes += state.bytes as usize;
    });
    [QUEUES.count(), messages, bytes]
}

/// Highest index in use.
pub fn highest() -> usize {
    QUEUES.highest()
}

/// Which message msgrcv(2) takes.
fn choose(messages: &VecDeque<Message>, kind: i64, flags: u32) -> Option<usize> {
    match kind {
        0 => (!messages.is_empty()).then_some(0),
        k if k > 0 && flags & MSG_EXCEPT != 0 => messages.iter().position(|m| m.kind != k),
        k if k > 0 => messages.iter().position(|m| m.kind == k),
        k => {
            let lowest = messages.iter().map(|m| m.kind).filter(|kind| *kind <= k.saturating_neg()).min()?;
            messages.iter().position(|m| m.kind == lowest)
        }
    }
}

impl Queue {
    /// Waits as long as `step` gives nothing. A signal ends the wait with `EINTR`, always.
    fn wait<T>(&self, mut step: impl FnMut(&mut State) -> Option<SysResult<T>>) -> SysResult<T> {
        let locked = || {
            let mut state = self.state.lock();
            if state.removed { Some(Err(Errno::EIDRM)) } else { step(&mut state) }
        };
        let result = wait_until(&[&self.waiters], None, locked).unwrap_or(Err(Errno::ERESTARTNOHAND));
        if result.is_ok() {
            self.waiters.wake_all();
        }
        result
    }

    /// msgsnd(2). `EAGAIN` with `IPC_NOWAIT` when there is no room.
    pub fn send(&self, message: Message, flags: u32) -> SysResult<()> {
        let permissions = *self.permissions.lock();
        permissions.check(WRITE)?;
        check_memory()?;
        let pid = caller::pid();
        let mut message = Some(message);
        self.wait(|state| {
            let size = message.as_ref().map_or(0, |message| message.text.len() as u64);
            if state.bytes + size > state.limit || state.messages.len() as u64 >= state.limit {
                return (flags & IPC_NOWAIT != 0).then_some(Err(Errno::EAGAIN));
            }
            if state.messages.try_reserve(1).is_err() {
                return Some(Err(Errno::ENOMEM));
            }
            state.messages.extend(message.take());
            state.bytes += size;
            state.sent = (now(), pid);
            Some(Ok(()))
        })
    }

    /// msgrcv(2) into `room` bytes. `ENOMSG` with `IPC_NOWAIT`, `E2BIG` without `MSG_NOERROR`.
    pub fn receive(&self, room: usize, kind: i64, flags: u32) -> SysResult<Message> {
        if flags & MSG_COPY != 0 {
            return self.copy(room, kind, flags);
        }
        let permissions = *self.permissions.lock();
        permissions.check(READ)?;
        let pid = caller::pid();
        self.wait(|state| {
            let Some(at) = choose(&state.messages, kind, flags) else {
                return (flags & IPC_NOWAIT != 0).then_some(Err(Errno::ENOMSG));
            };
            let size = state.messages.get(at).map_or(0, |message| message.text.len());
            if size > room && flags & MSG_NOERROR == 0 {
                return Some(Err(Errno::E2BIG));
            }
            let mut message = state.messages.remove(at)?;
            state.bytes -= size as u64;
            state.received = (now(), pid);
            message.text.truncate(room);
            Some(Ok(message))
        })
    }

    /// `MSG_COPY`: the message at a place in the queue, which stays there.
    fn copy(&self, room: usize, place: i64, flags: u32) -> SysResult<Message> {
        if flags & MSG_EXCEPT != 0 || flags & IPC_NOWAIT == 0 {
            return Err(Errno::EINVAL);
        }
        let permissions = *self.permissions.lock();
        permissions.check(READ)?;
        let state = self.state.lock();
        let message = usize::try_from(place).ok().and_then(|place| state.messages.get(place)).ok_or(Errno::ENOMSG)?;
        let size = message.text.len();
        if size > room {
            return Err(if flags & MSG_NOERROR == 0 { Errno::E2BIG } else { Errno::EINVAL });
        }
        let mut text = Vec::new();
        text.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        text.extend_from_slice(&message.text);
        Ok(Message { kind: message.kind, text })
    }

    /// Its id.
    pub fn id(&self) -> i32 {
        self.permissions.lock().id()
    }

    /// `IPC_STAT`; for `any`body by `MSG_STAT_ANY`. `EACCES`.
    pub fn stat(&self, any: bool) -> SysResult<MsqidDs> {
        let permissions = *self.permissions.lock();
        permissions.check(if any { 0 } else { READ })?;
        let state = self.state.lock();
        Ok(MsqidDs {
            msg_perm: permissions.show(0),
            msg_stime: state.sent.0,
            msg_rtime: state.received.0,
            msg_ctime: state.changed,
            msg_cbytes: state.bytes,
            msg_qnum: state.messages.len() as u64,
            msg_qbytes: state.limit,
            msg_lspid: state.sent.1,
            msg_lrpid: state.received.1,
            ..MsqidDs::default()
        })
    }

    /// `IPC_SET`. `EPERM`, also for more bytes than the limit without privilege.
    pub fn set(&self, new: &MsqidDs) -> SysResult<()> {
        {
            let mut permissions = self.permissions.lock();
            permissions.check_owner()?;
            if new.msg_qbytes > u64::from(limits::MSGMNB.load(Relaxed)) && !caller::capable(CAP_SYS_RESOURCE) {
                return Err(Errno::EPERM);
            }
            permissions.set(&new.msg_perm);
        }
        let mut state = self.state.lock();
        (state.limit, state.changed) = (new.msg_qbytes, now());
        drop(state);
        self.waiters.wake_all();
        Ok(())
    }
}

/// `IPC_RMID`: those who wait get `EIDRM`. `EPERM`.
pub fn remove(queue: &Arc<Queue>) -> SysResult<()> {
    queue.permissions.lock().check_owner()?;
    QUEUES.remove(queue);
    queue.state.lock().removed = true;
    queue.waiters.wake_all();
    Ok(())
}
