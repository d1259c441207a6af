//! Moving bytes from file to file: sendfile(2), copy_file_range(2), splice(2), tee(2), vmsplice(2).

use linux_raw_sys::general as g;
use syscall_shim::{Errno, SysResult};

use super::paths::file;
use crate::usermem::{UserAddr, UserPtr};
use fd::io::{MAX_RW_COUNT, Segments};
use fd::pipe::PipeEnd;
use fd::splice::{self, Place};

/// The offset argument of a call: none means the file's own position. A negative one is a very
/// large one.
fn raw_place(at: UserPtr<i64>) -> SysResult<Place> {
    match at.non_null() {
        None => Ok(Place::Position),
        Some(at) => Ok(Place::At(at.read()? as u64)),
    }
}

/// The same, of which none may be negative (`EINVAL`).
fn place(at: UserPtr<i64>) -> SysResult<Place> {
    match raw_place(at)? {
        Place::At(pos) if pos > i64::MAX as u64 => Err(Errno::EINVAL),
        place => Ok(place),
    }
}

/// Checks that `count` is no negative number, and that so many bytes at an offset end within what a
/// file can have (`rw_verify_area`).
fn verify(place: Place, count: usize) -> SysResult<()> {
    match place {
        _ if count > isize::MAX as usize => Err(Errno::EINVAL),
        Place::At(pos) if pos.checked_add(count as u64).is_none_or(|end| end > i64::MAX as u64) => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// Writes the offset behind `n` bytes back to the caller.
fn advance(at: UserPtr<i64>, place: Place, n: usize) -> SysResult<()> {
    match place {
        Place::Position => Ok(()),
        Place::At(pos) => at.write((pos + n as u64) as i64),
    }
}

/// sendfile(2).
pub fn sendfile(out_fd: i32, in_fd: i32, offset: UserPtr<i64>, count: usize) -> SysResult {
    let (from, to) = (file(in_fd)?, file(out_fd)?);
    from.check_readable()?;
    to.check_writable()?;
    let start = place(offset)?;
    if !from.ops.seekable() && !offset.is_null() {
        return Err(Errno::ESPIPE);
    }
    verify(start, count)?;
    let count = count.min(MAX_RW_COUNT);
    if let Some(end) = to.ops_as::<PipeEnd>() {
        let n = splice::file_to_pipe(&from, start, end.pipe(), count, to.nonblocking())?;
        advance(offset, start, n)?;
        return Ok(n);
    }
    if to.flags().contains(fs::OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    // Of a stream, what the target does not take would be lost. What gives nothing gives its
    // consent to nothing.
    let gives = splice::gives(&from);
    if gives && !from.ops.seekable() || from.ops_as::<PipeEnd>().is_some() {
        return Err(Errno::EINVAL);
    }
    if count == 0 {
        return Ok(0);
    }
    if !gives {
        return Err(Errno::EINVAL);
    }
    // What takes nothing is not asked for nothing.
    if !splice::takes(&to) {
        return if splice::is_at_end(&from, start)? { Ok(0) } else { Err(Errno::EINVAL) };
    }
    let n = splice::copy(&from, start, &to, Place::Position, count)?;
    advance(offset, start, n)?;
    Ok(n)
}

/// copy_file_range(2).
pub fn copy_file_range(
    in_fd: i32,
    in_offset: UserPtr<i64>,
    out_fd: i32,
    out_offset: UserPtr<i64>,
    count: usize,
    flags: u32,
) -> SysResult {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (file(in_fd)?, file(out_fd)?);
    let (start, end) = (raw_place(in_offset)?, raw_place(out_offset)?);
    splice::check_copy(&from, &to)?;
    let count = splice::check_range(&from, start, &to, end, count)?;
    let n = splice::copy(&from, start, &to, end, count.min(MAX_RW_COUNT))?;
    advance(in_offset, start, n)?;
    advance(out_offset, end, n)?;
    Ok(n)
}

const SPLICE_FLAGS: u32 = g::SPLICE_F_MOVE | g::SPLICE_F_NONBLOCK | g::SPLICE_F_MORE | g::SPLICE_F_GIFT;

/// splice(2).
pub fn splice(
    in_fd: i32,
    in_offset: UserPtr<i64>,
    out_fd: i32,
    out_offset: UserPtr<i64>,
    count: usize,
    flags: u32,
) -> SysResult {
    if count == 0 {
        return Ok(0);
    }
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let (from, to) = (file(in_fd)?, file(out_fd)?);
    let nonblock = flags & g::SPLICE_F_NONBLOCK != 0;
    let is_pipe = |fd: &fd::OpenFile| fd.ops_as::<PipeEnd>().is_some();
    if (is_pipe(&from) && !in_offset.is_null()) || (is_pipe(&to) && !out_offset.is_null()) {
        return Err(Errno::ESPIPE);
    }
    let (start, end) = (raw_place(in_offset)?, raw_place(out_offset)?);
    from.check_readable()?;
    to.check_writable()?;
    for (file, place) in [(&from, start), (&to, end)] {
        if place != Place::Position && !file.ops.seekable() {
            return Err(Errno::EINVAL);
        }
    }
    verify(start, count)?;
    verify(end, count)?;
    let n = splice::splice(&from, start, &to, end, count.min(MAX_RW_COUNT), nonblock)?;
    advance(in_offset, start, n)?;
    advance(out_offset, end, n)?;
    Ok(n)
}

/// tee(2).
pub fn tee(in_fd: i32, out_fd: i32, count: usize, flags: u32) -> SysResult {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    if count == 0 {
        return Ok(0);
    }
    let (from, to) = (file(in_fd)?, file(out_fd)?);
    from.check_readable()?;
    to.check_writable()?;
    let nonblock = flags & g::SPLICE_F_NONBLOCK != 0;
    let source = from.ops_as::<PipeEnd>().ok_or(Errno::EINVAL)?;
    let target = to.ops_as::<PipeEnd>().ok_or(Errno::EINVAL)?;
    splice::tee(source, target, count, nonblock || from.nonblocking() || to.nonblocking())
}

/// vmsplice(2). The pages are copied, which a caller cannot tell from a gift that it does not touch
/// again.
pub fn vmsplice(fd: i32, vector: UserAddr, count: usize, flags: u32) -> SysResult {
    if flags & !SPLICE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let segments = Segments::from_iovec(vector, count)?;
    // Nothing can be moved into anything.
    if segments.remaining() == 0 {
        return Ok(0);
    }
    let end = file.ops_as::<PipeEnd>().ok_or(Errno::EBADF)?;
    splice::vmsplice(&file, end, segments, flags & g::SPLICE_F_NONBLOCK != 0)
}
