//! The scheduler: a run queue per CPU, and the switch between tasks.
//!
//! The kernel is preempted only at the way out to the application (and where it sleeps), so the
//! interrupt handlers merely ask for it by `need_resched`. A task belongs to the queue that its
//! `cpu` names: the lock of that queue guards its place there, and it is held across the switch and
//! freed by the next task, so that no CPU can take a task whose registers are not saved yet. A task
//! is moved by marking it as queued under the lock of its old queue, and entering it under that of
//! the new one; two such locks are never held together.

mod balance;
mod cpu_time;
pub mod deadline;
mod fair;
mod queue;
pub mod realtime;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::credentials::Credentials;
use super::process::Process;
use super::signal::{SigHand, ThreadSignals};
use super::thread::{NewTask, Task, state};
use super::{Instant, timer};
pub use arch::percpu::MAX_CPUS;
use arch::percpu::{self, this_cpu};
use arch::trap::TrapFrame;
use arch::{clock, ipi, irq, msr, switch};
pub use cpu_time::{CpuTime, cpu_time, enter_kernel, leave_kernel};
pub use fair::TIME_SLICE;
use fd::{FdTable, FsContext};
use queue::{Arrival, RunQueue};
pub use realtime::rr_slice;
use sync::{IrqSpinGuard, IrqSpinLock, order};
use vm::AddressSpace;

/// What a task that ran alone keeps of its turn when another one comes.
const WAKEUP_GRANULARITY: Instant = 1_000_000;
/// How long an application may run before an interrupt looks at it: one that executes `hlt` sleeps
/// until then.
const CHECK_INTERVAL: Instant = 20_000_000;
/// A timer that comes later than this tells that the CPU was not there meanwhile: nothing in the
/// kernel keeps interrupts off for as long, nor does a translator take so long to bring one.
const TIMER_LATENESS: Instant = 1_000_000;
/// How long an idle CPU looks for work by itself before it halts: less than an interrupt costs
/// under a hypervisor.
const POLL_TIME: Instant = 20_000;

/// Each CPU's queue. The locks are innermost but for the heap's.
static RUN_QUEUES: [IrqSpinLock<RunQueue>; MAX_CPUS] = [const { IrqSpinLock::new(RunQueue::new()) }; MAX_CPUS];

#[inline(always)]
fn queue_of(cpu: u32) -> &'static IrqSpinLock<RunQueue> {
    &RUN_QUEUES[cpu as usize % MAX_CPUS]
}

#[inline(always)]
fn my_queue() -> &'static IrqSpinLock<RunQueue> {
    queue_of(this_cpu().id.get())
}

pub use percpu::online as online_cpus;

/// The idle task of a CPU. `stack` is `None` for the boot CPU's, which keeps the boot stack.
fn new_idle(process: Arc<Process>, fs: Arc<FsContext>, own_stack: bool) -> syscall_shim::SysResult<Arc<Task>> {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"idle");
    let new = NewTask {
        tid: 0,
        process,
        files: Arc::new(FdTable::new()),
        fs,
        credentials: Arc::new(Credentials::root()),
        comm,
        signals: ThreadSignals::default(),
    };
    let mut task = if own_stack { Task::new(new)? } else { Task::with_stack(new, None) };
    task.idle = true;
    task.queued = true.into();
    task.on_cpu = true.into();
    Ok(Arc::new(task))
}

/// Makes the code that runs now, on the boot stack, the idle task of this CPU. `root` is the file
/// system's root.
pub fn init_cpu(root: fs::Path) -> syscall_shim::SysResult<()> {
    let mm = AddressSpace::new()?;
    let process = Arc::new(Process::new(0, mm, Arc::new(SigHand::default())));
    let idle = new_idle(process, Arc::new(FsContext::new(root)), false)?;
    let mut queue = my_queue().lock();
    this_cpu().current.set(Arc::as_ptr(&idle).cast());
    queue.current = Some(idle.clone());
    queue.idle = Some(idle);
    Ok(())
}

/// Makes the idle task of CPU `cpu`, which is about to start on its stack: lowest and highest
/// address of that. `None` when memory is out.
pub fn prepare_cpu(cpu: u32) -> Option<(u64, u64)> {
    let boot_idle = my_queue().lock().idle.clone()?;
    let idle = new_idle(boot_idle.process.clone(), boot_idle.fs(), true).ok()?;
    idle.cpu.store(cpu, Ordering::Relaxed);
    let stack = idle.stack_bounds();
    let mut queue = queue_of(cpu).lock();
    queue.cpu = cpu;
    queue.current = Some(idle.clone());
    // A CPU that was prepared before and not accepted leaves its idle task behind, whose stack it
    // may halt on.
    if let Some(refused) = queue.idle.replace(idle) {
        core::mem::forget(refused);
    }
    Some(stack)
}

/// Called by a further CPU when it has its tables: from now on it may get tasks.
pub fn cpu_is_up() {
    let cpu = this_cpu();
    if let Some(idle) = &my_queue().lock().idle {
        cpu.current.set(Arc::as_ptr(idle).cast());
    }
    percpu::set_online();
}

/// Load averages of 1, 5 and 15 minutes in hundredths, summed over the CPUs.
pub fn load_averages() -> [u64; 3] {
    let now = clock::monotonic_ns();
    let mut sum = [0; 3];
    for cpu in percpu::each(online_cpus()) {
        let averages = queue_of(cpu.id.get()).lock().load.averages(now);
        sum.iter_mut().zip(averages).for_each(|(sum, average)| *sum += average);
    }
    sum
}

/// Nanoseconds for which CPU `cpu` had nothing to do.
pub fn idle_time(cpu: u32) -> u64 {
    let idle = queue_of(cpu).lock().idle.clone();
    idle.map_or(0, |idle| {
        let (open, closed) = cpu_time(&idle);
        open + closed
    })
}

/// The idle loop of this CPU: runs what is ready here or elsewhere, else halts.
pub fn idle() -> ! {
    loop {
        schedule();
        irq::enable();
        net::poll();
        if balance::pull() {
            continue;
        }
        let cpu = this_cpu();
        poll_for_work(cpu);
        irq::disable();
        // Whoever sends work after this look interrupts the halt.
        if cpu.need_resched.load(Ordering::SeqCst) || net::pending() {
            irq::enable();
        } else {
            irq::enable_and_halt();
        }
    }
}

/// Looks for work for a short time, in which others need not interrupt this CPU.
fn poll_for_work(cpu: &percpu::PerCpu) {
    if online_cpus().count_ones() < 2 {
        return;
    }
    cpu.polling.store(true, Ordering::SeqCst);
    let end = clock::monotonic_ns() + POLL_TIME;
    while !cpu.need_resched.load(Ordering::Relaxed) && !net::pending() && clock::monotonic_ns() < end {
        core::hint::spin_loop();
    }
    // Ordered before the next look at `need_resched`; see `ask`.
    cpu.polling.swap(false, Ordering::SeqCst);
}

/// Has CPU `cpu` choose anew who runs.
fn resched(cpu: u32) {
    let target = percpu::of(cpu);
    // Where it was asked already, the interrupt is on its way, or it is in the kernel and looks
    // before it leaves.
    if !target.need_resched.swap(true, Ordering::SeqCst)
        && cpu != this_cpu().id.get()
        && !target.polling.load(Ordering::SeqCst)
    {
        ipi::kick(cpu);
    }
}

/// The running task. The reference is good while the caller runs; what is kept longer takes
/// [`current_arc`].
#[inline(always)]
pub fn current() -> &'static Task {
    // SAFETY: the run queue holds a count of the running task, which therefore outlives everything
    // that it runs.
    unsafe { &*this_cpu().current.get().cast() }
}

/// The running task, counted.
pub fn current_arc() -> Arc<Task> {
    let ptr = this_cpu().current.get().cast::<Task>();
    // SAFETY: the pointer comes from an Arc that the run queue holds.
    unsafe {
        Arc::increment_strong_count(ptr);
        Arc::from_raw(ptr)
    }
}

/// Says what the running task is about to do; `schedule` acts on it.
#[inline(always)]
pub fn set_state(new: u32) {
    current().state.swap(new, Ordering::SeqCst);
}

/// Makes `task` ready if its state is among `mask`. Returns whether it was.
#[inline(never)]
pub fn wake(task: &Arc<Task>, mask: u32) -> bool {
    wake_or(task, mask, |_, _| {})
}

/// Makes `task` look at what is pending for it: wakes it if its state is among `mask`; if it runs
/// on another CPU, that is interrupted. The caller has stored what is pending.
pub fn notify(task: &Arc<Task>, mask: u32) {
    wake_or(task, mask, |queue, cpu| {
        let runs = queue.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, task));
        if runs && cpu != this_cpu().id.get() {
            ipi::kick(cpu);
        }
    });
}

/// Locks the queue that `task` belongs to.
#[inline(always)]
fn lock_queue(task: &Task) -> (IrqSpinGuard<'static, RunQueue>, u32) {
    loop {
        let cpu = task.cpu.load(Ordering::Acquire);
        let queue = queue_of(cpu).lock();
        if task.cpu.load(Ordering::Acquire) == cpu {
            return (queue, cpu);
        }
    }
}

#[inline(always)]
fn wake_or(task: &Arc<Task>, mask: u32, otherwise: impl FnOnce(&RunQueue, u32)) -> bool {
    let (mut queue, cpu) = lock_queue(task);
    loop {
        let was = task.state.load(Ordering::SeqCst);
        if was & mask == 0 {
            otherwise(&queue, cpu);
            return false;
        }
        // The task itself may change its state meanwhile, without the lock.
        if task.state.compare_exchange(was, state::RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            break;
        }
    }
    // Still running, it sees the new state before it sleeps.
    if task.queued.load(Ordering::Relaxed) {
        return true;
    }
    task.queued.store(true, Ordering::Relaxed);
    // SAFETY: a task that sleeps has left a count of itself (`switch`, `start`), and this takes it
    // over: who finds it queued does not.
    let counted = unsafe { Arc::from_raw(Arc::as_ptr(task)) };
    let target = balance::choose(task, cpu);
    let now = clock::monotonic_ns();
    if target == cpu {
        enqueue(&mut queue, cpu, counted, Arrival::Woken, now);
    } else {
        queue.count(now);
        queue.migrate_out(task);
        task.cpu.store(target, Ordering::Release);
        drop(queue);
        balance::send(counted, target);
    }
    true
}

/// Adds a ready task to the queue of `cpu`, and has that CPU notice.
#[inline(always)]
fn enqueue(queue: &mut RunQueue, cpu: u32, task: Arc<Task>, arrival: Arrival, now: Instant) {
    let alone = queue.is_empty();
    queue.count(now);
    let place = queue.push(task, arrival);
    let left = queue.time_left(place);
    if left == Some(0) {
        return resched(cpu);
    }
    if alone {
        // Until now the running task's turn had no end.
        queue.slice_end = queue.slice_end.max(now + WAKEUP_GRANULARITY);
    }
    let end = left.map_or(queue.slice_end, |left| queue.slice_end.min(now + left));
    if alone || end < queue.slice_end {
        queue.slice_end = end;
        if cpu == this_cpu().id.get() {
            timer::no_later_than(queue.slice_end);
        } else {
            ipi::kick(cpu);
        }
    }
}

/// Makes a new task ready for the first time.
pub fn start(task: &Arc<Task>) {
    let mut queue = my_queue().lock();
    queue.count(clock::monotonic_ns());
    queue.begin_as(task, current());
    task.cpu.store(this_cpu().id.get(), Ordering::Relaxed);
    drop(queue);
    // As if it had gone to sleep.
    core::mem::forget(task.clone());
    task.state.store(state::INTERRUPTIBLE, Ordering::SeqCst);
    wake(task, state::INTERRUPTIBLE);
}

/// Acts on a change of what `change` changes: `task`'s policy, priority, nice value or the CPUs
/// that it may run on.
pub fn change_parameters<R>(task: &Arc<Task>, change: impl FnOnce() -> R) -> R {
    let now = clock::monotonic_ns();
    let (mut queue, cpu) = lock_queue(task);
    let taken = queue.take(now, |waiting| core::ptr::eq(waiting, &raw const **task));
    let result = change();
    match taken {
        Some(task) if balance::may_run(&task, cpu) => enqueue(&mut queue, cpu, task, Arrival::Moved, now),
        Some(task) => {
            let target = balance::choose(&task, cpu);
            task.cpu.store(target, Ordering::Release);
            drop(queue);
            balance::send(task, target);
        }
        None => {
            let runs = queue.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, task));
            if runs {
                queue.reweight(task);
                resched(cpu);
            }
        }
    }
    result
}

/// When the running task is to be interrupted: at the end of its slice if somebody else is ready,
/// else for a look at it. A slice that is over and has been seen to be is none any more: the timer
/// would fire again and again until the task leaves the kernel.
pub fn interrupt_at() -> Option<Instant> {
    if this_cpu().need_resched.load(Ordering::Relaxed) {
        return None;
    }
    let queue = my_queue().lock();
    if !queue.is_empty() {
        return Some(queue.slice_end);
    }
    let busy = queue.current.as_ref().is_some_and(|current| !current.idle);
    busy.then(|| clock::monotonic_ns() + CHECK_INTERVAL)
}

/// Called by the timer interrupt, which comes `late`: asks for a switch when the slice is over.
pub fn tick(now: Instant, late: Instant) {
    let mut queue = my_queue().lock();
    if late > TIMER_LATENESS {
        queue.lose(late, now);
    }
    if queue.is_empty() || now < queue.slice_end {
        return;
    }
    let over = queue.expire(now);
    drop(queue);
    balance::hand_on();
    if over {
        resched(this_cpu().id.get());
    }
}

/// Gives way to another ready task, if there is one.
pub fn yield_now() {
    switch(Arrival::Yielded);
}

/// Runs another task, if one is ready or the present one is not. Returns when the caller is chosen
/// again.
pub fn schedule() {
    switch(Arrival::Preempted);
}

/// What a switch leaves to be done when its lock is free: the task that was switched away, if it
/// has ended or goes to another CPU, and the address space that was given up for the next one.
/// Freed with interrupts on, because much may hang from it.
type Leftovers = (Option<Arc<Task>>, Option<Arc<AddressSpace>>);

/// The switch. `arrival` tells how the running task goes back to the queue if it is ready; a turn
/// that is over overrides [`Arrival::Preempted`].
fn switch(arrival: Arrival) {
    order::may_sleep();
    // The kernel is not preempted, so this stays the CPU although interrupts are on.
    let cpu = this_cpu();
    let own = cpu.id.get();
    let mut locked = queue_of(own).lock();
    // Who asks holds the lock: from now on he finds the next task chosen, or asks again.
    cpu.need_resched.store(false, Ordering::Relaxed);
    let queue = &mut *locked;
    let now = clock::monotonic_ns();
    queue.count(now);
    let Some(prev) = queue.current.take() else { unreachable!("a CPU always runs a task") };
    let prev_ptr = Arc::as_ptr(&prev);
    let prev_idle = prev.idle;
    let state = prev.state.load(Ordering::SeqCst);
    if state == state::RUNNING || prev_idle {
        stays_ready(queue, own, prev, arrival, now);
    } else {
        prev.queued.store(false, Ordering::Relaxed);
        if state == state::DEAD {
            queue.previous.0 = Some(prev);
        } else {
            // Asleep, it keeps this count of itself; the wake-up gives it to a queue.
            core::mem::forget(prev);
        }
    }
    let Some(next) = queue.pop().or_else(|| queue.idle.clone()) else { unreachable!("every CPU has an idle task") };
    let next_ptr = Arc::as_ptr(&next);
    // SAFETY: a queue has each of the two, or the task itself if it sleeps, which only changes
    // under the lock, or it is kept as the previous one.
    let (prev, next_task) = unsafe { (&*prev_ptr, &*next_ptr) };
    if prev_idle || next_task.idle {
        balance::set_idle(own, next_task.idle);
    }
    if !next_task.idle && !balance::may_run(next_task, own) {
        // Its CPUs were changed on its way here: it goes on as soon as it gets to the application.
        cpu.need_resched.store(true, Ordering::Relaxed);
    }
    queue.set_current(next, now);
    if !next_task.idle {
        // Deadlines are armed as they are set; what a switch adds is the end of the turn, if others
        // wait for it. That none is armed at all is rare where the CPU is woken often, for an idle
        // one leaves the last as it is.
        timer::no_later_than(if queue.is_empty() { now + CHECK_INTERVAL } else { queue.slice_end });
    }
    if let Some(sample) = observe::sampling::next() {
        timer::no_later_than(sample);
    }
    if core::ptr::eq(prev, next_task) {
        return;
    }
    // Others only read these.
    let switches = &prev.switches[usize::from(state == state::RUNNING)];
    switches.store(switches.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    cpu.switches.store(cpu.switches.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    cpu_time::switch(prev, next_task, now);
    use_address_space(queue, cpu, next_task, prev_idle);
    let (bottom, top) = match next_task.stack_bounds() {
        (_, 0) => arch::boot_stack(),
        bounds => bounds,
    };
    cpu.stack_bottom.set(bottom);
    cpu.stack_top.set(top);
    if !prev_idle {
        // SAFETY: this CPU runs `prev`, whose state is in the registers.
        unsafe { (*prev.fpu.get()).save() };
        prev.fs_base.store(msr::fs_base(), Ordering::Relaxed);
    }
    if !next_task.idle {
        // SAFETY: `next` runs nowhere; its area was saved by a switch or made for it.
        unsafe { (*next_task.fpu.get()).restore() };
        msr::set_fs_base(next_task.fs_base.load(Ordering::Relaxed));
    }
    if next_task.last_cpu.load(Ordering::Relaxed) != own {
        next_task.last_cpu.store(own, Ordering::Relaxed);
        next_task.moved.store(true, Ordering::Relaxed);
    }
    cpu.current.set(next_ptr.cast());
    let save = prev.saved_rsp.get();
    // SAFETY: `next` runs nowhere, so its saved stack pointer is settled.
    let load = unsafe { *next_task.saved_rsp.get() };
    let interrupts = locked.forget();
    // SAFETY: interrupts are off and both tasks are kept alive as above. The lock stays held until
    // the other side has the CPU; `finish_switch` frees it.
    unsafe { switch::switch_stacks(save, load) };
    finish_switch(interrupts);
}

/// The part of a switch for a task that does not sleep: it goes to the end of the queue, or is kept
/// to be sent to another CPU.
fn stays_ready(queue: &mut RunQueue, own: u32, prev: Arc<Task>, arrival: Arrival, now: Instant) {
    if prev.idle {
        // The queue has it besides.
        return;
    }
    if balance::may_run(&prev, own) {
        let over = arrival == Arrival::Preempted && now >= queue.slice_end;
        queue.push(prev, if over { Arrival::Expired } else { arrival });
    } else {
        // One that may not run here any more is sent away once it is off this CPU; until then it
        // counts as queued.
        queue.migrate_out(&prev);
        prev.in_transit.store(true, Ordering::Relaxed);
        queue.previous.0 = Some(prev);
    }
}

/// Loads the address space of `next`. An idle task keeps what is loaded and uses nothing of it:
/// other CPUs then need not interrupt this one when they change it.
#[inline(always)]
fn use_address_space(queue: &mut RunQueue, cpu: &percpu::PerCpu, next: &Task, was_idle: bool) {
    if next.idle {
        cpu.lazy.store(true, Ordering::SeqCst);
        return;
    }
    let was_lazy = was_idle && cpu.lazy.swap(false, Ordering::SeqCst);
    match &queue.mm {
        Some(loaded) if Arc::as_ptr(loaded).addr() == next.process.space() => {
            if was_lazy {
                loaded.refresh(&mut queue.mm_generation);
            }
        }
        _ => load_address_space(queue, next),
    }
}

#[inline(never)]
fn load_address_space(queue: &mut RunQueue, next: &Task) {
    let mm = next.process.mm();
    queue.mm_generation = mm.activate();
    let old = queue.mm.replace(mm);
    if let Some(old) = &old {
        old.deactivate();
    }
    queue.previous.1 = old;
}

/// The first thing that a task does after it was switched to. Interrupts are as `interrupts` says
/// afterwards.
#[inline(always)]
fn finish_switch(interrupts: bool) {
    let queue_lock = my_queue();
    // SAFETY: `switch` left the lock held by this CPU and forgot the guard; interrupts are off, so
    // nobody else can have it.
    let leftovers = unsafe {
        let previous = &mut queue_lock.leaked().previous;
        let leftovers = (previous.0.is_some() || previous.1.is_some()).then(|| core::mem::take(previous));
        queue_lock.force_unlock();
        leftovers
    };
    let task = current();
    task.process.timers.process_runs();
    irq::restore(interrupts);
    if let Some(leftovers) = leftovers {
        clear_away(leftovers);
    }
}

#[cold]
fn clear_away((task, mm): Leftovers) {
    if let Some(task) = task
        && task.in_transit.swap(false, Ordering::Relaxed)
    {
        let target = balance::choose(&task, this_cpu().id.get());
        balance::send(task, target);
    }
    drop(mm);
}

/// Where a new thread starts: on its way to the application with the frame at the top of its stack.
pub fn first_switch() {
    finish_switch(true);
    irq::disable();
}

/// Where a new kernel thread starts.
pub fn first_switch_kernel() {
    finish_switch(true);
}

/// Lays out `task`'s kernel stack so that it starts in the application with `frame`'s registers and
/// FS base.
pub fn prepare(task: &Task, frame: &TrapFrame, fs_base: u64) {
    task.fs_base.store(fs_base, Ordering::Relaxed);
    // SAFETY: the task has not run yet, so its stack and its saved stack pointer are the caller's.
    unsafe { *task.saved_rsp.get() = switch::prepare(task.stack_bounds().1, frame) };
}

/// Gives a task that has not run yet the FPU state of the current one.
pub fn copy_fpu(task: &Task) {
    let copy = super::thread::fpu_state();
    // SAFETY: the task has not run yet.
    unsafe { *task.fpu.get() = copy };
}

/// Loads another address space for the current process, which `execve` has just given it.
pub fn switch_mm(mm: &Arc<AddressSpace>) {
    let mut queue = my_queue().lock();
    queue.mm_generation = mm.activate();
    let old = queue.mm.replace(mm.clone());
    if let Some(old) = &old
        && !Arc::ptr_eq(old, mm)
    {
        old.deactivate();
    }
    drop(queue);
    drop(old);
}
