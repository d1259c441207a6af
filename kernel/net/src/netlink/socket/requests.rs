//! What a program asks of the kernel, and how the answers come back.

use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::Ordering;

use fd::capable;
use syscall_shim::{Errno, SysResult};

use super::{CAP_NET_ADMIN, NetlinkSocket, option};
use crate::netlink::message::{self, DONE, ERROR, FIRST_KIND, HEADER, Request, attribute, flag, half, word};
use crate::netlink::{diag, family, generic, route};

/// Replies are packed into messages of this size.
const REPLY: usize = 16384;
/// `NLMSGERR_ATTR_MSG`.
const ATTR_MSG: u16 = 1;

impl NetlinkSocket {
    /// Answers a request with an error, or acknowledges it.
    fn acknowledge(&self, request: &Request, original: &[u8], errno: Option<Errno>) {
        let mut body = (-errno.map_or(0, |errno| i32::from(errno.0))).to_ne_bytes().to_vec();
        let whole = errno.is_some() && !self.is(option::CAP_ACK);
        body.extend_from_slice(if whole { original } else { original.get(..HEADER).unwrap_or(original) });
        let mut flags = if whole { 0 } else { flag::CAPPED };
        if let Some(text) = request.text.take().filter(|_| self.is(option::EXT_ACK)) {
            body.resize(body.len().next_multiple_of(4), 0);
            let mut bytes = text.as_bytes().to_vec();
            bytes.push(0);
            attribute(&mut body, ATTR_MSG, &bytes);
            flags |= flag::ACK_TLVS;
        }
        self.hear(message::message(ERROR, flags, request.serial, request.port, &body), 0, 0);
    }

    /// Sends the answers of a dump: as many as fit in one message, and the end apart, as on Linux.
    /// One that has failed brings its end. What there is no room for comes when the program has
    /// read the rest. `EBUSY` while that is so.
    fn dump(&self, request: &Request, mut answers: route::Answers) -> SysResult<()> {
        let mut rest = self.rest.lock();
        if !rest.is_empty() {
            return Err(Errno::EBUSY);
        }
        let mut batch = Vec::new();
        let end = answers.pop_if(|(kind, _)| *kind == DONE).map_or([0; 4].to_vec(), |(_, code)| code);
        for (kind, body) in answers {
            let message = message::message(kind, flag::MULTI, request.serial, request.port, &body);
            if !batch.is_empty() && batch.len() + message.len() > REPLY {
                rest.push_back(core::mem::take(&mut batch));
            }
            batch.extend_from_slice(&message);
        }
        if !batch.is_empty() {
            rest.push_back(batch);
        }
        rest.push_back(message::message(DONE, flag::MULTI, request.serial, request.port, &end));
        drop(rest);
        self.go_on(true);
        Ok(())
    }

    /// Goes on with a dump, as far as there is room; `wanted`: something was taken.
    pub(super) fn go_on(&self, wanted: bool) {
        while wanted && self.held.load(Ordering::Relaxed) < self.common.buffers().0 as usize {
            let Some(batch) = self.rest.lock().pop_front() else { return };
            self.hear(batch, 0, 0);
        }
    }

    /// Does what one message of a program asks.
    pub(super) fn handle(&self, original: &[u8]) {
        let request = Request {
            kind: half(original, 4),
            flags: half(original, 6),
            serial: word(original, 8),
            port: self.own_port(),
            text: Cell::new(None),
        };
        let mut result = Ok(false);
        if request.has(flag::REQUEST) && request.kind >= FIRST_KIND {
            let body = original.get(HEADER..).unwrap_or_default();
            result = self.ask(&request, body);
        }
        match result {
            Ok(true) => {}
            Ok(false) if !request.has(flag::ACK) => {}
            Ok(false) => self.acknowledge(&request, original, None),
            Err(errno) => self.acknowledge(&request, original, Some(errno)),
        }
    }

    /// Whether the request was a dump, which has its own end.
    fn ask(&self, request: &Request, body: &[u8]) -> SysResult<bool> {
        let (answers, dumped) = match self.protocol {
            family::ROUTE => route::answer(request, body, self.is(option::GET_STRICT_CHK))?,
            family::SOCK_DIAG => diag::answer(request, body)?,
            family::GENERIC => generic::answer(request, body)?,
            family::KOBJECT_UEVENT => return Ok(false),
            // None of netfilter's parts is there.
            _ if !capable(CAP_NET_ADMIN) => return Err(Errno::EPERM),
            _ if request.kind == FIRST_KIND => return Err(Errno::EOPNOTSUPP),
            _ if body.len() < 4 => return Ok(false),
            _ => return Err(Errno::EINVAL),
        };
        if dumped {
            self.dump(request, answers)?;
        } else {
            for (kind, body) in answers {
                self.hear(message::message(kind, 0, request.serial, request.port, &body), 0, 0);
            }
        }
        Ok(dumped)
    }
}
