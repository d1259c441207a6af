//! Which threads and processes there are, by id.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicI32, AtomicU64};

use syscall_shim::{Errno, SysResult};

use super::process::Process;
use super::thread::{KERNEL_STACK_SIZE, Task};
use crate::mm::{PAGE_SIZE, frames};
use crate::sync::IrqSpinLock;
use litemap::LiteMap;

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
    tasks: LiteMap<i32, Arc<Task>>,
    processes: LiteMap<i32, Arc<Process>>,
}

/// Taken with no other lock held but the family's.
static TABLE: IrqSpinLock<Table> =
    IrqSpinLock::new(Table { last: 0, tasks: LiteMap::new_vec(), processes: LiteMap::new_vec() });

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
    TABLE.lock().tasks.insert(task.tid(), task);
}

/// Enters a process.
pub fn add_process(process: Arc<Process>) {
    TABLE.lock().processes.insert(process.pid, process);
}

/// Enters a child of the process `of`, unless that has been sent more signals as one of many than `broadcast_seq`.
pub fn add_child(child: &Arc<Process>, of: &Process, broadcast_seq: u32) -> Option<()> {
    let mut table = TABLE.lock();
    if !of.broadcast_seq.is_still(broadcast_seq) {
        return None;
    }
    table.processes.insert(child.pid, child.clone());
    Some(())
}

/// The processes that `chosen` accepts, told that a signal to all of them is on its way.
pub fn begin_sending(chosen: impl Fn(&Process) -> bool) -> Vec<Arc<Process>> {
    let table = TABLE.lock();
    let receivers: Vec<_> = table.processes.values().filter(|process| chosen(process)).cloned().collect();
    for process in &receivers {
        process.broadcast_seq.begin();
    }
    receivers
}

/// Takes out a thread.
pub fn remove_task(tid: i32) {
    let removed = TABLE.lock().tasks.remove(&tid);
    if let Some(task) = &removed {
        super::debugger_view::remove(task);
    }
    drop(removed);
}

/// Takes out a process.
pub fn remove_process(pid: i32) {
    let removed = TABLE.lock().processes.remove(&pid);
    drop(removed);
}

/// The thread `tid`.
pub fn task(tid: i32) -> Option<Arc<Task>> {
    TABLE.lock().tasks.get(&tid).cloned()
}

/// The process `pid`.
pub fn process(pid: i32) -> Option<Arc<Process>> {
    TABLE.lock().processes.get(&pid).cloned()
}

/// All threads, by id.
pub fn tasks() -> Vec<Arc<Task>> {
    TABLE.lock().tasks.values().cloned().collect()
}

/// All processes, by id.
pub fn processes() -> Vec<Arc<Process>> {
    TABLE.lock().processes.values().cloned().collect()
}

/// Calls `f` with each thread, unless the table is being changed (`None`): for dumps from an NMI or a panic.
pub fn try_for_each(mut f: impl FnMut(&Task)) -> Option<()> {
    let table = TABLE.try_lock()?;
    table.tasks.values().for_each(|task| f(task));
    Some(())
}

/// How many threads there may be (`/proc/sys/kernel/threads-max`): as in Linux, as many as fill an eighth of memory with their
/// kernel stacks.
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

/// Has the next id be the one after `id` (`/proc/sys/kernel/ns_last_pid`). `EINVAL` for one that cannot be.
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
