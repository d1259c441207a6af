//! The fair tasks of one CPU, by virtual time: what a task has run, in nanoseconds, divided by the
//! weight that its nice value gives it. The one that has had least is next.
//!
//! This file knows no task, no clock and no lock, so that its rules can be tried on the host, as
//! the tests below do.

use alloc::vec::Vec;

/// Time that a task runs while many others are ready, in nanoseconds, see [`turn`]. As many slices
/// as tasks are ready is what one waits that has had its share; Linux has 2.8 ms where there are
/// eight CPUs or more.
pub const TIME_SLICE: u64 = 3_000_000;
/// The turn of a task beside which `waiting` others are ready: where they are few, a longer one
/// keeps nobody waiting for longer than many do, and halves what switches cost, and how often one
/// is taken off in the middle of what another waits for.
#[inline(always)]
pub fn turn(waiting: usize) -> u64 {
    match waiting {
        0 | 1 => 2 * TIME_SLICE,
        2 => TIME_SLICE + TIME_SLICE / 3,
        _ => TIME_SLICE,
    }
}

/// How much more virtual time the running task must have had for one that wakes up to take its
/// place at once.
pub const WAKEUP_GRANULARITY: u64 = 1_000_000;
/// Virtual time by which a task may be ahead of the others when it has slept. That is all that a
/// sleep gives: if it made up for what the task had run before, those who hand the CPU to each
/// other would never have had more than one who is ready all the time.
///
/// The least virtual time stands still until all who compute have had their turn, and one who needs
/// no more than its share uses up to a slice meanwhile: with as much credit, and the granularity,
/// it is at once ahead of whoever has just begun a turn.
pub const SLEEP_CREDIT: u64 = TIME_SLICE + WAKEUP_GRANULARITY;
/// Where virtual time begins, so that what is ahead does not wrap.
const ORIGIN: u64 = 1 << 40;

/// Weight of nice 0.
pub const UNIT: u64 = 1024;

/// Weights of nice -20 to 19: each step is a factor of 1.25 (sched(7): about 10 % of the CPU
/// between two tasks).
const WEIGHTS: [u64; 40] = {
    let mut weights = [UNIT; 40];
    let mut at = 20;
    // In units of 1/1024, so that rounding does not add up.
    let mut scaled = UNIT << 10;
    while at > 0 {
        at -= 1;
        scaled = scaled * 5 / 4;
        weights[at] = (scaled + 512) >> 10;
    }
    at = 20;
    scaled = UNIT << 10;
    while at < 39 {
        at += 1;
        scaled = scaled * 4 / 5;
        weights[at] = (scaled + 512) >> 10;
    }
    weights
};

/// The weight of a nice value.
pub fn weight(nice: i32) -> u64 {
    WEIGHTS.get((nice + 20) as usize).copied().unwrap_or(UNIT)
}

/// Virtual time by which a task of a weight may be behind the others when it comes: what a turn
/// counts for it. It cannot have had more than that in excess when it went to sleep, and if the
/// others have not moved on since, it must not wait for longer.
#[inline(always)]
pub fn max_debt(weight: u64) -> u64 {
    if weight == UNIT { TIME_SLICE } else { TIME_SLICE * UNIT / weight }
}

/// How a task comes to a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// It has slept, and was on this CPU before.
    Woken,
    /// It comes from another queue, or is new.
    Moved,
    /// It was running here and was taken off for another one.
    Preempted,
    /// It was running here, and its turn is over.
    Expired,
    /// It was running here and gave way.
    Yielded,
}

/// The ready ones, but for the one that runs.
pub struct FairQueue<T> {
    /// By virtual time: who has had least is last, and among equals who came first.
    ready: Vec<(u64, T)>,
    /// Virtual time of the task that has had least; it never goes back.
    min_vruntime: u64,
}

impl<T> FairQueue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { ready: Vec::new(), min_vruntime: ORIGIN }
    }

    /// Tasks that wait for their turn.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether nobody waits.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Virtual time of the task that has had least.
    #[inline(always)]
    pub fn min_vruntime(&self) -> u64 {
        self.min_vruntime
    }

    /// The virtual time with which a task joins, that has had `own` and may be `max_debt` behind.
    /// The running one's is counted up to now: what the queue's minimum lacks, whoever comes would
    /// be ahead of the running task, or behind the next one.
    #[inline(always)]
    pub fn place(&self, own: u64, max_debt: u64, arrival: Arrival) -> u64 {
        let earliest = self.min_vruntime - SLEEP_CREDIT;
        match arrival {
            Arrival::Woken => own.clamp(earliest, self.min_vruntime + max_debt),
            // Away from queues it is relative to the last one's minimum.
            Arrival::Moved => {
                self.min_vruntime.saturating_add_signed((own as i64).clamp(-(SLEEP_CREDIT as i64), max_debt as i64))
            }
            // One that was a real-time task until now has had no virtual time.
            Arrival::Preempted | Arrival::Expired => own.max(earliest),
            // Behind all that wait, but for those that have had far more, by their weights.
            Arrival::Yielded => {
                let last = self.ready.first().map_or(own, |(last, _)| *last);
                own.max(last.min(self.min_vruntime + TIME_SLICE)).max(self.min_vruntime)
            }
        }
    }

    /// Adds a ready task that has had `vruntime`.
    #[inline(always)]
    pub fn push(&mut self, vruntime: u64, task: T) {
        if self.ready.is_empty() {
            self.ready.push((vruntime, task));
        } else {
            self.insert(vruntime, task);
        }
    }

    #[inline(never)]
    fn insert(&mut self, vruntime: u64, task: T) {
        let at = self.ready.partition_point(|(other, _)| *other > vruntime);
        self.ready.insert(at, (vruntime, task));
    }

    /// Takes out the one that is next.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<T> {
        self.ready.pop().map(|(_, task)| task)
    }

    /// Takes out the first that `wanted` accepts.
    pub fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.ready.iter().rposition(|(_, task)| wanted(task))?;
        Some(self.ready.remove(at).1)
    }

    /// Brings the least virtual time up to date, the running task having had `running`.
    #[inline(always)]
    pub fn advance(&mut self, running: u64) {
        let least = self.ready.last().map_or(running, |(first, _)| running.min(*first));
        self.min_vruntime = self.min_vruntime.max(least);
    }

    /// What a task that has had `own` takes along to another queue.
    #[inline(always)]
    pub fn relative(&self, own: u64) -> u64 {
        own.wrapping_sub(self.min_vruntime)
    }

    /// The virtual time of a new task, whose creator, the running one, has had `creator`: a turn
    /// more. By making others nobody gains any, and the creator, if it sleeps now, comes before the
    /// new one when it is woken.
    pub fn newcomer(&self, creator: u64) -> u64 {
        creator.max(self.min_vruntime) + TIME_SLICE
    }
}

/// For how long the running task, which has had `running` and is of a weight, may go on beside one
/// that has become ready with `new`: until it has had so much more that it gives way, at once if it
/// has already. That it has just begun a turn, which is far longer, is no reason to wait for that
/// one's end.
#[inline(always)]
pub fn time_left(new: u64, running: u64, weight: u64) -> u64 {
    let lead = (new + WAKEUP_GRANULARITY).saturating_sub(running);
    if weight == UNIT { lead } else { lead.saturating_mul(weight) / UNIT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const US: u64 = 1000;
    const MS: u64 = 1_000_000;

    /// One of the tasks of a [`Machine`].
    #[derive(Clone)]
    struct Sim {
        weight: u64,
        vruntime: u64,
        /// What it runs before it sleeps, and for how long it does; without sleep it computes all
        /// the time.
        burst: u64,
        sleep: u64,
        /// What is left of the burst.
        left: u64,
        /// When it wakes, while it sleeps.
        wakes: Option<u64>,
        ready_since: u64,
        ran: u64,
        worst_wait: u64,
        cpu: usize,
    }

    impl Sim {
        fn hog(nice: i32) -> Self {
            Self::sleeper(nice, u64::MAX, 0)
        }

        fn sleeper(nice: i32, burst: u64, sleep: u64) -> Self {
            let weight = weight(nice);
            Self {
                weight,
                vruntime: 0,
                burst,
                sleep,
                left: burst,
                wakes: None,
                ready_since: 0,
                ran: 0,
                worst_wait: 0,
                cpu: 0,
            }
        }
    }

    struct Cpu {
        queue: FairQueue<usize>,
        running: Option<usize>,
        slice_end: u64,
    }

    /// CPUs that run tasks by the rules of the kernel's scheduler, in steps of virtual
    /// microseconds.
    struct Machine {
        tasks: Vec<Sim>,
        cpus: Vec<Cpu>,
        now: u64,
    }

    const STEP: u64 = 10 * US;

    impl Machine {
        fn new(cpus: usize, tasks: Vec<Sim>) -> Self {
            let cpus = (0..cpus).map(|_| Cpu { queue: FairQueue::new(), running: None, slice_end: 0 }).collect::<Vec<_>>();
            let mut machine = Self { tasks, cpus, now: 0 };
            for task in 0..machine.tasks.len() {
                machine.tasks[task].cpu = task % machine.cpus.len();
                machine.enqueue(task, Arrival::Moved);
            }
            machine
        }

        fn enqueue(&mut self, task: usize, arrival: Arrival) {
            let Sim { cpu, vruntime, weight, .. } = self.tasks[task];
            let queue = &mut self.cpus[cpu].queue;
            let place = queue.place(vruntime, max_debt(weight), arrival);
            queue.push(place, task);
            self.tasks[task].vruntime = place;
            if matches!(arrival, Arrival::Woken | Arrival::Moved) {
                self.tasks[task].ready_since = self.now;
                if let Some(running) = self.cpus[cpu].running {
                    let Sim { vruntime, weight, .. } = self.tasks[running];
                    match time_left(place, vruntime, weight) {
                        0 => self.switch(cpu, Arrival::Preempted),
                        left => {
                            let end = &mut self.cpus[cpu].slice_end;
                            *end = (*end).min(self.now + left);
                        }
                    }
                }
            }
        }

        fn switch(&mut self, cpu: usize, arrival: Arrival) {
            if let Some(running) = self.cpus[cpu].running.take() {
                self.enqueue(running, arrival);
            }
            let next = self.cpus[cpu].queue.pop();
            self.cpus[cpu].running = next;
            self.cpus[cpu].slice_end = self.now + turn(self.cpus[cpu].queue.len());
            if let Some(next) = next {
                let task = &mut self.tasks[next];
                if task.ready_since != u64::MAX {
                    task.worst_wait = task.worst_wait.max(self.now - task.ready_since);
                    task.ready_since = u64::MAX;
                }
            }
        }

        /// Where least wait, and where it was before if that is no worse by more than one.
        fn choose(&self, task: usize) -> usize {
            let load = |cpu: &Cpu| cpu.queue.len() + usize::from(cpu.running.is_some());
            let last = self.tasks[task].cpu;
            let least = (0..self.cpus.len()).min_by_key(|cpu| load(&self.cpus[*cpu])).unwrap_or(last);
            if load(&self.cpus[last]) <= load(&self.cpus[least]) + 1 { last } else { least }
        }

        fn wake(&mut self, task: usize) {
            self.tasks[task].wakes = None;
            self.tasks[task].left = self.tasks[task].burst;
            let target = self.choose(task);
            if target == self.tasks[task].cpu {
                self.enqueue(task, Arrival::Woken);
            } else {
                self.carry(task, target);
            }
        }

        /// Moves a task that waits nowhere.
        fn carry(&mut self, task: usize, target: usize) {
            let from = &self.cpus[self.tasks[task].cpu].queue;
            self.tasks[task].vruntime = from.relative(self.tasks[task].vruntime);
            self.tasks[task].cpu = target;
            self.enqueue(task, Arrival::Moved);
        }

        fn run_for(&mut self, time: u64) {
            let end = self.now + time;
            while self.now < end {
                self.now += STEP;
                for cpu in 0..self.cpus.len() {
                    self.step(cpu);
                }
                for task in 0..self.tasks.len() {
                    if self.tasks[task].wakes.is_some_and(|at| at <= self.now) {
                        self.wake(task);
                    }
                }
            }
        }

        fn step(&mut self, cpu: usize) {
            let Some(running) = self.cpus[cpu].running else { return self.switch(cpu, Arrival::Preempted) };
            let task = &mut self.tasks[running];
            task.ran += STEP;
            task.vruntime += STEP * UNIT / task.weight;
            task.left = task.left.saturating_sub(STEP);
            let (vruntime, sleeps) = (task.vruntime, task.left == 0);
            if sleeps {
                task.wakes = Some(self.now + task.sleep);
            }
            self.cpus[cpu].queue.advance(vruntime);
            if sleeps {
                self.cpus[cpu].running = None;
                self.switch(cpu, Arrival::Preempted);
            } else if self.now >= self.cpus[cpu].slice_end && !self.cpus[cpu].queue.is_empty() {
                self.hand_on(cpu);
                self.switch(cpu, Arrival::Expired);
            }
        }

        /// A waiting task goes to a CPU with two tasks less.
        fn hand_on(&mut self, own: usize) {
            let load = |cpu: &Cpu| cpu.queue.len() + usize::from(cpu.running.is_some());
            let least = (0..self.cpus.len()).min_by_key(|cpu| load(&self.cpus[*cpu])).unwrap_or(own);
            if load(&self.cpus[least]) + 2 <= load(&self.cpus[own])
                && let Some(task) = self.cpus[own].queue.take(|_| true)
            {
                self.carry(task, least);
            }
        }

        fn share(&self, task: usize) -> f64 {
            self.tasks[task].ran as f64 / (self.now * self.cpus.len() as u64) as f64
        }
    }

    /// Hogs of nice 0, and further tasks behind them.
    fn beside(hogs: usize, others: &[Sim]) -> Vec<Sim> {
        let mut tasks = vec![Sim::hog(0); hogs];
        tasks.extend_from_slice(others);
        tasks
    }

    #[test]
    fn one_who_sleeps_most_of_the_time_is_next_when_it_wakes() {
        for cpus in [1, 2, 8] {
            for hogs in [1, 4, 16, 40] {
                for (burst, sleep) in [(10 * US, MS), (50 * US, 2 * MS), (100 * US, 25 * MS)] {
                    let mut machine = Machine::new(cpus, beside(hogs, &[Sim::sleeper(0, burst, sleep)]));
                    machine.run_for(300 * MS);
                    machine.tasks[hogs].worst_wait = 0;
                    machine.run_for(2000 * MS);
                    let wait = machine.tasks[hogs].worst_wait;
                    assert!(wait <= 2 * STEP, "{cpus} CPUs, {hogs} hogs, {burst} ns, {sleep} ns: waited {wait} ns");
                }
            }
        }
    }

    #[test]
    fn one_who_wants_just_its_share_does_not_wait_for_a_round() {
        // Nine tasks, and the last wants little less than a ninth.
        let mut machine = Machine::new(1, beside(8, &[Sim::sleeper(0, 200 * US, 1650 * US)]));
        machine.run_for(300 * MS);
        machine.tasks[8].worst_wait = 0;
        machine.run_for(3000 * MS);
        let wait = machine.tasks[8].worst_wait;
        assert!(wait <= 2 * STEP, "waited {wait} ns");
    }

    #[test]
    fn nobody_who_is_ready_waits_for_more_than_a_turn_of_each() {
        // Bursts longer than a slice, and sleeps that are short: who wants far more than its share.
        for hogs in [1, 4, 8] {
            for (burst, sleep) in [(MS, 100 * US), (5 * MS, MS), (20 * MS, 10 * US)] {
                let mut machine = Machine::new(1, beside(hogs, &[Sim::sleeper(0, burst, sleep)]));
                machine.run_for(3000 * MS);
                let bound = (hogs as u64 + 1) * (TIME_SLICE + STEP) + SLEEP_CREDIT;
                let wait = machine.tasks[hogs].worst_wait;
                assert!(wait <= bound, "{hogs} hogs, {burst} ns, {sleep} ns: waited {wait} ns");
            }
        }
    }

    #[test]
    fn one_who_was_long_once_does_not_wait_for_a_turn() {
        // The host was away while it ran: it has had as if it had computed, and the other one
        // begins a turn.
        let mut machine = Machine::new(1, beside(1, &[Sim::sleeper(0, 20 * US, 20 * US)]));
        machine.run_for(100 * MS);
        while machine.tasks[1].wakes.is_some() {
            machine.run_for(STEP);
        }
        machine.tasks[1].left += TIME_SLICE + SLEEP_CREDIT / 2;
        machine.tasks[1].worst_wait = 0;
        machine.run_for(100 * MS);
        let wait = machine.tasks[1].worst_wait;
        assert!(wait <= TIME_SLICE && wait > STEP, "waited {wait} ns");
    }

    #[test]
    fn the_running_one_has_until_it_gives_way() {
        let min = ORIGIN;
        assert_eq!(time_left(min, min, UNIT), WAKEUP_GRANULARITY);
        assert_eq!(time_left(min + MS, min, UNIT), MS + WAKEUP_GRANULARITY);
        assert_eq!(time_left(min, min + WAKEUP_GRANULARITY, UNIT), 0);
        assert_eq!(time_left(min, min, 2 * UNIT), 2 * WAKEUP_GRANULARITY);
    }

    #[test]
    fn sleeps_gain_nobody_more_than_its_share() {
        for (burst, sleep) in [(MS, 100 * US), (3 * MS, 10 * US), (500 * US, 10 * US)] {
            let mut machine = Machine::new(1, beside(1, &[Sim::sleeper(0, burst, sleep); 1]));
            machine.run_for(4000 * MS);
            let share = machine.share(0);
            assert!(share >= 0.42, "{burst} ns, {sleep} ns: the other has {share}");
        }
    }

    #[test]
    fn two_who_hand_the_cpu_to_each_other_do_not_starve_a_third() {
        // As one wakes the other is about to sleep: each is ready half of the time.
        let pair = [Sim::sleeper(0, 200 * US, 200 * US), Sim::sleeper(0, 200 * US, 210 * US)];
        let mut machine = Machine::new(1, beside(1, &pair));
        machine.run_for(3000 * MS);
        let share = machine.share(0);
        assert!(share >= 0.3, "the third has {share}");
    }

    #[test]
    fn nice_values_share_by_their_weights() {
        for nice in [-5, -1, 1, 5, 10] {
            let mut machine = Machine::new(1, vec![Sim::hog(0), Sim::hog(nice)]);
            machine.run_for(8000 * MS);
            let expected = weight(nice) as f64 / (weight(nice) + UNIT) as f64;
            let share = machine.share(1);
            assert!((share - expected).abs() <= 0.1 * expected, "nice {nice} has {share}, not {expected}");
        }
    }

    #[test]
    fn hogs_share_alike_on_several_cpus() {
        let mut machine = Machine::new(2, beside(16, &[]));
        machine.run_for(3000 * MS);
        for task in 0..16 {
            let share = machine.share(task) * 16.0;
            assert!((0.9..=1.1).contains(&share), "task {task} has {share} of its share");
        }
    }

    #[test]
    fn what_a_task_has_had_counts_within_bounds() {
        let mut queue = FairQueue::<()>::new();
        queue.advance(ORIGIN + 100 * MS);
        let min = queue.min_vruntime();
        let place = |own, arrival| queue.place(own, max_debt(UNIT), arrival);
        assert_eq!(place(ORIGIN, Arrival::Woken), min - SLEEP_CREDIT);
        assert_eq!(place(min + 50 * MS, Arrival::Woken), min + TIME_SLICE);
        assert_eq!(place(queue.relative(ORIGIN), Arrival::Moved), min - SLEEP_CREDIT);
        assert_eq!(place(queue.relative(min + MS), Arrival::Moved), min + MS);
        assert_eq!(place(queue.relative(min + 50 * MS), Arrival::Moved), min + TIME_SLICE);
        assert_eq!(place(0, Arrival::Preempted), min - SLEEP_CREDIT);
        assert_eq!(place(min + 50 * MS, Arrival::Expired), min + 50 * MS);
        assert_eq!(place(min - MS, Arrival::Yielded), min);
        assert_eq!(queue.newcomer(ORIGIN), min + TIME_SLICE);
    }

    #[test]
    fn who_came_first_is_first_among_equals() {
        let mut queue = FairQueue::new();
        for (vruntime, task) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b')] {
            queue.push(vruntime, task);
        }
        assert_eq!(queue.take(|task| *task == 'c'), Some('c'));
        assert_eq!(core::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), ['a', 'b', 'd']);
    }
}
