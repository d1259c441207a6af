//! `/proc/PID/task`, `/proc/PID/fd` and `/proc/PID/fdinfo`.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode, format as text};
use fs::{FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::task_dir::{self, Target, shown};
use super::{ino, parse_id};
use crate::files::OpenFile;

/// First of the inode numbers of the entries of each directory here.
const TASK: u32 = 0x200;
const FD: u32 = 0x1000_0000;
const FDINFO: u32 = 0x2000_0000;

struct Threads {
    dev: u64,
    target: Target,
}

/// `/proc/PID/task`.
pub fn threads(dev: u64, target: Target) -> InodeRef {
    PseudoNode::dynamic(NodeSpec::new(dev, 0o555).ino(ino(target.pid, TASK)), Threads { dev, target })
}

impl DirSource for Threads {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let tid = parse_id(name).ok_or(Errno::ENOENT)?;
        let process = self.target.process().map_err(|_| Errno::ENOENT)?;
        if !process.threads().iter().any(|t| t.tid() == tid) {
            return Err(Errno::ENOENT);
        }
        Ok(task_dir::node(self.dev, Target { pid: process.pid, tid, whole: false }))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let process = self.target.process().map_err(|_| Errno::ENOENT)?;
        let mut tids: Vec<i32> = process.threads().iter().map(|t| t.tid()).filter(|tid| *tid as u32 >= from).collect();
        tids.sort_unstable();
        Ok(tids
            .into_iter()
            .map(|tid| PseudoEntry {
                key: tid as u32,
                name: format!("{tid}").into_bytes(),
                ino: ino(tid, TASK + 1),
                file_type: FileType::Dir,
            })
            .collect())
    }
}

struct Descriptors {
    dev: u64,
    target: Target,
    /// `fdinfo`, not `fd`.
    infos: bool,
}

/// `/proc/PID/fd`: magic links to the open files.
pub fn descriptors(dev: u64, target: Target) -> InodeRef {
    let spec = NodeSpec::new(dev, 0o500).ino(ino(target.tid, FD));
    PseudoNode::dynamic(with_owner(spec, target), Descriptors { dev, target, infos: false })
}

/// `/proc/PID/fdinfo`.
pub fn descriptor_infos(dev: u64, target: Target) -> InodeRef {
    let spec = NodeSpec::new(dev, 0o555).ino(ino(target.tid, FDINFO));
    PseudoNode::dynamic(with_owner(spec, target), Descriptors { dev, target, infos: true })
}

fn with_owner(spec: NodeSpec, target: Target) -> NodeSpec {
    match target.task() {
        Ok(task) => {
            let creds = task.credentials();
            spec.owner(creds.euid, creds.egid)
        }
        Err(_) => spec,
    }
}

fn file(target: Target, fd: i32) -> SysResult<Arc<OpenFile>> {
    target.task().and_then(|t| t.files()).and_then(|files| files.get_any(fd)).map_err(|_| Errno::ENOENT)
}

impl DirSource for Descriptors {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let fd = parse_id(name).ok_or(Errno::ENOENT)?;
        let target = self.target;
        let open = file(target, fd)?;
        if self.infos {
            let spec = NodeSpec::new(self.dev, 0o444).ino(ino(target.tid, FDINFO + 1 + fd as u32));
            return Ok(PseudoNode::text(with_owner(spec, target), move || info(target, fd)));
        }
        let flags = open.flags();
        let mode = 0o100 | if flags.readable() { 0o400 } else { 0 } | if flags.writable() { 0o200 } else { 0 };
        let spec = NodeSpec::new(self.dev, mode).ino(ino(target.tid, FD + 1 + fd as u32));
        Ok(PseudoNode::magic(
            with_owner(spec, target),
            move || Ok(shown(&file(target, fd)?.path)),
            move || Ok(file(target, fd)?.path.clone()),
        ))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let files = self.target.task().and_then(|t| t.files()).map_err(|_| Errno::ENOENT)?;
        let (base, file_type) = if self.infos { (FDINFO, FileType::Regular) } else { (FD, FileType::Symlink) };
        Ok(files
            .open_fds()
            .into_iter()
            .filter(|fd| *fd as u32 >= from)
            .map(|fd| PseudoEntry {
                key: fd as u32,
                name: format!("{fd}").into_bytes(),
                ino: ino(self.target.tid, base + 1 + fd as u32),
                file_type,
            })
            .collect())
    }
}

/// `/proc/PID/fdinfo/N`.
fn info(target: Target, fd: i32) -> SysResult<Vec<u8>> {
    const CLOEXEC: u32 = 0o2000000;
    let files = target.task().and_then(|t| t.files()).map_err(|_| Errno::ENOENT)?;
    let open = files.get_any(fd).map_err(|_| Errno::ENOENT)?;
    let cloexec = if files.is_cloexec(fd).unwrap_or(false) { CLOEXEC } else { 0 };
    let mut out = text::fdinfo(&text::FdInfo {
        pos: open.position(),
        flags: open.flags().bits() | cloexec,
        mnt_id: open.path.mount.id,
        ino: open.inode.metadata().ino,
    });
    let mut more = String::new();
    open.ops.fdinfo(&open, &mut more);
    out.extend_from_slice(more.as_bytes());
    Ok(out)
}
