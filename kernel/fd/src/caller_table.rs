//! The descriptors of the caller, for what makes or takes one by the way: an ioctl(2), an option of
//! a socket.

use alloc::sync::Arc;

use spin::Once;
use syscall_shim::{Errno, SysResult};

use crate::FdTable;

static TABLE: Once<fn() -> SysResult<Arc<FdTable>>> = Once::new();

/// Says where the table of the running thread is found. The first call counts.
pub fn set_caller_table(table: fn() -> SysResult<Arc<FdTable>>) {
    TABLE.call_once(|| table);
}

/// The table of the running thread. `EBADF` where it has none.
pub fn caller_table() -> SysResult<Arc<FdTable>> {
    let table = TABLE.get().ok_or(Errno::EBADF)?;
    table()
}
