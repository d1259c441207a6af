//! The interrupt descriptor table: every vector has a stub and an IST stack.

use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::DescriptorTablePointer;

use super::gdt::{IST_COMMON, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_NMI, KERNEL_CS};
use super::trap::vector;
use super::trap_entry::stub_address;

/// A 64-bit interrupt gate (SDM vol. 3, figure 6-8).
#[repr(C)]
#[derive(Clone, Copy)]
struct Gate {
    offset_low: u16,
    selector: u16,
    ist: u8,
    kind: u8,
    offset_middle: u16,
    offset_high: u32,
    reserved: u32,
}

/// Present, DPL 0, 64-bit interrupt gate. Breakpoints need no DPL 3: the application runs in ring
/// 0.
const INTERRUPT_GATE: u8 = 0x8e;

static IDT: Once<[Gate; 256]> = Once::new();

/// Loads the table, which all CPUs share, on this CPU.
pub fn load() {
    let table = IDT.call_once(|| {
        core::array::from_fn(|number| {
            let address = stub_address(number);
            let ist = match number as u64 {
                vector::DOUBLE_FAULT => IST_DOUBLE_FAULT,
                vector::NMI => IST_NMI,
                vector::MACHINE_CHECK => IST_MACHINE_CHECK,
                _ => IST_COMMON,
            };
            Gate {
                offset_low: address as u16,
                selector: KERNEL_CS,
                ist: ist as u8 + 1,
                kind: INTERRUPT_GATE,
                offset_middle: (address >> 16) as u16,
                offset_high: (address >> 32) as u32,
                reserved: 0,
            }
        })
    });
    let pointer = DescriptorTablePointer { limit: (size_of_val(table) - 1) as u16, base: VirtAddr::from_ptr(table) };
    // SAFETY: the table is static and each gate leads to a stub that restores what it interrupts.
    unsafe { x86_64::instructions::tables::lidt(&pointer) };
}
