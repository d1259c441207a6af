//! Where a core file goes: into a file of the program's own, or to the host.

use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::namespace::OpenHow;
use fs::{FileType, OpenFlags};
use syscall_shim::{Errno, SysResult};

use crate::current;
use crate::namespace;
use crate::upcalls::above;
use fd::io::Source;
use fd::{OpenFile, with_fs};
use observe::host_link::frame::Outgoing;

/// Zeroes that are kept back, to be left out.
pub struct Output {
    target: Target,
    /// Bytes left out since the last that were written.
    hole: u64,
}

enum Target {
    File { file: Arc<OpenFile>, at: u64, room: u64 },
    Host,
}

/// What the host is told about the stream of [`Outgoing::Core`] frames.
pub mod mark {
    /// Then process id, thread id and signal (`u32` each), and the name of the thread.
    pub const BEGIN: u8 = 0;
    /// Then how many zero bytes follow (`u64`).
    pub const HOLE: u8 = 1;
    /// Then 1 if the file is whole, 0 if not.
    pub const END: u8 = 2;
    /// Then the id (`u32`) of a process that was asked for one and is not there.
    pub const NO_PROCESS: u8 = 3;
}

impl Output {
    /// A file named `name`, of at most `limit` bytes, in place of one that is there. `EPERM` where
    /// it does not come out as the process's own.
    pub fn file(name: &[u8], limit: u64) -> SysResult<Self> {
        let flags = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::RDWR | OpenFlags::NOFOLLOW;
        let how = OpenHow { flags, mode: 0o600, ..OpenHow::default() };
        // Whatever keeps it there will keep the new one from being created.
        let _ = with_fs(|ctx| namespace().unlink(ctx, None, name));
        let opened = with_fs(|ctx| namespace().open(ctx, None, name, &how))?;
        let about = opened.inode.metadata();
        let owner = current().credentials().fsuid;
        if opened.inode.file_type() != FileType::Regular || about.nlink > 1 || about.uid != owner {
            return Err(Errno::EPERM);
        }
        let file = above().open(opened, flags)?;
        Ok(Self { target: Target::File { file, at: 0, room: limit }, hole: 0 })
    }

    /// The host tool.
    pub fn host(pid: i32, tid: i32, signal: u32, comm: &[u8]) -> Self {
        let mut begin: Vec<u8> = Vec::from([mark::BEGIN]);
        begin.extend([pid as u32, tid as u32, signal].iter().flat_map(|word| word.to_le_bytes()));
        begin.extend(comm);
        above().send_to_host(Outgoing::CoreMark, &begin);
        Self { target: Target::Host, hole: 0 }
    }

    /// Writes bytes. `EFBIG` beyond the limit.
    pub fn put(&mut self, bytes: &[u8]) -> SysResult<()> {
        let hole = core::mem::take(&mut self.hole);
        match &mut self.target {
            Target::File { file, at, room } => {
                *at += hole;
                *room = room.checked_sub(bytes.len() as u64).ok_or(Errno::EFBIG)?;
                let written = file.write_at(*at, &mut Source::Kernel(bytes))?;
                *at += written as u64;
                if written < bytes.len() { Err(Errno::ENOSPC) } else { Ok(()) }
            }
            Target::Host => {
                if hole > 0 {
                    above().send_to_host(Outgoing::CoreMark, &[&[mark::HOLE][..], &hole.to_le_bytes()].concat());
                }
                above().send_to_host(Outgoing::Core, bytes);
                Ok(())
            }
        }
    }

    /// Leaves bytes out, which read as zeroes.
    pub fn skip(&mut self, bytes: u64) {
        self.hole += bytes;
    }

    /// The end; `whole` unless something failed.
    pub fn finish(mut self, whole: bool) -> SysResult<()> {
        let hole = core::mem::take(&mut self.hole);
        match &self.target {
            Target::File { file, at, .. } if hole > 0 => fs::file::truncate(&file.inode, at + hole, u64::MAX, false),
            Target::File { .. } => Ok(()),
            Target::Host => {
                if hole > 0 {
                    above().send_to_host(Outgoing::CoreMark, &[&[mark::HOLE][..], &hole.to_le_bytes()].concat());
                }
                above().send_to_host(Outgoing::CoreMark, &[mark::END, u8::from(whole)]);
                Ok(())
            }
        }
    }
}
