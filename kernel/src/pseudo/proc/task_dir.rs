//! `/proc/PID` and `/proc/PID/task/TID`: their entries, in one table.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use fs::pseudo::{DirSource, NodeSpec, PseudoEntry, PseudoNode, format};
use fs::{FileType, InodeRef, Path};
use syscall_shim::{Errno, SysResult};

use super::{fds, ino, memory, status};
use crate::task::{Process, Task, current, table};
use crate::vfs::namespace;

/// Number of the directory itself among a task's inodes; entries count from 1.
pub const DIRECTORY: u32 = 0;

/// Whose files: by number, so that an open file does not keep a process alive.
#[derive(Clone, Copy)]
pub struct Target {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// `/proc/PID`, not `/proc/PID/task/TID`.
    pub whole: bool,
}

impl Target {
    /// The process; `ESRCH` once it was waited for.
    pub fn process(&self) -> SysResult<Arc<Process>> {
        table::process(self.pid).ok_or(Errno::ESRCH)
    }

    /// The thread, or for a process whose first thread has ended another one; `ESRCH` when none is left.
    pub fn task(&self) -> SysResult<Arc<Task>> {
        let exact = table::task(self.tid);
        let any = || table::process(self.pid).filter(|_| self.whole).and_then(|p| p.threads().into_iter().next());
        exact.or_else(any).ok_or(Errno::ESRCH)
    }

    /// Effective ids, which own the files.
    fn owner(&self) -> (u32, u32) {
        self.task().map_or((0, 0), |task| {
            let creds = task.credentials();
            (creds.euid, creds.egid)
        })
    }
}

type Show = fn(&Target) -> SysResult<Vec<u8>>;

enum Kind {
    Text(Show),
    Control(Show, fn(&Target, &[u8]) -> SysResult<()>),
    Magic(fn(&Target) -> SysResult<Path>),
    Dir(fn(u64, Target) -> InodeRef),
    Custom(fn(u64, Target, NodeSpec) -> InodeRef),
}

struct Entry {
    name: &'static str,
    mode: u32,
    /// In `/proc/PID` only.
    whole_only: bool,
    kind: Kind,
}

const fn entry(name: &'static str, mode: u32, kind: Kind) -> Entry {
    Entry { name, mode, whole_only: false, kind }
}

const fn whole(name: &'static str, mode: u32, kind: Kind) -> Entry {
    Entry { name, mode, whole_only: true, kind }
}

static ENTRIES: &[Entry] = &[
    whole("task", 0o555, Kind::Dir(fds::threads)),
    entry("fd", 0o500, Kind::Dir(fds::descriptors)),
    entry("fdinfo", 0o555, Kind::Dir(fds::descriptor_infos)),
    entry("net", 0o555, Kind::Dir(net)),
    entry("environ", 0o400, Kind::Text(memory::environ)),
    entry("auxv", 0o400, Kind::Text(|t| Ok(format::auxv(&t.process()?.auxv.lock().clone())))),
    entry("status", 0o444, Kind::Text(status::status)),
    entry("personality", 0o400, Kind::Text(personality)),
    entry("limits", 0o444, Kind::Text(limits)),
    entry("comm", 0o644, Kind::Control(comm, set_comm)),
    entry("cmdline", 0o444, Kind::Text(memory::cmdline)),
    entry("stat", 0o444, Kind::Text(status::stat)),
    entry("statm", 0o444, Kind::Text(memory::statm)),
    entry("maps", 0o444, Kind::Text(memory::maps)),
    entry("mem", 0o600, Kind::Custom(memory::mem)),
    entry("cwd", 0o777, Kind::Magic(|t| Ok(t.task()?.fs().cwd()))),
    entry("root", 0o777, Kind::Magic(|t| Ok(t.task()?.fs().root()))),
    entry("exe", 0o777, Kind::Magic(|t| t.process()?.exe.lock().clone().ok_or(Errno::ENOENT))),
    entry("mounts", 0o444, Kind::Text(|t| Ok(format::mounts(&namespace().mount_lines(&t.task()?.fs().root()))))),
    entry("mountinfo", 0o444, Kind::Text(|t| Ok(format::mountinfo(&namespace().mount_lines(&t.task()?.fs().root()))))),
    entry("smaps", 0o444, Kind::Text(memory::smaps)),
    entry("smaps_rollup", 0o444, Kind::Text(memory::smaps_rollup)),
    entry("wchan", 0o444, Kind::Text(|t| t.task().map(|_| b"0".to_vec()))),
    entry("cgroup", 0o444, Kind::Text(|t| t.process().map(|_| format::cgroup_root()))),
    entry("oom_score", 0o444, Kind::Text(memory::oom_score)),
    entry("oom_adj", 0o644, Kind::Control(memory::oom_adj, memory::set_oom_adj)),
    entry("oom_score_adj", 0o644, Kind::Control(memory::oom_score_adj, memory::set_oom_score_adj)),
    entry("loginuid", 0o644, Kind::Text(|_| Ok(b"4294967295".to_vec()))),
    entry("sessionid", 0o444, Kind::Text(|_| Ok(b"4294967295".to_vec()))),
    whole("coredump_filter", 0o644, Kind::Text(|t| t.process().map(|_| b"00000033\n".to_vec()))),
    whole(
        "timerslack_ns",
        0o666,
        Kind::Text(|t| Ok(alloc::format!("{}\n", t.task()?.timer_slack.load(Ordering::Relaxed)).into_bytes())),
    ),
];

/// The directory of a task.
pub fn node(dev: u64, target: Target) -> InodeRef {
    let (uid, gid) = target.owner();
    let spec = NodeSpec::new(dev, 0o555).ino(ino(target.tid, DIRECTORY)).owner(uid, gid);
    PseudoNode::dynamic(spec, TaskDir { dev, target })
}

struct TaskDir {
    dev: u64,
    target: Target,
}

impl TaskDir {
    fn entries(&self) -> impl Iterator<Item = (u32, &'static Entry)> {
        let whole = self.target.whole;
        (1..).zip(ENTRIES).filter(move |(_, e)| whole || !e.whole_only)
    }

    /// A number that tells `/proc/PID/x` from `/proc/PID/task/PID/x`.
    fn ino(&self, key: u32) -> u64 {
        ino(self.target.tid, key + if self.target.whole { 0 } else { 0x100 })
    }
}

impl DirSource for TaskDir {
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        let (key, entry) = self.entries().find(|(_, e)| e.name.as_bytes() == name).ok_or(Errno::ENOENT)?;
        let (uid, gid) = self.target.owner();
        let spec = NodeSpec::new(self.dev, entry.mode).ino(self.ino(key)).owner(uid, gid);
        let target = self.target;
        Ok(match entry.kind {
            Kind::Text(show) => PseudoNode::text(spec, move || show(&target)),
            Kind::Control(show, set) => PseudoNode::control(spec, move || show(&target), move |bytes| set(&target, bytes)),
            Kind::Magic(place) => PseudoNode::magic(spec, move || Ok(shown(&place(&target)?)), move || place(&target)),
            Kind::Dir(make) => make(self.dev, target),
            Kind::Custom(make) => make(self.dev, target, spec),
        })
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        self.target.process().map_err(|_| Errno::ENOENT)?;
        Ok(self
            .entries()
            .filter(|(key, _)| *key >= from)
            .map(|(key, e)| {
                let file_type = match e.kind {
                    Kind::Magic(_) => FileType::Symlink,
                    Kind::Dir(_) => FileType::Dir,
                    _ => FileType::Regular,
                };
                PseudoEntry { key, name: e.name.as_bytes().to_vec(), ino: self.ino(key), file_type }
            })
            .collect())
    }
}

/// A place as a magic link shows it to the caller.
pub fn shown(path: &Path) -> Vec<u8> {
    path.display(&current().fs().root())
}

fn personality(t: &Target) -> SysResult<Vec<u8>> {
    Ok(alloc::format!("{:08x}\n", t.process()?.personality.load(Ordering::Relaxed)).into_bytes())
}

fn limits(t: &Target) -> SysResult<Vec<u8>> {
    let limits = *t.process()?.rlimits.lock();
    Ok(format::limits(&limits.map(|l| format::Limit { soft: l.soft, hard: l.hard })))
}

fn comm(t: &Target) -> SysResult<Vec<u8>> {
    let mut name: String = t.task()?.name();
    name.push('\n');
    Ok(name.into_bytes())
}

/// Only threads of the caller's own process may be renamed.
fn set_comm(t: &Target, bytes: &[u8]) -> SysResult<()> {
    let task = t.task()?;
    if task.process.pid != current().process.pid {
        return Err(Errno::EINVAL);
    }
    task.set_name(bytes.split(|b| *b == b'\n').next().unwrap_or_default());
    Ok(())
}

/// `/proc/PID/net`, for a machine without network devices.
fn net(dev: u64, _target: Target) -> InodeRef {
    let tree = super::Tree { dev, root: PseudoNode::dir(NodeSpec::new(dev, 0o555)) };
    tree.fixed(
        "dev",
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    );
    for (name, head) in [
        ("if_inet6", ""),
        (
            "route",
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n",
        ),
        (
            "tcp",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n",
        ),
        (
            "udp",
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n",
        ),
        ("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"),
    ] {
        tree.fixed(name, head);
    }
    tree.root
}
