//! What the network says of packets that we sent, as sockets tell it (ip(7), `IP_RECVERR`).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use fd::socket::Control;
use linux_raw_sys::net as n;
use sync::SpinLock;
use syscall_shim::Errno;

use super::socket::Family;

/// Reports that may wait; further ones are lost.
const MAX_QUEUED: usize = 64;
/// Origins of `struct sock_extended_err`.
const SO_EE_ORIGIN_LOCAL: u8 = 1;
const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_ICMP6: u8 = 3;

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it means.
    pub errno: Errno,
    /// The ICMP message's type.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// What fits the path, where that is the trouble.
    pub info: u32,
    /// Who says so; nobody but ourselves, if there is none.
    pub offender: Option<IpAddr>,
    /// Whom the packet was for.
    pub to: SocketAddr,
    /// What is quoted of its payload.
    pub payload: Vec<u8>,
}

impl Report {
    /// Something is wrong that we know by ourselves.
    pub fn local(errno: Errno, info: u32, to: SocketAddr) -> Report {
        Report { errno, kind: 0, code: 0, info, offender: None, to, payload: Vec::new() }
    }

    /// The control message for a socket of this family: `struct sock_extended_err` and the
    /// offender's address.
    pub fn control(&self, family: Family) -> Control {
        let origin = match self.offender {
            None => SO_EE_ORIGIN_LOCAL,
            Some(IpAddr::V4(_)) => SO_EE_ORIGIN_ICMP,
            Some(IpAddr::V6(_)) => SO_EE_ORIGIN_ICMP6,
        };
        let mut data = u32::from(self.errno.0).to_ne_bytes().to_vec();
        data.extend_from_slice(&[origin, self.kind, self.code, 0]);
        data.extend_from_slice(&self.info.to_ne_bytes());
        data.extend_from_slice(&[0; 4]);
        match self.offender {
            Some(offender) => data.extend_from_slice(&family.encode(&SocketAddr::new(offender, 0))),
            None => data.extend(family.encode(&SocketAddr::new(family.any(), 0)).iter().map(|_| 0)),
        }
        let (level, kind) = match family {
            Family::V4 => (n::SOL_IP, n::IP_RECVERR),
            Family::V6 => (n::SOL_IPV6, n::IPV6_RECVERR),
        };
        Control { level, kind, data }
    }
}

/// A socket's reports. A leaf lock.
#[derive(Default)]
pub struct Reports(SpinLock<VecDeque<Report>>);

impl Reports {
    /// Adds one.
    pub fn push(&self, report: Report) {
        let mut queue = self.0.lock();
        if queue.len() < MAX_QUEUED {
            queue.push_back(report);
        }
    }

    /// Takes the oldest, and tells the error of the one behind it.
    pub fn pop(&self) -> Option<(Report, Option<Errno>)> {
        let mut queue = self.0.lock();
        let report = queue.pop_front()?;
        Some((report, queue.front().map(|next| next.errno)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}
