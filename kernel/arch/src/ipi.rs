//! Interrupts from one CPU to another: look at your run queue, drop translations, stop.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::percpu::{self, MAX_CPUS, this_cpu};
use super::{apic, clock, irq, tlb, vectors};

/// Interrupts CPU `cpu`, so that it looks at what has changed for it on its way out of the kernel.
pub fn kick(cpu: u32) {
    apic::send(percpu::of(cpu).apic_id.load(Ordering::Relaxed), vectors::RESCHEDULE);
}

/// What one CPU asks others to flush.
struct FlushRequest {
    start: AtomicU64,
    end: AtomicU64,
    /// The CPUs that have not done so yet.
    pending: AtomicU64,
}

/// A request per asking CPU; it asks again only when all have answered.
static REQUESTS: [FlushRequest; MAX_CPUS] =
    [const { FlushRequest { start: AtomicU64::new(0), end: AtomicU64::new(0), pending: AtomicU64::new(0) } }; MAX_CPUS];

/// How long a CPU may leave a request unanswered before its stack is shown, in TSC ticks: some
/// seconds.
const STUCK_AFTER: u64 = 20_000_000_000;

/// Has the CPUs of `cpus` flush the translations of `start..end`, and returns when they have. Works
/// with interrupts off too, since the CPUs that wait for each other answer each other; but no spin
/// lock may be held, because a CPU that waits for one with interrupts off does not answer.
pub fn flush(cpus: u64, start: u64, end: u64) {
    // An interrupt in between would do no harm, but being moved to another CPU would; nothing here
    // sleeps.
    let own = this_cpu().id.get();
    let request = &REQUESTS[own as usize % MAX_CPUS];
    request.start.store(start, Ordering::Relaxed);
    request.end.store(end, Ordering::Relaxed);
    request.pending.store(cpus, Ordering::SeqCst);
    for cpu in percpu::each(cpus) {
        // Where a request waits already, its interrupt is on the way and takes this one along.
        if cpu.flush_requests.fetch_or(1 << own, Ordering::SeqCst) == 0 {
            apic::send(cpu.apic_id.load(Ordering::Relaxed), vectors::TLB_FLUSH);
        }
    }
    let begin = clock::tsc();
    let mut reported = false;
    while request.pending.load(Ordering::Acquire) != 0 {
        if !irq::enabled() {
            answer();
        }
        if !reported && clock::tsc().wrapping_sub(begin) > STUCK_AFTER {
            report_stuck(request.pending.load(Ordering::Relaxed));
            reported = true;
        }
        core::hint::spin_loop();
    }
}

/// Does what other CPUs have asked this one to flush.
pub fn answer() {
    let cpu = this_cpu();
    let mut asking = cpu.flush_requests.swap(0, Ordering::SeqCst);
    while asking != 0 {
        let from = asking.trailing_zeros();
        asking &= asking - 1;
        let request = &REQUESTS[from as usize % MAX_CPUS];
        tlb::flush_local(request.start.load(Ordering::Relaxed), request.end.load(Ordering::Relaxed));
        request.pending.fetch_and(!(1 << cpu.id.get()), Ordering::Release);
    }
}

/// The CPUs that are asked to show where they are, a bit each.
static SHOW: AtomicU64 = AtomicU64::new(0);

/// Has the CPUs of `cpus`, which have interrupts off for too long, print their stacks.
pub fn report_stuck(cpus: u64) {
    SHOW.fetch_or(cpus, Ordering::SeqCst);
    for cpu in percpu::each(cpus) {
        emergency!("skiff: CPU {} has not answered an interrupt for seconds; it is here:", cpu.id.get());
        apic::send_nmi(cpu.apic_id.load(Ordering::Relaxed));
    }
}

/// Has all CPUs print their stacks.
pub fn show_stacks() {
    let cpus = percpu::online();
    SHOW.fetch_or(cpus, Ordering::SeqCst);
    for cpu in percpu::each(cpus) {
        apic::send_nmi(cpu.apic_id.load(Ordering::Relaxed));
    }
}

/// Whether this CPU, which has got an NMI, is to show where it is, and nothing else. Asked once for
/// each NMI.
pub fn stack_wanted() -> bool {
    let own = 1 << this_cpu().id.get();
    SHOW.fetch_and(!own, Ordering::SeqCst) & own != 0
}

/// Set once the kernel is ending: a CPU that gets an NMI stops.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Whether this CPU, which has got an NMI, is to stop.
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Stops all other CPUs of `online` where they are: the kernel is ending.
pub fn stop_others(online: u64) {
    STOPPING.store(true, Ordering::SeqCst);
    let own = this_cpu().id.get();
    for cpu in percpu::each(online & !(1 << own)) {
        apic::send_nmi(cpu.apic_id.load(Ordering::Relaxed));
    }
}
