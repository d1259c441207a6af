//! procfs (proc(5)): a directory for each process, and the files about the system as a whole.

mod fds;
mod memory;
mod status;
mod sysctl;
mod system;
mod task_dir;

use alloc::format;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode};
use fs::{FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use super::Tree;
use crate::task::{current, table};
use task_dir::Target;

/// The inode number of entry `kind` of task `id`: the same at each lookup.
fn ino(id: i32, kind: u32) -> u64 {
    (id as u64) << 32 | u64::from(kind)
}

/// A number as a name, without sign or leading zeros.
fn parse_id(name: &[u8]) -> Option<i32> {
    let text = core::str::from_utf8(name).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// `/proc/PID` for every process. A thread's id leads to its process's files too, as on Linux, but is not listed.
struct Processes {
    dev: u64,
}

impl DirSource for Processes {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let id = parse_id(name).ok_or(Errno::ENOENT)?;
        let pid = match table::process(id) {
            Some(process) => process.pid,
            None => table::task(id).ok_or(Errno::ENOENT)?.process.pid,
        };
        Ok(task_dir::node(self.dev, Target { pid, tid: id, whole: true }))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let pids = table::processes().into_iter().map(|p| p.pid).filter(|pid| *pid > 0 && *pid as u32 >= from);
        Ok(pids
            .map(|pid| PseudoEntry {
                key: pid as u32,
                name: format!("{pid}").into_bytes(),
                ino: ino(pid, task_dir::DIRECTORY),
                file_type: FileType::Dir,
            })
            .collect())
    }
}

/// The root directory.
pub(super) fn root(dev: u64) -> InodeRef {
    let root = PseudoNode::dynamic(NodeSpec::new(dev, 0o555), Processes { dev });
    let tree = Tree { dev, root };
    let own_pid = || Ok(format!("{}", current().process.pid).into_bytes());
    tree.put("self", PseudoNode::link(NodeSpec::new(dev, 0o777), own_pid));
    let own_tid = || Ok(format!("{}/task/{}", current().process.pid, current().tid()).into_bytes());
    tree.put("thread-self", PseudoNode::link(NodeSpec::new(dev, 0o777), own_tid));
    tree.link("mounts", "self/mounts");
    tree.link("net", "self/net");
    system::add(&tree);
    sysctl::add(&tree);
    tree.root
}
