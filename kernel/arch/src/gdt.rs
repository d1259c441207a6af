//! GDT, TSS and the interrupt stacks.
//!
//! Application and kernel both run in ring 0, so an interrupt would be pushed onto the
//! application's stack: into its red zone, or onto a goroutine's few hundred bytes. So every vector
//! comes in on an IST stack, and the entry code moves the frame from there to the thread's kernel
//! stack at once.

use alloc::boxed::Box;
use core::arch::asm;
use x86_64::VirtAddr;
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// Code selector of kernel and application.
pub const KERNEL_CS: u16 = 0x08;
/// Data selector of kernel and application. `syscall` loads `STAR[47:32] + 8`, so it follows the
/// code selector.
pub const KERNEL_SS: u16 = 0x10;

/// IST index (0-based) for every vector that has none of its own.
pub const IST_COMMON: u16 = 0;
/// IST index for the double fault.
pub const IST_DOUBLE_FAULT: u16 = 1;
/// IST index for the non-maskable interrupt.
pub const IST_NMI: u16 = 2;
/// IST index for the machine check.
pub const IST_MACHINE_CHECK: u16 = 3;

const IST_SIZE: usize = 16 * 1024;

#[repr(align(16))]
struct IstStack([u8; IST_SIZE]);

/// Loads a GDT and a TSS for this CPU, both of which live for good.
pub fn init() {
    let mut tss = Box::new(TaskStateSegment::new());
    for slot in [IST_COMMON, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK] {
        let stack = Box::leak(Box::new(IstStack([0; IST_SIZE])));
        let bottom = VirtAddr::from_ptr(stack.0.as_ptr());
        tss.interrupt_stack_table[usize::from(slot)] = bottom + IST_SIZE as u64;
    }
    let tss = Box::leak(tss);
    let gdt = Box::leak(Box::new(GlobalDescriptorTable::new()));
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let tss_selector = gdt.append(Descriptor::tss_segment(tss));
    debug_assert!(code.0 == KERNEL_CS && data.0 == KERNEL_SS);
    gdt.load();
    // SAFETY: the GDT just loaded holds these selectors and is never freed; GS base is restored
    // because loading GS clears it on some CPUs, and FS holds no base yet.
    unsafe {
        let gs_base = super::msr::read(0xc000_0101);
        asm!(
            "push {cs}",
            "lea {tmp}, [rip + 2f]",
            "push {tmp}",
            "retfq",
            "2:",
            "mov ss, {ss:x}",
            "mov ds, {ss:x}",
            "mov es, {ss:x}",
            "mov fs, {zero:x}",
            "mov gs, {zero:x}",
            cs = in(reg) u64::from(KERNEL_CS),
            ss = in(reg) u64::from(KERNEL_SS),
            zero = in(reg) 0u64,
            tmp = out(reg) _,
        );
        super::msr::write(0xc000_0101, gs_base);
        load_tss(tss_selector);
    }
}
