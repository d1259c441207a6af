//! For tests on a host: what each of them does with open files.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::{thread, thread_local};

use syscall_shim::{Errno, SysResult};
use usermem::UserAddr;

use crate::io::{Sink, Source};
use crate::poll::PollTable;
use crate::{FdTable, OpenFile};

thread_local! {
    static TABLE: Arc<FdTable> = Arc::new(FdTable::new());
}

/// Gives each thread descriptors of its own, and answers this one's.
pub fn own_table() -> Arc<FdTable> {
    crate::set_caller_table(|| Ok(TABLE.with(Arc::clone)));
    TABLE.with(Arc::clone)
}

/// write(2).
pub fn write(file: &OpenFile, bytes: &[u8]) -> SysResult<usize> {
    file.write(&mut Source::Kernel(bytes))
}

/// read(2): what came.
pub fn read(file: &OpenFile, room: usize) -> SysResult<Vec<u8>> {
    let mut buffer = vec![0; room];
    let n = file.read(&mut Sink::Kernel(&mut buffer))?;
    buffer.truncate(n);
    Ok(buffer)
}

/// poll(2): the events that hold now.
pub fn events(file: &OpenFile) -> u32 {
    file.poll(&mut PollTable::none())
}

/// ioctl(2) with an argument that is no pointer.
pub fn ioctl(file: &OpenFile, request: u32, arg: u64) -> SysResult {
    file.ops.ioctl(file, request, UserAddr(arg))
}

/// ioctl(2) with an object that it may read and change.
pub fn ioctl_with<T>(file: &OpenFile, request: u32, object: &mut T) -> SysResult {
    ioctl(file, request, core::ptr::from_mut(object).expose_provenance() as u64)
}

/// ioctl(2) that answers an object.
pub fn ioctl_get<T: Default>(file: &OpenFile, request: u32) -> SysResult<T> {
    let mut object = T::default();
    ioctl_with(file, request, &mut object).map(|_| object)
}

/// Memory of the program: on a host that of the test.
pub fn user(bytes: &[u8]) -> UserAddr {
    UserAddr(bytes.as_ptr().expose_provenance() as u64)
}

/// Memory of the program that is written to.
pub fn user_mut(bytes: &mut [u8]) -> UserAddr {
    UserAddr(bytes.as_mut_ptr().expose_provenance() as u64)
}

/// Waits until another thread has come to sleep, or to have done something.
///
/// # Panics
/// If that does not happen within seconds.
pub fn until(what: impl Fn() -> bool) {
    for _ in 0..5000 {
        if what() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen");
}

/// The error of a result.
pub fn errno<T>(result: SysResult<T>) -> Option<Errno> {
    result.err()
}
