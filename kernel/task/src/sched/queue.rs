//! The ready tasks of one CPU, and who of them is next.
//!
//! Real-time tasks come first, by priority. The others share the CPU by virtual time ([`fair`]).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::super::Instant;
use super::super::load::Load;
use super::super::thread::{SchedParams, Task};
pub use super::fair::Arrival;
use super::fair::{self, FairQueue, UNIT};
use super::{TIME_SLICE, realtime};
use arch::percpu;
use vm::AddressSpace;

const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
const SCHED_DEADLINE: u32 = 6;
/// Above all that a program can ask for.
const DEADLINE_PRIORITY: u32 = 100;

const IDLE_WEIGHT: u64 = 3;

fn weight(params: SchedParams) -> u64 {
    if params.policy == SCHED_IDLE {
        return IDLE_WEIGHT;
    }
    fair::weight(params.nice)
}

#[inline(always)]
fn max_debt(task: &Task) -> u64 {
    fair::max_debt(if task.sched.is_default() { UNIT } else { weight(task.sched.get()) })
}

fn realtime_priority(params: SchedParams) -> Option<u32> {
    match params.policy {
        SCHED_FIFO | SCHED_RR => Some(params.rt_priority),
        SCHED_DEADLINE => Some(DEADLINE_PRIORITY),
        _ => None,
    }
}

/// The real-time priority of a task, if it has one.
pub fn priority(task: &Task) -> Option<u32> {
    realtime_priority(task.sched.get())
}

/// As what a task came to a queue.
pub struct Place {
    params: SchedParams,
    /// For fair tasks; for those with a deadline it is that.
    vruntime: u64,
}

/// The ready tasks of one CPU, and the running one.
pub struct RunQueue {
    /// Whose it is.
    pub cpu: u32,
    /// Ready real-time tasks, highest priority first, in order of their turns within one.
    realtime: VecDeque<(u32, Arc<Task>)>,
    /// All other ready tasks.
    fair: FairQueue<Arc<Task>>,
    /// The running task.
    pub current: Option<Arc<Task>>,
    /// What runs when nothing is ready.
    pub idle: Option<Arc<Task>>,
    /// The task that was switched away last, and the address space that was given up for it, until
    /// the next task has freed the lock.
    pub previous: (Option<Arc<Task>>, Option<Arc<AddressSpace>>),
    /// The address space whose page table is loaded; idle tasks keep the last one.
    pub mm: Option<Arc<AddressSpace>>,
    /// Its generation when this CPU was last without stale translations of it.
    pub mm_generation: u64,
    /// When the running task's turn ends.
    pub slice_end: Instant,
    /// When the present period of real-time tasks began, and what they have run in it.
    rt_period: Instant,
    rt_used: Instant,
    /// Up to when the running task's virtual time is counted.
    counted_to: Instant,
    /// For the load averages.
    pub load: Load,
}

impl RunQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            cpu: 0,
            realtime: VecDeque::new(),
            fair: FairQueue::new(),
            current: None,
            idle: None,
            previous: (None, None),
            mm: None,
            mm_generation: 0,
            slice_end: 0,
            rt_period: 0,
            rt_used: 0,
            counted_to: 0,
            load: Load::new(),
        }
    }

    /// Tasks that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.realtime.len() + self.fair.len()
    }

    /// Whether nobody waits.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.realtime.is_empty() && self.fair.is_empty()
    }

    /// Lets other CPUs see without the lock how many tasks wait.
    #[inline(always)]
    fn publish(&self) {
        percpu::of(self.cpu).waiting.store(self.waiting() as u32, Ordering::Relaxed);
    }

    /// Adds a ready task, and tells as what.
    #[inline(always)]
    pub fn push(&mut self, task: Arc<Task>, arrival: Arrival) -> Place {
        let place = if task.sched.is_default() {
            let vruntime = self.place(&task, arrival);
            task.vruntime.store(vruntime, Ordering::Relaxed);
            self.fair.push(vruntime, task);
            Place { params: SchedParams::default(), vruntime }
        } else {
            self.push_special(task, arrival)
        };
        self.publish();
        place
    }

    /// [`Self::push`] for a task with a policy, priority or nice value of its own.
    #[inline(never)]
    fn push_special(&mut self, task: Arc<Task>, arrival: Arrival) -> Place {
        let params = task.sched.get();
        let Some(priority) = realtime_priority(params) else {
            let vruntime = self.place(&task, arrival);
            task.vruntime.store(vruntime, Ordering::Relaxed);
            self.fair.push(vruntime, task);
            return Place { params, vruntime };
        };
        if params.policy == SCHED_DEADLINE {
            return self.push_deadline(task, params, arrival);
        }
        // A task that was preempted keeps its turn (sched(7)); a FIFO task's has no other end.
        let fifo = params.policy == SCHED_FIFO && arrival == Arrival::Expired;
        let first = arrival == Arrival::Preempted || fifo;
        let behind = |other: u32| if first { other > priority } else { other >= priority };
        let at = self.realtime.partition_point(|(other, _)| behind(*other));
        self.realtime.insert(at, (priority, task));
        Place { params, vruntime: 0 }
    }

    /// Before those whose deadline is later, and all that have none. Its time is counted.
    fn push_deadline(&mut self, task: Arc<Task>, params: SchedParams, arrival: Arrival) -> Place {
        match arrival {
            Arrival::Woken | Arrival::Moved => drop(task.deadline.ready(self.counted_to)),
            Arrival::Yielded => task.deadline.give_up(),
            Arrival::Preempted | Arrival::Expired => {}
        }
        let deadline = task.deadline.at();
        let comes_first = |other: &Task| priority(other) == Some(DEADLINE_PRIORITY) && other.deadline.at() <= deadline;
        let at = self.realtime.partition_point(|(_, other)| comes_first(other));
        self.realtime.insert(at, (DEADLINE_PRIORITY, task));
        Place { params, vruntime: deadline }
    }

    /// The virtual time with which a task joins the fair ones.
    #[inline(always)]
    fn place(&self, task: &Task, arrival: Arrival) -> u64 {
        self.fair.place(task.vruntime.load(Ordering::Relaxed), max_debt(task), arrival)
    }

    /// Notes that `task`, which is not in the queue, leaves this CPU: its virtual time becomes
    /// relative. That of the running one is counted.
    pub fn migrate_out(&self, task: &Task) {
        let own = if priority(task).is_some() { self.fair.min_vruntime() } else { task.vruntime.load(Ordering::Relaxed) };
        task.vruntime.store(self.fair.relative(own), Ordering::Relaxed);
    }

    /// The running task goes on with other parameters: what it has had in excess counts as much as
    /// it may by those.
    pub fn reweight(&self, task: &Task) {
        if task.sched.get().policy == SCHED_DEADLINE {
            task.deadline.ready(self.counted_to);
        } else if priority(task).is_none() {
            let vruntime = self.place(task, Arrival::Woken);
            task.vruntime.store(vruntime, Ordering::Relaxed);
        }
    }

    /// Gives a new task its virtual time. Its creator is the running one, whose time is counted.
    pub fn begin_as(&self, task: &Task, creator: &Task) {
        task.vruntime.store(self.fair.newcomer(creator.vruntime.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Whether real-time tasks have had their share of the period, and others wait.
    #[inline(always)]
    fn is_throttled(&self) -> bool {
        self.rt_used >= realtime::runtime() && !self.fair.is_empty()
    }

    /// Takes out the task that is next.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Arc<Task>> {
        let task = if self.realtime.is_empty() || self.is_throttled() {
            self.fair.pop()
        } else {
            self.realtime.pop_front().map(|(_, task)| task)
        };
        self.publish();
        task
    }

    /// Takes out a waiting task, for another CPU: the first that `wanted` accepts. `now` is the
    /// time.
    pub fn take(&mut self, now: Instant, wanted: impl Fn(&Task) -> bool) -> Option<Arc<Task>> {
        self.count(now);
        let task = if let Some(at) = self.realtime.iter().position(|(_, task)| wanted(task)) {
            self.realtime.remove(at)?.1
        } else {
            self.fair.take(|task| wanted(task))?
        };
        self.migrate_out(&task);
        self.publish();
        Some(task)
    }

    /// What the running task, a fair one, has run since its virtual time was counted, weighed.
    #[inline(always)]
    fn uncounted(&self, params: SchedParams, now: Instant) -> u64 {
        let ran = now.saturating_sub(self.counted_to);
        if params.nice == 0 && params.policy != SCHED_IDLE { ran } else { ran * UNIT / weight(params) }
    }

    /// Counts the running task's time up to `now`.
    #[inline(always)]
    pub fn count(&mut self, now: Instant) {
        match &self.current {
            Some(current) if current.sched.is_default() && self.rt_used == 0 => {
                // The idle task's virtual time says nothing.
                let vruntime = current.vruntime.load(Ordering::Relaxed) + now.saturating_sub(self.counted_to);
                if !current.idle {
                    current.vruntime.store(vruntime, Ordering::Relaxed);
                    self.fair.advance(vruntime);
                }
                self.counted_to = now;
            }
            _ => self.count_special(now),
        }
    }

    /// [`Self::count`] where real-time tasks run or have run, or nice values count.
    #[inline(never)]
    fn count_special(&mut self, now: Instant) {
        if self.rt_used > 0 && now.saturating_sub(self.rt_period) >= realtime::period() {
            self.rt_used = 0;
        }
        if let Some(current) = &self.current
            && !current.idle
        {
            let params = current.sched.get();
            if realtime_priority(params).is_some() {
                self.rt_period = if self.rt_used == 0 { self.counted_to } else { self.rt_period };
                self.rt_used += now.saturating_sub(self.counted_to);
                if params.policy == SCHED_DEADLINE {
                    current.deadline.used(now.saturating_sub(self.counted_to));
                }
            } else {
                let vruntime = current.vruntime.load(Ordering::Relaxed) + self.uncounted(params, now);
                current.vruntime.store(vruntime, Ordering::Relaxed);
                self.fair.advance(vruntime);
            }
        }
        self.counted_to = now;
    }

    /// Begins the turn of `task`, which becomes the running one; none is.
    #[inline(always)]
    pub fn set_current(&mut self, task: Arc<Task>, now: Instant) {
        self.counted_to = now;
        self.slice_end = match task.sched.is_default() {
            true => now + fair::turn(self.waiting()),
            false => match task.sched.get().policy {
                SCHED_RR => now + realtime::rr_slice(),
                SCHED_DEADLINE => now + task.deadline.left().min(TIME_SLICE),
                // A FIFO task's turn does not end so; it is a time to look at the others.
                _ => now + fair::turn(self.waiting()),
            },
        };
        self.load.set(now, self.waiting() + usize::from(!task.idle));
        self.current = Some(task);
    }

    /// The CPU's timer came `late`: for as long the CPU was not there, but with other machines, and
    /// the running task, whatever it is, has not run. Else a task that needs little would be taken
    /// for one that has had far more than its share.
    pub fn lose(&mut self, late: Instant, now: Instant) {
        self.counted_to += late.min(now.saturating_sub(self.counted_to));
    }

    /// The running task's slice is over. Whether it is to give way; else it gets another one.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.count(now);
        let policy = self.current.as_ref().map(|current| current.sched.get().policy);
        if policy == Some(SCHED_FIFO) && !self.is_throttled() {
            self.slice_end = now + TIME_SLICE;
            return false;
        }
        true
    }

    /// For how long the running task may go on beside one that has just become ready, as `new`: 0
    /// where that takes its place at once, `None` to the end of its turn. Its time is counted.
    #[inline(always)]
    pub fn time_left(&self, new: Place) -> Option<u64> {
        let current = self.current.as_ref()?;
        if current.idle {
            return Some(0);
        }
        if new.params == SchedParams::default() && current.sched.is_default() {
            return Some(fair::time_left(new.vruntime, current.vruntime.load(Ordering::Relaxed), UNIT));
        }
        self.time_left_special(new, current)
    }

    /// [`Self::time_left`] by policy, priority and nice value.
    #[inline(never)]
    fn time_left_special(&self, Place { params: new, vruntime }: Place, current: &Task) -> Option<u64> {
        let old = current.sched.get();
        let (rank, rank_now) = (realtime_priority(new), realtime_priority(old));
        if rank.is_some() || rank_now.is_some() {
            let earlier = rank == Some(DEADLINE_PRIORITY) && rank == rank_now && vruntime < current.deadline.at();
            return ((rank > rank_now || earlier) && !self.is_throttled()).then_some(0);
        }
        match (new.policy, old.policy) {
            (SCHED_IDLE, _) => None,
            (_, SCHED_IDLE) => Some(0),
            (SCHED_BATCH, _) => None,
            _ => Some(fair::time_left(vruntime, current.vruntime.load(Ordering::Relaxed), weight(old))),
        }
    }
}
