//! The standard descriptors of the first process: what they are on the host.

use alloc::sync::Arc;
use core::any::Any;

use fs::OpenFlags;
use fs::namespace::OpenHow;
use syscall_shim::SysResult;

use super::io::{Sink, Source};
use super::{FileOps, OpenFile, with_fs};
use crate::channel;
use crate::channel::frame::Outgoing;
use crate::task::current;
use crate::vfs::namespace;

struct Output;

impl FileOps for Output {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn read(&self, _file: &OpenFile, _to: &mut Sink<'_>) -> SysResult<usize> {
        Ok(0)
    }
    fn write(&self, _file: &OpenFile, from: &mut Source<'_>) -> SysResult<usize> {
        let mut done = 0;
        let mut bytes = [0; 512];
        while from.remaining() > 0 {
            let n = from.take(&mut bytes)?;
            channel::write_all(Outgoing::Tty, bytes.get(..n).unwrap_or_default());
            done += n;
        }
        Ok(done)
    }
}

/// Opens a terminal device by number.
pub fn open_terminal(_rdev: u64, _flags: OpenFlags) -> SysResult<Arc<dyn FileOps>> {
    Ok(Arc::new(Output))
}

/// Opens descriptors 0, 1 and 2 of the first process.
pub fn open_standard_files() -> SysResult<()> {
    let table = current().files()?;
    let how = OpenHow { flags: OpenFlags::RDWR, ..OpenHow::default() };
    let opened = with_fs(|ctx| namespace().open(ctx, None, b"/dev/console", &how))?;
    let console = super::open::open(opened, OpenFlags::RDWR)?;
    for _ in 0..3 {
        table.insert(console.clone(), false)?;
    }
    Ok(())
}
