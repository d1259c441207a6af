//! /proc/PID and /proc/PID/task/TID: which files they have, with which permissions
//! (`tgid_base_stuff` and `tid_base_stuff`).

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use fs::inode::FileHandle;
use fs::pseudo::{DirSource, PseudoEntry, PseudoNode};
use fs::{FileType, Inode, InodeRef, OpenFlags, Path};
use syscall_shim::{Errno, SysResult};

use super::map_query::Maps;
use super::mount_table::MountTable;
use super::target::{Class, Target};
use super::{access, attributes, fd, map_files, memory, net, ns, number, schedule, stack, status, usage};
use crate::files::open::OpenedBy;
use ::fd::FileOps;
use task::Process;

type Read = fn(&Target) -> SysResult<Vec<u8>>;
type Write = fn(&Target, &[u8]) -> SysResult<()>;

/// How an entry behaves.
enum What {
    /// Everybody who may open it reads it.
    Text(Read),
    /// Opening it asks for the right to look into the process.
    Private(Read),
    /// The same of its memory, which a zombie has no more: `ESRCH`.
    Memory(Read),
    Control(Read, Write),
    WriteOnly(Write),
    /// Each open has an object of its own.
    Opened(fn(&Target) -> SysResult<Arc<dyn FileOps>>),
    Handle(fn(&Target, OpenFlags) -> SysResult<Arc<dyn FileHandle>>),
    Link(Read, fn(&Target) -> SysResult<Path>),
    Dir(fn(&Target, fs::pseudo::NodeSpec) -> Arc<PseudoNode>),
}

use What::{Control, Dir, Handle, Link, Memory, Opened, Private, Text, WriteOnly};

impl What {
    fn file_type(&self) -> FileType {
        match self {
            Link(..) => FileType::Symlink,
            Dir(_) => FileType::Dir,
            _ => FileType::Regular,
        }
    }
}

struct Entry {
    name: &'static str,
    mode: u32,
    what: What,
    /// Also in the directory of a thread.
    in_thread: bool,
    /// Also in the directory of a process.
    in_process: bool,
    /// Whether lseek(2) can go to the end, which is where the file begins.
    ends: bool,
}

impl Entry {
    const fn with_end(self) -> Entry {
        Entry { ends: true, ..self }
    }
}

/// In both directories.
const fn both(name: &'static str, mode: u32, what: What) -> Entry {
    Entry { name, mode, what, in_thread: true, in_process: true, ends: false }
}

/// In the thread's alone.
const fn part(name: &'static str, mode: u32, what: What) -> Entry {
    Entry { name, mode, what, in_thread: true, in_process: false, ends: false }
}

/// In the process's alone.
const fn whole(name: &'static str, mode: u32, what: What) -> Entry {
    Entry { name, mode, what, in_thread: false, in_process: true, ends: false }
}

/// In the order in which Linux lists them.
const ENTRIES: &[Entry] = &[
    whole("task", 0o555, Dir(|target, spec| PseudoNode::dynamic(spec, Threads(target.clone())))),
    both("fd", 0o500, Dir(|target, spec| PseudoNode::dynamic(spec, fd::Descriptors(target.clone())))),
    both("fdinfo", 0o555, Dir(|target, spec| PseudoNode::dynamic(spec, fd::Infos(target.clone())))),
    both("ns", 0o511, Dir(|target, spec| PseudoNode::dynamic(spec, ns::Namespaces(target.clone())))),
    both("net", 0o555, Dir(|target, spec| net::directory(target.dev, spec))),
    both("environ", 0o400, Memory(memory::environ)).with_end(),
    both("auxv", 0o400, Memory(memory::auxv)).with_end(),
    both("status", 0o444, Text(status::status)),
    both("personality", 0o400, Private(status::personality)),
    both("limits", 0o444, Text(usage::limits)),
    whole("coredump_filter", 0o644, Control(usage::coredump_filter, usage::set_coredump_filter)).with_end(),
    both("comm", 0o644, Control(status::comm, status::set_comm)),
    both("syscall", 0o400, Private(status::syscall)),
    both("cmdline", 0o444, Text(memory::cmdline)).with_end(),
    both("stat", 0o444, Text(status::stat)),
    both("statm", 0o444, Text(memory::statm)),
    both("maps", 0o444, Opened(Maps::open)),
    part("children", 0o444, Text(status::children)),
    both("mem", 0o600, Handle(memory::open_mem)),
    both("cwd", 0o777, Link(|t| access::shown(&access::cwd(t)?), access::cwd)),
    both("root", 0o777, Link(|t| access::shown(&access::root(t)?), access::root)),
    both("exe", 0o777, Link(|t| access::shown(&access::exe(t)?), access::exe)),
    both("mounts", 0o444, Opened(|t| MountTable::open(t, access::mounts))),
    both("mountinfo", 0o444, Opened(|t| MountTable::open(t, access::mountinfo))),
    whole("mountstats", 0o400, Opened(|t| MountTable::open(t, access::mountstats))),
    both("clear_refs", 0o200, WriteOnly(memory::clear_refs)),
    both("numa_maps", 0o444, Private(memory::numa_maps)),
    both("sched", 0o644, Control(schedule::sched, schedule::reset)),
    whole("timens_offsets", 0o644, Control(schedule::time_offsets, access::refuse)),
    whole("timers", 0o444, Text(schedule::timers)),
    both("smaps", 0o444, Private(memory::smaps)),
    both("smaps_rollup", 0o444, Memory(memory::smaps_rollup)),
    both("attr", 0o555, Dir(|target, spec| attributes::directory(target.dev, spec))),
    whole("map_files", 0o500, Dir(|target, spec| PseudoNode::dynamic(spec, map_files::Mapped(target.clone())))),
    both("stack", 0o400, Private(stack::stack)),
    whole("autogroup", 0o644, Control(schedule::autogroup, schedule::set_autogroup)),
    both("pagemap", 0o400, Handle(memory::open_pagemap)),
    both("wchan", 0o444, Text(stack::waits_in)),
    both("schedstat", 0o444, Text(usage::schedstat)),
    both("cgroup", 0o444, Text(|t| t.process().map(|_| fs::pseudo::format::cgroup_root()))),
    both("cpuset", 0o444, Text(|t| t.process().map(|_| b"/\n".to_vec()))),
    both("oom_score", 0o444, Text(usage::oom_score)),
    both("oom_adj", 0o644, Control(usage::oom_adj, usage::set_oom_adj)).with_end(),
    both("oom_score_adj", 0o644, Control(usage::oom_score_adj, usage::set_oom_score_adj)).with_end(),
    both("io", 0o400, Private(usage::io)),
    both("loginuid", 0o644, Control(access::nobody, access::refuse)).with_end(),
    both("sessionid", 0o444, Text(access::nobody)).with_end(),
    both("uid_map", 0o644, Control(access::id_map, access::refuse)),
    both("gid_map", 0o644, Control(access::id_map, access::refuse)),
    both("projid_map", 0o644, Control(access::id_map, access::refuse)),
    both("setgroups", 0o644, Control(|_| Ok(b"allow\n".to_vec()), access::refuse)),
    whole("timerslack_ns", 0o666, Control(usage::timer_slack, usage::set_timer_slack)),
];

fn class(target: &Target) -> Class {
    if target.is_thread() { Class::Thread } else { Class::Process }
}

/// The directory of a process or thread.
pub fn directory(target: Target) -> InodeRef {
    PseudoNode::dynamic(target.spec(class(&target), 0, 0o555), Files(target))
}

/// The process whose directory in /proc this is, if it is one. `ESRCH` once that is gone.
pub fn process_of_directory(inode: &InodeRef) -> Option<SysResult<Arc<Process>>> {
    let inode: &dyn Any = &**inode;
    let Files(target) = inode.downcast_ref::<PseudoNode>()?.source::<Files>()?;
    (!target.is_thread()).then(|| target.process())
}

struct Files(Target);

impl Files {
    fn has(&self, entry: &Entry) -> bool {
        if self.0.is_thread() { entry.in_thread } else { entry.in_process }
    }
}

impl DirSource for Files {
    /// `ESRCH` once the process is gone: only who has its directory open comes here then.
    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        self.0.process()?;
        let found = ENTRIES.iter().enumerate().find(|(_, entry)| entry.name.as_bytes() == name && self.has(entry));
        let (index, entry) = found.ok_or(Errno::ENOENT)?;
        Ok(node(&self.0, index as u32 + 1, entry))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        self.0.process().map_err(|_| Errno::ENOENT)?;
        let entries = (1..).zip(ENTRIES).skip_while(|(key, _)| *key < from).filter(|(_, entry)| self.has(entry));
        let shown = |(key, entry): (u32, &Entry)| PseudoEntry {
            key,
            name: entry.name.as_bytes().to_vec(),
            ino: self.0.ino(class(&self.0), key),
            file_type: entry.what.file_type(),
        };
        Ok(entries.map(shown).collect())
    }
}

fn node(target: &Target, key: u32, entry: &Entry) -> InodeRef {
    let spec = target.spec(class(target), key, entry.mode).size(entry.ends.then_some(0));
    let (own, other) = (target.clone(), target.clone());
    match entry.what {
        Text(read) => PseudoNode::text(spec, move || read(&own)),
        Private(read) => PseudoNode::guarded(spec, move || other.check_access(), move || read(&own)),
        Memory(read) => {
            let check = move || other.check_access().and_then(|()| other.mm()?.map(drop).ok_or(Errno::ESRCH));
            PseudoNode::guarded(spec, check, move || read(&own))
        }
        Control(read, write) => PseudoNode::control(spec, move || read(&own), move |bytes| write(&other, bytes)),
        WriteOnly(write) => PseudoNode::write_only(spec, move |bytes| write(&own, bytes)),
        Opened(open) => {
            let node = PseudoNode::text(spec, || Err(Errno::EINVAL));
            node.common().set_ext(Arc::new(OpenedBy(Box::new(move || open(&own)))));
            node
        }
        Handle(open) => PseudoNode::opener(spec, move |flags| open(&own, flags)),
        Link(text, to) => PseudoNode::magic(spec, move || text(&own), move || to(&other)),
        Dir(make) => make(target, spec),
    }
}

/// `/proc/PID/task`.
struct Threads(Target);

impl DirSource for Threads {
    fn directories(&self) -> u32 {
        self.0.process().map_or(0, |process| process.threads.lock().len() as u32)
    }

    fn lookup(&self, name: &[u8]) -> SysResult<InodeRef> {
        Ok(directory(self.0.thread_of(number(name)?)?))
    }

    fn list(&self, from: u32) -> SysResult<Vec<PseudoEntry>> {
        let process = self.0.process().map_err(|_| Errno::ENOENT)?;
        let mut ids: Vec<i32> = process.threads().map(|task| task.tid()).filter(|tid| *tid as u32 >= from).collect();
        ids.sort_unstable();
        let entry = |tid: i32| {
            let thread = self.0.thread_of(tid).ok()?;
            let name = tid.to_string().into_bytes();
            Some(PseudoEntry { key: tid as u32, name, ino: thread.ino(Class::Thread, 0), file_type: FileType::Dir })
        };
        Ok(ids.into_iter().filter_map(entry).collect())
    }
}
