//! The data path of an open file: reads and writes through the page cache, with everything that
//! goes along (append, limits, seals, timestamps, set-id bits).

use crate::inode::InodeRef;
use crate::mapping::{ReadPage, WritePage};
use crate::mount::{Mount, MountFlags};
use crate::platform::now;
use crate::types::*;
use syscall_shim::{Errno, SysResult};

/// A write in progress: where, and under which limits.
#[derive(Clone, Copy, Debug)]
pub struct WriteRequest {
    /// File offset; not looked at with `append`.
    pub pos: u64,
    /// Bytes.
    pub len: usize,
    /// Write at the end of the file (`O_APPEND`, `RWF_APPEND`).
    pub append: bool,
    /// `RLIMIT_FSIZE`; `u64::MAX` for none. `EFBIG` when the write starts at or past it (the caller
    /// sends `SIGXFSZ`).
    pub fsize_limit: u64,
    /// The writer has `CAP_FSETID`, so set-id bits stay.
    pub keep_setid: bool,
}

/// Reads a file with page cache. See [`crate::Mapping::read`] for `copy`; `None` is a page of
/// zeros. `ENODEV` without page cache.
pub fn read(inode: &InodeRef, pos: u64, len: usize, copy: &mut ReadPage<'_>) -> SysResult<usize> {
    let mapping = inode.mapping().ok_or(Errno::ENODEV)?;
    mapping.read(pos, len, copy)
}

/// Writes a file with page cache, under its lock. Answers the bytes written and the position behind
/// them.
pub fn write(inode: &InodeRef, req: &WriteRequest, copy: &mut WritePage<'_>) -> SysResult<(usize, u64)> {
    let mapping = inode.mapping().ok_or(Errno::ENODEV)?;
    let _guard = inode.common().lock.lock();
    let pos = if req.append { mapping.size() } else { req.pos };
    let len = room(inode, pos, req)?;
    if len == 0 {
        return Ok((0, pos));
    }
    touch_for_write(inode, req.keep_setid)?;
    let done = mapping.write(pos, len, copy)?;
    Ok((done, pos + done as u64))
}

/// How many bytes may be written at `pos`.
fn room(inode: &InodeRef, pos: u64, req: &WriteRequest) -> SysResult<usize> {
    if req.len == 0 {
        return Ok(0);
    }
    let limit = req.fsize_limit.min(MAX_FILE_SIZE);
    if pos >= limit {
        return Err(Errno::EFBIG);
    }
    let len = (req.len as u64).min(limit - pos);
    Ok(inode.prepare_write(pos, len)? as usize)
}

/// mtime and ctime now, set-id bits off (`file_remove_privs`).
fn touch_for_write(inode: &InodeRef, keep_setid: bool) -> SysResult<()> {
    let time = now();
    let mut attr = SetAttr { mtime: Some(time), ctime: Some(time), kill_capability: true, ..SetAttr::default() };
    if !keep_setid {
        let mode = inode.access_attrs().mode;
        let kept = without_setid(mode);
        attr.mode = (kept != mode).then_some(kept);
    }
    inode.setattr(&attr)
}

/// A mode without set-user-ID, and without set-group-ID where the group may execute (without that
/// it meant mandatory locking).
pub fn without_setid(mode: u32) -> u32 {
    let group_exec = mode & 0o010 != 0;
    mode & !(S_ISUID | if group_exec { S_ISGID } else { 0 })
}

/// Records a read of `inode` through `mount` (`touch_atime`): `noatime`, `nodiratime`, `relatime`
/// as mounted.
pub fn accessed(mount: &Mount, inode: &InodeRef) {
    let flags = mount.flags();
    if flags.contains(MountFlags::NOATIME) || mount.read_only() {
        return;
    }
    let m = inode.metadata();
    if flags.contains(MountFlags::NODIRATIME) && m.file_type() == FileType::Dir {
        return;
    }
    let time = now();
    let day = Timespec { sec: m.atime.sec + 24 * 60 * 60, nsec: m.atime.nsec };
    let stale = m.atime <= m.mtime || m.atime <= m.ctime || time >= day;
    if m.atime != time && (stale || flags.contains(MountFlags::STRICTATIME)) {
        // A time that cannot be stored is no reason to fail a read.
        let _ = inode.setattr(&SetAttr { atime: Some(time), keep_ctime: true, ..SetAttr::default() });
    }
}

/// ftruncate(2) after the descriptor checks: under the file's lock. `EFBIG` past `fsize_limit`.
pub fn truncate(inode: &InodeRef, size: u64, fsize_limit: u64, keep_setid: bool) -> SysResult<()> {
    let _guard = inode.common().lock.lock();
    if inode.access_attrs().mode & APPEND_ONLY != 0 {
        return Err(Errno::EPERM);
    }
    let old = inode.metadata().size;
    if size > MAX_FILE_SIZE || (size > old && size > fsize_limit) {
        return Err(Errno::EFBIG);
    }
    inode.truncate(size)?;
    strip_privileges(inode, keep_setid)
}

/// Takes away what the content was trusted with: set-id bits unless `keep_setid`, and
/// `security.capability`.
fn strip_privileges(inode: &InodeRef, keep_setid: bool) -> SysResult<()> {
    let mode = inode.access_attrs().mode;
    let kept = if keep_setid { mode } else { without_setid(mode) };
    if kept == mode && mode & HAS_CAPABILITY == 0 {
        return Ok(());
    }
    let mode = (kept != mode).then_some(kept);
    inode.setattr(&SetAttr { mode, kill_capability: true, ..SetAttr::default() })
}

/// fallocate(2) after the descriptor checks. `EOPNOTSUPP` for modes that do not go together,
/// `EINVAL` for the range, `EFBIG` past `fsize_limit`, `ENODEV`/`ESPIPE` for other types.
/// `keep_setid` as in [`WriteRequest`].
pub fn fallocate(
    inode: &InodeRef,
    mode: FallocateMode,
    off: i64,
    len: i64,
    fsize_limit: u64,
    keep_setid: bool,
) -> SysResult<()> {
    use FallocateMode as M;
    if off < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    let known = M::KEEP_SIZE | M::PUNCH_HOLE | M::COLLAPSE_RANGE | M::ZERO_RANGE | M::INSERT_RANGE | M::UNSHARE_RANGE;
    let clash =
        mode.contains(M::PUNCH_HOLE | M::ZERO_RANGE) || (mode.contains(M::PUNCH_HOLE) && !mode.contains(M::KEEP_SIZE));
    if !known.contains(mode) || clash {
        return Err(Errno::EOPNOTSUPP);
    }
    for alone in [M::COLLAPSE_RANGE, M::INSERT_RANGE] {
        if mode.contains(alone) && mode != alone {
            return Err(Errno::EINVAL);
        }
    }
    if mode.contains(M::UNSHARE_RANGE) && !(M::UNSHARE_RANGE | M::KEEP_SIZE).contains(mode) {
        return Err(Errno::EINVAL);
    }
    match inode.file_type() {
        FileType::Regular => {}
        FileType::Fifo => return Err(Errno::ESPIPE),
        FileType::Dir => return Err(Errno::EISDIR),
        _ => return Err(Errno::ENODEV),
    }
    let fixed = inode.access_attrs().mode;
    if fixed & IMMUTABLE != 0 || fixed & APPEND_ONLY != 0 && mode != M::KEEP_SIZE && !mode.is_empty() {
        return Err(Errno::EPERM);
    }
    let (off, len) = (off as u64, len as u64);
    let end = off + len;
    if end > MAX_FILE_SIZE {
        return Err(Errno::EFBIG);
    }
    let _guard = inode.common().lock.lock();
    if !mode.contains(M::KEEP_SIZE) && end > fsize_limit && end > inode.metadata().size {
        return Err(Errno::EFBIG);
    }
    inode.fallocate(mode, off, len)?;
    strip_privileges(inode, keep_setid)
}

/// The write access of an open file description (`ETXTBSY` while the file executes), given back on
/// drop. Regular files only.
pub struct WriteAccess(InodeRef);

impl WriteAccess {
    /// Counts an open for writing.
    pub fn get(inode: &InodeRef) -> SysResult<WriteAccess> {
        inode.common().get_write_access()?;
        Ok(WriteAccess(inode.clone()))
    }
}

impl core::fmt::Debug for WriteAccess {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WriteAccess(ino {})", self.0.metadata().ino)
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        self.0.common().put_write_access();
    }
}

/// The hold of an executing program on its file (`ETXTBSY` while it is open for writing), given
/// back on drop.
pub struct ExecAccess(InodeRef);

impl ExecAccess {
    /// Counts an execution.
    pub fn get(inode: &InodeRef) -> SysResult<ExecAccess> {
        inode.common().deny_write_access()?;
        Ok(ExecAccess(inode.clone()))
    }
}

impl Clone for ExecAccess {
    fn clone(&self) -> ExecAccess {
        // Already negative, so one more cannot be refused.
        let _ = self.0.common().deny_write_access();
        ExecAccess(self.0.clone())
    }
}

impl Drop for ExecAccess {
    fn drop(&mut self) {
        self.0.common().allow_write_access();
    }
}
