//! The scheduler: a run queue per CPU, and the switch between tasks.
//!
//! The kernel is preempted only at the way out to the application (and where it sleeps), so the interrupt handlers merely ask
//! for it by `need_resched`. The run queue's lock is held across the switch and freed by the next task, so that no CPU can take
//! a task whose registers are not saved yet.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::credentials::Credentials;
use super::load::Load;
use super::process::Process;
use super::signal::{SigHand, ThreadSignals};
use super::thread::{NewTask, Task, state};
use super::{Instant, timer};
use crate::arch::percpu::this_cpu;
use crate::arch::trap::TrapFrame;
use crate::arch::{clock, irq, msr, switch};
use crate::files::{FdTable, FsContext};
use crate::mm::AddressSpace;
use crate::sync::IrqLock;

/// Time that a task runs while others are ready, in nanoseconds.
pub const TIME_SLICE: Instant = 4_000_000;
/// CPUs that the tables have room for.
pub const MAX_CPUS: usize = 64;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;

/// The ready tasks of one CPU. Its lock is innermost: nothing else is taken while it is held.
struct RunQueue {
    /// Ready real-time tasks, highest priority first, in order of arrival within one.
    realtime: VecDeque<Arc<Task>>,
    /// All other ready tasks, in order of arrival.
    normal: VecDeque<Arc<Task>>,
    current: Option<Arc<Task>>,
    idle: Option<Arc<Task>>,
    /// The task that was switched away last, until the next one has freed the lock.
    previous: Option<Arc<Task>>,
    /// The address space whose page table is loaded; idle tasks keep the last one.
    mm: Option<Arc<AddressSpace>>,
    slice_end: Instant,
    load: Load,
}

static RUN_QUEUES: [IrqLock<RunQueue>; MAX_CPUS] = [const {
    IrqLock::new(RunQueue {
        realtime: VecDeque::new(),
        normal: VecDeque::new(),
        current: None,
        idle: None,
        previous: None,
        mm: None,
        slice_end: 0,
        load: Load::new(),
    })
}; MAX_CPUS];

fn my_queue() -> &'static IrqLock<RunQueue> {
    &RUN_QUEUES[this_cpu().id.get() as usize % MAX_CPUS]
}

fn realtime_priority(task: &Task) -> Option<u32> {
    let params = task.sched.lock();
    matches!(params.policy, SCHED_FIFO | SCHED_RR).then_some(params.rt_priority)
}

impl RunQueue {
    fn push(&mut self, task: Arc<Task>) {
        match realtime_priority(&task) {
            Some(priority) => {
                let at = self.realtime.iter().position(|t| realtime_priority(t) < Some(priority));
                self.realtime.insert(at.unwrap_or(self.realtime.len()), task);
            }
            None => self.normal.push_back(task),
        }
    }

    fn pop(&mut self) -> Option<Arc<Task>> {
        self.realtime.pop_front().or_else(|| self.normal.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.realtime.is_empty() && self.normal.is_empty()
    }
}

/// The CPUs that run tasks, a bit each.
pub fn online_cpus() -> u64 {
    1
}

/// Makes the code that runs now, on the boot stack, the idle task of this CPU. `root` is the file system's root.
pub fn init_cpu(root: fs::Path) -> syscall_shim::SysResult<()> {
    let mm = AddressSpace::new()?;
    let process = Arc::new(Process::new(0, mm, Arc::new(SigHand::default())));
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"idle");
    let idle = Arc::new(Task::with_stack(
        NewTask {
            tid: 0,
            process,
            files: Arc::new(FdTable::new()),
            fs: Arc::new(FsContext::new(root)),
            credentials: Arc::new(Credentials::root()),
            comm,
            signals: ThreadSignals::default(),
        },
        None,
    ));
    let mut queue = my_queue().lock();
    this_cpu().current.set(Arc::as_ptr(&idle));
    idle.queued.store(true, Ordering::Relaxed);
    queue.current = Some(idle.clone());
    queue.idle = Some(idle);
    Ok(())
}

/// Load averages of 1, 5 and 15 minutes in hundredths, summed over the CPUs.
pub fn load_averages() -> [u64; 3] {
    let now = clock::monotonic_ns();
    let mut sum = [0; 3];
    for queue in RUN_QUEUES.iter().take(online_cpus().count_ones() as usize) {
        let averages = queue.lock().load.averages(now);
        sum.iter_mut().zip(averages).for_each(|(sum, average)| *sum += average);
    }
    sum
}

/// The idle loop of this CPU: runs what is ready, else halts.
pub fn idle() -> ! {
    loop {
        schedule();
        irq::disable();
        if my_queue().lock().is_empty() {
            irq::enable_and_halt();
        } else {
            irq::enable();
        }
    }
}

/// The running task. The reference is good while the caller runs; what is kept longer takes [`current_arc`].
pub fn current() -> &'static Task {
    // SAFETY: the run queue holds a count of the running task, which therefore outlives everything that it runs.
    unsafe { &*this_cpu().current.get() }
}

/// The running task, counted.
pub fn current_arc() -> Arc<Task> {
    let ptr = this_cpu().current.get();
    // SAFETY: the pointer comes from an Arc that the run queue holds.
    unsafe {
        Arc::increment_strong_count(ptr);
        Arc::from_raw(ptr)
    }
}

/// Says what the running task is about to do; `schedule` acts on it.
pub fn set_state(new: u32) {
    current().state.swap(new, Ordering::SeqCst);
}

/// Makes `task` ready if its state is among `mask`. Returns whether it was.
pub fn wake(task: &Arc<Task>, mask: u32) -> bool {
    let queue_lock = my_queue();
    let mut queue = queue_lock.lock();
    let was = task.state.load(Ordering::SeqCst);
    if was & mask == 0 {
        return false;
    }
    task.state.store(state::RUNNING, Ordering::SeqCst);
    if !task.queued.swap(true, Ordering::Relaxed) {
        let first = queue.is_empty();
        queue.push(task.clone());
        let idle_runs = match (&queue.current, &queue.idle) {
            (Some(current), Some(idle)) => Arc::ptr_eq(current, idle),
            _ => false,
        };
        let urgent = realtime_priority(task) > queue.current.as_deref().and_then(realtime_priority);
        if idle_runs || urgent {
            this_cpu().need_resched.store(true, Ordering::Relaxed);
        } else if first {
            queue.slice_end = clock::monotonic_ns() + TIME_SLICE;
            drop(queue);
            timer::reprogram();
        }
    }
    true
}

/// Makes a new task ready for the first time.
pub fn start(task: &Arc<Task>) {
    task.state.store(state::INTERRUPTIBLE, Ordering::SeqCst);
    wake(task, state::INTERRUPTIBLE);
}

/// When the running task's slice ends, if somebody else is ready.
pub fn slice_end() -> Option<Instant> {
    let queue = my_queue().lock();
    (!queue.is_empty()).then_some(queue.slice_end)
}

/// Called by the timer interrupt: asks for a switch when the slice is over.
pub fn tick(now: Instant) {
    let queue = my_queue().lock();
    if !queue.is_empty() && now >= queue.slice_end {
        this_cpu().need_resched.store(true, Ordering::Relaxed);
    }
}

/// Gives way to another ready task, if there is one.
pub fn yield_now() {
    schedule();
}

/// Runs another task, if one is ready or the present one is not. Returns when the caller is chosen again.
pub fn schedule() {
    let interrupts = irq::save_and_disable();
    let cpu = this_cpu();
    cpu.need_resched.store(false, Ordering::Relaxed);
    let queue_lock = my_queue();
    let mut queue = queue_lock.lock();
    let Some(prev) = queue.current.take() else { unreachable!("a CPU always runs a task") };
    let is_idle = queue.idle.as_ref().is_some_and(|idle| Arc::ptr_eq(idle, &prev));
    let ready = prev.state.load(Ordering::SeqCst) == state::RUNNING;
    if !is_idle {
        if ready {
            queue.push(prev.clone());
        } else {
            prev.queued.store(false, Ordering::Relaxed);
        }
    }
    let Some(next) = queue.pop().or_else(|| queue.idle.clone()) else { unreachable!("every CPU has an idle task") };
    let now = clock::monotonic_ns();
    queue.slice_end = now + TIME_SLICE;
    let others = !queue.is_empty();
    let runs = usize::from(!queue.idle.as_ref().is_some_and(|idle| Arc::ptr_eq(idle, &next)));
    let tasks = queue.realtime.len() + queue.normal.len() + runs;
    queue.load.change(now, tasks);
    if Arc::ptr_eq(&prev, &next) {
        queue.current = Some(prev);
        drop(queue);
        if others {
            timer::reprogram();
        }
        irq::restore(interrupts);
        return;
    }
    prev.switches[usize::from(ready)].fetch_add(1, Ordering::Relaxed);
    cpu.switches.fetch_add(1, Ordering::Relaxed);
    charge(&prev, now, 1);
    next.charged_at.store(now, Ordering::Relaxed);
    if next.stack_bounds().1 != 0 {
        let mm = next.process.mm();
        if !queue.mm.as_ref().is_some_and(|loaded| Arc::ptr_eq(loaded, &mm)) {
            mm.activate();
            queue.mm = Some(mm);
        }
        let (bottom, top) = next.stack_bounds();
        cpu.stack_bottom.set(bottom);
        cpu.stack_top.set(top);
    } else {
        let (bottom, top) = crate::arch::boot_stack();
        cpu.stack_bottom.set(bottom);
        cpu.stack_top.set(top);
    }
    if prev.stack_bounds().1 != 0 {
        // SAFETY: this CPU runs `prev`, whose state is in the registers.
        unsafe { (*prev.fpu.get()).save() };
        prev.fs_base.store(msr::fs_base(), Ordering::Relaxed);
    }
    if next.stack_bounds().1 != 0 {
        // SAFETY: `next` runs nowhere; its area was saved by a switch or made for it.
        unsafe { (*next.fpu.get()).restore() };
        msr::set_fs_base(next.fs_base.load(Ordering::Relaxed));
    }
    cpu.current.set(Arc::as_ptr(&next));
    let save = prev.saved_rsp.get();
    // SAFETY: `next` runs nowhere, so its saved stack pointer is settled.
    let load = unsafe { *next.saved_rsp.get() };
    queue.current = Some(next);
    queue.previous = Some(prev);
    core::mem::forget(queue);
    // SAFETY: interrupts are off and both tasks are kept alive by the run queue. The lock stays held until the other side
    // has the CPU; `finish_switch` frees it.
    unsafe { switch::switch_stacks(save, load) };
    finish_switch();
    irq::restore(interrupts);
}

/// The first thing that a task does after it was switched to.
fn finish_switch() {
    let queue_lock = my_queue();
    // SAFETY: `schedule` left the lock held by this CPU and forgot the guard; interrupts are off, so nobody else can have it.
    let previous = unsafe {
        let queue = queue_lock.leaked();
        let previous = queue.previous.take();
        queue_lock.force_unlock();
        previous
    };
    // A task that has ended is freed here, off its own stack.
    drop(previous);
    current().process.timers.process_runs();
    timer::reprogram();
}

/// Where a new thread starts: on its way to the application with the frame at the top of its stack.
pub extern "C" fn first_switch(frame: &mut TrapFrame) {
    finish_switch();
    crate::arch::traps::leave_to_application(frame);
}

/// Where a new kernel thread starts.
pub extern "C" fn first_switch_kernel() {
    finish_switch();
    irq::enable();
}

/// Lays out `task`'s kernel stack so that it starts in the application with `frame`'s registers and FS base.
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
    mm.activate();
    let old = queue.mm.replace(mm.clone());
    drop(queue);
    drop(old);
}

/// Index into [`Task::cpu_ns`] for time in the application.
const APPLICATION: usize = 0;
/// And for time in the kernel.
const KERNEL: usize = 1;

fn charge(task: &Task, now: Instant, to: usize) {
    let since = task.charged_at.swap(now, Ordering::Relaxed);
    task.cpu_ns[to].fetch_add(now.saturating_sub(since), Ordering::Relaxed);
}

/// Charges the current task's time since the last call to the application, which it comes from.
pub fn charge_application() {
    charge(current(), clock::monotonic_ns(), APPLICATION);
}

/// Charges the current task's time since the last call to the kernel, which it leaves.
pub fn charge_kernel() {
    charge(current(), clock::monotonic_ns(), KERNEL);
}

/// Nanoseconds that a thread has used: application, kernel. What a running thread used since it was last charged counts for
/// the application.
pub fn cpu_time(task: &Task) -> (u64, u64) {
    let running = core::ptr::eq(current(), task);
    let since = if running { clock::monotonic_ns().saturating_sub(task.charged_at.load(Ordering::Relaxed)) } else { 0 };
    (task.cpu_ns[APPLICATION].load(Ordering::Relaxed) + since, task.cpu_ns[KERNEL].load(Ordering::Relaxed))
}
