//! The page at a fixed address through which programs of long ago ask for the time (vsyscall):
//! three functions, each a `syscall`. What they are is as old as the address, so it is the
//! kernel's, and every address space has it.

use linux_raw_sys::general as g;

use arch::layout::virt_to_phys;
use base::addr::PAGE_SIZE;

/// Where it is (`VSYSCALL_ADDR`).
pub const ADDRESS: u64 = 0xffff_ffff_ff60_0000;
/// From one function to the next.
const STEP: usize = 1024;
const CALLS: [u32; 3] = [g::__NR_gettimeofday, g::__NR_time, g::__NR_getcpu];

#[repr(C, align(4096))]
struct Page([u8; PAGE_SIZE]);

static PAGE: Page = {
    // int3
    let mut code = [0xcc; PAGE_SIZE];
    let mut i = 0;
    while i < CALLS.len() {
        let [n0, n1, n2, n3] = CALLS[i].to_le_bytes();
        // mov $nr, %rax; syscall; ret
        let function = [0x48, 0xc7, 0xc0, n0, n1, n2, n3, 0x0f, 0x05, 0xc3];
        let mut j = 0;
        while j < function.len() {
            code[i * STEP + j] = function[j];
            j += 1;
        }
        i += 1;
    }
    Page(code)
};

/// The frame that it lies in.
pub fn phys() -> u64 {
    virt_to_phys(&raw const PAGE)
}
