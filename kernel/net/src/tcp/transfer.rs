//! Bytes from and to the application.
//!
//! Nobody holds a lock while waiting: `reading` and `writing` are for the copies alone, as the lock
//! of a socket is on Linux, so that whoever must not wait, or is interrupted, need not wait for
//! those who do.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::socket::{deadline, wait_all};
use inet::Bytes;
use inet::tcp::Tcb;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::buffer;

use super::Connection;
use super::socket::{TcpSocket, errno};
use crate::{clock, poll};

/// Bytes that move from the application at once, and the least that is still tried where memory is
/// in pieces.
const CHUNK: usize = 64 * 1024;
const MIN_CHUNK: usize = 2048;

/// A buffer of `len` bytes, or of fewer where memory has no room for so many in one piece.
fn piece(len: usize) -> SysResult<Vec<u8>> {
    let mut len = len;
    loop {
        match caller::check_memory().and_then(|()| buffer(len)) {
            Err(_) if len > MIN_CHUNK => len /= 2,
            result => return result,
        }
    }
}

impl TcpSocket {
    /// An error that nobody has been told of yet. A call that has moved bytes leaves it to the
    /// next.
    fn pending_error(tcb: &mut Tcb, moved: usize) -> SysResult<()> {
        let error = if moved > 0 { tcb.error() } else { tcb.take_error() };
        error.map_or(Ok(()), |error| Err(errno(error)))
    }

    /// How many bytes may be written now, and the size of a segment; `None` if that is to be waited
    /// for.
    fn writable(connection: &Connection, done: usize) -> Option<SysResult<(usize, usize)>> {
        let mut tcb = connection.tcb.lock();
        if let Err(errno) = Self::pending_error(&mut tcb, done) {
            return Some(Err(errno));
        }
        if tcb.is_connecting() {
            return None;
        }
        if tcb.write_ended() {
            return Some(Err(Errno::EPIPE));
        }
        let room = tcb.room();
        if room == 0 {
            tcb.want_room();
            return None;
        }
        Some(Ok((room, tcb.segment_size() as usize)))
    }

    /// send(2) and its kin; `flags` are `MSG_*`.
    pub(super) fn send_bytes(&self, from: &mut Source<'_>, flags: u32) -> SysResult<usize> {
        let connection = self.connection().map_err(|_| self.idle_error().err().unwrap_or(Errno::EPIPE))?;
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.send_timeout);
        let mut writing = self.writing.lock();
        let mut done = 0;
        let result = loop {
            let ready = match Self::writable(&connection, done) {
                None if !nonblock => {
                    drop(writing);
                    let ready = wait_all(&self.writers, until, || Self::writable(&connection, done));
                    writing = self.writing.lock();
                    ready
                }
                None => Err(Errno::EAGAIN),
                Some(ready) => Ok(ready),
            };
            let (room, segment) = match ready {
                Ok(Ok(room)) => room,
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
            if from.remaining() == 0 {
                break Ok(());
            }
            // Whole segments where these are large, so that none is made of two pieces.
            let chunk = if segment > CHUNK / 2 { segment } else { CHUNK };
            let taken = piece(from.remaining().min(chunk).min(room.max(segment))).and_then(|mut bytes| {
                let taken = from.take(&mut bytes)?;
                bytes.truncate(taken);
                Ok(bytes)
            });
            let bytes = match taken {
                Ok(bytes) => bytes,
                Err(errno) => break Err(errno),
            };
            done += bytes.len();
            let more = flags & n::MSG_MORE != 0 || from.remaining() > 0;
            let mut tcb = connection.tcb.lock();
            tcb.settings.cork = self.options.is_corked() || more;
            tcb.write(bytes.into());
            if flags & n::MSG_OOB != 0 && from.remaining() == 0 {
                tcb.mark_urgent();
            }
            connection.transmit(&mut tcb, clock::monotonic_ns());
        };
        drop(writing);
        if done > 0 && flags & n::MSG_MORE == 0 {
            let mut tcb = connection.tcb.lock();
            let cork = self.options.is_corked();
            if tcb.settings.cork != cork {
                tcb.settings.cork = cork;
                connection.transmit(&mut tcb, clock::monotonic_ns());
            }
        }
        poll::sent();
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }

    /// The next bytes to read, `skip` behind the first; `Some(Ok(None))` at the end, `None` if they
    /// are to be waited for.
    fn next_piece(connection: &Connection, skip: usize, done: usize) -> Option<SysResult<Option<Bytes>>> {
        let mut tcb = connection.tcb.lock();
        if let Some(piece) = tcb.peek(skip) {
            return Some(Ok(Some(piece)));
        }
        if let Err(errno) = Self::pending_error(&mut tcb, done) {
            return Some(Err(errno));
        }
        if tcb.is_connecting() {
            return None;
        }
        tcb.read_ended().then_some(Ok(None))
    }

    /// recv(2) and its kin; `flags` are `MSG_*`. How many bytes were read, and how many are left.
    pub(super) fn receive_bytes(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<usize> {
        let connection = match self.connection() {
            Err(_) if self.idle_error()? => return Ok(0),
            connection => connection?,
        };
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.receive_timeout);
        let peek = flags & n::MSG_PEEK != 0;
        let throw_away = flags & n::MSG_TRUNC != 0;
        // So much is waited for, if it takes that (`SO_RCVLOWAT`).
        let low_water = self.common.low_water.load(Ordering::Relaxed) as usize;
        // Who asks for nothing waits all the same until there is something, as on Linux.
        let empty = to.remaining() == 0;
        let target = to.remaining().min(if flags & n::MSG_WAITALL != 0 { usize::MAX } else { low_water }).max(1);
        let start = if peek { self.common.peek_start() } else { 0 };
        let mut reading = self.reading.lock();
        let mut done = 0;
        let result = loop {
            if to.remaining() == 0 && !empty {
                break Ok(());
            }
            let skip = if peek { start + done } else { 0 };
            let ready = match Self::next_piece(&connection, skip, done) {
                None if nonblock || done >= target => Err(Errno::EAGAIN),
                None => {
                    drop(reading);
                    // What has come may be somebody else's by the time that the lock is ours again.
                    let waited = wait_all(&self.readers, until, || match Self::next_piece(&connection, skip, done) {
                        Some(Ok(Some(_))) => Some(Ok(true)),
                        other => other.map(|end| end.map(|_| false)),
                    });
                    reading = self.reading.lock();
                    match waited {
                        Ok(Ok(true)) => continue,
                        Ok(end) => Ok(end.map(|_| None)),
                        Err(errno) => Err(errno),
                    }
                }
                Some(ready) => Ok(ready),
            };
            let mut piece = match ready {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break Ok(()),
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
            if empty {
                break Ok(());
            }
            piece.truncate(to.remaining());
            let taken = if throw_away {
                to.skip(piece.len());
                piece.len()
            } else {
                match to.put(&piece) {
                    Ok(taken) => taken,
                    Err(errno) => break Err(errno),
                }
            };
            let short = taken < piece.len();
            drop(piece);
            done += taken;
            let mut last = short;
            if peek {
                last |= connection.tcb.lock().at_mark(start + done);
            } else {
                let now = clock::monotonic_ns();
                let mut tcb = connection.tcb.lock();
                tcb.consume(taken, now);
                if !tcb.is_quiet() {
                    connection.transmit(&mut tcb, now);
                }
                // What else there may be, as an end, an error or urgent data, is for the next call.
                last |= tcb.readable() == 0 && done >= target || tcb.at_mark(0);
            }
            if last {
                break Ok(());
            }
        };
        drop(reading);
        poll::sent();
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => {
                self.common.peeked(peek, done);
                Ok(done)
            }
        }
    }

    /// recv(2) with `MSG_OOB`: the urgent byte, if there is one. `MSG_*` flags of the answer come
    /// with it.
    pub(super) fn receive_urgent(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<(usize, u32)> {
        let connection = self.connection().map_err(|_| Errno::EINVAL)?;
        let mut tcb = connection.tcb.lock();
        let taken = tcb.take_urgent(flags & n::MSG_PEEK != 0).map_err(|()| Errno::EINVAL)?;
        let ended = tcb.read_ended();
        drop(tcb);
        match taken {
            Some(_) if to.remaining() == 0 => Ok((0, n::MSG_OOB | n::MSG_TRUNC)),
            Some(_) if flags & n::MSG_TRUNC != 0 => Ok((1, n::MSG_OOB)),
            Some(byte) => to.put(&[byte]).map(|n| (n, n::MSG_OOB)),
            None if ended => Ok((0, 0)),
            None => Err(Errno::EAGAIN),
        }
    }
}
