//! A TCP socket as an open file: read(2), write(2), poll(2), ioctl(2).

use core::sync::atomic::Ordering;

use fd::io::{Sink, Source};
use fd::poll::{PollTable, ev};
use fd::socket::Socket;
use fd::{FileOps, OpenFile, events};
use inet::tcp::State;
use linux_raw_sys::ioctl::{FIONREAD, SIOCATMARK, TIOCOUTQ};
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::socket::{Role, TcpSocket};
use crate::sockopt::flag;
use crate::stamp;

/// Bytes that were written and not sent (linux/sockios.h).
const SIOCOUTQNSD: u32 = 0x894b;

impl FileOps for TcpSocket {
    fn as_socket(&self) -> Option<&dyn Socket> {
        Some(self)
    }

    fn read(&self, file: &OpenFile, to: &mut Sink<'_>) -> SysResult<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        self.receive_bytes(to, file.message_flags())
    }

    fn write(&self, file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let result = self.send_bytes(from, file.message_flags());
        if result == Err(Errno::EPIPE) {
            events::broken_pipe();
        }
        result
    }

    fn poll(&self, _file: &OpenFile, table: &mut PollTable) -> u32 {
        table.add(&self.readers);
        table.add(&self.writers);
        match &*self.role.lock() {
            Role::Idle(_) => {
                let shut = if self.shut_early.load(Ordering::Relaxed) { ev::READABLE | ev::RDHUP } else { 0 };
                let failed = if self.error.lock().is_some() { ev::ERR } else { 0 };
                ev::OUT | ev::WRNORM | ev::HUP | shut | failed
            }
            Role::Listening(listener) => {
                if listener.has_ready() {
                    ev::READABLE
                } else {
                    0
                }
            }
            Role::Connected(connection, _) => {
                let mut tcb = connection.tcb.lock();
                let mut events = 0;
                let (read_ended, write_ended) = (tcb.read_ended(), tcb.write_ended());
                if tcb.state() == State::Closed || read_ended && write_ended {
                    events |= ev::HUP;
                }
                if read_ended {
                    events |= ev::READABLE | ev::RDHUP;
                }
                if tcb.has_urgent() {
                    events |= ev::PRI;
                }
                if !tcb.is_connecting() {
                    let enough = self.common.low_water.load(Ordering::Relaxed) as usize;
                    if tcb.readable() >= enough {
                        events |= ev::READABLE;
                    }
                    if write_ended || tcb.is_writable() {
                        events |= ev::WRITABLE;
                    } else {
                        tcb.want_room();
                    }
                }
                let noted = !self.zero_copies.is_empty();
                if tcb.error().is_some() || noted {
                    events |= ev::ERR;
                }
                if noted && self.common.has(flag::SELECT_ERR_QUEUE) {
                    events |= ev::PRI;
                }
                events
            }
        }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if !matches!(request, FIONREAD | TIOCOUTQ | SIOCATMARK | SIOCOUTQNSD) {
            return stamp::ioctl(request, arg, 0).unwrap_or_else(|| crate::ioctl::interface(request, arg));
        }
        let bytes = match (request, &*self.role.lock()) {
            (FIONREAD | TIOCOUTQ | SIOCOUTQNSD, Role::Listening(_)) => return Err(Errno::EINVAL),
            (FIONREAD, Role::Connected(connection, _)) => connection.tcb.lock().readable_to_mark(),
            (TIOCOUTQ, Role::Connected(connection, _)) => connection.tcb.lock().unsent(),
            (SIOCOUTQNSD, Role::Connected(connection, _)) => connection.tcb.lock().totals()[2] as usize,
            (SIOCATMARK, Role::Connected(connection, _)) => usize::from(connection.tcb.lock().at_mark(0)),
            _ => 0,
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}
