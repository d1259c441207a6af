//! `NETLINK_SOCK_DIAG` (sock_diag(7)).

use syscall_shim::{Errno, SysResult};

use super::message::Request;
use super::route::Answers;

/// Answers a question.
pub fn answer(_request: &Request, _body: &[u8]) -> SysResult<(Answers, bool)> {
    Err(Errno::EOPNOTSUPP)
}
