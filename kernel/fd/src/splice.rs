//! Bytes from one open file to another without a detour through the application.
//!
//! Between a file with a page cache and a pipe the pages themselves move, by reference; everything
//! else goes through a buffer of the kernel.

use alloc::sync::Arc;

use fs::inode::same_inode;
use fs::{FileType, MAX_FILE_SIZE, OpenFlags, PAGE_SIZE};
use syscall_shim::{Errno, SysResult};

use crate::io::{self, Segments, Sink, Source};
use crate::pipe::{Buffer, Pipe, PipeEnd};
use crate::regular::{checked_size, file_size_limit};
use crate::{OpenFile, events};

/// Bytes moved at once.
const CHUNK: usize = 64 * 1024;

/// Where in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At the file's position, which moves.
    Position,
    /// At an offset; the position stays.
    At(u64),
}

impl Place {
    fn after(self, n: usize) -> Place {
        match self {
            Place::Position => Place::Position,
            Place::At(pos) => Place::At(pos + n as u64),
        }
    }
}

fn read(file: &OpenFile, place: Place, buffer: &mut [u8]) -> SysResult<usize> {
    let mut to = Sink::Kernel(buffer);
    match place {
        Place::Position => file.read(&mut to),
        Place::At(pos) => file.read_at(pos, &mut to),
    }
}

fn write(file: &OpenFile, place: Place, bytes: &[u8]) -> SysResult<usize> {
    let mut from = Source::Kernel(bytes);
    match place {
        Place::Position => file.write(&mut from),
        Place::At(pos) => file.write_at(pos, &mut from),
    }
}

/// Copies up to `count` bytes; fewer at the end of the source or when the target takes no more.
/// What was read and not taken is put back by moving the source's position.
pub fn copy(from: &OpenFile, mut source: Place, to: &OpenFile, mut target: Place, count: usize) -> SysResult<usize> {
    let mut bytes = io::chunk_buffer(count.min(CHUNK))?;
    let mut done = 0;
    while done < count {
        let want = (count - done).min(bytes.len());
        let room = bytes.get_mut(..want).ok_or(Errno::EINVAL)?;
        let step = read(from, source, room).and_then(|n| {
            if n == 0 {
                return Ok((0, 0));
            }
            let written = write(to, target, room.get(..n).unwrap_or_default());
            let taken = written.unwrap_or(0);
            if taken < n && source == Place::Position && from.ops.seekable() {
                from.with_position(|pos| *pos = pos.saturating_sub((n - taken) as u64));
            }
            written.map(|taken| (n, taken))
        });
        match step {
            Ok((0, _)) => break,
            Ok((read, taken)) => {
                done += taken;
                source = source.after(taken);
                target = target.after(taken);
                // A file that is copied behind itself goes on for long: whoever is killed does not.
                if taken < read || caller::is_dying() {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Whether there is nothing to read at a place of a file with positions.
pub fn is_at_end(from: &OpenFile, source: Place) -> SysResult<bool> {
    let pos = match source {
        Place::Position => from.position(),
        Place::At(pos) => pos,
    };
    from.ops.read_at(from, pos, &mut Sink::Kernel(&mut [0])).map(|n| n == 0)
}

/// What copy_file_range(2) asks of its files.
pub fn check_copy(from: &OpenFile, to: &OpenFile) -> SysResult<()> {
    if [from, to].iter().any(|file| file.inode.file_type() == FileType::Dir) {
        return Err(Errno::EISDIR);
    }
    for file in [from, to] {
        match file.inode.file_type() {
            // Not what has no inode of its own.
            FileType::Regular if file.ops.seekable() => {}
            _ => return Err(Errno::EINVAL),
        }
    }
    from.check_readable()?;
    to.check_writable()?;
    if to.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    // No file system here copies between two.
    let same = Arc::ptr_eq(&from.path.mount.fs, &to.path.mount.fs);
    if same { Ok(()) } else { Err(Errno::EXDEV) }
}

/// The part of `generic_copy_file_checks` that looks at places; answers how many bytes there are to
/// copy. `EINVAL` when source and target are one file and the ranges overlap, `EOVERFLOW`, `EINVAL`
/// and `EFBIG` for places that no file has.
pub fn check_range(from: &OpenFile, source: Place, to: &OpenFile, target: Place, count: usize) -> SysResult<usize> {
    let start = |file: &OpenFile, place| match place {
        Place::Position => file.position(),
        Place::At(pos) => pos,
    };
    let (a, b) = (start(from, source), start(to, target));
    if [a, b].iter().any(|pos| pos.checked_add(count as u64).is_none()) {
        return Err(Errno::EOVERFLOW);
    }
    if a > MAX_FILE_SIZE || b > MAX_FILE_SIZE {
        return Err(Errno::EINVAL);
    }
    let n = (count as u64).min(from.inode.metadata().size.saturating_sub(a));
    if b >= file_size_limit().min(MAX_FILE_SIZE) {
        return checked_size(Err(Errno::EFBIG));
    }
    if same_inode(&from.inode, &to.inode) && a < b.saturating_add(n) && b < a.saturating_add(n) {
        return Err(Errno::EINVAL);
    }
    Ok(n as usize)
}

/// splice(2): one side at least is a pipe.
pub fn splice(
    from: &Arc<OpenFile>,
    source: Place,
    to: &Arc<OpenFile>,
    target: Place,
    count: usize,
    nonblock: bool,
) -> SysResult<usize> {
    match (from.ops_as::<PipeEnd>(), to.ops_as::<PipeEnd>()) {
        (Some(a), Some(b)) => {
            if core::ptr::eq(a.pipe(), b.pipe()) {
                return Err(Errno::EINVAL);
            }
            move_buffers(a.pipe(), b.pipe(), count, nonblock || from.nonblocking() || to.nonblocking())
        }
        (Some(a), None) => pipe_to_file(a.pipe(), to, target, count, nonblock || from.nonblocking()),
        (None, Some(b)) => file_to_pipe(from, source, b.pipe(), count, nonblock || to.nonblocking()),
        (None, None) => Err(Errno::EINVAL),
    }
}

/// A wake-up reaches one of those who sleep for bytes: who leaves some sends for the next.
fn pass_on(pipe: &Pipe) {
    if !pipe.is_empty() {
        pipe.wake_readers();
    }
}

/// Waits for bytes; false at the end of the stream.
fn await_bytes(pipe: &Pipe, nonblock: bool) -> SysResult<bool> {
    while pipe.is_empty() {
        if pipe.no_writers() {
            return Ok(false);
        }
        pipe.wait_readable(nonblock)?;
    }
    Ok(true)
}

/// Waits for a free buffer; `EPIPE` and `SIGPIPE` without a reader.
fn await_room(pipe: &Pipe, nonblock: bool) -> SysResult<()> {
    loop {
        if pipe.no_readers() {
            events::broken_pipe();
            return Err(Errno::EPIPE);
        }
        if pipe.room() > 0 {
            return Ok(());
        }
        pipe.wait_writable(nonblock)?;
    }
}

/// Takes the first buffer, or `limit` bytes of it.
fn take_buffer(pipe: &Pipe, limit: usize) -> Option<Buffer> {
    let mut ring = pipe.ring.lock();
    let front = ring.buffers.front_mut()?;
    let taken = if front.len <= limit {
        ring.buffers.pop_front()
    } else {
        let part = Buffer { len: limit, own: false, ..front.clone() };
        front.off += limit;
        front.len -= limit;
        Some(part)
    };
    pipe.publish(&ring);
    drop(ring);
    pipe.wake_writers();
    taken
}

/// Puts what was not used back in front.
fn put_back(pipe: &Pipe, buffer: Buffer) {
    let mut ring = pipe.ring.lock();
    ring.buffers.push_front(buffer);
    pipe.publish(&ring);
    drop(ring);
    pipe.wake_readers();
}

/// Appends a buffer if there is room.
fn push_buffer(pipe: &Pipe, buffer: Buffer) -> Result<(), Buffer> {
    let mut ring = pipe.ring.lock();
    if pipe.room() == 0 {
        return Err(buffer);
    }
    ring.buffers.push_back(buffer);
    pipe.publish(&ring);
    drop(ring);
    pipe.wake_readers();
    Ok(())
}

fn move_buffers(from: &Pipe, to: &Pipe, count: usize, nonblock: bool) -> SysResult<usize> {
    if !await_bytes(from, nonblock)? {
        return Ok(0);
    }
    await_room(to, nonblock)?;
    let mut done = 0;
    while done < count && to.room() > 0 {
        let Some(buffer) = take_buffer(from, count - done) else { break };
        let len = buffer.len;
        // A page that two pipes know is nobody's to write behind.
        if let Err(buffer) = push_buffer(to, Buffer { own: false, ..buffer }) {
            put_back(from, buffer);
            break;
        }
        done += len;
    }
    pass_on(from);
    Ok(done)
}

fn pipe_to_file(pipe: &Pipe, to: &OpenFile, mut target: Place, count: usize, nonblock: bool) -> SysResult<usize> {
    if to.flags().contains(OpenFlags::APPEND) || !takes(to) {
        return Err(Errno::EINVAL);
    }
    if !await_bytes(pipe, nonblock)? {
        return Ok(0);
    }
    let mut done = 0;
    let mut bytes = [0; PAGE_SIZE];
    while done < count {
        let Some(mut buffer) = take_buffer(pipe, count - done) else { break };
        let n = buffer.page.read(buffer.off, bytes.get_mut(..buffer.len).unwrap_or_default());
        let written = write(to, target, bytes.get(..n).unwrap_or_default());
        let taken = written.unwrap_or(0);
        done += taken;
        target = target.after(taken);
        if taken < buffer.len {
            buffer.off += taken;
            buffer.len -= taken;
            put_back(pipe, buffer);
            match written {
                Err(e) if done == 0 => return Err(e),
                _ => break,
            }
        }
    }
    pass_on(pipe);
    Ok(done)
}

/// An eventfd and its like, which have neither a place nor pages.
fn is_event(file: &OpenFile) -> bool {
    let plain = file.inode.file_type() == FileType::Regular && file.inode.mapping().is_none();
    plain && file.path.dentry.is_anonymous()
}

/// Whether splice(2) and sendfile(2) can write the file, a pipe's end aside.
pub fn takes(file: &OpenFile) -> bool {
    !is_event(file) && file.inode.file_type() != FileType::Dir && file.ops.splices().1
}

/// Whether splice(2) and sendfile(2) can read the file: not a pipe's end, a directory, or what has
/// neither a place nor pages.
pub fn gives(file: &OpenFile) -> bool {
    !is_event(file) && file.ops.splices().0 && file.ops_as::<PipeEnd>().is_none() && file.inode.file_type() != FileType::Dir
}

/// Fills a pipe from a file, as far as there is room. The pipe is looked at first, whatever the
/// file may be.
pub fn file_to_pipe(from: &OpenFile, source: Place, pipe: &Pipe, count: usize, nonblock: bool) -> SysResult<usize> {
    await_room(pipe, nonblock)?;
    if count == 0 {
        return Ok(0);
    }
    if !gives(from) {
        return Err(Errno::EINVAL);
    }
    if from.inode.mapping().is_none() || from.inode.file_type() != FileType::Regular {
        let room = (pipe.room() * PAGE_SIZE).min(count).min(CHUNK);
        let mut bytes = io::chunk_buffer(room)?;
        let n = read(from, source, &mut bytes)?;
        let bytes = bytes.get(..n).unwrap_or_default();
        for piece in bytes.chunks(PAGE_SIZE) {
            let page = fs::PageRef::alloc_buffer()?;
            page.write(0, piece);
            let whole = Buffer { page, off: 0, len: piece.len(), packet: false, own: true };
            if push_buffer(pipe, whole).is_err() {
                return Err(Errno::EAGAIN);
            }
        }
        return Ok(n);
    }
    let push_pages = |pos: u64| {
        fs::file::read(&from.inode, pos, count, &mut |page, off, n| {
            let page = match page {
                Some(page) => page.clone(),
                None => fs::PageRef::alloc_buffer()?,
            };
            let full = push_buffer(pipe, Buffer { page, off, len: n, packet: false, own: false }).is_err();
            Ok(if full { 0 } else { n })
        })
    };
    let n = match source {
        Place::At(pos) => push_pages(pos),
        Place::Position => from.with_position(|pos| {
            let n = push_pages(*pos)?;
            *pos += n as u64;
            Ok(n)
        }),
    }?;
    from.did_read(n);
    Ok(n)
}

/// tee(2): the same buffers in a second pipe.
pub fn tee(from: &PipeEnd, to: &PipeEnd, count: usize, nonblock: bool) -> SysResult<usize> {
    let (from, to) = (from.pipe(), to.pipe());
    if core::ptr::eq(from, to) {
        return Err(Errno::EINVAL);
    }
    if !await_bytes(from, nonblock)? {
        return Ok(0);
    }
    await_room(to, nonblock)?;
    let buffers: alloc::vec::Vec<Buffer> = {
        let mut ring = from.ring.lock();
        for buffer in &mut ring.buffers {
            buffer.own = false;
        }
        ring.buffers.iter().cloned().collect()
    };
    let mut done = 0;
    for buffer in buffers {
        let len = buffer.len.min(count - done);
        if len == 0 || push_buffer(to, Buffer { len, ..buffer }).is_err() {
            break;
        }
        done += len;
    }
    Ok(done)
}

/// vmsplice(2): application memory into the writing end, as far as there is room, or out of the
/// reading end.
pub fn vmsplice(file: &OpenFile, end: &PipeEnd, mut segments: Segments, nonblock: bool) -> SysResult<usize> {
    let pipe = end.pipe();
    if !file.flags().writable() {
        return end.read_bytes(&mut Sink::User(segments), nonblock || file.nonblocking());
    }
    if segments.in_page() == 0 {
        return Ok(0);
    }
    loop {
        await_room(pipe, nonblock)?;
        match pipe.put_pages(&mut segments) {
            // Somebody else was quicker.
            Ok(0) => {}
            result => {
                if pipe.room() > 0 {
                    pipe.wake_writers();
                }
                return result;
            }
        }
    }
}
