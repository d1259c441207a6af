//! The host's side of descriptors 0, 1 and 2 where they are no terminal there: to the program they
//! are pipes.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fs::OpenFlags;
use linux_raw_sys::ioctl::FIONREAD;
use syscall_shim::{Errno, SysResult};

use super::open::SharedOps;
use crate::sync::IrqSpinLock;
use crate::usermem::UserAddr;
use fd::io::{Sink, Source};
use fd::poll::{PollQueue, PollTable, ev, poll_queue};
use fd::{FileOps, OpenFile, anon, events};
use observe::host_link;
use observe::host_link::Stdio;
use observe::host_link::frame::Outgoing;
use task::current;
use task::wait::{wait_uninterruptible, wait_until};

/// Bytes of standard input that are kept for the program: the size of a pipe (pipe(7)). The host
/// sends as many at first, then what it is told that there is room for: all else that it says must
/// find the way free.
const INPUT_SIZE: usize = 64 * 1024;
/// The host is told of room in steps of this.
const ROOM_STEP: u32 = INPUT_SIZE as u32 / 4;
/// Bytes that move at a time.
const PIECE: usize = 4096 - host_link::frame::HEADER_SIZE;

struct Input {
    bytes: VecDeque<u8>,
    /// No more will come.
    ended: bool,
    /// The host was told to wait for room.
    refused: bool,
}

/// What has come from the host. Taken by the channel's interrupt handler too; a leaf lock.
static INPUT: IrqSpinLock<Input> = IrqSpinLock::new(Input { bytes: VecDeque::new(), ended: false, refused: false });
static ARRIVED: spin::LazyLock<PollQueue> = spin::LazyLock::new(poll_queue);
/// Woken when the host takes bytes again.
static ROOM: spin::LazyLock<PollQueue> = spin::LazyLock::new(poll_queue);
/// The host did not take all of the last write of a stream, by its number.
static FULL: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
/// Bytes that the program has read and the host does not know of.
static READ: AtomicU32 = AtomicU32::new(0);

/// Takes bytes from the host, as many as there is room for; says how many. In interrupt context.
pub fn receive(bytes: &[u8]) -> usize {
    let taken = {
        let mut input = INPUT.lock();
        let taken = bytes.len().min(INPUT_SIZE.saturating_sub(input.bytes.len()));
        input.bytes.extend(bytes.iter().take(taken));
        input.refused |= taken < bytes.len();
        taken
    };
    if taken > 0 {
        ARRIVED.wake(1, ev::READABLE);
    }
    taken
}

/// The host's standard input has ended.
pub fn end_input() {
    INPUT.lock().ended = true;
    ARRIVED.wake_key(ev::READABLE | ev::HUP);
}

/// The host takes output again, or cannot pass it on. In interrupt context too.
pub fn writable() {
    FULL.iter().for_each(|full| full.store(false, Ordering::Release));
    tell_room(1);
    ROOM.wake_key(ev::WRITABLE | ev::ERR);
}

/// Tells the host of `least` or more bytes that the program has read. Where nothing can be sent
/// now, [`writable`] tries again.
fn tell_room(least: u32) {
    if READ.load(Ordering::Relaxed) < least {
        return;
    }
    let read = READ.swap(0, Ordering::Relaxed);
    if read > 0 && host_link::write(Outgoing::Room, &read.to_le_bytes()) == 0 {
        READ.fetch_add(read, Ordering::Relaxed);
    }
}

fn full(kind: Outgoing) -> Option<&'static AtomicBool> {
    let index = match kind {
        Outgoing::Stdout => 0,
        Outgoing::Stderr => 1,
        _ => 2,
    };
    FULL.get(index)
}

/// Sends as much as the host takes now.
fn try_send(kind: Outgoing, bytes: &[u8]) -> Option<usize> {
    // Before the write, so that the interrupt that tells of room comes after.
    let full = full(kind)?;
    full.store(true, Ordering::Release);
    let n = host_link::write(kind, bytes);
    if n == bytes.len() {
        full.store(false, Ordering::Release);
    }
    (n > 0 || bytes.is_empty()).then_some(n)
}

/// Sends a piece of output, asleep while the host takes none, unless `nonblock`. Says how much went
/// out, or why something could not be passed on earlier.
pub fn send(kind: Outgoing, bytes: &[u8], nonblock: bool) -> SysResult<usize> {
    let attempt = || match host_link::take_error(kind) {
        Some(errno) => Some(Err(errno)),
        None => try_send(kind, bytes).map(Ok),
    };
    if nonblock {
        return attempt().ok_or(Errno::EAGAIN)?;
    }
    wait_until(&[&ROOM], None, attempt).map_err(|_| Errno::ERESTARTSYS)?
}

/// Sends all of `bytes`, asleep while the host takes none, whatever signals come.
pub fn send_all(kind: Outgoing, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = wait_uninterruptible(&ROOM, || try_send(kind, rest));
        rest = rest.get(sent..).unwrap_or_default();
    }
}

/// Makes the queues, which interrupt handlers use.
pub fn init() {
    spin::LazyLock::force(&ARRIVED);
    spin::LazyLock::force(&ROOM);
}

/// Adds the queue that tells of room for output; says whether there is room.
pub fn poll_room(kind: Outgoing, table: &mut PollTable) -> bool {
    table.add(&ROOM);
    full(kind).is_none_or(|full| !full.load(Ordering::Acquire))
}

/// Sleeps until the host has passed on all of a stream; what it could not is the error.
fn wait_passed_on(kind: Outgoing) -> SysResult<()> {
    let passed_on = host_link::passed_on_by_now(kind);
    wait_until(&[&ROOM], None, || passed_on().then_some(())).map_err(|_| Errno::EINTR)?;
    host_link::take_error(kind).map_or(Ok(()), Err)
}

/// Is woken when there is room for output again.
pub fn room_queue() -> &'static PollQueue {
    &ROOM
}

/// The reading end of standard input.
struct StandardInput;

impl FileOps for StandardInput {
    fn sends_signals(&self) -> bool {
        true
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        let mut done = 0;
        while to.remaining() > 0 {
            let mut piece = [0; 1024];
            let want = to.remaining().min(piece.len());
            let mut take = || {
                let mut input = INPUT.lock();
                let n = want.min(input.bytes.len());
                for (slot, byte) in piece.iter_mut().zip(input.bytes.drain(..n)) {
                    *slot = byte;
                }
                (n > 0 || input.ended || done > 0).then_some(n)
            };
            let n = if file.nonblocking() {
                take().ok_or(Errno::EAGAIN)
            } else {
                wait_until(&[&ARRIVED], None, take).map_err(|_| Errno::ERESTARTSYS)
            }?;
            if n == 0 {
                break;
            }
            READ.fetch_add(n as u32, Ordering::Relaxed);
            // Bytes that the program has no memory for are lost, as they are with a pipe of Linux.
            done += to.put(piece.get(..n).unwrap_or_default())?;
            if core::mem::take(&mut INPUT.lock().refused) {
                host_link::resume();
            }
            tell_room(ROOM_STEP);
        }
        Ok(done)
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&ARRIVED);
        let input = INPUT.lock();
        let readable = if input.bytes.is_empty() { 0 } else { ev::READABLE };
        readable | if input.ended { ev::HUP } else { 0 }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        match request {
            FIONREAD => {
                let waiting = INPUT.lock().bytes.len();
                arg.cast::<i32>().write(waiting as i32).map(|()| 0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }
}

/// The writing end of standard output or standard error.
struct StandardOutput {
    kind: Outgoing,
    host: Stdio,
}

impl FileOps for StandardOutput {
    fn sends_signals(&self) -> bool {
        true
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let mut done = 0;
        let mut piece = [0; PIECE / 4];
        while from.remaining() > 0 {
            let n = match from.take(&mut piece) {
                Ok(n) => n,
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            };
            let mut rest = piece.get(..n).unwrap_or_default();
            while !rest.is_empty() {
                match send(self.kind, rest, file.nonblocking()) {
                    Ok(sent) => {
                        done += sent;
                        rest = rest.get(sent..).unwrap_or_default();
                    }
                    Err(e) if done == 0 => return Err(self.refused(e)),
                    Err(_) => return Ok(done),
                }
            }
        }
        if self.host == Stdio::Device && done > 0 && !file.nonblocking() {
            match wait_passed_on(self.kind) {
                // A signal: the bytes are on their way all the same.
                Ok(()) | Err(Errno::EINTR) => {}
                Err(e) => return Err(self.refused(e)),
            }
        }
        Ok(done)
    }

    fn close_error(&self, _file: &OpenFile) -> SysResult<()> {
        match self.host {
            Stdio::File | Stdio::Device => wait_passed_on(self.kind),
            Stdio::Tty | Stdio::Pipe => Ok(()),
        }
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        let room = if poll_room(self.kind, table) { ev::WRITABLE } else { 0 };
        if host_link::is_broken(self.kind) { room | ev::WRITABLE | ev::ERR } else { room }
    }
}

impl StandardOutput {
    /// What a write answers with that error.
    fn refused(&self, errno: Errno) -> Errno {
        if errno == Errno::EPIPE {
            events::broken_pipe();
        }
        errno
    }
}

fn pipe(ops: Arc<dyn FileOps>, flags: OpenFlags) -> Arc<OpenFile> {
    let credentials = current().credentials();
    let (path, inode) = anon::new_node(anon::AnonKind::Pipe, credentials.fsuid, credentials.fsgid);
    inode.common().set_ext(Arc::new(SharedOps(ops.clone())));
    OpenFile::new(path, inode, ops, flags)
}

/// Descriptor 0 as a pipe from the host.
pub fn standard_input() -> Arc<OpenFile> {
    pipe(Arc::new(StandardInput), OpenFlags::default())
}

/// Descriptor 1 or 2 as a pipe to the host.
pub fn standard_output(kind: Outgoing, host: Stdio) -> Arc<OpenFile> {
    pipe(Arc::new(StandardOutput { kind, host }), OpenFlags::WRONLY)
}
