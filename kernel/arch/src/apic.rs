//! The local APIC, as x2APIC (registers are MSRs) where the CPU has it, else as xAPIC (registers
//! are memory).
//!
//! Source: SDM volume 3A, chapter 11.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::percpu::this_cpu;
use super::port::outb;
use super::{cpuid, irq, layout, msr, vectors};

const ID: u32 = 0x020;
const TASK_PRIORITY: u32 = 0x080;
const END_OF_INTERRUPT: u32 = 0x0b0;
const SPURIOUS: u32 = 0x0f0;
/// First of eight registers, 32 vectors each.
const IN_SERVICE: u32 = 0x100;
const ERROR_STATUS: u32 = 0x280;
const COMMAND_LOW: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const LVT_ERROR: u32 = 0x370;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const SOFTWARE_ENABLE: u32 = 1 << 8;
const LVT_MASKED: u32 = 1 << 16;
const LVT_NMI: u32 = 4 << 8;
const TIMER_ONE_SHOT: u32 = 0;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;

/// Bits of the interrupt command register (SDM volume 3A, figure 11-12).
const DELIVERY_NMI: u32 = 4 << 8;
const DELIVERY_INIT: u32 = 5 << 8;
const DELIVERY_STARTUP: u32 = 6 << 8;
const DELIVERY_PENDING: u32 = 1 << 12;
const LEVEL_ASSERT: u32 = 1 << 14;

const PIC_MASTER_DATA: u16 = 0x21;
const PIC_SLAVE_DATA: u16 = 0xa1;

/// The xAPIC's registers; null in x2APIC mode.
static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Bit of the paravirtual end-of-interrupt word: KVM waits for it to be cleared, and for no write
/// to the register.
const PV_EOI_PENDING: u32 = 1;

fn read(register: u32) -> u32 {
    let base = REGISTERS.load(Ordering::Relaxed);
    // SAFETY: `init` has set the mode: either the MSR exists, or `base` maps the registers.
    unsafe {
        if base.is_null() {
            msr::read(msr::X2APIC + register / 16) as u32
        } else {
            base.add(register as usize).cast::<u32>().read_volatile()
        }
    }
}

fn write(register: u32, value: u32) {
    let base = REGISTERS.load(Ordering::Relaxed);
    // SAFETY: as in `read`; this module writes only what the manual allows.
    unsafe {
        if base.is_null() {
            msr::write(msr::X2APIC + register / 16, value.into());
        } else {
            base.add(register as usize).cast::<u32>().write_volatile(value);
        }
    }
}

/// Silences the 8259s and sets up this CPU's local APIC, with its timer stopped. Each CPU calls
/// this; the first one before the others start. `map` maps the page of registers at a physical
/// address, for good.
pub fn init(map: fn(u64) -> Option<*mut u8>) {
    // SAFETY: masks every line; where there is no PIC nobody listens.
    unsafe {
        outb(PIC_MASTER_DATA, 0xff);
        outb(PIC_SLAVE_DATA, 0xff);
    }
    let x2apic = raw_cpuid::CpuId::new().get_feature_info().is_some_and(|features| features.has_x2apic());
    // SAFETY: every long-mode CPU has the register; the APIC stays where it is.
    let base = unsafe {
        let base = msr::read(msr::APIC_BASE) | BASE_ENABLE;
        msr::write(msr::APIC_BASE, base);
        if x2apic {
            msr::write(msr::APIC_BASE, base | BASE_X2APIC);
        }
        base
    };
    if !x2apic && REGISTERS.load(Ordering::Relaxed).is_null() {
        let registers = map(base & BASE_ADDRESS).expect("no room to map the local APIC");
        REGISTERS.store(registers, Ordering::Relaxed);
    }
    this_cpu().apic_id.store(id(), Ordering::Relaxed);
    write(TASK_PRIORITY, 0);
    // First: while the APIC is disabled the mask bits of the local vector table cannot be cleared
    // (SDM volume 3A, 11.4.7.2).
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(vectors::SPURIOUS));
    write(LVT_LINT0, LVT_MASKED);
    write(LVT_LINT1, LVT_NMI);
    write(LVT_ERROR, vectors::ERROR.into());
    write(LVT_TIMER, LVT_MASKED | u32::from(vectors::TIMER));
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(ERROR_STATUS, 0);
    if cpuid::kvm_features() & cpuid::KVM_FEATURE_PV_EOI != 0 {
        const ENABLE: u64 = 1;
        let word = layout::virt_to_phys(&raw const this_cpu().pv_eoi);
        // SAFETY: the feature bit says that the MSR exists (Documentation/virt/kvm/x86/msr.rst);
        // the word is this CPU's for good.
        unsafe { msr::write(msr::KVM_PV_EOI_EN, word | ENABLE) };
    }
}

/// This CPU's APIC id.
pub fn id() -> u32 {
    let id = read(ID);
    if is_x2apic() { id } else { id >> 24 }
}

/// Whether ids have 32 bits; else 8.
pub fn is_x2apic() -> bool {
    REGISTERS.load(Ordering::Relaxed).is_null()
}

/// Ends the interrupt being handled.
#[inline]
pub fn eoi() {
    let note = &this_cpu().pv_eoi;
    if note.load(Ordering::Relaxed) & PV_EOI_PENDING != 0 && note.swap(0, Ordering::Relaxed) & PV_EOI_PENDING != 0 {
        return;
    }
    write(END_OF_INTERRUPT, 0);
}

/// Whether the interrupt at `vector` is being handled by this CPU: the APIC has raised it, and it
/// was not ended.
pub fn is_in_service(vector: u8) -> bool {
    read(IN_SERVICE + u32::from(vector / 32) * 0x10) >> (vector % 32) & 1 != 0
}

/// Sends an interrupt to the CPU with `apic_id`. What was stored before is visible to its handler.
fn command(apic_id: u32, value: u32) {
    if is_x2apic() {
        // SAFETY: x2APIC mode has the register. Unlike a store to the xAPIC's, the write does not
        // wait for earlier stores, so fences do (SDM volume 3A, 11.12.3).
        unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            msr::write(msr::X2APIC + COMMAND_LOW / 16, u64::from(apic_id) << 32 | u64::from(value));
        }
        return;
    }
    // The two halves are one command: a handler that sends one as well must not come in between.
    let interrupts = irq::save_and_disable();
    write(COMMAND_HIGH, apic_id << 24);
    write(COMMAND_LOW, value);
    while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
        core::hint::spin_loop();
    }
    irq::restore(interrupts);
}

/// Interrupts the CPU with `apic_id` at `vector`.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, LEVEL_ASSERT | u32::from(vector));
}

/// Interrupts the CPU with `apic_id` even where it has interrupts off.
pub fn send_nmi(apic_id: u32) {
    command(apic_id, LEVEL_ASSERT | DELIVERY_NMI);
}

/// Resets the CPU with `apic_id`; it then waits for [`send_startup`].
pub fn send_init(apic_id: u32) {
    command(apic_id, LEVEL_ASSERT | DELIVERY_INIT);
}

/// Has a CPU that was reset start in real mode at the page at `phys`, below 1 MiB; one that runs
/// does not mind.
pub fn send_startup(apic_id: u32, phys: u64) {
    command(apic_id, LEVEL_ASSERT | DELIVERY_STARTUP | (phys >> 12) as u32);
}

/// The errors since the last call, and clears them.
pub fn take_errors() -> u32 {
    write(ERROR_STATUS, 0);
    read(ERROR_STATUS)
}

/// Starts the timer's count from the top, without an interrupt, for calibration.
pub fn start_counting() {
    write(LVT_TIMER, LVT_MASKED | TIMER_ONE_SHOT | u32::from(vectors::TIMER));
    write(TIMER_INITIAL, u32::MAX);
}

/// Ticks since [`start_counting`]; stands still after 2^32.
pub fn counted() -> u32 {
    u32::MAX - read(TIMER_CURRENT)
}

/// Lets the timer interrupt, in TSC-deadline mode or by count.
pub fn unmask_timer(tsc_deadline: bool) {
    let mode = if tsc_deadline { TIMER_TSC_DEADLINE } else { TIMER_ONE_SHOT };
    write(TIMER_INITIAL, 0);
    write(LVT_TIMER, mode | u32::from(vectors::TIMER));
    // A deadline written before the mode has arrived would be lost (SDM volume 3A, 11.5.4.1).
    // SAFETY: a fence.
    unsafe { core::arch::asm!("mfence", options(nostack, preserves_flags)) };
}

/// Interrupt after `ticks` of the timer; 0 stops it.
pub fn set_timer_count(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}
