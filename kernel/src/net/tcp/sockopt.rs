//! The options of a TCP socket, and of the connection behind it.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::options::tcp_info;
use super::socket::{Role, SOL_TCP, TcpSocket, errno};
use crate::arch::clock;
use crate::net::poll;

impl TcpSocket {
    /// setsockopt(2).
    pub(super) fn set(&self, level: u32, option: u32, value: &[u8]) -> SysResult<()> {
        match level {
            SOL_TCP => self.options.set(option, value)?,
            _ => self.common.set(level, option, value)?,
        }
        if let Ok(connection) = self.connection() {
            let now = clock::monotonic_ns();
            let mut tcb = connection.tcb.lock();
            tcb.settings = self.options.settings(&self.common);
            tcb.settings_changed(now);
            let buffers = level == n::SOL_SOCKET && matches!(option, n::SO_RCVBUF | n::SO_SNDBUF);
            if buffers || level == SOL_TCP && option == n::TCP_WINDOW_CLAMP {
                tcb.set_limits(self.options.clamp_window(self.common.tcp_limits()));
            }
            connection.transmit(&mut tcb, now);
            connection.tos.store(self.common.tos.load(Ordering::Relaxed), Ordering::Relaxed);
            drop(tcb);
            poll::sent();
        }
        Ok(())
    }

    /// getsockopt(2).
    pub(super) fn get(&self, level: u32, option: u32) -> SysResult<Vec<u8>> {
        let connection = self.connection().ok();
        let number = match (level, option) {
            (n::SOL_SOCKET, n::SO_ERROR) => {
                let error = connection.and_then(|connection| connection.tcb.lock().take_error());
                error.map_or(0, |error| i32::from(errno(error).0))
            }
            (n::SOL_SOCKET, n::SO_ACCEPTCONN) => i32::from(matches!(&*self.role.lock(), Role::Listening(_))),
            (SOL_TCP, n::TCP_INFO) => {
                return Ok(connection.map_or_else(
                    || {
                        let mut none = alloc::vec![0; 104];
                        none[0] = if matches!(&*self.role.lock(), Role::Listening(_)) { 10 } else { 7 };
                        none
                    },
                    |connection| tcp_info(&connection.tcb.lock()),
                ));
            }
            (SOL_TCP, n::TCP_MAXSEG) if connection.is_some() => {
                connection.map_or(0, |connection| connection.tcb.lock().segment_size() as i32)
            }
            (SOL_TCP, _) => return self.options.get(option),
            (n::SOL_IP, n::IP_MTU) => match connection {
                Some(connection) => connection.hop.interface.mtu() as i32,
                None => return Err(Errno::ENOTCONN),
            },
            _ => return self.common.get(level, option),
        };
        Ok(number.to_ne_bytes().to_vec())
    }
}
