//! syslog(2): the kernel's log.

use core::sync::atomic::{AtomicU32, Ordering};

use syscall_shim::{Errno, SysResult};

use crate::files::kmsg;
use crate::usermem::{self, UserAddr};
use fd::io::Sink;
use observe::log::{CONSOLE_LEVEL, printk, reader};

const CLOSE: i32 = 0;
const OPEN: i32 = 1;
const READ: i32 = 2;
const READ_ALL: i32 = 3;
const READ_CLEAR: i32 = 4;
const CLEAR: i32 = 5;
const CONSOLE_OFF: i32 = 6;
const CONSOLE_ON: i32 = 7;
const CONSOLE_LEVEL_SET: i32 = 8;
const SIZE_UNREAD: i32 = 9;
const SIZE_BUFFER: i32 = 10;

/// What `CONSOLE_ON` restores; 0 for none.
static SAVED_LEVEL: AtomicU32 = AtomicU32::new(0);

/// syslog(2).
pub fn syslog(action: i32, buffer: UserAddr, len: i32) -> SysResult {
    kmsg::check_reader()?;
    match action {
        CLOSE | OPEN => Ok(0),
        READ | READ_ALL | READ_CLEAR => {
            let len = usize::try_from(len).ok().filter(|_| !buffer.is_null()).ok_or(Errno::EINVAL)?;
            if len == 0 {
                return Ok(0);
            }
            if action == READ {
                return kmsg::take(&mut Sink::user(buffer, len)?, false);
            }
            let bytes = reader::last(len);
            usermem::copy_out(buffer, &bytes)?;
            if action == READ_CLEAR {
                reader::clear();
            }
            Ok(bytes.len())
        }
        CLEAR => {
            reader::clear();
            Ok(0)
        }
        CONSOLE_OFF => {
            let level = CONSOLE_LEVEL.swap(printk()[2], Ordering::Relaxed);
            let _ = SAVED_LEVEL.compare_exchange(0, level, Ordering::Relaxed, Ordering::Relaxed);
            Ok(0)
        }
        CONSOLE_ON => {
            match SAVED_LEVEL.swap(0, Ordering::Relaxed) {
                0 => {}
                level => CONSOLE_LEVEL.store(level, Ordering::Relaxed),
            }
            Ok(0)
        }
        CONSOLE_LEVEL_SET => {
            let level = u32::try_from(len).ok().filter(|level| (1..=8).contains(level)).ok_or(Errno::EINVAL)?;
            let level = level.max(printk()[2]);
            CONSOLE_LEVEL.store(level, Ordering::Relaxed);
            SAVED_LEVEL.store(0, Ordering::Relaxed);
            Ok(0)
        }
        SIZE_UNREAD => Ok(reader::unread()),
        SIZE_BUFFER => Ok(reader::SIZE),
        _ => Err(Errno::EINVAL),
    }
}
