//! Further CPUs: who they are, how they are started, and what they do first.
//!
//! The first CPU starts the others one by one. Each gets the address of its stack and its index
//! through statics that boot.s reads, says that it is there, and goes on only when it is told to,
//! so that one that comes too late does no harm.
//!
//! Source: SDM volume 3A, 8.4 "Multiple-Processor (MP) Initialization".

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::Once;

use super::{acpi, fw_cfg, mp_table, tsc_sync};
use arch::boot::{self, List};
use arch::percpu::{self, LISTED_CPUS, MAX_CPUS};
use arch::{apic, clock, control, irq, timer};
use mem::{frames, kernel_pml4_phys, phys_to_virt};

/// What a CPU that starts loads: page table, stack, its index. Read by boot.s.
#[unsafe(export_name = "ap_page_table")]
static PAGE_TABLE: AtomicU64 = AtomicU64::new(0);
#[unsafe(export_name = "ap_stack_top")]
static STACK_TOP: AtomicU64 = AtomicU64::new(0);
static STACK_BOTTOM: AtomicU64 = AtomicU64::new(0);
#[unsafe(export_name = "ap_index")]
static INDEX: AtomicU32 = AtomicU32::new(0);

/// What the layers above do for a CPU that starts.
pub struct Further {
    /// Makes its idle task: the lowest and the highest address of that one's stack. `None` without
    /// memory.
    pub prepare: fn(u32) -> Option<(u64, u64)>,
    /// Gives it the tables of entry; the first thing after it has been accepted.
    pub init_entry: fn(),
    /// Tells that it may run tasks; its timer runs.
    pub up: fn(),
    /// Becomes its idle task.
    pub idle: fn() -> !,
}

static FURTHER: Once<Further> = Once::new();

/// How far the CPU that starts has come: one of the steps below.
static STEP: AtomicU32 = AtomicU32::new(0);
/// It was called.
const CALLED: u32 = 1;
/// It answers, and waits.
const ANSWERED: u32 = 2;
/// Its TSC is being compared.
const COMPARING: u32 = 3;
/// It may run tasks.
const ACCEPTED: u32 = 4;
/// It is not wanted, and halts.
const REFUSED: u32 = 5;
/// It has its tables, its timer and its idle task.
const RUNNING: u32 = 6;

/// How long a CPU may take to answer, in nanoseconds. A host with too much to do may leave it
/// without time for long.
const STARTUP_TIMEOUT_NS: u64 = 5_000_000_000;
/// Pause between INIT and start-up, and how often the latter is repeated.
const INIT_PAUSE: u64 = 100_000;
const STARTUP_PERIOD: u64 = 10_000_000;

unsafe extern "C" {
    #[link_name = "ap_trampoline"]
    static TRAMPOLINE: u8;
    #[link_name = "ap_trampoline_end"]
    static TRAMPOLINE_END: u8;
}

/// APIC ids of all CPUs: from ACPI, from the MP table, or, where neither is there, as many as QEMU
/// or the command line says, numbered from 0. With `cpus=N` on the command line there are at most
/// so many.
fn apic_ids() -> List<u32, LISTED_CPUS> {
    let wanted: Option<u32> = boot::option("cpus").and_then(|value| value.parse().ok());
    let mut ids = acpi::madt().cpus;
    if ids.as_slice().is_empty() {
        ids = mp_table::cpus();
    }
    if ids.as_slice().is_empty() {
        (0..fw_cfg::cpu_count().or(wanted).unwrap_or(1)).all(|id| ids.push(id));
    }
    let highest = if apic::is_x2apic() { u32::MAX - 1 } else { 0xfe };
    let mut usable = List::new(0);
    for &id in ids.as_slice().iter().filter(|id| **id <= highest).take(wanted.unwrap_or(u32::MAX) as usize) {
        usable.push(id);
    }
    usable
}

/// Starts all CPUs but this one, and returns when they run. One that does not come up is reported
/// and left out.
pub fn start_others(further: Further) {
    let further = FURTHER.call_once(|| further);
    let own = apic::id();
    let ids = apic_ids();
    if ids.as_slice().len() > MAX_CPUS {
        kwarn!("{} CPUs are there, of which {MAX_CPUS} are used: there may be no more", ids.as_slice().len());
    }
    copy_trampoline();
    PAGE_TABLE.store(kernel_pml4_phys(), Ordering::Relaxed);
    let mut next = 1;
    let mut missing = false;
    for &apic_id in ids.as_slice().iter().filter(|id| **id != own).take(MAX_CPUS - 1) {
        let Some(stack) = (further.prepare)(next) else {
            kwarn!("CPU with APIC id {apic_id}: no memory to start it");
            break;
        };
        match start(next, apic_id, stack) {
            Ok(()) => next += 1,
            Err(NotStarted::Silent) => {
                kwarn!("CPU with APIC id {apic_id} does not answer; it and the CPUs after it are left out");
                missing = true;
                break;
            }
            Err(NotStarted::TscDisagrees(ticks)) => {
                kwarn!("CPU with APIC id {apic_id}: its TSC is {ticks} ticks off; it is left out");
            }
        }
    }
    // One that comes late still runs on the boot tables until it finds that it was refused.
    if !missing {
        frames::free_boot_tables();
    }
    kinfo!("{next} CPUs");
}

fn copy_trampoline() {
    let start = &raw const TRAMPOLINE;
    let len = (&raw const TRAMPOLINE_END).addr() - start.addr();
    // SAFETY: the page was kept free for this since boot; the code is shorter.
    unsafe { ptr::copy_nonoverlapping(start, phys_to_virt(frames::AP_TRAMPOLINE), len) };
}

enum NotStarted {
    Silent,
    /// By so many ticks.
    TscDisagrees(u64),
}

fn start(index: u32, apic_id: u32, (bottom, top): (u64, u64)) -> Result<(), NotStarted> {
    STACK_BOTTOM.store(bottom, Ordering::Relaxed);
    STACK_TOP.store(top, Ordering::Relaxed);
    INDEX.store(index, Ordering::Relaxed);
    STEP.store(CALLED, Ordering::SeqCst);
    let begin = clock::monotonic_ns();
    apic::send_init(apic_id);
    while clock::monotonic_ns() < begin + INIT_PAUSE {
        core::hint::spin_loop();
    }
    let mut startup = 0;
    while STEP.load(Ordering::Acquire) != ANSWERED {
        let now = clock::monotonic_ns();
        if now > begin + STARTUP_TIMEOUT_NS
            && STEP.compare_exchange(CALLED, REFUSED, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            return Err(NotStarted::Silent);
        }
        if now >= startup {
            apic::send_startup(apic_id, frames::AP_TRAMPOLINE);
            startup = now + STARTUP_PERIOD;
        }
        core::hint::spin_loop();
    }
    STEP.store(COMPARING, Ordering::Release);
    let warp = tsc_sync::compare();
    if warp != 0 {
        STEP.store(REFUSED, Ordering::Release);
        return Err(NotStarted::TscDisagrees(warp));
    }
    STEP.store(ACCEPTED, Ordering::Release);
    wait_for(RUNNING);
    Ok(())
}

/// Spins until the step is `step`.
fn wait_for(step: u32) {
    while STEP.load(Ordering::Acquire) != step {
        core::hint::spin_loop();
    }
}

/// What a further CPU does, on its idle task's stack, with interrupts off.
pub fn run_cpu(index: u32) -> ! {
    if STEP.compare_exchange(CALLED, ANSWERED, Ordering::AcqRel, Ordering::Acquire).is_err() {
        irq::halt_forever();
    }
    percpu::init(index, (STACK_BOTTOM.load(Ordering::Relaxed), STACK_TOP.load(Ordering::Relaxed)));
    wait_for(COMPARING);
    tsc_sync::take_part();
    loop {
        match STEP.load(Ordering::Acquire) {
            ACCEPTED => break,
            REFUSED => irq::halt_forever(),
            _ => core::hint::spin_loop(),
        }
    }
    // Set before the first of them was called.
    let Some(further) = FURTHER.get() else { irq::halt_forever() };
    control::init();
    (further.init_entry)();
    super::init_apic();
    timer::init();
    (further.up)();
    STEP.store(RUNNING, Ordering::Release);
    (further.idle)()
}
