//! Where the bytes of a transfer come from and go to.
//!
//! An open file reads into a [`Sink`] and writes from a [`Source`], and so need not know whether
//! the other side is one buffer of the application, a vector of them, or a buffer of the kernel
//! (sendfile(2), splice(2), `#!` lines). No spin lock may be held while bytes move: application
//! memory may fault.

use alloc::vec;
use alloc::vec::Vec;
use fs::{PAGE_SIZE, PageRef};
use syscall_shim::types::Iovec;
use syscall_shim::{Errno, SysResult};

use usermem::UserAddr;
use usermem::page::{page_from_user, page_to_user};

/// The most bytes that one call transfers (`MAX_RW_COUNT`).
pub const MAX_RW_COUNT: usize = 0x7fff_f000;
/// The most segments of one call (`UIO_MAXIOV`).
pub const IOV_MAX: usize = 1024;

/// Buffers of the application, walked from the first byte to the last.
#[derive(Default)]
pub struct Segments {
    at: UserAddr,
    /// Bytes left of the segment at `at`.
    left: usize,
    rest: vec::IntoIter<Iovec>,
    /// Bytes left in all.
    total: usize,
}

impl Segments {
    /// Bytes left in all.
    pub fn remaining(&self) -> usize {
        self.total
    }

    /// One buffer.
    pub fn one(at: UserAddr, len: usize) -> SysResult<Segments> {
        let len = len.min(MAX_RW_COUNT);
        if !at.range_ok(len) {
            return Err(Errno::EFAULT);
        }
        Ok(Segments { at, left: len, rest: Vec::new().into_iter(), total: len })
    }

    /// The vector of readv(2): `EINVAL` for a bad count or a negative length, `EFAULT` for
    /// addresses outside the application.
    pub fn from_iovec(vector: UserAddr, count: usize) -> SysResult<Segments> {
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut list = vector.cast::<Iovec>().read_vec(count)?;
        let mut total = 0usize;
        for iov in &mut list {
            if iov.iov_len > isize::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            if !UserAddr(iov.iov_base).range_ok(iov.iov_len as usize) {
                return Err(Errno::EFAULT);
            }
            iov.iov_len = iov.iov_len.min((MAX_RW_COUNT - total) as u64);
            total += iov.iov_len as usize;
        }
        Ok(Segments { at: UserAddr(0), left: 0, rest: list.into_iter(), total })
    }

    /// Bytes of the next piece, up to the end of its page.
    pub fn in_page(&mut self) -> usize {
        while self.left == 0 && self.total > 0 {
            let Some(next) = self.rest.next() else { return 0 };
            (self.at, self.left) = (UserAddr(next.iov_base), next.iov_len as usize);
        }
        let to_end = PAGE_SIZE - self.at.0 as usize % PAGE_SIZE;
        self.left.min(self.total).min(to_end)
    }

    /// Copies `n` bytes into `off` of a page, and tells how many arrived.
    pub fn take_page(&mut self, page: &PageRef, off: usize, n: usize) -> usize {
        self.advance(n, |at, done, n| page_from_user(page, off + done, at, n))
    }

    /// Offers the next piece of at most `want` bytes to `copy`, which answers how many it moved,
    /// until `want` bytes are done or a piece falls short.
    fn advance(&mut self, want: usize, mut copy: impl FnMut(UserAddr, usize, usize) -> usize) -> usize {
        let want = want.min(self.total);
        let mut done = 0;
        while done < want {
            if self.left == 0 {
                let Some(next) = self.rest.next() else { break };
                (self.at, self.left) = (UserAddr(next.iov_base), next.iov_len as usize);
                continue;
            }
            let n = self.left.min(want - done);
            let moved = copy(self.at, done, n);
            self.at = self.at.add(moved as u64);
            self.left -= moved;
            self.total -= moved;
            done += moved;
            if moved < n {
                break;
            }
        }
        done
    }
}

/// Where a read puts its bytes.
pub enum Sink<'a> {
    /// Buffers of the application.
    User(Segments),
    /// A buffer of the kernel, filled from the front: the rest of it.
    Kernel(&'a mut [u8]),
}

/// Where a write takes its bytes from.
pub enum Source<'a> {
    /// Buffers of the application.
    User(Segments),
    /// A buffer of the kernel: the rest of it.
    Kernel(&'a [u8]),
}

/// `EFAULT` when nothing moved although something should have.
fn moved(done: usize, want: usize) -> SysResult<usize> {
    if done == 0 && want > 0 { Err(Errno::EFAULT) } else { Ok(done) }
}

impl Sink<'_> {
    /// One buffer of the application.
    pub fn user(at: UserAddr, len: usize) -> SysResult<Sink<'static>> {
        Segments::one(at, len).map(Sink::User)
    }

    /// Bytes that there is still room for.
    pub fn remaining(&self) -> usize {
        match self {
            Sink::User(segments) => segments.total,
            Sink::Kernel(buffer) => buffer.len(),
        }
    }

    /// Puts as much of `bytes` as there is room for. `EFAULT` if that is nothing because of a bad
    /// address.
    pub fn put(&mut self, bytes: &[u8]) -> SysResult<usize> {
        let want = bytes.len().min(self.remaining());
        match self {
            Sink::User(segments) => moved(
                segments.advance(want, |at, done, n| match bytes.get(done..done + n) {
                    Some(piece) => usermem::copy_out_partial(at, piece),
                    None => 0,
                }),
                want,
            ),
            Sink::Kernel(buffer) => {
                let (head, tail) = core::mem::take(buffer).split_at_mut(want);
                head.copy_from_slice(bytes.get(..want).unwrap_or_default());
                *buffer = tail;
                Ok(want)
            }
        }
    }

    /// Puts `n` bytes from `off` of a page; `None` is a page of zeros. The form that
    /// [`fs::Mapping::read`] calls.
    pub fn put_page(&mut self, page: Option<&PageRef>, off: usize, n: usize) -> SysResult<usize> {
        let want = n.min(self.remaining());
        match (self, page) {
            (Sink::User(segments), Some(page)) => {
                moved(segments.advance(want, |at, done, n| page_to_user(at, page, off + done, n)), want)
            }
            (Sink::User(segments), None) => moved(segments.advance(want, |at, _, n| usermem::zero_partial(at, n)), want),
            (Sink::Kernel(buffer), page) => {
                let (head, tail) = core::mem::take(buffer).split_at_mut(want);
                match page {
                    Some(page) => {
                        page.read(off, head);
                    }
                    None => head.fill(0),
                }
                *buffer = tail;
                Ok(want)
            }
        }
    }

    /// Leaves the next `n` bytes as they are.
    pub fn skip(&mut self, n: usize) {
        match self {
            Sink::User(segments) => {
                segments.advance(n, |_, _, n| n);
            }
            Sink::Kernel(buffer) => {
                let n = n.min(buffer.len());
                *buffer = core::mem::take(buffer).split_at_mut(n).1;
            }
        }
    }

    /// Puts `n` zeros.
    pub fn put_zeros(&mut self, n: usize) -> SysResult<usize> {
        self.put_page(None, 0, n)
    }
}

impl Source<'_> {
    /// One buffer of the application.
    pub fn user(at: UserAddr, len: usize) -> SysResult<Source<'static>> {
        Segments::one(at, len).map(Source::User)
    }

    /// Bytes still to come.
    pub fn remaining(&self) -> usize {
        match self {
            Source::User(segments) => segments.total,
            Source::Kernel(buffer) => buffer.len(),
        }
    }

    /// Takes as many bytes as `buffer` has room for. `EFAULT` if that is nothing because of a bad
    /// address.
    pub fn take(&mut self, buffer: &mut [u8]) -> SysResult<usize> {
        let want = buffer.len().min(self.remaining());
        match self {
            Source::User(segments) => moved(
                segments.advance(want, |at, done, n| match buffer.get_mut(done..done + n) {
                    Some(piece) => usermem::copy_in_partial(piece, at),
                    None => 0,
                }),
                want,
            ),
            Source::Kernel(bytes) => {
                let (head, tail) = bytes.split_at(want);
                if let Some(room) = buffer.get_mut(..want) {
                    room.copy_from_slice(head);
                }
                *bytes = tail;
                Ok(want)
            }
        }
    }

    /// Takes `n` bytes into `off` of a page. The form that [`fs::Mapping::write`] calls.
    pub fn take_page(&mut self, page: &PageRef, off: usize, n: usize) -> SysResult<usize> {
        let want = n.min(self.remaining());
        match self {
            Source::User(segments) => moved(segments.take_page(page, off, want), want),
            Source::Kernel(bytes) => {
                let (head, tail) = bytes.split_at(want);
                page.write(off, head);
                *bytes = tail;
                Ok(want)
            }
        }
    }

    /// Takes all that is left into a buffer of the kernel of at most `limit` bytes; `EMSGSIZE`
    /// beyond.
    pub fn take_all(&mut self, limit: usize) -> SysResult<Vec<u8>> {
        let len = self.remaining();
        if len > limit {
            return Err(Errno::EMSGSIZE);
        }
        caller::check_memory()?;
        let mut out = usermem::buffer(len)?;
        if self.take(&mut out)? < len { Err(Errno::EFAULT) } else { Ok(out) }
    }

    /// Leaves out the next `n` bytes.
    pub fn skip(&mut self, n: usize) {
        match self {
            Source::User(segments) => {
                segments.advance(n, |_, _, n| n);
            }
            Source::Kernel(bytes) => *bytes = bytes.get(n..).unwrap_or_default(),
        }
    }
}

/// A buffer of up to `want` bytes: where memory is short or in pieces, of fewer, but a page at
/// least. `ENOMEM` without even that.
pub fn chunk_buffer(want: usize) -> SysResult<Vec<u8>> {
    let mut len = want;
    let mut out = Vec::new();
    while out.try_reserve_exact(len).is_err() {
        if len <= PAGE_SIZE {
            return Err(Errno::ENOMEM);
        }
        len = (len / 2).max(PAGE_SIZE);
    }
    out.resize(len, 0);
    Ok(out)
}

/// Moves a value through a sink whole: read(2) of an eventfd, timerfd, inotify and their like.
/// `EFAULT` when not all of it arrives.
pub fn put_all(to: &mut Sink<'_>, bytes: &[u8]) -> SysResult<()> {
    if to.put(bytes)? == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
}
