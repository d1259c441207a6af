//! /proc.
//!
//! [`pid`] has the directory of a process and its table of files; [`system`], [`sys`] and [`net`]
//! have the rest.

mod access;
mod attributes;
mod config;
mod fd;
mod kernel;
mod map_files;
mod map_query;
mod memory;
mod mount_table;
mod net;
mod ns;
mod pid;
mod schedule;
mod stack;
mod status;
mod sys;
mod system;
mod sysvipc;
mod target;
mod usage;

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use fs::pseudo::{DirSource, NodeSpec, PROC_MAGIC, PseudoEntry, PseudoFs, PseudoNode};
use fs::{FileSystem, FileType, InodeRef};
use syscall_shim::{Errno, SysResult};

use target::{Class, Target};
use task::{current, table};

pub use ns::{is_user as is_user_namespace, open as open_namespace};
pub use pid::process_of_directory;
pub use system::memory_info;
pub use usage::busy_time;

/// The inode number of procfs's root (`PROC_ROOT_INO`).
const ROOT_INO: u64 = 1;

/// A procfs.
pub fn file_system() -> Arc<dyn FileSystem> {
    PseudoFs::new("proc", PROC_MAGIC, |dev| {
        let root = PseudoNode::dynamic(NodeSpec::new(dev, 0o555).ino(ROOT_INO), Processes { dev });
        let link = |name, text: fn() -> SysResult<Vec<u8>>| {
            root.insert(name, PseudoNode::link(NodeSpec::new(dev, 0o777), text));
        };
        link("self", || Ok(current().process.pid.to_string().into_bytes()));
        link("thread-self", || Ok(alloc::format!("{}/task/{}", current().process.pid, current().tid()).into_bytes()));
        link("mounts", || Ok(b"self/mounts".to_vec()));
        link("net", || Ok(b"self/net".to_vec()));
        system::fill(&root, dev);
        sys::fill(&root, dev);
        root
    })
}

/// A number as the kernel writes it: no sign, no leading zero. `ENOENT`.
fn number(name: &[u8]) -> SysResult<i32> {
    let text = core::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
    if text.len() > 1 && text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Errno::ENOENT);
    }
    text.parse().map_err(|_| Errno::ENOENT)
}

/// `/proc/PID`.
struct Processes {
    dev: u64,
}

impl DirSource for Processes {
    /// Any thread's id works as a name, though only processes are listed (proc(5)).
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let id = number(name)?;
        let pid = match table::process(id) {
            Some(_) => id,
            None => table::task(id).ok_or(Errno::ENOENT)?.process.pid,
        };
        Ok(pid::directory(Target::process_of(self.dev, pid)?))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let processes = i32::try_from(from).into_iter().flat_map(table::processes_from);
        let entry = |process: Arc<task::Process>| {
            let target = Target::process_of(self.dev, process.pid).ok()?;
            Some(PseudoEntry {
                key: process.pid as u32,
                name: process.pid.to_string().into_bytes(),
                ino: target.ino(Class::Process, 0),
                file_type: FileType::Dir,
            })
        };
        Ok(processes.filter_map(entry).collect())
    }
}
