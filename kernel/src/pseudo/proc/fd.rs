//! /proc/PID/fd and fdinfo.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, PseudoEntry, PseudoNode, format};
use fs::{FileType, InodeRef, OpenFlags};
use syscall_shim::{Errno, SysResult};

use super::target::{Class, Target};
use super::{access, number};
use fd::{FdTable, OpenFile, locks};

fn table(target: &Target) -> SysResult<Arc<FdTable>> {
    target.task().and_then(|task| task.files()).map_err(|_| Errno::ENOENT)
}

fn file(target: &Target, fd: i32) -> SysResult<Arc<OpenFile>> {
    table(target)?.get_any(fd).map_err(|_| Errno::ENOENT)
}

fn list(target: &Target, class: Class, from: u32, file_type: FileType) -> SysResult<Vec<PseudoEntry>> {
    target.process().map_err(|_| Errno::ENOENT)?;
    target.check_access()?;
    let entry = |fd: i32| PseudoEntry {
        key: fd as u32,
        name: fd.to_string().into_bytes(),
        ino: target.ino(class, fd as u32),
        file_type,
    };
    // A zombie has none.
    let open = table(target).map(|table| table.open_fds()).unwrap_or_default();
    Ok(open.into_iter().filter(|fd| *fd as u32 >= from).map(entry).collect())
}

/// `fd`: links to what the descriptors refer to.
pub struct Descriptors(pub Target);

impl DirSource for Descriptors {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let fd = number(name)?;
        self.0.check_access()?;
        let open = file(&self.0, fd)?;
        // The owner's permission bits tell how the descriptor may be used.
        let flags = open.flags();
        let readable = flags.readable() && !open.is_path();
        let writable = flags.writable() && !open.is_path();
        let mode = 0o100 | if readable { 0o400 } else { 0 } | if writable { 0o200 } else { 0 };
        let (first, second) = (self.0.clone(), self.0.clone());
        Ok(PseudoNode::magic(
            self.0.spec(Class::Fd, fd as u32, mode),
            move || access::shown(&file(&first, fd)?.path),
            move || {
                second.check_access()?;
                Ok(file(&second, fd)?.path.clone())
            },
        ))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        list(&self.0, Class::Fd, from, FileType::Symlink)
    }

    fn is_own(&self) -> bool {
        self.0.is_own()
    }
}

/// `fdinfo`: position, flags, and what the kind of file adds.
pub struct Infos(pub Target);

impl DirSource for Infos {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let fd = number(name)?;
        self.0.check_access()?;
        file(&self.0, fd)?;
        let target = self.0.clone();
        Ok(PseudoNode::text(self.0.spec(Class::FdInfo, fd as u32, 0o444), move || info(&target, fd)))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        list(&self.0, Class::FdInfo, from, FileType::Regular)
    }

    fn is_own(&self) -> bool {
        self.0.is_own()
    }
}

fn info(target: &Target, fd: i32) -> SysResult<Vec<u8>> {
    let table = table(target)?;
    let file = table.get_any(fd).map_err(|_| Errno::ENOENT)?;
    let mut flags = file.flags();
    if table.is_cloexec(fd).unwrap_or(false) {
        flags |= OpenFlags::CLOEXEC;
    }
    let mut text = format::fdinfo(&format::FdInfo {
        pos: file.position_now(),
        flags: flags.bits(),
        mnt_id: file.path.mount.id,
        ino: file.inode.metadata().ino,
    });
    for line in format::locks(&locks::list(&file.inode)).split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(b"lock:\t");
        text.extend_from_slice(line);
    }
    let mut more = String::new();
    file.ops.fdinfo(&file, &mut more);
    text.extend(more.into_bytes());
    Ok(text)
}
