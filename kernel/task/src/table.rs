//! Which threads and processes there are: by id, and by group.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicU64};

use caller::PerUser;
use syscall_shim::{Errno, SysResult};

use super::ordered::{Batch, in_batches};
use super::process::Process;
use super::thread::{KERNEL_STACK_SIZE, Task};
use mem::{PAGE_SIZE, frames};
use sync::IrqSpinLock;

/// Highest id plus one, at most (`PID_MAX_LIMIT`).
pub const PID_LIMIT: i32 = 4_194_304;
/// Highest id plus one (`/proc/sys/kernel/pid_max`).
pub static PID_MAX: AtomicI32 = AtomicI32::new(PID_LIMIT);
/// Where ids start again after the highest, as in Linux.
pub const RESERVED_PIDS: i32 = 300;
/// The most threads that a machine may be set to have (`FUTEX_TID_MASK`).
pub const THREADS_LIMIT: u64 = 0x3fff_ffff;
/// The fewest.
const MIN_THREADS: u64 = 20;
/// `/proc/sys/kernel/threads-max`, once it is set.
static THREADS_MAX: AtomicU64 = AtomicU64::new(0);

struct Table {
    last: i32,
    tasks: BTreeMap<i32, Arc<Task>>,
    processes: BTreeMap<i32, Arc<Process>>,
    /// The same processes, by group and id.
    groups: BTreeMap<(i32, i32), Arc<Process>>,
    /// How many signals are on their way to many receivers, by ascending id, and up to where the
    /// one that is farthest has come.
    broadcasts: u32,
    reached: i32,
}

/// Taken with no other lock held but the family's.
static TABLE: IrqSpinLock<Table> = IrqSpinLock::new(Table {
    last: 0,
    tasks: BTreeMap::new(),
    processes: BTreeMap::new(),
    groups: BTreeMap::new(),
    broadcasts: 0,
    reached: 0,
});

/// How many threads each user has, by real id.
static USERS: PerUser = PerUser::new();

impl Table {
    fn add(&mut self, process: Arc<Process>) {
        self.groups.insert((process.pgid.load(Relaxed), process.pid), process.clone());
        self.processes.insert(process.pid, process);
    }
}

/// A thread id that nobody has.
pub fn allocate_id() -> i32 {
    let mut table = TABLE.lock();
    loop {
        table.last = if table.last + 1 >= PID_MAX.load(Relaxed) { RESERVED_PIDS } else { table.last + 1 };
        let id = table.last;
        if !table.tasks.contains_key(&id) && !table.processes.contains_key(&id) {
            return id;
        }
    }
}

/// Whether `id` is in use: clone3(2) lets the privileged choose ids.
pub fn is_taken(id: i32) -> bool {
    let table = TABLE.lock();
    table.tasks.contains_key(&id) || table.processes.contains_key(&id)
}

/// Enters a thread.
pub fn add_task(task: Arc<Task>) {
    super::debugger_view::add(&task);
    USERS.add(task.credentials().uid, 1, u64::MAX);
    TABLE.lock().tasks.insert(task.tid(), task);
}

/// Enters a process.
pub fn add_process(process: Arc<Process>) {
    TABLE.lock().add(process);
}

/// Enters a child of the process `of`, unless that has been sent more signals as one of many than
/// `broadcast_seq`, or one that is on its way to many would pass the child by: its id is the lower
/// one of those that have begun anew.
pub fn add_child(child: &Arc<Process>, of: &Process, broadcast_seq: u32) -> Option<()> {
    let mut table = TABLE.lock();
    let passed_by = table.broadcasts > 0 && child.pid <= table.reached;
    if !of.broadcast_seq.is_still(broadcast_seq) || passed_by {
        return None;
    }
    table.add(child.clone());
    Some(())
}

/// Receivers of a signal.
#[derive(Clone, Copy, Debug)]
pub enum Receivers {
    /// All processes.
    All,
    /// Those of a group.
    Group(i32),
}

impl Receivers {
    /// They, by id.
    pub fn iter(self) -> impl Iterator<Item = Arc<Process>> {
        chosen(self, 0)
    }

    /// Those from an id on.
    fn fill(self, table: &Table, from: i32, batch: &mut Batch<i32, Process>) {
        match self {
            Self::All => batch.fill(table.processes.range(from..).map(|(pid, process)| (*pid, process))),
            Self::Group(pgid) => {
                batch.fill(table.groups.range((pgid, from)..=(pgid, i32::MAX)).map(|((_, pid), process)| (*pid, process)));
            }
        }
    }
}

fn next_id(id: i32) -> Option<i32> {
    id.checked_add(1)
}

/// Calls `send` with each of the processes, told that a signal to all of them is on its way. It
/// does not sleep.
pub fn broadcast(to: Receivers, mut send: impl FnMut(&Arc<Process>)) {
    TABLE.lock().broadcasts += 1;
    let look_up = |from, batch: &mut Batch<i32, Process>| {
        let mut table = TABLE.lock();
        to.fill(&table, from, batch);
        batch.members().iter().for_each(|process| process.broadcast_seq.begin());
        table.reached = batch.members().last().map_or(0, |process| process.pid).max(table.reached);
    };
    for process in in_batches(0, look_up, next_id) {
        send(&process);
        process.broadcast_seq.arrived();
    }
    let mut table = TABLE.lock();
    table.broadcasts -= 1;
    if table.broadcasts == 0 {
        table.reached = 0;
    }
}

/// Moves a process to another group. The family's lock is held.
pub fn set_group(process: &Process, pgid: i32) {
    let mut table = TABLE.lock();
    let before = process.pgid.swap(pgid, Relaxed);
    let Some(entry) = table.groups.remove(&(before, process.pid)) else { return };
    table.groups.insert((pgid, process.pid), entry);
}

/// Takes out a thread.
pub fn remove_task(tid: i32) {
    let removed = TABLE.lock().tasks.remove(&tid);
    if let Some(task) = &removed {
        USERS.sub(task.credentials().uid, 1);
        super::debugger_view::remove(task);
    }
    drop(removed);
}

/// Takes out a process.
pub fn remove_process(pid: i32) {
    let removed = {
        let mut table = TABLE.lock();
        let process = table.processes.remove(&pid);
        let member = process.as_ref().and_then(|process| table.groups.remove(&(process.pgid.load(Relaxed), pid)));
        (process, member)
    };
    drop(removed);
}

/// A thread that is in the table belongs to another user from now on.
pub fn user_changed(before: u32, after: u32) {
    USERS.sub(before, 1);
    USERS.add(after, 1, u64::MAX);
}

/// How many threads a user has.
pub fn threads_of_user(uid: u32) -> u64 {
    USERS.count(uid)
}

/// The thread `tid`.
pub fn task(tid: i32) -> Option<Arc<Task>> {
    TABLE.lock().tasks.get(&tid).cloned()
}

/// The process `pid`.
pub fn process(pid: i32) -> Option<Arc<Process>> {
    TABLE.lock().processes.get(&pid).cloned()
}

/// All threads, by id. What comes or goes meanwhile is among them or not.
pub fn tasks() -> impl Iterator<Item = Arc<Task>> {
    let look_up = |from, batch: &mut Batch<i32, Task>| {
        let table = TABLE.lock();
        batch.fill(table.tasks.range(from..).map(|(tid, task)| (*tid, task)));
    };
    in_batches(0, look_up, next_id)
}

/// All processes, by id. What comes or goes meanwhile is among them or not.
pub fn processes() -> impl Iterator<Item = Arc<Process>> {
    processes_from(0)
}

/// Those from an id on.
pub fn processes_from(pid: i32) -> impl Iterator<Item = Arc<Process>> {
    chosen(Receivers::All, pid)
}

/// The members of a group, by id, ended ones that nobody waited for included.
pub fn group(pgid: i32) -> impl Iterator<Item = Arc<Process>> {
    chosen(Receivers::Group(pgid), 0)
}

fn chosen(which: Receivers, from: i32) -> impl Iterator<Item = Arc<Process>> {
    in_batches(from, move |from, batch| which.fill(&TABLE.lock(), from, batch), next_id)
}

/// Calls `f` with each thread, unless the table is being changed (`None`): for dumps from an NMI or
/// a panic.
pub fn try_for_each(mut f: impl FnMut(&Task)) -> Option<()> {
    let table = TABLE.try_lock()?;
    table.tasks.values().for_each(|task| f(task));
    Some(())
}

/// How many threads there may be (`/proc/sys/kernel/threads-max`): as in Linux, as many as fill an
/// eighth of memory with their kernel stacks.
pub fn threads_max() -> u64 {
    const SHARE: u64 = 8;
    let set = THREADS_MAX.load(Relaxed);
    if set > 0 {
        return set;
    }
    let memory = frames::stats().total as u64 * PAGE_SIZE as u64;
    (memory / (SHARE * KERNEL_STACK_SIZE as u64)).clamp(MIN_THREADS, PID_LIMIT as u64)
}

/// Sets [`threads_max`].
pub fn set_threads_max(most: u64) {
    THREADS_MAX.store(most.clamp(MIN_THREADS, THREADS_LIMIT), Relaxed);
}

/// Has the next id be the one after `id` (`/proc/sys/kernel/ns_last_pid`). `EINVAL` for one that
/// cannot be.
pub fn set_last_id(id: i32) -> SysResult<()> {
    if !(0..PID_MAX.load(Relaxed)).contains(&id) {
        return Err(Errno::EINVAL);
    }
    TABLE.lock().last = id;
    Ok(())
}

/// Number of threads, and the last id given out.
pub fn counts() -> (usize, i32) {
    let table = TABLE.lock();
    (table.tasks.len(), table.last)
}
