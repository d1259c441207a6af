//! Bytes from and to the application.

use core::sync::atomic::Ordering;

use inet::tcp::{State, Tcb};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::socket::{TcpSocket, errno};
use crate::arch::clock;
use crate::files::io::{Sink, Source};
use crate::files::socket::{deadline, wait};
use crate::net::poll;
use crate::usermem::buffer;

/// Bytes that move from the application at once.
const CHUNK: usize = 64 * 1024;

impl TcpSocket {
    /// An error that nobody has been told of yet. A call that has moved bytes leaves it to the next.
    fn pending_error(tcb: &mut Tcb, moved: usize) -> SysResult<()> {
        let error = if moved > 0 { tcb.error() } else { tcb.take_error() };
        error.map_or(Ok(()), |error| Err(errno(error)))
    }

    /// send(2) and its kin; `flags` are `MSG_*`.
    pub(super) fn send_bytes(&self, from: &mut Source<'_>, flags: u32) -> SysResult<usize> {
        let connection = self.connection().map_err(|_| Errno::EPIPE)?;
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.send_timeout);
        let _writing = self.writing.lock();
        let mut done = 0;
        let result = loop {
            let ready = || {
                let mut tcb = connection.tcb.lock();
                if let Err(errno) = Self::pending_error(&mut tcb, done) {
                    return Some(Err(errno));
                }
                match tcb.state() {
                    State::SynSent => return None,
                    _ if tcb.write_ended() => return Some(Err(Errno::EPIPE)),
                    _ => {}
                }
                let room = tcb.room();
                if room == 0 {
                    tcb.want_room();
                    return None;
                }
                Some(Ok((room, tcb.segment_size() as usize)))
            };
            let (room, segment) = match wait(&self.writers, nonblock, until, ready) {
                Ok(Ok(room)) => room,
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
            if from.remaining() == 0 {
                break Ok(());
            }
            // Whole segments where these are large, so that none is made of two pieces.
            let chunk = if segment > CHUNK / 2 { segment } else { CHUNK };
            let mut bytes = match buffer(from.remaining().min(chunk).min(room.max(segment))) {
                Ok(bytes) => bytes,
                Err(errno) => break Err(errno),
            };
            match from.take(&mut bytes) {
                Ok(taken) => bytes.truncate(taken),
                Err(errno) => break Err(errno),
            }
            done += bytes.len();
            let more = flags & n::MSG_MORE != 0 || from.remaining() > 0;
            let mut tcb = connection.tcb.lock();
            tcb.settings.cork = self.options.is_corked() || more;
            tcb.write(bytes.into());
            connection.transmit(&mut tcb, clock::monotonic_ns());
        };
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

    /// recv(2) and its kin; `flags` are `MSG_*`.
    pub(super) fn receive_bytes(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<usize> {
        let connection = match self.connection() {
            Err(_) if self.shut_early.load(Ordering::Relaxed) => return Ok(0),
            connection => connection?,
        };
        let nonblock = flags & n::MSG_DONTWAIT != 0;
        let until = deadline(&self.common.receive_timeout);
        let peek = flags & n::MSG_PEEK != 0;
        let throw_away = flags & n::MSG_TRUNC != 0;
        // So much is waited for, if it takes that (`SO_RCVLOWAT`).
        let low_water = self.common.low_water.load(Ordering::Relaxed) as usize;
        let target = to.remaining().min(if flags & n::MSG_WAITALL != 0 { usize::MAX } else { low_water });
        let _reading = self.reading.lock();
        let mut done = 0;
        let result = loop {
            if to.remaining() == 0 {
                break Ok(());
            }
            let skip = if peek { done } else { 0 };
            let ready = || {
                let mut tcb = connection.tcb.lock();
                if let Some(piece) = tcb.peek(skip) {
                    return Some(Ok(Some(piece)));
                }
                if let Err(errno) = Self::pending_error(&mut tcb, done) {
                    return Some(Err(errno));
                }
                if tcb.state() == State::SynSent {
                    return None;
                }
                tcb.read_ended().then_some(Ok(None))
            };
            let enough = done >= target;
            let mut piece = match wait(&self.readers, nonblock || enough, until, ready) {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break Ok(()),
                Ok(Err(errno)) | Err(errno) => break Err(errno),
            };
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
            if !peek {
                let now = clock::monotonic_ns();
                let mut tcb = connection.tcb.lock();
                tcb.consume(taken, now);
                if !tcb.is_quiet() {
                    connection.transmit(&mut tcb, now);
                }
                // What else there may be, as an end or an error, is for the next call.
                last |= tcb.readable() == 0 && done >= target;
            }
            if last {
                break Ok(());
            }
        };
        poll::sent();
        match result {
            Err(errno) if done == 0 => Err(errno),
            _ => Ok(done),
        }
    }
}
