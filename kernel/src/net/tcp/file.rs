//! A TCP socket as an open file: read(2), write(2), poll(2), ioctl(2).

use core::sync::atomic::Ordering;

use inet::tcp::State;
use linux_raw_sys::ioctl::{FIONREAD, TIOCOUTQ};
use syscall_shim::{Errno, SysResult};

use super::socket::{Role, TcpSocket};
use crate::files::io::{Sink, Source};
use crate::files::poll::{PollTable, ev};
use crate::files::socket::Socket;
use crate::files::{FileOps, OpenFile, events};
use crate::usermem::UserAddr;

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
                ev::OUT | ev::WRNORM | ev::HUP | shut
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
                if tcb.state() != State::SynSent {
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
                if tcb.error().is_some() {
                    events |= ev::ERR;
                }
                events
            }
        }
    }

    fn ioctl(&self, _file: &OpenFile, request: u32, arg: UserAddr) -> SysResult {
        if !matches!(request, FIONREAD | TIOCOUTQ) {
            return crate::net::ioctl::interface(request, arg);
        }
        let bytes = match (request, &*self.role.lock()) {
            (FIONREAD | TIOCOUTQ, Role::Listening(_)) => return Err(Errno::EINVAL),
            (FIONREAD, Role::Connected(connection, _)) => connection.tcb.lock().readable(),
            (TIOCOUTQ, Role::Connected(connection, _)) => connection.tcb.lock().unsent(),
            _ => 0,
        };
        arg.cast::<i32>().write(bytes as i32).map(|()| 0)
    }
}
