//! Semaphore sets (semget(2), semop(2), semctl(2)).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use caller::Instant;
use litemap::LiteMap;
use sync::SpinLock;
use sync::wait::{WaitError, WaitQueue, wait_until};
use syscall_shim::types::{Sembuf, SemidDs};
use syscall_shim::{Errno, SysResult};

use crate::{IPC_NOWAIT, Object, Permissions, READ, Registry, WRITE, limits, now};

/// `SEMVMX`: highest value.
pub const SEMVMX: i32 = 32767;
const SEM_UNDO: u32 = 0x1000;

static SETS: Registry<Set> = Registry::new(limits::semmni, &limits::SEM_NEXT_ID);
/// Semaphores of all sets.
static SEMAPHORES: AtomicUsize = AtomicUsize::new(0);
/// How many lists have something to undo in some set: most have nothing, and their users end faster
/// for it.
static UNDOERS: AtomicUsize = AtomicUsize::new(0);

/// What a thread, and those that share it by `CLONE_SYSVSEM`, undo as the last of them ends. The
/// values are with the sets.
#[derive(Debug)]
pub struct UndoList {
    /// Never given twice.
    id: u64,
}

/// Where a thread has its list, once it has one.
pub type UndoSlot = SpinLock<Option<Arc<UndoList>>>;

impl UndoList {
    /// That of a thread, which it has from now on if it had none.
    pub fn of(slot: &UndoSlot) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let new = || Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed) });
        slot.lock().get_or_insert_with(new).clone()
    }
}

/// One semaphore.
#[derive(Clone, Copy, Debug, Default)]
pub struct Semaphore {
    /// `semval`
    pub value: i32,
    /// `sempid`: who changed it last.
    pub pid: i32,
    /// `semncnt`: how many wait for it to grow.
    pub growers: u32,
    /// `semzcnt`: how many wait for it to be 0.
    pub zeroers: u32,
}

struct State {
    semaphores: Vec<Semaphore>,
    /// By list: what is added to each value when its last user ends.
    undo: LiteMap<u64, Vec<i32>>,
    operated: i64,
    changed: i64,
    removed: bool,
}

/// A set of semaphores.
pub struct Set {
    /// How many there are.
    count: usize,
    permissions: SpinLock<Permissions>,
    /// A leaf lock.
    state: SpinLock<State>,
    /// Woken when values change, and when the set goes.
    waiters: WaitQueue,
}

impl Object for Set {
    fn permissions(&self) -> &SpinLock<Permissions> {
        &self.permissions
    }
}

/// semget(2).
pub fn get(key: i32, count: i32, flags: u32) -> SysResult<i32> {
    let count = usize::try_from(count).ok().filter(|count| *count <= limits::semmsl()).ok_or(Errno::EINVAL)?;
    let suits = |set: &Set| if count > set.len() { Err(Errno::EINVAL) } else { Ok(()) };
    SETS.get(key, flags, suits, |permissions| {
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        if SEMAPHORES.load(Ordering::Relaxed) + count > limits::semmns() {
            return Err(Errno::ENOSPC);
        }
        let mut semaphores = Vec::new();
        semaphores.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        semaphores.resize(count, Semaphore::default());
        let state = State { semaphores, undo: LiteMap::new_vec(), operated: 0, changed: now(), removed: false };
        SEMAPHORES.fetch_add(count, Ordering::Relaxed);
        Ok(Set { count, permissions: SpinLock::new(permissions), state: SpinLock::new(state), waiters: WaitQueue::new() })
    })
}

/// The set `id`. `EINVAL`.
pub fn find(id: i32) -> SysResult<Arc<Set>> {
    SETS.find(id)
}

/// The set with the index of `number` (`SEM_STAT`). `EINVAL`.
pub fn at(number: i32) -> SysResult<Arc<Set>> {
    SETS.at(number)
}

/// Sets, and their semaphores (`SEM_INFO`).
pub fn totals() -> [usize; 2] {
    [SETS.count(), SEMAPHORES.load(Ordering::Relaxed)]
}

/// Highest index in use.
pub fn highest() -> usize {
    SETS.highest()
}

/// What an operation that cannot be done now waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Blocked {
    semaphore: usize,
    for_zero: bool,
    nowait: bool,
}

/// Does all operations or none. `Err(Ok(..))` says which has to wait.
fn attempt(state: &mut State, operations: &[Sembuf], pid: i32, list: Option<u64>) -> Result<(), Result<Blocked, Errno>> {
    let mut values = Vec::new();
    values.try_reserve_exact(state.semaphores.len()).map_err(|_| Err(Errno::ENOMEM))?;
    values.extend(state.semaphores.iter().map(|s| s.value));
    let mut undo = Vec::new();
    for operation in operations {
        let index = usize::from(operation.sem_num);
        let value = values.get_mut(index).ok_or(Err(Errno::EFBIG))?;
        let change = i32::from(operation.sem_op);
        let flags = operation.sem_flg as u16 as u32;
        let blocked = Blocked { semaphore: index, for_zero: change == 0, nowait: flags & IPC_NOWAIT != 0 };
        match change {
            0 if *value != 0 => return Err(Ok(blocked)),
            c if c < 0 && *value + c < 0 => return Err(Ok(blocked)),
            c if *value + c > SEMVMX => return Err(Err(Errno::ERANGE)),
            c => *value += c,
        }
        if flags & SEM_UNDO != 0 && change != 0 {
            undo.push((index, -change));
        }
    }
    for operation in operations {
        if let Some(semaphore) = state.semaphores.get_mut(usize::from(operation.sem_num)) {
            semaphore.pid = pid;
        }
    }
    state.semaphores.iter_mut().zip(values).for_each(|(semaphore, value)| semaphore.value = value);
    if let Some(list) = list.filter(|_| !undo.is_empty()) {
        let count = state.semaphores.len();
        let mine = state.undo.entry(list).or_insert_with(|| {
            UNDOERS.fetch_add(1, Ordering::Relaxed);
            alloc::vec![0; count]
        });
        for (index, change) in undo {
            if let Some(sum) = mine.get_mut(index) {
                *sum += change;
            }
        }
    }
    state.operated = now();
    Ok(())
}

impl Set {
    fn len(&self) -> usize {
        self.count
    }

    /// Its id.
    pub fn id(&self) -> i32 {
        self.permissions.lock().id()
    }

    /// semop(2), semtimedop(2) of a thread that has its list in `slot`. `EAGAIN` with `IPC_NOWAIT`
    /// and at the deadline, `EIDRM` when the set goes, `EINTR`.
    pub fn operate(&self, operations: &[Sembuf], deadline: Option<Instant>, slot: &UndoSlot) -> SysResult<()> {
        if operations.iter().any(|operation| usize::from(operation.sem_num) >= self.len()) {
            return Err(Errno::EFBIG);
        }
        let alters = operations.iter().any(|operation| operation.sem_op != 0);
        let permissions = *self.permissions.lock();
        permissions.check(if alters { WRITE } else { READ })?;
        let pid = caller::pid();
        let undoes = operations.iter().any(|operation| operation.sem_flg as u16 as u32 & SEM_UNDO != 0);
        let list = undoes.then(|| UndoList::of(slot).id);
        let mut waits: Option<Blocked> = None;
        let mut step = || {
            let mut state = self.state.lock();
            if let Some(was) = waits.take() {
                count_waiter(&mut state, was, false);
            }
            if state.removed {
                return Some(Err(Errno::EIDRM));
            }
            match attempt(&mut state, operations, pid, list) {
                Ok(()) => Some(Ok(())),
                Err(Err(errno)) => Some(Err(errno)),
                Err(Ok(blocked)) if blocked.nowait => Some(Err(Errno::EAGAIN)),
                Err(Ok(blocked)) => {
                    count_waiter(&mut state, blocked, true);
                    waits = Some(blocked);
                    None
                }
            }
        };
        let result = wait_until(&[&self.waiters], deadline, &mut step);
        if let Some(was) = waits {
            count_waiter(&mut self.state.lock(), was, false);
        }
        match result {
            Ok(Ok(())) => {
                if alters {
                    self.waiters.wake_all();
                }
                Ok(())
            }
            Ok(Err(errno)) => Err(errno),
            Err(WaitError::TimedOut) => Err(Errno::EAGAIN),
            Err(WaitError::Interrupted) => Err(Errno::ERESTARTNOHAND),
        }
    }

    /// `GETVAL`, `GETALL` and their kin. `EACCES`.
    pub fn semaphores(&self) -> SysResult<Vec<Semaphore>> {
        let permissions = *self.permissions.lock();
        permissions.check(READ)?;
        let state = self.state.lock();
        let mut copy = Vec::new();
        copy.try_reserve_exact(state.semaphores.len()).map_err(|_| Errno::ENOMEM)?;
        copy.extend_from_slice(&state.semaphores);
        Ok(copy)
    }

    /// `SETVAL` (of one) and `SETALL`: undo values are forgotten. `EACCES`, `ERANGE`, `EINVAL`.
    pub fn set_values(&self, first: usize, values: &[i32]) -> SysResult<()> {
        let permissions = *self.permissions.lock();
        permissions.check(WRITE)?;
        if values.iter().any(|value| !(0..=SEMVMX).contains(value)) {
            return Err(Errno::ERANGE);
        }
        let pid = caller::pid();
        {
            let mut state = self.state.lock();
            let range = first..first + values.len();
            let to = state.semaphores.get_mut(range.clone()).ok_or(Errno::EINVAL)?;
            for (semaphore, value) in to.iter_mut().zip(values) {
                (semaphore.value, semaphore.pid) = (*value, pid);
            }
            for undo in state.undo.iter_mut().map(|(_, undo)| undo) {
                undo.get_mut(range.clone()).into_iter().for_each(|part| part.fill(0));
            }
            state.changed = now();
        }
        self.waiters.wake_all();
        Ok(())
    }

    /// `IPC_STAT`; for `any`body by `SEM_STAT_ANY`. `EACCES`.
    pub fn stat(&self, any: bool) -> SysResult<SemidDs> {
        let permissions = *self.permissions.lock();
        permissions.check(if any { 0 } else { READ })?;
        let state = self.state.lock();
        Ok(SemidDs {
            sem_perm: permissions.show(0),
            sem_otime: state.operated,
            sem_ctime: state.changed,
            sem_nsems: state.semaphores.len() as u64,
            ..SemidDs::default()
        })
    }

    /// `IPC_SET`. `EPERM`.
    pub fn set(&self, new: &SemidDs) -> SysResult<()> {
        let mut permissions = self.permissions.lock();
        permissions.check_owner()?;
        permissions.set(&new.sem_perm);
        self.state.lock().changed = now();
        Ok(())
    }

    /// What was done with `SEM_UNDO` by those who had the list `id` is undone, as far as the values
    /// allow, by the process `pid`.
    fn undo(&self, id: u64, pid: i32) {
        {
            let mut state = self.state.lock();
            let Some(undo) = state.undo.remove(&id) else { return };
            UNDOERS.fetch_sub(1, Ordering::Relaxed);
            for (semaphore, change) in state.semaphores.iter_mut().zip(undo).filter(|(_, change)| *change != 0) {
                semaphore.value = (semaphore.value + change).clamp(0, SEMVMX);
                semaphore.pid = pid;
            }
            state.operated = now();
        }
        self.waiters.wake_all();
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        SEMAPHORES.fetch_sub(self.count, Ordering::Relaxed);
    }
}

fn count_waiter(state: &mut State, blocked: Blocked, on: bool) {
    let Some(semaphore) = state.semaphores.get_mut(blocked.semaphore) else { return };
    let count = if blocked.for_zero { &mut semaphore.zeroers } else { &mut semaphore.growers };
    *count = if on { *count + 1 } else { count.saturating_sub(1) };
}

/// `IPC_RMID`: those who wait get `EIDRM`. `EPERM`.
pub fn remove(set: &Arc<Set>) -> SysResult<()> {
    set.permissions.lock().check_owner()?;
    SETS.remove(set);
    {
        let mut state = set.state.lock();
        state.removed = true;
        UNDOERS.fetch_sub(state.undo.len(), Ordering::Relaxed);
        state.undo.clear();
    }
    set.waiters.wake_all();
    Ok(())
}

/// Takes the list to undo from a thread of the process `pid`, which ends or wants none in common
/// with others: the last that has it undoes.
pub fn leave(slot: &UndoSlot, pid: i32) {
    let list = slot.lock().take();
    if let Some(list) = list.and_then(Arc::into_inner)
        && UNDOERS.load(Ordering::Relaxed) != 0
    {
        SETS.for_each(|set| set.undo(list.id, pid));
    }
}
