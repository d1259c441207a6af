//! When a packet came, as sockets tell it (socket(7), `SO_TIMESTAMP`).

use alloc::vec::Vec;

use fd::socket::Control;
use linux_raw_sys::ioctl as i;
use linux_raw_sys::net as n;
use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use super::socket::Common;
use super::sockopt::flag;

/// `SIOCGSTAMPNS` of old.
const SIOCGSTAMPNS: u32 = n::SIOCGSTAMPNS_OLD;

/// Bits of `SO_TIMESTAMPING`: what comes in is stamped by software, and that is told
/// (linux/net_tstamp.h).
const RX_SOFTWARE: i32 = 1 << 3;
const SOFTWARE: i32 = 1 << 4;

fn words(list: &[u64]) -> Vec<u8> {
    list.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The control messages for a packet that came at `at`, by the clock on the wall, in nanoseconds.
pub fn control(options: &Common, at: u64) -> Vec<Control> {
    let mut out = Vec::new();
    let (seconds, nanoseconds) = (at / 1_000_000_000, at % 1_000_000_000);
    let new = options.has(flag::TIMESTAMP_NEW);
    let mut put = |kind, list: &[u64]| out.push(Control { level: n::SOL_SOCKET, kind, data: words(list) });
    if options.has(flag::TIMESTAMP) {
        let kind = if new { n::SO_TIMESTAMP_NEW } else { n::SO_TIMESTAMP_OLD };
        put(kind, &[seconds, nanoseconds / 1000]);
    }
    if options.has(flag::TIMESTAMPNS) {
        let kind = if new { n::SO_TIMESTAMPNS_NEW } else { n::SO_TIMESTAMPNS_OLD };
        put(kind, &[seconds, nanoseconds]);
    }
    for kind in [n::SO_TIMESTAMPING_OLD, n::SO_TIMESTAMPING_NEW] {
        let asked = options.number(n::SOL_SOCKET, kind);
        if asked & (RX_SOFTWARE | SOFTWARE) == RX_SOFTWARE | SOFTWARE {
            put(kind, &[seconds, nanoseconds, 0, 0, 0, 0]);
        }
    }
    out
}

/// Whether [`control`] has anything to tell.
pub fn is_wanted(options: &Common) -> bool {
    options.has(flag::TIMESTAMP | flag::TIMESTAMPNS | flag::TIMESTAMPING)
}

/// `SIOCGSTAMP` and its like: when the last packet that was read had come, `last` in nanoseconds
/// and 0 for none. `None` for any other request.
pub fn ioctl(request: u32, arg: UserAddr, last: u64) -> Option<SysResult> {
    let unit = match request {
        i::SIOCGSTAMP | i::SIOCGSTAMP_NEW => 1000,
        SIOCGSTAMPNS | i::SIOCGSTAMPNS_NEW => 1,
        _ => return None,
    };
    let words = [last / 1_000_000_000, last % 1_000_000_000 / unit];
    Some(if last == 0 { Err(Errno::ENOENT) } else { arg.cast::<[u64; 2]>().write(words).map(|()| 0) })
}
