//! read(2), write(2) and their vectored and positioned forms; lseek(2); what concerns content as a
//! whole.

use fs::{AccessMask, Cap, FallocateMode, FileType, OpenFlags, S_IFBLK, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, SetAttr};
use linux_raw_sys::general as g;
use syscall_shim::{Errno, RwfFlags, SysResult};

use super::paths::{self, file, name};
use crate::usermem::{UserAddr, UserPtr};
use fd::io::{Segments, Sink, Source};
use fd::regular::{checked_size, file_size_limit};
use fd::{OpenFile, capable, events, splice, with_fs};
use fs::LookupFlags;
use task::current;
use task::namespace;

const PAGE: u64 = base::addr::PAGE_SIZE as u64;

/// The error of a buffer that cannot be: what cannot be read or written at all says so first.
fn refused(error: Errno, possible: bool) -> Errno {
    if possible { error } else { Errno::EINVAL }
}

/// read(2).
pub fn read(fd: i32, buf: UserAddr, count: usize) -> SysResult {
    let file = file(fd)?;
    file.check_readable()?;
    file.read(&mut Sink::user(buf, count).map_err(|e| refused(e, file.ops.can_read_and_write().0))?)
}

/// write(2).
pub fn write(fd: i32, buf: UserAddr, count: usize) -> SysResult {
    let file = file(fd)?;
    file.check_writable()?;
    file.write(&mut Source::user(buf, count).map_err(|e| refused(e, file.ops.can_read_and_write().1))?)
}

/// readv(2).
pub fn readv(fd: i32, vector: UserAddr, count: usize) -> SysResult {
    let file = file(fd)?;
    file.check_readable()?;
    let mut to = Sink::User(Segments::from_iovec(vector, count)?);
    if !file.ops.can_read_and_write().0 {
        return Err(Errno::EINVAL);
    }
    if to.remaining() == 0 { Ok(0) } else { file.read(&mut to) }
}

/// writev(2).
pub fn writev(fd: i32, vector: UserAddr, count: usize) -> SysResult {
    let file = file(fd)?;
    file.check_writable()?;
    let mut from = Source::User(Segments::from_iovec(vector, count)?);
    if !file.ops.can_read_and_write().1 {
        return Err(Errno::EINVAL);
    }
    if from.remaining() == 0 { Ok(0) } else { file.write(&mut from) }
}

fn position(pos: i64) -> SysResult<u64> {
    u64::try_from(pos).map_err(|_| Errno::EINVAL)
}

/// A position for `count` bytes, which must not go past the largest (`rw_verify_area`).
fn position_for(pos: i64, count: usize) -> SysResult<u64> {
    i64::try_from(count).ok().and_then(|count| pos.checked_add(count)).ok_or(Errno::EINVAL)?;
    position(pos)
}

/// `ESPIPE` for what has no positions.
fn seekable(file: &OpenFile) -> SysResult<()> {
    if file.ops.seekable() { Ok(()) } else { Err(Errno::ESPIPE) }
}

/// pread(2).
pub fn pread64(fd: i32, buf: UserAddr, count: usize, pos: i64) -> SysResult {
    position(pos)?;
    let file = file(fd)?;
    seekable(&file)?;
    file.check_readable()?;
    file.read_at(position_for(pos, count)?, &mut Sink::user(buf, count)?)
}

/// pwrite(2).
pub fn pwrite64(fd: i32, buf: UserAddr, count: usize, pos: i64) -> SysResult {
    position(pos)?;
    let file = file(fd)?;
    seekable(&file)?;
    file.check_writable()?;
    file.write_at(position_for(pos, count)?, &mut Source::user(buf, count)?)
}

/// preadv(2).
pub fn preadv(fd: i32, vector: UserAddr, count: usize, pos: i64, _pos_high: u64) -> SysResult {
    let pos = position(pos)?;
    let file = file(fd)?;
    seekable(&file)?;
    file.read_at(pos, &mut Sink::User(Segments::from_iovec(vector, count)?))
}

/// pwritev(2).
pub fn pwritev(fd: i32, vector: UserAddr, count: usize, pos: i64, _pos_high: u64) -> SysResult {
    let pos = position(pos)?;
    let file = file(fd)?;
    seekable(&file)?;
    file.write_at(pos, &mut Source::User(Segments::from_iovec(vector, count)?))
}

/// The flags of preadv2(2) and pwritev2(2), looked at once there is something to transfer.
/// `EOPNOTSUPP` for those that are unknown and those that no file here can honour (`RWF_ATOMIC`,
/// `RWF_DONTCACHE`).
fn rwf_flags(flags: u32) -> SysResult<RwfFlags> {
    let flags = RwfFlags::from_bits(flags).ok_or(Errno::EOPNOTSUPP)?;
    if flags.contains(RwfFlags::RWF_APPEND | RwfFlags::RWF_NOAPPEND) {
        return Err(Errno::EINVAL);
    }
    Ok(flags)
}

/// The place that preadv2(2) and pwritev2(2) mean: the file's own position for -1.
fn place(file: &OpenFile, pos: i64) -> SysResult<Option<u64>> {
    if pos == -1 {
        return Ok(None);
    }
    seekable(file)?;
    Ok(Some(pos as u64))
}

/// preadv2(2).
pub fn preadv2(fd: i32, vector: UserAddr, count: usize, pos: i64, _high: u64, flags: u32) -> SysResult {
    if pos < -1 {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let place = place(&file, pos)?;
    file.check_readable()?;
    if !file.ops.can_read_and_write().0 {
        return Err(Errno::EINVAL);
    }
    let mut to = Sink::User(Segments::from_iovec(vector, count)?);
    if to.remaining() == 0 {
        return Ok(0);
    }
    let nowait = rwf_flags(flags)?.contains(RwfFlags::RWF_NOWAIT);
    if nowait {
        return file.read_now(place, &mut to);
    }
    match place {
        Some(pos) => file.read_at(pos, &mut to),
        None => file.read(&mut to),
    }
}

/// pwritev2(2).
pub fn pwritev2(fd: i32, vector: UserAddr, count: usize, pos: i64, _high: u64, flags: u32) -> SysResult {
    if pos < -1 {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let place = place(&file, pos)?;
    file.check_writable()?;
    if !file.ops.can_read_and_write().1 {
        return Err(Errno::EINVAL);
    }
    let mut from = Source::User(Segments::from_iovec(vector, count)?);
    if from.remaining() == 0 {
        return Ok(0);
    }
    let flags = rwf_flags(flags)?;
    if !(flags - RwfFlags::RWF_HIPRI).is_empty() && !splice::takes(&file) {
        return Err(Errno::EOPNOTSUPP);
    }
    let n = match flags.contains(RwfFlags::RWF_NOSIGNAL) {
        true => events::without_broken_pipe(|| write_flagged(&file, place, &mut from, flags))?,
        false => write_flagged(&file, place, &mut from, flags)?,
    };
    if flags.intersects(RwfFlags::RWF_SYNC | RwfFlags::RWF_DSYNC) && file.ops.mapping(&file).is_some() {
        file.ops.sync(&file, !flags.contains(RwfFlags::RWF_SYNC))?;
    }
    Ok(n)
}

fn write_flagged(file: &OpenFile, place: Option<u64>, from: &mut Source<'_>, flags: RwfFlags) -> SysResult {
    if flags.contains(RwfFlags::RWF_NOWAIT) {
        return file.write_now(from);
    }
    let appends = file.flags().contains(OpenFlags::APPEND) && !flags.contains(RwfFlags::RWF_NOAPPEND);
    let append = appends || flags.contains(RwfFlags::RWF_APPEND);
    match place {
        Some(pos) => file.write_at_with(pos, from, append),
        None => file.write_with(from, append),
    }
}

/// lseek(2).
pub fn lseek(fd: i32, offset: i64, whence: u32) -> SysResult {
    let file = file(fd)?;
    if whence > g::SEEK_HOLE {
        return Err(Errno::EINVAL);
    }
    file.seek(offset, whence).map(|pos| pos as usize)
}

/// truncate(2).
pub fn truncate(path: UserAddr, length: i64) -> SysResult {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let found = paths::find(&name(path)?, LookupFlags::FOLLOW)?;
    checked_size(with_fs(|ctx| namespace().truncate(ctx, &found, length, file_size_limit()))).map(|()| 0)
}

/// ftruncate(2).
pub fn ftruncate(fd: i32, length: i64) -> SysResult {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let file = file(fd)?;
    if !file.flags().writable() || file.inode.file_type() != FileType::Regular {
        return Err(Errno::EINVAL);
    }
    checked_size(fs::file::truncate(&file.inode, length, file_size_limit(), capable(Cap::Fsetid as u32)))?;
    // Unlike truncate(2), it counts as a modification also where the size stays.
    file.inode.setattr(&SetAttr { mtime: Some(fs::platform::now()), ..SetAttr::default() })?;
    fs::notify::notify_path(&file.path, fs::notify::event::MODIFY);
    Ok(0)
}

/// fallocate(2).
pub fn fallocate(fd: i32, mode: u32, offset: i64, len: i64) -> SysResult {
    let file = file(fd)?;
    if offset < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    file.check_writable()?;
    let mode = FallocateMode::from_bits_retain(mode);
    if !file.ops.seekable() && file.inode.file_type() != FileType::Fifo {
        return Err(Errno::ENODEV);
    }
    if let Some(result) = file.ops.fallocate(&file, mode, offset as u64, len as u64) {
        return result.map(|()| 0);
    }
    let keep = capable(Cap::Fsetid as u32);
    checked_size(fs::file::fallocate(&file.inode, mode, offset, len, file_size_limit(), keep))?;
    fs::notify::notify_open_file(&file.path, fs::notify::event::MODIFY);
    Ok(0)
}

/// fsync(2).
pub fn fsync(fd: i32) -> SysResult {
    let file = file(fd)?;
    file.ops.sync(&file, false).map(|()| 0)
}

/// fdatasync(2).
pub fn fdatasync(fd: i32) -> SysResult {
    let file = file(fd)?;
    file.ops.sync(&file, true).map(|()| 0)
}

/// sync(2).
pub fn sync() -> SysResult {
    let _ = namespace().sync();
    let _ = block::registry::sync();
    Ok(0)
}

/// syncfs(2).
pub fn syncfs(fd: i32) -> SysResult {
    file(fd)?.path.mount.fs.sync().map(|()| 0)
}

/// sync_file_range(2).
pub fn sync_file_range(fd: i32, offset: i64, len: i64, flags: u32) -> SysResult {
    let file = file(fd)?;
    let valid = g::SYNC_FILE_RANGE_WAIT_BEFORE | g::SYNC_FILE_RANGE_WRITE | g::SYNC_FILE_RANGE_WAIT_AFTER;
    if flags & !valid != 0 || offset < 0 || len < 0 || offset.checked_add(len).is_none() {
        return Err(Errno::EINVAL);
    }
    if !matches!(file.inode.access_attrs().mode & S_IFMT, S_IFREG | S_IFDIR | S_IFLNK | S_IFBLK) {
        return Err(Errno::ESPIPE);
    }
    let Some(mapping) = file.ops.mapping(&file) else { return Ok(0) };
    let end = if len == 0 { u64::MAX } else { (offset + len) as u64 };
    mapping.write_back(offset as u64 / PAGE, end.div_ceil(PAGE)).map(|()| 0)
}

/// posix_fadvise(2). Advice about a memory file changes nothing.
pub fn fadvise64(fd: i32, _offset: i64, len: i64, advice: u32) -> SysResult {
    let file = file(fd)?;
    if file.inode.file_type() == FileType::Fifo {
        return Err(Errno::ESPIPE);
    }
    if len < 0 || advice > 5 { Err(Errno::EINVAL) } else { Ok(0) }
}

/// readahead(2).
pub fn readahead(fd: i32, offset: i64, count: usize) -> SysResult {
    let file = file(fd)?;
    file.check_readable()?;
    if !matches!(file.inode.access_attrs().mode & S_IFMT, S_IFREG | S_IFBLK) {
        return Err(Errno::EINVAL);
    }
    if count > isize::MAX as usize {
        return Err(Errno::EINVAL);
    }
    // There is nothing before the file's start to be read.
    let (Some(mapping), Ok(start)) = (file.ops.mapping(&file), position(offset)) else { return Ok(0) };
    mapping.read(start, count.min(1 << 20), &mut |_, _, n| Ok(n)).map(|_| 0)
}

/// cachestat(2). What a memory file has is in the cache, and nothing of it is dirty, under way to a
/// disk, or evicted.
pub fn cachestat(fd: i32, range: UserPtr<[u64; 2]>, out: UserPtr<[u64; 5]>, flags: u32) -> SysResult {
    let file = file(fd)?;
    let [offset, len] = range.read()?;
    let own = file.inode.access_attrs().uid == current().credentials().fsuid || capable(Cap::Fowner as u32);
    if !own && !file.flags().writable() {
        with_fs(|ctx| namespace().access(ctx, &file.path, AccessMask::WRITE)).map_err(|_| Errno::EPERM)?;
    }
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let end = if len == 0 { u64::MAX } else { (offset.wrapping_add(len).wrapping_sub(1) / PAGE).saturating_add(1) };
    let mut cached = 0;
    if let Some(mapping) = file.ops.mapping(&file) {
        mapping.each_cached(offset / PAGE, end, &mut |_, _| cached += 1);
    }
    out.write([cached, 0, 0, 0, 0]).map(|()| 0)
}
