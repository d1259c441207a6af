//! Reading datagrams and what the network says of those that were sent.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering;

use fd::io::Sink;
use fd::socket::{Ancillary, Received, deadline, wait};
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};

use super::Datagram;
use super::socket::UdpSocket;
use crate::counts::{self, Count};
use crate::{charge, stamp};

/// The datagram that a peek sees which leaves `offset` bytes out, and how many of its own those are
/// (`SO_PEEK_OFF`).
fn peek(queue: &VecDeque<Datagram>, mut offset: usize) -> Option<(Datagram, usize)> {
    for datagram in queue {
        if offset == 0 || offset < datagram.payload.len() {
            return Some((datagram.clone(), offset));
        }
        offset -= datagram.payload.len();
    }
    None
}

impl UdpSocket {
    /// Takes a report (`MSG_ERRQUEUE`).
    fn receive_report(&self, to: &mut Sink<'_>) -> SysResult<Received> {
        let family = self.common.family();
        let Some((report, next)) = self.reports.pop() else {
            return self.zero_copies.receive(family).ok_or(Errno::EAGAIN);
        };
        *self.error.lock() = next;
        let full = report.payload.len();
        let copied = if full == 0 || to.remaining() == 0 { 0 } else { to.put(&report.payload)? };
        let ancillary = Ancillary { control: alloc::vec![report.control(family)], ..Ancillary::default() };
        let address = Some(family.encode(&report.to));
        Ok(Received { copied, full, address, ancillary, flags: n::MSG_ERRQUEUE })
    }

    /// recv(2) and its kin.
    pub(super) fn receive(&self, to: &mut Sink<'_>, flags: u32) -> SysResult<Received> {
        if flags & n::MSG_ERRQUEUE != 0 {
            return self.receive_report(to);
        }
        let [peeks, nonblock] = [n::MSG_PEEK, n::MSG_DONTWAIT].map(|flag| flags & flag != 0);
        let until = deadline(&self.common.receive_timeout);
        let next = || {
            if let Some(error) = self.error.lock().take() {
                return Some(Err(error));
            }
            let mut queue = self.queue.lock();
            let found =
                if peeks { peek(&queue, self.common.peek_start()) } else { queue.pop_front().map(|datagram| (datagram, 0)) };
            if let Some((datagram, offset)) = found {
                if !peeks {
                    self.release(charge(datagram.payload.len()));
                }
                return Some(Ok(Some((datagram, offset))));
            }
            // The end of what may be read is told to those alone who would wait, as on Linux.
            (!nonblock && self.closed[0].load(Ordering::Acquire)).then_some(Ok(None))
        };
        let Some((datagram, offset)) = wait(&self.readers, nonblock, until, next)?? else {
            return Ok(Received::default());
        };
        // As on Linux, one or the other is told.
        if !stamp::is_wanted(&self.common) {
            self.last_stamp.store(datagram.stamp, Ordering::Relaxed);
        }
        if !peeks && self.coverage.is_none() {
            counts::of_family(Count::UdpIn, datagram.from.is_ipv6());
        }
        let full = datagram.payload.len();
        let part = datagram.payload.slice(offset, usize::MAX);
        let copied = if part.is_empty() || to.remaining() == 0 { 0 } else { to.put(&part)? };
        self.common.peeked(peeks, if peeks { copied } else { full });
        let control = datagram.control(&self.common);
        let truncated = if copied < part.len() { n::MSG_TRUNC } else { 0 };
        Ok(Received {
            copied,
            // What a peek leaves out at the front was not cut off.
            full: if truncated == 0 && flags & n::MSG_TRUNC == 0 { copied } else { full },
            address: Some(self.common.family().encode(&datagram.from)),
            ancillary: Ancillary { control, ..Ancillary::default() },
            flags: truncated,
        })
    }
}
